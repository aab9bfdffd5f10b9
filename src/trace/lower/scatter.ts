/**
 * Kernels that put values where indices say, or fetch them by multi-dimensional indices: scatters, gatherND, segment sums, counts.
 *
 * tfjs throws on an index outside the tensor. Here values are not known yet: what would be written outside is dropped, what would
 * be read outside is NaN (0 for int32, false for bool).
 */
import * as tf from '@tensorflow/tfjs';
import { ShapeError, UnsupportedOpError } from '../../errors.js';
import { type Shape, sizeOf } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import { constantValues } from './constants.js';
import type { KernelInputs, Lowering, LoweringTable } from './lowering.js';

/** Row numbers, int32 [count], from indices [count, sliceRank]: the sum of index times stride. */
function flatIndices(e: Emitter, indices: number, count: number, strides: readonly number[]): number {
  const rows = e.reshape(e.cast(indices, 'int32'), [count, strides.length]);
  if (strides.length === 1) {
    const only = e.reshape(rows, [count]);
    return strides[0] === 1 ? only : e.binary('mul', only, e.scalar(strides[0]!, 'int32'));
  }
  const scaled = e.binary('mul', rows, e.constant(strides, [strides.length], 'int32'));
  return e.reduce('sum', scaled, [1], false);
}

interface Scatter {
  /** Row of the output that each update goes to: int32 [count]. */
  readonly rows: number;
  readonly count: number;
  /** Updates as [count, sliceSize]. */
  readonly updates: number;
  readonly sliceSize: number;
  /** Rows of the output. */
  readonly total: number;
}

function scatterOf(e: Emitter, indices: number, updates: number, shape: Shape): Scatter {
  const { sliceRank, numUpdates, sliceSize, strides, outputSize } = tf.backend_util.calculateShapes(
    { shape: e.shape(updates).slice() } as tf.Tensor,
    { shape: e.shape(indices).slice() } as tf.Tensor,
    shape.slice(),
  );
  // A scalar update goes to every index.
  const values = e.rank(updates) === 0 ? e.broadcastTo(updates, [numUpdates, sliceSize]) : updates;
  return {
    rows: flatIndices(e, indices, numUpdates, strides.slice(0, sliceRank)),
    count: numUpdates,
    updates: e.reshape(values, [numUpdates, sliceSize]),
    sliceSize,
    total: outputSize / sliceSize,
  };
}

const scatterNd: Lowering = (e, { indices, updates }, { shape }) => {
  const dtype = e.dtype(updates);
  if (sizeOf(shape) === 0 || sizeOf(e.shape(updates)) === 0) return e.splat(0, shape, dtype);
  const scatter = scatterOf(e, indices, updates, shape);
  const sums = e.add({ name: 'segmentSum', numSegments: scatter.total }, [
    e.numeric(scatter.updates),
    scatter.rows,
  ]);
  return e.cast(e.reshape(sums, shape), dtype);
};

/**
 * `target` with the rows that are updated replaced, by the last update where several go to one row. The updates are put in the
 * order of their rows; the last one of each run of equal rows is the one that counts, and its number plus 1 is summed into a table
 * of winners (0: none), by which rows are fetched: no value is touched by arithmetic, so NaN and -0 arrive as they are.
 */
function overwrite(e: Emitter, target: number, indices: number, updates: number): number {
  const shape = e.shape(target);
  const size = sizeOf(shape);
  if (size === 0 || sizeOf(e.shape(indices)) === 0) return target;
  const { rows, count, updates: values, sliceSize, total } = scatterOf(e, indices, updates, shape);
  const order = e.add({ name: 'argSort', descending: false }, [rows]);
  const sorted = e.add({ name: 'gather', axis: 0, batchDims: 0 }, [rows, order]);
  const next = e.pad(e.slice(sorted, [1], [count - 1]), [[0, 1]], 0);
  const isEnd = e.binary('equal', e.iota(count), e.scalar(count - 1, 'int32'));
  const wins = e.binary('logicalOr', isEnd, e.binary('notEqual', sorted, next));
  const targets = e.select(wins, sorted, e.scalar(-1, 'int32'));
  const numbers = e.binary('add', order, e.scalar(1, 'int32'));
  const winners = e.add({ name: 'segmentSum', numSegments: total }, [numbers, targets]);
  const updated = e.binary('greater', winners, e.scalar(0, 'int32'));
  const from = e.binary('maximum', e.binary('sub', winners, e.scalar(1, 'int32')), e.scalar(0, 'int32'));
  const fetched = e.add({ name: 'gather', axis: 0, batchDims: 0 }, [values, from]);
  const result = e.select(e.reshape(updated, [total, 1]), fetched, e.reshape(target, [total, sliceSize]));
  return e.reshape(result, shape);
}

const sparseToDense: Lowering = (e, { sparseIndices, sparseValues, defaultValue }, { outputShape }) => {
  const base = e.cast(e.reshape(defaultValue, []), e.dtype(sparseValues));
  return overwrite(e, e.broadcastTo(base, outputShape), sparseIndices, sparseValues);
};

const gatherNd: Lowering = (e, { params, indices }) => {
  const shape = e.shape(params).slice();
  const [resultShape, numSlices, sliceSize, strides] = tf.backend_util.prepareAndValidate(
    { shape, rank: shape.length } as tf.Tensor,
    { shape: e.shape(indices).slice(), rank: e.rank(indices), dtype: 'int32' } as unknown as tf.Tensor,
  );
  if (numSlices === 0 || sizeOf(resultShape) === 0) return e.splat(0, resultShape, e.dtype(params));
  const rank = e.shape(indices).at(-1)!;
  const rows = flatIndices(e, indices, numSlices, strides.slice(0, rank));
  const table = e.reshape(params, [sizeOf(shape) / sliceSize, sliceSize]);
  return e.reshape(e.add({ name: 'gather', axis: 0, batchDims: 0 }, [table, rows]), resultShape);
};

