import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, test } from 'vitest';
import { bools, expectSameAsEager, type Fn, floats, given, type Input, ints } from './compare.js';

// Every traceable op of tfjs: eager on the tfjs cpu backend against trace + reference evaluation.

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const SPECIAL = given([Number.NaN, Infinity, -Infinity, 0, -0, 1, -1, 0.5, -0.5, 30, -30, 1e-6, 6.5]);
const SHAPES = [[], [1], [17], [3, 1], [2, 3, 17], [0], [2, 0, 3]];

type Case = readonly [name: string, fn: Fn, ...inputs: Input[]];

function run(cases: readonly Case[], tolerance?: number): void {
  for (const [name, fn, ...inputs] of cases) {
    test(name, () => expectSameAsEager(fn, inputs, tolerance));
  }
}

const UNARY: Record<string, { fn: Fn; low?: number; high?: number }> = {
  abs: { fn: tf.abs },
  acos: { fn: tf.acos, low: -1, high: 1 },
  acosh: { fn: tf.acosh, low: 1, high: 4 },
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

describe('unary ops', () => {
  for (const [name, { fn, low, high }] of Object.entries(UNARY)) {
    test(name, () => {
      for (const shape of SHAPES) expectSameAsEager(fn, [floats(shape, low, high)]);
    });
    // sign(NaN) is NaN here and 0 on the cpu backend of tfjs; the rest agrees to the last special value.
    const special = name === 'sign' ? { ...SPECIAL, values: SPECIAL.values.slice(1), shape: [12] } : SPECIAL;
    // tfjs's erf is an approximation to 1.5e-7 whose NaN, infinite and zero cases are right.
    test(`${name} of NaN, infinities and zeros`, () => expectSameAsEager(fn, [special]));
  }
  run([
    ['round of ties', tf.round, given([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 3.49999])],
    ['abs of int32', tf.abs, ints([17])],
    ['neg of int32', tf.neg, ints([17])],
    ['relu of int32', tf.relu, ints([17])],
    ['relu6 of int32', tf.relu6, ints([17], -9, 9)],
    ['square of int32', tf.square, ints([17])],
    ['sign of int32', tf.sign, ints([17])],
    ['clipByValue of int32', (x) => tf.clipByValue(x, -2, 3), ints([17])],
    ['step of int32', tf.step, ints([17])],
    ['logicalNot', tf.logicalNot, bools([17])],
  ]);
});

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
const BINARY: Record<string, { fn: Fn; low?: number; high?: number }> = {
  add: { fn: tf.add },
  atan2: { fn: tf.atan2 },
  div: { fn: tf.div },
  divNoNan: { fn: tf.divNoNan },
  maximum: { fn: tf.maximum },
  minimum: { fn: tf.minimum },
  mod: { fn: tf.mod },
  mul: { fn: tf.mul },
  pow: { fn: tf.pow, low: 0.1, high: 3 },
  prelu: { fn: tf.prelu },
  squaredDifference: { fn: tf.squaredDifference },
  sub: { fn: tf.sub },
  floorDiv: { fn: tf.floorDiv },
  equal: { fn: tf.equal },
  notEqual: { fn: tf.notEqual },
  less: { fn: tf.less },
  lessEqual: { fn: tf.lessEqual },
  greater: { fn: tf.greater },
  greaterEqual: { fn: tf.greaterEqual },
};
const SPECIAL_A = [Number.NaN, 1, Infinity, -Infinity, 0, Infinity, 2, -3, 3, -3, 0, 2];
const SPECIAL_B = [1, Number.NaN, 1, Infinity, 0, Infinity, 0, 2, -2, -2, 5, 2];

describe('binary ops', () => {
  for (const [name, { fn, low, high }] of Object.entries(BINARY)) {
    test(name, () => {
      for (const [a, b] of PAIRS) expectSameAsEager(fn, [floats(a, low, high), floats(b, low, high, 5)]);
    });
    if (name === 'floorDiv') continue; // tfjs stores it as int32, where NaN and infinities are arbitrary
    test(`${name} of NaN, infinities and zeros`, () =>
      expectSameAsEager(fn, [given(SPECIAL_A), given(SPECIAL_B)]));
  }
  const integers = [
    'add',
    'maximum',
    'minimum',
    'mod',
    'mul',
    'sub',
    'squaredDifference',
    'equal',
    'less',
    'div',
  ];
  for (const name of integers) {
    test(`${name} of int32`, () =>
      expectSameAsEager(BINARY[name].fn, [ints([3, 17], -9, 9), ints([17], 1, 7)]));
  }
  run([
    ['pow of int32', tf.pow, ints([17], -3, 4), ints([17], 0, 5)],
    ['floorDiv of int32', tf.floorDiv, ints([17], -9, 9), ints([17], 1, 5)],
    ['int32 + float32', tf.add, ints([4]), floats([4])],
    ['bool * float32', tf.mul, bools([4]), floats([4])],
    ['bool + int32', tf.add, bools([4]), ints([4])],
    ['equal of bool', tf.equal, bools([17]), bools([17], 9)],
    ['logicalAnd', tf.logicalAnd, bools([2, 17]), bools([17], 9)],
    ['logicalOr', tf.logicalOr, bools([2, 17]), bools([17], 9)],
    ['logicalXor', tf.logicalXor, bools([17]), bools([17], 9)],
    ['bitwiseAnd', (a, b) => tf.bitwiseAnd(a, b), ints([17], -99, 99), ints([17], -99, 99, 4)],
    ['addN', (a, b, c) => tf.addN([a, b, c]), floats([3, 2]), floats([3, 2], -1, 1), floats([3, 2], 0, 1)],
    ['where', tf.where, bools([3, 1]), floats([3, 17]), floats([17])],
    ['where of scalars', (c) => tf.where(c, 1, 0), bools([5])],
    ['where of int32 and float32', (c, a, b) => tf.where(c, a, b), bools([5]), ints([5]), ints([5], 0, 3, 7)],
  ]);
});

const MATRIX = floats([3, 5]);
const CUBE = floats([2, 3, 5]);

describe('reductions', () => {
  const reductions: Record<string, Fn> = {
    sum: tf.sum,
    mean: tf.mean,
    max: tf.max,
    min: tf.min,
    prod: tf.prod,
    logSumExp: tf.logSumExp,
  };
  const axes = [undefined, 0, 1, -1, [0, 2], [2, 0], [0, 1, 2], [1, -1]];
  for (const [name, fn] of Object.entries(reductions)) {
    test(`${name} over any axes`, () => {
      for (const axis of axes) {
        for (const keepDims of [false, true]) expectSameAsEager((x) => fn(x, axis, keepDims), [CUBE]);
      }
      expectSameAsEager((x) => fn(x), [floats([])]);
      expectSameAsEager((x) => fn(x), [floats([17])]);
    });
    test(`${name} of NaN and infinities`, () => {
      expectSameAsEager((x) => fn(x), [given([1, Number.NaN, 2])]);
      expectSameAsEager((x) => fn(x, 1), [given([1, Infinity, 2, 1, -Infinity, 2], [2, 3])]);
    });
  }
  run([
    ['sum of int32', (x) => tf.sum(x, 1), ints([3, 5])],
    ['sum of bool', (x) => tf.sum(x, 0), bools([3, 5])],
    ['mean of int32', (x) => tf.mean(x, 1), ints([3, 5])],
    ['mean of bool', tf.mean, bools([3, 5])],
    ['prod of int32', (x) => tf.prod(x, 1), ints([3, 5])],
    ['max of int32', (x) => tf.max(x, 1), ints([3, 5])],
    ['min of int32', (x) => tf.min(x, 0), ints([3, 5])],
    ['sum of nothing', (x) => tf.sum(x, 1), floats([2, 0, 3])],
    ['mean of nothing', (x) => tf.mean(x, 1), floats([2, 0, 3])],
    ['prod of nothing', (x) => tf.prod(x, 1), floats([2, 0, 3])],
    ['all', (x) => tf.all(x, 1), bools([4, 2])],
    ['all, everything', tf.all, bools([4, 2])],
    ['any', (x) => tf.any(x, [0], true), bools([2, 4])],
    ['any, two axes', (x) => tf.any(x, [0, 2]), bools([2, 3, 2])],
    ['argMax', (x) => tf.argMax(x, 1), MATRIX],
    ['argMax of ties', (x) => tf.argMax(x), given([1, 3, 3, 2])],
    ['argMin', (x) => tf.argMin(x, -1), CUBE],
    ['argMin of int32', (x) => tf.argMin(x, 0), ints([4, 3])],
    ['cumsum', (x) => tf.cumsum(x, 1), MATRIX],
    ['cumsum exclusive', (x) => tf.cumsum(x, 0, true), MATRIX],
    ['cumsum reverse', (x) => tf.cumsum(x, 2, false, true), CUBE],
    ['cumsum exclusive reverse', (x) => tf.cumsum(x, 1, true, true), CUBE],
    ['cumsum of int32', (x) => tf.cumsum(x, 0), ints([7])],
    ['cumprod', (x) => tf.cumprod(x, 1), floats([3, 17])],
    ['cumprod exclusive', (x) => tf.cumprod(x, 0, true), floats([5, 3])],
    ['cumprod reverse', (x) => tf.cumprod(x, 1, false, true), floats([3, 6])],
    ['cumprod exclusive reverse', (x) => tf.cumprod(x, 1, true, true), floats([3, 1])],
    ['cumprod of int32', (x) => tf.cumprod(x, 0), ints([5], 1, 4)],
    ['softmax', tf.softmax, floats([3, 17], -9, 9)],
    ['softmax of one class', tf.softmax, floats([3, 1])],
    ['logSoftmax', tf.logSoftmax, floats([3, 17], -9, 9)],
    ['softmax with an infinity', tf.softmax, given([1, -Infinity, 2])],
    ['norm', (x) => tf.norm(x), MATRIX],
    ['norm 1', (x) => tf.norm(x, 1, 0), MATRIX],
    ['moments', (x) => tf.moments(x, [0]), MATRIX],
    [
      'batchNorm',
      (x, m, v, o, s) => tf.batchNorm(x, m, tf.abs(v), o, s, 0.01),
      ...[4, 1, 2, 3, 5].map((k) => floats([4, 3].slice(k === 4 ? 0 : 1), -2, 2, k)),
    ],
    [
      'softmaxCrossEntropy',
      (x, y) => tf.losses.softmaxCrossEntropy(tf.oneHot(y, 5), x),
      MATRIX,
      ints([3], 0, 5),
    ],
    ['sigmoidCrossEntropy', (x, y) => tf.losses.sigmoidCrossEntropy(y, x), MATRIX, floats([3, 5], 0, 1)],
    ['huberLoss', (x, y) => tf.losses.huberLoss(y, x), MATRIX, floats([3, 5], 0, 3)],
  ]);
});

describe('products', () => {
  test('matMul with every transpose, odd sizes and batch dims', () => {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        for (const [m, k, n] of [
          [3, 5, 2],
          [1, 1, 1],
          [17, 3, 1],
          [1, 17, 4],
          [2, 0, 3],
          [0, 2, 3],
        ]) {
          for (const [batchA, batchB] of [
            [[], []],
            [[2], [2]],
            [[2], [1]],
          ] as const) {
            const a = floats([...batchA, ...(transposeA ? [k, m] : [m, k])]);
            const b = floats([...batchB, ...(transposeB ? [n, k] : [k, n])], -2, 2, 3);
            expectSameAsEager((x, y) => tf.matMul(x, y, transposeA, transposeB), [a, b]);
          }
        }
      }
    }
  });
  run([
    ['matMul, leading batch repeated', (a, b) => tf.matMul(a, b), floats([2, 3, 4, 5]), floats([3, 5, 2])],
    ['matMul of int32', (a, b) => tf.matMul(a, b), ints([3, 4]), ints([4, 2])],
    ['dot of vectors', tf.dot, floats([17]), floats([17], 0, 1)],
    ['dot of matrix and vector', tf.dot, MATRIX, floats([5])],
    ['outerProduct', tf.outerProduct, floats([3]), floats([4])],
    ['diag', tf.diag, floats([4])],
    ['eye', () => tf.eye(3, 4)],
  ]);
  const activations = ['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu'] as const;
  for (const activation of activations) {
    test(`fused matMul, ${activation}`, () => {
      const fn: Fn = (a, b, bias) => tf.fused.matMul({ a, b, bias, activation, leakyreluAlpha: 0.3 });
      expectSameAsEager(fn, [floats([4, 3]), floats([3, 5]), floats([5])]);
      expectSameAsEager(
        (a, b) => tf.fused.matMul({ a, b, activation, transposeA: true }),
        [floats([3, 4]), floats([3, 5])],
      );
    });
  }
  run([
    [
      'fused matMul, prelu',
      (a, b, bias, w) => tf.fused.matMul({ a, b, bias, activation: 'prelu', preluActivationWeights: w }),
      floats([4, 3]),
      floats([3, 5]),
      floats([5]),
      floats([5], 0, 1),
    ],
  ]);
});

