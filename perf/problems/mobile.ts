/** A MobileNet-like stack of depthwise-separable convolutions, run eagerly on whatever tfjs backend is active. */
import * as tf from '@tensorflow/tfjs';
import { fillNormal, STREAMS } from '../../src/random/index.js';

export const BATCH = 8;
const SIZE = 96;
/** Channels out and stride of each block after the first convolution (3 -> 32, stride 2). */
const BLOCKS = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
] as const;

interface Layer {
  readonly filter: tf.Tensor4D;
  readonly mean: tf.Tensor1D;
  readonly variance: tf.Tensor1D;
}

/** Weights, an input [8, 96, 96, 3], and the forward pass to class scores [8, 10]. Tensors belong to the active backend. */
export function mobileStack(): { run: () => tf.Tensor; dispose: () => void } {
  let draw = 200;
  const normal = (shape: number[], scale: number) => {
    const values = new Float32Array(shape.reduce((n, d) => n * d, 1));
    fillNormal(values, { seed: 1, stream: STREAMS.user, step: 0, draw: draw++ });
    return tf.tensor(
      values.map((x) => x * scale),
      shape,
    );
  };
  const layer = (shape: [number, number, number, number], channels: number): Layer => ({
    filter: normal(shape, Math.sqrt(2 / (shape[0] * shape[1] * shape[2]))) as tf.Tensor4D,
    mean: tf.zeros([channels]),
    variance: tf.ones([channels]),
  });
  const first = layer([3, 3, 3, 32], 32);
  let channels = 32;
  const blocks = BLOCKS.map(([out, stride]) => {
    const depthwise = layer([3, 3, channels, 1], channels);
    const pointwise = layer([1, 1, channels, out], out);
    channels = out;
    return { depthwise, pointwise, stride };
  });
  const dense = normal([channels, 10], 0.05) as tf.Tensor2D;
  const input = normal([BATCH, SIZE, SIZE, 3], 1) as tf.Tensor4D;
  const activate = (x: tf.Tensor4D, { mean, variance }: Layer) =>
    tf.relu6(tf.batchNorm(x, mean, variance)) as tf.Tensor4D;
  const run = () =>
    tf.tidy(() => {
      let x = activate(tf.conv2d(input, first.filter, 2, 'same'), first);
      for (const { depthwise, pointwise, stride } of blocks) {
        x = activate(tf.depthwiseConv2d(x, depthwise.filter, stride, 'same'), depthwise);
        x = activate(tf.conv2d(x, pointwise.filter, 1, 'same'), pointwise);
      }
      return tf.softmax(tf.matMul(tf.mean(x, [1, 2]) as tf.Tensor2D, dense));
    });
  const all = [first, ...blocks.flatMap(({ depthwise, pointwise }) => [depthwise, pointwise])];
  return {
    run,
    dispose: () => {
      tf.dispose([input, dense, ...all.flatMap((l) => [l.filter, l.mean, l.variance])]);
    },
  };
}
