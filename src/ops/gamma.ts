/**
 * log|Gamma| and its derivatives, elementwise on any backend, in traces and under vmap: compositions of tfjs ops in float32, each with the next
 * derivative as its gradient.
 *
 * Formulas: Abramowitz & Stegun, chapter 6 (asymptotic series 6.1.40, 6.3.18, 6.4.11; recurrences 6.1.15, 6.4.6; reflection 6.1.17, 6.4.7; the
 * series of log Gamma about 2, 6.1.33 shifted).
 */
import * as tf from '@tensorflow/tfjs';
import { customOp } from '../trace/custom-op.js';
import { elementwise } from './differentiable.js';

/** 1 - Euler's constant, then (-1)^k (zeta(k) - 1) / k for k = 2 ..: log Gamma(2 + w) = w * polynomial(w), for |w| <= 1/2. */
const ABOUT_TWO = [
  0.42278433509846713, 0.3224670334241132, -0.0673523010531981, 0.020580808427784546, -0.007385551028673986,
  0.0028905103307415234, -0.001192753911703261, 0.0005096695247430425, -0.00022315475845357939,
  9.945751278180853e-5, -4.492623673813314e-5, 2.050721277567069e-5, -9.439488275268397e-6,
  4.3748667899074873e-6, -2.0392157538013662e-6,
];
/** log(2 pi) / 2 - 1/2 */
const STIRLING = 0.4189385332046727;
const LOG_PI = 1.1447298858494002;
/** B_2, B_4, ... */
const BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730];

/** c0 + c1 x + c2 x^2 ... */
export function polynomial(x: tf.Tensor, coefficients: readonly number[]): tf.Tensor {
  const [last, ...rest] = [...coefficients].reverse();
  return rest.reduce((sum: tf.Tensor, c) => tf.add(tf.mul(sum, x), c), tf.fill(x.shape, last));
}

/** `y`, but NaN where x is: backends differ in what comparisons and bounds do with it. */
export function keepNaN(x: tf.Tensor, y: tf.Tensor): tf.Tensor {
  return tf.where(tf.isNaN(x), x, y);
}

/** x minus the nearest integer, exactly; 0 beyond 2^23, where every float32 is one. */
function fraction(x: tf.Tensor): tf.Tensor {
  return tf.sub(x, tf.round(x));
}

/** Taylor coefficients in angle^2 of sin(angle) / angle and of cos(angle), enough for float32 up to pi / 2. The backends' own are off by 3e-6 (wasm). */
const SINE = [1, 3, 5, 7, 9, 11, 13].map((k, i) => (i % 2 === 0 ? 1 : -1) / factorial(k));
const COSINE = [0, 2, 4, 6, 8, 10, 12, 14].map((k, i) => (i % 2 === 0 ? 1 : -1) / factorial(k));

/** sin(pi r) and cos(pi r) for |r| <= 1/2. */
function circular(r: tf.Tensor): { readonly sine: tf.Tensor; readonly cosine: tf.Tensor } {
  const angle = tf.mul(r, Math.PI);
  const square = tf.square(angle);
  return { sine: tf.mul(angle, polynomial(square, SINE)), cosine: polynomial(square, COSINE) };
}

/** log Gamma of z > -1/2. */
function lgammaRight(z: tf.Tensor): tf.Tensor {
  // Near the zeros at 1 and 2 the series about 2, from elsewhere by Gamma(z + 1) = z Gamma(z); Stirling's series from 4.5 on.
  const shift = tf.clipByValue(tf.floor(tf.add(z, 0.5)), 0, 4);
  const w = tf.clipByValue(tf.sub(z, shift), -0.5, 0.5);
  const below = (bound: number) => tf.less(shift, bound);
  const one = tf.onesLike(z);
  const factors = tf.mul(tf.where(below(3), one, tf.add(w, 2)), tf.where(below(4), one, tf.add(w, 3)));
  const divisor = tf.where(below(2), tf.log1p(w), tf.zerosLike(z));
  const pole = tf.log(tf.abs(tf.where(below(1), z, one)));
  const near = tf.sub(tf.add(tf.mul(w, polynomial(w, ABOUT_TWO)), tf.log(factors)), tf.add(divisor, pole));
  const far = tf.maximum(z, 4.5);
  const inverse = tf.div(1, far);
  const series = tf.mul(inverse, polynomial(tf.square(inverse), [1 / 12, -1 / 360, 1 / 1260, -1 / 1680]));
  const stirling = tf.add(tf.mul(tf.sub(far, 0.5), tf.sub(tf.log(far), 1)), tf.add(series, STIRLING));
  return tf.where(tf.less(z, 4.5), near, stirling);
}