describe('structure', () => {
  run([
    ['reshape', (x) => tf.reshape(x, [5, -1]), MATRIX],
    ['reshape of nothing', (x) => tf.reshape(x, [3, 0]), floats([0, 2])],
    ['expandDims', (x) => [tf.expandDims(x, 0), tf.expandDims(x, -1), tf.expandDims(x, 1)], MATRIX],
    ['squeeze', (x) => [tf.squeeze(x), tf.squeeze(x, [0])], floats([1, 3, 1])],
    ['transpose', (x) => [tf.transpose(x), tf.transpose(x, [1, 0, 2])], CUBE],
    ['slice', (x) => [tf.slice(x, [0, 1, 2], [1, 2, -1]), tf.slice(x, 1)], CUBE],
    ['slice of nothing', (x) => tf.slice(x, [3, 0], [0, 5]), MATRIX],
    ['reverse', (x) => [tf.reverse(x), tf.reverse(x, [1]), tf.reverse(x, -1)], CUBE],
    ['concat', (a, b) => [tf.concat([a, b]), tf.concat([a, b, a], 0)], MATRIX, floats([1, 5])],
    ['concat on the last axis', (a, b) => tf.concat([a, b], -1), MATRIX, floats([3, 2])],
    ['concat with nothing', (a, b) => tf.concat([a, b], 1), MATRIX, floats([3, 0])],
    [
      'concat of int32 and float32 in one',
      (a, b) => tf.concat([tf.cast(a, 'float32'), b]),
      ints([3]),
      floats([2]),
    ],
    [
      'stack',
      (a, b) => [tf.stack([a, b]), tf.stack([a, b], 1), tf.stack([a, b], -1)],
      MATRIX,
      floats([3, 5], 0, 1),
    ],
    ['unstack', (x) => [...tf.unstack(x), ...tf.unstack(x, 1)], MATRIX],
    ['split', (x) => [...tf.split(x, 5, 1), ...tf.split(x, [1, 2], 0), ...tf.split(x, [2, -1], 1)], MATRIX],
    [
      'pad',
      (x) =>
        tf.pad(
          x,
          [
            [1, 2],
            [0, 3],
          ],
          7,
        ),
      MATRIX,
    ],
    ['pad of int32', (x) => tf.pad(x, [[1, 0]], -1), ints([3])],
    ['tile', (x) => [tf.tile(x, [2, 3, 1]), tf.tile(x, [1, 1, 4]), tf.tile(x, [3, 2, 2])], CUBE],
    ['tile of ones and nothing', (x) => [tf.tile(x, [4, 1]), tf.tile(x, [4, 3])], floats([1, 3])],
    ['broadcastTo', (x) => [tf.broadcastTo(x, [4, 3, 5]), tf.broadcastTo(x, [3, 5])], floats([3, 1])],
    ['gather', (x, i) => [tf.gather(x, i), tf.gather(x, i, 1)], MATRIX, ints([7], 0, 3)],
    [
      'gather, indices of rank 2 and 0',
      (x, i) => [tf.gather(x, i), tf.gather(x, 1)],
      MATRIX,
      ints([2, 2], 0, 3),
    ],
    ['gather with batchDims', (x, i) => tf.gather(x, i, 1, 1), CUBE, ints([2, 4], 0, 3)],
    ['gather of nothing', (x, i) => tf.gather(x, i), MATRIX, ints([0])],
    ['unsortedSegmentSum', (x, i) => tf.unsortedSegmentSum(x, i, 4), floats([17, 3]), ints([17], -1, 5)],
    ['oneHot', (i) => tf.oneHot(i, 4), ints([5], -1, 6)],
    ['oneHot float, on and off', (i) => tf.oneHot(i, 3, 0.9, 0.1, 'float32'), ints([2, 2], 0, 3)],
    ['linspace', () => tf.linspace(0, 1, 7)],
    [
      'range',
      () => [
        tf.range(0, 5),
        tf.range(5, 0, -2, 'int32'),
        tf.range(0, 1, 0.1),
        tf.range(3, 0),
        tf.range(2, 2),
      ],
    ],
    [
      'fill, ones, zeros',
      () => [
        tf.fill([2, 3], 0.5),
        tf.ones([3]),
        tf.zeros([0, 2]),
        tf.fill([2], 3, 'int32'),
        tf.fill([2], 1, 'bool'),
      ],
    ],
    ['meshgrid', (a, b) => tf.meshgrid(a, b), floats([3]), floats([2])],
    ['buffers made on the host', () => tf.buffer([2, 2], 'float32', Float32Array.of(1, 2, 3, 4)).toTensor()],
    ['clone and keep', (x) => tf.keep(x.clone()), MATRIX],
  ]);

  test('stridedSlice with strides, negative strides and masks', () => {
    const variants: Parameters<typeof tf.stridedSlice> extends [unknown, ...infer R] ? R[] : never = [
      [
        [0, 0, 0],
        [2, 3, 5],
        [1, 2, 2],
      ],
      [
        [1, 2, 4],
        [-3, -4, -6],
        [-1, -1, -2],
      ],
      [[0, 1, 1], [0, 0, 4], [1, 1, 1], 0, 3],
      [[1, 1, 1], [2, 2, 2], [1, 1, 1], 7, 7],
      [[0, 0, 3], [1, 3, 4], [1, 1, 1], 0, 0, 0, 0, 5],
      [[0, 1], [0, 4], [1, 2], 0, 0, 1],
      [[0, 0, 0], [2, 0, 3], [1, 1, 1], 0, 0, 0, 2],
      [[1], [2], [1]],
      [
        [1, 2],
        [1, 2],
        [1, 1],
      ],
    ];
    for (const variant of variants) expectSameAsEager((x) => tf.stridedSlice(x, ...variant), [CUBE]);
  });

  test('cast between all pairs of dtypes', () => {
    const sources = [given([-1.7, -0.2, 0, 0.9, 2.5, 100]), ints([6]), bools([6])];
    for (const source of sources) {
      for (const dtype of ['float32', 'int32', 'bool'] as const) {
        expectSameAsEager((x) => tf.cast(x, dtype), [source]);
      }
    }
    expectSameAsEager((x) => tf.cast(x, 'bool'), [given([Number.NaN, Infinity])]);
  });
});

