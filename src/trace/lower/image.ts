/** Images [N, H, W, C]: cropping, rotating, projecting, flipping; and mirrored pads of any rank. */
import * as tf from '@tensorflow/tfjs';
import type { Shape } from '../../graph/graph.js';
import { sizeOf } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import type { KernelAttributes, Lowering, LoweringTable } from './lowering.js';
import { pick } from './resample.js';

const number = (e: Emitter, value: number) => e.scalar(value, 'float32');

const add = (e: Emitter, a: number, b: number) => e.binary('add', a, b);
const sub = (e: Emitter, a: number, b: number) => e.binary('sub', a, b);
const mul = (e: Emitter, a: number, b: number) => e.binary('mul', a, b);

/** True where low <= x <= high. */
function within(e: Emitter, x: number, low: number, high: number): number {
  const above = e.binary('greaterEqual', x, number(e, low));
  return e.binary('logicalAnd', above, e.binary('lessEqual', x, number(e, high)));
}

/** Math.round: halves go up. Not floor(x + 0.5), whose sum rounds up just below a half. */
function roundUp(e: Emitter, x: number): number {
  const low = e.unary('floor', x);
  const up = e.binary('greaterEqual', sub(e, x, low), number(e, 0.5));
  return e.select(up, add(e, low, number(e, 1)), low);
}

/** float32 positions, held inside [0, n - 1] (NaN gives 0), as int32. */
function indexOf(e: Emitter, x: number, n: number): number {
  const held = e.add({ name: 'clip', min: 0, max: n - 1 }, [x]);
  return e.cast(e.select(e.unary('isNan', held), number(e, 0), held), 'int32');
}

/**
 * Pixels [.., C] of images at int32 image, row and column numbers, which broadcast to the shape [..]; every one lies inside.
 */
function pixels(e: Emitter, images: number, image: number, row: number, column: number): number {
  const [n, height, width, channels] = e.shape(images) as [number, number, number, number];
  const integer = (value: number) => e.scalar(value, 'int32');
  const rows = add(e, mul(e, image, integer(height)), row);
  const position = add(e, mul(e, rows, integer(width)), column);
  const list = e.reshape(images, [n * height * width, channels]);
  return e.add({ name: 'gather', axis: 0, batchDims: 0 }, [list, position]);
}

interface CropAttributes {
  readonly cropSize: readonly [number, number];
  readonly method: 'bilinear' | 'nearest';
  readonly extrapolationValue: number;
}

/**
 * Where the crop samples along one axis, [boxes, size]: from `low` to `high` (in units of the image less one pixel) in equal steps. Each half
 * of the steps is counted from its own end, so that an end at the edge of the image is that edge exactly, not an ulp outside.
 */
function cropPositions(e: Emitter, low: number, high: number, extent: number, size: number): number {
  const last = extent - 1;
  if (size === 1) return mul(e, mul(e, number(e, 0.5), add(e, low, high)), number(e, last));
  const steps = Array.from({ length: size }, (_, i) => i);
  const fromLow = steps.map((i) => 2 * i < size);
  const offsets = steps.map((i) => (fromLow[i] ? i : i - (size - 1)) * (last / (size - 1)));
  const nearer = e.select(e.constant(fromLow.map(Number), [1, size], 'bool'), low, high);
  const offset = mul(e, sub(e, high, low), e.constant(offsets, [1, size], 'float32'));
  return add(e, mul(e, nearer, number(e, last)), offset);
}

const cropAndResize: Lowering = (e, { image, boxes, boxInd }, attributes) => {
  const { cropSize, method, extrapolationValue } = attributes as unknown as CropAttributes;
  const [batch, height, width, channels] = e.shape(image) as [number, number, number, number];
  const count = e.shape(boxes)[0]!;
  const [rows, columns] = cropSize;
  const result = [count, rows, columns, channels];
  if (sizeOf(result) === 0) return e.splat(0, result, 'float32');
  const source = e.cast(image, 'float32');
  const corner = (i: number) => e.slice(boxes, [0, i], [count, 1]);
  const y = e.reshape(cropPositions(e, corner(0), corner(2), height, rows), [count, rows, 1]);
  const x = e.reshape(cropPositions(e, corner(1), corner(3), width, columns), [count, 1, columns]);
  const ids = e.reshape(e.cast(boxInd, 'int32'), [count, 1, 1]);
  // A box of an image that is not there is left 0.
  const known = e.binary('less', ids, e.scalar(batch, 'int32'));
  const images = e.add({ name: 'clip', min: 0, max: batch - 1 }, [ids]);
  const read = (row: number, column: number) =>
    pixels(e, source, images, indexOf(e, row, height), indexOf(e, column, width));
  let value: number;
  if (method === 'nearest') value = read(roundUp(e, y), roundUp(e, x));
  else {
    const [top, left] = [e.unary('floor', y), e.unary('floor', x)];
    const [bottom, right] = [e.unary('ceil', y), e.unary('ceil', x)];
    const [down, across] = [sub(e, y, top), sub(e, x, left)].map((v) => e.reshape(v, [...e.shape(v), 1]));
    const mix = (a: number, b: number, part: number) => add(e, a, mul(e, sub(e, b, a), part));
    const above = mix(read(top, left), read(top, right), across!);
    const below = mix(read(bottom, left), read(bottom, right), across!);
    value = mix(above, below, down!);
  }
  const inside = e.binary('logicalAnd', within(e, y, 0, height - 1), within(e, x, 0, width - 1));
  const flag = (v: number) => e.reshape(v, [...e.shape(v), 1]);
  const cropped = e.select(flag(inside), value, number(e, extrapolationValue));
  return e.select(flag(known), cropped, number(e, 0));
};

