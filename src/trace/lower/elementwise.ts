/**
 * Elementwise kernels. Values and dtypes follow tfjs's own CPU kernels: a float function of an int32 tensor is stored as int32
 * again, NaN goes through relu, elu, selu, leakyRelu, prelu and clip.
 */
import type { BinaryOp, CompareOp, FloatUnaryOp } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import type { Lowering, LoweringTable } from './lowering.js';

// Klambauer, Unterthiner, Mayr, Hochreiter 2017, "Self-Normalizing Neural Networks", equation 14, as tfjs rounds them.
const SELU_SCALE = 1.0507009873554805;
const SELU_SCALE_ALPHA = 1.7580993408473768;

const FLOAT_UNARY: Readonly<Record<string, FloatUnaryOp>> = {
  Acos: 'acos',
  Acosh: 'acosh',
  Asin: 'asin',
  Asinh: 'asinh',
  Atan: 'atan',
  Atanh: 'atanh',
  Cos: 'cos',
  Cosh: 'cosh',
  Erf: 'erf',
  Expm1: 'expm1',
  Log: 'log',
  Log1p: 'log1p',
  Reciprocal: 'reciprocal',
  Rsqrt: 'rsqrt',
  Sigmoid: 'sigmoid',
  Sin: 'sin',
  Sinh: 'sinh',
  Softplus: 'softplus',
  Sqrt: 'sqrt',
  Tan: 'tan',
  Tanh: 'tanh',
};
const ROUNDING = { Ceil: 'ceil', Floor: 'floor', Round: 'round' } as const;
const NUMERIC_UNARY = { Abs: 'abs', Neg: 'neg', Relu: 'relu', Square: 'square' } as const;
const TESTS = { IsFinite: 'isFinite', IsInf: 'isInf', IsNan: 'isNan' } as const;
const NUMERIC_BINARY: Readonly<Record<string, BinaryOp>> = {
  Add: 'add',
  Maximum: 'maximum',
  Minimum: 'minimum',
  Mod: 'mod',
  Multiply: 'mul',
  Pow: 'pow',
  SquaredDifference: 'squaredDifference',
  Sub: 'sub',
};
const FLOAT_BINARY: Readonly<Record<string, BinaryOp>> = { Atan2: 'atan2', RealDiv: 'div' };
const COMPARE: Readonly<Record<string, CompareOp>> = {
  Equal: 'equal',
  Greater: 'greater',
  GreaterEqual: 'greaterEqual',
  Less: 'less',
  LessEqual: 'lessEqual',
  NotEqual: 'notEqual',
};

function mapTable<V>(table: Readonly<Record<string, V>>, make: (value: V) => Lowering): LoweringTable {
  return Object.fromEntries(Object.entries(table).map(([kernel, value]) => [kernel, make(value)]));
}

/** a op b in the wider dtype; bool computes as int32. The result is stored in the dtype of the wider operand. */
export function arithmetic(e: Emitter, op: BinaryOp, a: number, b: number): number {
  const [x, y] = e.widen([a, b]) as [number, number];
  const stored = e.dtype(x);
  return e.cast(e.binary(op, e.numeric(x), e.numeric(y)), stored);
}

function floatArithmetic(e: Emitter, op: BinaryOp, a: number, b: number): number {
  const stored = e.dtype(e.widen([a, b])[0]!);
  return e.cast(e.binary(op, e.cast(a, 'float32'), e.cast(b, 'float32')), stored);
}

function compare(e: Emitter, op: CompareOp, a: number, b: number): number {
  const [x, y] = e.widen([e.numeric(a), e.numeric(b)]) as [number, number];
  return e.binary(op, x, y);
}

/** x < 0 ? alpha * x : x, in float32; `alpha` broadcasts. */
export function leakyRelu(e: Emitter, x: number, alpha: number): number {
  const value = e.cast(x, 'float32');
  const negative = e.binary('less', value, e.scalar(0, 'float32'));
  return e.select(negative, e.binary('mul', e.cast(alpha, 'float32'), value), value);
}

function elu(e: Emitter, x: number): number {
  return e.viaFloat(x, (v) =>
    e.select(e.binary('greaterEqual', v, e.scalar(0, 'float32')), v, e.unary('expm1', v)),
  );
}

function selu(e: Emitter, x: number): number {
  return e.viaFloat(x, (v) => {
    const positive = e.binary('mul', e.scalar(SELU_SCALE, 'float32'), v);
    const negative = e.binary('mul', e.scalar(SELU_SCALE_ALPHA, 'float32'), e.unary('expm1', v));
    return e.select(e.binary('greaterEqual', v, e.scalar(0, 'float32')), positive, negative);
  });
}

function clip(e: Emitter, x: number, min: number, max: number): number {
  return e.dtype(x) === 'float32' || (Number.isInteger(min) && Number.isInteger(max))
    ? e.add({ name: 'clip', min, max }, [e.numeric(x)])
    : e.viaFloat(x, (v) => e.add({ name: 'clip', min, max }, [v]));
}

