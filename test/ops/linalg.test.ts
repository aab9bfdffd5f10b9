import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { OptionError, ShapeError } from '../../src/errors.js';
import {
  choleskyInPlace,
  symmetricEigen,
  triangularSolveInPlace,
} from '../../src/graph/evaluate-linear-algebra.js';
import * as linalg from '../../src/ops/linalg.js';
import { distance, eagerDerivatives, finiteDifferences, tracedDerivatives } from './derivatives.js';

const N = 4;

/** Reproducible numbers in [-1, 1). */
function numbers(count: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1);
  });
}

function symmetric(seed: number, diagonal: number): number[] {
  const x = numbers(N * N, seed);
  return x.map((_, k) => {
    const [i, j] = [Math.floor(k / N), k % N];
    return Math.fround((x[i * N + j] + x[j * N + i]) / 2 + (i === j ? diagonal : 0));
  });
}

const WEIGHTS = numbers((N + 1) * N, 5);
const weighted = (x: tf.Tensor, weights = WEIGHTS) =>
  tf.sum(tf.mul(x, tf.tensor(weights.slice(0, x.size), x.shape)));
const weighted64 = (x: ArrayLike<number>) => Array.from(x).reduce((sum, v, i) => sum + v * WEIGHTS[i], 0);

function factor64(a: readonly number[]): Float64Array {
  const l = Float64Array.from(a);
  expect(choleskyInPlace(l, N)).toBe(true);
  return l;
}

function solve64(
  a: readonly number[],
  b: readonly number[],
  lower: boolean,
  transpose: boolean,
): Float64Array {
  const x = Float64Array.from(b);
  triangularSolveInPlace(Float64Array.from(a), x, N, b.length / N, { lower, transpose });
  return x;
}

const POSITIVE = symmetric(1, 3);
const B = numbers(N * 3, 9);
const dense = (x: tf.Tensor) => x.arraySync();

interface Case {
  readonly name: string;
  readonly f: (x: tf.Tensor) => tf.Tensor;
  readonly f64: (x: readonly number[]) => number;
  readonly x: readonly number[];
  readonly shape: readonly number[];
  /** Changes are symmetric matrices. */
  readonly symmetric: boolean;
}

const CASES: readonly Case[] = [
  {
    name: 'cholesky',
    f: (x) => weighted(linalg.cholesky(x)),
    f64: (x) => weighted64(factor64(x)),
    x: POSITIVE,
    shape: [N, N],
    symmetric: true,
  },
  ...[true, false].flatMap((lower) =>
    [true, false].flatMap((transpose): Case[] => [
      {
        name: `triangularSolve by the matrix (lower ${lower}, transpose ${transpose})`,
        f: (x) => weighted(linalg.triangularSolve(x, tf.tensor(B, [N, 3]), { lower, transpose })),
        f64: (x) => weighted64(solve64(x, B, lower, transpose)),
        x: POSITIVE,
        shape: [N, N],
        symmetric: false,
      },
      {
        name: `triangularSolve by the right-hand side, squared (lower ${lower}, transpose ${transpose})`,
        f: (b) =>
          weighted(tf.square(linalg.triangularSolve(tf.tensor(POSITIVE, [N, N]), b, { lower, transpose }))),
        f64: (b) => weighted64(solve64(POSITIVE, b, lower, transpose).map((v) => v * v)),
        x: B,
        shape: [N, 3],
        symmetric: false,
      },
    ]),
  ),
  {
    name: 'choleskySolve',
    f: (x) => weighted(linalg.choleskySolve(linalg.cholesky(x), tf.tensor(B, [N, 3]))),
    f64: (x) => {
      const l = [...factor64(x)];
      return weighted64(solve64(l, [...solve64(l, B, true, false)], true, true));
    },
    x: POSITIVE,
    shape: [N, N],
    symmetric: true,
  },
  {
    name: 'eigenvalues',
    f: (x) => weighted(linalg.eigh(x).values),
    f64: (x) => weighted64(symmetricEigen(Float64Array.from(x), N).values),
    x: symmetric(3, 0),
    shape: [N, N],
    symmetric: true,
  },
  {
    name: 'eigenvectors',
    f: (x) => weighted(linalg.eigh(x).vectors),
    f64: (x) => weighted64(symmetricEigen(Float64Array.from(x), N).vectors),
    x: symmetric(3, 0),
    shape: [N, N],
    symmetric: true,
  },
  {
    name: 'logDet',
    f: (x) => linalg.logDet(x),
    f64: (x) => factor64(x).reduce((sum, v, k) => sum + (k % (N + 1) === 0 ? 2 * Math.log(v) : 0), 0),
    x: POSITIVE,
    shape: [N, N],
    symmetric: true,
  },
  {
    name: 'inverseSpd',
    f: (x) => weighted(linalg.inverseSpd(x)),
    f64: (x) => {
      const l = [...factor64(x)];
      const identity = Array.from({ length: N * N }, (_, k) => Number(k % (N + 1) === 0));
      return weighted64(solve64(l, [...solve64(l, identity, true, false)], true, true));
    },
    x: POSITIVE,
    shape: [N, N],
    symmetric: true,
  },
];

