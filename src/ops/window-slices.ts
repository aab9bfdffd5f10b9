/**
 * Windows over the axes D, H, W of [rows, D, H, W, C] as shifted slices of the whole tensor: element k of every window is one slice, and what
 * goes back to the elements k of all windows is one padded tensor. Made of slice, pad and reshape only, which every backend has.
 */
import * as tf from '@tensorflow/tfjs';
import { sizeOf, type Triple, type Window } from '../graph/graph.js';

/** The extents of windows: how many there are along each axis, and how long the axes are. */
export interface Extents {
  readonly windows: Triple;
  readonly image: Triple;
}

/** Offsets of the elements of a window, row-major, as element numbers along each axis. */
export function elementsOf({ size }: Window): Triple[] {
  const result: Triple[] = [];
  for (let d = 0; d < size[0]; d++)
    for (let h = 0; h < size[1]; h++) for (let w = 0; w < size[2]; w++) result.push([d, h, w]);
  return result;
}

/** Length along an axis once every window lies inside, each with room for a whole stride. */
function fittedLength(window: Window, windows: Triple, axis: number): number {
  return (window.size[axis] - 1) * window.dilations[axis] + windows[axis] * window.strides[axis];
}

/** `x` with `before` and `after` elements added (or, where negative, taken away) along an axis. */
function fitAxis(x: tf.Tensor, axis: number, before: number, after: number, value: number): tf.Tensor {
  if (before === 0 && after === 0) return x;
  const { shape } = x;
  const outer = sizeOf(shape.slice(0, axis));
  const inner = sizeOf(shape.slice(axis + 1));
  const begin = Math.min(Math.max(0, -before), shape[axis]);
  const kept = Math.max(0, shape[axis] - begin - Math.max(0, -after));
  const length = shape[axis] + before + after;
  const full = [...shape.slice(0, axis), length, ...shape.slice(axis + 1)];
  if (kept === 0) return tf.fill(full, value);
  let y: tf.Tensor = tf.reshape(x, [outer, shape[axis], inner]);
  if (kept < shape[axis]) y = tf.slice(y, [0, begin, 0], [outer, kept, inner]);
  if (kept < length) {
    const ahead = Math.max(0, before);
    y = padded(y as tf.Tensor3D, ahead, length - kept - ahead, value);
  }
  return tf.reshape(y, full);
}

/** tf.pad refuses an infinite value on some backends, so borders are tensors of their own. */
function padded(x: tf.Tensor3D, before: number, after: number, value: number): tf.Tensor3D {
  const [outer, , inner] = x.shape;
  if (Number.isFinite(value))
    return tf.pad3d(
      x,
      [
        [0, 0],
        [before, after],
        [0, 0],
      ],
      value,
    );
  const border = (n: number) => (n > 0 ? [tf.fill([outer, n, inner], value) as tf.Tensor3D] : []);
  return tf.concat([...border(before), x, ...border(after)], 1);
}

/** `x` [rows, D, H, W, C] cut and padded with `value` until window o along an axis begins at o * stride. */
export function fitted(x: tf.Tensor, window: Window, { windows, image }: Extents, value: number): tf.Tensor {
  let y = x;
  for (const axis of [0, 1, 2] as const) {
    const before = window.padBefore[axis];
    y = fitAxis(y, axis + 1, before, fittedLength(window, windows, axis) - image[axis] - before, value);
  }
  return y;
}

/** The transpose of `fitted`. */
export function unfitted(y: tf.Tensor, window: Window, { windows, image }: Extents): tf.Tensor {
  let x = y;
  for (const axis of [0, 1, 2] as const) {
    const before = window.padBefore[axis];
    const after = fittedLength(window, windows, axis) - image[axis] - before;
    x = fitAxis(x, axis + 1, -before, -after, 0);
  }
  return x;
}

/** Every `stride`-th element along an axis, of which there are a multiple of `stride`. */
function subsampled(x: tf.Tensor, axis: number, stride: number): tf.Tensor {
  if (stride === 1) return x;
  const { shape } = x;
  const outer = sizeOf(shape.slice(0, axis));
  const inner = sizeOf(shape.slice(axis + 1));
  const count = shape[axis] / stride;
  const groups = tf.reshape(x, [outer * count, stride, inner]);
  return tf.reshape(tf.slice(groups, [0, 0, 0], [outer * count, 1, inner]), [
    ...shape.slice(0, axis),
    count,
    ...shape.slice(axis + 1),
  ]);
}

/** The transpose of `subsampled`. */
function spaced(x: tf.Tensor, axis: number, stride: number): tf.Tensor {
  if (stride === 1) return x;
  const { shape } = x;
  const outer = sizeOf(shape.slice(0, axis + 1));
  const inner = sizeOf(shape.slice(axis + 1));
  const groups = tf.reshape(x, [outer, 1, inner]) as tf.Tensor3D;
  return tf.reshape(padded(groups, 0, stride - 1, 0), [
    ...shape.slice(0, axis),
    shape[axis] * stride,
    ...shape.slice(axis + 1),
  ]);
}

/** Element `k` of every window of a fitted tensor: [rows, ...windows, C]. */
export function windowElement(x: tf.Tensor, k: Triple, window: Window, { windows }: Extents): tf.Tensor {
  let y = x;
  for (const axis of [0, 1, 2] as const) {
    const begin = k[axis] * window.dilations[axis];
    const length = windows[axis] * window.strides[axis];
    y = fitAxis(y, axis + 1, -begin, length + begin - y.shape[axis + 1], 0);
    y = subsampled(y, axis + 1, window.strides[axis]);
  }
  return y;
}

/** The transpose of `windowElement`: y [rows, ...windows, C] in its places in a fitted tensor of zeros. */
export function placeElement(y: tf.Tensor, k: Triple, window: Window, { windows }: Extents): tf.Tensor {
  let x = y;
  for (const axis of [0, 1, 2] as const) {
    const begin = k[axis] * window.dilations[axis];
    x = spaced(x, axis + 1, window.strides[axis]);
    x = fitAxis(x, axis + 1, begin, fittedLength(window, windows, axis) - begin - x.shape[axis + 1], 0);
  }
  return x;
}

/** Sum of tensors of one shape. */
export function total(parts: readonly tf.Tensor[]): tf.Tensor {
  return parts.length === 1 ? parts[0] : tf.addN([...parts]);
}
