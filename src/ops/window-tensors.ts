/** Convolutions and pooling over windows in tfjs ops that every backend has: slices, products of matrices, sums and maxima. */
import * as tf from '@tensorflow/tfjs';
import { type Shape, sizeOf, type Triple, type Window } from '../graph/graph.js';
import { product } from './product.js';
import type { ConvForm } from './window.js';
import {
  type Extents,
  elementsOf,
  fitted,
  placeElement,
  total,
  unfitted,
  windowElement,
} from './window-slices.js';

const spatial = (shape: Shape): Triple => [shape[1], shape[2], shape[3]];

function extentsOf(image: Shape, windows: Shape): Extents {
  return { image: spatial(image), windows: spatial(windows) };
}

/** All elements of all windows: [groups, N * OD * OH * OW, K * C], for an image of `groups` * N rows. */
export function patches(x: tf.Tensor, window: Window, extents: Extents, groups: number): tf.Tensor3D {
  const channels = x.shape[4] as number;
  const image = fitted(x, window, extents, 0);
  const elements = elementsOf(window).map((k) => windowElement(image, k, window, extents));
  const rows = (x.shape[0] * sizeOf(extents.windows)) / groups;
  const side = elements.length === 1 ? elements[0] : tf.concat(elements, 4);
  return tf.reshape(side, [groups, rows, elements.length * channels]);
}

/** The transpose of `patches`: to an image of `rows` rows. */
export function fromPatches(
  columns: tf.Tensor,
  window: Window,
  extents: Extents,
  rows: number,
  channels: number,
): tf.Tensor {
  const elements = elementsOf(window);
  const count = rows * sizeOf(extents.windows);
  const flat = tf.reshape(columns, [count, elements.length, channels]);
  const parts = elements.map((k, i) => {
    const element = tf.slice(flat, [0, i, 0], [count, 1, channels]);
    const [d, h, w] = extents.windows;
    return placeElement(tf.reshape(element, [rows, d, h, w, channels]), k, window, extents);
  });
  return unfitted(total(parts), window, extents);
}

/** A filter [KD, KH, KW, C, F] as a matrix [K * C, F]. */
const filterMatrix = (filter: tf.Tensor): tf.Tensor2D =>
  tf.reshape(filter, [sizeOf(filter.shape.slice(0, 4)), filter.shape[4] as number]);

/** Element i of a depthwise filter [K, C, M], as [1, 1, C, M]. */
function filterElement(filter: tf.Tensor, i: number): tf.Tensor {
  const [, , , channels, multiplier] = filter.shape;
  const flat = tf.reshape(filter, [sizeOf(filter.shape.slice(0, 3)), channels, multiplier]);
  return tf.slice(flat, [i, 0, 0], [1, channels, multiplier]);
}

/** Whether tf.conv2d and tf.depthwiseConv2d can express it, once the image is padded: nothing along D, no strides with dilations. */
function isPlane({ size, strides, dilations }: Window): boolean {
  const strided = strides[1] > 1 || strides[2] > 1;
  const dilated = dilations[1] > 1 || dilations[2] > 1;
  // Backends want depthwise strides to be equal.
  return size[0] === 1 && strides[1] === strides[2] && !(strided && dilated);
}

/** By tfjs's own kernels, on every plane of the windows' D axis. */
function planeConv(
  x: tf.Tensor,
  filter: tf.Tensor,
  { window, depthwise }: ConvForm,
  shape: Shape,
): tf.Tensor {
  const extents = extentsOf(x.shape, shape);
  const plane = {
    ...window,
    size: [1, 1, 1] as const,
    strides: [window.strides[0], 1, 1] as const,
    padBefore: [window.padBefore[0], 0, 0] as const,
  };
  const along = {
    image: extents.image,
    windows: [extents.windows[0], extents.image[1], extents.image[2]] as const,
  };
  const planes = windowElement(fitted(x, plane, along, 0), [0, 0, 0], plane, along);
  const image = fitted(
    planes,
    {
      ...window,
      strides: [1, window.strides[1], window.strides[2]],
      padBefore: [0, window.padBefore[1], window.padBefore[2]],
    },
    {
      image: [extents.windows[0], extents.image[1], extents.image[2]],
      windows: extents.windows,
    },
    0,
  );
  const [n, d, h, w, c] = image.shape as [number, number, number, number, number];
  const flat = tf.reshape(image, [n * d, h, w, c]) as tf.Tensor4D;
  const weights = tf.squeeze(filter, [0]) as tf.Tensor4D;
  const strides: [number, number] = [window.strides[1], window.strides[2]];
  const dilations: [number, number] = [window.dilations[1], window.dilations[2]];
  const y = depthwise
    ? tf.depthwiseConv2d(flat, weights, strides, 'valid', 'NHWC', dilations)
    : tf.conv2d(flat, weights, strides, 'valid', 'NHWC', dilations);
  return tf.reshape(y, [...shape]);
}

export function convByWindows(x: tf.Tensor, filter: tf.Tensor, form: ConvForm, shape: Shape): tf.Tensor {
  const { window, depthwise } = form;
  const extents = extentsOf(x.shape, shape);
  if (isPlane(window)) return planeConv(x, filter, form, shape);
  if (!depthwise) {
    const flat = tf.squeeze(patches(x, window, extents, 1), [0]) as tf.Tensor2D;
    return tf.reshape(product(flat, filterMatrix(filter)), shape.slice());
  }
  const image = fitted(x, window, extents, 0);
  const [channels, multiplier] = filter.shape.slice(3) as [number, number];
  const count = sizeOf(shape.slice(0, 4));
  const parts = elementsOf(window).map((k, i) => {
    const element = tf.reshape(windowElement(image, k, window, extents), [count, channels, 1]);
    return tf.mul(element, filterElement(filter, i));
  });
  return tf.reshape(total(parts), [...shape.slice(0, 4), channels * multiplier]);
}

