/** Comparing tensors with other tensors or with numbers. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';

/** Fails at the first element that is off by more than `tolerance`, relative where the wanted number is above 1. */
export function expectClose(
  actual: tf.Tensor | ArrayLike<number>,
  wanted: tf.Tensor | ArrayLike<number>,
  tolerance: number,
): void {
  const values = (x: tf.Tensor | ArrayLike<number>) =>
    x instanceof tf.Tensor ? (x.dataSync() as ArrayLike<number>) : x;
  const [got, expected] = [values(actual), values(wanted)];
  if (actual instanceof tf.Tensor && wanted instanceof tf.Tensor) {
    if (wanted.rank > 1) expect(actual.shape).toEqual(wanted.shape);
  }
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs(got[i] - expected[i]);
    const same = Object.is(got[i], expected[i]) || off <= tolerance * Math.max(1, Math.abs(expected[i]));
    if (!same) expect.fail(`element ${i} is ${got[i]}, wanted ${expected[i]} (tolerance ${tolerance})`);
  }
}
