/**
 * From nodes to units, each of which becomes one instruction (or a short fixed run of them): elementwise nodes are fused into groups,
 * and a product that feeds a group is fused with it.
 */
import { type Graph, sizeOf } from '../../graph/graph.js';
import { isElementwiseOp } from '../../graph/passes/rewrite.js';
import { groupProgram } from './elementwise.js';
import { isWhole, operandKey, type Value } from './values.js';

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
  inputsOf(unit: Unit): ReadonlySet<Unit>;
  /** Whether `unit` is, or transitively reads, `other`. */
  dependsOn(unit: Unit, other: Unit): boolean;
}

export interface UnitOptions {
  /** Whether products that are the same for all particles are fused with what reads them, too. Default false. */
  readonly fuseUniformProducts?: boolean;
}

/** Limits of an ELEMENTWISE instruction, less what joining two groups may add. */
const MAX_MEMBERS = 56;
const MAX_INPUTS = 14;
const MAX_OUTPUTS = 8;
/** Registers of an instruction: one for each input and each result of a micro-op. */
const MAX_REGISTERS = 64;
/** Groups of at most this many elements are joined side by side even when nothing connects them: they cost dispatch, not arithmetic. */
const SMALL = 64;
/** How many of the latest such groups are tried. */
const SIDE_BY_SIDE = 4;

const LEAVES: ReadonlySet<string> = new Set(['input', 'constant', 'iota']);

/** A unit while it grows. */
interface Growing extends Unit {
  readonly inputs: Set<Growing>;
  readonly readers: Set<Growing>;
  /** Largest node of the unit and of all that it transitively reads: it cannot read a unit with a larger one. */
  reach: number;
  /** Operands from outside: how they are read, and the node that they are views of. */
  readonly operands: Map<string, number>;
}