/** An activation by the name that tfjs's fused ops use. */
export function activate(
  e: Emitter,
  x: number,
  activation: string,
  preluAlpha: number | undefined,
  leakyAlpha: number,
): number | undefined {
  switch (activation) {
    case 'linear':
      return x;
    case 'relu':
      return e.unary('relu', x);
    case 'relu6':
      return clip(e, x, 0, 6);
    case 'elu':
      return elu(e, x);
    case 'sigmoid':
      return e.unary('sigmoid', x);
    case 'leakyrelu':
      return leakyRelu(e, x, e.scalar(leakyAlpha, 'float32'));
    case 'prelu':
      return preluAlpha === undefined ? undefined : leakyRelu(e, x, preluAlpha);
    default:
      return undefined;
  }
}

export const ELEMENTWISE: LoweringTable = {
  ...mapTable(
    FLOAT_UNARY,
    (op) =>
      (e, { x }) =>
        e.viaFloat(x, (v) => e.unary(op, v)),
  ),
  // Whole numbers are their own floor.
  ...mapTable(
    ROUNDING,
    (op) =>
      (e, { x }) =>
        e.dtype(x) === 'float32' ? e.unary(op, x) : x,
  ),
  ...mapTable(
    NUMERIC_UNARY,
    (op) =>
      (e, { x }) =>
        e.cast(e.unary(op, e.numeric(x)), e.dtype(x)),
  ),
  ...mapTable(
    TESTS,
    (op) =>
      (e, { x }) =>
        e.unary(op, e.cast(x, 'float32')),
  ),
  ...mapTable(
    NUMERIC_BINARY,
    (op) =>
      (e, { a, b }) =>
        arithmetic(e, op, a, b),
  ),
  ...mapTable(
    FLOAT_BINARY,
    (op) =>
      (e, { a, b }) =>
        floatArithmetic(e, op, a, b),
  ),
  ...mapTable(
    COMPARE,
    (op) =>
      (e, { a, b }) =>
        compare(e, op, a, b),
  ),
  // The one function of a whole number that tfjs stores as it is.
  Exp: (e, { x }) => e.unary('exp', e.cast(x, 'float32')),
  // The sign of NaN is 0 in tfjs, and NaN in a graph.
  Sign: (e, { x }) => {
    const sign = e.cast(e.unary('sign', e.numeric(x)), e.dtype(x));
    return e.dtype(x) === 'float32' ? e.select(e.unary('isNan', x), e.scalar(0, 'float32'), sign) : sign;
  },
  // tfjs stores the result of floorDiv as int32, whatever came in.
  FloorDiv: (e, { a, b }) => e.cast(arithmetic(e, 'floorDiv', a, b), 'int32'),
  AddN: (e, { list }) => list.reduce((a, b) => arithmetic(e, 'add', a, b)),
  LogicalAnd: (e, { a, b }) => e.binary('logicalAnd', e.cast(a, 'bool'), e.cast(b, 'bool')),
  LogicalOr: (e, { a, b }) => e.binary('logicalOr', e.cast(a, 'bool'), e.cast(b, 'bool')),
  LogicalXor: (e, { a, b }) => compare(e, 'notEqual', e.cast(a, 'bool'), e.cast(b, 'bool')),
  LogicalNot: (e, { x }) => e.unary('logicalNot', e.cast(x, 'bool')),
  BitwiseAnd: (e, { a, b }) => e.add({ name: 'bitwiseAnd' }, [a, b]),
  Select: (e, { condition, t, e: other }) => {
    // A condition of rank 1 picks whole rows.
    const rows = e.rank(condition) === 1 && e.rank(t) > 1;
    const shape = rows ? [...e.shape(condition), ...e.shape(t).slice(1).fill(1)] : e.shape(condition);
    return e.select(e.reshape(condition, shape), t, other);
  },
  Relu6: (e, { x }) => e.cast(clip(e, x, 0, 6), e.dtype(x)),
  ClipByValue: (e, { x }, { clipValueMin, clipValueMax }) =>
    e.cast(clip(e, x, clipValueMin, clipValueMax), e.dtype(x)),
  Elu: (e, { x }) => elu(e, x),
  // From the output y: the derivative is y + 1 where x < 0, which is where y < 0.
  EluGrad: (e, { dy, y }) => {
    const below = e.binary('mul', dy, e.binary('add', y, e.scalar(1, 'float32')));
    return e.select(e.binary('greaterEqual', y, e.scalar(0, 'float32')), dy, below);
  },
  Selu: (e, { x }) => selu(e, x),
  LeakyRelu: (e, { x }, { alpha }) => leakyRelu(e, x, e.scalar(alpha, 'float32')),
  Prelu: (e, { x, alpha }) => leakyRelu(e, x, alpha),
  Step: (e, { x }, { alpha }) => e.viaFloat(x, (v) => e.add({ name: 'step', alpha }, [v])),
};
