import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  bools,
  expectSameAsEager,
  floats,
  generator,
  given,
  type Input,
  ints,
  tracedValues,
} from './compare.js';
import { expectDerivatives } from './derivatives.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const topk = (k: number) => (x: tf.Tensor) => {
  const { values, indices } = tf.topk(x, k);
  return [values, indices];
};

describe('topk', () => {
  test('values and indices of random shapes, with ties', () => {
    for (const shape of [[1], [17], [3, 5], [2, 3, 4], [2, 0, 3], [700]]) {
      for (const k of [0, 1, 2, shape.at(-1)!]) {
        if (k > shape.at(-1)!) continue;
        expectSameAsEager(topk(k), [floats(shape)]);
        // Small whole numbers: most of them are equal to another.
        expectSameAsEager(topk(k), [ints(shape, -2, 3)]);
        expectSameAsEager(topk(k), [
          { ...floats(shape), values: Float32Array.from(ints(shape, 0, 3).values) },
        ]);
      }
    }
    expectSameAsEager(topk(2), [bools([5])]);
  });
  test('infinities, and zeros of both signs, which are equal', () => {
    expectSameAsEager(topk(6), [given([-Infinity, -0, 0, 5, Infinity, -1])]);
    expectSameAsEager(topk(3), [given([-1, -0, 0, 5, -2])]);
  });
  test('NaN comes last', () => {
    expect(tracedValues((x) => tf.topk(x, 4).indices, [given([Number.NaN, 1, Number.NaN, 3])])).toEqual([
      3, 1, 0, 2,
    ]);
  });
  test('all, unsorted, is the order of x', () => {
    expectSameAsEager((x) => [tf.topk(x, 5, false).values, tf.topk(x, 5, false).indices], [floats([2, 5])]);
  });
  test('derivatives go back to where the values were', () => {
    expectDerivatives((x) => tf.topk(x, 2).values, [floats([3, 5])]);
    expectDerivatives((x) => tf.gather(x, tf.topk(x, 2).indices), [floats([5])]);
    expectDerivatives((x) => tf.gather(x, tf.topk(x, 2).indices, 1, 1), [floats([3, 5])]);
    expectDerivatives((x) => tf.gather(x, tf.argMax(x, 0)), [floats([5])]);
  });
});

describe('searches', () => {
  const sorted = (input: Input): Input => {
    const n = input.shape.at(-1)!;
    const values = input.values.slice();
    for (let i = 0; i < values.length; i += n) values.subarray(i, i + n).sort();
    return { ...input, values };
  };
  test('searchSorted, lowerBound and upperBound of rows of any length', () => {
    const next = generator(3);
    for (let n = 1; n < 20; n++) {
      const rows = 1 + Math.floor(3 * next());
      const keys = sorted(ints([rows, n], -4, 5, n));
      const wanted = ints([rows, 6], -6, 7, n);
      for (const side of ['left', 'right'] as const) {
        expectSameAsEager((s, v) => tf.searchSorted(s, v, side), [keys, wanted]);
        expectSameAsEager(
          (s, v) => tf.searchSorted(s, v, side),
          [sorted(floats([rows, n])), floats([rows, 5])],
        );
      }
      expectSameAsEager((s, v) => [tf.lowerBound(s, v), tf.upperBound(s, v)], [keys, wanted]);
    }
  });
  test('more axes, infinities and NaN', () => {
    expectSameAsEager((s, v) => tf.searchSorted(s, v), [sorted(floats([2, 3, 5])), floats([2, 3, 4])]);
    const values = given([-Infinity, Infinity, Number.NaN, 0], [1, 4]);
    for (const side of ['left', 'right'] as const) {
      expectSameAsEager((s, v) => tf.searchSorted(s, v, side), [given([-1, 0, 0, 2], [1, 4]), values]);
    }
  });
  test('a sequence that is not sorted gives what tfjs gives', () => {
    expectSameAsEager((s, v) => tf.searchSorted(s, v), [floats([3, 11]), floats([3, 9])]);
  });
  test('the kernels of the bounds', () => {
    const run = (name: string) => (sortedSequence: tf.Tensor, values: tf.Tensor) =>
      tf.engine().runKernel(name, { sortedSequence, values }) as tf.Tensor;
    const keys = sorted(ints([2, 7], -4, 5));
    const wanted = ints([2, 5], -6, 7);
    const traced = ['LowerBound', 'UpperBound'].map((name) => tracedValues(run(name), [keys, wanted]));
    const eager = [tf.lowerBound, tf.upperBound].map((f) =>
      Array.from(
        f(
          tf.tensor(keys.values, keys.shape, 'int32'),
          tf.tensor(wanted.values, wanted.shape, 'int32'),
        ).dataSync(),
      ),
    );
    expect(traced).toEqual(eager);
  });
});
