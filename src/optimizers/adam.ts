/** Adam: Kingma, Ba 2015 (arXiv 1412.6980), algorithm 1. */
import * as tf from '@tensorflow/tfjs';
import { checkKeys } from '../options.js';
import type { TensorTree } from '../transform/leaf.js';
import { checkRate, type Rate, rateAt } from './schedules.js';
import {
  checkScalar,
  type GradientTransformation,
  mapTensors,
  type ScalarLike,
  transformation,
} from './transformation.js';

export interface AdamOptions {
  /** Default 0.001. */
  readonly learningRate?: Rate;
  /** Default 0.9. */
  readonly beta1?: ScalarLike;
  /** Default 0.999. */
  readonly beta2?: ScalarLike;
  /** Added outside the square root. Default 1e-8. */
  readonly epsilon?: ScalarLike;
  /**
   * Added inside the square root. Above 0 it keeps the derivative of the square root finite where a gradient
   * is 0, which matters when an update is itself differentiated. Default 0.
   */
  readonly epsilonRoot?: ScalarLike;
}

/** State of `adam`. */
interface AdamState {
  /** int32: updates made. */
  readonly count: tf.Tensor;
  /** m: running mean of the gradients, in the structure of the parameters. */
  readonly mean: TensorTree;
  /** v: running mean of their squares. */
  readonly square: TensorTree;
}

/** 1 - beta^n, by expm1, which keeps its digits where beta is near 1. */
function bias(beta: ScalarLike, count: tf.Tensor): tf.Tensor {
  const log = typeof beta === 'number' ? tf.scalar(Math.log(beta)) : tf.log(beta);
  return typeof beta === 'number' && beta === 0
    ? tf.scalar(1)
    : tf.neg(tf.expm1(tf.mul(log, tf.cast(count, 'float32'))));
}

/**
 * m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2; with m' = m / (1 - beta1^n), v' = v / (1 -
 * beta2^n) after n updates: update = -learningRate m' / (sqrt(v' + epsilonRoot) + epsilon).
 * Throws OptionError on a malformed option.
 *
 *     const optimizer = adam({ learningRate: 1e-2 });
 *     let state = optimizer.init(theta);
 *     const step = optimizer.update(estimate.gradient, state, theta);
 *     theta = applyUpdates(theta, step.updates);
 */
export function adam(options: AdamOptions = {}): GradientTransformation {
  checkKeys(options, ['learningRate', 'beta1', 'beta2', 'epsilon', 'epsilonRoot'], 'adam');
  const rate = checkRate(options.learningRate ?? 0.001, 'learningRate');
  const beta1 = checkScalar(options.beta1 ?? 0.9, 'beta1');
  const beta2 = checkScalar(options.beta2 ?? 0.999, 'beta2');
  const epsilon = checkScalar(options.epsilon ?? 1e-8, 'epsilon');
  const epsilonRoot = checkScalar(options.epsilonRoot ?? 0, 'epsilonRoot');
  const average = (beta: ScalarLike) => (old: tf.Tensor, next: tf.Tensor) =>
    tf.add(tf.mul(beta, old), tf.mul(typeof beta === 'number' ? 1 - beta : tf.sub(1, beta), next));
  return transformation({
    init: (params) => ({
      count: tf.scalar(0, 'int32'),
      mean: mapTensors((p) => tf.zerosLike(p), params),
      square: mapTensors((p) => tf.zerosLike(p), params),
    }),
    update: (grads, state) => {
      const { count: done, mean: oldMean, square: oldSquare } = state as unknown as AdamState;
      const factor = tf.neg(rateAt(rate, done));
      const count = tf.add(done, tf.scalar(1, 'int32'));
      const mean = mapTensors((g, m) => average(beta1)(m, g), grads, oldMean);
      const square = mapTensors((g, v) => average(beta2)(v, tf.square(g)), grads, oldSquare);
      const bias1 = bias(beta1, count);
      const bias2 = bias(beta2, count);
      const updates = mapTensors(
        (m, v) => {
          const scale = tf.add(tf.sqrt(tf.add(tf.div(v, bias2), epsilonRoot)), epsilon);
          return tf.div(tf.mul(factor, tf.div(m, bias1)), scale);
        },
        mean,
        square,
      );
      return { updates, state: { count, mean, square } };
    },
  });
}