/** Segment ids of any rank: their axes are the first of x, and all of them are summed over. */
const segmentSum: Lowering = (e, { x, segmentIds }, { numSegments }) => {
  const ids = e.shape(segmentIds);
  const shape = e.shape(x);
  if (ids.some((d, i) => d !== shape[i])) {
    throw new ShapeError(
      `unsortedSegmentSum: segment ids of shape [${ids}] do not fit x of shape [${shape}]; the axes of the ids are the first axes of x`,
    );
  }
  const count = sizeOf(ids);
  const inner = shape.slice(ids.length);
  const rows = e.reshape(e.numeric(x), [count, ...inner]);
  const flat = e.reshape(e.cast(segmentIds, 'int32'), [count]);
  return e.add({ name: 'segmentSum', numSegments }, [rows, flat]);
};

/** Sums `weights` (1 each where it has no elements) by the values of x; values outside [0, size) count nowhere. */
function count(e: Emitter, ids: number, weights: number, size: number): number {
  const n = sizeOf(e.shape(ids));
  const dtype = e.dtype(weights);
  const each = sizeOf(e.shape(weights)) > 0 ? e.reshape(weights, [n]) : e.splat(1, [n], dtype);
  const sums = e.add({ name: 'segmentSum', numSegments: size }, [e.numeric(each), e.reshape(ids, [n])]);
  return e.cast(sums, dtype);
}

const denseBincount: Lowering = (e, { x, weights }, { size, binaryOutput }) => {
  const length = size as number;
  // tfjs counts a vector even when it is asked for 0 and 1.
  if (e.rank(x) < 2) return count(e, x, weights, length);
  const rows = e.shape(x)[0]!;
  const dtype = e.dtype(weights);
  const inside = e.binary(
    'logicalAnd',
    e.binary('greaterEqual', x, e.scalar(0, 'int32')),
    e.binary('less', x, e.scalar(length, 'int32')),
  );
  const first = e.binary('mul', e.reshape(e.iota(rows), [rows, 1]), e.scalar(length, 'int32'));
  const ids = e.select(inside, e.binary('add', x, first), e.scalar(-1, 'int32'));
  const none = e.splat(0, [0], binaryOutput ? 'int32' : dtype);
  const sums = e.reshape(count(e, ids, binaryOutput ? none : weights, rows * length), [rows, length]);
  return binaryOutput ? e.cast(e.binary('greater', sums, e.scalar(0, 'int32')), dtype) : sums;
};

/** Rows of `data` by `indices`, summed by segment ids in [0, numSegments). */
export function sparseSegmentSum(
  e: Emitter,
  { data, indices, segmentIds }: KernelInputs,
  numSegments: number,
): number {
  const rows = e.add({ name: 'gather', axis: 0, batchDims: 0 }, [data, e.cast(indices, 'int32')]);
  return e.add({ name: 'segmentSum', numSegments }, [e.numeric(rows), e.cast(segmentIds, 'int32')]);
}

/** The same, divided by how many rows each segment has; an empty segment is 0. */
export function sparseSegmentMean(e: Emitter, inputs: KernelInputs, numSegments: number): number {
  const { segmentIds } = inputs;
  const sums = sparseSegmentSum(e, inputs, numSegments);
  const dtype = e.dtype(sums);
  const ones = e.splat(1, e.shape(segmentIds), 'float32');
  const counts = e.add({ name: 'segmentSum', numSegments }, [ones, e.cast(segmentIds, 'int32')]);
  const divisor = e.reshape(e.binary('maximum', counts, e.scalar(1, 'float32')), [
    numSegments,
    ...e.shape(sums).slice(1).fill(1),
  ]);
  return e.cast(e.binary('div', e.cast(sums, 'float32'), divisor), dtype);
}

/** One more than the last segment id, which is known only where the ids are a constant of the trace (a tensor from outside). */
function knownSegments(e: Emitter, op: string, { segmentIds }: KernelInputs): number {
  const ids = constantValues(e, segmentIds);
  if (!ids) {
    throw new UnsupportedOpError(
      op,
      `${op}: the number of its segments depends on the values of segmentIds, and shapes are static in a trace; use tf.unsortedSegmentSum of tf.gather, or segment ids that are a constant`,
    );
  }
  return ids.length > 0 ? ids[ids.length - 1]! + 1 : 0;
}

export const SCATTER: LoweringTable = {
  ScatterNd: scatterNd,
  TensorScatterUpdate: (e, { tensor, indices, updates }) => overwrite(e, tensor, indices, updates),
  SparseToDense: sparseToDense,
  GatherNd: gatherNd,
  UnsortedSegmentSum: segmentSum,
  Bincount: (e, { x, weights }, { size }) => count(e, x, weights, size as number),
  DenseBincount: denseBincount,
  SparseSegmentSum: (e, inputs) => sparseSegmentSum(e, inputs, knownSegments(e, 'sparseSegmentSum', inputs)),
  SparseSegmentMean: (e, inputs) =>
    sparseSegmentMean(e, inputs, knownSegments(e, 'sparseSegmentMean', inputs)),
};
