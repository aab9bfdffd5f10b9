/** An unroll as a function of tensors: what jit, vmap, grad and their relatives compose with. */
import * as tf from '@tensorflow/tfjs';
import { OptionError } from '../errors.js';
import { checkChoice, checkInteger, checkKeys } from '../options.js';
import type { Rng } from '../trace/rng.js';
import { checkStepResult } from './compile.js';
import { checkDefinition, type DataOf, type UnrollDefinition } from './define.js';
import type { CompiledFunction } from './function-types.js';
import { COMPILED_OPTIONS, type CompiledOptions, compiledFunction, settingsOf } from './jit.js';
import type { TensorsOf, TensorTree } from './leaf.js';

export interface UnrollFunctionOptions extends Omit<CompiledOptions, 'staticArgs' | 'shapes'> {
  /** Steps, at least 1; a new episode begins after every `horizon` of them. */
  readonly steps: number;
  /** 'perStep' also returns the losses and metrics of every step. Default 'sum'. */
  readonly record?: 'sum' | 'perStep';
}

/** The argument of an unroll as a function. */
export interface UnrollArguments<Theta, State, D> {
  readonly theta: TensorsOf<Theta>;
  readonly data?: DataOf<D>;
  /** The state to go on from. Default: that of `init`. */
  readonly state?: State;
  /** int32 scalar, the index that `init` and `step` are given. Default 0. */
  readonly particle?: tf.Tensor;
}

export interface UnrollOutputs<State> {
  readonly state: State;
  /** float32 scalar: the sum of the losses of all steps. */
  readonly loss: tf.Scalar;
  /** [steps] float32 each, when recorded per step; without, of no keys. */
  readonly records: { readonly losses?: tf.Tensor; readonly metrics?: Readonly<Record<string, tf.Tensor>> };
}

const OWN = ['steps', 'record'] as const;
const KEYS = COMPILED_OPTIONS.filter((key) => key !== 'staticArgs' && key !== 'shapes');

/**
 * `steps` steps of a definition for one particle, as a function of { theta, data, state, particle }: it runs compiled, and inside
 * other transforms it is part of what they trace, so that `grad`, `hvp` or `vmap` go through it to any order.
 *
 * The steps are written out one after another: tracing and planning grow with their number, as memory does for gradients. For thousands of steps
 * or particles, compile the definition for a device instead (`device.compile`, `program.run`, `program.gradient`), which loops natively.
 * Draws of `rng` need the option `seed`; every call then draws new numbers.
 *
 * Throws OptionError on malformed options or a step that returns something else; when called, what tracing throws.
 */
export function unroll<Theta, State extends TensorTree, D, Metrics>(
  definition: UnrollDefinition<Theta, State, D, Metrics>,
  options: UnrollFunctionOptions,
): CompiledFunction<[UnrollArguments<Theta, State, D>], UnrollOutputs<State>> {
  checkDefinition(definition);
  checkKeys(options, [...OWN, ...KEYS], 'unroll');
  const { steps, record = 'sum', ...rest } = options;
  checkInteger(steps, 'unroll: steps', 1, 0x7fffffff);
  checkChoice(record, 'unroll: record', ['sum', 'perStep']);
  const body = (args: unknown[], rng: Rng) =>
    // biome-ignore lint/suspicious/noExplicitAny: the callbacks' own types were checked where the definition was written.
    runSteps(definition as UnrollDefinition<any, any, any, any>, args, rng, steps, record === 'perStep');
  return compiledFunction(body, settingsOf(rest, 'unroll', 'unroll'));
}

function runSteps(
  // biome-ignore lint/suspicious/noExplicitAny: as above
  { horizon, init, step }: UnrollDefinition<any, any, any, any>,
  args: readonly unknown[],
  rng: Rng,
  steps: number,
  perStep: boolean,
): UnrollOutputs<TensorTree> {
  if (args.length !== 1)
    throw new OptionError(
      `an unroll takes one argument, { theta, data, state, particle }, got ${args.length}`,
    );
  checkKeys(args[0], ['theta', 'data', 'state', 'particle'], 'the argument of an unroll');
  const {
    theta,
    data = {},
    state: start,
    particle = tf.scalar(0, 'int32'),
  } = args[0] as Partial<UnrollArguments<unknown, TensorTree, unknown>>;
  if (theta === undefined) throw new OptionError('the argument of an unroll lacks "theta"');
  const context = { theta, data, particle, rng } as never;
  let state: TensorTree | undefined = start;
  const losses: tf.Tensor[] = [];
  const metrics = new Map<string, tf.Tensor[]>();
  for (let k = 0; k < steps; k++) {
    const t = k % horizon;
    if (state === undefined || (t === 0 && k > 0)) state = init(context) as TensorTree;
    const result = checkStepResult(
      step({ ...(context as object), state, t: tf.scalar(t, 'int32') } as never),
    );
    state = result.state as TensorTree;
    losses.push(result.loss);
    if (perStep)
      for (const [name, value] of Object.entries(result.metrics))
        metrics.set(name, [...(metrics.get(name) ?? []), value]);
  }
  const stacked = (list: readonly tf.Tensor[]) => tf.stack(list.map((x) => tf.reshape(x, [])));
  return {
    state: state as TensorTree,
    loss: losses.reduce((sum, loss) => tf.add(sum, loss)) as tf.Scalar,
    records: perStep
      ? {
          losses: stacked(losses),
          metrics: Object.fromEntries([...metrics].map(([name, list]) => [name, stacked(list)])),
        }
      : {},
  };
}
