/**
 * Factorisations and solves that tfjs lacks: on any backend, inside traces, under vmap, with gradients of any order.
 *
 * All take batches: the last two axes are the matrix, the ones before are batch axes. Inputs are float32 tensors (or what tfjs makes one
 * of). Each matrix is computed in float64 and rounded once. Outside of traces that happens on the host, whatever the backend (which
 * must be one that can be read synchronously); in a trace a core op is recorded, which every device runs.
 *
 * Gradients: Giles 2008, "An extended collection of matrix derivative results for forward and reverse mode algorithmic differentiation"; for
 * Cholesky Murray 2016 (arXiv 1602.07527), section 4.
 */
import * as tf from '@tensorflow/tfjs';
import { ShapeError } from '../errors.js';
import { broadcastShapes } from '../graph/infer.js';
import { checkBoolean, checkKeys } from '../options.js';
import { customOp, untaped } from '../trace/custom-op.js';
import { coreOp } from './core-op.js';
import { matrixTranspose } from './differentiable.js';

/** A tensor, or nested arrays of numbers. */
export type MatrixLike = tf.TensorLike | tf.Tensor;

export interface TriangularSolveOptions {
  /** Which triangle of `a` holds the matrix; the other one is not read. Default true. */
  readonly lower?: boolean;
  /** Solves with the transpose of `a`. Default false. */
  readonly transpose?: boolean;
}

/** A square float32 matrix or a batch of them. */
function squareMatrices(value: MatrixLike, where: string): tf.Tensor {
  const a = matrices(value, where);
  const [n, m] = a.shape.slice(-2);
  if (n !== m) throw new ShapeError(`${where}: a must be square in its last two axes, got [${a.shape}]`);
  return a;
}

function matrices(value: MatrixLike, where: string, name = 'a'): tf.Tensor {
  const x = value instanceof tf.Tensor ? value : tf.tensor(value as tf.TensorLike);
  if (x.rank < 2) throw new ShapeError(`${where}: ${name} must have at least two axes, got [${x.shape}]`);
  if (x.dtype !== 'float32') throw new ShapeError(`${where}: ${name} must be float32, got ${x.dtype}`);
  return x;
}

/** Batch axes as one, for gradients: backends are limited in rank. */
function flat(x: tf.Tensor): tf.Tensor3D {
  const [rows, columns] = x.shape.slice(-2);
  const batch = x.shape.slice(0, -2).reduce((n, d) => n * d, 1);
  return tf.reshape(x, [batch, rows, columns]);
}

/** 1 where `keep(row, column)`, else 0: [1, n, n]. */
function mask(n: number, keep: (row: number, column: number) => number): tf.Tensor3D {
  const values = Float32Array.from({ length: n * n }, (_, i) => keep(Math.floor(i / n), i % n));
  return tf.tensor3d(values, [1, n, n]);
}

function product(a: tf.Tensor, b: tf.Tensor, transposeA = false, transposeB = false): tf.Tensor {
  return tf.matMul(a as tf.Tensor3D, b as tf.Tensor3D, transposeA, transposeB);
}

/** (x + x^T) / 2 */
function symmetrised(x: tf.Tensor): tf.Tensor {
  return tf.mul(tf.add(x, matrixTranspose(x)), 0.5);
}

/** [batch, n, n] -> [batch, n, n] */
function choleskyOp(a: tf.Tensor): tf.Tensor {
  return customOp(
    [a],
    () => [coreOp({ name: 'cholesky' }, [a])],
    ([dl], [saved]) => {
      // Murray 2016, eq. 10: S = L^-T phi(L^T dL) L^-1, phi halving the diagonal of the lower triangle. Factored again rather than kept:
      // tfjs would take a saved output for a constant in second derivatives. A trace merges the two.
      const l = choleskyOp(saved);
      const n = saved.shape[2] as number;
      const phi = mask(n, (i, j) => (i > j ? 1 : i === j ? 0.5 : 0));
      const middle = tf.mul(product(l, dl, true), phi);
      const left = solveOp(l, middle, true, true);
      return [symmetrised(matrixTranspose(solveOp(l, matrixTranspose(left), true, true)))];
    },
  )[0];
}

