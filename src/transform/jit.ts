/** Compiling a function of tensors: traced once for each signature of its arguments, run by a device as a whole. */
import { OptionError } from '../errors.js';
import { checkChoice, checkInteger, checkKeys } from '../options.js';
import { describe, toSeed } from '../random/philox.js';
import { activeTrace } from '../trace/active.js';
import type { Recorder } from '../trace/recorder.js';
import type { Rng } from '../trace/rng.js';
import { tensorsIn } from './arguments.js';
import { asTensors, type Body, Compiled, type CompileSettings } from './compiled.js';
import type { DeviceChoice } from './default-device.js';
import { Device } from './device.js';
import type { CompiledFunction } from './function-types.js';
import type { SpecTree } from './leaf.js';

/** Options that all compiled functions take. */
export interface CompiledOptions {
  /** Where it runs: a device from `openDevice`, or 'cpu', 'tfjs'. Default 'auto': cpu, or tfjs (with a warning) where there is no addon. */
  readonly device?: DeviceChoice;
  /** What it is called in messages. Default: the function's own name. */
  readonly name?: string;
  /** Most signatures that are kept compiled; the least recently used goes first. Default 64. */
  readonly cacheSize?: number;
  /** Arguments (by index) that are no tensors but plain values (string, number, boolean, null): each value is compiled for itself. */
  readonly staticArgs?: readonly number[];
  /** Shapes of arguments (by index): typed arrays, which have none, are then read as these; a number fills a leaf. */
  readonly shapes?: readonly (SpecTree | undefined)[];
  /** What comes back. Default: typed arrays where typed arrays and no tensor came in, else tensors. */
  readonly output?: 'tensor' | 'typedArray';
  /**
   * Key of random draws. The function then gets an `rng` after its arguments, and every call draws new numbers: those of the k-th call
   * (from 0, of whatever signature) have Philox step k. Inside a trace the draws are that trace's.
   */
  readonly seed?: number;
}

export interface JitOptions extends CompiledOptions {
  /**
   * Arguments (by index) whose memory is given up, so that outputs of equal shape and dtype can be written over it: typed arrays are
   * overwritten and returned, tensors are disposed of (do not keep what `dataSync` showed of them).
   */
  readonly donate?: readonly number[];
}

export const COMPILED_OPTIONS: readonly string[] = [
  'device',
  'name',
  'cacheSize',
  'staticArgs',
  'shapes',
  'output',
  'seed',
];

function indices(value: unknown, name: string): ReadonlySet<number> {
  if (value === undefined) return new Set();
  if (!Array.isArray(value) || !value.every((i) => Number.isInteger(i) && i >= 0)) {
    throw new OptionError(`${name} must be an array of argument indices (from 0), got ${describe(value)}`);
  }
  return new Set(value as number[]);
}

function checkDevice(device: unknown, where: string): DeviceChoice {
  if (device === undefined) return 'auto';
  if (device instanceof Device || ['auto', 'cpu', 'tfjs'].includes(device as string))
    return device as DeviceChoice;
  throw new OptionError(
    `${where}: device must be a device from openDevice, 'auto', 'cpu' or 'tfjs', got ${describe(device)}`,
  );
}

/** Options as given, checked. `where` is the transform: 'jit'. Throws OptionError. */
export function settingsOf(options: JitOptions, where: string, defaultName: string): CompileSettings {
  const { name, seed, cacheSize = 64, output, shapes = [] } = options;
  if (name !== undefined && (typeof name !== 'string' || name === ''))
    throw new OptionError(`${where}: name must be a string, got ${describe(name)}`);
  if (!Array.isArray(shapes))
    throw new OptionError(`${where}: shapes must be an array, by argument, got ${describe(shapes)}`);
  const donate = indices(options.donate, `${where}: donate`);
  const staticArgs = indices(options.staticArgs, `${where}: staticArgs`);
  for (const i of donate) {
    if (staticArgs.has(i))
      throw new OptionError(`${where}: argument ${i} is static and has no memory to donate`);
  }
  return {
    name: name ?? defaultName,
    device: checkDevice(options.device, where),
    cacheSize: checkInteger(cacheSize, `${where}: cacheSize`, 1),
    seed: seed === undefined ? undefined : toSeed(seed, `${where}: seed`),
    output:
      output === undefined
        ? undefined
        : checkChoice(output, `${where}: output`, ['tensor', 'typedArray'] as const),
    donate,
    staticArgs,
    shapes: shapes as CompileSettings['shapes'],
  };
}

