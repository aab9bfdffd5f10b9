/** The ops that programs may use, each as a function of tensors with arguments to try it on. */
import * as tf from '@tensorflow/tfjs';
import { type Argument, bools, type Fn, floats, ints, turned } from './compare.js';

export interface Case {
  readonly name: string;
  readonly fn: Fn;
  readonly args: readonly Argument[];
  /** What to run eagerly instead of `fn`, where tfjs itself is wrong. */
  readonly reference?: Fn;
  /** Larger than the usual 1e-6: a reason stands beside each use. */
  readonly absolute?: number;
}

function one(name: string, fn: Fn, ...args: Argument[]): Case {
  return { name, fn, args };
}

/** Shapes of elementwise operands: scalars, odd sizes, empty ones, ranks up to five. */
const SHAPES = [[], [1], [17], [3, 1], [2, 3, 5], [0], [2, 0, 3], [2, 1, 3, 1, 2]];
const SPECIAL = [Number.NaN, Infinity, -Infinity, 0, -0, 1, -1, 0.5, -0.5, 30, -30, 1e-6, 6.5];

const UNARY: Record<string, { fn: Fn; low?: number; high?: number; absolute?: number }> = {
  abs: { fn: tf.abs },
  acos: { fn: tf.acos, low: -1, high: 1 },
  acosh: { fn: tf.acosh, low: 1.01, high: 4 },
  asin: { fn: tf.asin, low: -1, high: 1 },
  asinh: { fn: tf.asinh },
  atan: { fn: tf.atan },
  atanh: { fn: tf.atanh, low: -0.99, high: 0.99 },
  ceil: { fn: tf.ceil },
  clipByValue: { fn: (x) => tf.clipByValue(x, -0.75, 1) },
  cos: { fn: tf.cos },
  cosh: { fn: tf.cosh },
  elu: { fn: tf.elu },
  erf: { fn: tf.erf },
  exp: { fn: tf.exp },
  expm1: { fn: tf.expm1 },
  floor: { fn: tf.floor },
  isFinite: { fn: tf.isFinite },
  isInf: { fn: tf.isInf },
  isNaN: { fn: tf.isNaN },
  leakyRelu: { fn: (x) => tf.leakyRelu(x, 0.3) },
  log: { fn: tf.log, low: 0.01, high: 4 },
  log1p: { fn: tf.log1p, low: -0.9, high: 4 },
  logSigmoid: { fn: tf.logSigmoid },
  neg: { fn: tf.neg },
  onesLike: { fn: tf.onesLike },
  reciprocal: { fn: tf.reciprocal, low: 0.1, high: 4 },
  relu: { fn: tf.relu },
  relu6: { fn: (x) => tf.relu6(tf.mul(x, 4)) },
  round: { fn: (x) => tf.round(tf.mul(x, 4)) },
  rsqrt: { fn: tf.rsqrt, low: 0.1, high: 4 },
  selu: { fn: tf.selu },
  sigmoid: { fn: tf.sigmoid },
  sign: { fn: tf.sign },
  sin: { fn: tf.sin },
  sinh: { fn: tf.sinh },
  softplus: { fn: tf.softplus },
  sqrt: { fn: tf.sqrt, low: 0, high: 4 },
  square: { fn: tf.square },
  step: { fn: (x) => tf.step(x, 0.25) },
  tan: { fn: tf.tan, low: -1.4, high: 1.4 },
  tanh: { fn: tf.tanh },
  zerosLike: { fn: tf.zerosLike },
};

const BINARY: Record<string, { fn: Fn; low?: number; high?: number }> = {
  add: { fn: tf.add },
  atan2: { fn: tf.atan2 },
  div: { fn: tf.div },
  divNoNan: { fn: tf.divNoNan },
  equal: { fn: tf.equal },
  floorDiv: { fn: tf.floorDiv },
  greater: { fn: tf.greater },
  greaterEqual: { fn: tf.greaterEqual },
  less: { fn: tf.less },
  lessEqual: { fn: tf.lessEqual },
  maximum: { fn: tf.maximum },
  minimum: { fn: tf.minimum },
  mod: { fn: tf.mod },
  mul: { fn: tf.mul },
  notEqual: { fn: tf.notEqual },
  pow: { fn: tf.pow, low: 0.1, high: 3 },
  prelu: { fn: tf.prelu },
  squaredDifference: { fn: tf.squaredDifference },
  sub: { fn: tf.sub },
};
const PAIRS: [number[], number[]][] = [
  [[], []],
  [[17], []],
  [[], [2, 3]],
  [
    [3, 1],
    [1, 17],
  ],
  [
    [2, 3, 4],
    [3, 1],
  ],
  [[0, 3], [3]],
  [[1], [0]],
];
const SPECIAL_A = [Number.NaN, 1, Infinity, -Infinity, 0, Infinity, 2, -3, 3, -3, 0, 2, 1, -1];
const SPECIAL_B = [1, Number.NaN, 1, Infinity, 0, Infinity, 0, 2, -2, -2, 5, 2, Infinity, Infinity];

