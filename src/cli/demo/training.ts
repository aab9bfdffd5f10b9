/** The unrolled computation of the demo: minibatch SGD with momentum and weight decay on a small classifier. */
import * as tf from '@tensorflow/tfjs';
import { defineUnroll, shape } from '../../index.js';
import type { Part, Problem } from './problem.js';
import type { Settings } from './result.js';

/** Training steps of a run. */
export const HORIZON = 100;
export const HIDDEN = 16;
export const BATCH = 32;

/** The defaults that tuning starts from and is compared with: what textbooks and libraries suggest for SGD with momentum. */
export const DEFAULTS: Settings = { learningRate: 0.01, momentum: 0.9, weightDecay: 1e-4, decayExponent: 0 };

/** Unconstrained forms of the settings: every real number is allowed, and a step of 0.1 is a small one. */
export interface Theta {
  readonly logLearningRate: number;
  readonly logitMomentum: number;
  readonly logWeightDecay: number;
  readonly decayExponent: number;
}

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

/**
 * A training run as an unroll.
 *
 * `purpose` 'tuning': loss = cross-entropy of a minibatch of tuning rows after each step; all particles share the minibatches, so that
 * losses differ because of theta. 'comparison': loss = cross-entropy of all validation rows, metric `accuracy`; every particle draws its
 * own minibatches and weights, so that the runs are independent.
 */
export function trainingUnroll(problem: Problem, purpose: 'tuning' | 'comparison') {
  const { features, classes, train } = problem;
  const held = purpose === 'tuning' ? problem.tuning : problem.validation;
  const share = purpose === 'tuning' ? 'all' : 'particle';
  return defineUnroll({
    horizon: HORIZON,
    theta: {
      logLearningRate: shape(),
      logitMomentum: shape(),
      logWeightDecay: shape(),
      decayExponent: shape(),
    },
    data: {
      x: shape(train.rows, features),
      y: shape(train.rows, classes),
      heldX: shape(held.rows, features),
      heldY: shape(held.rows, classes),
    },
    init: ({ rng }) => {
      const weights = [
        rng.normal([features, HIDDEN]).mul(Math.sqrt(2 / features)),
        tf.zeros([HIDDEN]),
        rng.normal([HIDDEN, classes]).mul(Math.sqrt(1 / HIDDEN)),
        tf.zeros([classes]),
      ];
      return { weights, velocity: weights.map((w) => tf.zerosLike(w)) };
    },
    step: ({ theta, state, t, rng, data }) => {
      const rows = rng.integers([BATCH], 0, train.rows, { share });
      const x = tf.gather(data.x, rows);
      const y = tf.gather(data.y, rows);
      const { grads } = tf.valueAndGrads((...weights: tf.Tensor[]) => crossEntropy(logits(weights, x), y))(
        state.weights as tf.Tensor[],
      );

      const progress = t
        .toFloat()
        .mul(10 / HORIZON)
        .add(1);
      const rate = tf.exp(theta.logLearningRate.sub(theta.decayExponent.mul(tf.log(progress))));
      const momentum = tf.sigmoid(theta.logitMomentum);
      const decay = tf.exp(theta.logWeightDecay);
      const velocity = grads.map((g, i) =>
        momentum.mul(state.velocity[i]).add(g).add(decay.mul(state.weights[i])),
      );
      const weights = velocity.map((v, i) => state.weights[i].sub(rate.mul(v)));

      const next = { weights, velocity };
      if (purpose === 'tuning') {
        const rows = rng.integers([BATCH], 0, held.rows, { share });
        const loss = crossEntropy(logits(weights, tf.gather(data.heldX, rows)), tf.gather(data.heldY, rows));
        return { state: next, loss, metrics: {} as { accuracy?: never } };
      }
      const outputs = logits(weights, data.heldX);
      const right = tf.equal(tf.argMax(outputs, -1), tf.argMax(data.heldY, -1));
      const accuracy = tf.mean(tf.cast(right, 'float32'));
      return { state: next, loss: crossEntropy(outputs, data.heldY), metrics: { accuracy } };
    },
  });
}

/** The data of `trainingUnroll`, as `compile` takes it. */
export function trainingData(problem: Problem, purpose: 'tuning' | 'comparison') {
  const held: Part = purpose === 'tuning' ? problem.tuning : problem.validation;
  return { x: problem.train.x, y: problem.train.y, heldX: held.x, heldY: held.y };
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