describe('gradients', () => {
  /** Gradients of a weighted sum of fn's output, towards all inputs. */
  const weighted = (fn: Fn): Fn => {
    const loss: Fn = (...inputs) => {
      const y = fn(...inputs) as tf.Tensor;
      const weights = tf.reshape(tf.cos(tf.range(0, y.size)), y.shape);
      return tf.sum(tf.mul(y, weights));
    };
    return (...inputs) => tf.grads(loss as (...xs: tf.Tensor[]) => tf.Scalar)(inputs as tf.Tensor[]);
  };
  const smooth = Object.entries(UNARY).filter(
    ([name]) => !['isFinite', 'isInf', 'isNaN', 'onesLike', 'zerosLike'].includes(name),
  );
  for (const [name, { fn, low, high }] of smooth) {
    test(name, () => {
      for (const shape of [[], [17], [2, 3]])
        expectSameAsEager(weighted(fn), [floats(shape, low, high)], 1e-5);
    });
  }
  // Towards operands of the full shape only: tfjs does not sum the gradients of some of these over broadcast axes.
  for (const name of [
    'add',
    'atan2',
    'div',
    'mul',
    'pow',
    'sub',
    'maximum',
    'minimum',
    'squaredDifference',
    'mod',
    'prelu',
  ]) {
    const { fn, low, high } = BINARY[name];
    test(name, () =>
      expectSameAsEager(weighted(fn), [floats([3, 4], low, high), floats([3, 4], low, high, 8)], 1e-5),
    );
  }
  for (const name of ['add', 'div', 'mul', 'pow', 'sub']) {
    const { fn, low, high } = BINARY[name];
    test(`${name}, broadcast`, () =>
      expectSameAsEager(weighted(fn), [floats([3, 1], low, high), floats([4], low, high, 8)], 1e-5));
  }
  const one: Record<string, [Fn, Input]> = {
    sum: [(x) => tf.sum(x, [0, 2]), CUBE],
    mean: [(x) => tf.mean(x, 1), CUBE],
    max: [(x) => tf.max(x, 1), CUBE],
    min: [(x) => tf.min(x, [0, 2], true), CUBE],
    prod: [(x) => tf.prod(x, 1), MATRIX],
    'prod of all': [(x) => tf.prod(x, [0]), floats([6], 0.5, 2)],
    logSumExp: [(x) => tf.logSumExp(x, -1), MATRIX],
    softmax: [tf.softmax, MATRIX],
    logSoftmax: [tf.logSoftmax, MATRIX],
    cumsum: [(x) => tf.cumsum(x, 1, true), MATRIX],
    reshape: [(x) => tf.reshape(x, [5, 3]), MATRIX],
    transpose: [(x) => tf.transpose(x, [2, 0, 1]), CUBE],
    slice: [(x) => tf.slice(x, [1, 1], [2, 3]), MATRIX],
    pad: [
      (x) =>
        tf.pad(x, [
          [1, 2],
          [0, 1],
        ]),
      MATRIX,
    ],
    tile: [(x) => tf.tile(x, [2, 3]), MATRIX],
    broadcastTo: [(x) => tf.broadcastTo(x, [4, 3]), floats([4, 1])],
    reverse: [(x) => tf.reverse(x, 1), MATRIX],
    stack: [(x) => tf.stack([x, tf.square(x)], 1), MATRIX],
    unstack: [(x) => tf.mul(tf.unstack(x)[1], tf.unstack(x)[0]), MATRIX],
    split: [(x) => tf.mul(tf.split(x, [2, 3], 1)[1], 3), MATRIX],
    concat: [(x) => tf.concat([x, tf.exp(x)], 1), MATRIX],
    expandDims: [(x) => tf.mul(tf.expandDims(x, 1), 2), MATRIX],
    gather: [(x) => tf.gather(x, tf.tensor1d([2, 0, 2, 2], 'int32')), MATRIX],
    'gather on axis 1': [(x) => tf.gather(x, tf.tensor1d([2, 0, 2], 'int32'), 1), MATRIX],
    'gather with batchDims': [
      (x) =>
        tf.gather(
          x,
          tf.tensor2d(
            [
              [2, 0],
              [1, 1],
              [4, 0],
            ],
            [3, 2],
            'int32',
          ),
          1,
          1,
        ),
      MATRIX,
    ],
    unsortedSegmentSum: [(x) => tf.unsortedSegmentSum(x, tf.tensor1d([0, 1, 0], 'int32'), 2), MATRIX],
    where: [(x) => tf.where(tf.tensor1d([true, false, true, true, false], 'bool'), tf.exp(x), x), MATRIX],
    cast: [(x) => tf.mul(tf.cast(x, 'float32'), 2), MATRIX],
    norm: [(x) => tf.norm(x, 'euclidean', 1), MATRIX],
    'softmax cross-entropy': [
      (x) => tf.losses.softmaxCrossEntropy(tf.oneHot(tf.tensor1d([0, 4, 2], 'int32'), 5), x),
      MATRIX,
    ],
  };
  for (const [name, [fn, input]] of Object.entries(one)) {
    test(name, () => expectSameAsEager(weighted(fn), [input], 1e-5));
  }
  test('matMul with every transpose', () => {
    for (const ta of [false, true]) {
      for (const tb of [false, true]) {
        const a = floats(ta ? [5, 3] : [3, 5]);
        const b = floats(tb ? [2, 5] : [5, 2]);
        expectSameAsEager(
          weighted((x, y) => tf.matMul(x, y, ta, tb)),
          [a, b],
          1e-5,
        );
      }
    }
    expectSameAsEager(
      weighted((x, y) => tf.matMul(x, y)),
      [floats([2, 3, 5]), floats([2, 5, 2])],
      1e-5,
    );
  });
  test('fused matMul, linear with bias', () => {
    const fn: Fn = (a, b, bias) => tf.fused.matMul({ a, b, bias, activation: 'linear' });
    expectSameAsEager(weighted(fn), [MATRIX, floats([5, 2]), floats([2])], 1e-5);
  });
  test('dy, valueAndGrads and customGrad', () => {
    const cube = tf.customGrad((x, save) => {
      (save as (t: tf.Tensor[]) => void)([x as tf.Tensor]);
      return {
        value: tf.pow(x as tf.Tensor, 3),
        gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, tf.mul(saved[0], 5)),
      };
    });
    expectSameAsEager(
      (x, dy) => tf.grad((v) => tf.mul(cube(v), 2))(x, dy),
      [MATRIX, floats([3, 5], 0, 1)],
      1e-5,
    );
    expectSameAsEager((x) => tf.valueAndGrad((v) => tf.sum(cube(v)))(x), [MATRIX], 1e-5);
  });
});
