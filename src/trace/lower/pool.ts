/**
 * Pooling over images and volumes, and its gradients.
 *
 * NaN in a window makes its maximum NaN, as everywhere in a graph (tfjs's own kernels pass over it). Where a maximum occurs more than
 * once, the gradient goes to the first position in 2-D and to the last in 3-D, as in tfjs.
 */
import type { DType, Shape } from '../../graph/graph.js';
import { sizeOf } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import {
  asVolume,
  counts,
  countsAlong,
  fromVolume,
  type Geometry,
  isTrivial,
  padsAlong,
  poolGeometry,
  positionOf,
  reversed,
  type WindowAttributes,
} from './geometry.js';
import type { KernelAttributes, Lowering, LoweringTable } from './lowering.js';

const poolAttributes = (attributes: KernelAttributes) => attributes as unknown as WindowAttributes;

const AXES = [0, 1, 2] as const;

/** What a maximum of float32 or int32 starts from. */
const least = (dtype: DType) => (dtype === 'float32' ? Number.NEGATIVE_INFINITY : -(2 ** 31));

/** A constant that varies along one spatial axis of [N, D, H, W, C] only. */
function along(e: Emitter, values: readonly number[], axis: number, dtype: DType): number {
  return e.constant(values, [1, ...AXES.map((a) => (a === axis ? values.length : 1)), 1], dtype);
}

/** The slice of x that element `k` of all windows reads along `axis`; x is padded already, by `before`. */
function sliceAlong(
  e: Emitter,
  x: number,
  { window, y }: Geometry,
  axis: number,
  k: number,
  before: number,
): number {
  const size = e.shape(x).map((d, i) => (i === axis + 1 ? y[i]! : d));
  const begin = size.map((_, i) => (i === axis + 1 ? positionOf(window, axis, 0, k) + before : 0));
  const strides = size.map((_, i) => (i === axis + 1 ? window.strides[axis]! : 1));
  return e.slice(x, begin, size, strides.every((s) => s === 1) ? undefined : strides);
}

function padAlong(e: Emitter, x: number, geometry: Geometry, axis: number, value: number): number {
  const pads = padsAlong(geometry, axis);
  const paddings = e.shape(x).map((_, i): [number, number] => (i === axis + 1 ? pads : [0, 0]));
  return e.pad(x, paddings, value);
}

/** Axes along which the window is more than the position itself. */
const windowedAxes = ({ window, x, y }: Geometry) =>
  AXES.filter(
    (axis) =>
      window.size[axis] !== 1 ||
      window.strides[axis] !== 1 ||
      window.padBefore[axis] !== 0 ||
      x[axis + 1] !== y[axis + 1],
  );

/** Maxima of int32 windows, axis by axis: the core op has them in float32 only, which would round large numbers. */
function integerMax(e: Emitter, x: number, geometry: Geometry): number {
  return windowedAxes(geometry).reduce((value, axis) => {
    const padded = padAlong(e, value, geometry, axis, least('int32'));
    const before = padsAlong(geometry, axis)[0];
    return Array.from({ length: geometry.window.size[axis]! }, (_, k) =>
      sliceAlong(e, padded, geometry, axis, k, before),
    ).reduce((a, b) => e.binary('maximum', a, b));
  }, x);
}

/** Where a candidate takes the place of the best so far: it is larger, or the first NaN. */
function exceeds(e: Emitter, candidate: number, best: number): number {
  if (e.dtype(candidate) !== 'float32') return e.binary('greater', candidate, best);
  const above = e.unary('logicalNot', e.binary('lessEqual', candidate, best));
  return e.binary('logicalAnd', above, e.unary('logicalNot', e.unary('isNan', best)));
}

/**
 * Where each window has its first maximum (its first NaN, if it has one): int32 positions d * H * W + h * W + w in x, of y's shape; -1 for a
 * window that lies outside x. Axis by axis, W first: within a row the first column, then the first of the rows.
 */
