/** Tiny inner problems, where the cost is all dispatch and elementary functions. */
import * as tf from '@tensorflow/tfjs';
import { defineUnroll, shape } from '../../src/index.js';

const T = 100;

/**
 * The two-dimensional regression of Vicol, Metz, Sohl-Dickstein 2021 (toy problem): gradient descent with a linear learning rate schedule
 * between exp(theta0) and exp(theta1), loss after each step.
 */
export function toyRegression() {
  const loss = (x: tf.Tensor, y: tf.Tensor) =>
    tf
      .sqrt(x.square().add(5))
      .sub(Math.sqrt(5))
      .add(
        tf
          .sin(y)
          .square()
          .mul(tf.exp(x.square().mul(-5))),
      )
      .add(y.sub(100).abs().mul(0.25)) as tf.Scalar;
  return defineUnroll({
    horizon: T,
    theta: { logFirst: shape(), logLast: shape() },
    init: () => ({ x: tf.scalar(1), y: tf.scalar(1) }),
    step: ({ theta, state, t }) => {
      const part = t.toFloat().div(T);
      const rate = tf.exp(theta.logFirst).mul(tf.sub(1, part)).add(tf.exp(theta.logLast).mul(part));
      const [gx, gy] = tf.grads(loss)([state.x, state.y]);
      const x = state.x.sub(rate.mul(gx));
      const y = state.y.sub(rate.mul(gy));
      return { state: { x, y }, loss: loss(x, y) };
    },
  });
}

/** Seven elementwise ops on two floats of state: an oscillator by symplectic Euler steps, and its energy. */
export function sevenOps() {
  return defineUnroll({
    horizon: 1 << 20,
    theta: { start: shape() },
    init: ({ theta }) => ({ x: theta.start.add(0), v: tf.scalar(0) }),
    step: ({ state }) => {
      const v = state.v.sub(state.x.mul(0.01));
      const x = state.x.add(v.mul(0.01));
      return { state: { x, v }, loss: x.square().add(v.square()) };
    },
  });
}
