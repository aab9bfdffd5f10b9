/** Running a whole graph as tfjs ops, at once, on the backend that is active or in the trace that runs. */
import * as tf from '@tensorflow/tfjs';
import type { Graph, GraphNode } from '../graph/graph.js';
import { activeTrace } from '../trace/active.js';
import type { OpContext, Operand } from './operand.js';
import { evaluateOp, rangeFinder } from './ops.js';

/** A value for all particles: [...shape], or [particles, ...shape] when varying. */
export type ReplayValue = Pick<Operand, 'tensor' | 'varying'>;

/** The name by which ops know where they run: they differ at the edges (NaN, infinities). */
export function replayBackend(): string {
  return activeTrace() ? 'trace' : tf.getBackend();
}

/** Per node, the nodes that nobody reads after it; only what outputs need, in `order`. */
function liveness(graph: Graph): {
  readonly order: readonly GraphNode[];
  readonly release: readonly number[][];
} {
  const needed = new Uint8Array(graph.nodes.length);
  const isOutput = new Set(graph.outputs.map(({ node }) => node));
  for (const id of isOutput) needed[id] = 1;
  for (let id = graph.nodes.length - 1; id >= 0; id--)
    if (needed[id]) for (const input of graph.nodes[id].inputs) needed[input] = 1;
  const release = graph.nodes.map((): number[] => []);
  const seen = new Set<number>();
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    if (!needed[id]) continue;
    for (const input of graph.nodes[id].inputs) {
      if (seen.has(input) || isOutput.has(input)) continue;
      seen.add(input);
      release[id].push(input);
    }
  }
  return { order: graph.nodes.filter(({ id }) => needed[id] === 1), release };
}

/**
 * The outputs of a graph for `particles` copies of it, in the order of `graph.outputs`: new tensors, the rest freed. Each is varying when an
 * input that it depends on is. `source` gives the values of inputs and draws; they stay the caller's.
 *
 * Throws UnsupportedOpError for an op that has no tfjs form.
 */
export function replayGraph(
  graph: Graph,
  source: (node: GraphNode) => ReplayValue,
  particles: number,
): ReplayValue[] {
  const context: OpContext = { particles, backend: replayBackend(), range: rangeFinder(graph) };
  // A trace's tensors cost nothing, and its tape may still need them.
  const frees = context.backend !== 'trace';
  const { order, release } = liveness(graph);
  const varying = new Map<number, boolean>();
  const outputs = tf.tidy(() => {
    const values = new Map<number, Operand>();
    const given = new Set<number>();
    for (const node of order) {
      const { id, op } = node;
      if (op.name === 'input' || op.name === 'random') {
        values.set(id, { node, ...source(node) });
        given.add(id);
      } else {
        const operands = node.inputs.map((input) => values.get(input) as Operand);
        const tensor = tf.tidy(() => evaluateOp(node, operands, context));
        values.set(id, { node, tensor, varying: operands.some((x) => x.varying) });
      }
      if (!frees) continue;
      for (const gone of release[id]) {
        if (!given.has(gone)) values.get(gone)?.tensor.dispose();
        values.delete(gone);
      }
    }
    return graph.outputs.map(({ node }) => {
      const value = values.get(node) as Operand;
      varying.set(node, value.varying);
      return value.tensor.clone();
    });
  });
  return graph.outputs.map(({ node }, i) => ({ tensor: outputs[i], varying: varying.get(node) === true }));
}
