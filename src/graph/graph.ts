/**
 * The typed graph: what a trace yields, what passes rewrite, and what devices run.
 *
 * A graph is a list of nodes in topological order; every node has one output (single assignment), a static shape and a dtype.
 * Binary and ternary elementwise ops broadcast as NumPy does; everything else states its shapes exactly. All values are per
 * particle as far as the graph is concerned: which ones are in fact equal for all particles is found by the uniform analysis.
 */

export type DType = 'float32' | 'int32' | 'bool';
export type Shape = readonly number[];
export type TypedArray = Float32Array | Int32Array | Uint8Array;

/** float32 -> float32, elementwise. */
export const FLOAT_UNARY_OPS = [
  'acos',
  'acosh',
  'asin',
  'asinh',
  'atan',
  'atanh',
  'ceil',
  'cos',
  'cosh',
  'erf',
  'exp',
  'expm1',
  'floor',
  'log',
  'log1p',
  'reciprocal',
  'round',
  'rsqrt',
  'sigmoid',
  'sin',
  'sinh',
  'softplus',
  'sqrt',
  'tan',
  'tanh',
] as const;
/** Same dtype in and out (float32 or int32), elementwise. `sign` of NaN is NaN; `relu` of NaN is NaN. */
export const NUMERIC_UNARY_OPS = ['abs', 'neg', 'relu', 'sign', 'square'] as const;
/** float32 -> bool, elementwise. */
export const TEST_UNARY_OPS = ['isFinite', 'isInf', 'isNan'] as const;
/** Both operands of one dtype (float32 or int32), broadcasting. `div` and `atan2` are float32 only; `floorDiv`, `mod` round towards -Infinity;
 * `minimum`/`maximum` give NaN when either operand is NaN. */
export const BINARY_OPS = [
  'add',
  'atan2',
  'div',
  'floorDiv',
  'maximum',
  'minimum',
  'mod',
  'mul',
  'pow',
  'squaredDifference',
  'sub',
] as const;
/** Both operands of one dtype -> bool, broadcasting. */
export const COMPARE_OPS = ['equal', 'greater', 'greaterEqual', 'less', 'lessEqual', 'notEqual'] as const;
/** bool, bool -> bool, broadcasting. */
export const LOGICAL_OPS = ['logicalAnd', 'logicalOr'] as const;
/** int32, int32 -> int32, broadcasting (JS semantics). */
export const BITWISE_OPS = ['bitwiseAnd'] as const;
export const REDUCE_OPS = ['all', 'any', 'max', 'min', 'prod', 'sum'] as const;
export const ARG_REDUCE_OPS = ['argMax', 'argMin'] as const;

export type FloatUnaryOp = (typeof FLOAT_UNARY_OPS)[number];
export type NumericUnaryOp = (typeof NUMERIC_UNARY_OPS)[number];
export type TestUnaryOp = (typeof TEST_UNARY_OPS)[number];
export type UnaryOp = FloatUnaryOp | NumericUnaryOp | TestUnaryOp | 'logicalNot';
export type BinaryOp = (typeof BINARY_OPS)[number];
export type CompareOp = (typeof COMPARE_OPS)[number];
export type LogicalOp = (typeof LOGICAL_OPS)[number];
export type BitwiseOp = (typeof BITWISE_OPS)[number];
export type ReduceOp = (typeof REDUCE_OPS)[number];
export type ArgReduceOp = (typeof ARG_REDUCE_OPS)[number];
export type BroadcastingOp = BinaryOp | CompareOp | LogicalOp | BitwiseOp | 'select';

/** What an input of a graph stands for. `t` is the int32 step within the episode; `particle` the particle's index; `primal` the state
 * that a step began with, in the graph that goes back through it; `value` an argument of a function. */
export type InputRole = 'theta' | 'state' | 'data' | 't' | 'particle' | 'primal' | 'value';

/** Who shares a random draw: every particle, the two members of an antithetic pair, or nobody. */
export type Share = 'all' | 'pair' | 'particle';

