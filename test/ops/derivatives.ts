/** Directional derivatives of tensor functions, eagerly and in a trace, beside finite differences of the same function in float64. */
import * as tf from '@tensorflow/tfjs';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import { trace } from '../../src/trace/trace.js';

type Scalar = (x: tf.Tensor) => tf.Tensor;

/** f along u, and the change of that along v: sums of (first, second) derivatives. */
function directional(f: Scalar, u: readonly number[], v: readonly number[]): (x: tf.Tensor) => tf.Tensor[] {
  return (x) => {
    const along = (by: readonly number[], g: Scalar): Scalar => {
      const gradient = tf.grad((y: tf.Tensor) => g(y).asScalar());
      return (y) => tf.sum(tf.mul(gradient(y), tf.tensor([...by], x.shape)));
    };
    const first = along(u, f);
    return [f(x), first(x), along(v, first)(x)];
  };
}

export interface Derivatives {
  readonly value: number;
  readonly first: number;
  readonly second: number;
}

function named([value, first, second]: readonly number[]): Derivatives {
  return { value, first, second };
}

export function eagerDerivatives(
  f: Scalar,
  x: readonly number[],
  shape: readonly number[],
  u: readonly number[],
  v: readonly number[],
): Derivatives {
  return named(
    tf.tidy(() => directional(f, u, v)(tf.tensor([...x], [...shape])).map((y) => y.dataSync()[0])),
  );
}

export function tracedDerivatives(
  f: Scalar,
  x: readonly number[],
  shape: readonly number[],
  u: readonly number[],
  v: readonly number[],
): Derivatives {
  const { graph } = trace(([input]) => directional(f, u, v)(input), {
    inputs: [{ role: 'value', path: 'x', shape, dtype: 'float32' }],
  });
  const values = evaluateGraph(graph, { x: Float32Array.from(x) });
  return named(['0', '1', '2'].map((path) => values[path].values[0]));
}

/** Central differences of fourth order, of `f` in float64. */
export function finiteDifferences(
  f: (x: readonly number[]) => number,
  x: readonly number[],
  u: readonly number[],
  v: readonly number[],
  step = 1e-3,
): Derivatives {
  const moved = (at: readonly number[], by: readonly number[], h: number) =>
    at.map((xi, i) => xi + h * by[i]);
  const along = (g: (y: readonly number[]) => number, by: readonly number[]) => (y: readonly number[]) => {
    const at = (k: number) => g(moved(y, by, k * step));
    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step);
  };
  const first = along(f, u);
  return { value: f(x), first: first(x), second: along(first, v)(x) };
}

/** Largest difference between two results, relative to 1 + magnitude. */
export function distance(a: Derivatives, b: Derivatives): number {
  const relative = (p: number, q: number) => Math.abs(p - q) / (1 + Math.abs(q));
  return Math.max(relative(a.value, b.value), relative(a.first, b.first), relative(a.second, b.second));
}
