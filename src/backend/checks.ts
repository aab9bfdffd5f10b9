/**
 * Indices that lie outside of a tensor. A program doesn't look at values (it reads NaN there, and drops what would be written), but eagerly
 * tfjs throws, and so do these, before the program runs. They cost a look at each index.
 */
import * as tf from '@tensorflow/tfjs';
import { OptionError } from '../errors.js';
import type { UnrolledBackend } from './backend.js';
import type { Attributes, Inputs } from './programs.js';

/** Throws OptionError; else gives the attributes of the call, with what the values decide added. */
export type Check = (backend: UnrolledBackend, inputs: Inputs, attributes: Attributes) => Attributes;

type Infos = Readonly<Record<string, tf.TensorInfo>>;

const check =
  (test: (backend: UnrolledBackend, inputs: Infos, attributes: Attributes) => void): Check =>
  (backend, inputs, attributes) => {
    test(backend, inputs as Infos, attributes);
    return attributes;
  };

/** Each row of `indices` [..., strides.length] must name one of `rows` places. */
function checkRows(
  indices: ArrayLike<number>,
  strides: readonly number[],
  rows: number,
  shape: readonly number[],
): void {
  const rank = strides.length;
  for (let first = 0; first < indices.length; first += rank) {
    let at = 0;
    for (let j = 0; j < rank; j++) at += indices[first + j] * strides[j];
    if (at < 0 || at >= rows) {
      const index = Array.from(indices).slice(first, first + rank);
      throw new OptionError(`Invalid indices: ${index} does not index into ${shape}`);
    }
  }
}

function checkScatter(
  backend: UnrolledBackend,
  indices: tf.TensorInfo,
  updates: tf.TensorInfo,
  shape: number[],
): void {
  const { sliceRank, sliceSize, strides, outputSize } = tf.backend_util.calculateShapes(
    updates,
    indices,
    shape,
  );
  if (outputSize === 0 || sliceRank === 0) return;
  checkRows(backend.valuesOf(indices.dataId), strides.slice(0, sliceRank), outputSize / sliceSize, shape);
}

const gather = check((backend, { x, indices }, { axis, batchDims }) => {
  const along = tf.util.parseAxisParam(axis as number, x.shape)[0];
  // Throws where the batch axes don't fit.
  tf.backend_util.segment_util.collectGatherOpShapeInfo(
    { shape: x.shape, rank: x.shape.length } as tf.TensorInfo & { rank: number },
    { shape: indices.shape, rank: indices.shape.length } as tf.TensorInfo & { rank: number },
    along,
    (batchDims as number | null) ?? 0,
  );
  const size = x.shape[along];
  const values = backend.valuesOf(indices.dataId);
  for (let i = 0; i < values.length; i++)
    if (!(values[i] >= 0 && values[i] < size))
      throw new OptionError(`GatherV2: the index value ${values[i]} is not in [0, ${size - 1}]`);
});

const gatherNd = check((backend, { params, indices }) => {
  const [, slices, sliceSize, strides] = tf.backend_util.prepareAndValidate(
    params as tf.Tensor,
    indices as tf.Tensor,
  );
  const rank = indices.shape.at(-1) as number;
  if (slices === 0 || rank === 0) return;
  const size = params.shape.reduce((n, d) => n * d, 1);
  checkRows(backend.valuesOf(indices.dataId), strides.slice(0, rank), size / sliceSize, params.shape);
});

const counts = check((backend, { x }) => {
  if (backend.valuesOf(x.dataId).some((value) => value < 0))
    throw new OptionError('Input x must be non-negative!');
});

/** How many segments there are is one more than the last id. */
const sparseSegments: Check = (backend, inputs) => {
  const { data, indices, segmentIds } = inputs as Infos;
  const rows = backend.valuesOf(indices.dataId);
  const ids = backend.valuesOf(segmentIds.dataId);
  const numSegments = ids.length > 0 ? ids[ids.length - 1] + 1 : 0;
  const {
    getSparseSegmentReductionNegativeSegmentIdsErrorMessage: negative,
    getSparseSegmentReductionNonIncreasingSegmentIdsErrorMessage: notIncreasing,
    getSparseSegmentReductionSegmentIdOutOfRangeErrorMessage: idOutside,
    getSparseSegmentReductionIndicesOutOfRangeErrorMessage: rowOutside,
  } = tf.backend_util;
  if (numSegments < 0 || (ids.length > 0 && numSegments === 0)) throw new OptionError(negative());
  for (let i = 0; i < ids.length; i++) {
    if (i > 0 && ids[i] < ids[i - 1]) throw new OptionError(notIncreasing());
    if (ids[i] < 0 || ids[i] >= numSegments) throw new OptionError(idOutside(ids[i], numSegments));
    if (rows[i] < 0 || rows[i] >= data.shape[0]) throw new OptionError(rowOutside(i, rows[i], data.shape[0]));
  }
  return { numSegments };
};

export const CHECKS: Readonly<Partial<Record<string, Check>>> = {
  GatherV2: gather,
  GatherNd: gatherNd,
  ScatterNd: check((backend, { indices, updates }, { shape }) =>
    checkScatter(backend, indices, updates, shape as number[]),
  ),
  TensorScatterUpdate: check((backend, { tensor, indices, updates }) =>
    checkScatter(backend, indices, updates, tensor.shape),
  ),
  SparseToDense: check((backend, { sparseIndices, sparseValues }, { outputShape }) =>
    checkScatter(backend, sparseIndices, sparseValues, outputShape as number[]),
  ),
  Bincount: counts,
  DenseBincount: counts,
  SparseSegmentSum: sparseSegments,
  SparseSegmentMean: sparseSegments,
};
