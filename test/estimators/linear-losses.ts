/**
 * Linear losses with given gradients g_{t, tau} = weight(t, tau) u, u = (0.6, 0.8): the variance of PES and
 * NRES is known exactly.
 */
import * as tf from '@tensorflow/tfjs';
import { defineUnroll, shape } from '../../src/index.js';

export interface LossWeights {
  /** Weight of the sum of all thetas so far, as a function of the step. */
  readonly past: (t: tf.Tensor) => tf.Tensor;
  /** Weight of the current theta. */
  readonly present: (t: tf.Tensor) => tf.Tensor;
}

const none = () => tf.scalar(0);

/** The four cases of 8 windows, and the total variance of an episode's sum from one pair. */
export const CASES: readonly { name: string; weights: LossWeights; pes: number; nres: number }[] = [
  {
    name: 'all gradients alike',
    weights: { past: () => tf.scalar(1), present: none },
    pes: 2628,
    nres: 3888,
  },
  {
    name: 'no influence on later losses',
    weights: { past: none, present: () => tf.scalar(1) },
    pes: 80,
    nres: 192,
  },
  {
    name: 'alternating signs',
    weights: { past: none, present: (t) => tf.sub(1, tf.mul(2, tf.mod(t.toFloat(), 2))) },
    pes: 80,
    nres: 0,
  },
  {
    name: 'a final loss only',
    weights: { past: (t) => tf.div(tf.equal(t, tf.scalar(7, 'int32')).toFloat(), 8), present: none },
    pes: 3,
    nres: 3,
  },
];

export function linearLosses({ past, present }: LossWeights) {
  return defineUnroll({
    horizon: 8,
    theta: { theta: shape(2) },
    init: () => ({ sum: tf.scalar(0) }),
    step: ({ theta, state, t }) => {
      const projected = tf.sum(tf.mul(theta.theta, tf.tensor1d([0.6, 0.8])));
      const sum = state.sum.add(projected);
      return { state: { sum }, loss: sum.mul(past(t)).add(projected.mul(present(t))) };
    },
  });
}
