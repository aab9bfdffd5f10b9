/** One call of every elementwise op, reduction, comparison and scan of tfjs. */
import * as tf from '@tensorflow/tfjs';
import { bools, type Fn, floats, type Input, ints } from '../trace/inputs.js';
import { type Sample, sample } from './sample.js';

const WIDE = floats([2, 3], -1.7, 1.9);
const UNIT = floats([2, 3], -0.9, 0.9);
const ABOVE = floats([2, 3], 1.1, 3);
const POSITIVE = floats([2, 3], 0.2, 3);
const OTHER = floats([2, 3], 0.3, 2, 5);
const WHOLE = ints([2, 3]);

const unary: Record<string, [Fn, Input]> = {
  abs: [tf.abs, WIDE],
  acos: [tf.acos, UNIT],
  acosh: [tf.acosh, ABOVE],
  asin: [tf.asin, UNIT],
  asinh: [tf.asinh, WIDE],
  atan: [tf.atan, WIDE],
  atanh: [tf.atanh, UNIT],
  ceil: [tf.ceil, WIDE],
  clipByValue: [(x) => tf.clipByValue(x, -1, 1), WIDE],
  clone: [tf.clone, WIDE],
  cos: [tf.cos, WIDE],
  cosh: [tf.cosh, WIDE],
  elu: [tf.elu, WIDE],
  erf: [tf.erf, WIDE],
  exp: [tf.exp, WIDE],
  expm1: [tf.expm1, WIDE],
  floor: [tf.floor, WIDE],
  isFinite: [tf.isFinite, WIDE],
  isInf: [tf.isInf, WIDE],
  isNaN: [tf.isNaN, WIDE],
  leakyRelu: [(x) => tf.leakyRelu(x, 0.3), WIDE],
  log: [tf.log, POSITIVE],
  log1p: [tf.log1p, POSITIVE],
  logSigmoid: [tf.logSigmoid, WIDE],
  logicalNot: [tf.logicalNot, bools([5])],
  neg: [tf.neg, WIDE],
  onesLike: [tf.onesLike, WIDE],
  reciprocal: [tf.reciprocal, POSITIVE],
  relu: [tf.relu, WIDE],
  relu6: [tf.relu6, floats([9], -3, 9)],
  round: [tf.round, WIDE],
  rsqrt: [tf.rsqrt, POSITIVE],
  selu: [tf.selu, WIDE],
  sigmoid: [tf.sigmoid, WIDE],
  sign: [tf.sign, WIDE],
  sin: [tf.sin, WIDE],
  sinh: [tf.sinh, WIDE],
  softplus: [tf.softplus, WIDE],
  sqrt: [tf.sqrt, POSITIVE],
  square: [tf.square, WIDE],
  step: [(x) => tf.step(x, 0.3), WIDE],
  tan: [tf.tan, UNIT],
  tanh: [tf.tanh, WIDE],
  zerosLike: [tf.zerosLike, WIDE],
};

const binary: Record<string, [Fn, Input, Input]> = {
  add: [tf.add, WIDE, OTHER],
  atan2: [tf.atan2, WIDE, OTHER],
  bitwiseAnd: [tf.bitwiseAnd, WHOLE, ints([2, 3], 0, 9, 4)],
  div: [tf.div, WIDE, OTHER],
  divNoNan: [tf.divNoNan, WIDE, OTHER],
  equal: [tf.equal, WHOLE, ints([2, 3], -5, 6, 4)],
  floorDiv: [tf.floorDiv, WHOLE, ints([2, 3], 1, 4)],
  greater: [tf.greater, WIDE, OTHER],
  greaterEqual: [tf.greaterEqual, WIDE, OTHER],
  less: [tf.less, WIDE, OTHER],
  lessEqual: [tf.lessEqual, WIDE, OTHER],
  logicalAnd: [tf.logicalAnd, bools([7]), bools([7], 4)],
  logicalOr: [tf.logicalOr, bools([7]), bools([7], 4)],
  logicalXor: [tf.logicalXor, bools([7]), bools([7], 4)],
  maximum: [tf.maximum, WIDE, OTHER],
  minimum: [tf.minimum, WIDE, OTHER],
  mod: [tf.mod, POSITIVE, floats([2, 3], 3.5, 4)],
  mul: [tf.mul, WIDE, OTHER],
  notEqual: [tf.notEqual, WHOLE, ints([2, 3], -5, 6, 4)],
  pow: [tf.pow, POSITIVE, WIDE],
  prelu: [tf.prelu, WIDE, OTHER],
  squaredDifference: [tf.squaredDifference, WIDE, OTHER],
  sub: [tf.sub, WIDE, OTHER],
};