export function convInputGradByWindows(
  dy: tf.Tensor,
  filter: tf.Tensor,
  { window, depthwise }: ConvForm,
  shape: Shape,
): tf.Tensor {
  const extents = extentsOf(shape, dy.shape);
  const count = sizeOf(dy.shape.slice(0, 4));
  if (!depthwise) {
    const flat = tf.reshape(dy, [count, dy.shape[4] as number]) as tf.Tensor2D;
    const columns = product(flat, filterMatrix(filter), false, true);
    return fromPatches(columns, window, extents, shape[0], shape[4]);
  }
  const [channels, multiplier] = filter.shape.slice(3) as [number, number];
  const flat = tf.reshape(dy, [count, channels, multiplier]);
  const parts = elementsOf(window).map((k, i) => {
    const element = tf.sum(tf.mul(flat, filterElement(filter, i)), 2);
    return placeElement(tf.reshape(element, [...dy.shape.slice(0, 4), channels]), k, window, extents);
  });
  return unfitted(total(parts), window, extents);
}

export function convFilterGradByWindows(
  x: tf.Tensor,
  dy: tf.Tensor,
  { window, depthwise }: ConvForm,
  shape: Shape,
): tf.Tensor {
  const extents = extentsOf(x.shape, dy.shape);
  const count = sizeOf(dy.shape.slice(0, 4));
  if (!depthwise) {
    const flat = tf.squeeze(patches(x, window, extents, 1), [0]) as tf.Tensor2D;
    const matrix = tf.reshape(dy, [count, dy.shape[4] as number]) as tf.Tensor2D;
    return tf.reshape(product(flat, matrix, true), [...shape]);
  }
  const [channels, multiplier] = shape.slice(3) as [number, number];
  const image = fitted(x, window, extents, 0);
  const flat = tf.reshape(dy, [count, channels, multiplier]);
  const parts = elementsOf(window).map((k) => {
    const element = tf.reshape(windowElement(image, k, window, extents), [count, channels, 1]);
    return tf.sum(tf.mul(element, flat), 0, true);
  });
  return tf.reshape(parts.length === 1 ? parts[0] : tf.concat(parts, 0), [...shape]);
}

/** The larger one; NaN where either is, on every backend. */
function larger(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const most = tf.maximum(a, b);
  return tf.where(tf.isNaN(a), a, tf.where(tf.isNaN(b), b, most));
}

function maxima(x: tf.Tensor, window: Window, extents: Extents): tf.Tensor {
  const image = fitted(x, window, extents, Number.NEGATIVE_INFINITY);
  return elementsOf(window)
    .map((k) => windowElement(image, k, window, extents))
    .reduce(larger);
}

export function windowMaxByWindows(x: tf.Tensor, window: Window, shape: Shape): tf.Tensor {
  return maxima(x, window, extentsOf(x.shape, shape));
}

export function windowSumByWindows(x: tf.Tensor, window: Window, shape: Shape): tf.Tensor {
  const extents = extentsOf(x.shape, shape);
  const image = fitted(x, window, extents, 0);
  return total(elementsOf(window).map((k) => windowElement(image, k, window, extents)));
}

export function windowSumGradByWindows(dy: tf.Tensor, window: Window, shape: Shape): tf.Tensor {
  const extents = extentsOf(shape, dy.shape);
  return unfitted(
    total(elementsOf(window).map((k) => placeElement(dy, k, window, extents))),
    window,
    extents,
  );
}

/** Per element of the window, where it is the first maximum: bool [N, OD, OH, OW, C]. */
function firstMaxima(x: tf.Tensor, window: Window, extents: Extents): tf.Tensor[] {
  const most = maxima(x, window, extents);
  const missing = tf.isNaN(most);
  const image = fitted(x, window, extents, Number.NEGATIVE_INFINITY);
  const inside = fitted(tf.ones([1, ...extents.image, 1]), window, extents, 0);
  let open = tf.ones(most.shape, 'bool');
  return elementsOf(window).map((k) => {
    const element = windowElement(image, k, window, extents);
    const equal = tf.logicalOr(tf.equal(element, most), tf.logicalAnd(missing, tf.isNaN(element)));
    // Padding equals a maximum of -Infinity, and takes no part.
    const there = tf.greater(tf.add(windowElement(inside, k, window, extents), tf.zerosLike(most)), 0);
    const first = tf.logicalAnd(tf.logicalAnd(equal, there), open);
    open = tf.logicalAnd(open, tf.logicalNot(first));
    return first;
  });
}

export function windowMaxGradByWindows(x: tf.Tensor, dy: tf.Tensor, window: Window): tf.Tensor {
  const extents = extentsOf(x.shape, dy.shape);
  const zeros = tf.zerosLike(dy);
  const hits = firstMaxima(x, window, extents);
  const parts = elementsOf(window).map((k, i) =>
    placeElement(tf.where(hits[i], dy, zeros), k, window, extents),
  );
  return unfitted(total(parts), window, extents);
}

export function windowMaxPickByWindows(x: tf.Tensor, u: tf.Tensor, window: Window, shape: Shape): tf.Tensor {
  const extents = extentsOf(x.shape, shape);
  const image = fitted(u, window, extents, 0);
  const zeros = tf.zeros([...shape]);
  const hits = firstMaxima(x, window, extents);
  return total(
    elementsOf(window).map((k, i) => tf.where(hits[i], windowElement(image, k, window, extents), zeros)),
  );
}
