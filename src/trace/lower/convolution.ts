/** Convolutions of images and volumes, depthwise, transposed and fused ones, and their gradients. */
import { UnsupportedOpError } from '../../errors.js';
import type { Shape, Window } from '../../graph/graph.js';
import { sizeOf } from '../../graph/graph.js';
import { sameShape } from '../../graph/infer.js';
import type { Emitter } from '../emitter.js';
import { activate, arithmetic } from './elementwise.js';
import {
  asVolume,
  fromVolume,
  type Geometry,
  geometry2D,
  geometry3D,
  type WindowAttributes,
} from './geometry.js';
import type { KernelAttributes, Lowering, LoweringTable } from './lowering.js';

interface ConvAttributes extends WindowAttributes {
  readonly inputShape: Shape;
  readonly filterShape: Shape;
  /** In gradients of gradients inside a trace: the shape that y has, whatever the rounding mode was. */
  readonly outputShape?: Shape;
}

/** The kernels of one kind of convolution: Conv2D, Conv3D or DepthwiseConv2dNative. */
interface Kind {
  readonly depthwise: boolean;
  readonly geometry: (x: Shape, filter: Shape, attributes: WindowAttributes) => Geometry;
}

const FLAT: Kind = { depthwise: false, geometry: (x, filter, a) => geometry2D(x, filter, a, false) };
const DEPTHWISE: Kind = { depthwise: true, geometry: (x, filter, a) => geometry2D(x, filter, a, true) };
const SOLID: Kind = { depthwise: false, geometry: geometry3D };

const convAttributes = (attributes: KernelAttributes) => attributes as unknown as ConvAttributes;

const channelsLast = (e: Emitter, x: number, { dataFormat }: WindowAttributes) =>
  dataFormat === 'NCHW' ? e.transpose(x, [0, 2, 3, 1]) : x;

const channelsBack = (e: Emitter, x: number, { dataFormat }: WindowAttributes) =>
  dataFormat === 'NCHW' ? e.transpose(x, [0, 3, 1, 2]) : x;

/** [N, H, W, C] or [N, D, H, W, C], in the kernel's data format, as float32 [N, D, H, W, C]. */
const volume = (e: Emitter, x: number, attributes: WindowAttributes) =>
  asVolume(e, e.cast(channelsLast(e, x, attributes), 'float32'));

/** The shape that `volume` gives. */
function volumeShape(shape: Shape, { dataFormat }: WindowAttributes): Shape {
  const [n, ...rest] = shape as [number, ...number[]];
  if (rest.length === 4) return shape;
  const last = dataFormat === 'NCHW' ? [...rest.slice(1), rest[0]!] : rest;
  return [n, 1, ...last];
}

/** [KH, KW, C, F] or [KD, KH, KW, C, F] as float32 of rank 5. */
function filterVolume(e: Emitter, filter: number): number {
  const shape = e.shape(filter);
  return e.reshape(e.cast(filter, 'float32'), shape.length === 4 ? [1, ...shape] : shape);
}

/**
 * Rows and columns of x as a matrix, where the convolution is a product with the filter as a matrix [columns, F]: a window of one
 * element at every position, or one window that is the whole of x. Matrix products are what devices do best.
 */
function asMatrix(
  { size, strides, dilations, padBefore }: Window,
  x: Shape,
  y: Shape,
): [number, number] | undefined {
  if (padBefore.some((p) => p !== 0)) return undefined;
  const [inside, outside] = [x.slice(1, 4), y.slice(1, 4)];
  const pointwise = sizeOf(size) === 1 && strides.every((s) => s === 1) && sameShape(inside, outside);
  if (pointwise) return [sizeOf(x.slice(0, 4)), x[4]!];
  const dense = dilations.every((d, i) => d === 1 || size[i] === 1);
  const whole = sizeOf(outside) === 1 && sameShape(inside, size) && dense;
  return whole ? [x[0]!, sizeOf(x.slice(1))] : undefined;
}

const product = (e: Emitter, a: number, b: number, transposeA: boolean, transposeB: boolean) =>
  e.add({ name: 'matMul', transposeA, transposeB }, [a, b]);

/** x [N, D, H, W, C] and filter [KD, KH, KW, C, F] -> y. */
function forward(e: Emitter, { depthwise }: Kind, window: Window, x: number, filter: number, y: Shape) {
  if ([e.shape(x), e.shape(filter), y].some((shape) => sizeOf(shape) === 0)) return e.splat(0, y, 'float32');
  const matrix = depthwise ? undefined : asMatrix(window, e.shape(x), y);
  if (!matrix) return e.add({ name: 'conv', window, depthwise }, [x, filter], y);
  const rows = e.reshape(x, matrix);
  return e.reshape(product(e, rows, e.reshape(filter, [matrix[1], y[4]!]), false, false), y);
}

function inputGrad(e: Emitter, { depthwise }: Kind, window: Window, dy: number, filter: number, x: Shape) {
  if ([e.shape(dy), e.shape(filter), x].some((shape) => sizeOf(shape) === 0)) return e.splat(0, x, 'float32');
  const y = e.shape(dy);
  const matrix = depthwise ? undefined : asMatrix(window, x, y);
  if (!matrix) return e.add({ name: 'convInputGrad', window, depthwise }, [dy, filter], x);
  const upstream = e.reshape(dy, [matrix[0], y[4]!]);
  return e.reshape(product(e, upstream, e.reshape(filter, [matrix[1], y[4]!]), false, true), x);
}