function inlined(
  body: Body,
  settings: CompileSettings,
  args: readonly unknown[],
  recorder: Recorder,
): unknown {
  const result = body(tensorsIn(args, settings), recorder.rng as Rng);
  return asTensors(result, `the result of ${settings.name}`);
}

/** A function around a body: compiled when it is called, the body itself inside a trace. */
export function compiledFunction<A extends readonly unknown[], R>(
  body: Body,
  settings: CompileSettings,
): CompiledFunction<A, R> {
  const compiled = new Compiled(body, settings);
  const call = (...args: unknown[]) => {
    const recorder = activeTrace();
    return recorder ? inlined(body, settings, args, recorder) : compiled.call(args);
  };
  const methods = {
    async: async (...args: unknown[]) => {
      const signal = args.at(-1) instanceof AbortSignal ? (args.pop() as AbortSignal) : undefined;
      return compiled.callAsync(args, signal);
    },
    lower: (...args: unknown[]) => compiled.lower(args),
    cacheInfo: () => compiled.info(),
    clear: () => compiled.clear(),
    dispose: () => compiled.dispose(),
    [Symbol.dispose]: () => compiled.dispose(),
  };
  Object.defineProperty(call, 'name', { value: settings.name });
  Object.defineProperty(call, 'device', { get: () => compiled.device.description });
  return Object.assign(call, methods) as unknown as CompiledFunction<A, R>;
}

/** Throws OptionError unless `fn` is a function. */
export function checkFunction(fn: unknown, where: string): void {
  if (typeof fn !== 'function') throw new OptionError(`${where} expects a function, got ${describe(fn)}`);
}

// biome-ignore lint/suspicious/noExplicitAny: users' functions take what they take.
export type AnyFunction = (...args: any[]) => unknown;

/** A user's function as a body: with a seed it gets the rng after its arguments. */
export function bodyOf(fn: AnyFunction, seeded: boolean): Body {
  return seeded ? (args, rng) => fn(...args, rng) : (args) => fn(...args);
}

/**
 * Compiles `fn`: at the first call with a new signature (structure, shapes and dtypes of the arguments, values of static ones) it is
 * traced, the passes clean the graph, and the device plans it; later calls run that. `fn` takes and returns tensors in plain objects and
 * arrays, is pure, and may contain every traceable op (docs/ops.md), gradients included. A tf.Variable that it captures is read at every
 * call; any other tensor from outside is a constant of the compiled function.
 *
 *     const step = jit((w, x) => tf.relu(tf.matMul(x, w)));
 *     const y = step(tf.ones([3, 2]), tf.ones([5, 3]));
 *
 * Cost of a call beyond the arithmetic: a few microseconds. See docs/jit.md.
 *
 * Throws OptionError on options that cannot be used. Calls throw TraceError, UnsupportedOpError on what cannot be traced, OptionError or
 * ShapeError on arguments, DeviceError when the device cannot be opened, DisposedError after `dispose`.
 */
export function jit<A extends unknown[], R>(
  fn: (...args: [...A, rng: Rng]) => R,
  options: JitOptions & { readonly seed: number },
): CompiledFunction<A, R>;
export function jit<A extends unknown[], R>(
  fn: (...args: A) => R,
  options?: JitOptions,
): CompiledFunction<A, R>;
export function jit(fn: AnyFunction, options: JitOptions = {}): unknown {
  checkFunction(fn, 'jit');
  checkKeys(options, [...COMPILED_OPTIONS, 'donate'], 'jit');
  const settings = settingsOf(options, 'jit', fn.name || 'the jitted function');
  return compiledFunction(bodyOf(fn, settings.seed !== undefined), settings);
}
