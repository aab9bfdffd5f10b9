/** Tracing: a function of tensors becomes a graph. */
import * as tf from '@tensorflow/tfjs';
import { OptionError, TraceError } from '../errors.js';
import type { DType, Graph, GraphNode, GraphOutput, InputRole, Shape } from '../graph/graph.js';
import { formatFloat, printNode } from '../graph/print.js';
import { type Rng, tracedRng } from './rng.js';
import { withTrace } from './session.js';
import { type FlatTree, flatten } from './structure.js';

/** One input tensor of a traced function. */
export interface TraceInput {
  readonly role: InputRole;
  readonly path: string;
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface TraceOptions {
  /** The function's input tensors, in the order in which it is given them. */
  readonly inputs: readonly TraceInput[];
  /** What the function is called in errors. Default 'the traced function'. */
  readonly name?: string;
  /**
   * What a tf.Variable captured from outside becomes: a constant (its value now, the default), or an input of role 'value' after the others,
   * with path `captured.<n>.<name>`; `Traced.variables` lists them.
   */
  readonly variables?: 'constant' | 'input';
  /**
   * What any tensor captured from outside becomes: a constant (the default), or an input of role 'value' after the others, with path
   * `captured.<n>`; `Traced.captures` lists them. With 'input', tensors of a trace around this one may be captured too.
   */
  readonly captures?: 'constant' | 'input';
  /** Default true: `fn` is called a second time, to find host values that leak in. */
  readonly repeat?: boolean;
}

/** A tensor, or a host number or boolean that becomes a constant (float32 or bool scalar). */
export type TraceLeaf = tf.Tensor | number | boolean;

export interface Traced {
  /** Inputs that the function does not read are in it too. Output paths are those of `structure`; a bare tensor's is 'value'. */
  readonly graph: Graph;
  /** The shape of what the function returned; leaves are node ids of `graph`, in the order of its outputs. */
  readonly structure: FlatTree<number>;
  /** The captured variables that became inputs, in the order of their numbers. */
  readonly variables: readonly tf.Variable[];
  /** The captured tensors that became inputs, in the order of their numbers. */
  readonly captures: readonly tf.Tensor[];
}

/** Whether a traced function may return `x` as a leaf. */
export function isTraceLeaf(x: unknown): x is TraceLeaf {
  return x instanceof tf.Tensor || typeof x === 'number' || typeof x === 'boolean';
}

function isThenable(x: unknown): x is PromiseLike<unknown> {
  return typeof x === 'object' && x !== null && typeof (x as { then?: unknown }).then === 'function';
}

function record(fn: (inputs: tf.Tensor[], rng: Rng) => unknown, options: TraceOptions, name: string): Traced {
  return withTrace((recorder) => {
    const { emitter } = recorder;
    const inputs = options.inputs.map(({ role, path, shape, dtype }) =>
      recorder.tensor(emitter.builder.input(role, path, shape, dtype)),
    );
    recorder.rng = tracedRng(recorder);
    if (options.variables === 'input') recorder.variables = [];
    if (options.captures === 'input') recorder.captures = [];
    const result = fn(inputs, recorder.rng);
    if (isThenable(result)) {
      // Its rejection, if any, is a consequence of the error thrown here.
      Promise.resolve(result).catch(() => {});
      throw (
        recorder.pendingError ??
        new TraceError(name, `${name} returned a promise; a traced function must be synchronous`)
      );
    }
    if (recorder.pendingError) throw recorder.pendingError;
    const flat = flatten(result, isTraceLeaf, `the result of ${name}`);
    const nodes = flat.leaves.map((leaf, i) => {
      if (typeof leaf === 'number') return emitter.scalar(leaf, 'float32');
      if (typeof leaf === 'boolean') return emitter.scalar(leaf ? 1 : 0, 'bool');
      if (leaf.isDisposed) {
        throw new TraceError(
          name,
          `the tensor "${flat.paths[i]}" in the result of ${name} has been disposed`,
        );
      }
      return recorder.node(leaf);
    });
    const outputs: GraphOutput[] = flat.paths.map((path, i) => ({ path: path || 'value', node: nodes[i]! }));
    const structure = { paths: flat.paths, leaves: nodes, rebuild: flat.rebuild };
    return {
      graph: emitter.builder.build(outputs),
      structure,
      variables: recorder.variables ?? [],
      captures: recorder.captures ?? [],
    };
  });
}

function sameConstants(a: GraphNode, b: GraphNode): boolean {
  if (a.op.name !== 'constant' || b.op.name !== 'constant') return true;
  const { values } = b.op;
  return a.op.values.every((v, i) => Object.is(v, values[i]));
}

/** A node's line with the values of a constant left out. */
function outline(node: GraphNode | undefined): string {
  if (!node) return 'nothing';
  return node.op.name === 'constant'
    ? printNode(node).replace(/ \{.*\}/, '')
    : `${printNode(node)} ${JSON.stringify(node.op)}`;
}

/** Throws TraceError unless both traces recorded the same graph. */
function checkSame(first: Traced, second: Traced, name: string): void {
  const a = first.graph.nodes;
  const b = second.graph.nodes;
  const advice =
    'a host value (a clock, a counter, an iterator, a changing variable) leaked into the trace, which would freeze it; pass it as data or state, or draw it with rng';
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i], b[i]];
    if (!x || !y || outline(x) !== outline(y)) {
      const lines = [x, y].map((node) => (node ? printNode(node) : 'nothing'));
      throw new TraceError(
        name,
        `two traces of ${name} differ, first at node %${i} ("${lines[0]}" and "${lines[1]}"): ${advice}`,
      );
    }
    if (x.op.name === 'constant' && y.op.name === 'constant' && !sameConstants(x, y)) {
      const { values } = y.op;
      const at = x.op.values.findIndex((v, j) => !Object.is(v, values[j]));
      const [was, is] = [formatFloat(x.op.values[at]!), formatFloat(values[at]!)];
      throw new TraceError(
        name,
        `two traces of ${name} differ in the constant %${i} of shape [${x.shape.join(',')}] (element ${at}: ${was}, then ${is}): ${advice}`,
      );
    }
  }
  const outputs = [first, second].map(({ graph }) => JSON.stringify(graph.outputs));
  if (outputs[0] !== outputs[1] || first.variables.some((variable, i) => variable !== second.variables[i]))
    throw new TraceError(name, `two traces of ${name} differ in their outputs: ${advice}`);
}

