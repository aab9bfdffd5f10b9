/** Groups of elementwise nodes at the limits of an instruction: 64 registers, 8 results. */
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { defineUnroll, jit, openDevice, shape } from '../../../src/index.js';

/** As many operands as a group takes and more members than registers are left for. */
const OPERANDS = 13;
const ROUNDS = 40;
const rise = (i: number) => 0.1 * (i + 1);

function chain<T>(x: T, operands: readonly T[], max: (a: T, b: T) => T, sine: (a: T) => T): T {
  let y = x;
  for (let i = 0; i < ROUNDS; i++) y = sine(max(y, operands[i % OPERANDS]!));
  return y;
}

const onNumbers = (x: number, operands: readonly number[]) => chain(x, operands, Math.max, Math.sin);
const onTensors = (x: tf.Tensor, operands: readonly tf.Tensor[]) =>
  chain(x, operands, (a, b) => tf.maximum(a, b), tf.sin);

describe('a long chain with many operands', () => {
  const wanted = onNumbers(
    -0.4,
    Array.from({ length: OPERANDS }, (_, i) => rise(i)),
  );

  it('is cut where a function would need too many registers', () => {
    const f = jit(onTensors, { device: 'cpu' });
    const operands = Array.from({ length: OPERANDS }, (_, i) => tf.fill([5], rise(i)));
    const result = f(tf.fill([5], -0.4), operands).dataSync();
    for (const y of result) expect(y).toBeCloseTo(wanted, 6);
    f.dispose();
  });

  it('is cut where a step would need too many registers', async () => {
    await using device = await openDevice('cpu');
    using program = device.compile(
      defineUnroll({
        horizon: 3,
        theta: Array.from({ length: OPERANDS }, () => shape(5)),
        init: () => ({ x: tf.fill([5], -0.4) }),
        step: ({ theta, state }) => {
          const y = onTensors(state.x, theta);
          return { state: { x: state.x }, loss: y.mean() };
        },
      }),
    );
    using state = program.createState(9);
    const theta = Array.from({ length: OPERANDS }, (_, i) => new Float32Array(45).fill(rise(i)));
    const { lossSums } = await program.run({ state, theta, steps: 1, seed: 1 });
    for (const loss of lossSums) expect(loss).toBeCloseTo(wanted, 6);
  });
});

it('a product is not fused with a group that has all the results it may have', () => {
  const ops = [tf.sin, tf.cos, tf.tanh, tf.exp, tf.sigmoid, tf.abs, tf.neg, tf.square] as ((
    x: tf.Tensor,
  ) => tf.Tensor)[];
  const values = [Math.sin, Math.cos, Math.tanh, Math.exp, (x: number) => 1 / (1 + Math.exp(-x)), Math.abs];
  const f = jit(
    (a: tf.Tensor2D, b: tf.Tensor2D) => {
      const product = tf.matMul(a, b);
      return [product, ...ops.map((op) => op(product))];
    },
    { device: 'cpu' },
  );
  const results = f(tf.fill([3, 4], 0.3), tf.fill([4, 5], 0.2));
  const x = 4 * 0.3 * 0.2;
  const wanted = [x, ...values.map((op) => op(x)), -x, x * x];
  results.forEach((result, i) => {
    for (const y of result.dataSync()) expect(y).toBeCloseTo(wanted[i]!, 6);
  });
  f.dispose();
});
