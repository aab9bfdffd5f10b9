/** Reference arithmetic of factorisations and solves, on plain float64 matrices (row-major), and the ops made of it. */
import type { Value } from './evaluate-value.js';
import type { GraphNode } from './graph.js';
import { sizeOf } from './graph.js';

/**
 * Overwrites `a` [n, n], of which only the lower triangle is read, with its Cholesky factor L (zeros above the diagonal).
 * @returns whether `a` is positive definite and finite; if it is not, `a` is left partly overwritten
 * Cost: n^3 / 3 flops.
 */
export function choleskyInPlace(a: Float64Array, n: number): boolean {
  for (let j = 0; j < n; j++) {
    let pivot = a[j * n + j]!;
    for (let k = 0; k < j; k++) pivot -= a[j * n + k]! * a[j * n + k]!;
    if (!(pivot > 0 && pivot < Number.POSITIVE_INFINITY)) return false;
    const diagonal = Math.sqrt(pivot);
    a[j * n + j] = diagonal;
    for (let i = j + 1; i < n; i++) {
      let sum = a[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= a[i * n + k]! * a[j * n + k]!;
      a[i * n + j] = sum / diagonal;
      a[j * n + i] = 0;
    }
  }
  return true;
}

/**
 * Overwrites `b` [n, m] with the x of a x = b, or of a^T x = b when `transpose`; `a` [n, n] is triangular: only its lower or upper triangle is
 * read. A zero on the diagonal gives infinities and NaN. Cost: n^2 m flops.
 */
export function triangularSolveInPlace(
  a: Float64Array,
  b: Float64Array,
  n: number,
  m: number,
  { lower, transpose }: { readonly lower: boolean; readonly transpose: boolean },
): void {
  const forward = lower !== transpose;
  for (let step = 0; step < n; step++) {
    const i = forward ? step : n - 1 - step;
    for (let done = 0; done < step; done++) {
      const k = forward ? done : n - 1 - done;
      const factor = transpose ? a[k * n + i]! : a[i * n + k]!;
      for (let j = 0; j < m; j++) b[i * m + j]! -= factor * b[k * m + j]!;
    }
    const diagonal = a[i * n + i]!;
    for (let j = 0; j < m; j++) b[i * m + j]! /= diagonal;
  }
}

/** Jacobi sweeps; convergence is quadratic, and matrices that need more than a dozen are not known. */
const MAX_SWEEPS = 60;
/** Components whose magnitudes differ by less are taken for equal, so that rounding does not choose an eigenvector's sign. */
const TIE = 1e-6;

/**
 * Eigenvalues (ascending) [n] and unit eigenvectors (columns of [n, n]) of a symmetric matrix [n, n] of which only the lower triangle is read, by
 * cyclic Jacobi rotations (Golub & Van Loan, Matrix Computations, section 8.5). Of each vector the component of largest magnitude is positive,
 * the first one of those within a relative 1e-6 of it. NaN or Infinity in the triangle makes everything NaN. Cost: about 30 n^3 flops.
 */
export function symmetricEigen(
  matrix: Float64Array,
  n: number,
): { readonly values: Float64Array; readonly vectors: Float64Array } {
  const a = new Float64Array(n * n);
  const v = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    v[i * n + i] = 1;
    for (let j = 0; j <= i; j++) {
      a[i * n + j] = matrix[i * n + j]!;
      a[j * n + i] = matrix[i * n + j]!;
    }
  }
  if (!a.every(Number.isFinite))
    return { values: new Float64Array(n).fill(Number.NaN), vectors: v.fill(Number.NaN) };
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let rotations = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotations += Number(rotate(a, v, n, p, q));
    if (rotations === 0) break;
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[i * n + i]! - a[j * n + j]! || i - j);
  const values = new Float64Array(n);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    values[to] = a[from * n + from]!;
    const sign = signOf(v, n, from);
    for (let i = 0; i < n; i++) vectors[i * n + to] = sign * v[i * n + from]!;
  });
  return { values, vectors };
}

/** Zeroes a[p][q] unless it already makes no difference to the two diagonal elements; whether it did. */
function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): boolean {
  const off = a[p * n + q]!;
  const [app, aqq] = [a[p * n + p]!, a[q * n + q]!];
  if (
    Math.abs(off) <= Number.EPSILON * 0.5 * Math.sqrt(Math.abs(app)) * Math.sqrt(Math.abs(aqq)) ||
    off === 0
  )
    return false;
  const theta = (aqq - app) / (2 * off);
  const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (let k = 0; k < n; k++) {
    const [x, y] = [a[k * n + p]!, a[k * n + q]!];
    a[k * n + p] = c * x - s * y;
    a[k * n + q] = s * x + c * y;
  }
  for (let k = 0; k < n; k++) {
    const [x, y] = [a[p * n + k]!, a[q * n + k]!];
    a[p * n + k] = c * x - s * y;
    a[q * n + k] = s * x + c * y;
    const [vx, vy] = [v[k * n + p]!, v[k * n + q]!];
    v[k * n + p] = c * vx - s * vy;
    v[k * n + q] = s * vx + c * vy;
  }
  a[p * n + q] = 0;
  a[q * n + p] = 0;
  return true;
}

function signOf(v: Float64Array, n: number, column: number): number {
  let most = 0;
  for (let i = 0; i < n; i++) most = Math.max(most, Math.abs(v[i * n + column]!));
  for (let i = 0; i < n; i++) {
    const x = v[i * n + column]!;
    if (Math.abs(x) >= most * (1 - TIE)) return x < 0 ? -1 : 1;
  }
  return 1;
}

/** Runs `body` on each matrix of a batch of `size` elements, as float64. */
function eachMatrix(x: Value, size: number, body: (matrix: Float64Array, index: number) => void): void {
  const count = size === 0 ? 0 : x.values.length / size;
  for (let i = 0; i < count; i++) body(Float64Array.from(x.values.subarray(i * size, (i + 1) * size)), i);
}

export function evaluateCholesky(node: GraphNode, a: Value): Value {
  const n = node.shape[node.shape.length - 1]!;
  const values = new Float32Array(sizeOf(node.shape));
  eachMatrix(a, n * n, (matrix, i) => {
    values.set(choleskyInPlace(matrix, n) ? matrix : matrix.fill(Number.NaN), i * n * n);
  });
  return { shape: node.shape, dtype: 'float32', values };
}

export function evaluateTriangularSolve(
  node: GraphNode,
  op: { readonly lower: boolean; readonly transpose: boolean },
  a: Value,
  b: Value,
): Value {
  const [n, m] = node.shape.slice(-2) as [number, number];
  const values = new Float32Array(sizeOf(node.shape));
  eachMatrix(a, n * n, (matrix, i) => {
    const x = Float64Array.from(b.values.subarray(i * n * m, (i + 1) * n * m));
    triangularSolveInPlace(matrix, x, n, m, op);
    values.set(x, i * n * m);
  });
  return { shape: node.shape, dtype: 'float32', values };
}

export function evaluateSymmetricEigen(node: GraphNode, a: Value): Value {
  const n = node.shape[node.shape.length - 1]!;
  const result = new Float32Array(sizeOf(node.shape));
  eachMatrix(a, n * n, (matrix, i) => {
    const { values, vectors } = symmetricEigen(matrix, n);
    result.set(values, i * (n + 1) * n);
    result.set(vectors, i * (n + 1) * n + n);
  });
  return { shape: node.shape, dtype: 'float32', values: result };
}
