/**
 * Gradient transformations: an optimizer is a pair of pure functions, `init(params)` and `update(grads,
 * state, params)`, and big ones are chains of small ones.
 *
 * The same transformation works on three kinds of structures (nested plain objects and arrays):
 * - tensors, eagerly: results are new tensors that the caller disposes of;
 * - tensors inside a traced `init` or `step`: the optimizer becomes part of the graph;
 * - numbers and typed arrays, as estimators return them: results are numbers and typed arrays, and no tensor
 *   is left behind. The arithmetic is float32 there, too.
 */
import * as tf from '@tensorflow/tfjs';
import { OptionError, ShapeError } from '../errors.js';
import { describe } from '../random/philox.js';
import { type FlatTree, flatten } from '../trace/structure.js';
import type { TensorTree } from '../transform/leaf.js';

/**
 * A structure of numbers and typed arrays. A typed array stands for a tensor of any shape: transformations
 * act elementwise.
 */
export type PlainTree =
  | number
  | Float32Array
  | Float64Array
  | Int32Array
  | readonly PlainTree[]
  | { readonly [name: string]: PlainTree };

/** A number, or a scalar tensor (for instance a traced outer parameter). */
export type ScalarLike = number | tf.Tensor;

type OneLevel<P> = P extends tf.Tensor ? P : { [K in keyof P]: P[K] };

/**
 * The state of a transformation: tensors for parameters that are tensors, else plain values. What it holds is
 * the transformation's affair.
 */
export type OptimizerState<P> = OneLevel<P> extends TensorTree ? TensorTree : PlainTree;

/** What `update` returns. */
export interface Update<G, S> {
  /** To be added to the parameters (see `applyUpdates`); the structure of the gradients. */
  readonly updates: G;
  readonly state: S;
}

/** An optimizer, or a part of one. */
export interface GradientTransformation {
  /** The state before the first update. */
  init<P>(params: P): OptimizerState<P>;
  /**
   * One update. `params` may be left out where the transformation does not need them. Throws ShapeError when
   * the structures of `grads` and `state` differ.
   */
  update<G>(grads: G, state: OptimizerState<G>, params?: object | number): Update<G, OptimizerState<G>>;
}

/**
 * The mathematics of a transformation, on structures of tensors. Scalars of the state are tensors, so that it
 * can be traced.
 */
export interface TensorTransformation {
  init(params: TensorTree): TensorTree;
  update(
    grads: TensorTree,
    state: TensorTree,
    params: TensorTree | undefined,
  ): Update<TensorTree, TensorTree>;
}

function isTensor(value: unknown): value is tf.Tensor {
  return value instanceof tf.Tensor;
}

type PlainLeaf = number | Float32Array | Float64Array | Int32Array;

function isPlainLeaf(value: unknown): value is PlainLeaf {
  return (
    typeof value === 'number' ||
    value instanceof Float32Array ||
    value instanceof Float64Array ||
    value instanceof Int32Array
  );
}

function isAnyLeaf(value: unknown): value is tf.Tensor | PlainLeaf {
  return isTensor(value) || isPlainLeaf(value);
}

/** Whether a structure holds tensors (true) or plain values. Throws OptionError for a mixture. */
function holdsTensors(tree: unknown, what: string): boolean {
  const { leaves, paths } = flatten(tree, isAnyLeaf, what);
  const tensors = leaves.map(isTensor);
  const odd = tensors.indexOf(!tensors[0]);
  if (odd > 0)
    throw new OptionError(`${what} mixes tensors with numbers or arrays (at "${paths[odd]}"); use one kind`);
  return tensors[0] ?? false;
}

/**
 * The leaves of `other` in the order of the paths of `flat`: the order of keys does not matter. Throws ShapeError naming the
 * first path that only one of them has.
 */
function inOrderOf<L>(flat: FlatTree<unknown>, other: FlatTree<L>): L[] {
  const places = new Map(other.paths.map((path, i) => [path, i]));
  const own = new Set(flat.paths);
  const odd = flat.paths.find((path) => !places.has(path)) ?? other.paths.find((path) => !own.has(path));
  if (odd !== undefined) {
    throw new ShapeError(
      `gradients, parameters, updates and optimizer state must have one structure; they differ at "${odd}"`,
    );
  }
  return flat.paths.map((path) => other.leaves[places.get(path)!]);
}

/**
 * Applies `f` leaf by leaf to structures of tensors; the result has the structure of the first. Throws
 * ShapeError naming the path where structures or shapes differ.
 */
export function mapTensors(
  f: (...leaves: tf.Tensor[]) => tf.Tensor,
  first: TensorTree,
  ...others: TensorTree[]
): TensorTree {
  const flat = flatten(first, isTensor, 'grads');
  const rest = others.map((tree) => {
    const leaves = inOrderOf(flat, flatten(tree, isTensor, 'state or params'));
    leaves.forEach(({ shape }, i) => {
      const wanted = flat.leaves[i].shape;
      if (shape.join() !== wanted.join()) {
        throw new ShapeError(
          `gradients, parameters, updates and optimizer state must have one shape; at "${flat.paths[i]}" there are [${wanted.join(', ')}] and [${shape.join(', ')}]`,
        );
      }
    });
    return leaves;
  });
  return flat.rebuild(
    flat.leaves.map((leaf, i) => f(leaf, ...rest.map((leaves) => leaves[i]))),
  ) as TensorTree;
}