function lgammaForward(x: tf.Tensor): tf.Tensor {
  const left = tf.lessEqual(x, -0.5);
  const right = lgammaRight(tf.where(left, tf.neg(x), x));
  // Gamma(x) Gamma(-x) = -pi / (x sin(pi x))
  const r = fraction(tf.where(left, x, tf.fill(x.shape, -0.5)));
  const xSine = tf.abs(tf.mul(x, circular(r).sine));
  const reflected = tf.sub(tf.sub(LOG_PI, tf.log(xSine)), right);
  const pole = tf.logicalOr(tf.equal(r, 0), tf.isInf(x));
  const infinite = tf.fill(x.shape, Number.POSITIVE_INFINITY);
  return keepNaN(x, tf.where(left, tf.where(pole, infinite, reflected), right));
}

/** Arguments right of 0 for the formulas there, and what takes their results back to the left. */
function reflection(x: tf.Tensor) {
  const left = tf.less(x, 0);
  const r = fraction(tf.where(left, x, tf.fill(x.shape, 0.5)));
  const { sine, cosine } = circular(r);
  return {
    left,
    right: tf.where(left, tf.sub(1, x), x),
    pole: tf.equal(r, 0),
    cotangent: tf.div(cosine, sine),
  };
}

function digammaRight(z: tf.Tensor): tf.Tensor {
  const near = tf.less(z, 6);
  let shifted = tf.zerosLike(z);
  for (let k = 5; k >= 0; k--) shifted = tf.add(shifted, tf.div(1, tf.add(z, k)));
  const y = tf.where(near, tf.add(z, 6), z);
  const inverse = tf.div(1, y);
  const square = tf.square(inverse);
  const series = tf.mul(square, polynomial(square, [1 / 12, -1 / 120, 1 / 252, -1 / 240]));
  const far = tf.sub(tf.sub(tf.log(y), tf.mul(inverse, 0.5)), series);
  return tf.sub(far, tf.where(near, shifted, tf.zerosLike(z)));
}

function digammaForward(x: tf.Tensor): tf.Tensor {
  const { left, right, pole, cotangent } = reflection(x);
  const value = digammaRight(right);
  const undefinedValue = tf.fill(x.shape, Number.NaN);
  const reflected = tf.where(pole, undefinedValue, tf.sub(value, tf.mul(cotangent, Math.PI)));
  return keepNaN(x, tf.where(left, reflected, value));
}

function power(x: tf.Tensor, n: number): tf.Tensor {
  let result = x;
  for (let i = 1; i < n; i++) result = tf.mul(result, x);
  return result;
}

function factorial(n: number): number {
  return n <= 1 ? 1 : n * factorial(n - 1);
}

/** psi^(n) of z > 0, n >= 1, without the sign (-1)^(n + 1). */
function polygammaRight(n: number, z: tf.Tensor): tf.Tensor {
  const steps = 8 + n;
  const near = tf.less(z, steps);
  const y = tf.where(near, tf.add(z, steps), z);
  const inverse = tf.div(1, y);
  const corrections = BERNOULLI.map((b, i) => {
    const k = 2 * (i + 1);
    return (b * factorial(k + n - 1)) / factorial(k);
  });
  const square = tf.square(inverse);
  const tail = tf.add(
    tf.add(factorial(n - 1), tf.mul(inverse, factorial(n) / 2)),
    tf.mul(square, polynomial(square, corrections)),
  );
  const far = tf.mul(power(inverse, n), tail);
  let shifted = tf.zerosLike(z);
  for (let k = steps - 1; k >= 0; k--) shifted = tf.add(shifted, power(tf.div(1, tf.add(z, k)), n + 1));
  return tf.add(far, tf.where(near, tf.mul(shifted, factorial(n)), tf.zerosLike(z)));
}

