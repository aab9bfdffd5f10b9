/** One call of every op of tfjs for networks and images, and of those that draw random numbers or read pixels. */
import * as tf from '@tensorflow/tfjs';
import { type Fn, floats, type Input } from '../trace/inputs.js';
import { refusedTrace, type Sample, sample, unsupported } from './sample.js';

const IMAGE = floats([1, 4, 5, 2]);
const FILTER = floats([2, 2, 2, 3], -1, 1);
const VOLUME = floats([1, 3, 3, 3, 2]);
const PHOTO = floats([1, 3, 4, 3], 0, 1);
const BOXES = { ...floats([2, 4]), values: Float32Array.of(0.1, 0.1, 0.9, 0.8, 0, 0.2, 0.6, 1) };
const two = (fn: Fn, x: Input, filter: Input) => sample(fn, x, filter);
const byRank = Object.fromEntries(
  [2, 3, 4].map((rank): [string, Sample] => {
    const shape = [2, 2, 2, 3].slice(4 - rank);
    const rows = [1, 2, 3, 4].map((seed) => floats([3], 0.3, 1.5, seed));
    // biome-ignore lint/suspicious/noExplicitAny: ops by rank, reached by name.
    const op = (tf as any)[`batchNorm${rank}d`] as Fn;
    return [
      `tf.batchNorm${rank}d`,
      sample((x, m, v, o, s) => op(x, m, v, o, s, 0.01), floats(shape), ...rows),
    ];
  }),
);
const cell = (x: Input) => [
  x,
  floats([7, 16], -0.5, 0.5),
  floats([16], -1, 1),
  floats([2, 4], -1, 1),
  floats([2, 4], -1, 1, 9),
];

