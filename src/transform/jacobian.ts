/** Whole Jacobians. */
import * as tf from '@tensorflow/tfjs';
import { checkInteger, checkKeys } from '../options.js';
import type { Rng } from '../trace/rng.js';
import { viewOf, withZeros } from './derivative-trees.js';
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

/** In the structure of the result, and at each of its leaves in the structure of the argument: a tensor [...result, ...argument]. */
export type JacobianOf<R, X> = [TensorTree] extends [R]
  ? TensorTree
  : R extends tf.Tensor | number
    ? X extends tf.Tensor
      ? tf.Tensor
      : Returned<X>
    : { -readonly [K in keyof R]: JacobianOf<R[K], X> };

/** The unit cotangent number k of a tensor. */
function unit(k: number, like: tf.Tensor): tf.Tensor {
  const flat = tf.oneHot(tf.scalar(k, 'int32'), like.size);
  return tf.reshape(tf.cast(flat, 'float32'), like.shape);
}

function jacobianInTrace(
  call: (args: unknown[]) => unknown,
  args: readonly unknown[],
  argnum: number,
  name: string,
): unknown {
  checkChosen(args, [argnum], name);
  const same = repeatable(call);
  const view = viewOf(same, args, [argnum], name);
  const values = view.f([...view.inputs]);
  const { rebuild } = view.result();
  const jacobians = values.map((value, i) => {
    const rows = Array.from({ length: isFloat(value) ? value.size : 0 }, (_, k) => {
      const { gradients } = pullBack(view.f, view.inputs, (all) =>
        all.map((_, j) => (j === i ? unit(k, value) : undefined)),
      );
      return withZeros(view.inputs, gradients);
    });
    let next = 0;
    const columns = view.leaves.map((leaf) => {
      const shape = [...value.shape, ...leaf.shape];
      if (!isFloat(leaf)) return tf.zeros(shape, leaf.dtype);
      const column = next++;
      return rows.length > 0 ? tf.reshape(tf.stack(rows.map((row) => row[column])), shape) : tf.zeros(shape);
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
 * Cost: one backward sweep for each element of the result, all in one graph.
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
    (args, rng) => jacobianInTrace((given) => call(given, rng), args, argnum, settings.name),
    settings,
  );
}
