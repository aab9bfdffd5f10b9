/** Whole training steps of one network, as functions of tensors: the problems of the jit benchmarks. */
import * as tf from '@tensorflow/tfjs';
import { fillIntegers, fillNormal, STREAMS } from '../../src/random/index.js';

let draw = 100;

/** Standard normal numbers times a scale. */
function normal(shape: readonly number[], scale: number): tf.Tensor {
  const values = new Float32Array(shape.reduce((n, d) => n * d, 1));
  fillNormal(values, { seed: 1, stream: STREAMS.user, step: 0, draw: draw++ });
  return tf.tensor(
    values.map((x) => x * scale),
    [...shape],
  );
}

/** A batch of inputs and one-hot classes. */
export function batchOf(
  rows: number,
  shape: readonly number[],
  classes: number,
): { x: tf.Tensor; y: tf.Tensor } {
  const labels = new Int32Array(rows);
  fillIntegers(labels, { seed: 1, stream: STREAMS.user, step: 0, draw: draw++ }, 0, classes);
  const y = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), classes), 'float32'));
  return { x: normal([rows, ...shape], 1), y };
}

function crossEntropy(logits: tf.Tensor, y: tf.Tensor): tf.Scalar {
  return tf.neg(tf.mean(tf.sum(tf.mul(y, tf.logSoftmax(logits)), -1))) as tf.Scalar;
}

const SIZES = [784, 512, 256, 10];
export const MLP_BATCH = 128;
/** Floating point operations of the matrix products in a step. */
export const MLP_FLOPS = 2 * MLP_BATCH * (2 * 784 * 512 + 3 * 512 * 256 + 3 * 256 * 10);

/** Weights, Adam's two moments, and the step's number. */
export interface AdamState {
  readonly w: readonly tf.Tensor[];
  readonly m: readonly tf.Tensor[];
  readonly v: readonly tf.Tensor[];
  readonly t: tf.Tensor;
}

export function mlpState(): AdamState {
  const w = SIZES.slice(1).flatMap((n, i) => [normal([SIZES[i], n], Math.sqrt(2 / SIZES[i])), tf.zeros([n])]);
  const zeros = () => w.map((x) => tf.zeros(x.shape));
  return { w, m: zeros(), v: zeros(), t: tf.scalar(1) };
}

/** One Adam step (rate 1e-3, betas 0.9 and 0.999, epsilon 1e-8) of a ReLU network. */
export function mlpStep(
  { w, m, v, t }: AdamState,
  x: tf.Tensor,
  y: tf.Tensor,
): { state: AdamState; loss: tf.Scalar } {
  const loss = (...weights: tf.Tensor[]) => {
    let h = x;
    for (let i = 0; i < weights.length; i += 2) {
      h = tf.add(tf.matMul(h as tf.Tensor2D, weights[i] as tf.Tensor2D), weights[i + 1]);
      if (i + 2 < weights.length) h = tf.relu(h);
    }
    return crossEntropy(h, y);
  };
  const { value, grads } = tf.valueAndGrads(loss)([...w]);
  const nextM = m.map((a, i) => tf.add(tf.mul(a, 0.9), tf.mul(grads[i], 0.1)));
  const nextV = v.map((b, i) => tf.add(tf.mul(b, 0.999), tf.mul(tf.square(grads[i]), 0.001)));
  const c1 = tf.sub(1, tf.pow(0.9, t));
  const c2 = tf.sub(1, tf.pow(0.999, t));
  const nextW = w.map((p, i) =>
    tf.sub(p, tf.mul(1e-3, tf.div(tf.div(nextM[i], c1), tf.add(tf.sqrt(tf.div(nextV[i], c2)), 1e-8)))),
  );
  return { state: { w: nextW, m: nextM, v: nextV, t: tf.add(t, 1) }, loss: value };
}

export const CNN_BATCH = 64;

export function cnnState(): tf.Tensor[] {
  return [
    normal([3, 3, 1, 16], 0.1),
    tf.zeros([16]),
    normal([3, 3, 16, 32], 0.1),
    tf.zeros([32]),
    normal([7 * 7 * 32, 10], 0.1),
    tf.zeros([10]),
  ];
}

/** One SGD step (rate 0.01) of conv 3x3x16, pool, conv 3x3x32, pool, dense 10. */
export function cnnStep(
  w: readonly tf.Tensor[],
  x: tf.Tensor,
  y: tf.Tensor,
): { state: tf.Tensor[]; loss: tf.Scalar } {
  const loss = (...[k1, b1, k2, b2, d, b3]: tf.Tensor[]) => {
    const layer = (h: tf.Tensor, k: tf.Tensor, b: tf.Tensor) =>
      tf.maxPool(
        tf.relu(tf.add(tf.conv2d(h as tf.Tensor4D, k as tf.Tensor4D, 1, 'same'), b)) as tf.Tensor4D,
        2,
        2,
        'valid',
      );
    const h = layer(layer(x, k1, b1), k2, b2);
    return crossEntropy(tf.add(tf.matMul(h.reshape([CNN_BATCH, -1]), d as tf.Tensor2D), b3), y);
  };
  const { value, grads } = tf.valueAndGrads(loss)([...w]);
  return { state: w.map((p, i) => tf.sub(p, tf.mul(grads[i], 0.01))), loss: value };
}

/** Twenty elementwise ops on a scalar. */
export function twentyOps(x: tf.Tensor): tf.Tensor {
  let y = x;
  for (let i = 0; i < 5; i++) y = tf.sub(tf.tanh(tf.add(tf.mul(y, 1.5), x)), 0.25);
  return y;
}
