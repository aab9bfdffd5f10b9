/** The unrolled computation of the demo: minibatch SGD with momentum and weight decay on a small classifier. */
import * as tf from '@tensorflow/tfjs';
import { defineUnroll, type Rng, shape } from '../../index.js';
import type { Part, Problem } from './problem.js';
import type { Settings } from './result.js';

/** Training steps of a run. */
export const HORIZON = 100;
export const HIDDEN = 16;
export const BATCH = 32;

/** The defaults that tuning starts from and is compared with: what textbooks and libraries suggest for SGD with momentum. */
export const DEFAULTS: Settings = { learningRate: 0.01, momentum: 0.9, weightDecay: 1e-4, decayExponent: 0 };

/** Unconstrained forms of the settings: every real number is allowed, and a step of 0.1 is a small one. */
export type Theta = {
  readonly logLearningRate: number;
  readonly logitMomentum: number;
  readonly logWeightDecay: number;
  readonly decayExponent: number;
};

export function toTheta(settings: Settings): Theta {
  return {
    logLearningRate: Math.log(settings.learningRate),
    logitMomentum: Math.log(settings.momentum / (1 - settings.momentum)),
    logWeightDecay: Math.log(settings.weightDecay),
    decayExponent: settings.decayExponent,
  };
}

export function toSettings(theta: Theta): Settings {
  return {
    learningRate: Math.exp(theta.logLearningRate),
    momentum: 1 / (1 + Math.exp(-theta.logitMomentum)),
    weightDecay: Math.exp(theta.logWeightDecay),
    decayExponent: theta.decayExponent,
  };
}

const THETA = {
  logLearningRate: shape(),
  logitMomentum: shape(),
  logWeightDecay: shape(),
  decayExponent: shape(),
} as const;
type ThetaTensors = { readonly [K in keyof typeof THETA]: tf.Tensor };

type Network = {
  readonly weights: readonly tf.Tensor[];
  readonly velocity: readonly tf.Tensor[];
};

function dataShapes({ train, features, classes }: Problem, held: Part) {
  return {
    x: shape(train.rows, features),
    y: shape(train.rows, classes),
    heldX: shape(held.rows, features),
    heldY: shape(held.rows, classes),
  };
}

/**
 * What is tuned: loss = cross-entropy of a minibatch of tuning rows after each training step, times 2 (t + 1) / (T + 1): speed counts, and
 * where training ends counts more. All particles share the minibatches, so that losses differ because of theta; each antithetic pair
 * begins with its own weights.
 */
export function tuningUnroll(problem: Problem) {
  const { train, tuning } = problem;
  return defineUnroll({
    horizon: HORIZON,
    theta: THETA,
    data: dataShapes(problem, tuning),
    init: ({ rng }) => initialNetwork(problem, rng, 'pair'),
    step: ({ theta, state, t, rng, data }) => {
      const rows = rng.integers([BATCH], 0, train.rows);
      const x = tf.gather(data.x, rows);
      const y = tf.gather(data.y, rows);
      const next = trainingStep(theta, state, t, x, y);
      const heldRows = rng.integers([BATCH], 0, tuning.rows);
      const heldX = tf.gather(data.heldX, heldRows);
      const heldY = tf.gather(data.heldY, heldRows);
      const weight = t
        .toFloat()
        .add(1)
        .mul(2 / (HORIZON + 1));
      return { state: next, loss: crossEntropy(logits(next.weights, heldX), heldY).mul(weight) };
    },
  });
}

/**
 * What settings are compared with: loss = cross-entropy of all validation rows after each training step, metric `accuracy`. Every particle
 * draws its own weights and minibatches, so that runs are independent.
 */
export function comparisonUnroll(problem: Problem) {
  const { train, validation } = problem;
  return defineUnroll({
    horizon: HORIZON,
    theta: THETA,
    data: dataShapes(problem, validation),
    init: ({ rng }) => initialNetwork(problem, rng, 'particle'),
    step: ({ theta, state, t, rng, data }) => {
      const rows = rng.integers([BATCH], 0, train.rows, { share: 'particle' });
      const x = tf.gather(data.x, rows);
      const y = tf.gather(data.y, rows);
      const next = trainingStep(theta, state, t, x, y);
      const outputs = logits(next.weights, data.heldX);
      const right = tf.equal(tf.argMax(outputs, -1), tf.argMax(data.heldY, -1));
      const accuracy = tf.mean(tf.cast(right, 'float32'));
      return { state: next, loss: crossEntropy(outputs, data.heldY), metrics: { accuracy } };
    },
  });
}

/** The data of these unrolls, as `compile` takes it. */
export function trainingData({ train }: Problem, held: Part) {
  return { x: train.x, y: train.y, heldX: held.x, heldY: held.y };
}

function initialNetwork({ features, classes }: Problem, rng: Rng, share: 'pair' | 'particle'): Network {
  const weights = [
    rng.normal([features, HIDDEN], { share }).mul(Math.sqrt(2 / features)),
    tf.zeros([HIDDEN]),
    rng.normal([HIDDEN, classes], { share }).mul(Math.sqrt(1 / HIDDEN)),
    tf.zeros([classes]),
  ];
  return { weights, velocity: weights.map((w) => tf.zerosLike(w)) };
}

/** v <- momentum v + gradient + weightDecay w; w <- w - rate_t v, with rate_t = learningRate (1 + 10 t / T)^-decayExponent. */
function trainingStep(
  theta: ThetaTensors,
  network: Network,
  t: tf.Tensor,
  x: tf.Tensor,
  y: tf.Tensor,
): Network {
  const loss = (...weights: tf.Tensor[]) => crossEntropy(logits(weights, x), y);
  const gradients = tf.grads(loss)([...network.weights]);
  const progress = t
    .toFloat()
    .mul(10 / HORIZON)
    .add(1);
  const rate = tf.exp(theta.logLearningRate.sub(theta.decayExponent.mul(tf.log(progress))));
  const momentum = tf.sigmoid(theta.logitMomentum);
  const decay = tf.exp(theta.logWeightDecay);
  const velocity = network.weights.map((w, i) =>
    momentum.mul(network.velocity[i]).add(gradients[i]).add(decay.mul(w)),
  );
  return { velocity, weights: network.weights.map((w, i) => w.sub(rate.mul(velocity[i]))) };
}

/** A ReLU network with one hidden layer: [rows, features] -> [rows, classes]. */
function logits([w1, b1, w2, b2]: readonly tf.Tensor[], x: tf.Tensor): tf.Tensor {
  const hidden = tf.relu(tf.matMul(x as tf.Tensor2D, w1 as tf.Tensor2D).add(b1));
  return tf.matMul(hidden as tf.Tensor2D, w2 as tf.Tensor2D).add(b2);
}

/** Mean over rows of -log softmax(logits)[class]; scalar. */
function crossEntropy(outputs: tf.Tensor, oneHot: tf.Tensor): tf.Scalar {
  return tf.neg(tf.mean(tf.sum(tf.mul(oneHot, tf.logSoftmax(outputs)), -1))) as tf.Scalar;
}