/** a [batch, n, n], b [batch, n, m] -> [batch, n, m] */
function solveOp(a: tf.Tensor, b: tf.Tensor, lower: boolean, transpose: boolean): tf.Tensor {
  return customOp(
    [a, b],
    () => [coreOp({ name: 'triangularSolve', lower, transpose }, [a, b])],
    ([dx], [savedA, savedB]) => {
      const db = solveOp(savedA, dx, lower, !transpose);
      const x = solveOp(savedA, savedB, lower, transpose);
      const outer = transpose ? product(x, db, false, true) : product(db, x, false, true);
      const n = savedA.shape[2] as number;
      const triangle = mask(n, (i, j) => Number(lower ? i >= j : i <= j));
      return [tf.neg(tf.mul(outer, triangle)), db];
    },
  )[0];
}

/** [batch, n, n] -> [batch, n + 1, n]: eigenvalues, then eigenvectors. */
function eigenOp(a: tf.Tensor): tf.Tensor {
  return customOp(
    [a],
    () => [coreOp({ name: 'symmetricEigen' }, [a])],
    ([dy], [saved]) => {
      const n = saved.shape[2] as number;
      const { values, vectors } = split(eigenOp(saved));
      const cotangent = split(dy);
      const gaps = tf.sub(tf.expandDims(values, 1), tf.expandDims(values, 2));
      // 1 / (w_j - w_i); 0 where they are equal, the diagonal included.
      const equal = untaped(() => tf.equal(gaps, 0));
      const inverse = tf.where(
        equal,
        tf.zerosLike(gaps),
        tf.div(1, tf.where(equal, tf.onesLike(gaps), gaps)),
      );
      const turning = tf.mul(inverse, product(vectors, cotangent.vectors, true));
      const stretching = tf.mul(
        tf.expandDims(cotangent.values, 1),
        mask(n, (i, j) => Number(i === j)),
      );
      const inner = tf.add(turning, stretching);
      return [symmetrised(product(product(vectors, inner), vectors, false, true))];
    },
  )[0];
}

function split(packed: tf.Tensor): { readonly values: tf.Tensor; readonly vectors: tf.Tensor } {
  const [batch, , n] = packed.shape as [number, number, number];
  return {
    values: tf.reshape(tf.slice(packed, [0, 0, 0], [batch, 1, n]), [batch, n]),
    vectors: tf.slice(packed, [0, 1, 0], [batch, n, n]),
  };
}

/**
 * Lower triangular L [..., n, n] with L L^T = a, zeros above. Only the lower triangle of `a` [..., n, n] is read; where a matrix is not positive
 * definite and finite, all of its L is NaN. n^3 / 3 flops a matrix.
 *
 * The gradient is the symmetric one: G with df = sum(G * da) for every symmetric change da of a.
 *
 * Throws ShapeError unless `a` is float32 and square.
 */
export function cholesky(a: MatrixLike): tf.Tensor {
  return tf.tidy(() => {
    const x = squareMatrices(a, 'cholesky');
    return tf.reshape(choleskyOp(flat(x)), x.shape);
  });
}

/**
 * x [..., n, m] with a x = b, or a^T x = b, for a triangular `a` [..., n, n] and `b` [..., n, m]; batch axes broadcast. Only the triangle named is
 * read, and only there has `a` a gradient. A zero on the diagonal gives infinities and NaN. n^2 m flops a matrix.
 *
 * Throws ShapeError when the shapes do not fit, OptionError on an unknown option.
 */
export function triangularSolve(
  a: MatrixLike,
  b: MatrixLike,
  options: TriangularSolveOptions = {},
): tf.Tensor {
  const where = 'triangularSolve';
  checkKeys(options, ['lower', 'transpose'], where);
  const { lower = true, transpose = false } = options;
  checkBoolean(lower, `${where}: lower`);
  checkBoolean(transpose, `${where}: transpose`);
  return tf.tidy(() => {
    const [x, y] = alignedBatches(squareMatrices(a, where), matrices(b, where, 'b'), where);
    return tf.reshape(solveOp(flat(x), flat(y), lower, transpose), y.shape);
  });
}

