/** Matrix products that are right on every tfjs backend. */
import * as tf from '@tensorflow/tfjs';

/**
 * tf.matMul of two tensors of rank 2 or 3 [..., M, K] x [..., K, N], float32; the same gradients.
 *
 * tfjs-backend-wasm 4.22 keeps a prepared operator for the memory of `b`, whatever its shape: when a reshape of the same memory is the right
 * side of a later product, it runs the old operator, which writes past the end of the result. There `b` is copied first (a clone
 * is a copy on that backend).
 */
export function product(a: tf.Tensor, b: tf.Tensor, transposeA = false, transposeB = false): tf.Tensor {
  const prepared = !transposeA && !transposeB && tf.getBackend() === 'wasm';
  if (!prepared) return tf.matMul(a as tf.Tensor3D, b as tf.Tensor3D, transposeA, transposeB);
  return tf.tidy(() => tf.matMul(a as tf.Tensor3D, b.clone() as tf.Tensor3D));
}
