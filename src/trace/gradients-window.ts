/**
 * Gradients of convolutions, pooling and dilation, and of their gradients, to any order.
 *
 * tfjs 4.22 has those of the forward kernels and of Conv2DBackpropInput only, leaves the rounding mode out of some, refuses dilated
 * convolutions, and shares dy out over the whole window of a mean, also over the part that lies in the padding and did not count.
 * Each family here is closed: the gradient of every member is made of members.
 */
import * as tf from '@tensorflow/tfjs';
import { sizeOf } from '../graph/graph.js';
import { counts, isTrivial, poolGeometry, type WindowAttributes } from './lower/geometry.js';

type Gradient = tf.GradConfig;
type Attributes = Record<string, unknown>;

const run = (kernel: string, inputs: Record<string, tf.Tensor>, attributes: Attributes): tf.Tensor =>
  tf.engine().runKernel(kernel, inputs, attributes as unknown as tf.NamedAttrMap) as tf.Tensor;

const zeroLike = (x: tf.Tensor): tf.Tensor => tf.zeros(x.shape, 'float32');

/** A gradient whose rule gets the upstream gradient, what was saved, and the attributes. */
const gradient = (
  kernelName: string,
  inputsToSave: string[],
  rule: (upstream: tf.Tensor, saved: tf.Tensor[], attributes: Attributes) => Record<string, () => tf.Tensor>,
): Gradient => ({
  kernelName,
  inputsToSave,
  gradFunc: (upstream, saved, attributes) =>
    rule(upstream as tf.Tensor, saved as tf.Tensor[], attributes as unknown as Attributes),
});

/** y = conv(x, filter) is linear in each: dx = toInput(dy, filter) and dfilter = toFilter(x, dy) are its transposes. */
function bilinearFamily(forward: string, toInput: string, toFilter: string): Gradient[] {
  const convolve = (x: tf.Tensor, filter: tf.Tensor, like: tf.Tensor, a: Attributes) =>
    run(forward, { x, filter }, { ...a, outputShape: like.shape });
  const inputGrad = (dy: tf.Tensor, filter: tf.Tensor, like: tf.Tensor, a: Attributes) =>
    run(toInput, { dy, filter }, { ...a, inputShape: like.shape });
  const filterGrad = (x: tf.Tensor, dy: tf.Tensor, like: tf.Tensor, a: Attributes) =>
    run(toFilter, { x, dy }, { ...a, filterShape: like.shape });
  return [
    gradient(forward, ['x', 'filter'], (u, [x, filter], a) => ({
      x: () => inputGrad(u, filter, x, a),
      filter: () => filterGrad(x, u, filter, a),
    })),
    gradient(toInput, ['dy', 'filter'], (u, [dy, filter], a) => ({
      dy: () => convolve(u, filter, dy, a),
      filter: () => filterGrad(u, dy, filter, a),
    })),
    gradient(toFilter, ['x', 'dy'], (u, [x, dy], a) => ({
      x: () => inputGrad(dy, u, x, a),
      dy: () => convolve(x, u, dy, a),
    })),
  ];
}

/** dy scaled from its share of the whole window to that of the part which counted. */
function meanShare(dy: tf.Tensor, x: tf.Tensor, attributes: Attributes): tf.Tensor {
  const geometry = poolGeometry(x.shape, attributes as unknown as WindowAttributes);
  const whole = sizeOf(geometry.window.size);
  const inside = counts(geometry);
  if (isTrivial(geometry, x.rank) || inside.every((n) => n === whole)) return dy;
  const shape = [1, ...dy.shape.slice(1, -1), 1];
  return tf.mul(
    dy,
    tf.tensor(
      inside.map((n) => (n === 0 ? 0 : whole / n)),
      shape,
    ),
  );
}

function poolFamily(suffix: '' | '3D'): Gradient[] {
  const [max, average] = [`MaxPool${suffix}Grad`, `AvgPool${suffix}Grad`];
  return [
    gradient(`AvgPool${suffix}`, ['x'], (u, [x], a) => ({
      x: () => run(average, { dy: meanShare(u, x, a), input: x }, a),
    })),
    gradient(average, ['dy', 'input'], (u, [dy, input], a) => ({
      dy: () => run(`AvgPool${suffix}Sum`, { x: u }, { ...a, outputShape: dy.shape }),
      input: () => zeroLike(input),
    })),
    gradient(`AvgPool${suffix}Sum`, ['x'], (u, [x], a) => ({
      x: () => run(average, { dy: u, input: x }, a),
    })),
    gradient(max, ['dy', 'input'], (u, [dy, input], a) => ({
      dy: () => run(`MaxPool${suffix}Pick`, { x: input, value: u }, { ...a, outputShape: dy.shape }),
      input: () => zeroLike(input),
      output: () => zeroLike(dy),
    })),
    gradient(`MaxPool${suffix}Pick`, ['x'], (u, [x], a) => ({
      x: () => zeroLike(x),
      value: () => run(max, { dy: u, input: x, output: u }, a),
    })),
  ];
}

/** The largest sum of a window changes with dy only where it stays the largest. */
function dilationFamily(): Gradient[] {
  const both = ['Input', 'Filter'] as const;
  return both.flatMap((towards) => [
    gradient(`Dilation2DBackprop${towards}`, ['x', 'filter'], (u, [x, filter], a) => ({
      x: () => zeroLike(x),
      filter: () => zeroLike(filter),
      dy: () => run(`Dilation2DPick${towards}`, { x, filter, value: u }, a),
    })),
    gradient(`Dilation2DPick${towards}`, ['x', 'filter'], (u, [x, filter], a) => ({
      x: () => zeroLike(x),
      filter: () => zeroLike(filter),
      value: () => run(`Dilation2DBackprop${towards}`, { x, filter, dy: u }, a),
    })),
  ]);
}

/** All of them; those that tfjs has are replaced for the length of a trace, the rest are added. */
export const WINDOW_GRADIENTS: readonly Gradient[] = [
  ...bilinearFamily('Conv2D', 'Conv2DBackpropInput', 'Conv2DBackpropFilter'),
  ...bilinearFamily('Conv3D', 'Conv3DBackpropInputV2', 'Conv3DBackpropFilterV2'),
  ...bilinearFamily(
    'DepthwiseConv2dNative',
    'DepthwiseConv2dNativeBackpropInput',
    'DepthwiseConv2dNativeBackpropFilter',
  ),
  ...poolFamily(''),
  ...poolFamily('3D'),
  ...dilationFamily(),
];
