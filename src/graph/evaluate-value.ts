/** Values of the reference evaluator: one array of one particle, dense and row-major, and walks over strided indices. */
import type { DType, Shape, TypedArray } from './graph.js';
import { sizeOf } from './graph.js';

/** A dense row-major array. float32 in Float32Array, int32 in Int32Array, bool in Uint8Array of 0/1. */
export interface Value {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: TypedArray;
}

/** A zeroed array for `size` elements of `dtype`. */
export function emptyArray(dtype: DType, size: number): TypedArray {
  if (dtype === 'float32') return new Float32Array(size);
  return dtype === 'int32' ? new Int32Array(size) : new Uint8Array(size);
}

/** Row-major strides of a shape. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/** Strides that read an array of shape `from` as if it were broadcast to `to`: 0 along repeated axes. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const own = rowMajorStrides(from);
  const lead = to.length - from.length;
  return to.map((_, axis) => (axis < lead || from[axis - lead] === 1 ? 0 : own[axis - lead]));
}

/** The positions `offset + sum_i index_i * strides_i` for every index of `shape`, in row-major order. */
export function stridedPositions(shape: Shape, strides: readonly number[], offset = 0): Int32Array {
  const size = sizeOf(shape);
  const positions = new Int32Array(size);
  const index = new Int32Array(shape.length);
  let position = offset;
  for (let i = 0; i < size; i++) {
    positions[i] = position;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]++;
      position += strides[axis];
      if (index[axis] < shape[axis]) break;
      position -= index[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return positions;
}

/** Copies the elements of `x` at `positions` into a new value of `shape`. */
export function take(x: Value, shape: Shape, positions: Int32Array): Value {
  const values = emptyArray(x.dtype, positions.length);
  for (let i = 0; i < positions.length; i++) values[i] = x.values[positions[i]];
  return { shape, dtype: x.dtype, values };
}

/** The elements of `x` broadcast to `shape`, as an array that may be `x`'s own. */
export function broadcastValues(x: Value, shape: Shape): TypedArray {
  if (x.shape.length === shape.length && x.shape.every((d, i) => d === shape[i])) return x.values;
  return take(x, shape, stridedPositions(shape, broadcastStrides(x.shape, shape))).values;
}
