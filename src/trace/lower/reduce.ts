/** Reductions, softmax, scans, matrix products and normalisation. */
import { UnsupportedOpError } from '../../errors.js';
import type { ReduceOp } from '../../graph/graph.js';
import { type Emitter, normalAxes } from '../emitter.js';
import { activate, arithmetic } from './elementwise.js';
import type { KernelAttributes, Lowering, LoweringTable } from './lowering.js';

type Axis = number | readonly number[] | null | undefined;

function reduction(op: ReduceOp, e: Emitter, x: number, axis: Axis, keepDims: boolean): number {
  return e.reduce(op, x, normalAxes(axis, e.rank(x)), keepDims === true);
}

const numericReduction =
  (op: 'sum' | 'prod'): Lowering =>
  (e, { x }, { axis, keepDims }) =>
    reduction(op, e, e.numeric(x), axis, keepDims);

const extremum =
  (op: 'max' | 'min', axisName: 'axis' | 'reductionIndices'): Lowering =>
  (e, { x }, attributes) => {
    const axis = attributes[axisName] ?? attributes.axis;
    return e.cast(reduction(op, e, e.numeric(x), axis, attributes.keepDims), e.dtype(x));
  };

const logicalReduction =
  (op: 'all' | 'any'): Lowering =>
  (e, { x }, { axis, keepDims }) =>
    reduction(op, e, e.cast(x, 'bool'), axis, keepDims);

const argReduction =
  (name: 'argMax' | 'argMin'): Lowering =>
  (e, { x }, { axis }) =>
    e.add({ name, axis: normalAxes(axis, e.rank(x))[0]! }, [e.numeric(x)]);

function mean(e: Emitter, x: number, axis: Axis, keepDims: boolean): number {
  const value = e.cast(x, 'float32');
  const axes = normalAxes(axis, e.rank(x));
  const count = axes.reduce((n, a) => n * e.shape(x)[a]!, 1);
  const sum = e.reduce('sum', value, axes, keepDims === true);
  // The mean of nothing is 0 in tfjs.
  return count <= 1 ? sum : e.binary('div', sum, e.scalar(count, 'float32'));
}

/** Shifted logits, their exponentials, and the sums of those, all along the last axis. */
function softmaxParts(e: Emitter, logits: number): { shifted: number; powers: number; sums: number } {
  const x = e.cast(logits, 'float32');
  const axes = [e.rank(x) - 1];
  const shifted = e.binary('sub', x, e.reduce('max', x, axes, true));
  const powers = e.unary('exp', shifted);
  return { shifted, powers, sums: e.reduce('sum', powers, axes, true) };
}

/**
 * Running product, by doubling: after round k every element is the product of the last 2^k. tfjs has it for the gradient of
 * prod. ceil(log2 n) multiplications of the whole tensor.
 */
function cumprod(e: Emitter, x: number, { axis, exclusive, reverse }: KernelAttributes): number {
  const along = normalAxes(axis, e.rank(x))[0]!;
  const n = e.shape(x)[along]!;
  const shift = (value: number, by: number): number => {
    const size = e.shape(value).map((d, i) => (i === along ? d - by : d));
    const begin = size.map((_, i) => (i === along && reverse ? by : 0));
    const paddings = size.map((_, i): [number, number] => {
      if (i !== along) return [0, 0];
      return reverse ? [0, by] : [by, 0];
    });
    return e.pad(e.slice(value, begin, size), paddings, 1);
  };
  let result = e.numeric(x);
  if (n === 0) return result;
  if (exclusive) result = shift(result, 1);
  for (let by = 1; by < n; by *= 2) result = e.binary('mul', result, shift(result, by));
  return result;
}

/** Leading axes of size 1 removed, down to `rank` axes. */
function dropLeadingOnes(e: Emitter, x: number, rank: number): number {
  const shape = e.shape(x);
  return e.reshape(x, shape.slice(Math.max(0, shape.length - rank)));
}