const elementwise: Case[] = [
  ...Object.entries(UNARY).flatMap(([name, { fn, low, high }]) => [
    ...SHAPES.map((shape) => one(`${name} [${shape}]`, fn, floats(shape, low, high))),
    // tfjs makes 0 of sign(NaN); here it is NaN.
    one(`${name} of NaN, infinities, zeros`, fn, turned(name === 'sign' ? SPECIAL.slice(1) : SPECIAL)),
  ]),
  ...Object.entries(BINARY).flatMap(([name, { fn, low, high }]) => [
    ...PAIRS.map(([a, b]) => one(`${name} [${a}] [${b}]`, fn, floats(a, low, high), floats(b, low, high, 5))),
    // tfjs stores a float floorDiv as int32, where NaN and infinities are arbitrary.
    ...(name === 'floorDiv'
      ? []
      : [one(`${name} of NaN, infinities, zeros`, fn, turned(SPECIAL_A), turned(SPECIAL_B))]),
  ]),
  ...[
    'add',
    'equal',
    'floorDiv',
    'greater',
    'less',
    'maximum',
    'minimum',
    'mod',
    'mul',
    'sub',
    'squaredDifference',
  ].map((name) =>
    one(`${name} of int32, 0 among the divisors`, BINARY[name].fn, ints([3, 5]), ints([5], -2, 3, 4)),
  ),
  ...['abs', 'neg', 'relu', 'sign', 'square'].map((name) =>
    one(`${name} of int32`, UNARY[name].fn, ints([17])),
  ),
  one('pow of int32', tf.pow, ints([17], -3, 4), ints([17], 0, 4, 5)),
  one('bitwiseAnd', tf.bitwiseAnd, ints([17], 0, 64), ints([17], 0, 64, 3)),
  one('logicalAnd', tf.logicalAnd, bools([3, 1]), bools([1, 5], 3)),
  one('logicalOr', tf.logicalOr, bools([3, 1]), bools([1, 5], 3)),
  one('logicalXor', tf.logicalXor, bools([17]), bools([17], 3)),
  one('logicalNot', tf.logicalNot, bools([17])),
  one('where', (c, a, b) => tf.where(c, a, b), bools([2, 3]), floats([2, 3]), floats([2, 3], -2, 2, 9)),
  one('where, broadcasting', (c, a) => tf.where(c, a, tf.scalar(7)), bools([3]), floats([2, 3])),
  one('where of bool', (c, a, b) => tf.where(c, a, b), bools([17]), bools([17], 2), bools([17], 3)),
  one('where of int32', (c, a, b) => tf.where(c, a, b), bools([17]), ints([17]), ints([17], 0, 9, 3)),
  one('cast float32 to int32', (x) => tf.cast(x, 'int32'), floats([17], -9, 9)),
  one('cast float32 to bool', (x) => tf.cast(x, 'bool'), turned([0, -0, 0.25, -3, 256, Number.NaN])),
  one('cast int32 to float32', (x) => tf.cast(x, 'float32'), ints([17])),
  one('cast int32 to bool', (x) => tf.cast(x, 'bool'), ints([17], 0, 3)),
  one('cast bool to float32', (x) => tf.cast(x, 'float32'), bools([17])),
  one('cast bool to int32', (x) => tf.cast(x, 'int32'), bools([17])),
];

const PRODUCTS: readonly [number[], number[], boolean, boolean][] = [
  [[3, 5], [5, 2], false, false],
  [[5, 3], [5, 2], true, false],
  [[3, 5], [2, 5], false, true],
  [[5, 3], [2, 5], true, true],
  [[1, 1], [1, 1], false, false],
  [[16, 17], [17, 33], false, false],
  [[17, 16], [17, 1], true, false],
  [[2, 3, 5], [2, 5, 4], false, false],
  [[2, 3, 5], [1, 5, 4], false, false],
  [[1, 5, 3], [4, 5, 2], true, false],
  [[0, 5], [5, 2], false, false],
];

