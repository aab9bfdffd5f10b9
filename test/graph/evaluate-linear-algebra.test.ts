import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../src/graph/builder.js';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import {
  choleskyInPlace,
  symmetricEigen,
  triangularSolveInPlace,
} from '../../src/graph/evaluate-linear-algebra.js';
import { stableOrder } from '../../src/graph/evaluate-sort.js';
import type { Op, Shape } from '../../src/graph/graph.js';

/** Numbers in (-1, 1) from a seed. */
function numbers(count: number, seed: number): Float64Array {
  let state = seed >>> 0;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function product(a: Float64Array, b: Float64Array, n: number, transposeB = false): Float64Array {
  const m = b.length / n;
  const c = new Float64Array(n * m);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < m; j++)
      for (let k = 0; k < n; k++) c[i * m + j] += a[i * n + k] * (transposeB ? b[j * n + k] : b[k * m + j]);
  return c;
}

function close(got: ArrayLike<number>, want: ArrayLike<number>, tolerance = 1e-12) {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < got.length; i++) expect(Math.abs(got[i] - want[i])).toBeLessThanOrEqual(tolerance);
}

function one(op: Op, inputs: readonly { values: Float32Array; shape: Shape }[]): number[] {
  const b = new GraphBuilder();
  const ids = inputs.map(({ shape }, i) => b.input('value', `x${i}`, shape, 'float32'));
  const graph = b.build([{ path: 'y', node: b.add(op, ids) }]);
  return [
    ...evaluateGraph(graph, Object.fromEntries(inputs.map(({ values }, i) => [`x${i}`, values]))).y.values,
  ];
}

describe('Cholesky', () => {
  test.each([1, 2, 5, 12])('L L^T is the matrix (n = %i), whatever stands above the diagonal', (n) => {
    const root = numbers(n * n, n);
    const a = product(root, root, n, true);
    for (let i = 0; i < n; i++) a[i * n + i] += 0.5;
    const l = a.slice();
    for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) l[i * n + j] = Number.NaN;
    expect(choleskyInPlace(l, n)).toBe(true);
    close(product(l, l, n, true), a);
  });
  test('the textbook matrix [[4,12,-16],[12,37,-43],[-16,-43,98]]', () => {
    const values = Float32Array.of(4, 9, 9, 12, 37, 9, -16, -43, 98);
    expect(one({ name: 'cholesky' }, [{ values, shape: [3, 3] }])).toEqual([2, 0, 0, 6, 1, 0, -8, 5, 3]);
  });
  test('of a batch only the matrix that is not positive definite is NaN', () => {
    const values = Float32Array.of(1, 0, 2, 1, 4, 0, 0, 9, Infinity, 0, 0, 1);
    const result = one({ name: 'cholesky' }, [{ values, shape: [3, 2, 2] }]);
    expect(result.slice(0, 4)).toEqual([NaN, NaN, NaN, NaN]);
    expect(result.slice(4, 8)).toEqual([2, 0, 0, 3]);
    expect(result.slice(8)).toEqual([NaN, NaN, NaN, NaN]);
  });
});

describe('triangular solve', () => {
  const flags = [true, false].flatMap((lower) => [true, false].map((transpose) => ({ lower, transpose })));
  test.each(flags)('a x = b (%j)', ({ lower, transpose }) => {
    const [n, m] = [6, 3];
    const full = numbers(n * n, 3);
    for (let i = 0; i < n; i++) full[i * n + i] += Math.sign(full[i * n + i]) * 2;
    const triangle = full.map((x, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return (lower ? j <= i : j >= i) ? x : 0;
    });
    const applied = transpose
      ? triangle.map((_, at) => triangle[(at % n) * n + Math.floor(at / n)])
      : triangle;
    const x = numbers(n * m, 8);
    const b = product(applied, x, n);
    triangularSolveInPlace(full, b, n, m, { lower, transpose });
    close(b, x);
  });
  test('a zero on the diagonal shows', () => {
    const a = { values: Float32Array.of(0, 0, 1, 1), shape: [2, 2] };
    const b = { values: Float32Array.of(1, 1), shape: [2, 1] };
    const op: Op = { name: 'triangularSolve', lower: true, transpose: false };
    expect(one(op, [a, b])).toEqual([Infinity, -Infinity]);
  });
});

describe('symmetric eigendecomposition', () => {
  test.each([1, 2, 3, 9, 24])('a v = v diag(values), v orthogonal, values ascending (n = %i)', (n) => {
    const a = numbers(n * n, 40 + n);
    for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) a[i * n + j] = a[j * n + i];
    const { values, vectors } = symmetricEigen(a, n);
    const scaled = vectors.map((x, at) => x * values[at % n]);
    close(product(a, vectors, n), scaled);
    const identity = a.map((_, at) => Number(at % n === Math.floor(at / n)));
    close(product(vectors, vectors, n, true), identity);
    for (let i = 1; i < n; i++) expect(values[i]).toBeGreaterThanOrEqual(values[i - 1]);
  });
  test('the second difference matrix has eigenvalues 2 - 2 cos(k pi / (n + 1))', () => {
    const n = 10;
    const a = Float64Array.from({ length: n * n }, (_, at) => {
      const distance = Math.abs(Math.floor(at / n) - (at % n));
      return distance === 0 ? 2 : distance === 1 ? -1 : 0;
    });
    close(
      symmetricEigen(a, n).values,
      Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1))),
    );
  });
  test('tied components: the first is positive', () => {
    const root = Math.SQRT1_2;
    const { values, vectors } = symmetricEigen(Float64Array.of(2, 99, 1, 2), 2);
    close(values, [1, 3]);
    close(vectors, [root, root, -root, root]);
  });
  test('eigenvalues many orders apart, zero and repeated ones', () => {
    expect([...symmetricEigen(Float64Array.of(0, 0, 0, 0), 2).values]).toEqual([0, 0]);
    close(symmetricEigen(Float64Array.of(1e-12, 0, 0, 0, 1e12, 0, 0, 0, 1), 3).values, [1e-12, 1, 1e12]);
    // [[1e-8, 1], [1, 1e8]] has determinant 0.
    const { values } = symmetricEigen(Float64Array.of(1e-8, 1, 1, 1e8), 2);
    expect(Math.abs(values[0])).toBeLessThan(1e-15);
  });
  test('NaN in the lower triangle makes all NaN, in the upper one nothing', () => {
    const shape = [2, 2];
    const op: Op = { name: 'symmetricEigen' };
    expect(one(op, [{ values: Float32Array.of(1, NaN, 0, 2), shape }])).toEqual([1, 2, 1, 0, 0, 1]);
    expect(one(op, [{ values: Float32Array.of(1, 0, NaN, 2), shape }])).toEqual(new Array(6).fill(NaN));
  });
});

describe('stable order', () => {
  test('ties keep their order, NaN is last either way, -0 equals 0', () => {
    const values = Float32Array.of(3, NaN, -0, 1, 0, 3, -Infinity, NaN, Infinity);
    expect([...stableOrder(values, false)]).toEqual([6, 2, 4, 3, 0, 5, 8, 1, 7]);
    expect([...stableOrder(values, true)]).toEqual([8, 0, 5, 3, 2, 4, 6, 1, 7]);
  });
});
