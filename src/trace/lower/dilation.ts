/**
 * Grey-scale dilation of images: y = max over the window of x + filter, per channel, and its gradients towards x and the filter, which go to
 * the first of the largest sums. A sum that is NaN is passed over, as in tfjs.
 */
import * as tf from '@tensorflow/tfjs';
import type { Shape, Triple, Window } from '../../graph/graph.js';
import { sizeOf } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import { asVolume, type Geometry, padsAlong, positionOf } from './geometry.js';
import type { KernelAttributes, Lowering, LoweringTable } from './lowering.js';

interface Attributes {
  readonly strides: number | [number, number];
  readonly pad: 'same' | 'valid' | number;
  readonly dilations: number | [number, number];
}

/** Less than any sum, as tfjs has it: what a window outside x gives. */
const LEAST = { float32: Number.MIN_SAFE_INTEGER, int32: -(2 ** 31), bool: 0 } as const;

function geometryOf(x: Shape, filter: Shape, attributes: KernelAttributes): Geometry {
  const { strides, pad, dilations } = attributes as unknown as Attributes;
  const info = tf.backend_util.computeDilation2DInfo(
    x as [number, number, number, number],
    filter as [number, number, number],
    strides,
    pad,
    'NHWC',
    dilations,
  );
  const { batchSize: n, inChannels: channels, padInfo } = info;
  return {
    window: {
      size: [1, info.filterHeight, info.filterWidth],
      strides: [1, info.strideHeight, info.strideWidth],
      dilations: [1, info.dilationHeight, info.dilationWidth],
      padBefore: [0, padInfo.top, padInfo.left],
    },
    x: [n, 1, info.inHeight, info.inWidth, channels],
    y: [n, 1, info.outHeight + 0, info.outWidth + 0, channels],
  };
}

/** Row and column of each element of the window, in row-major order. */
function elementsOf({ size }: Window): (readonly [number, number])[] {
  const rows = Array.from({ length: size[1] }, (_, row) => row);
  const columns = Array.from({ length: size[2] }, (_, column) => column);
  return rows.flatMap((row) => columns.map((column) => [row, column] as const));
}

/** What element [row, column] of all windows reads of x [N, H, W, C], where x is padded by `pads` already: [N, OH, OW, C]. */
function readAt(
  e: Emitter,
  padded: number,
  { window, y }: Geometry,
  [row, column]: readonly [number, number],
  pads: readonly [number, number],
): number {
  const [n, , , channels] = e.shape(padded) as [number, number, number, number];
  const begin = [0, positionOf(window, 1, 0, row) + pads[0], positionOf(window, 2, 0, column) + pads[1], 0];
  const strides = [1, window.strides[1], window.strides[2], 1];
  const plain = strides.every((s) => s === 1);
  return e.slice(padded, begin, [n, y[2]!, y[3]!, channels], plain ? undefined : strides);
}

/** x [N, H, W, C] padded so that no window leaves it, and by how much before. */
function padded(e: Emitter, x: number, geometry: Geometry): [number, [number, number]] {
  const [rows, columns] = [padsAlong(geometry, 1), padsAlong(geometry, 2)];
  return [e.pad(x, [[0, 0], rows, columns, [0, 0]], 0), [rows[0], columns[0]]];
}

/** Where element [row, column] of a window lies inside x: bool [1, OH, OW, 1], or undefined if everywhere. */
function insideAt(e: Emitter, { window, x, y }: Geometry, element: readonly [number, number]) {
  const along = (axis: 1 | 2) =>
    Array.from({ length: y[axis + 1]! }, (_, o) => {
      const at = positionOf(window, axis, o, element[axis - 1]!);
      return at >= 0 && at < x[axis + 1]!;
    });
  const [rows, columns] = [along(1), along(2)];
  if (rows.every(Boolean) && columns.every(Boolean)) return undefined;
  const both = rows.flatMap((row) => columns.map((column) => +(row && column)));
  return e.constant(both, [1, rows.length, columns.length, 1], 'bool');
}

/** [1, 1, 1, C] of the filter [KH, KW, C]. */
function filterAt(e: Emitter, filter: number, [row, column]: readonly [number, number]): number {
  const channels = e.shape(filter)[2]!;
  return e.reshape(e.slice(filter, [row, column, 0], [1, 1, channels]), [1, 1, 1, channels]);
}

/** The largest sum of each window, and which element it is: int32 [N, OH, OW, C], -1 where no sum counts. */
function largest(
  e: Emitter,
  x: number,
  filter: number,
  geometry: Geometry,
): { value: number; which: number } {
  const [source, pads] = padded(e, x, geometry);
  let value = e.scalar(LEAST[e.dtype(x)], e.dtype(x));
  let which = e.scalar(-1, 'int32');
  elementsOf(geometry.window).forEach((element, k) => {
    const sum = e.binary('add', readAt(e, source, geometry, element, pads), filterAt(e, filter, element));
    const larger = e.binary('greater', sum, value);
    const inside = insideAt(e, geometry, element);
    const better = inside === undefined ? larger : e.binary('logicalAnd', larger, inside);
    value = e.select(better, sum, value);
    which = e.select(better, e.scalar(k, 'int32'), which);
  });
  return { value, which };
}

