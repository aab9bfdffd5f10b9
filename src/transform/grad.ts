/** Gradients of scalar functions. */
import * as tf from '@tensorflow/tfjs';
import { OptionError, ShapeError } from '../errors.js';
import { checkBoolean, checkKeys } from '../options.js';
import { describe } from '../random/philox.js';
import type { Rng } from '../trace/rng.js';
import { type FlatTree, flatten } from '../trace/structure.js';
import type { CompileSettings } from './compiled.js';
import { viewOf } from './derivative-trees.js';
import { isFloat, pullBack } from './differentiate.js';
import type { CompiledFunction, Returned } from './function-types.js';
import {
  type AnyFunction,
  bodyOf,
  COMPILED_OPTIONS,
  type CompiledOptions,
  checkFunction,
  compiledFunction,
  settingsOf,
} from './jit.js';

export type { CompiledOptions as GradOptions } from './jit.js';

/** Indices of arguments: one, or several. */
export type Argnums = number | readonly number[];

/** Gradients by argument: in the structure of the one that is named, or an array of those of several. */
export type GradientOf<A extends readonly unknown[], N extends Argnums> = N extends number
  ? Returned<A[N]>
  : { -readonly [K in keyof N]: N[K] extends number ? Returned<A[N[K]]> : never };

export interface ValueAndGradOptions extends CompiledOptions {
  /** The function returns `{ value, aux }`: only `value` is differentiated, `aux` (any structure of tensors) comes back with it. */
  readonly hasAux?: boolean;
}

/** Indices as given, checked. Throws OptionError. */
export function checkArgnums(
  argnums: unknown,
  staticArgs: ReadonlySet<number>,
  where: string,
): readonly number[] {
  const list = Array.isArray(argnums) ? (argnums as unknown[]) : [argnums];
  const valid = list.every((i) => Number.isInteger(i) && (i as number) >= 0);
  if (!valid || list.length === 0 || new Set(list).size < list.length) {
    throw new OptionError(
      `${where}: argnums must be an argument's index (from 0) or an array of different ones, got ${describe(argnums)}`,
    );
  }
  const fixed = (list as number[]).find((i) => staticArgs.has(i));
  if (fixed !== undefined)
    throw new OptionError(`${where}: argument ${fixed} is static and cannot be differentiated by`);
  return list as number[];
}

/** Throws OptionError where there is no argument at an index, or no float32 tensor in those that are differentiated by. */
export function checkChosen(args: readonly unknown[], chosen: readonly number[], name: string): void {
  const missing = chosen.find((i) => i >= args.length);
  if (missing !== undefined)
    throw new OptionError(`${name} differentiates by argument ${missing}, but was given ${args.length}`);
  const isTensor = (x: unknown): x is tf.Tensor => x instanceof tf.Tensor;
  if (chosen.some((i) => flatten(args[i], isTensor, `argument ${i} of ${name}`).leaves.some(isFloat))) return;
  throw new OptionError(
    `${name} differentiates by argument ${chosen.join(', ')}, which holds no float32 tensor`,
  );
}

/** Which leaf of the result is the value. Throws ShapeError unless it is a float32 scalar, OptionError where `aux` is wanted and missing. */
function findValue({ paths, leaves }: FlatTree<tf.Tensor>, hasAux: boolean, name: string): number {
  if (hasAux && !paths.every((path) => path === 'value' || /^value\.|^aux(\.|$)/.test(path))) {
    throw new OptionError(
      `${name}, with hasAux, needs a function that returns { value, aux }, got ${paths.map((path) => path || 'a tensor').join(', ')}`,
    );
  }
  const at = paths.indexOf(hasAux ? 'value' : '');
  const value = leaves[at] as tf.Tensor | undefined;
  if (value && value.rank === 0 && value.dtype === 'float32') return at;
  const got = value
    ? `${value.dtype} [${value.shape.join(', ')}]`
    : `a structure with ${paths.map((path) => `"${path}"`).join(', ') || 'no tensor'}`;
  throw new ShapeError(
    `${name} needs a function that returns one float32 scalar, got ${got}; reduce it with tf.sum or tf.mean, or use jacobian or vjp`,
  );
}

/** A function's value (and aux) and its gradients, recorded in the trace that runs. */
export function valueAndGradInTrace(
  fn: (args: unknown[]) => unknown,
  args: readonly unknown[],
  chosen: readonly number[],
  name: string,
  hasAux = false,
): { readonly value: unknown; readonly gradients: unknown[]; readonly aux: unknown } {
  checkChosen(args, chosen, name);
  const view = viewOf(fn, args, chosen, name);
  const { values, gradients } = pullBack(view.f, view.inputs, (each) => {
    const at = findValue(view.result(), hasAux, name);
    return each.map((_, i) => (i === at ? tf.scalar(1) : undefined));
  });
  const result = view.result().rebuild(values);
  const { value, aux } = hasAux ? (result as { value: unknown; aux?: unknown }) : { value: result };
  return { value, aux, gradients: view.rebuild(gradients) };
}

