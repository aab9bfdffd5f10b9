/** Shape rules of convolutions and pooling: everything that slides a window over the axes D, H, W. */
import type { Op, Shape, Triple, Window } from './graph.js';
import {
  arity,
  fail,
  hintedShape,
  type Inputs,
  type OpOf,
  one,
  type Rule,
  sameShape,
  type TypeHint,
  type ValueType,
} from './infer-checks.js';

type ConvOp = OpOf<'conv' | 'convInputGrad' | 'convFilterGrad'>;
type WindowOp = Extract<Op, { readonly window: Window }>;

const AXES = ['D', 'H', 'W'] as const;
/** Positions are computed in int32. */
const MOST = 2 ** 31 - 1;

/** The geometry itself, and between an image [N, D, H, W, C] and windows [N, OD, OH, OW, C']. */
function checkWindow(op: WindowOp, inputs: Inputs, image: Shape, windows: Shape): void {
  const { size, strides, dilations, padBefore } = op.window;
  const whole = (triple: Triple, least: number) =>
    triple.length === 3 && triple.every((n) => Number.isInteger(n) && n >= least && Math.abs(n) <= MOST);
  const detail = ` with window size [${size}], strides [${strides}], dilations [${dilations}], padBefore [${padBefore}]`;
  if (!whole(size, 1) || !whole(strides, 1) || !whole(dilations, 1) || !whole(padBefore, -MOST))
    fail(op, 'size, strides and dilations of three whole numbers >= 1, and whole padBefore', inputs, detail);
  if (image[0] !== windows[0])
    fail(op, 'as many images before as after', inputs, ` (${image[0]} and ${windows[0]})`);
  AXES.forEach((axis, i) => {
    const last = (windows[i + 1]! - 1) * strides[i]! - padBefore[i]! + (size[i]! - 1) * dilations[i]!;
    if (Math.abs(last) > MOST || Math.abs(padBefore[i]!) + image[i + 1]! > MOST)
      fail(op, `positions along ${axis} that int32 can count`, inputs, detail);
  });
}

/** An input as float32 [N, D, H, W, C]. */
function volume(op: Op, inputs: Inputs, i: number): Shape {
  const x = inputs[i]!;
  if (x.dtype !== 'float32' || x.shape.length !== 5) fail(op, `float32 of rank 5 as input ${i}`, inputs);
  return x.shape;
}

function hintedVolume(op: Op, inputs: Inputs, hint: TypeHint | undefined): Shape {
  const shape = hintedShape(op, inputs, hint);
  if (shape.length !== 5) fail(op, 'an output shape of rank 5', inputs, ` with [${shape.join(',')}]`);
  return shape;
}

/** Channels of x and y that a filter [KD, KH, KW, C, F] connects. */
function channelsOf(op: ConvOp, filter: Shape): { x: number; y: number } {
  const [c, f] = filter.slice(3) as [number, number];
  return { x: c, y: op.depthwise ? c * f : f };
}

function checkConv(op: ConvOp, inputs: Inputs, x: Shape, filter: Shape, y: Shape): void {
  checkWindow(op, inputs, x, y);
  if (!sameShape(filter.slice(0, 3), op.window.size))
    fail(op, `a filter of the window's size [${op.window.size}]`, inputs);
  const channels = channelsOf(op, filter);
  if (x[4] !== channels.x || y[4] !== channels.y)
    fail(
      op,
      `${channels.x} channels in and ${channels.y} out, as the ${op.depthwise ? 'depthwise ' : ''}filter [${filter.join(',')}] has`,
      inputs,
      ` (${x[4]} and ${y[4]})`,
    );
}

function inferConv(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  arity(op, inputs, 2);
  const shape = hintedVolume(op, inputs, hint);
  checkConv(op as ConvOp, inputs, volume(op, inputs, 0), volume(op, inputs, 1), shape);
  return { shape, dtype: 'float32' };
}

function inferConvInputGrad(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  arity(op, inputs, 2);
  const shape = hintedVolume(op, inputs, hint);
  checkConv(op as ConvOp, inputs, shape, volume(op, inputs, 1), volume(op, inputs, 0));
  return { shape, dtype: 'float32' };
}

/** The filter's own shape follows from the channels; without channels in, a hint may say how many a depthwise filter makes of each. */
function inferConvFilterGrad(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  arity(op, inputs, 2);
  const conv = op as ConvOp;
  const x = volume(op, inputs, 0);
  const dy = volume(op, inputs, 1);
  const [from, to] = [x[4]!, dy[4]!];
  if (conv.depthwise && (from === 0 ? to !== 0 : to % from !== 0))
    fail(op, `a whole multiple of ${from} channels in dy`, inputs);
  const perChannel = from === 0 ? (hint?.shape?.[4] ?? 0) : to / from;
  const shape = [...conv.window.size, from, conv.depthwise ? perChannel : to];
  checkConv(conv, inputs, x, shape, dy);
  return { shape, dtype: 'float32' };
}

function checkPool(op: Op, inputs: Inputs, x: Shape, y: Shape): void {
  checkWindow(op as WindowOp, inputs, x, y);
  if (x[4] !== y[4]) fail(op, 'as many channels before as after', inputs, ` (${x[4]} and ${y[4]})`);
}

function inferPool(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  one(op, inputs, ['float32']);
  const shape = hintedVolume(op, inputs, hint);
  checkPool(op, inputs, volume(op, inputs, 0), shape);
  return { shape, dtype: 'float32' };
}

function inferMaxGrad(op: Op, inputs: Inputs): ValueType {
  arity(op, inputs, 2);
  const shape = volume(op, inputs, 0);
  checkPool(op, inputs, shape, volume(op, inputs, 1));
  return { shape, dtype: 'float32' };
}

function inferSumGrad(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  one(op, inputs, ['float32']);
  const shape = hintedVolume(op, inputs, hint);
  checkPool(op, inputs, shape, volume(op, inputs, 0));
  return { shape, dtype: 'float32' };
}

export const WINDOW_RULES: readonly (readonly [string, Rule])[] = [
  ['conv', inferConv],
  ['convInputGrad', inferConvInputGrad],
  ['convFilterGrad', inferConvFilterGrad],
  ['windowMax', inferPool],
  ['windowSum', inferPool],
  ['windowMaxGrad', inferMaxGrad],
  ['windowSumGrad', inferSumGrad],
];
