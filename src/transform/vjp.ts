/** Vector-Jacobian products: gradients by all arguments for a given cotangent of the result. */
import type * as tf from '@tensorflow/tfjs';
import { activeTrace } from '../trace/active.js';
import { flatten } from '../trace/structure.js';
import { asTensor, isArgumentLeaf, tensorsIn } from './arguments.js';
import { asTensors } from './compiled.js';
import { derivativeName, fitted, matchDerivatives, viewOf } from './derivative-trees.js';
import { pullBack, repeatable } from './differentiate.js';
import type { AnyArguments, CompiledFunction, Returned } from './function-types.js';
import { type AnyFunction, checkFunction, compiledFunction, settingsOf } from './jit.js';
import type { ValueTree } from './leaf.js';

/** A value, and what takes a cotangent of it to the gradients. */
export interface Vjp<A extends readonly unknown[], R> {
  readonly value: Returned<R>;
  /**
   * Gradients of <cotangent, fn(primals)>, one for each primal, in its structure (zeros where it is not float32). The cotangent has the
   * structure of the value; what is left out or null is zero, a number fills its leaf. May be called many times, while the primals live.
   */
  readonly pullback: (cotangent: ValueTree | null) => { -readonly [K in keyof A]: Returned<A[K]> };
}

/** Cotangents that are there, by the position of their leaf in the result. */
type GivenCotangents = Readonly<Record<string, unknown>>;

interface Parts {
  readonly value: CompiledFunction<unknown[], unknown>;
  readonly pullback: CompiledFunction<unknown[], unknown[]>;
}

/** Compiled once for each function, and kept as long as the function lives. */
const compiled = new WeakMap<AnyFunction, Parts>();

/** Gradients by every argument. */
function pullAll(
  fn: (args: unknown[]) => unknown,
  primals: readonly unknown[],
  cotangents: GivenCotangents,
  name: string,
): unknown[] {
  const view = viewOf(fn, primals, [...primals.keys()], name);
  const { gradients } = pullBack(view.f, view.inputs, (values) => {
    const { paths } = view.result();
    return values.map((value, i) => {
      const at = derivativeName('cotangent', paths[i], name);
      return i in cotangents ? fitted(asTensor(cotangents[i], at), value, at) : undefined;
    });
  });
  return view.rebuild(gradients);
}

function partsOf(fn: AnyFunction, name: string): Parts {
  let parts = compiled.get(fn);
  if (!parts) {
    parts = {
      value: compiledFunction((args) => fn(...args), settingsOf({}, 'vjp', name)),
      pullback: compiledFunction(
        ([cotangents, ...primals]) =>
          pullAll((args) => fn(...args), primals, cotangents as GivenCotangents, name),
        settingsOf({}, 'vjp', `the pullback of ${name}`),
      ),
    };
    compiled.set(fn, parts);
  }
  return parts;
}

/** What was given of a cotangent. Throws OptionError on a path that the value does not have. */
function given(value: unknown, cotangent: unknown, name: string): GivenCotangents {
  const { paths, leaves } = flatten(value, isArgumentLeaf, `the value of ${name}`);
  const types = leaves.map((leaf) => ({
    shape: (leaf as tf.Tensor).shape ?? [],
    dtype: (leaf as tf.Tensor).dtype ?? (leaf instanceof Float32Array ? 'float32' : 'int32'),
  }));
  const found = matchDerivatives(paths, types, cotangent, `the cotangent of ${name}`);
  return Object.fromEntries(found.flatMap((each, i) => (each === undefined ? [] : [[i, each]])));
}

/**
 * The value of `fn` at the primals, and its pullback: the transpose of its Jacobian, as a function of a cotangent of the value.
 *
 *     const { value, pullback } = vjp((x) => tf.sin(x), tf.tensor1d([0, 1]));
 *     const [slope] = pullback(1); // cos(x)
 *
 * Outside of a trace both are compiled at the first call for this function (the very same `fn`: define it once, not inside a loop) and
 * signature, and the pullback computes what it needs of the value again. Inside a trace both are recorded there, and what is computed twice
 * is merged.
 *
 * Throws OptionError, ShapeError on primals and cotangents, and what `jit` throws.
 */
export function vjp<A extends unknown[], R>(fn: (...args: A) => R, ...primals: AnyArguments<A>): Vjp<A, R>;
export function vjp(fn: AnyFunction, ...primals: unknown[]): Vjp<unknown[], unknown> {
  checkFunction(fn, 'vjp');
  const name = `vjp(${fn.name || 'the function'})`;
  if (activeTrace()) {
    const args = tensorsIn(primals, settingsOf({}, 'vjp', name));
    const same = repeatable((all: unknown[]) => fn(...all));
    const value = asTensors(same(args), `the result of ${name}`);
    return {
      value: value as Vjp<unknown[], unknown>['value'],
      pullback: (cotangent) => pullAll(same, args, given(value, cotangent, name), name) as never,
    };
  }
  const parts = partsOf(fn, name);
  const value = parts.value(...(primals as never[]));
  return {
    value: value as Vjp<unknown[], unknown>['value'],
    pullback: (cotangent) =>
      parts.pullback(...([given(value, cotangent, name), ...primals] as never[])) as never,
  };
}
