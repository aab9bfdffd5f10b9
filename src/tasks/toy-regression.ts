/**
 * The two-dimensional toy regression: a learning-rate schedule with two parameters, whose loss surface has a
 * poor local minimum that short-sighted methods end in. Vicol, Metz, Sohl-Dickstein 2021, section 5.2.
 */
import * as tf from '@tensorflow/tfjs';
import { checkInteger, checkKeys } from '../options.js';
import { defineUnroll } from '../transform/define.js';
import { shape } from '../transform/leaf.js';

export interface ToyRegressionOptions {
  /** T, inner steps. Default 100. */
  readonly horizon?: number;
}

/** The inner loss sqrt(x0^2 + 5) - sqrt(5) + sin(x1)^2 exp(-5 x0^2) + |x1 - 100| / 4 and its gradient. */
function innerLoss(x0: tf.Tensor, x1: tf.Tensor) {
  const root = tf.sqrt(tf.add(tf.square(x0), 5));
  const sine = tf.sin(x1);
  const bell = tf.exp(tf.mul(tf.square(x0), -5));
  const ripple = tf.mul(tf.square(sine), bell);
  const distance = tf.sub(x1, 100);
  return {
    value: root.sub(Math.sqrt(5)).add(ripple).add(tf.abs(distance).mul(0.25)),
    dx0: x0.div(root).sub(x0.mul(ripple).mul(10)),
    dx1: sine.mul(tf.cos(x1)).mul(bell).mul(2).add(tf.sign(distance).mul(0.25)),
  };
}

/**
 * Gradient descent on the inner loss from x = (1, 1), with weight decay 1e-10 and the rate exp(theta0) (T -
 * t) / T + exp(theta1) t / T; the loss of a step is the inner loss after it. theta: { logRates: shape(2) }
 * (at the start and at the end of the schedule), state: { x0, x1 }. At theta = (-4, -4) the sum of the losses
 * is 2487.77; the valley is at theta0 = 2.8 with about 558
 * (rounding moves it by a few units: the inner problem is nearly chaotic there), a local minimum 2423.2 at
 * (0.134, -0.77).
 * Throws OptionError on a malformed option.
 */
export function toyRegression2d(options: ToyRegressionOptions = {}) {
  checkKeys(options, ['horizon'], 'toyRegression2d');
  const horizon = checkInteger(options.horizon ?? 100, 'horizon', 1);
  return defineUnroll({
    horizon,
    theta: { logRates: shape(2) },
    init: () => ({ x0: tf.scalar(1), x1: tf.scalar(1) }),
    step: ({ theta, state, t }) => {
      const fraction = t.toFloat().div(horizon);
      const [first, last] = tf.unstack(tf.exp(theta.logRates));
      const rate = first.mul(tf.sub(1, fraction)).add(last.mul(fraction));
      const { dx0, dx1 } = innerLoss(state.x0, state.x1);
      const descend = (x: tf.Tensor, gradient: tf.Tensor) => x.sub(rate.mul(gradient.add(x.mul(1e-10))));
      const x0 = descend(state.x0, dx0);
      const x1 = descend(state.x1, dx1);
      return { state: { x0, x1 }, loss: innerLoss(x0, x1).value };
    },
  });
}