const linear: Case[] = [
  ...PRODUCTS.map(([a, b, transposeA, transposeB]) => ({
    name: `matMul [${a}]${transposeA ? "'" : ''} [${b}]${transposeB ? "'" : ''}`,
    fn: (x: tf.Tensor, y: tf.Tensor) => tf.matMul(x, y, transposeA, transposeB),
    args: [floats(a), floats(b, -2, 2, 5)],
    // Sums of up to 17 products of size 4 in another order, which may cancel.
    absolute: 2e-5,
  })),
  {
    name: "matMul [2,1,3,5] [1,3,2,5]'",
    fn: (x, y) => tf.matMul(x, y, false, true),
    // Batch axes that both sides stretch: the cpu backend takes the wrong matrices.
    reference: (x, y) => tf.matMul(tf.tile(x, [1, 3, 1, 1]), tf.tile(y, [2, 1, 1, 1]), false, true),
    args: [floats([2, 1, 3, 5]), floats([1, 3, 2, 5], -2, 2, 5)],
  },
  one('dot', (x, y) => tf.dot(x, y), floats([17]), floats([17], -2, 2, 5)),
  one('outerProduct', (x, y) => tf.outerProduct(x, y), floats([3]), floats([5], -2, 2, 5)),
  one(
    'fused matMul with bias and relu',
    (a, b, bias) => tf.fused.matMul({ a, b, bias, activation: 'relu' }),
    floats([3, 5]),
    floats([5, 2], -2, 2, 5),
    floats([2], -2, 2, 7),
  ),
  one('matMul of NaN and infinities', (x) => tf.matMul(tf.reshape(x, [1, 3]), tf.reshape(x, [3, 1])), {
    ...turned([Number.NaN, 1, Infinity]),
  }),
];

const AXES: readonly [number[], number | number[] | undefined][] = [
  [[17], undefined],
  [[2, 3, 5], undefined],
  [[2, 3, 5], 0],
  [[2, 3, 5], 1],
  [
    [2, 3, 5],
    [0, 2],
  ],
  [[3, 1], 1],
  [[], undefined],
];
const REDUCTIONS: Record<string, (x: tf.Tensor, axis?: number | number[], keepDims?: boolean) => tf.Tensor> =
  {
    logSumExp: tf.logSumExp,
    max: tf.max,
    mean: tf.mean,
    min: tf.min,
    prod: tf.prod,
    sum: tf.sum,
  };

const reductions: Case[] = [
  ...Object.entries(REDUCTIONS).flatMap(([name, f]) => [
    ...AXES.map(([shape, axis]) => one(`${name} [${shape}] over ${axis}`, (x) => f(x, axis), floats(shape))),
    one(`${name}, kept`, (x) => f(x, [1], true), floats([2, 3, 5])),
    one(`${name} of NaN`, (x) => f(x), turned([1, Number.NaN, 3])),
    one(`${name} of infinities`, (x) => f(x), turned([1, Infinity, 3])),
  ]),
  one('sum of nothing', (x) => tf.sum(x, 0), floats([0, 3])),
  ...(['max', 'min', 'prod', 'sum'] as const).map((name) =>
    one(`${name} of int32`, (x) => REDUCTIONS[name](x, 1), ints([3, 4])),
  ),
  one('all', (x) => tf.all(x, 1), bools([3, 2])),
  one('any', (x) => tf.any(x, 1), bools([3, 2])),
  one('any of all', (x) => tf.any(x), bools([3, 2])),
  ...(['argMax', 'argMin'] as const).flatMap((name) => {
    const f = name === 'argMax' ? tf.argMax : tf.argMin;
    return [
      one(`${name} over 0`, (x) => f(x, 0), floats([5, 3])),
      one(`${name} over 1`, (x) => f(x, 1), floats([2, 5, 3])),
      one(`${name} of ties`, (x) => f(x), ints([17], 0, 3)),
      one(`${name} of NaN`, (x) => f(x), turned([1, Number.NaN, 3, 2])),
    ];
  }),
  one('cumsum', (x) => tf.cumsum(x, 1), floats([2, 5, 3])),
  one('cumsum, exclusive and reverse', (x) => tf.cumsum(x, 0, true, true), floats([5, 3])),
  one('cumsum of int32', (x) => tf.cumsum(x), ints([17])),
  one('softmax', (x) => tf.softmax(x), floats([3, 10], -5, 5)),
  one('softmax of large numbers', (x) => tf.softmax(x), floats([10], 500, 1000)),
  one('logSoftmax', (x) => tf.logSoftmax(x), floats([3, 10], -5, 5)),
  one('moments', (x) => Object.values(tf.moments(x, 0)) as tf.Tensor[], floats([5, 3])),
  one('norm', (x) => tf.norm(x), floats([5, 3])),
];

