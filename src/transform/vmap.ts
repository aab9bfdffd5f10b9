/** Functions of single examples made into functions of batches. */
import * as tf from '@tensorflow/tfjs';
import type { LeafSpec } from '../device/driver.js';
import { OptionError, TraceError } from '../errors.js';
import type { Shape } from '../graph/graph.js';
import { moveAxis } from '../replay/structure.js';
import { engineAccess } from '../trace/recorder.js';
import type { FlatTree } from '../trace/structure.js';
import { type TraceInput, trace } from '../trace/trace.js';
import {
  type ArgumentLayout,
  type ArgumentLeaf,
  isArgumentLeaf,
  layoutOf,
  leafName,
  readArguments,
  valuesOf,
} from './arguments.js';
import { LruCache } from './cache.js';
import type { AnyArguments } from './function-types.js';
import {
  applyToCopies,
  type GraphFunction,
  graphFunction,
  noCopies,
  type OperandType,
  present,
  pulled,
  smoothOutputs,
  traceInputs,
  varyingNodes,
} from './graph-function.js';
import type { TensorTree } from './leaf.js';
import { type AxisTree, axesOfLeaves, axesPerArgument, batchSize, checkAxis } from './vmap-axes.js';

export type { AxisTree } from './vmap-axes.js';

/** Results of a mapped function: tensors with a batch axis where `fn` has tensors or numbers. */
export type Mapped<R> = [TensorTree] extends [R]
  ? TensorTree
  : R extends tf.Tensor | number | boolean
    ? tf.Tensor
    : { [K in keyof R]: Mapped<R[K]> };

/** A mapped function: takes the arguments of `fn` with batch axes, as tensors, typed arrays, nested arrays or numbers; returns tensors. */
export type MappedFunction<A extends readonly unknown[], R> = (...args: AnyArguments<A>) => Mapped<R>;

/** Signatures whose traces are kept. */
const CAPACITY = 32;

/** A function traced for one signature. */
interface Traced {
  readonly fn: GraphFunction;
  readonly structure: FlatTree<number>;
  /** Tensors from outside, which follow the arguments among the operands. */
  readonly captures: readonly tf.Tensor[];
}

type Fn = (...args: unknown[]) => unknown;

const NO_STATIC: ReadonlySet<number> = new Set();

/** Traces `fn` for unbatched arguments; with its derivative when a tape is open. */
function traceFunction(
  fn: Fn,
  layout: ArgumentLayout,
  types: readonly OperandType[],
  options: { readonly name: string; readonly repeat: boolean; readonly derivative: boolean },
): Traced {
  const { name, repeat } = options;
  const inputs = traceInputs('x', types);
  const traced = trace((tensors) => fn(...layout.rebuild(tensors)), {
    inputs,
    name,
    repeat,
    captures: 'input',
  });
  refuseDraws(traced.graph.nodes, name);
  if (!options.derivative) {
    const { operands, operandOf } = operandsOf(inputs, traced.captures, traced.captures);
    return {
      fn: graphFunction(traced.graph, operands, operandOf),
      structure: traced.structure,
      captures: traced.captures,
    };
  }
  // Now, not when the gradient is asked for: what `fn` captures may be gone by then. Of `fn` and not of its graph, so that the custom
  // gradients in it count.
  const smoothInputs = types.flatMap(({ dtype }, i) => (dtype === 'float32' ? [i] : []));
  const smoothCaptures = traced.captures.flatMap(({ dtype }, i) => (dtype === 'float32' ? [i] : []));
  const places = [...smoothInputs, ...smoothCaptures.map((i) => types.length + i)];
  const cotangents = traceInputs('cotangent', smoothOutputs(traced.graph));
  const count = types.length + traced.captures.length;
  let gradientOf: (number | undefined)[] = [];
  const derivative = trace(
    (tensors) => {
      const xs = tensors.slice(0, types.length);
      const outputs = () => leavesOf(fn(...layout.rebuild(xs)), traced.structure);
      const by = [...smoothInputs.map((i) => xs[i]), ...smoothCaptures.map((i) => traced.captures[i])];
      const result = present(pulled(outputs, by, tensors.slice(types.length)), places, count);
      gradientOf = result.gradientOf;
      return result.found;
    },
    {
      inputs: [...inputs, ...cotangents],
      name: `the derivative of ${name}`,
      repeat: false,
      captures: 'input',
    },
  );
  refuseDraws(derivative.graph.nodes, name);
  // A custom gradient may capture more than the function itself.
  const known = new Set(traced.captures.map(({ id }) => id));
  const captures = [...traced.captures, ...derivative.captures.filter(({ id }) => !known.has(id))];
  const forward = operandsOf(inputs, captures, traced.captures);
  const backward = operandsOf(inputs, captures, derivative.captures);
  cotangents.forEach(({ path }, i) => {
    backward.operandOf.set(path, forward.operands.length + i);
  });
  return {
    fn: {
      ...graphFunction(traced.graph, forward.operands, forward.operandOf),
      pullback: {
        fn: graphFunction(derivative.graph, [...backward.operands, ...cotangents], backward.operandOf),
        gradientOf: forward.operands.map((_, i) => gradientOf[i]),
      },
    },
    structure: traced.structure,
    captures,
  };
}

