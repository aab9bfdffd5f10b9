/**
 * Differentiation inside a trace, on tfjs's tape (mended there, see trace/tape.ts): what grad, vjp, jvp and their relatives record.
 *
 * A function is seen as one from a list of tensors to a list of tensors. Only float32 ones take part: a function does not vary smoothly
 * with an int32 or bool input, and such an output has no derivative.
 */
import * as tf from '@tensorflow/tfjs';
import { activeTrace } from '../trace/active.js';
import { drawAgain } from '../trace/rng.js';

/** A function of the tensors it is differentiated by. */
export type TensorFunction = (inputs: tf.Tensor[]) => tf.Tensor[];

interface Differentiator {
  gradients(
    f: () => tf.Tensor,
    xs: tf.Tensor[],
    dy: tf.Tensor | undefined,
    allowNoGradients: boolean,
  ): { value: tf.Tensor; grads: (tf.Tensor | undefined)[] };
}

const engine = () => tf.engine() as unknown as Differentiator;

export function isFloat(x: { readonly dtype: string }): boolean {
  return x.dtype === 'float32';
}

/**
 * A function that may be evaluated several times and is the same each time: it makes the draws of its first evaluation again, so that a
 * value and its derivative see one dropout mask.
 */
export function repeatable<A extends unknown[], R>(f: (...args: A) => R): (...args: A) => R {
  const recorder = activeTrace();
  if (!recorder) throw new Error('differentiation outside of a trace');
  let first: number | undefined;
  return (...args) => {
    if (first !== undefined) return drawAgain(recorder, first, () => f(...args));
    first = recorder.draws;
    return f(...args);
  };
}

/** sum_i <a_i, b_i> over the pairs that are there; undefined where there is none. */
function innerProduct(
  a: readonly (tf.Tensor | undefined)[],
  b: readonly (tf.Tensor | undefined)[],
): tf.Tensor | undefined {
  const terms = a.flatMap((x, i) => {
    const y = b[i];
    return x && y ? [tf.sum(tf.mul(x, y))] : [];
  });
  return terms.length > 1 ? tf.addN(terms) : terms[0];
}

/** The gradient of a scalar by each input, undefined where it does not depend on it. Inputs must be distinct tensors. */
function gradientsOf(f: () => tf.Tensor | undefined, inputs: tf.Tensor[]): (tf.Tensor | undefined)[] {
  if (inputs.length === 0) return [];
  return engine().gradients(() => f() ?? tf.scalar(0), inputs, undefined, true).grads;
}

/** The function's value, and its gradients for a cotangent of every output (undefined: zero). */
export interface Pulled {
  readonly values: tf.Tensor[];
  /** Per input, then per captured tensor; undefined where the value does not depend on it. */
  readonly gradients: (tf.Tensor | undefined)[];
}

/**
 * Value and vector-Jacobian product: gradient_i = sum_j <cotangent_j, d f_j / d x_i>. `cotangents` sees the value first, so that a scalar's
 * may be 1. Outputs that are not float32 are left out. `captured` are tensors that the function uses without being given them.
 */
export function pullBack(
  f: TensorFunction,
  inputs: readonly tf.Tensor[],
  cotangents: (values: readonly tf.Tensor[]) => readonly (tf.Tensor | undefined)[],
  captured: readonly tf.Tensor[] = [],
): Pulled {
  if (inputs.length + captured.length === 0) return { values: f([]), gradients: [] };
  // The tape tells tensors apart by identity: one that is given for two inputs, or given and also captured by the function, would have one
  // gradient for all of its uses.
  const xs = inputs.map((each) => tf.clone(each));
  let values: tf.Tensor[] = [];
  const gradients = gradientsOf(() => {
    // They outlive the tape's scope; the trace disposes of them at its end.
    values = f(xs).map((each) => tf.keep(each));
    const smooth = values.map((value) => (isFloat(value) ? value : undefined));
    return innerProduct(smooth, cotangents(values));
  }, [...xs, ...captured]);
  return { values, gradients };
}

export interface Pushed {
  readonly values: tf.Tensor[];
  /** Per output; undefined where it does not depend on the inputs, or is not float32. */
  readonly tangents: (tf.Tensor | undefined)[];
}

/**
 * Value and Jacobian-vector product, by transposing the vector-Jacobian product: g(u) = u^T J is linear in u, so the gradient of <g(u), t> by u
 * is J t, whatever u is. What computes g(u) itself is dead code then, and the passes remove it. (Townsend 2017, "A new trick for
 * calculating Jacobian vector products".)
 */
export function pushForward(
  f: TensorFunction,
  inputs: readonly tf.Tensor[],
  tangents: readonly (tf.Tensor | undefined)[],
): Pushed {
  const same = repeatable(f);
  // Once for the shapes of the outputs; what is recorded twice is merged by the passes.
  const values = same([...inputs]);
  const us = values.map((value) => (isFloat(value) ? tf.zeros(value.shape) : undefined));
  const given = us.filter((u) => u !== undefined);
  const pushed = gradientsOf(() => innerProduct(pullBack(same, inputs, () => us).gradients, tangents), given);
  let next = 0;
  return { values, tangents: us.map((u) => (u ? pushed[next++] : undefined)) };
}
