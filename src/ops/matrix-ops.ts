/**
 * The matrix ops that linalg and replay are made of, on batches [batch, rows, columns], with gradients written in these same ops: right to any
 * order.
 *
 * Gradients: Giles 2008, "An extended collection of matrix derivative results for forward and reverse mode algorithmic differentiation"; for
 * Cholesky Murray 2016 (arXiv 1602.07527), section 4.
 */
import * as tf from '@tensorflow/tfjs';
import { customOp, untaped } from '../trace/custom-op.js';
import { coreOp } from './core-op.js';
import { matrixTranspose } from './differentiable.js';
import { product } from './product.js';

/** Batch axes as one, for gradients: backends are limited in rank. */
export function matrixBatch(x: tf.Tensor): tf.Tensor3D {
  const [rows, columns] = x.shape.slice(-2);
  const batch = x.shape.slice(0, -2).reduce((n, d) => n * d, 1);
  return tf.reshape(x, [batch, rows, columns]);
}

/** 1 where `keep(row, column)`, else 0: [1, n, n]. */
export function mask(n: number, keep: (row: number, column: number) => number): tf.Tensor3D {
  const values = Float32Array.from({ length: n * n }, (_, i) => keep(Math.floor(i / n), i % n));
  return tf.tensor3d(values, [1, n, n]);
}

/** (x + x^T) / 2 */
function symmetrised(x: tf.Tensor): tf.Tensor {
  return tf.mul(tf.add(x, matrixTranspose(x)), 0.5);
}

/** [batch, n, n] -> [batch, n, n] */
export function choleskyOp(a: tf.Tensor): tf.Tensor {
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
export function solveOp(a: tf.Tensor, b: tf.Tensor, lower: boolean, transpose: boolean): tf.Tensor {
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
export function eigenOp(a: tf.Tensor): tf.Tensor {
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

export function split(packed: tf.Tensor): { readonly values: tf.Tensor; readonly vectors: tf.Tensor } {
  const [batch, , n] = packed.shape as [number, number, number];
  return {
    values: tf.reshape(tf.slice(packed, [0, 0, 0], [batch, 1, n]), [batch, n]),
    vectors: tf.slice(packed, [0, 1, 0], [batch, n, n]),
  };
}