/** Arguments, then captures; `order` are the captures as one trace numbered them. */
function operandsOf(
  inputs: readonly TraceInput[],
  captures: readonly tf.Tensor[],
  order: readonly tf.Tensor[],
): { readonly operands: OperandType[]; readonly operandOf: Map<string, number> } {
  const operandOf = new Map(inputs.map(({ path }, i) => [path, i]));
  order.forEach(({ id }, i) => {
    operandOf.set(`captured.${i}`, inputs.length + captures.findIndex((tensor) => tensor.id === id));
  });
  const captured = captures.map(({ shape, dtype }) => ({ shape, dtype: dtype as OperandType['dtype'] }));
  return { operands: [...inputs, ...captured], operandOf };
}

function refuseDraws(nodes: readonly { readonly op: { readonly name: string } }[], name: string): void {
  if (!nodes.some(({ op }) => op.name === 'random')) return;
  throw new TraceError(
    'rng',
    `${name} draws random numbers, which vmap does not offer: draw before, and pass the numbers in as an argument`,
  );
}

/** The leaves of a result as tensors, in the order of its structure. */
function leavesOf(result: unknown, structure: FlatTree<number>): tf.Tensor[] {
  return structure.paths.map((path) => {
    const leaf =
      path === '' ? result : path.split('.').reduce((x, key) => (x as never)[key], result as never);
    if (leaf instanceof tf.Tensor) return leaf;
    return tf.scalar(leaf as number | boolean);
  });
}

function tensorOf(value: ArgumentLeaf, leaf: LeafSpec, name: string): tf.Tensor {
  if (value instanceof tf.Tensor) return value;
  return tf.tensor(valuesOf(value, leaf, name).slice(), [...leaf.shape], leaf.dtype as 'float32');
}

/** What a structure looks like, apart from its leaves. */
function skeleton(value: unknown): string {
  if (isArgumentLeaf(value)) return '.';
  if (Array.isArray(value)) return `[${value.map(skeleton).join()}]`;
  return `{${Object.entries(value as object).map(([name, x]) => `${JSON.stringify(name)}:${skeleton(x)}`)}}`;
}

/**
 * `fn` of one example becomes a function of a batch of them: vmap(fn)(xs)[i] is fn(xs[i]), computed for all i at once. `fn` is a pure function
 * of nested structures of tensors that can be traced; it is traced at the shapes without batch axes, and its graph replayed in tfjs ops with
 * a leading batch axis. That works eagerly (on any backend), inside jit and unrolls, within and around grad, and in vmap itself, and
 * is differentiable to any order, also by tensors and variables that `fn` captures.
 *
 * @param axes the batch axis of each argument: one for all (default 0), null for what is shared by the whole batch, or a structure of
 *   these matching the arguments (an array with one entry per argument when there are several)
 * @param outAxes where the batch axis goes in each result: one for all (default 0), or a structure matching the result; null for results
 *   that do not depend on the batch, which are then returned without it
 *
 * Traces are kept per signature (32 of them), so host values that `fn` reads are frozen as in jit; a function that captures tensors is traced
 * at every call, which passing them as arguments with axis null avoids.
 *
 * Throws OptionError for axes that do not match or do not exist, or null everywhere; ShapeError for batch sizes that differ; TraceError for
 * random draws inside `fn`, and what tracing throws.
 *
 * @example
 * const perExample = vmap(grad(loss), [null, 0]);
 * const gradients = perExample(weights, xs); // [batch, ...weights]
 */
