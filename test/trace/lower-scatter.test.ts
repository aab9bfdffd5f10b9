import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  bools,
  evaluateTraced,
  expectClose,
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

const next = generator(41);
const upTo = (n: number) => Math.floor(next() * (n + 1));

/** Indices [...outer, rank] that all lie in `shape`, with repeats. */
function indicesInto(shape: number[], outer: number[], rank: number): Input {
  const count = outer.reduce((n, d) => n * d, 1);
  const values = Int32Array.from({ length: count * rank }, (_, i) => Math.floor(next() * shape[i % rank]));
  return { shape: [...outer, rank], dtype: 'int32', values };
}

/** A shape, a number of index columns, and a shape of indices without its last axis. */
function randomCase(): { shape: number[]; rank: number; outer: number[] } {
  const shape = Array.from({ length: 1 + upTo(3) }, () => 1 + upTo(4));
  return {
    shape,
    rank: 1 + upTo(shape.length - 1),
    outer: Array.from({ length: 1 + upTo(1) }, () => 1 + upTo(4)),
  };
}

const SOME = Array.from({ length: 30 }, randomCase);

describe('gatherND, scatterND and tensorScatterUpdate of random shapes', () => {
  test('gatherND', () => {
    for (const { shape, rank, outer } of SOME) {
      const indices = indicesInto(shape, outer, rank);
      expectSameAsEager((x, i) => tf.gatherND(x, i), [floats(shape), indices]);
      expectSameAsEager((x, i) => tf.gatherND(x, i), [ints(shape), indices]);
    }
    expectSameAsEager((x, i) => tf.gatherND(x, i), [bools([3, 4]), indicesInto([3, 4], [5], 2)]);
  });
  test('gatherND of an index outside gives NaN', () => {
    const x = floats([3, 2]);
    const values = tracedValues((t) => tf.gatherND(t, tf.tensor2d([[1], [7]], [2, 1], 'int32')), [x]);
    expectClose(values, [x.values[2], x.values[3], Number.NaN, Number.NaN]);
  });
  test('scatterND sums what goes to one place', () => {
    for (const { shape, rank, outer } of SOME) {
      const updates = floats([...outer, ...shape.slice(rank)]);
      const fn = (i: tf.Tensor2D, u: tf.Tensor) => tf.scatterND(i, u, shape as [number]);
      expectSameAsEager(fn, [indicesInto(shape, outer, rank), updates]);
      expectSameAsEager(fn, [indicesInto(shape, outer, rank), ints(updates.shape)]);
    }
  });
  test('tensorScatterUpdate: the last update to a place wins', () => {
    for (const { shape, rank, outer } of SOME) {
      const updates = [...outer, ...shape.slice(rank)];
      // The cpu kernel of tfjs writes into the tensor it is given, so it gets a copy.
      const fn = (x: tf.Tensor, i: tf.Tensor2D, u: tf.Tensor) =>
        tf.tensorScatterUpdate(tf.add(x, tf.zerosLike(x)), i, u);
      const indices = indicesInto(shape, outer, rank);
      expectSameAsEager(fn, [floats(shape), indices, floats(updates, -2, 2, 9)]);
      expectSameAsEager(fn, [ints(shape), indices, ints(updates, -5, 6, 9)]);
    }
  });
  test('tensorScatterUpdate brings NaN, -0 and bool as they are', () => {
    const i = tf.tensor2d([[0], [2], [2]], [3, 1], 'int32');
    const values = tracedValues(
      (x) => tf.tensorScatterUpdate(x, i, tf.tensor1d([-0, 5, Number.NaN])),
      [given([1, 2, 3])],
    );
    expect(values).toEqual([-0, 2, Number.NaN]);
    const flags = tracedValues(
      (x) => tf.tensorScatterUpdate(x, i, tf.tensor1d([true, true, false], 'bool')),
      [bools([3])],
    );
    expect([flags[0], flags[2]]).toEqual([1, 0]);
  });
  test('nothing to write, or nothing to write to', () => {
    const none = { shape: [0, 1], dtype: 'int32', values: new Int32Array(0) } as const;
    const empty = { ...none, shape: [0, 1] };
    expectSameAsEager((i, u) => tf.scatterND(i, u, [3]), [empty, floats([0])]);
    expectSameAsEager((x, i) => tf.gatherND(x, i), [floats([3, 2]), empty]);
  });
  test('sparseToDense with one value, values and a default', () => {
    const at = { ...ints([4], 0, 6), shape: [4] };
    expectSameAsEager((i, v) => tf.sparseToDense(i, v, [6]), [at, floats([4])]);
    expectSameAsEager((i, v, d) => tf.sparseToDense(i, v, [6], d), [at, floats([4]), floats([])]);
    expectSameAsEager((i, v) => tf.sparseToDense(i, v, [6]), [at, floats([])]);
    expectSameAsEager((i, v) => tf.sparseToDense(i, v, [3, 4], 7), [indicesInto([3, 4], [5], 2), ints([5])]);
    expectSameAsEager((i, v) => tf.sparseToDense(i, v, [6]), [at, bools([4])]);
  });
});

