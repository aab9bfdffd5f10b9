/**
 * From nodes to units, each of which becomes one instruction (or a short fixed run of them): elementwise nodes are fused into groups,
 * and a product that feeds a group is fused with it.
 */
import { type Graph, sizeOf } from '../../graph/graph.js';
import { isElementwiseOp } from '../../graph/passes/rewrite.js';
import { isWhole, type Value } from './values.js';

/** When a unit runs; see the blocks of native/engine/program.h. */
export type Level = 'call' | 'tile' | 'step' | 'init';

export interface Unit {
  readonly id: number;
  readonly kind: 'group' | 'kernel';
  /** Member nodes in topological order; one for a kernel. */
  nodes: number[];
  /** The matMul whose result is input 0 of the group. */
  product: number | undefined;
  readonly level: Level;
  readonly uniform: boolean;
}

export interface UnitGraph {
  readonly units: readonly Unit[];
  /** Unit of each base node, undefined for leaves and views. */
  readonly unitOf: readonly (Unit | undefined)[];
  /** Units whose results a unit reads. */
  inputsOf(unit: Unit): Set<Unit>;
  /** Whether `unit` is, or transitively reads, `other`. */
  dependsOn(unit: Unit, other: Unit): boolean;
}

/** Limits of an ELEMENTWISE instruction, less what joining two groups may add. */
const MAX_MEMBERS = 56;
const MAX_INPUTS = 14;
const MAX_OUTPUTS = 8;
/** Groups of at most this many elements are joined side by side even when nothing connects them: they cost dispatch, not arithmetic. */
const SMALL = 64;
/** How many of the latest such groups are tried. */
const SIDE_BY_SIDE = 4;

const LEAVES: ReadonlySet<string> = new Set(['input', 'constant', 'iota']);

