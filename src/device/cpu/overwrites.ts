/**
 * Writing a new value straight over an old one (state of an unroll, a donated input of a function): allowed when every reader of the old value
 * comes before the writer.
 */
import { type Graph, sizeOf } from '../../graph/graph.js';
import { reaches, type Unit, type UnitGraph } from './units.js';
import { isWhole, type Value } from './values.js';
import { isContiguous } from './views.js';

export class Overwrites {
  readonly #after = new Map<Unit, Set<Unit>>();
  readonly #readers = new Map<number, Set<Unit>>();

  /** Units for which `matters` is false run before all others, whatever they read. */
  constructor(
    private readonly graph: Graph,
    private readonly values: readonly Value[],
    private readonly unitGraph: UnitGraph,
    private readonly matters: (unit: Unit) => boolean,
  ) {}

  /** What a unit comes after: those that it reads, and the readers of what it overwrites. */
  readonly predecessors = (unit: Unit): Unit[] => [
    ...this.unitGraph.inputsOf(unit),
    ...(this.#after.get(unit) ?? []),
  ];

  /** Whether node `node` is all of its base's memory, contiguous, so that it may lie elsewhere. */
  isRelocatable(node: number): boolean {
    const { nodes } = this.graph;
    const value = this.values[node];
    const unit = this.unitGraph.unitOf[value.base];
    return (
      unit !== undefined &&
      value.offset === 0 &&
      isContiguous(nodes[node].shape, value.strides) &&
      sizeOf(nodes[node].shape) === sizeOf(nodes[value.base].shape)
    );
  }

  /**
   * Whether the relocatable `node` may be written over the memory of node `old` (-1: nothing reads that memory). If so, the order that this takes
   * is in `predecessors` from now on.
   */
  tryOverwrite(node: number, old: number): boolean {
    if (old < 0) return true;
    const { base } = this.values[node];
    const writer = this.unitGraph.unitOf[base] as Unit;
    const readers = [...this.#readersOf(old)];
    if (readers.includes(writer) && !this.#readsInStep(writer, old, base)) return false;
    const others = readers.filter((unit) => unit !== writer && this.matters(unit));
    if (others.some((reader) => reaches(reader, writer, this.predecessors))) return false;
    const edges = this.#after.get(writer) ?? new Set<Unit>();
    for (const reader of others) edges.add(reader);
    this.#after.set(writer, edges);
    return true;
  }

  /** A group may read what it overwrites, element for element; its product and other kernels may not. */
  #readsInStep(writer: Unit, old: number, result: number): boolean {
    if (writer.kind !== 'group') return false;
    const { nodes } = this.graph;
    return writer.nodes.every((m) =>
      nodes[m].inputs.every(
        (x) =>
          this.values[x].base !== old ||
          (m !== writer.product && isWholeUnder(this.graph, this.values, x, result)),
      ),
    );
  }

  #readersOf(base: number): ReadonlySet<Unit> {
    if (this.#readers.size === 0) {
      for (const unit of this.unitGraph.units)
        for (const m of unit.nodes)
          for (const x of this.graph.nodes[m].inputs) {
            const key = this.values[x].base;
            const known = this.#readers.get(key);
            if (known) known.add(unit);
            else this.#readers.set(key, new Set([unit]));
          }
    }
    return this.#readers.get(base) ?? new Set();
  }
}

/** Whether node `x` is its base's whole memory, read in the shape of `result`. */
export function isWholeUnder(graph: Graph, values: readonly Value[], x: number, result: number): boolean {
  const { nodes } = graph;
  return (
    isWhole(values[x], nodes[x], nodes[values[x].base]) &&
    nodes[x].shape.length === nodes[result].shape.length &&
    nodes[x].shape.every((d, i) => d === nodes[result].shape[i])
  );
}
