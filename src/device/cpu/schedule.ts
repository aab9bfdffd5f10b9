/**
 * The order of a graph's units, and which state leaves are written in place.
 *
 * The state lives in the tile's own memory. A leaf's new value may be written straight over the old one when every reader of the
 * old value comes before the writer; otherwise it goes to the arena and is copied at the end of the step.
 */
import { type Graph, sizeOf } from '../../graph/graph.js';
import type { LeafSpec } from '../driver.js';
import { Overwrites } from './overwrites.js';
import type { Level, Unit, UnitGraph } from './units.js';
import { isWhole, type Value } from './values.js';

/** One entry of a block: a unit, or a copy between the state and the arena. */
export type Item =
  | { readonly kind: 'unit'; readonly unit: Unit }
  /** Copies a view of the old state to the arena before anything overwrites it. */
  | { readonly kind: 'save'; readonly node: number }
  /** Copies a result (or what was saved of it) to its state leaf. */
  | { readonly kind: 'commit'; readonly node: number; readonly leaf: number };

export interface Schedule {
  readonly items: Readonly<Record<Level, readonly Item[]>>;
  /** Base nodes whose memory is state leaf `leaf`. */
  readonly inPlace: ReadonlyMap<number, number>;
  /** Nodes that are read from a saved copy when committed or reported. */
  readonly saved: ReadonlySet<number>;
}

/** Schedules the graph of a step, whose outputs `state.<path>` replace the inputs of role state. */
export function scheduleStep(
  graph: Graph,
  values: readonly Value[],
  unitGraph: UnitGraph,
  state: readonly LeafSpec[],
): Schedule {
  const { nodes } = graph;
  const { units, unitOf } = unitGraph;
  const overwrites = new Overwrites(graph, values, unitGraph, (unit) => unit.level === 'step');

  const leafNode = state.map((leaf) =>
    nodes.findIndex((n) => n.op.name === 'input' && n.op.role === 'state' && n.op.path === leaf.path),
  );
  const isStateBase = (base: number) => leafNode.includes(base);
  const inPlace = new Map<number, number>();
  const saved = new Set<number>();
  const commits: Item[] = [];

  for (const output of graph.outputs) {
    if (!output.path.startsWith('state.') && isStateBase(values[output.node].base)) saved.add(output.node);
  }
  state.forEach((leaf, index) => {
    const output = graph.outputs.find((o) => o.path === `state.${leaf.path}`);
    if (!output) throw new Error(`graph has no output state.${leaf.path}`);
    const node = output.node;
    const value = values[node];
    if (sizeOf(nodes[node].shape) === 0) return;
    if (value.base === leafNode[index] && isWhole(value, nodes[node], nodes[value.base])) return;
    if (isStateBase(value.base)) {
      saved.add(node);
      commits.push({ kind: 'commit', node, leaf: index });
      return;
    }
    if (canWriteInPlace(node, index)) inPlace.set(value.base, index);
    else commits.push({ kind: 'commit', node, leaf: index });
  });

  function canWriteInPlace(node: number, leaf: number): boolean {
    const { base } = values[node];
    const writer = unitOf[base];
    if (writer?.level !== 'step' || writer.uniform || inPlace.has(base)) return false;
    // A view of the old leaf may also be reported or committed elsewhere; those were saved first.
    return overwrites.isRelocatable(node) && overwrites.tryOverwrite(node, leafNode[leaf]);
  }

  const order = topological(units, overwrites.predecessors);
  const saves: Item[] = [...saved].map((node) => ({ kind: 'save', node }));
  const at = (level: Level): Item[] =>
    order.filter((u) => u.level === level).map((unit) => ({ kind: 'unit', unit }));
  return {
    items: { call: at('call'), tile: at('tile'), step: [...saves, ...at('step'), ...commits], init: [] },
    inPlace,
    saved,
  };
}

/**
 * Schedules an init graph: every unit at level init, then one commit for each state leaf that changes. Old state that becomes new state elsewhere
 * (in the init of a reverse program) is saved before.
 */
export function scheduleInit(
  graph: Graph,
  values: readonly Value[],
  unitGraph: UnitGraph,
  state: readonly LeafSpec[],
): Schedule {
  const { nodes } = graph;
  const saved = new Set<number>();
  const order = topological(unitGraph.units, (unit) => [...unitGraph.inputsOf(unit)]);
  const commits: Item[] = state.flatMap((leaf, index): Item[] => {
    const output = graph.outputs.find((o) => o.path === `state.${leaf.path}`);
    if (!output) throw new Error(`graph has no output state.${leaf.path}`);
    if (sizeOf(leaf.shape) === 0) return [];
    const { op } = nodes[values[output.node].base];
    if (op.name === 'input' && op.role === 'state') {
      const base = nodes[values[output.node].base];
      if (op.path === leaf.path && isWhole(values[output.node], nodes[output.node], base)) return [];
      saved.add(output.node);
    }
    return [{ kind: 'commit', node: output.node, leaf: index }];
  });
  const saves = [...saved].map((node): Item => ({ kind: 'save', node }));
  const init: Item[] = [...saves, ...order.map((unit): Item => ({ kind: 'unit', unit })), ...commits];
  return { items: { call: [], tile: [], step: [], init }, inPlace: new Map(), saved };
}

/** Depth-first along the order in which the user wrote the ops, so that a value is made near where it is used. */
export function topological(units: readonly Unit[], predecessors: (unit: Unit) => Unit[]): Unit[] {
  const done = new Set<Unit>();
  const open = new Set<Unit>();
  const order: Unit[] = [];
  const first = (u: Unit) => u.nodes[u.nodes.length - 1];
  const visit = (root: Unit) => {
    const stack: { unit: Unit; rest: Unit[] }[] = [{ unit: root, rest: sorted(predecessors(root)) }];
    open.add(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const next = top.rest.shift();
      if (next === undefined) {
        stack.pop();
        open.delete(top.unit);
        if (!done.has(top.unit)) {
          done.add(top.unit);
          order.push(top.unit);
        }
      } else if (open.has(next)) {
        throw new Error(`the planner fused nodes into a cycle (at node ${first(next)})`);
      } else if (!done.has(next)) {
        open.add(next);
        stack.push({ unit: next, rest: sorted(predecessors(next)) });
      }
    }
  };
  const sorted = (list: Unit[]) => [...new Set(list)].sort((a, b) => first(a) - first(b));
  for (const unit of [...units].sort((a, b) => first(a) - first(b))) if (!done.has(unit)) visit(unit);
  return order;
}