const flat = ({ y }: Geometry) => y.toSpliced(1, 1);

const dilation: Lowering = (e, { x, filter }, attributes) => {
  const geometry = geometryOf(e.shape(x), e.shape(filter), attributes);
  if (sizeOf(geometry.y) === 0) return e.splat(0, flat(geometry), e.dtype(x));
  const [image, kernel] = e.widen([e.numeric(x), e.numeric(filter)]) as [number, number];
  return e.cast(e.broadcastTo(largest(e, image, kernel, geometry).value, flat(geometry)), e.dtype(x));
};

/** For each element of the window: its number, where it is, and dy where it is the largest. */
function shares(e: Emitter, x: number, filter: number, dy: number, geometry: Geometry) {
  const [image, kernel] = [x, filter].map((v) => e.cast(v, 'float32')) as [number, number];
  const { which } = largest(e, image, kernel, geometry);
  return elementsOf(geometry.window).map((element, k) => {
    const chosen = e.binary('equal', which, e.scalar(k, 'int32'));
    return { element, share: e.select(chosen, e.cast(dy, 'float32'), e.scalar(0, 'float32')) };
  });
}

const towardsInput: Lowering = (e, { x, filter, dy }, attributes) => {
  const geometry = geometryOf(e.shape(x), e.shape(filter), attributes);
  if (sizeOf(geometry.x) === 0 || sizeOf(geometry.y) === 0) return e.splat(0, e.shape(x), e.dtype(x));
  const { window } = geometry;
  const parts = shares(e, x, filter, dy, geometry).map(({ element, share }) => {
    // A window of one element, where this one reads x: the transpose of reading it.
    const padBefore: Triple = [
      0,
      window.padBefore[1] - element[0] * window.dilations[1],
      window.padBefore[2] - element[1] * window.dilations[2],
    ];
    const one: Window = { ...window, size: [1, 1, 1], padBefore };
    return e.add({ name: 'windowSumGrad', window: one }, [asVolume(e, share)], geometry.x);
  });
  const total = parts.reduce((a, b) => e.binary('add', a, b));
  return e.cast(e.reshape(total, e.shape(x)), e.dtype(x));
};

const towardsFilter: Lowering = (e, { x, filter, dy }, attributes) => {
  const geometry = geometryOf(e.shape(x), e.shape(filter), attributes);
  if (sizeOf(geometry.y) === 0 || sizeOf(e.shape(filter)) === 0)
    return e.splat(0, e.shape(filter), e.dtype(filter));
  const sums = shares(e, x, filter, dy, geometry).map(({ share }) =>
    e.reshape(e.reduce('sum', share, [0, 1, 2], false), [1, geometry.y[4]!]),
  );
  return e.cast(e.reshape(e.concat(sums, 0), e.shape(filter)), e.dtype(filter));
};

/**
 * Of each window, the element of `value` (like x, or like the filter) that has the largest sum: the transposes of both gradients in dy.
 */
const pickInput: Lowering = (e, { x, filter, value }, attributes) => {
  const geometry = geometryOf(e.shape(x), e.shape(filter), attributes);
  if (sizeOf(geometry.y) === 0) return e.splat(0, flat(geometry), 'float32');
  const { which } = largest(e, x, filter, geometry);
  const [source, pads] = padded(e, value, geometry);
  const nothing = e.splat(0, flat(geometry), 'float32');
  return elementsOf(geometry.window).reduce((picked, element, k) => {
    const chosen = e.binary('equal', which, e.scalar(k, 'int32'));
    return e.select(chosen, readAt(e, source, geometry, element, pads), picked);
  }, nothing);
};

const pickFilter: Lowering = (e, { x, filter, value }, attributes) => {
  const geometry = geometryOf(e.shape(x), e.shape(filter), attributes);
  if (sizeOf(geometry.y) === 0) return e.splat(0, flat(geometry), 'float32');
  const { which } = largest(e, x, filter, geometry);
  const nothing = e.splat(0, flat(geometry), 'float32');
  return elementsOf(geometry.window).reduce((picked, element, k) => {
    const chosen = e.binary('equal', which, e.scalar(k, 'int32'));
    return e.select(chosen, filterAt(e, value, element), picked);
  }, nothing);
};

export const DILATION: LoweringTable = {
  Dilation2D: dilation,
  Dilation2DBackpropInput: towardsInput,
  Dilation2DBackpropFilter: towardsFilter,
};

/** Kernels of traces only, which gradients of gradients need. */
export const DILATION_TRANSPOSES: LoweringTable = {
  Dilation2DPickInput: pickInput,
  Dilation2DPickFilter: pickFilter,
};
