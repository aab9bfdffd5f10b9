/** A tanh RNN that follows a random target: the problem of the reverse benchmark. */
import * as tf from '@tensorflow/tfjs';
import { defineUnroll, shape } from '../../src/index.js';
import { fillNormal, STREAMS } from '../../src/random/index.js';

export const RNN = { units: 32, inputs: 8, steps: 200, particles: 256 } as const;

/** One step of the RNN on row t of the inputs; loss is the squared error of its readout. theta: the weights of the particle. */
export function recurrentNetwork({ units, inputs, steps }: { units: number; inputs: number; steps: number }) {
  return defineUnroll({
    horizon: steps,
    theta: { u: shape(inputs, units), w: shape(units, units), b: shape(units), v: shape(units) },
    data: { x: shape(steps, inputs), target: shape(steps) },
    init: () => ({ h: tf.zeros([units]) }),
    step: ({ theta, state, t, data }) => {
      const row = t.reshape([1]) as tf.Tensor1D;
      const x = tf.gather(data.x, row) as tf.Tensor2D;
      const pre = tf
        .matMul(x, theta.u)
        .add(tf.matMul(state.h.reshape([1, units]), theta.w))
        .reshape([units]);
      const h = tf.tanh(pre.add(theta.b));
      const error = h.mul(theta.v).sum().sub(tf.gather(data.target, row).reshape([]));
      return { state: { h }, loss: error.square() };
    },
  });
}

/** Weights [particles, ...] and data, all standard normal and scaled. */
export function recurrentValues({ units, inputs, steps, particles }: typeof RNN) {
  let draw = 0;
  const normal = (count: number, scale: number) => {
    const values = new Float32Array(count);
    fillNormal(values, { seed: 1, stream: STREAMS.user, step: 0, draw: draw++ });
    return values.map((x) => x * scale);
  };
  return {
    theta: {
      u: normal(particles * inputs * units, 1 / Math.sqrt(inputs)),
      w: normal(particles * units * units, 1 / Math.sqrt(units)),
      b: normal(particles * units, 0.1),
      v: normal(particles * units, 1 / Math.sqrt(units)),
    },
    data: { x: normal(steps * inputs, 1), target: normal(steps, 1) },
  };
}
