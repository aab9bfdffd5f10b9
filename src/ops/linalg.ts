/**
 * Factorisations and solves that tfjs lacks: on any backend, inside traces, under vmap, with gradients of any order.
 *
 * All take batches: the last two axes are the matrix, the ones before are batch axes. Inputs are float32 tensors (or what tfjs makes one
 * of). Each matrix is computed in float64 and rounded once. Outside of traces that happens on the host, whatever the backend (which
 * must be one that can be read synchronously); in a trace a core op is recorded, which every device runs.
 */
import * as tf from '@tensorflow/tfjs';
import { ShapeError } from '../errors.js';
import { broadcastShapes } from '../graph/infer.js';
import { checkBoolean, checkKeys } from '../options.js';
import { choleskyOp, eigenOp, mask, matrixBatch, solveOp, split } from './matrix-ops.js';
import { product } from './product.js';

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
    return tf.reshape(choleskyOp(matrixBatch(x)), x.shape);
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
    return tf.reshape(solveOp(matrixBatch(x), matrixBatch(y), lower, transpose), y.shape);
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
    const { values, vectors } = split(eigenOp(matrixBatch(x)));
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
    const l = choleskyOp(matrixBatch(x));
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
    const l = choleskyOp(matrixBatch(x));
    const identity = tf.mul(
      tf.onesLike(l),
      mask(n, (i, j) => Number(i === j)),
    );
    const half = solveOp(l, identity, true, false);
    return tf.reshape(product(half, half, true), x.shape);
  });
}
