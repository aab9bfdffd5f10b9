import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { applyUpdates } from '../../src/optimizers/transformation.js';
import { defineUnroll } from '../../src/transform/define.js';
import { Device } from '../../src/transform/device.js';
import { shape } from '../../src/transform/leaf.js';
import { referenceDriver } from '../support/reference-driver.js';
import { OPTIMIZERS } from './optimizers.js';

/** Gradient of (a - 1)^2 + sum_i (b_i + i)^2 (1 + i): minimum at a = 1, b = (0, -1, -2). */
function parabola(x: readonly number[]): number[] {
  return [2 * (x[0] - 1), ...[0, 1, 2].map((i) => 2 * (1 + i) * (x[1 + i] + i))];
}

/** Gradient of (1 - x)^2 + 100 (y - x^2)^2: minimum at (1, 1). */
function rosenbrock([x, y]: readonly number[]): number[] {
  return [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)];
}

describe.each(OPTIMIZERS)('$name', ({ optimizer, hand, parabolaSteps, rosenbrockSteps }) => {
  it('reaches the minimum of a parabola, on numbers and typed arrays', () => {
    let params = { a: -2, b: Float64Array.of(3, 3, 3) };
    let state = optimizer.init(params);
    for (let i = 0; i < parabolaSteps; i++) {
      const g = parabola([params.a, ...params.b]);
      const result = optimizer.update({ a: g[0], b: Float64Array.from(g.slice(1)) }, state, params);
      params = applyUpdates(params, result.updates);
      state = result.state;
    }
    const wanted = [1, 0, -1, -2];
    [params.a, ...params.b].forEach((value, i) => {
      expect(Math.abs(value - wanted[i])).toBeLessThan(2e-2);
    });
  });

  it('reaches the minimum of Rosenbrock’s valley', () => {
    let params = [0.9, 0.75];
    let state = optimizer.init(params);
    for (let i = 0; i < rosenbrockSteps; i++) {
      const result = optimizer.update(rosenbrock(params), state, params);
      params = applyUpdates(params, result.updates);
      state = result.state;
    }
    expect(Math.abs(params[0] - 1)).toBeLessThan(0.05);
    expect(Math.abs(params[1] - 1)).toBeLessThan(0.1);
  });

  it('makes the updates that float64 by hand makes, for 20 steps', () => {
    const step = hand();
    let state = optimizer.init([0, new Float32Array(2)]);
    for (let i = 0; i < 20; i++) {
      const g = [Math.sin(i), 3 * Math.cos(2 * i), 10 / (i + 1)];
      const result = optimizer.update([g[0], Float32Array.from(g.slice(1))], state);
      const wanted = step(g);
      const [first, rest] = result.updates as [number, Float32Array];
      [first, ...rest].forEach((value, j) => {
        expect(Math.abs(value - wanted[j]), `step ${i}, element ${j}`).toBeLessThan(
          1e-5 * Math.max(1e-3, Math.abs(wanted[j])),
        );
      });
      state = result.state;
    }
  });

  it('keeps structure, kinds and dtypes, of updates and of its state', () => {
    const params = { n: 1, list: [Float32Array.of(1, 2), Float64Array.of(3)] };
    const state = optimizer.init(params);
    const first = optimizer.update(params, state, params);
    const second = optimizer.update(params, first.state, params);
    const kinds = (x: unknown): unknown =>
      typeof x === 'number'
        ? 'number'
        : ArrayBuffer.isView(x)
          ? `${x.constructor.name} ${(x as Float32Array).length}`
          : Object.entries(x as object).map(([key, item]) => [key, kinds(item)]);
    expect(kinds(second.updates)).toEqual(kinds(params));
    expect(kinds(first.state)).toEqual(kinds(state));
    expect(kinds(second.state)).toEqual(kinds(state));
  });

  it('gives the same on tensors as on plain values, and leaves only its results behind', () => {
    const before = tf.memory().numTensors;
    const gradients = (i: number) => ({ w: [Math.sin(i), 2, -3], b: Math.cos(i) });
    let plain = optimizer.init({ w: new Float32Array(3), b: 0 });
    const params = { w: tf.zeros([3]), b: tf.scalar(0) };
    let state = optimizer.init(params);
    for (let i = 0; i < 5; i++) {
      const { w, b } = gradients(i);
      const grads = { w: tf.tensor1d(w), b: tf.scalar(b) };
      const result = optimizer.update(grads, state, params);
      const wanted = optimizer.update({ w: Float32Array.from(w), b }, plain);
      expect([...result.updates.w.dataSync(), ...result.updates.b.dataSync()]).toEqual([
        ...wanted.updates.w,
        wanted.updates.b,
      ]);
      plain = wanted.state;
      tf.dispose([grads, state, result.updates] as tf.TensorContainer);
      state = result.state;
    }
    tf.dispose([state, params] as tf.TensorContainer);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('can be part of a traced step', async () => {
    const device = new Device(referenceDriver());
    using program = device.compile(
      defineUnroll({
        horizon: 20,
        theta: { start: shape(2) },
        init: ({ theta }) => ({ x: theta.start, inner: optimizer.init([theta.start]) }),
        step: ({ state }) => {
          const gradient = state.x.sub(tf.tensor1d([1, -1])).mul(2);
          const { updates, state: inner } = optimizer.update([gradient], state.inner as never, [state.x]);
          const [x] = applyUpdates([state.x], updates);
          return { state: { x, inner }, loss: x.sum() };
        },
      }),
    );
    const state = program.createState(1);
    await program.run({ state, theta: { start: [3, 0] }, steps: 15, seed: 0 });
    const { x } = (await state.export()).state;
    const step = hand();
    let wanted = [3, 0];
    for (let i = 0; i < 15; i++) {
      const updates = step([2 * (wanted[0] - 1), 2 * (wanted[1] + 1)]);
      wanted = wanted.map((value, j) => value + updates[j]);
    }
    wanted.forEach((value, j) => {
      expect(Math.abs(x[j] - value)).toBeLessThan(2e-5);
    });
  });
});