/**
 * The product, handed to `finish` (bias, activation) before it takes its final shape. Batches of one matrix are multiplied as
 * plain matrices: tfjs's fused matMul makes every product a batch, and devices fuse what follows a plain one.
 */
function matMul(
  e: Emitter,
  a: number,
  b: number,
  { transposeA, transposeB }: KernelAttributes,
  finish: (product: number, rank: number) => number = (product) => product,
): number {
  const [x, y] = e.widen([a, b]);
  const op = { name: 'matMul', transposeA: transposeA === true, transposeB: transposeB === true } as const;
  const batches = [x, y].map((v) => e.shape(v).slice(0, -2));
  const rank = Math.max(e.rank(x), e.rank(y));
  const plain = batches.flat().every((d) => d === 1);
  const [p, q] = [x, y].map((v) => e.cast(plain ? dropLeadingOnes(e, v, 2) : v, 'float32'));
  const result = finish(e.cast(e.add(op, [p, q]), e.dtype(x)), plain ? 2 : rank);
  const shape = e.shape(result);
  return plain ? e.reshape(result, [...new Array<number>(rank - 2).fill(1), ...shape]) : result;
}

const fusedMatMul: Lowering = (e, { a, b, bias, preluActivationWeights }, attributes) =>
  matMul(e, a, b, attributes, (product, rank) => {
    const aligned = (x: number) => dropLeadingOnes(e, x, rank);
    const shifted = bias === undefined ? product : arithmetic(e, 'add', product, aligned(bias));
    const { activation = 'linear', leakyreluAlpha } = attributes;
    const alpha = preluActivationWeights === undefined ? undefined : aligned(preluActivationWeights);
    const output = activate(e, shifted, activation, alpha, leakyreluAlpha ?? 0.2);
    if (output !== undefined) return output;
    throw new UnsupportedOpError(
      'fused.matMul',
      `fused.matMul: the activation '${activation}' is not traceable; use linear, relu, relu6, elu, sigmoid, leakyrelu or prelu, or apply it after tf.matMul`,
    );
  });

const batchNorm: Lowering = (e, { x, mean, variance, offset, scale }, { varianceEpsilon }) => {
  const epsilon = e.scalar(varianceEpsilon ?? 0.001, 'float32');
  const deviation = e.unary('rsqrt', e.binary('add', variance, epsilon));
  let result = e.binary('mul', e.binary('sub', x, mean), deviation);
  if (scale !== undefined) result = e.binary('mul', result, scale);
  return offset === undefined ? result : e.binary('add', result, offset);
};

export const REDUCTIONS: LoweringTable = {
  Sum: numericReduction('sum'),
  Prod: numericReduction('prod'),
  Max: extremum('max', 'reductionIndices'),
  Min: extremum('min', 'axis'),
  All: logicalReduction('all'),
  Any: logicalReduction('any'),
  ArgMax: argReduction('argMax'),
  ArgMin: argReduction('argMin'),
  Mean: (e, { x }, { axis, keepDims }) => mean(e, x, axis, keepDims),
  Softmax: (e, { logits }) => {
    const { powers, sums } = softmaxParts(e, logits);
    return e.binary('div', powers, sums);
  },
  LogSoftmax: (e, { logits }) => {
    const { shifted, sums } = softmaxParts(e, logits);
    return e.binary('sub', shifted, e.unary('log', sums));
  },
  Cumsum: (e, { x }, { axis, exclusive, reverse }) =>
    e.add(
      {
        name: 'cumsum',
        axis: normalAxes(axis, e.rank(x))[0]!,
        exclusive: exclusive === true,
        reverse: reverse === true,
      },
      [e.numeric(x)],
    ),
  Cumprod: (e, { x }, attributes) => cumprod(e, x, attributes),
  BatchMatMul: (e, { a, b }, attributes) => matMul(e, a, b, attributes),
  _FusedMatMul: fusedMatMul,
  FusedBatchNorm: batchNorm,
};
