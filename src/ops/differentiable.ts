/**
 * Small pieces that gradients are written with. Their own gradients are right to any order, eagerly too, where those of tfjs 4.22 are not for
 * ops that save their output (exp, tanh, pow ...).
 */
import * as tf from '@tensorflow/tfjs';
import { customOp } from '../trace/custom-op.js';

/** An elementwise function with its derivative, given as a function in the same form: derivative(x). */
export function elementwise(
  forward: (x: tf.Tensor) => tf.Tensor,
  derivative: (x: tf.Tensor) => tf.Tensor,
): (x: tf.Tensor) => tf.Tensor {
  return (x) =>
    customOp(
      [x],
      () => [forward(x)],
      ([dy], [saved]) => [tf.mul(dy, derivative(saved))],
    )[0];
}

/** e^x */
export const exp = elementwise(
  (x) => tf.exp(x),
  (x) => exp(x),
);

/** `x` swapped in its last two axes. */
export function matrixTranspose(x: tf.Tensor): tf.Tensor {
  const axes = x.shape.map((_, i) => i);
  const [rows, columns] = [x.rank - 2, x.rank - 1];
  return tf.transpose(x, [...axes.slice(0, -2), columns, rows]);
}
