/** A tf.LayersModel as a pure function of its weights. */
import * as tf from '@tensorflow/tfjs';
import { OptionError, ShapeError } from '../errors.js';
import { checkBoolean, checkKeys } from '../options.js';
import { describe } from '../random/philox.js';
import type { Rng } from '../trace/rng.js';
import { isNoisy, layersOf, refuseStateful, withNoise } from './functional-noise.js';

/** Weights by name ('dense_Dense1/kernel'; a dot in a name becomes '_'). */
export type Weights = Readonly<Record<string, tf.Tensor>>;

/** All weights of a model, those that are trained apart from the others (frozen layers, moving statistics). */
export interface ModelParams {
  readonly trainable: Weights;
  readonly nonTrainable: Weights;
}

/** What a model takes: a tensor, several in the order of its inputs, or by the names of its inputs. */
export type ModelInputs = tf.Tensor | readonly tf.Tensor[] | Readonly<Record<string, tf.Tensor>>;

export interface ApplyOptions {
  /** The draws of dropout and noise layers, from the function that calls: needed when training a model that has such layers. */
  readonly rng?: Rng;
}

export interface FunctionalOptions {
  /** Layers act as in training: dropout drops, batch normalisation uses the batch's statistics and updates its own. Default false. */
  readonly training?: boolean;
}

/** The result of a pass in training. */
export interface TrainingOutputs<Output> {
  readonly outputs: Output;
  /** `params.nonTrainable` with the moving statistics that this pass has updated. */
  readonly nonTrainable: Weights;
}

export interface FunctionalModel<Result> {
  /** Copies of the model's weights as they are now: yours to dispose of. */
  readonly params: ModelParams;
  /** The model's output for these weights: one tensor, or an array of several. Shapes as for `model.predict`, batch axis first. */
  apply(params: ModelParams, inputs: ModelInputs, options?: ApplyOptions): Result;
}

/** What tf.layers keeps a weight in; its types leave out the parts that are swapped here. */
interface Variable {
  readonly id: number;
  readonly name: string;
  val: tf.Tensor;
  read(): tf.Tensor;
  write: (value: tf.Tensor) => unknown;
}

interface Named {
  readonly key: string;
  readonly variable: Variable;
}

/** Each weight once (layers may share it) under a name of its own. */
function namedVariables(model: tf.LayersModel): Named[] {
  const seen = new Set<number>();
  const keys = new Set<string>();
  const named: Named[] = [];
  for (const variable of model.weights as unknown as Variable[]) {
    if (seen.has(variable.id)) continue;
    seen.add(variable.id);
    const base = variable.name.replaceAll('.', '_');
    let key = base;
    for (let i = 1; keys.has(key); i++) key = `${base}_${i}`;
    keys.add(key);
    named.push({ key, variable });
  }
  return named;
}

/** The weight given for a variable. Throws OptionError, ShapeError naming it. */
function weightOf(weights: unknown, part: string, { key, variable }: Named): tf.Tensor {
  const given = (weights as Record<string, unknown> | undefined)?.[key];
  const { shape } = variable.read();
  if (!(given instanceof tf.Tensor))
    throw new OptionError(`params.${part} must hold the tensor "${key}" [${shape}], got ${describe(given)}`);
  if (`${given.shape}` !== `${shape}`)
    throw new ShapeError(`params.${part} "${key}" must have shape [${shape}], got [${given.shape}]`);
  return given;
}

function checkNames(weights: unknown, part: string, named: readonly Named[]): void {
  if (typeof weights !== 'object' || weights === null)
    throw new OptionError(`params.${part} must be an object of tensors by name, got ${describe(weights)}`);
  const odd = Object.keys(weights).find((key) => !named.some((each) => each.key === key));
  if (odd !== undefined) throw new OptionError(`the model has no weight "${odd}" among its ${part} ones`);
}

/**
 * Runs `f` with tensors in place of the variables' values, and what `f` writes kept apart; the variables are afterwards as they were. Returns
 * the values at the end.
 */
function withWeights<T>(
  variables: readonly Variable[],
  weights: readonly tf.Tensor[],
  f: () => T,
): { readonly result: T; readonly written: tf.Tensor[] } {
  const before = variables.map(({ val }) => val);
  try {
    variables.forEach((variable, i) => {
      variable.val = weights[i];
      // Written within a layer's own tidy, and needed when it is over.
      variable.write = (value) => {
        variable.val = tf.keep(value);
        return variable;
      };
    });
    const result = f();
    return { result, written: variables.map(({ val }) => val) };
  } finally {
    variables.forEach((variable, i) => {
      variable.val = before[i];
      // The class's own method again.
      delete (variable as Partial<Variable>).write;
    });
  }
}

