/**
 * What a user writes: one step of an unrolled computation in ordinary tfjs ops, and how an episode begins.
 */
import type * as tf from '@tensorflow/tfjs';
import { OptionError } from '../errors.js';
import { checkKeys } from '../options.js';
import { describe } from '../random/philox.js';
import type { Rng } from '../trace/rng.js';
import type { Loose, SpecTree, TensorsOf, TensorTree } from './leaf.js';

/**
 * The tensors of the data inside `init` and `step`; unchecked when the definition does not describe its data.
 */
// biome-ignore lint/suspicious/noExplicitAny: data that the definition does not describe can be anything.
export type DataOf<D> = D extends SpecTree ? TensorsOf<D> : any;

/** What `init` is called with. All tensors are those of one particle. */
export interface InitContext<Theta, D> {
  readonly theta: TensorsOf<Theta>;
  /** Random draws; `share` says who shares one (all particles, the two of an antithetic pair, nobody). */
  readonly rng: Rng;
  readonly data: DataOf<D>;
  /** int32 scalar: the index of the particle. */
  readonly particle: tf.Scalar;
}

/** What `step` is called with. */
export interface StepContext<Theta, State, D> extends InitContext<Theta, D> {
  readonly state: NoInfer<Loose<State>>;
  /** int32 scalar: the step within the episode, from 0. */
  readonly t: tf.Scalar;
}

/** What `step` returns. */
export interface StepResult<Metrics> {
  /** The next state: the structure, shapes and dtypes that `init` returned, which compiling checks. */
  readonly state: TensorTree;
  /** Scalar (float32): what is minimised. */
  readonly loss: tf.Tensor;
  /** Scalars to look at, by name. */
  readonly metrics?: Metrics;
}

/** Named scalars of a step. */
export type MetricTensors = Readonly<Record<string, tf.Tensor>>;

export interface UnrollDefinition<Theta, State, D, Metrics> {
  /** Steps in an episode, after which a particle starts afresh with `init`; Infinity for an endless one. */
  readonly horizon: number;
  /** The outer parameters: a structure of `shape(...)`. */
  readonly theta: Theta;
  /**
   * Shapes and dtypes of the data, when they should be typed and checked: a structure of `shape`, `int32`,
   * `bool`.
   */
  readonly data?: D;
  /** The state at the start of an episode. */
  readonly init: (context: InitContext<Theta, D>) => State;
  /** One step. */
  readonly step: (context: StepContext<Theta, State, D>) => StepResult<Metrics>;
}

const KEYS = ['horizon', 'theta', 'data', 'init', 'step'] as const;

/**
 * Describes an unrolled computation; nothing runs yet. `init` and `step` are traced once when the definition
 * is compiled, with tensors that stand for one particle and have no values. List `init` before `step`, so
 * that the type of the state is known there.
 *
 *     const decay = defineUnroll({
 *       horizon: 10,
 *       theta: { rate: shape() },
 *       init: () => ({ x: tf.scalar(1) }),
 *       step: ({ theta, state }) => {
 *         const x = state.x.mul(theta.rate);
 *         return { state: { x }, loss: x.square() };
 *       },
 *     });
 *
 * Throws OptionError naming a missing, misspelt or malformed entry.
 */
export function defineUnroll<
  const Theta extends SpecTree,
  State extends TensorTree,
  const D extends SpecTree | undefined = undefined,
  Metrics extends MetricTensors = Readonly<Record<never, tf.Tensor>>,
>(definition: UnrollDefinition<Theta, State, D, Metrics>): UnrollDefinition<Theta, State, D, Metrics> {
  checkDefinition(definition);
  return definition;
}

/** Throws OptionError naming a missing, misspelt or malformed entry of a definition. */
export function checkDefinition(definition: unknown): void {
  checkKeys(definition, KEYS, 'defineUnroll');
  const { horizon, theta, init, step } = definition as Readonly<Record<(typeof KEYS)[number], unknown>>;
  if (
    horizon !== Number.POSITIVE_INFINITY &&
    !(Number.isInteger(horizon) && (horizon as number) >= 1 && (horizon as number) <= 0x7fffffff)
  ) {
    throw new OptionError(
      `horizon must be an integer in 1..${0x7fffffff}, or Infinity, got ${describe(horizon)}`,
    );
  }
  if (theta === undefined) throw new OptionError('defineUnroll lacks "theta": a structure of shape(...)');
  for (const [name, value] of Object.entries({ init, step })) {
    if (typeof value !== 'function')
      throw new OptionError(`${name} must be a function, got ${describe(value)}`);
  }
}