/** All tensors of a structure. */
export function tensorsOf(tree: TensorTree): readonly tf.Tensor[] {
  return flatten(tree, isTensor, 'grads').leaves;
}

/** A count (one int32) is a scalar tensor; other arrays are one axis. */
function toTensor(value: PlainLeaf): tf.Tensor {
  if (typeof value === 'number') return tf.scalar(value, 'float32');
  if (value instanceof Int32Array)
    return value.length === 1 ? tf.scalar(value[0], 'int32') : tf.tensor1d(value, 'int32');
  return tf.tensor1d(value instanceof Float32Array ? value : Float32Array.from(value), 'float32');
}

function toTensors(tree: unknown, what: string): TensorTree {
  const flat = flatten(tree, isPlainLeaf, what);
  return flat.rebuild(flat.leaves.map(toTensor)) as TensorTree;
}

function toPlain(tensor: tf.Tensor): PlainLeaf {
  const values = tensor.dataSync();
  if (tensor.dtype === 'int32') return Int32Array.from(values);
  return tensor.rank === 0 ? values[0] : Float32Array.from(values);
}

/** Plain values of the kinds (number, Float32Array, Float64Array) that `like` has. */
function toPlainLike(tree: TensorTree, like: unknown): PlainTree {
  const kinds = flatten(like, isPlainLeaf, 'grads').leaves;
  const flat = flatten(tree, isTensor, 'updates');
  const leaves = flat.leaves.map((tensor, i) => {
    const values = tensor.dataSync();
    const kind = kinds[i];
    if (typeof kind === 'number') return values[0];
    return kind instanceof Float64Array ? Float64Array.from(values) : Float32Array.from(values);
  });
  return flat.rebuild(leaves) as PlainTree;
}

/**
 * Frees the intermediate tensors of `f`. A result that is one of the inputs is copied, so that it can be
 * disposed of by itself.
 */
function owned<T extends TensorTree>(f: () => T, inputs: readonly unknown[]): T {
  const given = new Set(
    inputs.filter((tree) => tree !== undefined).flatMap((tree) => flatten(tree, isTensor).leaves),
  );
  return tf.tidy(() => {
    const tree = flatten(f(), isTensor);
    return tree.rebuild(tree.leaves.map((leaf) => (given.has(leaf) ? leaf.clone() : leaf))) as T &
      tf.TensorContainer;
  });
}

/** Makes a transformation of tensors work on plain values as well, and own its memory. */
export function transformation(core: TensorTransformation): GradientTransformation {
  const init = (params: unknown): TensorTree | PlainTree => {
    if (holdsTensors(params, 'params')) return owned(() => core.init(params as TensorTree), [params]);
    return tf.tidy(() => {
      const state = flatten(core.init(toTensors(params, 'params')), isTensor);
      return state.rebuild(state.leaves.map(toPlain)) as PlainTree & tf.TensorContainer;
    });
  };
  const update = (grads: unknown, state: unknown, params?: unknown) => {
    if (holdsTensors(grads, 'grads')) {
      type Both = { updates: TensorTree; state: TensorTree };
      const run = () =>
        core.update(grads as TensorTree, state as TensorTree, params as TensorTree | undefined) as Both;
      return owned(run, [grads, state, params]);
    }
    return tf.tidy(() => {
      const tensors = toTensors(grads, 'grads');
      const result = core.update(
        tensors,
        toTensors(state, 'state'),
        params === undefined ? undefined : toTensors(params, 'params'),
      );
      const next = flatten(result.state, isTensor);
      return {
        updates: toPlainLike(result.updates, grads),
        state: next.rebuild(next.leaves.map(toPlain)) as PlainTree,
      } as unknown as tf.TensorContainer;
    });
  };
  return { init, update } as GradientTransformation;
}

/**
 * params + updates, leaf by leaf: new tensors for tensors (the inputs are not disposed of); numbers and typed
 * arrays of the parameters' kind for plain values, added in float64. Throws OptionError or ShapeError when
 * the structures differ.
 */
export function applyUpdates<P>(params: P, updates: object | number): P {
  if (holdsTensors(params, 'params')) {
    const add = () => mapTensors((p, u) => tf.add(p, u), params as TensorTree, updates as TensorTree);
    return owned(add, [params, updates]) as P;
  }
  const flat = flatten(params, isPlainLeaf, 'params');
  const steps = inOrderOf(flat, flatten(updates, isPlainLeaf, 'updates'));
  return flat.rebuild(
    flat.leaves.map((leaf, i) => {
      const step = steps[i];
      if (typeof leaf === 'number') {
        if (typeof step === 'number') return leaf + step;
        if (step.length === 1) return leaf + step[0];
        throw new ShapeError(`the update at "${flat.paths[i]}" must be a number, got ${step.length} values`);
      }
      if (typeof step === 'number' || step.length !== leaf.length) {
        const got = typeof step === 'number' ? 'a number' : `${step.length} values`;
        throw new ShapeError(`the update at "${flat.paths[i]}" must have ${leaf.length} values, got ${got}`);
      }
      return leaf.map((value: number, j: number) => value + step[j]);
    }),
  ) as P;
}

/** A number or a scalar tensor as given. Throws OptionError naming the option. */
export function checkScalar(value: unknown, name: string): ScalarLike {
  if (typeof value === 'number' ? !Number.isFinite(value) : !(isTensor(value) && value.size === 1)) {
    throw new OptionError(`${name} must be a finite number or a scalar tensor, got ${describe(value)}`);
  }
  return value as ScalarLike;
}