const reductions: Record<string, [Fn, Input]> = {
  all: [(x) => tf.all(x, 1), bools([3, 2])],
  any: [(x) => tf.any(x, 1), bools([3, 2])],
  argMax: [(x) => tf.argMax(x, 1), WIDE],
  argMin: [(x) => tf.argMin(x, 1), WIDE],
  cumprod: [(x) => tf.cumprod(x, 1), WIDE],
  cumsum: [(x) => tf.cumsum(x, 1), WIDE],
  euclideanNorm: [(x) => tf.euclideanNorm(x, 1), WIDE],
  logSoftmax: [tf.logSoftmax, WIDE],
  logSumExp: [(x) => tf.logSumExp(x, 1), WIDE],
  max: [(x) => tf.max(x, 1), WIDE],
  mean: [(x) => tf.mean(x, 1), WIDE],
  min: [(x) => tf.min(x, 1), WIDE],
  moments: [(x) => tf.moments(x, 1), WIDE],
  norm: [(x) => tf.norm(x, 2, 1), WIDE],
  prod: [(x) => tf.prod(x, 1), WIDE],
  softmax: [tf.softmax, WIDE],
  sum: [(x) => tf.sum(x, 1), WIDE],
};

const LABELS = floats([4, 3], 0.1, 0.9);
const losses: Record<string, [Fn, Input, Input]> = {
  absoluteDifference: [tf.losses.absoluteDifference, LABELS, floats([4, 3], -1, 0)],
  computeWeightedLoss: [tf.losses.computeWeightedLoss, LABELS, floats([4, 3], 0.2, 1, 4)],
  cosineDistance: [(x, y) => tf.losses.cosineDistance(x, y, 1), LABELS, floats([4, 3], 0, 1, 4)],
  hingeLoss: [tf.losses.hingeLoss, LABELS, floats([4, 3], -1, 1, 4)],
  huberLoss: [tf.losses.huberLoss, LABELS, floats([4, 3], -3, 3, 4)],
  logLoss: [tf.losses.logLoss, LABELS, floats([4, 3], 0.1, 0.9, 4)],
  meanSquaredError: [tf.losses.meanSquaredError, LABELS, floats([4, 3], -1, 1, 4)],
  sigmoidCrossEntropy: [tf.losses.sigmoidCrossEntropy, LABELS, floats([4, 3], -2, 2, 4)],
  softmaxCrossEntropy: [tf.losses.softmaxCrossEntropy, LABELS, floats([4, 3], -2, 2, 4)],
};

const named = (prefix: string, group: Record<string, [Fn, ...Input[]]>): [string, Sample][] =>
  Object.entries(group).map(([name, [fn, ...inputs]]) => [`${prefix}${name}`, sample(fn, ...inputs)]);

export const ELEMENTWISE_SAMPLES: Readonly<Record<string, Sample>> = {
  ...Object.fromEntries([
    ...named('tf.', unary),
    ...named('tf.', binary),
    ...named('tf.', reductions),
    ...named('tf.losses.', losses),
  ]),
  'tf.addN': sample((a, b, c) => tf.addN([a, b, c]), WIDE, OTHER, POSITIVE),
  'tf.cast': sample((x) => tf.cast(x, 'float32'), WIDE),
  'tf.where': sample(tf.where, bools([2, 3]), WIDE, OTHER),
};
