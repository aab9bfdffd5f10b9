/** An unroll as a function of tensors: what jit, vmap, grad and their relatives compose with. */
import * as tf from '@tensorflow/tfjs';
import { OptionError, ShapeError } from '../errors.js';
import { type DType, type Shape, sizeOf } from '../graph/graph.js';
import { checkChoice, checkInteger, checkKeys } from '../options.js';
import { describe } from '../random/philox.js';
import type { Rng } from '../trace/rng.js';
import { flatten } from '../trace/structure.js';
import { isTraceLeaf } from '../trace/trace.js';
import { checkStateKept, checkStepResult, stateTensor } from './compile.js';
import { checkDefinition, type DataOf, type UnrollDefinition } from './define.js';
import type { CompiledFunction } from './function-types.js';
import { COMPILED_OPTIONS, type CompiledOptions, compiledFunction, settingsOf } from './jit.js';
import type { SpecTree, TensorsOf, TensorTree } from './leaf.js';
import { isLeafShape, matchValues } from './values.js';

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
 * Throws OptionError on malformed options. When called, OptionError or ShapeError where theta or data do not fit what the definition says, or
 * where a step returns something else or changes the state's structure, shapes or dtypes; and what tracing throws.
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

/**
 * The tensors of `tree` in the structure of `spec`. One axis with all elements, as a typed array has them, takes the shape that `spec` says.
 * Throws OptionError or ShapeError naming a path that does not fit.
 */
function tensorsOf(spec: SpecTree, tree: unknown, what: string): unknown {
  const { leaves, rebuild } = flatten(spec, isLeafShape, what);
  const tensors = matchValues(spec, tree, what).map(({ path, value }, i) => {
    const at = path === '' ? what : `${what} at "${path}"`;
    const { dims, dtype } = leaves[i];
    const wanted = `${dtype} [${dims.map((dim) => dim ?? 'any').join(', ')}]`;
    if (!(value instanceof tf.Tensor))
      throw new OptionError(`${at} must be a tensor, ${wanted}, got ${describe(value)}`);
    const flat = value.rank === 1 && !dims.includes(null) && value.size === sizeOf(dims as Shape);
    if (flat && value.dtype === dtype) return tf.reshape(value, dims as number[]);
    const fits = value.rank === dims.length && dims.every((dim, k) => dim === null || dim === value.shape[k]);
    if (!fits || value.dtype !== dtype)
      throw new ShapeError(`${at} must be ${wanted}, got ${value.dtype} [${value.shape.join(', ')}]`);
    return value;
  });
  return rebuild(tensors);
}

/** A state with tensors for its numbers, and what its leaves are. */
function readState(tree: unknown) {
  const { leaves, paths, rebuild } = flatten(tree, isTraceLeaf, 'state');
  const tensors = leaves.map(stateTensor);
  return {
    state: rebuild(tensors) as TensorTree,
    specs: tensors.map(({ shape, dtype }, i) => ({
      path: paths[i] || 'value',
      shape,
      dtype: dtype as DType,
    })),
  };
}

function runSteps(
  // biome-ignore lint/suspicious/noExplicitAny: as above
  definition: UnrollDefinition<any, any, any, any>,
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
  const { horizon, init, step } = definition;
  const {
    theta,
    data = {},
    state: start,
    particle = tf.scalar(0, 'int32'),
  } = args[0] as Partial<UnrollArguments<unknown, TensorTree, unknown>>;
  if (theta === undefined) throw new OptionError('the argument of an unroll lacks "theta"');
  if (particle.rank !== 0)
    throw new ShapeError(`particle must be a scalar, got [${particle.shape.join(', ')}]`);
  const context = {
    theta: tensorsOf(definition.theta as SpecTree, theta, 'theta'),
    data: definition.data === undefined ? data : tensorsOf(definition.data as SpecTree, data, 'data'),
    particle: tf.cast(particle, 'int32'),
    rng,
  } as never;
  let current = start === undefined ? undefined : readState(start);
  const losses: tf.Tensor[] = [];
  const metrics = new Map<string, tf.Tensor[]>();
  for (let k = 0; k < steps; k++) {
    const t = k % horizon;
    if (current === undefined || (t === 0 && k > 0)) current = readState(init(context));
    const { state, specs } = current;
    const result = checkStepResult(
      step({ ...(context as object), state, t: tf.scalar(t, 'int32') } as never),
    );
    current = readState(result.state);
    checkStateKept(specs, current.specs);
    losses.push(result.loss);
    if (perStep)
      for (const [name, value] of Object.entries(result.metrics))
        metrics.set(name, [...(metrics.get(name) ?? []), value]);
  }
  const stacked = (list: readonly tf.Tensor[]) => tf.stack(list.map((x) => tf.reshape(x, [])));
  return {
    state: (current as { readonly state: TensorTree }).state,
    loss: losses.reduce((sum, loss) => tf.add(sum, loss)) as tf.Scalar,
    records: perStep
      ? {
          losses: stacked(losses),
          metrics: Object.fromEntries([...metrics].map(([name, list]) => [name, stacked(list)])),
        }
      : {},
  };
}