export const NETWORK_SAMPLES: Readonly<Record<string, Sample>> = {
  'tf.avgPool': sample((x) => tf.avgPool(x, 2, 1, 'same'), IMAGE),
  'tf.avgPool3d': sample((x) => tf.avgPool3d(x, 2, 1, 'valid'), VOLUME),
  'tf.maxPool': sample((x) => tf.maxPool(x, 2, 1, 'same'), IMAGE),
  'tf.maxPool3d': sample((x) => tf.maxPool3d(x, 2, 1, 'valid'), VOLUME),
  'tf.maxPoolWithArgmax': sample((x) => Object.values(tf.maxPoolWithArgmax(x, 2, 1, 'valid')), IMAGE),
  'tf.pool': sample((x) => tf.pool(x, [2, 2], 'max', 'valid', [1, 1], 1), IMAGE),
  'tf.conv1d': two((x, f) => tf.conv1d(x, f, 1, 'same'), floats([1, 6, 2]), floats([3, 2, 3])),
  'tf.conv2d': two((x, f) => tf.conv2d(x, f, 1, 'same'), IMAGE, FILTER),
  'tf.conv2dTranspose': two(
    (x, f) => tf.conv2dTranspose(x, f, [1, 8, 10, 3], 2, 'same'),
    IMAGE,
    floats([2, 2, 3, 2]),
  ),
  'tf.conv3d': two((x, f) => tf.conv3d(x, f, 1, 'valid'), VOLUME, floats([2, 2, 2, 2, 2])),
  'tf.conv3dTranspose': two(
    (x, f) => tf.conv3dTranspose(x, f, [1, 6, 6, 6, 2], 2, 'same'),
    VOLUME,
    floats([2, 2, 2, 2, 2]),
  ),
  'tf.depthwiseConv2d': two((x, f) => tf.depthwiseConv2d(x, f, 1, 'same'), IMAGE, floats([2, 2, 2, 2])),
  'tf.separableConv2d': sample(
    (x, d, p) => tf.separableConv2d(x, d, p, 1, 'same'),
    IMAGE,
    floats([2, 2, 2, 2]),
    floats([1, 1, 4, 3]),
  ),
  'tf.dilation2d': two((x, f) => tf.dilation2d(x, f, 1, 'same'), IMAGE, floats([2, 2, 2])),
  'tf.fused.conv2d': sample(
    (x, filter, bias) => tf.fused.conv2d({ x, filter, strides: 1, pad: 'same', bias, activation: 'relu' }),
    IMAGE,
    FILTER,
    floats([3]),
  ),
  'tf.fused.depthwiseConv2d': sample(
    (x, filter, bias) => tf.fused.depthwiseConv2d({ x, filter, strides: 1, pad: 'same', bias }),
    IMAGE,
    floats([2, 2, 2, 2]),
    floats([4]),
  ),
  'tf.fused.matMul': sample(
    (a, b, bias) => tf.fused.matMul({ a, b, bias, activation: 'relu' }),
    floats([3, 4]),
    floats([4, 2]),
    floats([2]),
  ),
  'tf.batchNorm': sample(
    (x, m, v, o, s) => tf.batchNorm(x, m, v, o, s, 0.01),
    floats([4, 3]),
    ...[1, 2, 3, 4].map((seed) => floats([3], 0.3, 1.5, seed)),
  ),
  ...byRank,
  'tf.localResponseNormalization': sample((x) => tf.localResponseNormalization(x, 1), IMAGE),
  'tf.basicLSTMCell': sample(
    (x, kernel, bias, c, h) => tf.basicLSTMCell(tf.scalar(1), kernel, bias, x, c, h),
    ...cell(floats([2, 3])),
  ),
  'tf.multiRNNCell': sample(
    (x, kernel, bias, c, h) => {
      const one = (data: tf.Tensor2D, state: tf.Tensor2D, output: tf.Tensor2D) =>
        tf.basicLSTMCell(tf.scalar(1), kernel, bias, data, state, output);
      return tf.multiRNNCell([one], x, [c], [h]).flat();
    },
    ...cell(floats([2, 3])),
  ),
  'tf.movingAverage': sample((v, x) => tf.movingAverage(v, x, 0.9, 3), floats([3]), floats([3], 0, 1)),
  'tf.image.flipLeftRight': sample((x) => tf.image.flipLeftRight(x), PHOTO),
  'tf.image.grayscaleToRGB': sample((x) => tf.image.grayscaleToRGB(x), floats([1, 3, 4, 1])),
  'tf.image.rgbToGrayscale': sample((x) => tf.image.rgbToGrayscale(x), PHOTO),
  'tf.image.resizeBilinear': sample((x) => tf.image.resizeBilinear(x, [5, 3]), IMAGE),
  'tf.image.resizeNearestNeighbor': sample((x) => tf.image.resizeNearestNeighbor(x, [5, 3]), IMAGE),
  'tf.image.rotateWithOffset': sample((x) => tf.image.rotateWithOffset(x, 0.3), PHOTO),
  'tf.image.cropAndResize': sample(
    (x, boxes) => tf.image.cropAndResize(x, boxes, tf.tensor1d([0, 0], 'int32'), [3, 3]),
    IMAGE,
    BOXES,
  ),
  'tf.image.transform': sample(
    (x) => tf.image.transform(x, tf.tensor2d([[1, 0.1, 0.2, 0, 1, 0.1, 0, 0]])),
    PHOTO,
  ),
  'tf.image.threshold': sample((x) => tf.image.threshold(x, 'binary', false, 0.5), floats([3, 4, 3], 0, 255)),
  'tf.image.nonMaxSuppression': refusedTrace((b) => tf.image.nonMaxSuppression(b, [0.9, 0.8], 2), BOXES),
  'tf.image.nonMaxSuppressionWithScore': refusedTrace(
    (b) => tf.image.nonMaxSuppressionWithScore(b, [0.9, 0.8], 2),
    BOXES,
  ),
  'tf.image.nonMaxSuppressionPadded': refusedTrace(
    (b) => tf.image.nonMaxSuppressionPadded(b, [0.9, 0.8], 2),
    BOXES,
  ),
  'tf.browser.fromPixels': unsupported(() =>
    tf.browser.fromPixels({ data: new Uint8Array(4), width: 1, height: 1 }),
  ),
  'tf.dropout': refusedTrace((x) => tf.dropout(x, 0.5), floats([4])),
  'tf.multinomial': refusedTrace((x) => tf.multinomial(x, 3), floats([4])),
  'tf.rand': refusedTrace(() => tf.rand([2], () => 0.5)),
  'tf.randomGamma': refusedTrace(() => tf.randomGamma([2], 1)),
  'tf.randomNormal': refusedTrace(() => tf.randomNormal([2])),
  'tf.randomStandardNormal': refusedTrace(() => tf.randomStandardNormal([2])),
  'tf.randomUniform': refusedTrace(() => tf.randomUniform([2])),
  'tf.randomUniformInt': refusedTrace(() => tf.randomUniformInt([2], 0, 5)),
  'tf.truncatedNormal': refusedTrace(() => tf.truncatedNormal([2])),
};
