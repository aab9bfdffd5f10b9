/** Training steps of small classifiers, the inner problems of the rollout benchmarks. */
import * as tf from '@tensorflow/tfjs';
import { defineUnroll, shape } from '../../src/index.js';
import { fillIntegers, fillNormal, STREAMS } from '../../src/random/index.js';

export interface NetworkShape {
  readonly inputs: number;
  readonly hidden: number;
  readonly outputs: number;
  readonly batch: number;
  /** Rows of the training set; minibatches are drawn from it. */
  readonly rows: number;
}

export const MLP_64: NetworkShape = { inputs: 64, hidden: 32, outputs: 10, batch: 16, rows: 1024 };
export const MLP_784: NetworkShape = { inputs: 784, hidden: 128, outputs: 10, batch: 32, rows: 1024 };

/** Plain SGD on a ReLU network with one hidden layer, softmax cross-entropy; theta = log learning rate. */
export function networkTraining({ inputs, hidden, outputs, batch, rows }: NetworkShape) {
  return defineUnroll({
    horizon: 1000,
    theta: { logLearningRate: shape() },
    data: { x: shape(rows, inputs), y: shape(rows, outputs) },
    init: ({ rng }) => ({
      w1: rng.normal([inputs, hidden]).mul(Math.sqrt(2 / inputs)),
      b1: tf.zeros([hidden]),
      w2: rng.normal([hidden, outputs]).mul(Math.sqrt(1 / hidden)),
      b2: tf.zeros([outputs]),
    }),
    step: ({ theta, state, rng, data }) => {
      const chosen = rng.integers([batch], 0, rows, { share: 'all' });
      const x = tf.gather(data.x, chosen);
      const y = tf.gather(data.y, chosen);
      const loss = (w1: tf.Tensor, b1: tf.Tensor, w2: tf.Tensor, b2: tf.Tensor) => {
        const h = tf.relu(tf.matMul(x as tf.Tensor2D, w1 as tf.Tensor2D).add(b1));
        const logits = tf.matMul(h as tf.Tensor2D, w2 as tf.Tensor2D).add(b2);
        return tf.neg(tf.mean(tf.sum(tf.mul(y, tf.logSoftmax(logits)), -1))) as tf.Scalar;
      };
      const { w1, b1, w2, b2 } = state;
      const { value, grads } = tf.valueAndGrads(loss)([w1, b1, w2, b2]);
      const rate = tf.exp(theta.logLearningRate);
      const [nextW1, nextB1, nextW2, nextB2] = [w1, b1, w2, b2].map((w, i) => w.sub(rate.mul(grads[i])));
      return { state: { w1: nextW1, b1: nextB1, w2: nextW2, b2: nextB2 }, loss: value };
    },
  });
}

/** Random inputs and one-hot classes; what they are does not matter to the time of a step. */
export function networkData({ inputs, outputs, rows }: NetworkShape) {
  const x = new Float32Array(rows * inputs);
  fillNormal(x, { seed: 1, stream: STREAMS.user, step: 0, draw: 0 });
  const labels = new Int32Array(rows);
  fillIntegers(labels, { seed: 1, stream: STREAMS.user, step: 0, draw: 1 }, 0, outputs);
  const y = new Float32Array(rows * outputs);
  labels.forEach((label, row) => {
    y[row * outputs + label] = 1;
  });
  return { x, y };
}

/**
 * Floating point operations of the matrix products in one step: forward and weight gradients of both layers, and the input gradient of
 * the second. Everything else is counted as nothing.
 */
export function networkFlops({ inputs, hidden, outputs, batch }: NetworkShape): number {
  return 2 * batch * (2 * inputs * hidden + 3 * hidden * outputs);
}
