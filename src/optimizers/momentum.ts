/**
 * Gradient descent with momentum: Polyak 1964 (heavy ball), Nesterov 1983 in the form of Sutskever, Martens,
 * Dahl, Hinton 2013.
 */
import * as tf from '@tensorflow/tfjs';
import { checkBoolean, checkKeys } from '../options.js';
import type { TensorTree } from '../transform/leaf.js';
import { checkRate, type Rate, rateAt } from './schedules.js';
import {
  checkScalar,
  type GradientTransformation,
  mapTensors,
  type ScalarLike,
  transformation,
} from './transformation.js';

export interface MomentumOptions {
  /** Default 0.01. */
  readonly learningRate?: Rate;
  /** mu, the share of the velocity that is kept. Default 0.9. */
  readonly momentum?: ScalarLike;
  /** Default false. */
  readonly nesterov?: boolean;
}

/** State of `momentum`. */
interface MomentumState {
  /** int32, kept only for a schedule. */
  readonly count?: tf.Tensor;
  /** In the structure of the parameters. */
  readonly velocity: TensorTree;
}

/**
 * v <- mu v + g; update = -learningRate v, or with nesterov -learningRate (g + mu v).
 * Throws OptionError on a malformed option.
 *
 *     const optimizer = momentum({ learningRate: tf.exp(theta.logRate), momentum: tf.sigmoid(theta.momentumLogit) });
 */
export function momentum(options: MomentumOptions = {}): GradientTransformation {
  checkKeys(options, ['learningRate', 'momentum', 'nesterov'], 'momentum');
  const rate = checkRate(options.learningRate ?? 0.01, 'learningRate');
  const kept = checkScalar(options.momentum ?? 0.9, 'momentum');
  const nesterov = checkBoolean(options.nesterov ?? false, 'nesterov');
  const scheduled = typeof rate === 'function';
  return transformation({
    init: (params) => ({
      ...(scheduled && { count: tf.scalar(0, 'int32') }),
      velocity: mapTensors((p) => tf.zerosLike(p), params),
    }),
    update: (grads, state) => {
      const { count, velocity } = state as unknown as MomentumState;
      const factor = tf.neg(rateAt(rate, count));
      const next = mapTensors((g, v) => tf.add(tf.mul(kept, v), g), grads, velocity);
      return {
        updates: mapTensors((g, v) => tf.mul(factor, nesterov ? tf.add(g, tf.mul(kept, v)) : v), grads, next),
        state: { ...(count && { count: tf.add(count, tf.scalar(1, 'int32')) }), velocity: next },
      };
    },
  });
}