interface RotateAttributes {
  readonly radians: number;
  readonly fillValue: number | readonly [number, number, number];
  readonly center: number | [number, number];
}

const OPAQUE = 255;

/** The angle is a host number, so where each pixel comes from is known. */
const rotateWithOffset: Lowering = (e, { image }, attributes) => {
  const { radians, fillValue, center } = attributes as unknown as RotateAttributes;
  const shape = e.shape(image);
  const [batch, height, width, channels] = shape as [number, number, number, number];
  if (sizeOf(shape) === 0) return image;
  const [centerX, centerY] = tf.backend_util.getImageCenter(center, height, width);
  const [sine, cosine] = [Math.sin(radians), Math.cos(radians)];
  const sources: number[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const column = Math.round((x - centerX) * cosine - (y - centerY) * sine + centerX);
      const row = Math.round((x - centerX) * sine + (y - centerY) * cosine + centerY);
      const inside = row >= 0 && row < height && column >= 0 && column < width;
      sources.push(inside ? row * width + column : -1);
    }
  }
  const rows = e.reshape(image, [batch, height * width, channels]);
  const turned = pick(
    e,
    rows,
    1,
    sources.map((at) => Math.max(0, at)),
  );
  const inside = e.constant(
    sources.map((at) => +(at >= 0)),
    [1, height * width, 1],
    'bool',
  );
  const colour = Array.from({ length: channels }, (_, c) => {
    if (typeof fillValue === 'number') return fillValue;
    return c === 3 ? OPAQUE : (fillValue[c] ?? Number.NaN);
  });
  const fill = e.constant(colour, [1, 1, channels], e.dtype(image));
  return e.reshape(e.select(inside, turned, fill), shape);
};

const flipLeftRight: Lowering = (e, { image }) => {
  const shape = e.shape(image);
  if (sizeOf(shape) === 0) return image;
  const width = shape[2]!;
  return pick(
    e,
    image,
    2,
    Array.from({ length: width }, (_, i) => width - 1 - i),
  );
};

interface TransformAttributes {
  readonly interpolation: 'nearest' | 'bilinear';
  readonly fillMode: 'constant' | 'reflect' | 'wrap' | 'nearest';
  readonly fillValue: number;
  readonly outputShape?: readonly [number, number] | null;
}

/** trunc(x / period) steps: how tfjs's fill modes bring a position back. */
function wholePeriods(e: Emitter, x: number, period: number, step = period): number {
  const ratio = e.binary('div', x, number(e, period));
  const truncated = e.select(
    e.binary('less', ratio, number(e, 0)),
    e.unary('ceil', ratio),
    e.unary('floor', ratio),
  );
  return mul(e, truncated, number(e, step));
}

/** Reflects [abcd] to [dcba|abcd|dcba]. */
function reflected(e: Emitter, x: number, n: number): number {
  const period = 2 * n;
  const negated = e.unary('neg', x);
  const shifted = add(e, wholePeriods(e, negated, period), x);
  const before = e.select(
    e.binary('less', shifted, number(e, -n)),
    add(e, shifted, number(e, period)),
    sub(e, e.unary('neg', shifted), number(e, 1)),
  );
  const folded = sub(e, x, wholePeriods(e, x, period));
  const after = e.select(
    e.binary('greaterEqual', folded, number(e, n)),
    sub(e, number(e, period - 1), folded),
    folded,
  );
  return outsideOf(e, x, n, before, after);
}

/** Wraps [abcd] to [abcd|abcd|abcd]. */
function wrapped(e: Emitter, x: number, n: number): number {
  const cycles = (v: number) => wholePeriods(e, v, n - 1, n);
  const before = add(e, add(e, x, cycles(e.unary('neg', x))), number(e, n));
  return outsideOf(e, x, n, before, sub(e, x, cycles(x)));
}

