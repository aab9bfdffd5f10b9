/**
 * Windows over images and volumes: from the attributes of tfjs kernels (pads, strides, dilations, rounding, data format) to the `Window`
 * of the core ops, over [N, D, H, W, C] with D = 1 for images.
 */
import * as tf from '@tensorflow/tfjs';
import type { Shape, Triple, Window } from '../../graph/graph.js';
import { sizeOf } from '../../graph/graph.js';
import { sameShape } from '../../graph/infer.js';
import type { Emitter } from '../emitter.js';

/** A window and what it slides over: x [N, D, H, W, C] and y [N, OD, OH, OW, C']. */
export interface Geometry {
  readonly window: Window;
  readonly x: Shape;
  readonly y: Shape;
}

type Pad = Parameters<typeof tf.backend_util.computeConv2DInfo>[4];
type Rounding = 'floor' | 'round' | 'ceil';

/** What tfjs-core gives to every kernel with a window; which of them are there depends on the kernel. */
export interface WindowAttributes {
  readonly filterSize: number | number[];
  readonly strides: number | number[];
  readonly pad: Pad;
  readonly dataFormat?: 'NHWC' | 'NCHW' | 'NDHWC';
  readonly dilations?: number | number[] | null;
  readonly dimRoundingMode?: Rounding;
}

type Tuple2 = number | [number, number];
type Tuple3 = number | [number, number, number];
type Shape4 = [number, number, number, number];
type Shape5 = [number, number, number, number, number];
type Info2 = ReturnType<typeof tf.backend_util.computeConv2DInfo>;
type Info3 = ReturnType<typeof tf.backend_util.computeConv3DInfo>;

/** tfjs writes an axis without any window as -0. */
const whole = (shape: Shape): Shape => shape.map((d) => d + 0);

function flat(info: Info2): Geometry {
  const { batchSize: n, padInfo } = info;
  return {
    window: {
      size: [1, info.filterHeight, info.filterWidth],
      strides: [1, info.strideHeight, info.strideWidth],
      dilations: [1, info.dilationHeight, info.dilationWidth],
      padBefore: [0, padInfo.top, padInfo.left],
    },
    x: [n, 1, info.inHeight, info.inWidth, info.inChannels],
    y: whole([n, 1, info.outHeight, info.outWidth, info.outChannels]),
  };
}

function solid(info: Info3): Geometry {
  const { batchSize: n, padInfo } = info;
  return {
    window: {
      size: [info.filterDepth, info.filterHeight, info.filterWidth],
      strides: [info.strideDepth, info.strideHeight, info.strideWidth],
      dilations: [info.dilationDepth, info.dilationHeight, info.dilationWidth],
      padBefore: [padInfo.front, padInfo.top, padInfo.left],
    },
    x: [n, info.inDepth, info.inHeight, info.inWidth, info.inChannels],
    y: whole([n, info.outDepth, info.outHeight, info.outWidth, info.outChannels]),
  };
}

/** Of a 2-D convolution of x [N, H, W, C] (or NCHW) with a filter [KH, KW, C, F or M]. */
export function geometry2D(
  x: Shape,
  filter: Shape,
  attributes: WindowAttributes,
  depthwise: boolean,
): Geometry {
  const { strides, dilations, pad, dimRoundingMode, dataFormat } = attributes;
  const format = dataFormat === 'NCHW' ? 'channelsFirst' : 'channelsLast';
  return flat(
    tf.backend_util.computeConv2DInfo(
      x as Shape4,
      filter as Shape4,
      strides as Tuple2,
      (dilations ?? 1) as Tuple2,
      pad,
      dimRoundingMode,
      depthwise,
      format,
    ),
  );
}