export type RandomKind =
  /** float32 N(0, 1) */
  | { readonly distribution: 'normal' }
  /** float32 in [low, high) */
  | { readonly distribution: 'uniform'; readonly low: number; readonly high: number }
  /** int32 in [low, high) */
  | { readonly distribution: 'integers'; readonly low: number; readonly high: number }
  /** bool, true with probability p */
  | { readonly distribution: 'bernoulli'; readonly p: number };

/** What a node computes: the op's name and its static attributes. `inputs` of the node are given after each. */
export type Op =
  /** inputs: none */
  | { readonly name: 'input'; readonly role: InputRole; readonly path: string }
  /** inputs: none. `values` has product(shape) elements: Float32Array, Int32Array or (bool) Uint8Array of 0/1. */
  | { readonly name: 'constant'; readonly values: TypedArray }
  /** inputs: none. `draw` is the draw's number within its graph (see random/philox.ts for the counter). */
  | { readonly name: 'random'; readonly kind: RandomKind; readonly share: Share; readonly draw: number }
  /** inputs: none. int32 or float32: start + i * step along one axis; shape [n]. */
  | { readonly name: 'iota'; readonly start: number; readonly step: number }
  /** inputs: x */
  | { readonly name: UnaryOp }
  /** inputs: x. float32 (or int32): NaN stays NaN. */
  | { readonly name: 'clip'; readonly min: number; readonly max: number }
  /** inputs: x. tfjs step: x > 0 ? 1 : (x <= 0 ? alpha : NaN); float32. */
  | { readonly name: 'step'; readonly alpha: number }
  /** inputs: x. The output dtype is the node's. float -> int truncates (NaN -> 0, saturation as in JS `| 0` is not promised); anything -> bool is x != 0. */
  | { readonly name: 'cast' }
  /** inputs: a, b */
  | { readonly name: BinaryOp | CompareOp | LogicalOp | BitwiseOp }
  /** inputs: condition (bool), a, b; all three broadcast. */
  | { readonly name: 'select' }
  /** inputs: a [...batch, M, K] (or [K, M] when transposeA), b [...batch, K, N]; batch dims broadcast; float32. */
  | { readonly name: 'matMul'; readonly transposeA: boolean; readonly transposeB: boolean }
  /** inputs: x. axes sorted ascending, no repeats; reduced axes are kept as 1 only when keepDims. sum/prod/max/min: float32 or int32; any/all: bool. */
  | { readonly name: ReduceOp; readonly axes: readonly number[]; readonly keepDims: boolean }
  /** inputs: x -> int32, first index on ties; axis removed. */
  | { readonly name: ArgReduceOp; readonly axis: number }
  /** inputs: x. same element count. */
  | { readonly name: 'reshape' }
  /** inputs: x. output axis i is input axis perm[i]. */
  | { readonly name: 'transpose'; readonly perm: readonly number[] }
  /** inputs: x. output[i] = x[begin + i * strides] per axis; strides may be negative; size is the node's shape. */
  | { readonly name: 'slice'; readonly begin: readonly number[]; readonly strides: readonly number[] }
  /** inputs: x. NumPy broadcast to the node's shape (ranks may differ: leading axes are added). */
  | { readonly name: 'broadcastTo' }
  /** inputs: x1..xn (at least one), equal but for `axis`. */
  | { readonly name: 'concat'; readonly axis: number }
  /** inputs: x. paddings[axis] = [before, after] >= 0. */
  | {
      readonly name: 'pad';
      readonly paddings: readonly (readonly [number, number])[];
      readonly value: number;
    }
  /** inputs: x, indices (int32). tfjs gather with batchDims. An index outside [0, n) yields NaN (float32), 0 (int32), false (bool). */
  | { readonly name: 'gather'; readonly axis: number; readonly batchDims: number }
  /** inputs: x [n, ...inner], segmentIds int32 [n] -> [numSegments, ...inner]; ids outside [0, numSegments) are dropped. The gradient of gather. */
  | { readonly name: 'segmentSum'; readonly numSegments: number }
  /** inputs: x. Running sum along `axis`. */
  | {
      readonly name: 'cumsum';
      readonly axis: number;
      readonly exclusive: boolean;
      readonly reverse: boolean;
    }
  /**
   * Convolution (cross-correlation) over three spatial axes; 1-D and 2-D ones have leading axes of size 1. float32.
   * x [N, D, H, W, C], filter [KD, KH, KW, C, F], y [N, OD, OH, OW, F]; depthwise: filter [KD, KH, KW, C, M], y [.., C * M],
   * output channel c * M + m. y[o] = sum_k x[o * stride - padBefore + k * dilation] filter[k], positions outside x count as 0.
   * inputs: x, filter -> y. The output's shape is a hint, checked against the window.
   */
  | { readonly name: 'conv'; readonly window: Window; readonly depthwise: boolean }
  /** inputs: dy, filter -> dx, the transpose of `conv` in x. The shape of dx is a hint. */
  | { readonly name: 'convInputGrad'; readonly window: Window; readonly depthwise: boolean }
  /** inputs: x, dy -> dfilter, the transpose of `conv` in the filter. */
  | { readonly name: 'convFilterGrad'; readonly window: Window; readonly depthwise: boolean }
  /**
   * inputs: x [N, D, H, W, C] float32 -> [N, OD, OH, OW, C]: maximum or sum over each window. Positions outside x do not take part (an
   * empty window gives -Infinity or 0); a window that holds NaN gives NaN.
   */
  | { readonly name: 'windowMax' | 'windowSum'; readonly window: Window }
  /** inputs: x, dy -> dx: every dy goes to the first maximum (row-major within the window; the first NaN if there is one). */
  | { readonly name: 'windowMaxGrad'; readonly window: Window }
  /** inputs: dy -> dx [N, D, H, W, C], the transpose of windowSum: every dy goes to all positions of its window. The shape of dx is a hint. */
  | { readonly name: 'windowSumGrad'; readonly window: Window }
  /** inputs: x [..., n] float32 or int32 -> int32 [..., n]: the stable order of the last axis. NaN comes last either way; -0 equals 0. */
  | { readonly name: 'argSort'; readonly descending: boolean }
  /**
   * inputs: a [..., n, n] float32 -> lower triangular L with L L^T = a, zeros above. Only the lower triangle of `a` is read. A matrix
   * that is not positive definite and finite gives a whole matrix of NaN. Computed in float64, rounded once.
   */
  | { readonly name: 'cholesky' }
  /**
   * inputs: a [..., n, n], b [..., n, m] of the same leading axes -> x with a x = b (or a^T x = b). Only the triangle named is read; a zero on the
   * diagonal gives infinities and NaN. Computed in float64, rounded once.
   */
  | { readonly name: 'triangularSolve'; readonly lower: boolean; readonly transpose: boolean }
  /**
   * inputs: a [..., n, n] symmetric (only the lower triangle is read) -> [..., n + 1, n]: row 0 the eigenvalues, ascending; rows 1.. the matrix
   * whose columns are the unit eigenvectors, each with its component of largest magnitude positive (the first of those within a relative 1e-6 of it). NaN or Infinity in a
   * matrix makes all of its result NaN. Computed in float64, rounded once.
   */
  | { readonly name: 'symmetricEigen' };

/** Geometry of a convolution or pooling over the axes D, H, W; `size` is the window's (the filter's), `padBefore` may be negative. */
export interface Window {
  readonly size: Triple;
  readonly strides: Triple;
  readonly dilations: Triple;
  readonly padBefore: Triple;
}
export type Triple = readonly [number, number, number];

export type OpName = Op['name'];

/** One value. `id` equals its position in `Graph.nodes`; inputs have smaller ids. */
export interface GraphNode {
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly number[];
  readonly shape: Shape;
  readonly dtype: DType;
}

/** A named output of a graph, by path: 'state.w', 'loss', 'metrics.accuracy'. Two outputs may name one node. */
export interface GraphOutput {
  readonly path: string;
  readonly node: number;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly GraphOutput[];
}

/** Number of elements of a shape; 1 for a scalar, 0 when any axis is 0. */
export function sizeOf(shape: Shape): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}
