/**
 * Influence balancing: a linear recurrence in which a parameter helps the loss now and harms it later, so
 * that every method that cuts the influence short walks away from the optimum. Vicol, Metz, Sohl-Dickstein
 * 2021, section 5.1; after Tallec, Ollivier 2017.
 */
import * as tf from '@tensorflow/tfjs';
import { checkInteger, checkKeys } from '../options.js';
import { defineUnroll } from '../transform/define.js';
import { shape } from '../transform/leaf.js';

export interface InfluenceBalancingOptions {
  /** Dimension n of the state. Default 23. */
  readonly dimension?: number;
  /** Entries p that theta raises; it lowers the others. Default 10. */
  readonly positive?: number;
  /** Default Infinity. */
  readonly horizon?: number;
}

/**
 * s' = A s + theta v, A with 0.5 on the diagonal and on the first superdiagonal, v = +1 for the first p
 * entries and -1 for the others; s_0 = ones; the loss of a step is (s'[0] - 1)^2 / 2. theta: { theta: shape()
 * }, state: { s: shape(n) }. In the long run s[0] tends to 2 (2 p - n) theta: with the defaults -6 theta, the
 * minimum is at theta = -1/6.
 * Throws OptionError on a malformed option.
 */
export function influenceBalancing(options: InfluenceBalancingOptions = {}) {
  checkKeys(options, ['dimension', 'positive', 'horizon'], 'influenceBalancing');
  const { dimension = 23, positive = 10, horizon = Number.POSITIVE_INFINITY } = options;
  checkInteger(dimension, 'dimension', 1);
  checkInteger(positive, 'positive', 0, dimension);
  const signs = Array.from({ length: dimension }, (_, i) => (i < positive ? 1 : -1));
  return defineUnroll({
    horizon,
    theta: { theta: shape() },
    init: () => ({ s: tf.ones([dimension]) }),
    step: ({ theta, state }) => {
      // (A s)[i] = (s[i] + s[i + 1]) / 2, written as a shift: three operations an entry instead of n.
      const shifted = tf.pad(tf.slice(state.s, [1], [dimension - 1]), [[0, 1]]);
      const s = state.s
        .add(shifted)
        .mul(0.5)
        .add(theta.theta.mul(tf.tensor1d(signs)));
      const first = tf.slice(s, [0], [1]).reshape([]);
      return { state: { s }, loss: first.sub(1).square().mul(0.5) };
    },
  });
}
