/**
 * Gradients of local response normalisation, resizing and mirrored pads, and of their gradients.
 *
 * tfjs 4.22 has no second ones, and its gradient of mirrorPad leaves out what the mirrored edges hand back.
 */
import * as tf from '@tensorflow/tfjs';
import { sizeOf } from '../graph/graph.js';

type Gradient = tf.GradConfig;

const zeroLike = (x: tf.Tensor): tf.Tensor => tf.zeros(x.shape, 'float32');

/** For each channel (the last axis) the sum over the channels at most `radius` away, as an op whose gradients exist to any order. */
function neighbours(x: tf.Tensor, depthRadius: number): tf.Tensor {
  const channels = x.shape[x.rank - 1];
  const radius = Math.min(depthRadius, channels - 1);
  const rows = tf.reshape(x, [sizeOf(x.shape.slice(0, -1)), 1, channels, 1]) as tf.Tensor4D;
  const ones = tf.ones([1, 2 * radius + 1, 1, 1]) as tf.Tensor4D;
  return tf.reshape(tf.conv2d(rows, ones, 1, 'same'), x.shape);
}

/**
 * G = dy n^-b - 2 a b x W(dy y / n), n = bias + a W(x^2), W the sum over neighbours, which is its own transpose. With the upstream u:
 * towards dy: u n^-b - 2 a b (y / n) W(u x); towards y: -2 a b (dy / n) W(u x); towards x: -2 a b u W(dy y / n) + 2 a x W(towards n),
 * towards n: -b u dy n^(-b - 1) + 2 a b W(u x) dy y / n^2.
 */
const lrnGrad: Gradient = {
  kernelName: 'LRNGrad',
  inputsToSave: ['x', 'y', 'dy'],
  gradFunc: (upstream, saved, attributes) => {
    const u = upstream as tf.Tensor;
    const [x, y, dy] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
    const { depthRadius, bias, alpha, beta } = attributes as unknown as Record<string, number>;
    const twice = -2 * alpha * beta;
    const n = tf.add(tf.mul(neighbours(tf.square(x), depthRadius), alpha), bias);
    const power = tf.pow(n, -beta);
    const back = tf.mul(neighbours(tf.mul(u, x), depthRadius), twice);
    return {
      dy: () => tf.add(tf.mul(u, power), tf.mul(back, tf.div(y, n))),
      y: () => tf.mul(back, tf.div(dy, n)),
      x: () => {
        const ratio = tf.div(tf.mul(dy, y), n);
        const direct = tf.mul(tf.mul(u, neighbours(ratio, depthRadius)), twice);
        const towardsNorm = tf.add(
          tf.mul(tf.div(tf.mul(tf.mul(u, dy), power), n), -beta),
          tf.neg(tf.mul(back, tf.div(ratio, n))),
        );
        const through = tf.mul(tf.mul(x, neighbours(towardsNorm, depthRadius)), 2 * alpha);
        return tf.add(direct, through);
      },
    };
  },
};

/** Resizing is linear, and its gradient is its transpose. */
const resizeGrad = (forward: string): Gradient => ({
  kernelName: `${forward}Grad`,
  inputsToSave: ['dy', 'images'],
  gradFunc: (upstream, saved, attributes) => {
    const [dy, images] = saved as tf.Tensor[];
    const size = dy.shape.slice(1, 3);
    return {
      dy: () =>
        tf
          .engine()
          .runKernel(forward, { images: upstream as tf.Tensor }, { ...attributes, size }) as tf.Tensor,
      images: () => zeroLike(images),
    };
  },
});

/** What lies in the mirrored edges flows back to where it came from. */
const mirrorPad: Gradient = {
  kernelName: 'MirrorPad',
  inputsToSave: ['x'],
  gradFunc: (dy, saved, attributes) => {
    const [x] = saved as tf.Tensor[];
    const { paddings, mode } = attributes as unknown as { paddings: [number, number][]; mode: string };
    const skip = mode === 'reflect' ? 1 : 0;
    const fold = (g: tf.Tensor, [before, after]: [number, number], axis: number): tf.Tensor => {
      const n = x.shape[axis];
      const part = (from: number, length: number) =>
        tf.slice(
          g,
          g.shape.map((_, i) => (i === axis ? from : 0)),
          g.shape.map((d, i) => (i === axis ? length : d)),
        );
      const back = (from: number, length: number, to: number) => {
        const pads = g.shape.map((_, i): [number, number] => (i === axis ? [to, n - to - length] : [0, 0]));
        return tf.pad(tf.reverse(part(from, length), axis), pads);
      };
      let sum = part(before, n);
      if (before > 0) sum = tf.add(sum, back(0, before, skip));
      if (after > 0) sum = tf.add(sum, back(before + n, after, n - skip - after));
      return sum;
    };
    return { x: () => paddings.reduce(fold, dy as tf.Tensor) };
  },
};

/** All of them; those that tfjs has are replaced for the length of a trace, the rest are added. */
export const IMAGE_GRADIENTS: readonly Gradient[] = [
  lrnGrad,
  resizeGrad('ResizeBilinear'),
  resizeGrad('ResizeNearestNeighbor'),
  mirrorPad,
];
