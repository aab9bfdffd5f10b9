/** Compiled functions under eager gradients of tfjs. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Rng } from '../../src/trace/rng.js';
import { grad } from '../../src/transform/grad.js';
import { jit } from '../../src/transform/jit.js';
import { expectClose } from './close.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe('a compiled function inside tf.grad', () => {
  it('has its gradient, beside what else leads from x to y', () => {
    const f = jit((x: tf.Tensor, n: tf.Tensor) => tf.mul(tf.exp(x), tf.cast(n, 'float32')));
    const n = tf.tensor1d([2, 3], 'int32');
    // The argument is an intermediate value, which tfjs disposes of before it goes back.
    const slope = tf.grad((x: tf.Tensor) => tf.add(f(tf.mul(x, 2), n), tf.square(x)));
    const x = [0.5, 1];
    expectClose(
      slope(tf.tensor1d(x)),
      x.map((v, i) => 2 * Math.exp(2 * v) * [2, 3][i] + 2 * v),
      1e-5,
    );
  });

  it('has second derivatives', () => {
    const f = jit((x: tf.Tensor) => tf.exp(tf.sin(x)));
    const second = tf.grad((x: tf.Tensor) => tf.grad((y: tf.Tensor) => f(y))(x));
    const x = 0.7;
    expectClose(second(tf.scalar(x)), [Math.exp(Math.sin(x)) * (Math.cos(x) ** 2 - Math.sin(x))], 1e-5);
  });

  it('may be a gradient itself', () => {
    const inner = grad((x: tf.Tensor) => tf.sum(tf.pow(x, 3)) as tf.Scalar);
    expectClose(tf.grad((x: tf.Tensor) => inner(x))(tf.tensor1d([1, 2])), [6, 12], 1e-4);
  });

  it('may give several results, of which some are used', () => {
    const f = jit((x: tf.Tensor, y: tf.Tensor) => ({ p: tf.mul(x, y), q: tf.square(x), i: tf.argMax(x) }));
    const [dx, dy] = tf.grads((x: tf.Tensor, y: tf.Tensor) => f(x, y).p.add(f(x, y).q))([
      tf.tensor1d([1, 2]),
      tf.tensor1d([3, 4]),
    ]);
    expectClose(dx, [5, 8], 0);
    expectClose(dy, [1, 2], 0);
  });

  it('makes the same draws going back as it made going forward', () => {
    const f = jit((x: tf.Tensor, rng: Rng) => tf.mul(x, rng.normal([3])), { seed: 2 });
    for (let i = 0; i < 2; i++) {
      const { value, grad: slope } = tf.valueAndGrad((x: tf.Tensor) => f(x))(tf.ones([3]));
      expectClose(slope, value, 0);
    }
  });

  it('keeps donated arguments', () => {
    const f = jit((x: tf.Tensor) => tf.square(x), { donate: [0] });
    const x = jit((y: tf.Tensor) => tf.add(y, 1))([0, 1]);
    expectClose(tf.grad((y: tf.Tensor) => f(y))(x), [2, 4], 0);
    expectClose(x, [1, 2], 0);
  });

  it('trains variables that it captures', () => {
    const w = tf.variable(tf.tensor1d([0, 0]));
    const x = tf.tensor2d([1, 0, 0, 1, 1, 1], [3, 2]);
    const y = tf.tensor1d([1, -2, -1]);
    const loss = jit(() => tf.mean(tf.square(tf.sub(tf.dot(x, w), y))) as tf.Scalar);
    const optimizer = tf.train.sgd(0.3);
    for (let i = 0; i < 100; i++) optimizer.minimize(() => loss());
    expectClose(w, [1, -2], 1e-3);
    expect(loss.cacheInfo().misses).toBe(1);
    w.dispose();
  });

  it('leaves nothing behind', () => {
    const f = jit((x: tf.Tensor) => tf.exp(x));
    const slope = tf.grad((x: tf.Tensor) => tf.mul(f(f(x)), 2));
    const x = tf.ones([4]);
    slope(x).dispose();
    const { numTensors } = tf.memory();
    slope(x).dispose();
    expect(tf.memory().numTensors).toBe(numTensors);
  });
});