/** x inside [0, n - 1], `before` below it and `after` above it. */
function outsideOf(e: Emitter, x: number, n: number, before: number, after: number): number {
  const above = e.select(e.binary('greater', x, number(e, n - 1)), after, x);
  return e.select(e.binary('less', x, number(e, 0)), before, above);
}

function mapCoordinate(e: Emitter, x: number, n: number, mode: TransformAttributes['fillMode']): number {
  const clamp = (v: number) => e.add({ name: 'clip', min: 0, max: n - 1 }, [v]);
  switch (mode) {
    case 'reflect':
      return clamp(n <= 1 ? mul(e, x, number(e, 0)) : reflected(e, x, n));
    case 'wrap':
      return clamp(n <= 1 ? mul(e, x, number(e, 0)) : wrapped(e, x, n));
    case 'nearest':
      return clamp(x);
    default:
      return x;
  }
}

/**
 * Projective transforms [N or 1, 8], whose values may be traced: output pixel (x, y) is the input at
 * ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1.
 */
const transform: Lowering = (e, { image, transforms }, attributes) => {
  const { interpolation, fillMode, fillValue, outputShape } = attributes as unknown as TransformAttributes;
  const [batch, height, width, channels] = e.shape(image) as [number, number, number, number];
  const [rows, columns] = outputShape ?? [height, width];
  const shape: Shape = [batch, rows, columns, channels];
  const fill = number(e, fillValue);
  if (sizeOf(shape) === 0 || height === 0 || width === 0) return e.broadcastTo(fill, shape);
  const count = e.shape(transforms)[0]!;
  const at = (i: number) => e.reshape(e.slice(transforms, [0, i], [count, 1]), [count, 1, 1]);
  const x = e.reshape(e.cast(e.iota(columns), 'float32'), [1, 1, columns]);
  const y = e.reshape(e.cast(e.iota(rows), 'float32'), [1, rows, 1]);
  const linear = (i: number) => add(e, mul(e, at(i), x), mul(e, at(i + 1), y));
  const projection = add(e, linear(6), number(e, 1));
  const source = (i: number) => e.binary('div', add(e, linear(i), at(i + 2)), projection);
  const [column, row] = [
    mapCoordinate(e, source(0), width, fillMode),
    mapCoordinate(e, source(3), height, fillMode),
  ];
  const images = e.reshape(e.iota(batch), [batch, 1, 1]);
  const flag = (v: number) => e.reshape(v, [...e.shape(v), 1]);
  const read = (r: number, c: number) => {
    const inside = e.binary('logicalAnd', within(e, r, 0, height - 1), within(e, c, 0, width - 1));
    const pixel = pixels(e, image, images, indexOf(e, r, height), indexOf(e, c, width));
    return e.select(flag(inside), pixel, fill);
  };
  let value: number;
  if (interpolation === 'nearest') value = read(roundUp(e, row), roundUp(e, column));
  else {
    const [top, left] = [e.unary('floor', row), e.unary('floor', column)];
    const [bottom, right] = [add(e, top, number(e, 1)), add(e, left, number(e, 1))];
    const mix = (a: number, b: number, low: number, position: number, high: number) =>
      add(e, mul(e, flag(sub(e, high, position)), a), mul(e, flag(sub(e, position, low)), b));
    const above = mix(read(top, left), read(top, right), left, column, right);
    const below = mix(read(bottom, left), read(bottom, right), left, column, right);
    value = mix(above, below, top, row, bottom);
  }
  const infinite = e.binary('equal', projection, number(e, 0));
  return e.broadcastTo(e.select(flag(infinite), fill, value), shape);
};

interface MirrorAttributes {
  readonly paddings: readonly (readonly [number, number])[];
  readonly mode: 'reflect' | 'symmetric';
}

const mirrorPad: Lowering = (e, { x }, attributes) => {
  const { paddings, mode } = attributes as unknown as MirrorAttributes & KernelAttributes;
  const skip = mode === 'reflect' ? 1 : 0;
  return paddings.reduce((value, [before, after], axis) => {
    if (before === 0 && after === 0) return value;
    const n = e.shape(value)[axis]!;
    const front = Array.from({ length: before }, (_, i) => before - 1 - i + skip);
    const back = Array.from({ length: after }, (_, i) => n - 1 - skip - i);
    const edges = [front, undefined, back].map((edge) => (edge ? pick(e, value, axis, edge) : value));
    return e.concat(
      edges.filter((edge) => e.shape(edge)[axis]! > 0),
      axis,
    );
  }, x);
};

export const IMAGES: LoweringTable = {
  CropAndResize: cropAndResize,
  RotateWithOffset: rotateWithOffset,
  FlipLeftRight: flipLeftRight,
  Transform: transform,
  MirrorPad: mirrorPad,
};
