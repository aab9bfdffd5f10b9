/** The transposed program of an unroll: the vector-Jacobian products of its step and of its init, traced. */
import * as tf from '@tensorflow/tfjs';
import type { LeafSpec, ReverseSpec, UnrollSpec } from '../device/driver.js';
import { nextPath } from '../device/reverse-graph.js';
import type { Graph } from '../graph/graph.js';
import { optimize } from '../graph/passes/index.js';
import { copyNode, rewriteGraph } from '../graph/passes/rewrite.js';
import type { Rng } from '../trace/rng.js';
import { type TraceInput, trace } from '../trace/trace.js';

/** The callbacks of a definition on flat lists of tensors: theta, data, particle (and t, state leaves for `step`). */
export interface FlatCallbacks {
  init(tensors: readonly tf.Tensor[], rng: Rng): tf.Tensor[];
  step(
    tensors: readonly tf.Tensor[],
    rng: Rng,
  ): { readonly loss: tf.Tensor; readonly state: readonly tf.Tensor[] };
}

const scalarLeaf = (path: string): LeafSpec => ({ path, shape: [], dtype: 'float32' });

/** Gradients of the scalar that `f` makes; zeros towards what it does not depend on. */
function gradients(f: () => tf.Tensor, xs: readonly tf.Tensor[]): tf.Tensor[] {
  const { grads } = tf.engine().gradients(f, [...xs], undefined, true);
  return xs.map((x, i) => grads[i] ?? tf.zeros(x.shape));
}

/** sum(a * b) over all pairs and a start; a scalar. */
function inner(start: tf.Tensor, pairs: readonly (readonly [tf.Tensor, tf.Tensor])[]): tf.Tensor {
  return pairs.reduce((sum, [a, b]) => sum.add(tf.sum(tf.mul(a, b))), start);
}

/**
 * The graph with what the step made of the state read from the forward run instead: `made[i]` are the nodes, `inputs[i]` those that
 * hold the same values (they come first in the graph). What only led to them goes: a recurrent step, say, need not be computed again to
 * go back through it.
 */
function readingNext(graph: Graph, made: readonly number[], inputs: readonly number[]): Graph {
  const instead = new Map<number, number>();
  const given = (id: number) => ['input', 'constant'].includes(graph.nodes[id].op.name);
  made.forEach((node, i) => {
    // A reshape holds what it reshapes.
    for (let id = node; !given(id); id = graph.nodes[id].inputs[0]) {
      instead.set(id, inputs[i]!);
      if (graph.nodes[id].op.name !== 'reshape') break;
    }
  });
  return rewriteGraph(graph, (node, ids, builder) => {
    const input = instead.get(node.id);
    if (input === undefined) return copyNode(builder, node, ids);
    return builder.add({ name: 'reshape' }, [input], { shape: node.shape });
  });
}

/** The traced graph with its outputs named; `paths` in the order in which the function returned them. */
function named(graph: Graph, paths: readonly string[]): Graph {
  return optimize({
    nodes: graph.nodes,
    outputs: graph.outputs.map(({ node }, i) => ({ path: paths[i]!, node })),
  });
}

/**
 * Traces what goes back through one step and one init of `spec` (see ReverseSpec of device/driver.ts): the gradient of
 * lossWeight * loss + sum of cotangent . next state, towards theta and the float32 leaves of the state. What is int32 or bool carries no
 * gradient. `shared`: the inputs of theta and data that every callback begins with.
 * Throws what tracing throws; TraceError names an op that has no gradient.
 */
export function traceBackward(
  spec: UnrollSpec,
  shared: readonly TraceInput[],
  callbacks: FlatCallbacks,
): ReverseSpec {
  const floats = spec.state.flatMap(({ dtype }, i) => (dtype === 'float32' ? [i] : []));
  const leaves: LeafSpec[] = [
    ...floats.map((i) => ({ ...spec.state[i], path: `cotangent.${spec.state[i].path}` })),
    ...spec.theta.map((leaf) => ({ ...leaf, path: `gradient.${leaf.path}` })),
    scalarLeaf('lossWeight'),
  ];
  const outputs = leaves.map(({ path }) => `state.${path}`);
  const particle: TraceInput = { role: 'particle', path: 'particle', shape: [], dtype: 'int32' };
  const t: TraceInput = { role: 't', path: 't', shape: [], dtype: 'int32' };
  const own: TraceInput[] = leaves.map((leaf) => ({ role: 'state', ...leaf }));
  const primal: TraceInput[] = spec.state.map((leaf) => ({ role: 'primal', ...leaf }));
  /** Cotangents, accumulated gradients and the weight, from the inputs that follow the first `before`. */
  const split = (tensors: readonly tf.Tensor[], before: number) => {
    const rest = tensors.slice(before);
    const accumulated = rest.slice(floats.length, floats.length + spec.theta.length);
    return { cotangents: rest.slice(0, floats.length), accumulated, weight: rest[rest.length - 1]! };
  };

  const stepInputs = [...shared, particle, t, ...primal];
  // The state after the step, as the forward run has it: inputs before all others, so that any node can be replaced by them.
  const after: TraceInput[] = spec.state.map((leaf) => ({
    role: 'primal',
    ...leaf,
    path: nextPath(leaf.path),
  }));
  const step = trace(
    (all, rng) => {
      const tensors = all.slice(after.length);
      let returned: readonly tf.Tensor[] = [];
      const { cotangents, accumulated, weight } = split(tensors, stepInputs.length);
      const theta = tensors.slice(0, spec.theta.length);
      const state = tensors.slice(shared.length + 2, stepInputs.length);
      const inputs = [...theta, ...floats.map((i) => state[i]!)];
      const grads = gradients(() => {
        const { loss, state: next } = callbacks.step(tensors.slice(0, stepInputs.length), rng);
        returned = next.map((leaf) => tf.keep(leaf.clone()));
        return inner(
          tf.mul(weight, loss),
          floats.map((i, j) => [cotangents[j]!, next[i]!]),
        );
      }, inputs);
      return [
        ...grads.slice(theta.length),
        ...accumulated.map((sum, i) => sum.add(grads[i]!)),
        weight,
        tf.scalar(0),
        ...returned,
      ];
    },
    { inputs: [...after, ...stepInputs, ...own], name: 'the gradient of step' },
  );
  const known = outputs.length + 1;
  const madeBy = step.graph.outputs.slice(known).map(({ node }) => node);
  const inputs = step.graph.nodes.flatMap(({ id, op }) =>
    op.name === 'input' && op.role === 'primal' && op.path.startsWith('.') ? [id] : [],
  );
  const backward = readingNext(
    { ...step.graph, outputs: step.graph.outputs.slice(0, known) },
    madeBy,
    inputs,
  );
  const initInputs = [...shared, particle];
  const init = trace(
    (tensors, rng) => {
      const { cotangents, accumulated, weight } = split(tensors, initInputs.length);
      const theta = tensors.slice(0, spec.theta.length);
      const grads = gradients(() => {
        const made = callbacks.init(tensors.slice(0, initInputs.length), rng);
        return inner(
          tf.scalar(0),
          floats.map((i, j) => [cotangents[j]!, made[i]!]),
        );
      }, theta);
      return [
        ...cotangents.map((c) => tf.zeros(c.shape)),
        ...accumulated.map((sum, i) => sum.add(grads[i]!)),
        weight,
      ];
    },
    { inputs: [...initInputs, ...own], name: 'the gradient of init' },
  );
  return {
    backwardStep: named(backward, [...outputs, 'loss']),
    backwardInit: named(init.graph, outputs),
    state: leaves,
  };
}
