/**
 * A simulator: particles of an Ornstein-Uhlenbeck process dx = -rate x dt + noise dW, all with their own random numbers. Its variance settles at
 * noise^2 / (2 rate); the spread of the particles should find that.
 *
 *     npx tsx examples/sde.ts
 */
import * as tf from '@tensorflow/tfjs';
import { defineUnroll, openDevice, shape } from 'unrolled';

const dt = 0.01;

const process_ = defineUnroll({
  horizon: Number.POSITIVE_INFINITY,
  theta: { rate: shape(), noise: shape() },
  init: () => ({ x: tf.scalar(0) }),
  step: ({ theta, state, rng }) => {
    const kick = rng.normal([], { share: 'particle' }).mul(theta.noise).mul(Math.sqrt(dt));
    const x = state.x.mul(tf.sub(1, theta.rate.mul(dt))).add(kick);
    return { state: { x }, loss: x.square(), metrics: { x, outside: x.abs().greater(1).toFloat() } };
  },
});

const device = await openDevice('auto');
const program = device.compile(process_);
const particles = device.kind === 'tfjs' ? 1_000 : 20_000;
const state = program.createState(particles);
const theta = { rate: 2, noise: 1 };

await program.run({ state, theta, steps: 300, seed: 11 }); // let it settle
const run = await program.run({ state, theta, steps: 200, seed: 11 });
const mean = (values: ArrayLike<number>) =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

console.log(
  `variance ${run.meanLoss.toFixed(4)}, in theory ${(theta.noise ** 2 / (2 * theta.rate)).toFixed(4)}`,
);
console.log(`mean position ${mean(run.metrics.x.last).toFixed(4)}`);
console.log(`share of the time outside [-1, 1]: ${(mean(run.metrics.outside.sums) / 200).toFixed(4)}`);

state.dispose();
program.dispose();
await device.dispose();