function firstMaximum(e: Emitter, x: number, geometry: Geometry): number {
  const { window } = geometry;
  const areas = [geometry.x[2]! * geometry.x[3]!, geometry.x[3]!, 1] as const;
  const lowest = least(e.dtype(x));
  const windowed = windowedAxes(geometry);
  let value = x;
  let position = e.scalar(0, 'int32');
  /** Of windows whose elements are all as small as can be: their first element inside x. */
  let untouched = position;
  for (const axis of AXES.toReversed()) {
    const extent = geometry.x[axis + 1]!;
    const outputs = Array.from({ length: geometry.y[axis + 1]! }, (_, o) => o);
    const elements = Array.from({ length: window.size[axis]! }, (_, k) => k);
    const part = (at: (o: number) => number) =>
      along(
        e,
        outputs.map((o) => at(o) * areas[axis]!),
        axis,
        'int32',
      );
    if (!windowed.includes(axis)) {
      if (extent === 1) continue;
      position = e.binary('add', position, part(Number));
      untouched = e.binary('add', untouched, part(Number));
      continue;
    }
    const before = padsAlong(geometry, axis)[0];
    const values = padAlong(e, value, geometry, axis, lowest);
    // Positions that do not vary along this axis serve all elements as they are.
    const varies = e.rank(position) > 0 && e.shape(position)[axis + 1] !== 1;
    const rows = varies ? padAlong(e, position, geometry, axis, 0) : undefined;
    const inside = (at: number) => at >= 0 && at < extent;
    const first = (o: number) => elements.map((k) => positionOf(window, axis, o, k)).find(inside) ?? 0;
    untouched = e.binary('add', untouched, part(first));
    let [best, bestPosition] = [e.scalar(lowest, e.dtype(x)), untouched];
    for (const k of elements) {
      const candidate = sliceAlong(e, values, geometry, axis, k, before);
      const row = rows === undefined ? position : sliceAlong(e, rows, geometry, axis, k, before);
      const here = e.binary(
        'add',
        row,
        part((o) => positionOf(window, axis, o, k)),
      );
      const better = exceeds(e, candidate, best);
      best = e.select(better, candidate, best);
      bestPosition = e.select(better, here, bestPosition);
    }
    [value, position] = [best, bestPosition];
  }
  return AXES.reduce(
    (p, axis) => {
      const empty = countsAlong(geometry, axis).map((n) => +(n === 0));
      if (!empty.includes(1)) return p;
      return e.select(along(e, empty, axis, 'bool'), e.scalar(-1, 'int32'), p);
    },
    e.broadcastTo(position, geometry.y),
  );
}

/** Positions within each image as positions in x as a list of numbers; -1 stays. */
function flatPositions(e: Emitter, positions: number, { x, y }: Geometry, withBatch: boolean): number {
  const channels = e.reshape(e.iota(y[4]!), [1, 1, 1, 1, y[4]!]);
  const scaled = e.binary('add', e.binary('mul', positions, e.scalar(x[4]!, 'int32')), channels);
  const image = e.add({ name: 'iota', start: 0, step: sizeOf(x.slice(1)) }, [], [y[0]!]);
  const all = withBatch ? e.binary('add', scaled, e.reshape(image, [y[0]!, 1, 1, 1, 1])) : scaled;
  const outside = e.binary('less', positions, e.scalar(0, 'int32'));
  return e.select(outside, e.scalar(-1, 'int32'), all);
}

const emptyOutput = ({ y }: Geometry) => sizeOf(y) === 0;

function max(e: Emitter, x: number, geometry: Geometry): number {
  const dtype = e.dtype(x);
  if (emptyOutput(geometry)) return e.splat(0, geometry.y, dtype);
  if (dtype !== 'float32') return e.cast(integerMax(e, e.numeric(x), geometry), dtype);
  return e.add({ name: 'windowMax', window: geometry.window }, [x], geometry.y);
}

/** Means over what lies inside x. A window outside x has the mean NaN in 2-D and 0 in 3-D, as in tfjs. */
function mean(e: Emitter, x: number, geometry: Geometry, ofNothing: number): number {
  if (emptyOutput(geometry)) return e.splat(0, geometry.y, 'float32');
  const sum = e.add({ name: 'windowSum', window: geometry.window }, [e.cast(x, 'float32')], geometry.y);
  const [, d, h, w] = geometry.y as number[];
  const inside = counts(geometry).map((n) => (n === 0 ? ofNothing : n));
  const everywhere = inside.every((n) => n === inside[0]);
  const divisor = everywhere
    ? e.scalar(inside[0]!, 'float32')
    : e.constant(inside, [1, d!, h!, w!, 1], 'float32');
  return e.binary('div', sum, divisor);
}