describe('values and derivatives agree with float64 finite differences', () => {
  it.each(CASES)('$name', ({ f, f64, x, shape, symmetric: isSymmetric }) => {
    const [u, v] = isSymmetric
      ? [symmetric(11, 0), symmetric(12, 0)]
      : [numbers(x.length, 11), numbers(x.length, 12)];
    const wanted = finiteDifferences(f64, x, u, v);
    expect(distance(eagerDerivatives(f, x, shape, u, v), wanted)).toBeLessThan(2e-4);
    expect(distance(tracedDerivatives(f, x, shape, u, v), wanted)).toBeLessThan(2e-4);
  });
});

describe('batches', () => {
  it('factors every matrix by itself, and leaves no tensors behind', () => {
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      const batch = tf.tensor([...POSITIVE, ...symmetric(2, 4), ...symmetric(4, 5)], [3, 1, N, N]);
      const l = linalg.cholesky(batch);
      expect(l.shape).toEqual([3, 1, N, N]);
      const back = tf.matMul(l, l, false, true);
      expect(tf.max(tf.abs(tf.sub(back, batch))).dataSync()[0]).toBeLessThan(1e-5);
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it('broadcasts the batch axes of a solve', () => {
    tf.tidy(() => {
      const a = tf.tensor([...POSITIVE, ...symmetric(2, 4)], [2, 1, N, N]);
      const b = tf.tensor(numbers(3 * N * 2, 6), [3, N, 2]);
      const x = linalg.triangularSolve(a, b);
      expect(x.shape).toEqual([2, 3, N, 2]);
      const lower = tf.tensor(
        Array.from({ length: N * N }, (_, k) => Number(k % N <= Math.floor(k / N))),
        [N, N],
      );
      // tfjs's own matMul does not broadcast [2, 1] with [2, 3].
      const back = tf.matMul(tf.tile(tf.mul(a, lower), [1, 3, 1, 1]), x);
      expect(tf.max(tf.abs(tf.sub(back, b))).dataSync()[0]).toBeLessThan(1e-5);
    });
  });

  it('gives eigenvectors that diagonalise, ascending', () => {
    tf.tidy(() => {
      const a = tf.tensor([...symmetric(7, 0), ...symmetric(8, 1)], [2, N, N]);
      const { values, vectors } = linalg.eigh(a);
      expect(
        tf
          .max(tf.abs(tf.sub(tf.matMul(a, vectors), tf.mul(vectors, tf.expandDims(values, 1)))))
          .dataSync()[0],
      ).toBeLessThan(1e-6);
      const w = values.arraySync() as number[][];
      for (const row of w) expect([...row].sort((p, q) => p - q)).toEqual(row);
    });
  });
});

describe('edges', () => {
  it('a matrix that is not positive definite gives NaN, and only that one', () => {
    const [good, bad] = tf.tidy(() => {
      const a = tf.tensor([4, 0, 0, 9, 1, 2, 2, 1], [2, 2, 2]);
      return dense(linalg.cholesky(a)) as number[][][];
    });
    expect(good).toEqual([
      [2, 0],
      [0, 3],
    ]);
    expect(bad.flat().every(Number.isNaN)).toBe(true);
  });

  it('repeated eigenvalues: right gradients through the values, finite ones through the vectors', () => {
    const gradients = tf.tidy(() => {
      const through = (f: (e: ReturnType<typeof linalg.eigh>) => tf.Tensor) =>
        dense(tf.grad((a: tf.Tensor) => tf.sum(f(linalg.eigh(a))).asScalar())(tf.eye(3))) as number[][];
      return {
        values: through(({ values }) => tf.square(values)),
        vectors: through(({ vectors }) => tf.mul(vectors, tf.tensor(WEIGHTS.slice(0, 9), [3, 3]))),
      };
    });
    // sum of squared eigenvalues = sum of squared elements
    expect(gradients.values).toEqual([
      [2, 0, 0],
      [0, 2, 0],
      [0, 0, 2],
    ]);
    expect(gradients.vectors.flat().every((g) => g === 0)).toBe(true);
  });

  it('refuses what is no batch of square matrices, by name', () => {
    expect(() => linalg.cholesky(tf.ones([2, 3]))).toThrow(ShapeError);
    expect(() => linalg.cholesky([1, 2])).toThrow('at least two axes');
    expect(() => linalg.eigh(tf.ones([2, 2], 'int32'))).toThrow('float32');
    expect(() => linalg.triangularSolve(tf.eye(2), tf.ones([3, 1]))).toThrow('as many rows');
    expect(() => linalg.triangularSolve(tf.ones([2, 2, 2]), tf.ones([3, 2, 1]))).toThrow('do not broadcast');
    expect(() => linalg.triangularSolve(tf.eye(2), tf.eye(2), { lowr: true } as object)).toThrow(OptionError);
  });
});
