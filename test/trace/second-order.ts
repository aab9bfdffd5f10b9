/** Second derivatives inside a trace against central differences of the first, which other tests compare with tfjs. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import { evaluateTraced, type Fn, generator, type Input } from './compare.js';

/** Gradients towards all inputs of a weighted sum of fn's output (of its square, where `curved`). */
export function gradientsOf(fn: Fn, curved = false): Fn {
  const loss: Fn = (...inputs) => {
    const y = fn(...inputs) as tf.Tensor;
    const weights = tf.reshape(tf.cos(tf.range(0, y.size)), y.shape);
    return tf.sum(tf.mul(curved ? tf.square(y) : y, weights));
  };
  return (...inputs) => tf.grads(loss as (...xs: tf.Tensor[]) => tf.Scalar)(inputs as tf.Tensor[]);
}

function values(fn: Fn, inputs: readonly Input[]): Float64Array[] {
  const { traced, results } = evaluateTraced(fn, inputs);
  return traced.structure.paths.map((path) => Float64Array.from(results[path || 'value'].values));
}

/** Inputs moved by `step` along the directions. */
const moved = (inputs: readonly Input[], directions: readonly Input[], step: number): Input[] =>
  inputs.map((input, i) => ({
    ...input,
    values: Float32Array.from(input.values, (x, j) => x + step * directions[i].values[j]),
  }));

/**
 * Fails where the Hessian of the weighted sum of fn's squared output, times a random direction, is not the change of its gradient along that
 * direction. Near kinks (maxima that tie) `step` must be smaller than what separates the values.
 */
export function expectSecondDerivatives(
  fn: Fn,
  inputs: readonly Input[],
  { step = 2 ** -7, tolerance = 3e-3 } = {},
): void {
  const next = generator(17);
  const directions = inputs.map(({ shape, values: v }) => {
    const along = Float32Array.from({ length: v.length }, () => 2 * next() - 1);
    return { shape, dtype: 'float32' as const, values: along };
  });
  const first = gradientsOf(fn, true);
  const n = inputs.length;
  const alongHessian: Fn = (...tensors) => {
    const points = tensors.slice(0, n);
    const along: Fn = (...xs) => {
      const products = (first(...xs) as tf.Tensor[]).map((g, i) => tf.sum(tf.mul(g, tensors[n + i])));
      return tf.addN(products);
    };
    return tf.grads(along as (...xs: tf.Tensor[]) => tf.Scalar)(points);
  };
  const products = values(alongHessian, [...inputs, ...directions]);
  const [plus, minus] = [step, -step].map((s) => values(first, moved(inputs, directions, s)));
  products.forEach((product, i) => {
    const scale = Math.max(1, ...product.map(Math.abs));
    product.forEach((value, j) => {
      const wanted = (plus[i][j] - minus[i][j]) / (2 * step);
      if (Math.abs(value - wanted) <= tolerance * scale) return;
      expect.fail(`input ${i}, element ${j}: ${value}, by differences ${wanted}`);
    });
  });
}
