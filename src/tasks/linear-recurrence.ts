/**
 * A linear recurrence with quadratic losses: every gradient and every variance of an estimator has a closed
 * form.
 */
import * as tf from '@tensorflow/tfjs';
import { checkInteger, checkKeys } from '../options.js';
import { defineUnroll } from '../transform/define.js';
import { shape } from '../transform/leaf.js';

export interface LinearRecurrenceOptions {
  /** a of s' = a s + theta. Default 0.9. */
  readonly decay?: number;
  /** Default 1. */
  readonly start?: number;
  /** Default 2. */
  readonly target?: number;
  /** Default 6. */
  readonly horizon?: number;
}

/**
 * s' = decay s + theta from s_0 = start; the loss of a step is (s' - target)^2 / 2. theta: { theta: shape()
 * }, state: { s: shape() }. With the defaults at theta = 0.4: total loss 0.46383684, its derivative
 * 0.9219356.
 * Throws OptionError on a malformed option.
 */
export function linearRecurrence(options: LinearRecurrenceOptions = {}) {
  checkKeys(options, ['decay', 'start', 'target', 'horizon'], 'linearRecurrence');
  const { decay = 0.9, start = 1, target = 2, horizon = 6 } = options;
  checkInteger(horizon, 'horizon', 1);
  return defineUnroll({
    horizon,
    theta: { theta: shape() },
    init: () => ({ s: tf.scalar(start) }),
    step: ({ theta, state }) => {
      const s = state.s.mul(decay).add(theta.theta);
      return { state: { s }, loss: s.sub(target).square().mul(0.5) };
    },
  });
}
