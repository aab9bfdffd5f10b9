/** The steps of a function: what is done as a whole before or after something else; each becomes one or more instructions. */
import { type Graph, sizeOf } from '../../graph/graph.js';
import { copyCost, unitCost } from './cost.js';
import { needsCopy } from './operands.js';
import type { Unit } from './units.js';
import type { Value } from './values.js';

export interface Step {
  /**
   * copies: contiguous copies of a kernel's operands. partial: a reduction in blocks. combine: of the blocks' results. unit: everything else.
   * output: a copy to an output of its own.
   */
  readonly kind: 'copies' | 'partial' | 'combine' | 'unit' | 'output';
  /** The unit, but for outputs. */
  readonly unit?: Unit;
  /** The node that an output step copies, and the number of that output. */
  readonly node?: number;
  readonly output?: number;
  /** Nodes whose memory it reads. */
  readonly reads: readonly number[];
  /** Microseconds on one core. */
  readonly cost: number;
  /** Steps that come before, by index. */
  readonly after: readonly number[];
  /** When it runs: steps of one time may run at once. Set when the stages are made. */
  time: number;
}

/** A reduction of so many elements to so few is done in blocks, whatever the threads, so that threads can share it. */
const LEAST_REDUCED = 1 << 17;
const MOST_OUTPUTS = 64;
export const REDUCE_BLOCKS = 32;

const IN_BLOCKS: ReadonlySet<string> = new Set(['all', 'any', 'max', 'min', 'prod', 'sum']);

/** Whether a unit is a reduction that is done in blocks. */
export function isBlocked(graph: Graph, unit: Unit): boolean {
  const node = graph.nodes[unit.nodes[0]];
  if (unit.kind !== 'kernel' || !IN_BLOCKS.has(node.op.name)) return false;
  return (
    sizeOf(graph.nodes[node.inputs[0]].shape) >= LEAST_REDUCED &&
    sizeOf(node.shape) <= MOST_OUTPUTS &&
    sizeOf(node.shape) > 0
  );
}

export interface OutputCopy {
  readonly node: number;
  readonly output: number;
}

/** Steps in topological order: those of the `units` (in order; those of one unit stand together), then the copies. */
export function stepsOf(
  graph: Graph,
  values: readonly Value[],
  units: readonly Unit[],
  predecessors: (unit: Unit) => readonly Unit[],
  outputsOf: (unit: Unit) => readonly number[],
  copies: readonly OutputCopy[],
): Step[] {
  const { nodes } = graph;
  const steps: Step[] = [];
  /** Last step of each unit. */
  const lastOf = new Map<Unit, number>();
  const add = (step: Omit<Step, 'time'>): number => steps.push({ ...step, time: -1 }) - 1;
  for (const unit of units) {
    const inside = new Set(unit.nodes);
    const read = new Set<number>();
    for (const m of unit.nodes)
      for (const x of nodes[m].inputs) if (!inside.has(values[x].base)) read.add(values[x].base);
    const reads = [...read];
    let after = predecessors(unit).map((u) => lastOf.get(u) as number);
    const node = nodes[unit.nodes[0]];
    if (unit.kind === 'kernel') {
      const copied = node.inputs.filter((x, i) => needsCopy(node, i, nodes[x].shape, values[x].strides));
      if (copied.length > 0) {
        const cost = copied.reduce((sum, x) => sum + copyCost(sizeOf(nodes[x].shape)), 0);
        after = [add({ kind: 'copies', unit, reads, cost, after })];
      }
    }
    const cost = unitCost(graph, unit, reads.length + outputsOf(unit).length);
    if (isBlocked(graph, unit)) {
      const partial = add({ kind: 'partial', unit, reads, cost, after });
      lastOf.set(unit, add({ kind: 'combine', unit, reads: [], cost: copyCost(0), after: [partial] }));
    } else lastOf.set(unit, add({ kind: 'unit', unit, reads, cost, after }));
  }
  const unitOf = new Map<number, Unit>();
  for (const unit of units) for (const m of unit.nodes) unitOf.set(m, unit);
  for (const { node, output } of copies) {
    const { base } = values[node];
    const source = unitOf.get(base);
    const after = source ? [lastOf.get(source) as number] : [];
    const cost = copyCost(sizeOf(nodes[node].shape));
    add({ kind: 'output', node, output, reads: [base], cost, after });
  }
  return steps;
}