/** Lets the millisecond clock move on, so that a clock read by both traces shows two values. At most 2 ms. */
function awaitClockTick(): void {
  const now = Date.now();
  const deadline = process.hrtime.bigint() + 2_000_000n;
  while (Date.now() === now && process.hrtime.bigint() < deadline);
}

/**
 * Traces `fn` into a graph of core ops. No value is computed: `fn` is called twice, with tensors that stand for
 * `options.inputs`, and may use every traceable tfjs op, `tf.grads` and its relatives (second derivatives too), tensors and
 * variables from outside (their values become constants), and the `rng` it is given. The active tfjs backend, open tapes and
 * scopes, `Math.random` and `tf.memory()` are afterwards what they were, also when `fn` throws.
 *
 * @param fn returns a tensor, or plain objects and arrays of tensors and numbers
 * @throws TraceError on a value read, hidden randomness, a dynamic shape, an assignment to a variable, an async `fn`, or when the
 *   two traces differ
 * @throws UnsupportedOpError on an op that has no traceable form
 * @throws ShapeError, OptionError on inputs or a result that make no graph
 */
export function trace(fn: (inputs: tf.Tensor[], rng: Rng) => unknown, options: TraceOptions): Traced {
  const name = options.name ?? 'the traced function';
  if (typeof fn !== 'function') throw new OptionError(`${name} is not a function`);
  const first = record(fn, options, name);
  if (options.repeat === false) return first;
  awaitClockTick();
  checkSame(first, record(fn, options, name), name);
  return first;
}
