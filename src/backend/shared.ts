/** Kernels that need no program: they share data, fill an array, or copy one stretch of memory. */
import * as tf from '@tensorflow/tfjs';
import { ShapeError } from '../errors.js';
import { type DType, sizeOf } from '../graph/graph.js';
import { graphDType } from '../trace/lower/lowering.js';
import type { UnrolledBackend } from './backend.js';
import type { Attributes, Inputs } from './programs.js';

/** Undefined: not a case for it. */
export type DirectKernel = (
  backend: UnrolledBackend,
  inputs: Inputs,
  attributes: Attributes,
) => tf.TensorInfo | undefined;

/** A tensor whose elements are all `value`. */
export function filled(
  backend: UnrolledBackend,
  value: number,
  shape: readonly number[],
  dtype: DType,
): tf.TensorInfo {
  const values = backend.take(dtype, sizeOf(shape));
  values.fill(value);
  return backend.own(values, shape.slice(), dtype);
}

const like =
  (value: number): DirectKernel =>
  (backend, { x }) => {
    const { shape, dtype } = x as tf.TensorInfo;
    const known = graphDType(dtype);
    return known && filled(backend, value, shape, known);
  };

function reshape(backend: UnrolledBackend, x: tf.TensorInfo, shape: number[]): tf.TensorInfo {
  const size = sizeOf(x.shape);
  const whole = tf.util.inferFromImplicitShape(shape, size);
  if (sizeOf(whole) !== size)
    throw new ShapeError(
      `reshape: the new shape [${whole}] has ${sizeOf(whole)} elements, the old shape [${x.shape}] has ${size}`,
    );
  return backend.share(x, whole);
}

function expandDims(backend: UnrolledBackend, input: tf.TensorInfo, dim: number): tf.TensorInfo {
  const rank = input.shape.length;
  if (!(dim >= -(rank + 1) && dim <= rank))
    throw new ShapeError(`expandDims: axis ${dim} must be in [${-(rank + 1)}, ${rank}]`);
  return backend.share(input, input.shape.toSpliced(dim < 0 ? dim + rank + 1 : dim, 0, 1));
}

/** Rows of the outermost axes: one stretch of memory, whatever `begin` is, so that walking over batches makes no programs. */
const slice: DirectKernel = (backend, inputs, attributes) => {
  const x = inputs.x as tf.TensorInfo;
  const dtype = graphDType(x.dtype);
  if (!dtype) return undefined;
  const [begin, size] = tf.slice_util.parseSliceParams(
    x as tf.Tensor,
    attributes.begin as number | number[],
    attributes.size as number | number[],
  );
  tf.slice_util.assertParamsValid({ shape: x.shape, rank: x.shape.length } as tf.Tensor, begin, size);
  const axis = size.findIndex((n) => n !== 1);
  const isStretch = axis < 0 || size.slice(axis + 1).every((n, i) => n === x.shape[axis + 1 + i]);
  if (!isStretch) return undefined;
  const from = begin.reduce((at, b, i) => at * x.shape[i] + b, 0);
  const values = backend.take(dtype, sizeOf(size));
  values.set(backend.valuesOf(x.dataId).subarray(from, from + values.length));
  return backend.own(values, size, dtype);
};

export const DIRECT: Readonly<Partial<Record<string, DirectKernel>>> = {
  Identity: (backend, { x }) => backend.share(x as tf.TensorInfo, (x as tf.TensorInfo).shape),
  Reshape: (backend, { x }, { shape }) => reshape(backend, x as tf.TensorInfo, shape as number[]),
  ExpandDims: (backend, { input }, { dim }) => expandDims(backend, input as tf.TensorInfo, dim as number),
  Cast: (backend, { x }, { dtype }) => (x && x.dtype === dtype ? backend.share(x, x.shape) : undefined),
  ZerosLike: like(0),
  OnesLike: like(1),
  Fill: (backend, _, { shape, value, dtype }) => {
    const known = graphDType((dtype as string | undefined) ?? tf.util.inferDtype(value as number));
    return known && filled(backend, Number(value), shape as number[], known);
  },
  Slice: slice,
};
