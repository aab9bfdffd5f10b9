/** Reference arithmetic of the elementwise ops: float64 inside, rounded once where the result is stored as float32. */
import type { Value } from './evaluate-value.js';
import { broadcastValues, emptyArray } from './evaluate-value.js';
import type { GraphNode, Op } from './graph.js';

type Unary = (x: number) => number;
type Binary = (a: number, b: number) => number;

const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);

/** erf by the series with positive terms only, erf x = 2/sqrt(pi) e^{-x^2} sum 2^n x^{2n+1} / (2n+1)!!; exact 1 beyond 6 in float64. */
export function erf(x: number): number {
  if (!(Math.abs(x) < 6)) return Number.isNaN(x) ? x : Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return TWO_OVER_SQRT_PI * Math.exp(-x * x) * sum;
}

function roundHalfToEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest < 0.5) return below;
  if (rest > 0.5) return Math.ceil(x);
  // Infinity and NaN come through here as themselves: their rest is NaN.
  return below % 2 === 0 || Number.isNaN(rest) ? below : below + 1;
}

const sign: Unary = (x) => (x > 0 ? 1 : x < 0 ? -1 : Number.isNaN(x) ? x : 0);

const FLOAT_UNARY: Readonly<Record<string, Unary>> = {
  acos: Math.acos,
  acosh: Math.acosh,
  asin: Math.asin,
  asinh: Math.asinh,
  atan: Math.atan,
  atanh: Math.atanh,
  ceil: Math.ceil,
  cos: Math.cos,
  cosh: Math.cosh,
  erf,
  exp: Math.exp,
  expm1: Math.expm1,
  floor: Math.floor,
  log: Math.log,
  log1p: Math.log1p,
  reciprocal: (x) => 1 / x,
  round: roundHalfToEven,
  rsqrt: (x) => 1 / Math.sqrt(x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  sin: Math.sin,
  sinh: Math.sinh,
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  sqrt: Math.sqrt,
  tan: Math.tan,
  tanh: Math.tanh,
  abs: Math.abs,
  neg: (x) => -x,
  relu: (x) => Math.max(0, x),
  sign,
  square: (x) => x * x,
  isFinite: (x) => (Number.isFinite(x) ? 1 : 0),
  isInf: (x) => (Math.abs(x) === Number.POSITIVE_INFINITY ? 1 : 0),
  isNan: (x) => (Number.isNaN(x) ? 1 : 0),
  logicalNot: (x) => (x === 0 ? 1 : 0),
};

const INT_UNARY: Readonly<Record<string, Unary>> = {
  abs: Math.abs,
  neg: (x) => -x,
  relu: (x) => Math.max(0, x),
  sign,
  square: (x) => Math.imul(x, x),
};

const COMPARE: Readonly<Record<string, Binary>> = {
  equal: (a, b) => (a === b ? 1 : 0),
  greater: (a, b) => (a > b ? 1 : 0),
  greaterEqual: (a, b) => (a >= b ? 1 : 0),
  less: (a, b) => (a < b ? 1 : 0),
  lessEqual: (a, b) => (a <= b ? 1 : 0),
  notEqual: (a, b) => (a !== b ? 1 : 0),
  logicalAnd: (a, b) => a & b,
  logicalOr: (a, b) => a | b,
  bitwiseAnd: (a, b) => a & b,
};

/** tfjs's remainder: the sign of the divisor; NaN for a negative number modulo Infinity. */
const mod: Binary = (a, b) => {
  const rest = a % b;
  return (a < 0 && b < 0) || (a >= 0 && b >= 0) ? rest : (rest + b) % b;
};

const FLOAT_BINARY: Readonly<Record<string, Binary>> = {
  ...COMPARE,
  add: (a, b) => a + b,
  atan2: Math.atan2,
  div: (a, b) => a / b,
  // Floor of the exact quotient: 1 / 0.1f is 9.99..., hence 9, although it is 10 in float32.
  floorDiv: (a, b) => Math.floor(a / b),
  maximum: Math.max,
  minimum: Math.min,
  mod,
  mul: (a, b) => a * b,
  pow: (a, b) => a ** b,
  squaredDifference: (a, b) => (a - b) * (a - b),
  sub: (a, b) => a - b,
};

/** int32: results wrap modulo 2^32 when stored; a division by zero gives 0 (what Infinity and NaN become in an Int32Array). */
const INT_BINARY: Readonly<Record<string, Binary>> = {
  ...FLOAT_BINARY,
  mul: Math.imul,
  squaredDifference: (a, b) => Math.imul((a - b) | 0, (a - b) | 0),
};

/** The scalar function of an elementwise op of one or two inputs of the given dtype; undefined for any other op. */
export function scalarFunction(name: string, integer: boolean): Unary | Binary | undefined {
  const tables = integer ? [INT_UNARY, INT_BINARY, FLOAT_UNARY] : [FLOAT_UNARY, FLOAT_BINARY];
  for (const table of tables) if (Object.hasOwn(table, name)) return table[name];
  return undefined;
}

function clip(op: Extract<Op, { name: 'clip' }>, x: number): number {
  return Math.min(op.max, Math.max(op.min, x));
}

function evaluateUnary(node: GraphNode, f: Unary, x: Value): Value {
  const values = emptyArray(node.dtype, x.values.length);
  for (let i = 0; i < values.length; i++) values[i] = f(x.values[i]);
  return { shape: node.shape, dtype: node.dtype, values };
}

/** Evaluates an elementwise op (unary, clip, step, cast, binary, compare, logical, bitwise, select); undefined for any other. */
export function evaluateElementwise(node: GraphNode, inputs: readonly Value[]): Value | undefined {
  const { op } = node;
  const [x, y, z] = inputs;
  if (!x) return undefined;
  if (op.name === 'clip') return evaluateUnary(node, (v) => clip(op, v), x);
  if (op.name === 'step') return evaluateUnary(node, (v) => (v > 0 ? 1 : v <= 0 ? op.alpha : Number.NaN), x);
  if (op.name === 'cast') {
    return evaluateUnary(node, node.dtype === 'bool' ? (v) => (v !== 0 ? 1 : 0) : (v) => v, x);
  }
  const values = emptyArray(
    node.dtype,
    node.shape.reduce((n, d) => n * d, 1),
  );
  if (op.name === 'select') {
    const [c, a, b] = [x, y!, z!].map((input) => broadcastValues(input, node.shape));
    for (let i = 0; i < values.length; i++) values[i] = c![i] ? a![i] : b![i];
    return { shape: node.shape, dtype: node.dtype, values };
  }
  const f = scalarFunction(op.name, x.dtype !== 'float32');
  if (!f) return undefined;
  if (inputs.length === 1) return evaluateUnary(node, f as Unary, x);
  const a = broadcastValues(x, node.shape);
  const b = broadcastValues(y!, node.shape);
  for (let i = 0; i < values.length; i++) values[i] = (f as Binary)(a[i], b[i]);
  return { shape: node.shape, dtype: node.dtype, values };
}