/** Both with the batch axes that they have together. */
function alignedBatches(a: tf.Tensor, b: tf.Tensor, where: string): [tf.Tensor, tf.Tensor] {
  if (a.shape.at(-1) !== b.shape.at(-2)) {
    throw new ShapeError(`${where}: b must have as many rows as a, got a [${a.shape}] and b [${b.shape}]`);
  }
  let batch: readonly number[];
  try {
    batch = broadcastShapes([a.shape.slice(0, -2), b.shape.slice(0, -2)]);
  } catch (cause) {
    throw new ShapeError(`${where}: the batch axes of a [${a.shape}] and b [${b.shape}] do not broadcast`, {
      cause,
    });
  }
  return [stretched(a, batch), stretched(b, batch)];
}

/** The matrices of `x` for every index of `batch`: by an addition, whose gradient is right eagerly too, unlike that of tf.broadcastTo. */
function stretched(x: tf.Tensor, batch: readonly number[]): tf.Tensor {
  const own = x.shape.slice(0, -2);
  if (own.length === batch.length && own.every((d, i) => d === batch[i])) return x;
  return tf.add(x, tf.fill([...batch, 1, 1], -0));
}

/**
 * x [..., n, m] with (L L^T) x = b, from the factor `l` [..., n, n] that `cholesky` gives and `b` [..., n, m]. Throws like `triangularSolve`.
 */
export function choleskySolve(l: MatrixLike, b: MatrixLike): tf.Tensor {
  return tf.tidy(() => {
    const half = triangularSolve(l, b, { lower: true });
    return triangularSolve(l, half, { lower: true, transpose: true });
  });
}

/**
 * Eigenvalues [..., n], ascending, and eigenvectors [..., n, n] (in columns) of symmetric matrices `a` [..., n, n], of which only the lower triangle is
 * read. Of each vector the component of largest magnitude is positive. NaN or Infinity in a matrix makes all of its result NaN. About
 * 30 n^3 flops a matrix.
 *
 * The gradient is the symmetric one, as for `cholesky`. Eigenvectors of equal eigenvalues can turn among themselves, and how a change of `a` turns
 * them is not defined; between eigenvalues that are exactly equal the turning is left out. So gradients through the eigenvalues are right
 * everywhere (functions that treat equal eigenvalues alike), gradients through the eigenvectors lack that part, and neither is NaN. Close
 * but different eigenvalues give large gradients.
 *
 * Throws ShapeError unless `a` is float32 and square.
 */
export function eigh(a: MatrixLike): { values: tf.Tensor; vectors: tf.Tensor } {
  return tf.tidy(() => {
    const x = squareMatrices(a, 'eigh');
    const { values, vectors } = split(eigenOp(flat(x)));
    return { values: tf.reshape(values, x.shape.slice(0, -1)), vectors: tf.reshape(vectors, x.shape) };
  });
}

/**
 * log(det(a)) [...] of symmetric positive definite matrices `a` [..., n, n], through `cholesky`; NaN where a matrix is not positive definite. 0 for n
 * = 0. Throws like `cholesky`.
 */
export function logDet(a: MatrixLike): tf.Tensor {
  return tf.tidy(() => {
    const x = squareMatrices(a, 'logDet');
    const n = x.shape.at(-1) as number;
    const l = choleskyOp(flat(x));
    // Ones off the diagonal, whose logarithm is 0.
    const unit = mask(n, (i, j) => Number(i === j));
    const diagonal = tf.add(tf.mul(l, unit), tf.sub(1, unit));
    return tf.reshape(tf.mul(tf.sum(tf.log(diagonal), [1, 2]), 2), x.shape.slice(0, -2));
  });
}

/** The inverse of symmetric positive definite matrices `a` [..., n, n], through `cholesky`: symmetric; NaN where a matrix is not positive definite.
 * Throws like `cholesky`. */
export function inverseSpd(a: MatrixLike): tf.Tensor {
  return tf.tidy(() => {
    const x = squareMatrices(a, 'inverseSpd');
    const n = x.shape.at(-1) as number;
    const l = choleskyOp(flat(x));
    const identity = tf.mul(
      tf.onesLike(l),
      mask(n, (i, j) => Number(i === j)),
    );
    const half = solveOp(l, identity, true, false);
    return tf.reshape(product(half, half, true), x.shape);
  });
}
