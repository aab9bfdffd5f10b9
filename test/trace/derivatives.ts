/** First and second derivatives of a traced function against central differences. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import { evaluateTraced, type Fn, generator, type Input } from './compare.js';

const STEP = 2 ** -7;

type Loss = (...inputs: tf.Tensor[]) => tf.Scalar;

/** sum of w y^2 over all float outputs: not linear, so that linear functions have a second derivative too. */
function lossOf(fn: Fn): Loss {
  return (...inputs) => {
    const outputs = [fn(...inputs) as tf.Tensor | tf.Tensor[]].flat().filter((y) => y.dtype === 'float32');
    const terms = outputs.map((y) => {
      const weights = tf.add(tf.cos(tf.range(0, y.size)), 0.5);
      return tf.sum(tf.mul(tf.square(tf.reshape(y, [y.size])), weights));
    });
    return tf.addN(terms) as tf.Scalar;
  };
}

const moved = (inputs: readonly Input[], directions: readonly number[][], by: number): Input[] =>
  inputs.map((input, i) =>
    input.dtype === 'float32'
      ? { ...input, values: Float32Array.from(input.values, (v, j) => v + by * directions[i][j]) }
      : input,
  );

function expectNear(actual: ArrayLike<number>, wanted: ArrayLike<number>, what: string): void {
  const scale = Math.max(1, ...Array.from(wanted, Math.abs));
  for (let i = 0; i < wanted.length; i++) {
    const fits = Math.abs(actual[i] - wanted[i]) <= 3e-3 * scale;
    if (!fits) expect.fail(`${what}[${i}]: ${actual[i]}, by differences ${wanted[i]}`);
  }
}

/** Gradients towards the float32 inputs, flat, one after the other, for a function of all inputs. */
function gradientOf(loss: Loss, dtypes: readonly string[]): (...inputs: tf.Tensor[]) => tf.Tensor[] {
  return (...inputs) => {
    const free = inputs.filter((_, i) => dtypes[i] === 'float32');
    return tf.grads((...xs) => {
      const rest = xs.slice();
      return loss(...inputs.map((x, i) => (dtypes[i] === 'float32' ? rest.shift()! : x)));
    })(free);
  };
}

/**
 * Compares the gradient of `fn` with differences of its values along two directions, and the product of the second derivative with a
 * direction with differences of the gradient.
 */
export function expectDerivatives(fn: Fn, inputs: readonly Input[], order: 1 | 2 = 2): void {
  const loss = lossOf(fn);
  const dtypes = inputs.map(({ dtype }) => dtype);
  const gradient = gradientOf(loss, dtypes);
  const next = generator(inputs.length + 5);
  const directions = inputs.map(({ values }) => Array.from(values, () => 2 * next() - 1));
  const free = directions.filter((_, i) => dtypes[i] === 'float32');
  const value = (xs: Input[]) => evaluateTraced(loss, xs).results.value.values[0];
  const flat = (f: Fn, xs: readonly Input[]) => {
    const { traced, results } = evaluateTraced(f, xs);
    return traced.structure.paths.flatMap((path) => Array.from(results[path || 'value'].values));
  };

  const first = flat(gradient, inputs);
  const along = free.flat().reduce((sum, d, i) => sum + d * first[i], 0);
  const [up, down] = [STEP, -STEP].map((by) => value(moved(inputs, directions, by)));
  expectNear([along], [(up - down) / (2 * STEP)], 'gradient along a direction');
  if (order === 1) return;

  const product = (...xs: tf.Tensor[]) =>
    gradientOf((...ys) => {
      const terms = gradient(...ys).map((g, i) => tf.sum(tf.mul(g, tf.tensor(free[i], g.shape))));
      return tf.addN(terms) as tf.Scalar;
    }, dtypes)(...xs);
  const second = flat(product, inputs);
  const [ahead, behind] = [STEP, -STEP].map((by) => flat(gradient, moved(inputs, directions, by)));
  const differences = ahead.map((g, i) => (g - behind[i]) / (2 * STEP));
  expectNear(second, differences, 'second derivative');
}
