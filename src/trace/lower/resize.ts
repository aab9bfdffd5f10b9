/** Resizing of images [N, H, W, C], bilinear and to the nearest neighbour, and the gradients of both. */
import type { Shape } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import type { KernelAttributes, Lowering, LoweringTable } from './lowering.js';
import { pick, scatter } from './resample.js';

interface ResizeAttributes {
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
  readonly size: readonly [number, number];
}

const resizeAttributes = (attributes: KernelAttributes) => attributes as unknown as ResizeAttributes;

/** Positions between which an output lies, and how far it is from `low` to `high`. */
interface Between {
  readonly low: number[];
  readonly high: number[];
  readonly fraction: number[];
}

/** Steps of the input for one step of the output, in float64 as tfjs's own kernels compute it. */
function ratio(from: number, to: number, { alignCorners }: ResizeAttributes): number {
  return alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
}

function between(from: number, to: number, attributes: ResizeAttributes): Between {
  const step = ratio(from, to, attributes);
  const source = Array.from({ length: to }, (_, i) =>
    attributes.halfPixelCenters ? step * (i + 0.5) - 0.5 : step * i,
  );
  // Rounding may take the last source past the edge by an ulp; what lies outside is the edge itself.
  const inside = (at: number) => Math.min(from - 1, Math.max(0, at)) + 0;
  const low = source.map((at) => inside(Math.floor(at)));
  return {
    low,
    high: source.map((at) => inside(Math.ceil(at))),
    fraction: source.map((at, i) => at - low[i]!),
  };
}

function nearest(from: number, to: number, attributes: ResizeAttributes): number[] {
  const step = ratio(from, to, attributes);
  const { alignCorners, halfPixelCenters } = attributes;
  return Array.from({ length: to }, (_, i) => {
    const source = halfPixelCenters ? step * (i + 0.5) : step * i;
    return Math.max(0, Math.min(from - 1, alignCorners ? Math.round(source) : Math.floor(source)));
  });
}

/** A constant along axis 1 (H) or 2 (W) of [N, H, W, C]. */
const alongAxis = (e: Emitter, values: readonly number[], axis: number) =>
  e.constant(values, axis === 1 ? [1, values.length, 1, 1] : [1, 1, values.length, 1], 'float32');

/** Interpolation only where some output lies between two different positions. */
const mixes = ({ low, high, fraction }: Between) => fraction.some((f, i) => f !== 0 && low[i] !== high[i]);

function interpolate(e: Emitter, x: number, axis: number, positions: Between): number {
  const low = pick(e, x, axis, positions.low);
  if (!mixes(positions)) return low;
  const high = pick(e, x, axis, positions.high);
  const part = e.binary('mul', e.binary('sub', high, low), alongAxis(e, positions.fraction, axis));
  return e.binary('add', low, part);
}

/** The transpose of `interpolate`, into `n` positions. */
function distribute(e: Emitter, dy: number, axis: number, positions: Between, n: number): number {
  if (!mixes(positions)) return scatter(e, dy, axis, positions.low, n);
  const weighted = (weights: readonly number[]) => e.binary('mul', dy, alongAxis(e, weights, axis));
  const high = weighted(positions.fraction);
  const low = weighted(positions.fraction.map((f) => 1 - f));
  return scatter(e, e.concat([low, high], axis), axis, [...positions.low, ...positions.high], n);
}

const spatial = (shape: Shape): [number, number] => [shape[1]!, shape[2]!];

const bilinear: Lowering = (e, { images }, attributes) => {
  const a = resizeAttributes(attributes);
  const [height, width] = spatial(e.shape(images));
  const columns = interpolate(e, e.cast(images, 'float32'), 2, between(width, a.size[1], a));
  return interpolate(e, columns, 1, between(height, a.size[0], a));
};

const bilinearGrad: Lowering = (e, { images, dy }, attributes) => {
  const a = resizeAttributes(attributes);
  const [height, width] = spatial(e.shape(images));
  const [rows, columns] = spatial(e.shape(dy));
  const upstream = e.cast(dy, 'float32');
  const overRows = distribute(e, upstream, 1, between(height, rows, a), height);
  return distribute(e, overRows, 2, between(width, columns, a), width);
};

const nearestNeighbor: Lowering = (e, { images }, attributes) => {
  const a = resizeAttributes(attributes);
  const [height, width] = spatial(e.shape(images));
  return pick(e, pick(e, images, 2, nearest(width, a.size[1], a)), 1, nearest(height, a.size[0], a));
};

const nearestNeighborGrad: Lowering = (e, { images, dy }, attributes) => {
  const a = resizeAttributes(attributes);
  const [height, width] = spatial(e.shape(images));
  const [rows, columns] = spatial(e.shape(dy));
  const overRows = scatter(e, e.cast(dy, 'float32'), 1, nearest(height, rows, a), height);
  return e.cast(scatter(e, overRows, 2, nearest(width, columns, a), width), e.dtype(images));
};

export const RESIZING: LoweringTable = {
  ResizeBilinear: bilinear,
  ResizeBilinearGrad: bilinearGrad,
  ResizeNearestNeighbor: nearestNeighbor,
  ResizeNearestNeighborGrad: nearestNeighborGrad,
};