export function vmap<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  axes: AxisTree = 0,
  outAxes: AxisTree = 0,
): MappedFunction<A, R> {
  if (typeof fn !== 'function') throw new OptionError('vmap: fn is not a function');
  const name = fn.name ? `vmap of ${fn.name}` : 'the mapped function';
  const kept = new LruCache<string, Traced>(CAPACITY);
  /** Signatures that have been traced twice, to find leaks. */
  const checked = new LruCache<string, true>(CAPACITY);

  const mapped = (...args: unknown[]): unknown => {
    const options = { name, staticArgs: NO_STATIC, shapes: [] };
    const { leaves } = readArguments(args, options);
    const layout = layoutOf(args, options);
    const perArgument = axesPerArgument(axes, args, name);
    const leafAxes = args.flatMap((arg, i) =>
      axesOfLeaves(
        perArgument[i],
        arg,
        isArgumentLeaf,
        (path) => leafName(path ? `${i}.${path}` : `${i}`, name),
        `${name}: axes`,
      ),
    );
    const named = layout.leaves.map(({ path }) => leafName(path, name));
    const batchAxes = layout.leaves.map(({ shape }, i) => {
      const axis = leafAxes[i];
      return axis === null ? null : checkAxis(axis, shape.length, named[i]);
    });
    const batched = layout.leaves.flatMap(({ shape }, i) => {
      const axis = batchAxes[i];
      return axis === null ? [] : [{ name: named[i], axis, shape }];
    });
    if (batched.length === 0) {
      throw new OptionError(
        `${name}: no argument has a batch axis; at least one leaf needs an axis that is not null`,
      );
    }
    const copies = batchSize(batched);
    const types = layout.leaves.map(({ shape, dtype }, i): OperandType => {
      const axis = batchAxes[i];
      return { dtype, shape: axis === null ? shape : [...shape.slice(0, axis), ...shape.slice(axis + 1)] };
    });
    const key = JSON.stringify([args.map(skeleton), types.map(({ shape, dtype }) => [dtype, shape])]);
    const derivative = engineAccess().isTapeOn();
    let traced = kept.get(key);
    if (!traced || (derivative && !traced.fn.pullback)) {
      const repeat = checked.get(key) === undefined;
      traced = traceFunction(fn as unknown as Fn, layout, types, { name, repeat, derivative });
      checked.set(key, true);
      if (traced.captures.length === 0) kept.set(key, traced);
    }
    return run(
      traced,
      leaves.map((leaf, i) => tensorOf(leaf, layout.leaves[i], name)),
      batchAxes,
      copies,
    );
  };

  const run = (
    traced: Traced,
    tensors: readonly tf.Tensor[],
    batchAxes: readonly (number | null)[],
    copies: number,
  ) => {
    const { fn: graph, structure, captures } = traced;
    const operands = [
      ...tensors.map((tensor, i) => {
        const axis = batchAxes[i];
        return { tensor: axis === null ? tensor : moveAxis(tensor, axis, 0), varying: axis !== null };
      }),
      ...captures.map((tensor) => ({ tensor, varying: false })),
    ];
    const outputAxes = axesOfLeaves(
      outAxes,
      structure.rebuild(structure.leaves.map(() => 0)),
      (x) => typeof x === 'number',
      (path) => (path ? `the result of ${name} at "${path}"` : `the result of ${name}`),
      `${name}: outAxes`,
    );
    const varying = varyingNodes(
      graph,
      operands.map((operand) => operand.varying),
    );
    const outputs = copies === 0 ? noCopies(graph) : applyToCopies(graph, operands, copies);
    return structure.rebuild(
      outputs.map((output, i) => {
        const axis = outputAxes[i];
        const path = structure.paths[i];
        const at = path ? `the result of ${name} at "${path}"` : `the result of ${name}`;
        if (axis !== null) return moveAxis(output, 0, checkAxis(axis, output.rank, at));
        if (varying[graph.graph.outputs[i].node]) {
          throw new OptionError(`${at} differs between members of the batch: its outAxes must not be null`);
        }
        return withoutBatch(output, output.shape.slice(1), copies, at);
      }),
    );
  };

  return ((...args: unknown[]) => tf.tidy(() => mapped(...args) as tf.TensorContainer)) as MappedFunction<
    A,
    R
  >;
}

/** The first of copies that are all the same. */
function withoutBatch(output: tf.Tensor, shape: Shape, copies: number, at: string): tf.Tensor {
  if (copies === 0) throw new OptionError(`${at}: outAxes must not be null for an empty batch`);
  const rows = tf.reshape(output, [copies, output.size / copies]);
  return tf.reshape(tf.slice(rows, [0, 0], [1, output.size / copies]), [...shape]);
}
