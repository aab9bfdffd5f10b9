/** Gradient descent. */
import * as tf from '@tensorflow/tfjs';
import { checkKeys } from '../options.js';
import type { TensorTree } from '../transform/leaf.js';
import { checkRate, type Rate, rateAt } from './schedules.js';
import { type GradientTransformation, mapTensors, transformation } from './transformation.js';

export interface SgdOptions {
  /** Default 0.01. */
  readonly learningRate?: Rate;
}

/** State of `sgd`: int32 count of updates, kept only for a schedule. */
interface SgdState {
  readonly count?: tf.Tensor;
}

/**
 * update = -learningRate * gradient.
 * Throws OptionError on a malformed option.
 *
 *     const optimizer = sgd({ learningRate: 0.1 });
 *     let state = optimizer.init(params);
 *     const step = optimizer.update(gradient, state, params);
 *     params = applyUpdates(params, step.updates);
 *     state = step.state;
 */
export function sgd(options: SgdOptions = {}): GradientTransformation {
  checkKeys(options, ['learningRate'], 'sgd');
  const rate = checkRate(options.learningRate ?? 0.01, 'learningRate');
  const scheduled = typeof rate === 'function';
  return transformation({
    init: (): TensorTree => (scheduled ? { count: tf.scalar(0, 'int32') } : {}),
    update: (grads, state) => {
      const { count } = state as unknown as SgdState;
      const factor = tf.neg(rateAt(rate, count));
      const next: TensorTree = count ? { count: tf.add(count, tf.scalar(1, 'int32')) } : {};
      return { updates: mapTensors((g) => tf.mul(factor, g), grads), state: next };
    },
  });
}
