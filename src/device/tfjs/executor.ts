/** Running the nodes of a graph on tensors: in levels (once a call, once a chunk, every step), each tensor freed after its last use. */
import * as tf from '@tensorflow/tfjs';
import { type Graph, type InputRole, sizeOf } from '../../graph/graph.js';
import { analyseInvariants, type InvariantLevel } from '../../graph/passes/invariants.js';
import { analyseUniform } from '../../graph/passes/uniform.js';
import type { OpContext, Operand } from '../../replay/operand.js';
import { evaluateOp, rangeFinder } from '../../replay/ops.js';
import type { Stretch } from './stretch.js';

/** A graph with what is known about its values when inputs of some roles are the same for all particles. */
export interface Schedule {
  readonly graph: Graph;
  readonly uniform: readonly boolean[];
  /** Nodes to run, by level, in order. Only what outputs need. */
  readonly order: Readonly<Record<InvariantLevel, readonly number[]>>;
  /** Per node of level 'step': the nodes that nobody reads after it. */
  readonly release: ReadonlyMap<number, readonly number[]>;
  readonly range: OpContext['range'];
  /** Most elements per particle that are alive at once, and that one node has. */
  readonly peakElements: number;
  readonly widest: number;
}

export function scheduleGraph(graph: Graph, uniformRoles: readonly InputRole[]): Schedule {
  const uniform = analyseUniform(graph, uniformRoles);
  const levels = analyseInvariants(graph, uniform);
  const needed = new Array<boolean>(graph.nodes.length).fill(false);
  for (const { node } of graph.outputs) needed[node] = true;
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    if (needed[id]) for (const input of graph.nodes[id].inputs) needed[input] = true;
  }
  const order: Record<InvariantLevel, number[]> = { call: [], tile: [], step: [] };
  for (const { id } of graph.nodes) if (needed[id]) order[levels[id]].push(id);
  const outputs = new Set(graph.outputs.map(({ node }) => node));
  const lastUse = new Map<number, number>();
  for (const id of order.step) {
    lastUse.set(id, id);
    for (const input of graph.nodes[id].inputs) lastUse.set(input, id);
  }
  const release = new Map<number, number[]>();
  for (const [id, last] of lastUse) {
    if (levels[id] !== 'step' || outputs.has(id)) continue;
    release.set(last, [...(release.get(last) ?? []), id]);
  }
  const varyingSize = (id: number) => (uniform[id] ? 0 : sizeOf(graph.nodes[id].shape));
  let alive = order.tile.reduce((sum, id) => sum + varyingSize(id), 0);
  let peak = alive;
  for (const id of order.step) {
    alive += varyingSize(id);
    peak = Math.max(peak, alive);
    for (const gone of release.get(id) ?? []) alive -= varyingSize(gone);
  }
  return {
    graph,
    uniform,
    order,
    release,
    range: rangeFinder(graph),
    peakElements: peak,
    widest: graph.nodes.reduce((most, { id }) => Math.max(most, needed[id] ? varyingSize(id) : 0), 0),
  };
}

/** Where inputs and draws come from: a fresh tensor, with a particle axis unless the node is uniform. */
export type Source = (id: number) => tf.Tensor;

/** Tensors by node. Everything in here is kept out of tidies and freed by `dispose`. */
export class Arena {
  readonly #tensors = new Map<number, tf.Tensor>();

  get(id: number): tf.Tensor | undefined {
    return this.#tensors.get(id);
  }

  set(id: number, tensor: tf.Tensor): void {
    this.#tensors.set(id, tf.keep(tensor));
  }

  /** Frees the tensor of a node. */
  release(id: number): void {
    this.#tensors.get(id)?.dispose();
    this.#tensors.delete(id);
  }

  /** Hands over the tensor of a node. */
  take(id: number): tf.Tensor | undefined {
    const tensor = this.#tensors.get(id);
    this.#tensors.delete(id);
    return tensor;
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) tensor.dispose();
    this.#tensors.clear();
  }
}

/**
 * Runs the nodes of one level. Values go into `arena`; inputs are looked up there and in `outer`. Must be called, and ends, inside a
 * stretch; when it is long it pauses between nodes.
 */
export async function runLevel(
  schedule: Schedule,
  level: InvariantLevel,
  arena: Arena,
  outer: readonly Arena[],
  source: Source,
  base: Omit<OpContext, 'range'>,
  stretch: Stretch,
): Promise<void> {
  const context: OpContext = { ...base, range: schedule.range };
  const { nodes } = schedule.graph;
  const tensorOf = (id: number): tf.Tensor => {
    let tensor = arena.get(id);
    for (const other of outer) tensor ??= other.get(id);
    return tensor as tf.Tensor;
  };
  for (const id of schedule.order[level]) {
    if (stretch.due) await stretch.pause();
    const node = nodes[id];
    const operands: Operand[] = node.inputs.map((input) => ({
      node: nodes[input],
      tensor: tensorOf(input),
      varying: !schedule.uniform[input],
    }));
    const fromOutside = node.op.name === 'input' || node.op.name === 'random';
    arena.set(
      id,
      tf.tidy(() => (fromOutside ? source(id) : evaluateOp(node, operands, context))),
    );
    if (level === 'step') for (const gone of schedule.release.get(id) ?? []) arena.release(gone);
  }
}
