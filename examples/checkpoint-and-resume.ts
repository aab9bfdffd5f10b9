/**
 * Stopping a tuning run and going on later: the resumed run gives the very numbers of the uninterrupted one.
 *
 *     npx tsx examples/checkpoint-and-resume.ts
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { defineUnroll, openDevice, pes, shape } from 'unrolled';

/** A ball is thrown at a target; theta is its speed, the loss how far it is from the target at each step. */
const throwing = defineUnroll({
  horizon: 40,
  theta: { speed: shape(2) },
  init: ({ theta }) => ({ position: tf.zeros([2]), speed: theta.speed.mul(1) }),
  step: ({ state }) => {
    const position = state.position.add(state.speed.mul(0.05));
    const speed = state.speed.mul(0.99).sub(tf.tensor1d([0, 0.4905]));
    return {
      state: { position, speed },
      loss: position
        .sub(tf.tensor1d([6, 0]))
        .square()
        .sum(),
    };
  },
});

const device = await openDevice('auto');
const program = device.compile(throwing);
const estimator = pes(program, { particles: 256, sigma: 0.1, truncation: 10, normalisation: 'mean' });

/** Plain gradient descent for some updates. What has to be kept from one to the next is the speed and the estimator's state. */
async function tune(updates: number, speed: Float64Array, estimate: ReturnType<typeof estimator.init>) {
  for (let i = 0; i < updates; i++) {
    const { gradient, state } = await estimator.step({ speed }, estimate);
    estimate = state;
    speed = speed.map((value, j) => value - 0.02 * gradient.speed[j]);
  }
  return { speed, estimate };
}

const start = Float64Array.of(4, 4);
const whole = await tune(60, start, estimator.init({ speed: start }, { seed: 3 }));

const folder = mkdtempSync(join(tmpdir(), 'unrolled-example-'));
const file = join(folder, 'run.checkpoint');
const half = await tune(30, start, estimator.init({ speed: start }, { seed: 3 }));
writeFileSync(file, await estimator.checkpoint(half.estimate));
writeFileSync(`${file}.json`, JSON.stringify([...half.speed]));
half.estimate.inner.dispose();

// ... in another process, another day ...
const speed = Float64Array.from(JSON.parse(readFileSync(`${file}.json`, 'utf8')) as number[]);
const resumed = await tune(30, speed, await estimator.restore(readFileSync(file)));
rmSync(folder, { recursive: true });

console.log(`uninterrupted: ${whole.speed.join(', ')}`);
console.log(`resumed:       ${resumed.speed.join(', ')}`);
if (whole.speed.some((value, j) => value !== resumed.speed[j]))
  throw new Error('the resumed run went another way');

whole.estimate.inner.dispose();
resumed.estimate.inner.dispose();
program.dispose();
await device.dispose();