describe('counts', () => {
  test('bincount', () => {
    for (const size of [0, 3, 9]) {
      expectSameAsEager((x) => tf.bincount(x, [], size), [ints([17], 0, 9)]);
      expectSameAsEager((x, w) => tf.bincount(x, w, size), [ints([17], 0, 9), floats([17])]);
      expectSameAsEager((x, w) => tf.bincount(x, w, size), [ints([17], 0, 9), ints([17])]);
    }
  });
  test('denseBincount of vectors and matrices, weighted and binary', () => {
    for (const shape of [[17], [3, 5], [1, 1]]) {
      for (const binary of [false, true]) {
        const x = ints(shape, 0, 7);
        expectSameAsEager((t) => tf.denseBincount(t, [], 5, binary), [x]);
        expectSameAsEager((t, w) => tf.denseBincount(t, w, 5, binary), [x, floats(shape)]);
        expectSameAsEager((t, w) => tf.denseBincount(t, w, 5, binary), [x, ints(shape)]);
      }
    }
  });
  test('values below zero, which tfjs throws on, count nowhere', () => {
    expect(tracedValues((x) => tf.bincount(x, [], 3), [ints([40], -3, 3)]).reduce((a, b) => a + b, 0)).toBe(
      Array.from(ints([40], -3, 3).values).filter((v) => v >= 0).length,
    );
    const matrix: Input = { shape: [2, 2], dtype: 'int32', values: Int32Array.of(-1, 0, 5, 1) };
    expect(tracedValues((x) => tf.denseBincount(x, [], 2), [matrix])).toEqual([1, 0, 0, 1]);
  });
});

describe('segment sums', () => {
  /** Sums by definition: ids over the first axes of x. */
  function byDefinition(x: Input, ids: Input, segments: number): number[] {
    const inner = x.values.length / ids.values.length;
    const sums = new Array<number>(segments * inner).fill(0);
    for (const [row, id] of Array.from(ids.values).entries()) {
      if (id < 0 || id >= segments) continue;
      for (let i = 0; i < inner; i++) sums[id * inner + i] += x.values[row * inner + i];
    }
    return sums;
  }
  test('unsortedSegmentSum with ids of any rank', () => {
    for (const [shape, rank] of [
      [[7, 2], 1],
      [[2, 3, 4], 2],
      [[2, 3], 2],
      [[3, 2], 0],
    ] as const) {
      const x = floats(shape.slice());
      const ids = ints(shape.slice(0, rank), -1, 5);
      const { results } = evaluateTraced((t, i) => tf.unsortedSegmentSum(t, i, 4), [x, ids]);
      expect(results.value.shape).toEqual([4, ...shape.slice(rank)]);
      expectClose(results.value.values, byDefinition(x, ids, 4));
      expectDerivatives((t, i) => tf.unsortedSegmentSum(t, i, 4), [x, ids]);
    }
  });
  test('sparse segment sums and means over constant ids', () => {
    const ids = tf.tensor1d([0, 0, 1, 3], 'int32');
    const at = ints([4], 0, 5);
    expectSameAsEager((x, i) => tf.sparse.sparseSegmentSum(x, i, ids), [floats([5, 3]), at]);
    expectSameAsEager((x, i) => tf.sparse.sparseSegmentMean(x, i, ids), [floats([5, 3]), at]);
    expect(() => evaluateTraced((x, i) => tf.sparse.sparseSegmentSum(x, i, i), [floats([5, 3]), at])).toThrow(
      /sparseSegmentSum.*static/,
    );
  });
});

describe('derivatives', () => {
  const rows = indicesInto([3, 4], [6], 2);
  const some = { ...ints([5], 0, 3), shape: [5, 1] };
  const cases: Record<string, [Parameters<typeof expectDerivatives>[0], ...Input[]]> = {
    gatherND: [(x, i) => tf.gatherND(x, i), floats([3, 4]), rows],
    'gatherND of rows': [(x, i) => tf.gatherND(x, i), floats([3, 4]), some],
    'gatherND of one': [(x) => tf.gatherND(x, tf.tensor1d([1, 2], 'int32')), floats([3, 4, 2])],
    scatterND: [(u, i) => tf.scatterND(i, u, [3, 4]), floats([6]), rows],
    'scatterND of a vector': [(u, i) => tf.scatterND(i, u, [3]), floats([5]), { ...some, shape: [5, 1] }],
    tensorScatterUpdate: [(x, u, i) => tf.tensorScatterUpdate(x, i, u), floats([3, 4]), floats([6]), rows],
    'tensorScatterUpdate of rows': [
      (x, u, i) => tf.tensorScatterUpdate(x, i, u),
      floats([3, 4]),
      floats([5, 4]),
      some,
    ],
    sparseToDense: [(v, d, i) => tf.sparseToDense(i, v, [3, 4], d), floats([6]), floats([]), rows],
    'sparseToDense of one value': [
      (v, d, i) => tf.sparseToDense(i, v, [6], d),
      floats([]),
      floats([], 0, 1, 2),
      ints([4], 0, 6),
    ],
    bincount: [(w, x) => tf.bincount(x, w, 4), floats([9]), ints([9], 0, 6)],
    'denseBincount of a matrix': [(w, x) => tf.denseBincount(x, w, 4), floats([2, 5]), ints([2, 5], 0, 6)],
  };
  test.each(Object.entries(cases))('%s', (_, [fn, ...inputs]) => expectDerivatives(fn, inputs));
});