function filterGrad(e: Emitter, { depthwise }: Kind, window: Window, x: number, dy: number, filter: Shape) {
  if ([e.shape(x), e.shape(dy), filter].some((shape) => sizeOf(shape) === 0))
    return e.splat(0, filter, 'float32');
  const y = e.shape(dy);
  const matrix = depthwise ? undefined : asMatrix(window, e.shape(x), y);
  if (!matrix) return e.add({ name: 'convFilterGrad', window, depthwise }, [x, dy], filter);
  const upstream = e.reshape(dy, [matrix[0], y[4]!]);
  return e.reshape(product(e, e.reshape(x, matrix), upstream, true, false), filter);
}

function convolve(e: Emitter, kind: Kind, x: number, filter: number, attributes: KernelAttributes): number {
  const a = convAttributes(attributes);
  const { window, y: computed } = kind.geometry(e.shape(x), e.shape(filter), a);
  const y = a.outputShape ? volumeShape(a.outputShape, a) : computed;
  const result = forward(e, kind, window, volume(e, x, a), filterVolume(e, filter), y);
  return e.cast(channelsBack(e, fromVolume(e, result, e.rank(x)), a), e.dtype(x));
}

const plain =
  (kind: Kind): Lowering =>
  (e, { x, filter }, attributes) =>
    convolve(e, kind, x, filter, attributes);

/**
 * dy as it counts. tfjs's gradients leave the rounding mode out, so that where there may have been one (numbers as pads) dy itself says how
 * many windows there were; otherwise what lies beyond them is dropped, as in tfjs.
 */
function upstream(e: Emitter, dy: number, y: Shape, attributes: WindowAttributes): number {
  const whole = volume(e, dy, attributes);
  if (typeof attributes.pad !== 'string') return whole;
  const shape = e.shape(whole);
  const size = shape.map((d, i) => (i > 0 && i < 4 ? Math.min(d, y[i]!) : d));
  return e.slice(
    whole,
    size.map(() => 0),
    size,
  );
}

const towardsInput =
  (kind: Kind): Lowering =>
  (e, { dy, filter }, attributes) => {
    const a = convAttributes(attributes);
    const { window, x, y } = kind.geometry(a.inputShape, e.shape(filter), a);
    const result = inputGrad(e, kind, window, upstream(e, dy, y, a), filterVolume(e, filter), x);
    return channelsBack(e, fromVolume(e, result, e.rank(dy)), a);
  };

const towardsFilter =
  (kind: Kind): Lowering =>
  (e, { x, dy }, attributes) => {
    const a = convAttributes(attributes);
    const { window, y } = kind.geometry(e.shape(x), a.filterShape, a);
    const shape = [...window.size, ...a.filterShape.slice(-2)];
    const result = filterGrad(e, kind, window, volume(e, x, a), upstream(e, dy, y, a), shape);
    return e.reshape(result, a.filterShape);
  };

/** Along the channels of a result in the data format NCHW, a vector that is given for channels. */
function alongChannels(e: Emitter, vector: number, { dataFormat }: WindowAttributes): number {
  const shape = e.shape(vector);
  const isVector = shape.length === 1 && shape[0] !== 1;
  return dataFormat === 'NCHW' && isVector ? e.reshape(vector, [shape[0]!, 1, 1]) : vector;
}

const fused =
  (kind: Kind, op: string): Lowering =>
  (e, { x, filter, bias, preluActivationWeights }, attributes) => {
    const a = convAttributes(attributes);
    const { activation = 'linear', leakyreluAlpha } = attributes;
    const convolved = convolve(e, kind, x, filter, attributes);
    const shifted =
      bias === undefined ? convolved : arithmetic(e, 'add', convolved, alongChannels(e, bias, a));
    const alpha =
      preluActivationWeights === undefined ? undefined : alongChannels(e, preluActivationWeights, a);
    const output = activate(e, shifted, activation ?? 'linear', alpha, leakyreluAlpha ?? 0.2);
    if (output !== undefined) return output;
    throw new UnsupportedOpError(
      op,
      `${op}: the activation '${activation}' is not traceable; use linear, relu, relu6, elu, sigmoid, leakyrelu or prelu (with its weights), or apply it afterwards`,
    );
  };

export const CONVOLUTIONS: LoweringTable = {
  Conv2D: plain(FLAT),
  Conv2DBackpropInput: towardsInput(FLAT),
  Conv2DBackpropFilter: towardsFilter(FLAT),
  FusedConv2D: fused(FLAT, 'fused.conv2d'),
  DepthwiseConv2dNative: plain(DEPTHWISE),
  DepthwiseConv2dNativeBackpropInput: towardsInput(DEPTHWISE),
  DepthwiseConv2dNativeBackpropFilter: towardsFilter(DEPTHWISE),
  FusedDepthwiseConv2D: fused(DEPTHWISE, 'fused.depthwiseConv2d'),
  Conv3D: plain(SOLID),
  Conv3DBackpropInputV2: towardsInput(SOLID),
  Conv3DBackpropFilterV2: towardsFilter(SOLID),
};