/** Coefficients of P_n, where the n-th derivative of cot(x) is P_n(cot(x)): P_0(c) = c, P_(k+1) = -(1 + c^2) P_k'. */
function cotangentDerivative(n: number): number[] {
  let p = [0, 1];
  for (let k = 0; k < n; k++) {
    const slope = p.slice(1).map((c, i) => c * (i + 1));
    p = Array.from({ length: slope.length + 2 }, (_, i) => -((slope[i] ?? 0) + (slope[i - 2] ?? 0)));
  }
  return p;
}

function polygammaForward(n: number, x: tf.Tensor): tf.Tensor {
  const { left, right, pole, cotangent } = reflection(x);
  const odd = n % 2 === 1;
  const value = tf.mul(polygammaRight(n, right), odd ? 1 : -1);
  const turn = tf.mul(polynomial(cotangent, cotangentDerivative(n)), Math.PI ** (n + 1));
  const reflected = tf.sub(odd ? tf.neg(value) : value, turn);
  const atPole = tf.fill(x.shape, odd ? Number.POSITIVE_INFINITY : Number.NaN);
  return keepNaN(x, tf.where(left, tf.where(pole, atPole, reflected), value));
}

/** The n-th derivative of digamma; n >= 1. */
function polygamma(n: number, x: tf.Tensor): tf.Tensor {
  return customOp(
    [x],
    () => [tf.tidy(() => polygammaForward(n, x))],
    ([dy], [saved]) => [tf.mul(dy, polygamma(n + 1, saved))],
  )[0];
}

const digammaOp = elementwise(
  (x) => tf.tidy(() => digammaForward(x)),
  (x) => polygamma(1, x),
);
const lgammaOp = elementwise(
  (x) => tf.tidy(() => lgammaForward(x)),
  (x) => digammaOp(x),
);

/** A tensor, number or nested array as a float32 tensor. */
export function floats(x: tf.Tensor | tf.TensorLike): tf.Tensor {
  const tensor = x instanceof tf.Tensor ? x : tf.tensor(x);
  return tensor.dtype === 'float32' ? tensor : tf.cast(tensor, 'float32');
}

/**
 * log|Gamma(x)|, elementwise, float32. Infinity at 0, at negative integers and at both infinities, NaN at NaN. Within 1e-6 of the exact value,
 * relative to the larger of 1 and its magnitude. Its gradient is `digamma`.
 */
export function lgamma(x: tf.Tensor | tf.TensorLike): tf.Tensor {
  return tf.tidy(() => lgammaOp(floats(x)));
}

/**
 * The derivative of log Gamma(x), elementwise, float32. -Infinity at 0, NaN at negative integers, -Infinity and NaN. Within 1e-6 of the exact
 * value, relative to the larger of 1 and its magnitude (left of 0: of the magnitude of pi / tan(pi x), too). Its gradient is `trigamma`.
 */
export function digamma(x: tf.Tensor | tf.TensorLike): tf.Tensor {
  return tf.tidy(() => digammaOp(floats(x)));
}

/**
 * The second derivative of log Gamma(x), elementwise, float32. Infinity at 0 and at negative integers, NaN at -Infinity and NaN. Within 2e-6
 * of the exact value, relatively; it has no zeros. Its gradients are the polygamma functions that follow.
 */
export function trigamma(x: tf.Tensor | tf.TensorLike): tf.Tensor {
  return tf.tidy(() => polygamma(1, floats(x)));
}
