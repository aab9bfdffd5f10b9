/** The inverse error function. Giles 2010, "Approximating the erfinv function" (GPU Computing Gems, vol. 2), single precision. */
import * as tf from '@tensorflow/tfjs';
import { elementwise, exp } from './differentiable.js';
import { floats, keepNaN, polynomial } from './gamma.js';

/** In w - 5/2, for w = -log(1 - x^2) < 5. */
const CENTRE = [
  1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-6, -3.5233877e-6,
  3.43273939e-7, 2.81022636e-8,
];
/** In sqrt(w) - 3, from there on. */
const TAIL = [
  2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322,
  0.000100950558, -0.000200214257,
];

function forward(x: tf.Tensor): tf.Tensor {
  // Not 1 - x^2, which loses what 1 - |x| has.
  const w = tf.neg(tf.log(tf.mul(tf.sub(1, x), tf.add(1, x))));
  const centre = polynomial(tf.sub(tf.minimum(w, 5), 2.5), CENTRE);
  // At most 16.6 in float32, but for x = 1.
  const bounded = tf.minimum(tf.maximum(w, 5), 20);
  const tail = polynomial(tf.sub(tf.sqrt(bounded), 3), TAIL);
  const magnitude = tf.where(tf.less(w, 5), centre, tail);
  const end = tf.equal(tf.abs(x), 1);
  const infinite = tf.fill(x.shape, Number.POSITIVE_INFINITY);
  const value = tf.mul(x, tf.where(end, infinite, magnitude));
  const outside = tf.greater(tf.abs(x), 1);
  return keepNaN(x, tf.where(outside, tf.fill(x.shape, Number.NaN), value));
}

/** sqrt(pi) / 2 e^(y^2), with y = erfinv(x). */
function slope(x: tf.Tensor): tf.Tensor {
  return tf.mul(exp(tf.square(erfinvOp(x))), Math.sqrt(Math.PI) / 2);
}

const erfinvOp = elementwise((x) => tf.tidy(() => forward(x)), slope);

/**
 * y with erf(y) = x, elementwise, float32. +-Infinity at +-1, NaN outside [-1, 1] and at NaN. Within 1e-6 of the exact value, relatively. (A
 * standard normal quantile is sqrt(2) * erfinv(2 p - 1).)
 */
export function erfinv(x: tf.Tensor | tf.TensorLike): tf.Tensor {
  return tf.tidy(() => erfinvOp(floats(x)));
}