/** The windows are those of dy: tfjs's gradients may leave the rounding mode out, which changes how many there are. */
function gradientGeometry(e: Emitter, input: number, dy: number, attributes: KernelAttributes): Geometry {
  const geometry = poolGeometry(e.shape(input), poolAttributes(attributes));
  return { ...geometry, y: e.shape(asVolume(e, dy)) };
}

const reverseVolume = (e: Emitter, x: number): number => {
  const shape = e.shape(x);
  if (sizeOf(shape) === 0) return x;
  const spatial = (_: number, i: number) => i > 0 && i < 4;
  return e.slice(
    x,
    shape.map((d, i) => (spatial(d, i) ? d - 1 : 0)),
    shape,
    shape.map((d, i) => (spatial(d, i) ? -1 : 1)),
  );
};

/** Runs `f` on volumes read backwards, so that what it takes for the first position is the last. */
function backwards(
  e: Emitter,
  inputs: readonly number[],
  geometry: Geometry,
  f: (inputs: readonly number[], geometry: Geometry) => number,
): number {
  const turned = f(
    inputs.map((x) => reverseVolume(e, x)),
    reversed(geometry),
  );
  return reverseVolume(e, turned);
}

const maxPool: Lowering = (e, { x }, attributes) => {
  const geometry = poolGeometry(e.shape(x), poolAttributes(attributes));
  if (isTrivial(geometry, e.rank(x))) return e.rank(x) === 5 ? e.cast(x, 'float32') : x;
  const result = fromVolume(e, max(e, asVolume(e, x), geometry), e.rank(x));
  return e.rank(x) === 5 ? e.cast(result, 'float32') : result;
};

const maxPoolGrad: Lowering = (e, { dy, input }, attributes) => {
  const geometry = gradientGeometry(e, input, dy, attributes);
  const [x, upstream] = [input, dy].map((v) => asVolume(e, e.cast(v, 'float32'))) as [number, number];
  const grad = ([a, b]: readonly number[], { window }: Geometry) =>
    e.add({ name: 'windowMaxGrad', window }, [a!, b!]);
  let result: number;
  if (sizeOf(geometry.x) === 0 || emptyOutput(geometry)) result = e.splat(0, geometry.x, 'float32');
  else if (isTrivial(geometry, e.rank(input))) result = upstream;
  else if (e.rank(input) === 4) result = grad([x, upstream], geometry);
  else result = backwards(e, [x, upstream], geometry, grad);
  return fromVolume(e, result, e.rank(input));
};

/** That of a transpose, whose output has the shape that dy had: `outputShape`. */
function transposeGeometry(e: Emitter, x: number, attributes: KernelAttributes): Geometry {
  const { outputShape } = attributes as unknown as { outputShape: Shape };
  const y = outputShape.length === 4 ? outputShape.toSpliced(1, 0, 1) : outputShape;
  return { ...poolGeometry(e.shape(x), poolAttributes(attributes)), y };
}

/**
 * Of each window, the element of u where x has its maximum: the transpose of MaxPoolGrad in dy. Inputs x and value (u); attributes
 * as MaxPoolGrad, and `outputShape`, that of dy.
 */
