/** Jacobian-vector products: the derivative of a function along given tangents of its arguments. */

import * as tf from '@tensorflow/tfjs';
import { OptionError } from '../errors.js';
import { describe } from '../random/philox.js';
import { activeTrace } from '../trace/active.js';
import { flatten } from '../trace/structure.js';
import { asTensor, isArgumentLeaf, tensorsIn } from './arguments.js';
import { derivativeName, fitted, matchDerivatives, viewOf, withZeros } from './derivative-trees.js';
import { isFloat, pushForward } from './differentiate.js';
import type { AnyArguments, CompiledFunction, Returned } from './function-types.js';
import { type AnyFunction, checkFunction, compiledFunction, settingsOf } from './jit.js';
import type { ValueTree } from './leaf.js';

/** Tangents of arguments: each in the structure of its argument; null, or what is left out, is zero. */
export type Tangents<A extends readonly unknown[]> = { readonly [K in keyof A]?: ValueTree | null };

export interface Jvp<R> {
  readonly value: Returned<R>;
  /** In the structure of the value; zeros where it is not float32. */
  readonly tangent: Returned<R>;
}

/** Tangents that are there, by argument and the position of their leaf in it: "0.2". */
export type GivenTangents = Readonly<Record<string, unknown>>;

/** Compiled once for each function, and kept as long as the function lives. */
const compiled = new WeakMap<AnyFunction, CompiledFunction<unknown[], unknown>>();

/** What was given of the tangents. Throws OptionError on anything that the primals have no place for. */
export function givenTangents(primals: unknown, tangents: unknown, name: string): GivenTangents {
  for (const [list, what] of [
    [primals, 'primals'],
    [tangents, 'tangents'],
  ] as const) {
    if (!Array.isArray(list))
      throw new OptionError(
        `${name} takes its ${what} as an array, one for each argument, got ${describe(list)}`,
      );
  }
  const [values, given] = [primals as unknown[], tangents as unknown[]];
  if (given.length > values.length)
    throw new OptionError(`${name} was given ${given.length} tangents for ${values.length} primals`);
  const found: Record<string, unknown> = {};
  values.forEach((primal, i) => {
    const { paths, leaves } = flatten(primal, isArgumentLeaf, `argument ${i} of ${name}`);
    const types = leaves.map((leaf) => ({ shape: [], dtype: dtypeOf(leaf) }));
    matchDerivatives(paths, types, given[i], `the tangent of argument ${i} of ${name}`).forEach((each, k) => {
      if (each !== undefined) found[`${i}_${k}`] = each;
    });
  });
  return found;
}

function dtypeOf(leaf: unknown): string {
  if (leaf instanceof tf.Tensor) return leaf.dtype;
  if (typeof leaf === 'number' || leaf instanceof Float32Array || leaf instanceof Float64Array)
    return 'float32';
  if (Array.isArray(leaf))
    return typeof leaf.flat(Number.POSITIVE_INFINITY)[0] === 'boolean' ? 'bool' : 'float32';
  return leaf instanceof Int32Array ? 'int32' : 'bool';
}

/** The tangents of all float32 leaves of the primals, in order, each in the shape of its leaf. */
function tangentsOf(
  primals: readonly unknown[],
  given: GivenTangents,
  name: string,
): (tf.Tensor | undefined)[] {
  const isTensor = (x: unknown): x is tf.Tensor => x instanceof tf.Tensor;
  return primals.flatMap((primal, i) => {
    const { paths, leaves } = flatten(primal, isTensor, `argument ${i} of ${name}`);
    return leaves.flatMap((leaf, k) => {
      if (!isFloat(leaf)) return [];
      const at = derivativeName('tangent', paths[k] ? `${i}.${paths[k]}` : `${i}`, name);
      const tangent = given[`${i}_${k}`];
      return [tangent === undefined ? undefined : fitted(asTensor(tangent, at), leaf, at)];
    });
  });
}

/** Value and tangent of `fn`, recorded in the trace that runs. */
export function jvpInTrace(
  fn: (args: unknown[]) => unknown,
  primals: readonly unknown[],
  given: GivenTangents,
  name: string,
): { readonly value: unknown; readonly tangent: unknown } {
  const view = viewOf(fn, primals, [...primals.keys()], name);
  const { values, tangents } = pushForward(view.f, view.inputs, tangentsOf(primals, given, name));
  const { rebuild } = view.result();
  return { value: rebuild(values), tangent: rebuild(withZeros(values, tangents)) };
}

/**
 * The value of `fn` at the primals and its derivative along the tangents, J t, both in the structure of the result.
 *
 *     const { value, tangent } = jvp((x, y) => tf.mul(x, y), [3, 5], [1, 0]); // 15, 5
 *
 * A tangent has the structure of its primal; null or a missing entry is zero, a number fills its leaf. Made from two transpositions
 * (see `pushForward`), of which the passes leave one forward sweep: at most three times the arithmetic of `fn`.
 *
 * Outside of a trace it is compiled at the first call for this function (the very same `fn`: define it once, not inside a loop) and
 * signature. Throws OptionError, ShapeError on primals and tangents, and what `jit` throws.
 */
export function jvp<A extends unknown[], R>(
  fn: (...args: A) => R,
  primals: AnyArguments<A>,
  tangents: Tangents<A>,
): Jvp<R>;
export function jvp(fn: AnyFunction, primals: unknown[], tangents: readonly unknown[]): unknown {
  checkFunction(fn, 'jvp');
  const name = `jvp(${fn.name || 'the function'})`;
  const given = givenTangents(primals, tangents, name);
  if (activeTrace())
    return jvpInTrace((args) => fn(...args), tensorsIn(primals, settingsOf({}, 'jvp', name)), given, name);
  let pushed = compiled.get(fn);
  if (!pushed) {
    pushed = compiledFunction(
      ([along, ...args]) => jvpInTrace((all) => fn(...all), args, along as GivenTangents, name),
      settingsOf({}, 'jvp', name),
    );
    compiled.set(fn, pushed);
  }
  return pushed(...([given, ...primals] as never[]));
}
