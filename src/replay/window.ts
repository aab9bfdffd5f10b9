/**
 * Convolutions and pooling for all particles. Particles go among the rows of the image where the filter is shared, among the channels of the
 * filter where the image is, and among the channels of both in depthwise convolutions; each is then one convolution. Only a filter per
 * particle on an image per particle takes the image apart, for a batched product of matrices.
 */
import type * as tf from '@tensorflow/tfjs';
import { type GraphNode, type Op, type Shape, sizeOf } from '../graph/graph.js';
import { product } from '../ops/product.js';
import {
  type ConvForm,
  conv,
  convFilterGrad,
  convInputGrad,
  windowMax,
  windowMaxGrad,
  windowSum,
  windowSumGrad,
} from '../ops/window.js';
import { fromPatches, patches } from '../ops/window-tensors.js';
import { filled, fullShape, type OpContext, type Operand, reshaped, spread } from './operand.js';
import { transpose } from './structure.js';

type OpOf<N extends Op['name']> = Extract<Op, { name: N }>;
type ConvOp = OpOf<'conv' | 'convInputGrad' | 'convFilterGrad'>;

/** [P, N, ...] -> [P * N, ...] */
function joinRows(x: tf.Tensor): tf.Tensor {
  const [particles, rows, ...rest] = x.shape;
  return reshaped(x, [particles * rows, ...rest]);
}

/** [P, ...rest] with the particles moved in front of the last `after` axes and joined with the first of these. */
function joinChannels(x: tf.Tensor, after: number): tf.Tensor {
  const rank = x.rank;
  const at = rank - 1 - after;
  const axes = x.shape.map((_, i) => i).slice(1);
  const moved = transpose(x, [...axes.slice(0, at), 0, ...axes.slice(at)]);
  const { shape } = moved;
  return reshaped(moved, [...shape.slice(0, at), shape[at] * shape[at + 1], ...shape.slice(at + 2)]);
}

/** The inverse of `joinChannels`, to [P, ...shape]. */
function splitChannels(x: tf.Tensor, shape: Shape, after: number, particles: number): tf.Tensor {
  const at = shape.length - after;
  const parted = reshaped(x, [...shape.slice(0, at), particles, ...shape.slice(at)]);
  const axes = parted.shape.map((_, i) => i).filter((i) => i !== at);
  return transpose(parted, [at, ...axes]);
}

/** `shape` with its axis `axis` taken `times` times. */
function widened(shape: Shape, axis: number, times: number): number[] {
  return shape.map((d, i) => (i === axis ? d * times : d));
}

/** The convolution or its gradient, of operands without particles. */
function single(name: ConvOp['name'], a: tf.Tensor, b: tf.Tensor, form: ConvForm, shape: Shape): tf.Tensor {
  if (name === 'conv') return conv(a, b, form, shape);
  return name === 'convInputGrad' ? convInputGrad(a, b, form, shape) : convFilterGrad(a, b, form, shape);
}

/** How many axes stand behind the one that holds channels c (images, windows of depthwise ones, filters). */
const BEHIND_CHANNELS = { image: 1, filter: 2 } as const;

function depthwise(node: GraphNode, op: ConvOp, a: Operand, b: Operand, context: OpContext): tf.Tensor {
  const { particles } = context;
  // Images and windows hold channels last, filters second to last.
  const behind = (isFilter: boolean) => (isFilter ? BEHIND_CHANNELS.filter : BEHIND_CHANNELS.image);
  const secondIsFilter = op.name !== 'convFilterGrad';
  const first = joinChannels(spread(a, a.node.shape, context), behind(false));
  const second = joinChannels(spread(b, b.node.shape, context), behind(secondIsFilter));
  const after = behind(!secondIsFilter);
  const shape = widened(node.shape, node.shape.length - after, particles);
  return splitChannels(single(op.name, first, second, op, shape), node.shape, after, particles);
}