const movement: Case[] = [
  one('reshape', (x) => tf.reshape(x, [5, -1]), floats([2, 5, 3])),
  one('expandDims and squeeze', (x) => tf.squeeze(tf.expandDims(x, 1), [0]), floats([1, 3])),
  one('transpose', (x) => tf.transpose(x), floats([3, 5])),
  one('transpose of rank 4', (x) => tf.transpose(x, [2, 0, 3, 1]), floats([2, 3, 4, 5])),
  one('transpose of bool', (x) => tf.transpose(x), bools([3, 5])),
  one('slice', (x) => tf.slice(x, [1, 0, 2], [1, 3, 2]), floats([2, 3, 5])),
  one('slice to nothing', (x) => tf.slice(x, [1], [0]), floats([3])),
  one('stridedSlice', (x) => tf.stridedSlice(x, [0, 4], [2, 0], [1, -2]), floats([2, 5])),
  one('reverse', (x) => tf.reverse(x, 1), floats([2, 5])),
  one('concat', (x, y) => tf.concat([x, y, x], 1), floats([2, 3]), floats([2, 1], -2, 2, 5)),
  one('concat with nothing', (x, y) => tf.concat([x, y], 0), floats([0, 3]), floats([2, 3])),
  one('concat of bool', (x, y) => tf.concat([x, y], 0), bools([3]), bools([2], 3)),
  one('stack', (x, y) => tf.stack([x, y], 1), floats([3]), floats([3], -2, 2, 5)),
  one('unstack', (x) => tf.unstack(x, 1), floats([2, 3])),
  one('split', (x) => tf.split(x, [1, 4], 0), floats([5, 2])),
  one(
    'pad',
    (x) =>
      tf.pad(
        x,
        [
          [1, 2],
          [0, 1],
        ],
        3,
      ),
    floats([2, 3]),
  ),
  one('pad of int32', (x) => tf.pad(x, [[1, 0]], -7), ints([3])),
  one('tile', (x) => tf.tile(x, [2, 3]), floats([2, 3])),
  one('tile of bool', (x) => tf.tile(x, [3]), bools([5])),
  one('broadcastTo', (x) => tf.broadcastTo(x, [2, 3, 4]), floats([3, 1])),
  one('gather', (x, i) => tf.gather(x, i), floats([5, 3]), ints([7], 0, 5)),
  one('gather along 1', (x, i) => tf.gather(x, i, 1), floats([2, 5, 3]), ints([2, 2], 0, 5)),
  one('gather, batched', (x, i) => tf.gather(x, i, 1, 1), floats([3, 5, 2]), ints([3, 4], 0, 5)),
  one('gather, batched, over 2', (x, i) => tf.gather(x, i, 2, 1), floats([3, 2, 5]), ints([3, 4], 0, 5)),
  one('gather of bool by constants', (x) => tf.gather(x, [4, 0, 0]), bools([5, 2])),
  one('gather of int32', (x, i) => tf.gather(x, i), ints([5]), ints([3], 0, 5, 7)),
  one('oneHot', (i) => tf.oneHot(i, 4), ints([7], 0, 4)),
  one('oneHot, on and off', (i) => tf.oneHot(i, 3, 5, -1), ints([2, 2], 0, 3)),
  one('unsortedSegmentSum', (x, i) => tf.unsortedSegmentSum(x, i, 3), floats([5, 2]), ints([5], 0, 3)),
  one('fill, range, linspace', (x) => tf.add(x, tf.add(tf.range(0, 5), tf.fill([5], 2))), floats([5])),
  one('dropping an axis of 1 by sum', (x) => tf.sum(x, 1), floats([3, 1, 2])),
];

export const CASES: readonly Case[] = [...elementwise, ...linear, ...reductions, ...movement];