const pickMaximum: Lowering = (e, { x, value }, attributes) => {
  const geometry = transposeGeometry(e, x, attributes);
  const pick = ([a, b]: readonly number[], g: Geometry) => {
    const positions = flatPositions(e, firstMaximum(e, a!, g), g, true);
    const nowhere = e.binary('less', positions, e.scalar(0, 'int32'));
    const safe = e.binary('maximum', positions, e.scalar(0, 'int32'));
    const picked = e.add({ name: 'gather', axis: 0, batchDims: 0 }, [e.reshape(b!, [sizeOf(g.x)]), safe]);
    return e.select(nowhere, e.scalar(0, 'float32'), picked);
  };
  const [input, u] = [x, value].map((v) => asVolume(e, e.cast(v, 'float32'))) as [number, number];
  let result: number;
  if (sizeOf(geometry.x) === 0 || emptyOutput(geometry)) result = e.splat(0, geometry.y, 'float32');
  else if (isTrivial(geometry, e.rank(x))) result = u;
  else if (e.rank(x) === 4) result = pick([input, u], geometry);
  else result = backwards(e, [input, u], geometry, pick);
  return fromVolume(e, result, e.rank(x));
};

const maxPoolWithArgmax: Lowering = (e, { x }, attributes) => {
  const geometry = poolGeometry(e.shape(x), poolAttributes(attributes));
  const { includeBatchInIndex } = attributes as unknown as { includeBatchInIndex: boolean };
  const volume = asVolume(e, x);
  const outputs = emptyOutput(geometry)
    ? [e.splat(0, geometry.y, e.dtype(x)), e.splat(0, geometry.y, 'int32')]
    : [
        max(e, volume, geometry),
        flatPositions(
          e,
          firstMaximum(e, e.numeric(volume), geometry),
          geometry,
          includeBatchInIndex === true,
        ),
      ];
  return outputs.map((output) => fromVolume(e, output, e.rank(x)));
};

const avgPool =
  (ofNothing: number): Lowering =>
  (e, { x }, attributes) => {
    const geometry = poolGeometry(e.shape(x), poolAttributes(attributes));
    if (isTrivial(geometry, e.rank(x))) return x;
    return fromVolume(e, mean(e, asVolume(e, x), geometry, ofNothing), e.rank(x));
  };

/** Every dy is shared out over the whole window, inside x or not, as tfjs has it; a trace's own rule scales dy first. */
const avgPoolGrad: Lowering = (e, { dy, input }, attributes) => {
  const geometry = gradientGeometry(e, input, dy, attributes);
  const upstream = asVolume(e, e.cast(dy, 'float32'));
  if (isTrivial(geometry, e.rank(input))) return dy;
  if (sizeOf(geometry.x) === 0 || emptyOutput(geometry)) return e.splat(0, e.shape(input), 'float32');
  const share = e.binary('mul', upstream, e.scalar(1 / sizeOf(geometry.window.size), 'float32'));
  const result = e.add({ name: 'windowSumGrad', window: geometry.window }, [share], geometry.x);
  return fromVolume(e, result, e.rank(input));
};

export const POOLING: LoweringTable = {
  MaxPool: maxPool,
  MaxPoolGrad: maxPoolGrad,
  MaxPool3D: maxPool,
  MaxPool3DGrad: maxPoolGrad,
  MaxPoolWithArgmax: maxPoolWithArgmax,
  AvgPool: avgPool(Number.NaN),
  AvgPoolGrad: avgPoolGrad,
  AvgPool3D: avgPool(1),
  AvgPool3DGrad: avgPoolGrad,
};

/** The transpose of AvgPoolGrad: sums over windows, divided by the size of a whole one. Attributes as `pickMaximum`. */
const avgPoolSum: Lowering = (e, { x }, attributes) => {
  const geometry = transposeGeometry(e, x, attributes);
  if (isTrivial(geometry, e.rank(x))) return x;
  if (sizeOf(geometry.x) === 0 || emptyOutput(geometry))
    return fromVolume(e, e.splat(0, geometry.y, 'float32'), e.rank(x));
  const { window, y } = geometry;
  const sum = e.add({ name: 'windowSum', window }, [asVolume(e, e.cast(x, 'float32'))], y);
  return fromVolume(e, e.binary('mul', sum, e.scalar(1 / sizeOf(window.size), 'float32')), e.rank(x));
};

/** Kernels of traces only, which gradients of gradients need. */
export const POOLING_TRANSPOSES: LoweringTable = {
  MaxPoolPick: pickMaximum,
  MaxPool3DPick: pickMaximum,
  AvgPoolSum: avgPoolSum,
  AvgPool3DSum: avgPoolSum,
};
