/** Whole Jacobians. */
import * as tf from '@tensorflow/tfjs';
import { checkInteger, checkKeys } from '../options.js';
import type { Rng } from '../trace/rng.js';
import type { CompileSettings } from './compiled.js';
import { type FunctionView, viewOf, withZeros } from './derivative-trees.js';
import { isFloat, pullBack, repeatable } from './differentiate.js';
import type { CompiledFunction, Returned } from './function-types.js';
import { checkChosen, gradientSettings } from './grad.js';
import {
  type AnyFunction,
  bodyOf,
  COMPILED_OPTIONS,
  type CompiledOptions,
  checkFunction,
  compiledFunction,
} from './jit.js';
import type { TensorTree } from './leaf.js';
import { vmap } from './vmap.js';

/** In the structure of the result, and at each of its leaves in the structure of the argument: a tensor [...result, ...argument]. */
export type JacobianOf<R, X> = [TensorTree] extends [R]
  ? TensorTree
  : R extends tf.Tensor | number
    ? X extends tf.Tensor
      ? tf.Tensor
      : Returned<X>
    : { -readonly [K in keyof R]: JacobianOf<R[K], X> };

/** Gradients of every element of one of the results, [elements, ...input] for each input. */
function rowsOf(view: FunctionView, index: number, value: tf.Tensor, draws: boolean): tf.Tensor[] {
  const row = (cotangent: tf.Tensor) => {
    const { gradients } = pullBack(view.f, view.inputs, (all) =>
      all.map((_, j) => (j === index ? cotangent : undefined)),
    );
    return withZeros(view.inputs, gradients);
  };
  const units = tf.reshape(tf.eye(value.size), [value.size, ...value.shape]);
  if (!draws) return vmap(row)(units) as tf.Tensor[];
  // Draws cannot be mapped: one sweep after the other, each with the same draws.
  const rows = tf.unstack(units).map(row);
  return view.inputs.map((_, j) => tf.stack(rows.map((each) => each[j])));
}

function jacobianInTrace(
  call: (args: unknown[]) => unknown,
  args: readonly unknown[],
  argnum: number,
  { name, seed }: CompileSettings,
): unknown {
  checkChosen(args, [argnum], name);
  const view = viewOf(repeatable(call), args, [argnum], name);
  const values = view.f([...view.inputs]);
  const { rebuild } = view.result();
  const jacobians = values.map((value, i) => {
    const rows = isFloat(value) && value.size > 0 ? rowsOf(view, i, value, seed !== undefined) : undefined;
    let next = 0;
    const columns = view.leaves.map((leaf) => {
      const shape = [...value.shape, ...leaf.shape];
      if (!isFloat(leaf)) return tf.zeros(shape, leaf.dtype);
      const column = rows?.[next++];
      return column ? tf.reshape(column, shape) : tf.zeros(shape);
    });
    return view.rebuildAll(columns)[0];
  });
  return rebuild(jacobians);
}

/**
 * The Jacobian of `fn` by its argument `argnum` (default the first): a tensor [...shape of the result, ...shape of the argument] float32. A
 * result or an argument of several tensors gives a structure: that of the result, and in it that of the argument. Where the result is not
 * float32, or does not depend on the argument, it is zero.
 *
 *     const j = jacobian((x) => tf.square(x));
 *     j(tf.tensor1d([1, 2])); // [[2, 0], [0, 4]]
 *
 * The result is compiled like a jitted function, takes the same options and throws the same errors; inside a trace it is recorded there.
 * Cost: one backward sweep for each element of the result, all at once (vmap over unit cotangents; one after the other where it draws).
 */
export function jacobian<A extends unknown[], R, const N extends number = 0>(
  fn: (...args: [...A, rng: Rng]) => R,
  argnum: N | undefined,
  options: CompiledOptions & { readonly seed: number },
): CompiledFunction<A, JacobianOf<R, A[N]>>;
export function jacobian<A extends unknown[], R, const N extends number = 0>(
  fn: (...args: A) => R,
  argnum?: N,
  options?: CompiledOptions,
): CompiledFunction<A, JacobianOf<R, A[N]>>;
export function jacobian(fn: AnyFunction, argnum = 0, options: CompiledOptions = {}): unknown {
  checkFunction(fn, 'jacobian');
  checkKeys(options, COMPILED_OPTIONS, 'jacobian');
  const { settings } = gradientSettings(fn, checkInteger(argnum, 'jacobian: argnum', 0), options, 'jacobian');
  const call = bodyOf(fn, settings.seed !== undefined);
  return compiledFunction(
    (args, rng) => jacobianInTrace((given) => call(given, rng), args, argnum, settings),
    settings,
  );
}