/** Fuses the nodes that the outputs need. `levels` and `uniform` are given per node. */
export function buildUnits(
  graph: Graph,
  values: readonly Value[],
  levels: readonly Level[],
  uniform: readonly boolean[],
): UnitGraph {
  const { nodes } = graph;
  const needed = neededNodes(graph);
  const unitOf: (Unit | undefined)[] = new Array(nodes.length).fill(undefined);
  let units: Unit[] = [];
  let nextId = 0;

  const make = (kind: Unit['kind'], node: number): Unit => {
    const unit: Unit = {
      id: nextId++,
      kind,
      nodes: [node],
      product: undefined,
      level: levels[node],
      uniform: uniform[node],
    };
    units.push(unit);
    unitOf[node] = unit;
    return unit;
  };
  const readsOf = (node: number): number[] => nodes[node].inputs.map((x) => values[x].base);
  const inputsOf = (unit: Unit): Set<Unit> => {
    const result = new Set<Unit>();
    const read = (node: number) => {
      for (const base of readsOf(node)) {
        const source = unitOf[base];
        if (source && source !== unit) result.add(source);
      }
    };
    for (const node of unit.nodes) read(node);
    return result;
  };
  const dependsOn = (unit: Unit, other: Unit): boolean => reaches(unit, other, inputsOf);
  const externalInputs = (members: readonly number[]): Set<string> => {
    const inside = new Set(members);
    const result = new Set<string>();
    for (const m of members)
      for (const x of nodes[m].inputs) {
        const v = values[x];
        if (!inside.has(v.base))
          result.add(`${v.base}:${v.offset}:${v.strides.join(',')}:${nodes[x].shape.join(',')}`);
      }
    return result;
  };
  const sameShape = (a: number, b: number) =>
    nodes[a].shape.length === nodes[b].shape.length &&
    nodes[a].shape.every((d, i) => d === nodes[b].shape[i]);

  /** Whether node may become a member of the group: it must not read the group through a view, nor through other units. */
  const canJoin = (node: number, group: Unit): boolean => {
    if (group.kind !== 'group' || group.level !== levels[node] || group.uniform !== uniform[node])
      return false;
    if (!sameShape(node, group.nodes[0])) return false;
    if (group.nodes.length + 1 > MAX_MEMBERS) return false;
    for (const x of nodes[node].inputs) {
      const source = unitOf[values[x].base];
      if (!source) continue;
      if (source === group) {
        if (!isWhole(values[x], nodes[x], nodes[values[x].base])) return false;
      } else if (dependsOn(source, group)) return false;
    }
    return externalInputs([...group.nodes, node]).size <= MAX_INPUTS;
  };
  const merge = (into: Unit, from: Unit) => {
    into.nodes = [...into.nodes, ...from.nodes].sort((a, b) => a - b);
    for (const node of from.nodes) unitOf[node] = into;
    units = units.filter((u) => u !== from);
  };

  for (const node of nodes) {
    if (!needed.has(node.id) || values[node.id].base !== node.id || LEAVES.has(node.op.name)) continue;
    if (!isElementwiseOp(node.op)) {
      make('kernel', node.id);
      continue;
    }
    const producers = [...new Set(node.inputs.map((x) => unitOf[values[x].base]))].filter(
      (u): u is Unit => u !== undefined && canJoin(node.id, u),
    );
    let home = producers.sort((a, b) => b.id - a.id)[0];
    if (!home && sizeOf(node.shape) <= SMALL) {
      // The latest small group of the same shape, if nothing between needs it.
      const candidates = units
        .filter((u) => u.kind === 'group' && sameShape(node.id, u.nodes[0]))
        .slice(-SIDE_BY_SIDE);
      home = candidates.reverse().find((u) => canJoin(node.id, u)) as Unit;
    }
    if (!home) {
      make('group', node.id);
      continue;
    }
    home.nodes.push(node.id);
    unitOf[node.id] = home;
    for (const other of producers) {
      if (other === home || home.nodes.length + other.nodes.length > MAX_MEMBERS) continue;
      if (externalInputs([...home.nodes, ...other.nodes]).size > MAX_INPUTS) continue;
      const readsThroughOthers = (a: Unit, b: Unit) =>
        [...inputsOf(a)].some((u) => (u === b ? !readsWhole(a, b) : dependsOn(u, b)));
      if (!readsThroughOthers(home, other) && !readsThroughOthers(other, home)) merge(home, other);
    }
  }

  function readsWhole(reader: Unit, source: Unit): boolean {
    return reader.nodes.every((m) =>
      nodes[m].inputs.every((x) => {
        const v = values[x];
        return unitOf[v.base] !== source || isWhole(v, nodes[x], nodes[v.base]);
      }),
    );
  }

  sinkUnaries();
  splitWideGroups();
  fuseProducts();
  return { units, unitOf, inputsOf, dependsOn };

  /**
   * A member that reads one value only, which is kept anyway, and that only one later group reads, is computed there: instead of writing
   * it and reading it back, the later group reads what it is made from (the mask of a ReLU from the activations, for instance).
   */
  function sinkUnaries() {
    const outputNodes = new Set(graph.outputs.map((o) => values[o.node].base));
    const readersOf = new Map<number, Set<Unit>>();
    for (const unit of units)
      for (const m of unit.nodes)
        for (const base of readsOf(m)) {
          const readers = readersOf.get(base) ?? new Set<Unit>();
          readersOf.set(base, readers.add(unit));
        }
    for (const unit of [...units].reverse()) {
      if (unit.kind !== 'group') continue;
      for (const n of [...unit.nodes].reverse()) {
        const readers = [...(readersOf.get(n) ?? [])];
        const sources = new Set(readsOf(n));
        if (outputNodes.has(n) || readers.length !== 1 || sources.size !== 1 || unit.nodes.length === 1)
          continue;
        const [reader] = readers;
        const [source] = sources;
        if (reader === unit || reader.kind !== 'group' || reader.level !== unit.level) continue;
        if (reader.uniform !== unit.uniform || !sameShape(n, reader.nodes[0]) || !readsWhole(reader, unit))
          continue;
        const kept =
          unitOf[source] !== unit ||
          outputNodes.has(source) ||
          [...(readersOf.get(source) ?? [])].some((u) => u !== unit);
        if (
          !kept ||
          externalInputs([n, ...reader.nodes]).size > MAX_INPUTS ||
          reader.nodes.length >= MAX_MEMBERS
        )
          continue;
        unit.nodes = unit.nodes.filter((m) => m !== n);
        reader.nodes = [n, ...reader.nodes].sort((a, b) => a - b);
        unitOf[n] = reader;
        readersOf.get(source)?.add(reader);
      }
    }
  }

  /** A group with too many results is cut in two along its topological order, which can create no cycle. */
  function splitWideGroups() {
    const outputNodes = new Set(graph.outputs.map((o) => values[o.node].base));
    for (let i = 0; i < units.length; i++) {
      const unit = units[i];
      if (unit.kind !== 'group') continue;
      while (
        unit.nodes.length > 1 &&
        (groupOutputs(unit, outputNodes).length > MAX_OUTPUTS || externalInputs(unit.nodes).size > MAX_INPUTS)
      ) {
        const half = unit.nodes.length >> 1;
        const tail = unit.nodes.splice(half);
        const rest = make('group', tail[0]);
        rest.nodes = tail;
        for (const node of tail) unitOf[node] = rest;
      }
    }
  }

  function groupOutputs(unit: Unit, outputNodes: ReadonlySet<number>): number[] {
    return unit.nodes.filter(
      (n) =>
        outputNodes.has(n) || units.some((u) => u !== unit && u.nodes.some((m) => readsOf(m).includes(n))),
    );
  }

  /** A varying, unbatched product runs inside the first group that reads it whole, when nothing else of that group waits for it. */
  function fuseProducts() {
    for (const unit of [...units]) {
      const m = unit.nodes[0];
      const node = nodes[m];
      if (unit.kind !== 'kernel' || node.op.name !== 'matMul' || unit.uniform || !units.includes(unit))
        continue;
      if (node.shape.length < 2 || sizeOf(node.shape.slice(0, -2)) !== 1 || sizeOf(node.shape) === 0)
        continue;
      for (const group of units) {
        if (
          group.kind !== 'group' ||
          group.product !== undefined ||
          group.level !== unit.level ||
          group.uniform
        )
          continue;
        if (!sameShape(group.nodes[0], m)) continue;
        if (!inputsOf(group).has(unit) || !readsWhole(group, unit)) continue;
        if ([...inputsOf(group)].some((u) => u !== unit && dependsOn(u, unit))) continue;
        group.product = m;
        group.nodes = [m, ...group.nodes];
        unitOf[m] = group;
        units = units.filter((u) => u !== unit);
        break;
      }
    }
  }
}

/** Whether `to` is `from`, or one of those that `from` comes after. */
export function reaches(from: Unit, to: Unit, predecessors: (unit: Unit) => Iterable<Unit>): boolean {
  const seen = new Set<Unit>();
  const stack = [from];
  while (stack.length > 0) {
    const top = stack.pop() as Unit;
    if (top === to) return true;
    if (seen.has(top)) continue;
    seen.add(top);
    stack.push(...predecessors(top));
  }
  return false;
}

function neededNodes(graph: Graph): Set<number> {
  const needed = new Set<number>();
  const stack = graph.outputs.map((o) => o.node);
  while (stack.length > 0) {
    const id = stack.pop() as number;
    if (needed.has(id)) continue;
    needed.add(id);
    stack.push(...graph.nodes[id].inputs);
  }
  return needed;
}
