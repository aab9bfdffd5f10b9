/** The numbers of native/engine/program.h; a test reads the header and compares. */
import type { BinaryOp, CompareOp, FloatUnaryOp, NumericUnaryOp } from '../../graph/graph.js';

export const MAGIC = 0x4c524e55;
export const FUNCTION_MAGIC = 0x46524e55;
export const VERSION = 1;
export const HEADER_WORDS = 24;

export const Space = {
  varying: 0,
  uniform: 1,
  constant: 2,
  data: 3,
  state: 4,
  primal: 5,
  external: 6,
  product: -1,
} as const;
export type SpaceCode = (typeof Space)[keyof typeof Space];

export const Opcode = {
  elementwise: 1,
  matmul: 2,
  matmulElementwise: 3,
  reduce: 4,
  copy: 5,
  fill: 6,
  gather: 7,
  segmentSum: 8,
  cumsum: 9,
  random: 10,
  initCopy: 11,
  conv: 12,
  window: 13,
  windowGrad: 14,
  argSort: 15,
  cholesky: 16,
  triangularSolve: 17,
  symmetricEigen: 18,
  deferredProduct: 19,
} as const;

export const Reduce = {
  sum: [0, 1],
  prod: [2, 3],
  max: [4, 5],
  min: [6, 7],
  argMax: [8, 9],
  argMin: [10, 11],
} as const;

export const Distribution = { normal: 0, uniform: 1, integers: 2, bernoulli: 3 } as const;
export const ShareCode = { all: 0, pair: 1, particle: 2 } as const;
export const Stream = { step: 0, init: 1 } as const;

export const FLOAT_UNARY: Readonly<Record<FloatUnaryOp | NumericUnaryOp, number>> = {
  abs: 1,
  neg: 2,
  sign: 3,
  square: 4,
  relu: 5,
  exp: 6,
  expm1: 7,
  log: 8,
  log1p: 9,
  sqrt: 10,
  rsqrt: 11,
  reciprocal: 12,
  floor: 13,
  ceil: 14,
  round: 15,
  sin: 16,
  cos: 17,
  tan: 18,
  asin: 19,
  acos: 20,
  atan: 21,
  sinh: 22,
  cosh: 23,
  tanh: 24,
  asinh: 25,
  acosh: 26,
  atanh: 27,
  erf: 28,
  sigmoid: 29,
  softplus: 30,
};
export const INT_UNARY: Readonly<Record<NumericUnaryOp, number>> = {
  abs: 40,
  neg: 41,
  sign: 42,
  square: 43,
  relu: 44,
};
export const FLOAT_BINARY: Readonly<Record<BinaryOp, number>> = {
  add: 60,
  sub: 61,
  mul: 62,
  div: 63,
  floorDiv: 64,
  mod: 65,
  pow: 66,
  atan2: 67,
  minimum: 68,
  maximum: 69,
  squaredDifference: 70,
};
export const INT_BINARY: Readonly<Record<Exclude<BinaryOp, 'div' | 'atan2'>, number>> = {
  add: 80,
  sub: 81,
  mul: 82,
  floorDiv: 83,
  mod: 84,
  pow: 85,
  minimum: 86,
  maximum: 87,
  squaredDifference: 88,
};
export const FLOAT_COMPARE: Readonly<Record<CompareOp, number>> = {
  equal: 100,
  notEqual: 101,
  less: 102,
  lessEqual: 103,
  greater: 104,
  greaterEqual: 105,
};
export const INT_COMPARE: Readonly<Record<CompareOp, number>> = {
  equal: 106,
  notEqual: 107,
  less: 108,
  lessEqual: 109,
  greater: 110,
  greaterEqual: 111,
};
export const Micro = {
  clipF: 31,
  step: 32,
  clipI: 45,
  logicalNot: 46,
  isNan: 50,
  isInf: 51,
  isFinite: 52,
  bitwiseAnd: 89,
  logicalAnd: 112,
  logicalOr: 113,
  select: 120,
  floatToInt: 121,
  intToFloat: 122,
  floatToBool: 123,
  intToBool: 124,
  mulAdd: 130,
  mulSub: 131,
  negMulAdd: 132,
} as const;