/** Fuses the nodes that the outputs need. `levels` and `uniform` are given per node. Cost: about linear in the nodes of usual graphs. */
export function buildUnits(
  graph: Graph,
  values: readonly Value[],
  levels: readonly Level[],
  uniform: readonly boolean[],
  { fuseUniformProducts = false }: UnitOptions = {},
): UnitGraph {
  const { nodes } = graph;
  const needed = neededNodes(graph);
  const outputNodes = new Set(graph.outputs.map((o) => values[o.node].base));
  const unitOf: (Growing | undefined)[] = new Array(nodes.length).fill(undefined);
  /** Nodes with a unit that read each base. */
  const readersOf: number[][] = nodes.map(() => []);
  const units = new Set<Growing>();
  /** Groups of few elements by shape, in order of their making. */
  const smallGroups = new Map<string, Growing[]>();
  let nextId = 0;

  const viewKeys: (string | undefined)[] = [];
  /** Equal keys: the same memory read in the same way. */
  const viewKey = (x: number): string => {
    viewKeys[x] ??= operandKey(values[x], nodes[x]);
    return viewKeys[x];
  };
  const make = (kind: Unit['kind'], node: number): Growing => {
    const unit: Growing = {
      id: nextId++,
      kind,
      nodes: [node],
      product: undefined,
      level: levels[node],
      uniform: uniform[node],
      inputs: new Set(),
      readers: new Set(),
      reach: node,
      operands: new Map(),
    };
    units.add(unit);
    unitOf[node] = unit;
    if (kind === 'group' && sizeOf(nodes[node].shape) <= SMALL) {
      const key = nodes[node].shape.join();
      const list = smallGroups.get(key);
      if (list) list.push(unit);
      else smallGroups.set(key, [unit]);
    }
    return unit;
  };
  const readsOf = (node: number): number[] => nodes[node].inputs.map((x) => values[x].base);
  const dependsOn = (unit: Growing, other: Growing): boolean => {
    const last = other.nodes[other.nodes.length - 1];
    return reaches(
      unit,
      other,
      (u) => u.inputs,
      (u) => u.reach >= last,
    );
  };
  /** The node's operands and the edges that they make. `node` is the largest so far, hence the reach of all that reads its unit. */
  const connect = (node: number, unit: Growing) => {
    for (const x of nodes[node].inputs) {
      const { base } = values[x];
      const source = unitOf[base];
      if (source !== unit) unit.operands.set(viewKey(x), base);
      if (source && source !== unit) {
        unit.inputs.add(source);
        source.readers.add(unit);
      }
    }
    raise(unit, node);
  };
  const raise = (unit: Growing, reach: number) => {
    const stack = [unit];
    for (let top = stack.pop(); top; top = stack.pop()) {
      if (top.reach >= reach && top !== unit) continue;
      top.reach = Math.max(top.reach, reach);
      for (const reader of top.readers) if (reader.reach < reach) stack.push(reader);
    }
  };
  /** Operands of the two units together. */
  const joinedOperands = (a: Growing, b: Growing): number => {
    let count = 0;
    for (const base of a.operands.values()) if (unitOf[base] !== b) count++;
    for (const [key, base] of b.operands) if (unitOf[base] !== a && !a.operands.has(key)) count++;
    return count;
  };
  const operandsWith = (group: Growing, node: number): number => {
    let count = group.operands.size;
    const seen: string[] = [];
    for (const x of nodes[node].inputs) {
      const key = viewKey(x);
      if (unitOf[values[x].base] === group || group.operands.has(key) || seen.includes(key)) continue;
      seen.push(key);
      count++;
    }
    return count;
  };
  const sameShape = (a: number, b: number) =>
    nodes[a].shape.length === nodes[b].shape.length &&
    nodes[a].shape.every((d, i) => d === nodes[b].shape[i]);

  /** Whether node may become a member of the group: it must not read the group through a view, nor through other units. */
  const canJoin = (node: number, group: Growing): boolean => {
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
    return operandsWith(group, node) <= MAX_INPUTS;
  };
  const merge = (into: Growing, from: Growing) => {
    into.nodes = [...into.nodes, ...from.nodes].sort((a, b) => a - b);
    for (const node of from.nodes) unitOf[node] = into;
    for (const source of from.inputs) {
      source.readers.delete(from);
      if (source !== into) {
        source.readers.add(into);
        into.inputs.add(source);
      }
    }
    for (const reader of from.readers) {
      reader.inputs.delete(from);
      if (reader !== into) {
        reader.inputs.add(into);
        into.readers.add(reader);
      }
    }
    into.inputs.delete(from);
    into.readers.delete(from);
    for (const [key, base] of from.operands) into.operands.set(key, base);
    for (const [key, base] of into.operands) if (unitOf[base] === into) into.operands.delete(key);
    // The readers of `from` now read all of `into`.
    raise(into, Math.max(into.reach, from.reach));
    remove(from);
  };
  const remove = (unit: Growing) => {
    units.delete(unit);
    const list = smallGroups.get(nodes[unit.nodes[0]].shape.join());
    const at = list?.indexOf(unit) ?? -1;
    if (at >= 0) list?.splice(at, 1);
  };

  for (const node of nodes) {
    if (!needed[node.id] || values[node.id].base !== node.id || LEAVES.has(node.op.name)) continue;
    for (const base of new Set(readsOf(node.id))) readersOf[base].push(node.id);
    if (!isElementwiseOp(node.op)) {
      connect(node.id, make('kernel', node.id));
      continue;
    }
    const producers = [...new Set(node.inputs.map((x) => unitOf[values[x].base]))].filter(
      (u): u is Growing => u !== undefined && canJoin(node.id, u),
    );
    let home = producers.sort((a, b) => b.id - a.id)[0];
    if (!home && sizeOf(node.shape) <= SMALL) {
      // The latest small group of the same shape, if nothing between needs it.
      const candidates = (smallGroups.get(node.shape.join()) ?? []).slice(-SIDE_BY_SIDE);
      home = candidates.reverse().find((u) => canJoin(node.id, u)) as Growing;
    }
    if (!home) {
      connect(node.id, make('group', node.id));
      continue;
    }
    home.nodes.push(node.id);
    unitOf[node.id] = home;
    connect(node.id, home);
    for (const other of producers) {
      if (other === home || home.nodes.length + other.nodes.length > MAX_MEMBERS) continue;
      if (joinedOperands(home, other) > MAX_INPUTS) continue;
      const readsThroughOthers = (a: Growing, b: Growing) =>
        [...a.inputs].some((u) => (u === b ? !readsWhole(a, b) : dependsOn(u, b)));
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
  for (const unit of units) reconnect(unit);
  fuseProducts();
  return {
    units: [...units],
    unitOf,
    inputsOf: (unit) => (unit as Growing).inputs,
    dependsOn: (unit, other) => reaches(unit, other, (u) => (u as Growing).inputs),
  };

  function reconnect(unit: Growing) {
    unit.inputs.clear();
    for (const m of unit.nodes)
      for (const base of readsOf(m)) {
        const source = unitOf[base];
        if (source && source !== unit) unit.inputs.add(source);
      }
  }

  function externalInputs(members: readonly number[]): number {
    const inside = new Set(members);
    const result = new Set<string>();
    for (const m of members)
      for (const x of nodes[m].inputs) if (!inside.has(values[x].base)) result.add(viewKey(x));
    return result.size;
  }

  /**
   * A member that reads one value only, which is kept anyway, and that only one later group reads, is computed there: instead of writing
   * it and reading it back, the later group reads what it is made from (the mask of a ReLU from the activations, for instance).
   */
  function sinkUnaries() {
    const unitsThatRead = (n: number) => new Set(readersOf[n].map((m) => unitOf[m] as Growing));
    for (const unit of [...units].reverse()) {
      if (unit.kind !== 'group') continue;
      for (const n of [...unit.nodes].reverse()) {
        if (outputNodes.has(n) || unit.nodes.length === 1) continue;
        const sources = new Set(readsOf(n));
        if (sources.size !== 1) continue;
        const readers = unitsThatRead(n);
        if (readers.size !== 1) continue;
        const [reader] = readers;
        const [source] = sources;
        if (reader === unit || reader.kind !== 'group' || reader.level !== unit.level) continue;
        if (reader.uniform !== unit.uniform || !sameShape(n, reader.nodes[0]) || !readsWhole(reader, unit))
          continue;
        const kept =
          unitOf[source] !== unit ||
          outputNodes.has(source) ||
          [...unitsThatRead(source)].some((u) => u !== unit);
        if (!kept || reader.nodes.length >= MAX_MEMBERS || externalInputs([n, ...reader.nodes]) > MAX_INPUTS)
          continue;
        unit.nodes = unit.nodes.filter((m) => m !== n);
        reader.nodes = [n, ...reader.nodes].sort((a, b) => a - b);
        unitOf[n] = reader;
      }
    }
  }

  /** A group with too many operands, results or registers is cut in two along its topological order, which can create no cycle. */
  function splitWideGroups() {
    const queue = [...units];
    for (const unit of queue) {
      if (unit.kind !== 'group') continue;
      while (
        unit.nodes.length > 1 &&
        (groupOutputs(unit).length > MAX_OUTPUTS ||
          externalInputs(unit.nodes) > MAX_INPUTS ||
          registersOf(unit) > MAX_REGISTERS)
      ) {
        const half = unit.nodes.length >> 1;
        const tail = unit.nodes.splice(half);
        const rest = make('group', tail[0]);
        rest.nodes = tail;
        for (const node of tail) unitOf[node] = rest;
        queue.push(rest);
      }
    }
  }

  function registersOf(unit: Unit): number {
    const members = unit.nodes;
    const most = externalInputs(members) + members.length;
    if (most <= MAX_REGISTERS) return most;
    // Products that are fused with sums take none.
    return groupProgram(graph, values, members, undefined, groupOutputs(unit)).registers;
  }

  function groupOutputs(unit: Unit): number[] {
    return unit.nodes.filter((n) => outputNodes.has(n) || readersOf[n].some((m) => unitOf[m] !== unit));
  }

  /** An unbatched product runs inside the first group that reads it whole, when nothing else of that group waits for it. */
  function fuseProducts() {
    for (const unit of [...units]) {
      const m = unit.nodes[0];
      const node = nodes[m];
      if (unit.kind !== 'kernel' || node.op.name !== 'matMul') continue;
      if (unit.uniform && !fuseUniformProducts) continue;
      if (node.shape.length < 2 || sizeOf(node.shape.slice(0, -2)) !== 1 || sizeOf(node.shape) === 0)
        continue;
      const readers = new Set(readersOf[m].map((n) => unitOf[n] as Growing));
      for (const group of [...readers].sort((a, b) => a.id - b.id)) {
        if (group.kind !== 'group' || group.product !== undefined || group.level !== unit.level) continue;
        if (group.uniform !== unit.uniform || !sameShape(group.nodes[0], m) || !readsWhole(group, unit))
          continue;
        const leaves = outputNodes.has(m) || readersOf[m].some((n) => unitOf[n] !== group);
        if (leaves && groupOutputs(group).length === MAX_OUTPUTS) continue;
        if ([...group.inputs].some((u) => u !== unit && reaches(u, unit, (v) => v.inputs))) continue;
        group.product = m;
        group.nodes = [m, ...group.nodes];
        unitOf[m] = group;
        units.delete(unit);
        for (const n of readersOf[m]) (unitOf[n] as Growing).inputs.add(group);
        for (const reader of readers) reader.inputs.delete(unit);
        reconnect(group);
        break;
      }
    }
  }
}

/** Whether `to` is `from`, or one of those that `from` comes after; `visit` may leave out units that cannot lead there. */
export function reaches<T>(
  from: T,
  to: T,
  predecessors: (unit: T) => Iterable<T>,
  visit: (unit: T) => boolean = () => true,
): boolean {
  if (from === to) return true;
  const seen = new Set<T>([from]);
  const stack = [from];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    for (const next of predecessors(top)) {
      if (next === to) return true;
      if (seen.has(next) || !visit(next)) continue;
      seen.add(next);
      stack.push(next);
    }
  }
  return false;
}

/** Per node, whether an output needs it. */
function neededNodes(graph: Graph): boolean[] {
  const needed = new Array<boolean>(graph.nodes.length).fill(false);
  for (const { node } of graph.outputs) needed[node] = true;
  for (let id = graph.nodes.length - 1; id >= 0; id--)
    if (needed[id]) for (const input of graph.nodes[id].inputs) needed[input] = true;
  return needed;
}
