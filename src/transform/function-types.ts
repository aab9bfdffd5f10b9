/** The types of compiled functions: what may be given for an argument of `fn`, and what comes back for its result. */
import type * as tf from '@tensorflow/tfjs';
import type { FunctionPlan } from '../device/driver.js';
import type { TypedArray } from '../graph/graph.js';
import type { ArraysOf, NestedNumbers, TensorTree, ValueTree } from './leaf.js';

/** What is not a tensor and keeps its type: static arguments. */
type Static = string | number | boolean | null | undefined;

/** Whether nothing is known of a type. */
type IsAny<T> = 0 extends 1 & T ? true : false;

type Replaced<T, Leaf> =
  IsAny<T> extends true
    ? T
    : [TensorTree] extends [T]
      ? ValueTree
      : T extends tf.Tensor | TypedArray | Float64Array | NestedNumbers
        ? Leaf
        : T extends Static
          ? T
          : { readonly [K in keyof T]: Replaced<T[K], Leaf> };

type ReplacedAll<A extends readonly unknown[], Leaf> = { [K in keyof A]: Replaced<A[K], Leaf> };

type HostNumber = number | boolean | NestedNumbers;

/** Arguments as tensors and numbers. */
export type TensorArguments<A extends readonly unknown[]> = ReplacedAll<A, tf.Tensor | HostNumber>;
/** Arguments as typed arrays and numbers. */
export type ArrayArguments<A extends readonly unknown[]> = ReplacedAll<
  A,
  TypedArray | Float64Array | HostNumber
>;
/** Arguments of every kind. */
export type AnyArguments<A extends readonly unknown[]> = ReplacedAll<
  A,
  tf.Tensor | TypedArray | Float64Array | HostNumber
>;

/** The result of `fn` as tensors: a number that it returns becomes a scalar. */
export type Returned<R> =
  IsAny<R> extends true
    ? R
    : // A dictionary; one of `any` would pass for every structure.
      [string] extends [keyof R]
      ? { [K in keyof R]: Returned<R[K]> }
      : [TensorTree] extends [R]
        ? TensorTree
        : R extends tf.Tensor
          ? R
          : R extends number | boolean
            ? tf.Scalar
            : // What a compiled function of a compiled function takes, seen as what it differentiates by.
              R extends TypedArray | Float64Array | NestedNumbers
              ? tf.Tensor
              : { [K in keyof R]: Returned<R[K]> };

/** How often a signature was found compiled, how often not, and how many are held. */
export interface CacheInfo {
  readonly hits: number;
  readonly misses: number;
  readonly size: number;
}

/** What a function was made into, for one signature. */
export interface Lowered {
  /** The graph as it was traced, and as the passes left it: one line a node. */
  readonly before: string;
  readonly after: string;
  /** Stages and instructions, buffers, bytes, multiply-adds (counted twice) per call. */
  readonly plan: FunctionPlan;
  /** What it runs on, and why nothing better. */
  readonly device: string;
}

/**
 * A compiled function. It takes the arguments of `fn`, each tensor given as a tensor, a number (a scalar), a nested array of numbers, or a
 * typed array (one axis; Float32Array and Float64Array float32, Int32Array int32, Uint8Array bool). It returns tensors on the active tfjs
 * backend, or typed arrays where typed arrays and no tensor came in (see the option `output`).
 *
 * Inside a trace (another transform, a step of `defineUnroll`) it is `fn` itself, on the traced tensors.
 */
export interface CompiledFunction<A extends readonly unknown[], R> {
  (...args: TensorArguments<A>): Returned<R>;
  (...args: ArrayArguments<A>): ArraysOf<Returned<R>>;
  (...args: AnyArguments<A>): Returned<R>;
  (...args: A): Returned<R>;
  /**
   * The same off the event loop. An AbortSignal may follow the arguments: the promise is then rejected with AbortedError. Tensors are
   * copied before it returns; donated arguments are not, and must be left alone until it resolves.
   */
  readonly async: CompiledAsync<A, R>;
  /** Compiles for these arguments, without a call, and shows what came of it. */
  lower(...args: AnyArguments<A>): Lowered;
  /** What it runs on, and why nothing better. Opens the device. */
  readonly device: string;
  cacheInfo(): CacheInfo;
  /** Forgets all compiled signatures. */
  clear(): void;
  /** Releases everything; calls throw DisposedError afterwards. */
  dispose(): void;
  [Symbol.dispose](): void;
}

export interface CompiledAsync<A extends readonly unknown[], R> {
  (...args: [...TensorArguments<A>, signal?: AbortSignal]): Promise<Returned<R>>;
  (...args: [...ArrayArguments<A>, signal?: AbortSignal]): Promise<ArraysOf<Returned<R>>>;
  (...args: [...AnyArguments<A>, signal?: AbortSignal]): Promise<Returned<R>>;
}