/** A filter per particle on an image per particle. */
function separate(node: GraphNode, op: ConvOp, a: Operand, b: Operand, context: OpContext): tf.Tensor {
  const { particles } = context;
  const { window } = op;
  const image = op.name === 'convInputGrad' ? node.shape : a.node.shape;
  const windows = op.name === 'conv' ? node.shape : op.name === 'convInputGrad' ? a.node.shape : b.node.shape;
  const filter = op.name === 'convFilterGrad' ? node.shape : b.node.shape;
  const extents = {
    image: [image[1], image[2], image[3]] as const,
    windows: [windows[1], windows[2], windows[3]] as const,
  };
  const rows = sizeOf(windows.slice(0, 4));
  const inputs = sizeOf(filter.slice(0, 4));
  const outputs = filter[4];
  const full = fullShape(node.shape, true, context);
  const matrix = (x: Operand, shape: [number, number]) =>
    reshaped(x.tensor, [particles, ...shape]) as tf.Tensor3D;
  if (op.name === 'convInputGrad') {
    const columns = product(matrix(a, [rows, outputs]), matrix(b, [inputs, outputs]), false, true);
    return reshaped(fromPatches(columns, window, extents, particles * image[0], image[4]), full);
  }
  const columns = patches(joinRows(a.tensor), window, extents, particles);
  if (op.name === 'conv') return reshaped(product(columns, matrix(b, [inputs, outputs])), full);
  return reshaped(product(columns, matrix(b, [rows, outputs]), true), full);
}

function evaluateConv(node: GraphNode, op: ConvOp, a: Operand, b: Operand, context: OpContext): tf.Tensor {
  const { particles } = context;
  if (!a.varying && !b.varying) return single(op.name, a.tensor, b.tensor, op, node.shape);
  if (a.varying && !b.varying && op.name !== 'convFilterGrad') {
    const shape = widened(node.shape, 0, particles);
    const y = single(op.name, joinRows(a.tensor), b.tensor, op, shape);
    return reshaped(y, fullShape(node.shape, true, context));
  }
  if (op.depthwise) return depthwise(node, op, a, b, context);
  if (a.varying && b.varying) return separate(node, op, a, b, context);
  if (a.varying) {
    // convFilterGrad: images differ, dy does not; their channels are those of the filter.
    const shape = widened(node.shape, 3, particles);
    const y = single(op.name, joinChannels(a.tensor, 1), b.tensor, op, shape);
    return splitChannels(y, node.shape, 2, particles);
  }
  // What differs are filters, or dys; what comes of it has their particles among its channels.
  if (op.name === 'convInputGrad') {
    const shape = widened(node.shape, 4, particles);
    return splitChannels(
      single(op.name, a.tensor, joinChannels(b.tensor, 2), op, shape),
      node.shape,
      1,
      particles,
    );
  }
  const shape = widened(node.shape, 4, particles);
  return splitChannels(
    single(op.name, a.tensor, joinChannels(b.tensor, 1), op, shape),
    node.shape,
    1,
    particles,
  );
}

/** Evaluates a convolution or pooling op; undefined for any other. */
export function evaluateWindow(
  node: GraphNode,
  inputs: readonly Operand[],
  context: OpContext,
): tf.Tensor | undefined {
  const { op, shape } = node;
  const varying = inputs.some((x) => x.varying);
  const full = () => fullShape(shape, varying, context);
  const nothing = inputs.some((x) => sizeOf(x.node.shape) === 0);
  const value = nothing ? emptyWindow(op.name) : undefined;
  if (value !== undefined) return filled(full(), value, 'float32');
  const rows = varying ? widened(shape, 0, context.particles) : shape;
  /** Every row by itself: particles are rows. */
  const joined = (x: Operand) => (varying ? joinRows(spread(x, x.node.shape, context)) : x.tensor);
  switch (op.name) {
    case 'conv':
    case 'convInputGrad':
    case 'convFilterGrad':
      return evaluateConv(node, op, inputs[0], inputs[1], context);
    case 'windowMax':
      return reshaped(windowMax(joined(inputs[0]), op.window, rows), full());
    case 'windowSum':
      return reshaped(windowSum(joined(inputs[0]), op.window, rows), full());
    case 'windowMaxGrad':
      return reshaped(windowMaxGrad(joined(inputs[0]), joined(inputs[1]), op.window), full());
    case 'windowSumGrad':
      return reshaped(windowSumGrad(joined(inputs[0]), op.window, rows), full());
    default:
      return undefined;
  }
}

/** What windows over nothing give. */
function emptyWindow(name: Op['name']): number | undefined {
  if (name === 'windowMax') return Number.NEGATIVE_INFINITY;
  const others = ['conv', 'convInputGrad', 'convFilterGrad', 'windowSum', 'windowSumGrad', 'windowMaxGrad'];
  return others.includes(name) ? 0 : undefined;
}