/** Settings and checked indices of a transform that differentiates. */
export function gradientSettings(
  fn: AnyFunction,
  argnums: Argnums,
  options: CompiledOptions,
  where: string,
): { readonly settings: CompileSettings; readonly chosen: readonly number[] } {
  const settings = settingsOf(options, where, `${where}(${fn.name || 'the function'})`);
  return { settings, chosen: checkArgnums(argnums, settings.staticArgs, where) };
}

/**
 * The gradient of a scalar function by its argument `argnums` (default the first), or by several: then an array of gradients. It comes in the
 * structure of the argument; what the function does not depend on, and leaves that are int32 or bool, have zeros of the leaf's dtype.
 *
 *     const slope = grad((x) => tf.sum(tf.square(x)));
 *     slope(tf.tensor1d([1, 2])); // [2, 4]
 *
 * The result is compiled like a jitted function, and takes the same options; inside a trace it is recorded there. Derivatives of any order:
 * `grad(grad(f))`. Cost: reverse mode, a small multiple of the function's.
 *
 * Throws OptionError on argnums and options. Calls throw ShapeError when the function does not return a float32 scalar, OptionError when
 * the argument holds no float32 tensor, and what `jit` throws.
 */
export function grad<A extends unknown[], R, const N extends Argnums = 0>(
  fn: (...args: [...A, rng: Rng]) => R,
  argnums: N | undefined,
  options: CompiledOptions & { readonly seed: number },
): CompiledFunction<A, GradientOf<A, N>>;
export function grad<A extends unknown[], R, const N extends Argnums = 0>(
  fn: (...args: A) => R,
  argnums?: N,
  options?: CompiledOptions,
): CompiledFunction<A, GradientOf<A, N>>;
export function grad(fn: AnyFunction, argnums: Argnums = 0, options: CompiledOptions = {}): unknown {
  checkFunction(fn, 'grad');
  checkKeys(options, COMPILED_OPTIONS, 'grad');
  const { settings, chosen } = gradientSettings(fn, argnums, options, 'grad');
  const call = bodyOf(fn, settings.seed !== undefined);
  return compiledFunction((args, rng) => {
    const { gradients } = valueAndGradInTrace((given) => call(given, rng), args, chosen, settings.name);
    return Array.isArray(argnums) ? gradients : gradients[0];
  }, settings);
}

/**
 * Value and gradient at once: `{ value, gradient }`, or `{ value, gradient, aux }` with `hasAux`. Arguments, options and errors as for `grad`.
 */
export function valueAndGrad<A extends unknown[], V, Aux, const N extends Argnums = 0>(
  fn: (...args: [...A, rng: Rng]) => { value: V; aux: Aux },
  argnums: N | undefined,
  options: CompiledOptions & { readonly hasAux: true; readonly seed: number },
): CompiledFunction<A, { value: tf.Scalar; gradient: GradientOf<A, N>; aux: Returned<Aux> }>;
export function valueAndGrad<A extends unknown[], V, Aux, const N extends Argnums = 0>(
  fn: (...args: A) => { value: V; aux: Aux },
  argnums: N | undefined,
  options: CompiledOptions & { readonly hasAux: true },
): CompiledFunction<A, { value: tf.Scalar; gradient: GradientOf<A, N>; aux: Returned<Aux> }>;
export function valueAndGrad<A extends unknown[], R, const N extends Argnums = 0>(
  fn: (...args: [...A, rng: Rng]) => R,
  argnums: N | undefined,
  options: ValueAndGradOptions & { readonly seed: number },
): CompiledFunction<A, { value: tf.Scalar; gradient: GradientOf<A, N> }>;
export function valueAndGrad<A extends unknown[], R, const N extends Argnums = 0>(
  fn: (...args: A) => R,
  argnums?: N,
  options?: ValueAndGradOptions,
): CompiledFunction<A, { value: tf.Scalar; gradient: GradientOf<A, N> }>;
export function valueAndGrad(
  fn: AnyFunction,
  argnums: Argnums = 0,
  options: ValueAndGradOptions = {},
): unknown {
  checkFunction(fn, 'valueAndGrad');
  checkKeys(options, [...COMPILED_OPTIONS, 'hasAux'], 'valueAndGrad');
  const { hasAux = false, ...rest } = options;
  checkBoolean(hasAux, 'valueAndGrad: hasAux');
  const { settings, chosen } = gradientSettings(fn, argnums, rest, 'valueAndGrad');
  const call = bodyOf(fn, settings.seed !== undefined);
  return compiledFunction((args, rng) => {
    const { value, gradients, aux } = valueAndGradInTrace(
      (given) => call(given, rng),
      args,
      chosen,
      settings.name,
      hasAux,
    );
    const gradient = Array.isArray(argnums) ? gradients : gradients[0];
    return hasAux ? { value, gradient, aux } : { value, gradient };
  }, settings);
}
