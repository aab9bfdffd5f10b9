/**
 * The smallest form of `unrolled demo`: logistic regression on two measurements of penguins, whose learning rate and its decay are tuned by
 * persistent evolution strategies.
 *
 *     npx tsx examples/tune-penguins.ts
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { adam, applyUpdates, defineUnroll, openDevice, pes, shape } from 'unrolled';

// The table comes with the vega-datasets package.
type Penguin = { Species: string; [column: string]: string | number | null };
const path = join(createRequire(import.meta.url).resolve('vega-datasets'), '../../data/penguins.json');
const columns = ['Beak Length (mm)', 'Flipper Length (mm)'];
const penguins = (JSON.parse(readFileSync(path, 'utf8')) as Penguin[]).filter((bird) =>
  columns.every((c) => bird[c] !== null),
);
const species = [...new Set(penguins.map((bird) => bird.Species))];
const n = penguins.length;

const x = tf.tidy(() => {
  const raw = tf.tensor2d(penguins.map((bird) => columns.map((column) => Number(bird[column]))));
  const { mean, variance } = tf.moments(raw, 0);
  return raw.sub(mean).div(variance.sqrt()).dataSync() as Float32Array;
});
const y = Float32Array.from(
  penguins.flatMap((bird) => species.map((name) => (name === bird.Species ? 1 : 0))),
);

const training = defineUnroll({
  horizon: 50,
  theta: { logRate: shape(), decay: shape() },
  data: { x: shape(n, 2), y: shape(n, 3) },
  init: () => ({ w: tf.zeros([2, 3]), b: tf.zeros([3]) }),
  step: ({ theta, state, t, rng, data }) => {
    const rows = rng.integers([16], 0, n);
    const batchX = tf.gather(data.x, rows);
    const batchY = tf.gather(data.y, rows);
    const loss = (w: tf.Tensor, b: tf.Tensor) =>
      tf.neg(
        tf.mean(tf.sum(tf.mul(batchY, tf.logSoftmax(tf.matMul(batchX, w as tf.Tensor2D).add(b))), -1)),
      ) as tf.Scalar;
    const { value, grads } = tf.valueAndGrads(loss)([state.w, state.b]);
    const rate = tf.exp(theta.logRate.sub(theta.decay.mul(tf.log1p(t.toFloat()))));
    return { state: { w: state.w.sub(grads[0].mul(rate)), b: state.b.sub(grads[1].mul(rate)) }, loss: value };
  },
});

const device = await openDevice('auto');
const program = device.compile(training, { data: { x, y } });
const particles = device.kind === 'tfjs' ? 64 : 1024;
const estimator = pes(program, { particles, sigma: 0.1, truncation: 10, normalisation: 'mean' });
const optimizer = adam({ learningRate: 0.1 });

let theta = { logRate: Math.log(0.01), decay: 0 };
let estimate = estimator.init(theta, { seed: 1 });
let memory = optimizer.init(theta);
for (let update = 0; update < 100; update++) {
  const { gradient, meanLoss, state } = await estimator.step(theta, estimate);
  const next = optimizer.update(gradient, memory, theta);
  estimate = state;
  memory = next.state;
  theta = applyUpdates(theta, next.updates);
  if (update % 20 === 0) console.log(`update ${update}: mean loss ${meanLoss.toFixed(4)}`);
}
console.log(`learning rate ${Math.exp(theta.logRate).toFixed(3)}, decay exponent ${theta.decay.toFixed(3)}`);

estimate.inner.dispose();
program.dispose();
await device.dispose();