/** Of a 3-D convolution of x [N, D, H, W, C] with a filter [KD, KH, KW, C, F]. */
export function geometry3D(x: Shape, filter: Shape, attributes: WindowAttributes): Geometry {
  const { strides, dilations, pad } = attributes;
  return solid(
    tf.backend_util.computeConv3DInfo(
      x as Shape5,
      filter as Shape5,
      strides as Tuple3,
      (dilations ?? 1) as Tuple3,
      pad as 'same' | 'valid' | number,
    ),
  );
}

/** Of pooling over x [N, H, W, C] or [N, D, H, W, C]. */
export function poolGeometry(x: Shape, attributes: WindowAttributes): Geometry {
  const { filterSize, strides, pad, dimRoundingMode } = attributes;
  if (x.length === 4) {
    return flat(
      tf.backend_util.computePool2DInfo(
        x as Shape4,
        filterSize as Tuple2,
        strides as Tuple2,
        1,
        pad,
        dimRoundingMode,
      ),
    );
  }
  return solid(
    tf.backend_util.computePool3DInfo(
      x as Shape5,
      filterSize as Tuple3,
      strides as Tuple3,
      1,
      pad as 'same' | 'valid' | number,
      dimRoundingMode,
    ),
  );
}

/** x [N, H, W, C] as [N, 1, H, W, C]; rank 5 stays. */
export function asVolume(e: Emitter, x: number): number {
  const [n, ...rest] = e.shape(x) as number[];
  return rest.length === 3 ? e.reshape(x, [n!, 1, ...rest]) : x;
}

/** A volume in the rank that its kernel has. */
export function fromVolume(e: Emitter, x: number, rank: number): number {
  const [n, , ...rest] = e.shape(x) as number[];
  return rank === 4 ? e.reshape(x, [n!, ...rest]) : x;
}

/** The position in x that element `k` of window `o` reads along `axis` (0 is D): inside or not. */
export function positionOf(window: Window, axis: number, o: number, k: number): number {
  return o * window.strides[axis]! - window.padBefore[axis]! + k * window.dilations[axis]!;
}

/** How many elements of each window lie inside x along one axis. */
export function countsAlong({ window, x, y }: Geometry, axis: number): number[] {
  return Array.from({ length: y[axis + 1]! }, (_, o) => {
    let count = 0;
    for (let k = 0; k < window.size[axis]!; k++) {
      const at = positionOf(window, axis, o, k);
      if (at >= 0 && at < x[axis + 1]!) count++;
    }
    return count;
  });
}

/** How many elements of each window lie inside x: [OD, OH, OW] in row-major order. */
export function counts(geometry: Geometry): Float32Array {
  const [d, h, w] = [0, 1, 2].map((axis) => countsAlong(geometry, axis)) as [number[], number[], number[]];
  return Float32Array.from(d.flatMap((a) => h.flatMap((b) => w.map((c) => a * b * c))));
}

/** Pads so that no window leaves x, on either side. */
export function padsAlong({ window, x, y }: Geometry, axis: number): [number, number] {
  const last = positionOf(window, axis, y[axis + 1]! - 1, window.size[axis]! - 1);
  return [Math.max(0, window.padBefore[axis]!), Math.max(0, last - (x[axis + 1]! - 1))];
}

/**
 * True when pooling changes nothing: each window holds its own position and nothing else. In 2-D tfjs takes any window of one element for that
 * which leaves the shape as it is, also with strides into padding; so does this.
 */
export function isTrivial({ window, x, y }: Geometry, rank: number): boolean {
  if (sizeOf(window.size) !== 1 || !sameShape(x, y)) return false;
  return rank === 4 || (window.strides.every((s) => s === 1) && window.padBefore.every((p) => p === 0));
}

/** The same windows over x and y read backwards along D, H and W. */
export function reversed({ window, x, y }: Geometry): Geometry {
  const padBefore = window.padBefore.map(
    (_, axis) => positionOf(window, axis, y[axis + 1]! - 1, window.size[axis]! - 1) + 1 - x[axis + 1]!,
  ) as unknown as Triple;
  return { window: { ...window, padBefore }, x, y };
}