/** Inputs in the model's order. Throws OptionError. */
function inputList(model: tf.LayersModel, inputs: unknown): tf.Tensor[] {
  const names = model.inputNames;
  const wanted =
    names.length === 1 ? 'a tensor' : `${names.length} tensors, in an array or by name (${names.join(', ')})`;
  const list =
    inputs instanceof tf.Tensor
      ? [inputs]
      : Array.isArray(inputs)
        ? inputs
        : names.map((name) => (inputs as Record<string, unknown> | undefined)?.[name]);
  if (list.length !== names.length || !list.every((each) => each instanceof tf.Tensor))
    throw new OptionError(`the model takes ${wanted}, got ${describe(inputs)}`);
  list.forEach((tensor, i) => {
    const { shape } = model.inputs[i];
    const fits = tensor.rank === shape.length && shape.every((d, k) => d === null || d === tensor.shape[k]);
    if (!fits) {
      const dims = shape.map((d) => d ?? 'any').join(', ');
      throw new ShapeError(
        `the model's input "${names[i]}" must have shape [${dims}], got [${tensor.shape}]`,
      );
    }
  });
  return list;
}

/**
 * A model of tf.layers as a pure function of its weights, for jit, grad and the rest. `params` are copies of the weights, trainable and others
 * apart; `apply(params, inputs, { rng })` is the model's output for whatever weights it is given, and changes nothing of the model (for its
 * length the weights stand in for the model's own). Sequential and functional models, shared layers, nested models, recurrent layers
 * (unrolled over their static number of steps), Embedding and BatchNormalization all work.
 *
 * With `training: true` it returns `{ outputs, nonTrainable }`, the latter with updated moving statistics; dropout and noise layers then
 * draw from `rng`.
 *
 *     const { params, apply } = functional(model);
 *     const slope = grad((trainable, x) => tf.mean(apply({ ...params, trainable }, x)));
 *
 * Throws OptionError for something that is no model or not built yet, and for stateful recurrent layers (their state would change). `apply`
 * throws OptionError or ShapeError on weights and inputs that do not fit, and where it needs an rng; TraceError for a layer of your own that
 * draws by other means.
 */
export function functional(
  model: tf.LayersModel,
  options?: FunctionalOptions & { readonly training?: false },
): FunctionalModel<tf.Tensor | tf.Tensor[]>;
export function functional(
  model: tf.LayersModel,
  options: FunctionalOptions & { readonly training: true },
): FunctionalModel<TrainingOutputs<tf.Tensor | tf.Tensor[]>>;
export function functional(
  model: tf.LayersModel,
  options?: FunctionalOptions,
): FunctionalModel<tf.Tensor | tf.Tensor[] | TrainingOutputs<tf.Tensor | tf.Tensor[]>>;
export function functional(model: tf.LayersModel, options: FunctionalOptions = {}): FunctionalModel<unknown> {
  if (!(model instanceof tf.LayersModel))
    throw new OptionError(`functional expects a tf.LayersModel, got ${describe(model)}`);
  checkKeys(options, ['training'], 'functional');
  const training = checkBoolean(options.training ?? false, 'functional: training');
  if (!model.inputs?.length) {
    throw new OptionError(
      `the model "${model.name}" is not built: give its first layer an inputShape, or call build(inputShape)`,
    );
  }
  // A tf.sequential that knows its input is built by tfjs at its first use; this is one.
  if (!model.built) model.build(undefined as never);
  const layers = layersOf(model);
  refuseStateful(layers);
  const named = namedVariables(model);
  const trained = new Set((model.trainableWeights as unknown as Variable[]).map(({ id }) => id));
  const parts = {
    trainable: named.filter(({ variable }) => trained.has(variable.id)),
    nonTrainable: named.filter(({ variable }) => !trained.has(variable.id)),
  };
  const copies = (list: readonly Named[]): Weights =>
    Object.fromEntries(list.map(({ key, variable }) => [key, tf.clone(variable.read())]));
  const order = [...parts.trainable, ...parts.nonTrainable];

  const apply = (params: ModelParams, inputs: ModelInputs, applyOptions: ApplyOptions = {}): unknown => {
    checkKeys(params, ['trainable', 'nonTrainable'], 'the params of a functional model');
    checkKeys(applyOptions, ['rng'], 'the options of apply');
    checkNames(params.trainable, 'trainable', parts.trainable);
    checkNames(params.nonTrainable, 'nonTrainable', parts.nonTrainable);
    const weights = [
      ...parts.trainable.map((each) => weightOf(params.trainable, 'trainable', each)),
      ...parts.nonTrainable.map((each) => weightOf(params.nonTrainable, 'nonTrainable', each)),
    ];
    const { rng } = applyOptions;
    const noisy = training ? layers.find(isNoisy) : undefined;
    if (noisy && !rng) {
      throw new OptionError(
        `the layer "${noisy.name}" draws random numbers in training: give apply the rng of the function that calls it (its option seed)`,
      );
    }
    const list = inputList(model, inputs);
    const { result, written } = withWeights(
      order.map(({ variable }) => variable),
      weights,
      () =>
        withNoise(layers, rng, () => {
          const output = model.call(list, { training });
          return Array.isArray(output) && output.length === 1 ? output[0] : output;
        }),
    );
    if (!training) return result;
    const nonTrainable = Object.fromEntries(
      parts.nonTrainable.map(({ key }, i) => [key, written[parts.trainable.length + i]]),
    );
    return { outputs: result, nonTrainable };
  };
  return { params: { trainable: copies(parts.trainable), nonTrainable: copies(parts.nonTrainable) }, apply };
}
