/**
 * Where the memory of a planned graph lies: fixed places (theta, t, state, data, constants) and arena buffers with their lifetimes.
 */
import { type Graph, type GraphNode, sizeOf } from '../../graph/graph.js';
import type { BufferRequest } from './arena.js';
import type { ConstantPool } from './constants.js';
import type { Memory } from './emit-unit.js';
import type { Place } from './instructions.js';
import { needsCopy } from './operands.js';
import { isWholeUnder } from './overwrites.js';
import type { Item, Schedule } from './schedule.js';
import type { Level, Unit, UnitGraph } from './units.js';
import type { Value } from './values.js';
import { Space, type SpaceCode } from './words.js';

/** Fixed places that both graphs of an unroll share. */
export interface FixedPlaces {
  readonly theta: ReadonlyMap<string, number>;
  readonly state: ReadonlyMap<string, number>;
  /** First row of each state leaf, in the order of the spec. */
  readonly stateRows: readonly number[];
  readonly data: ReadonlyMap<string, number>;
  /** Rows of the state that a reverse program's step began with. */
  readonly primal: ReadonlyMap<string, number>;
  readonly tRow: number;
  readonly particleRow: number;
  readonly constants: ConstantPool;
}

/** A graph with everything that emitting its instructions needs. */
export interface PlannedGraph {
  readonly graph: Graph;
  readonly values: readonly Value[];
  readonly uniform: readonly boolean[];
  readonly unitGraph: UnitGraph;
  readonly schedule: Schedule;
  /** Members of a group whose values are needed outside it. */
  outputsOf(unit: Unit): readonly number[];
}

export interface ArenaRequests {
  readonly varying: BufferRequest[];
  readonly uniform: BufferRequest[];
}

export const LEVELS: readonly Level[] = ['call', 'tile', 'step', 'init'];

/** Places of base nodes, saved copies and contiguous copies of operands; offsets are known once the arenas are placed. */
export class GraphLayout implements Memory {
  readonly #buffers = new Map<string, { space: SpaceCode; request: BufferRequest; delta: number }>();

  constructor(
    readonly planned: PlannedGraph,
    private readonly fixed: FixedPlaces,
    timeline: { start: number },
    arenas: ArenaRequests,
  ) {
    this.#requestAll(timeline, arenas);
  }

  get graph(): Graph {
    return this.planned.graph;
  }

  get values(): readonly Value[] {
    return this.planned.values;
  }

  outputsOf(unit: Unit): readonly number[] {
    return this.planned.outputsOf(unit);
  }

  /** Memory of a base node. */
  place(base: number): Place {
    const { graph, schedule } = this.planned;
    const leaf = schedule.inPlace.get(base);
    if (leaf !== undefined) return { space: Space.state, offset: this.fixed.stateRows[leaf] };
    return this.#fixedPlace(graph.nodes[base]) ?? this.#arena(`node ${base}`);
  }

  saved(node: number): Place {
    return this.#arena(`saved ${node}`);
  }

  /** The contiguous copy made for input `input` of a kernel, or null when its strides can be walked as they are. */
  copied(node: number, input: number): Place | null {
    return this.#buffers.has(`copy ${node} ${input}`) ? this.#arena(`copy ${node} ${input}`) : null;
  }

  #arena(key: string): Place {
    const found = this.#buffers.get(key);
    if (!found) throw new Error(`no memory was planned for ${key}`);
    return { space: found.space, offset: found.request.offset };
  }

  #fixedPlace(node: GraphNode): Place | null {
    const { op } = node;
    if (op.name === 'constant' || op.name === 'iota')
      return { space: Space.constant, offset: this.fixed.constants.add(node) };
    if (op.name !== 'input') return null;
    const at = (map: ReadonlyMap<string, number>, space: SpaceCode): Place => {
      const offset = map.get(op.path);
      if (offset === undefined) throw new Error(`input ${op.role} "${op.path}" is not in the spec`);
      return { space, offset };
    };
    switch (op.role) {
      case 'theta':
        return at(this.fixed.theta, Space.varying);
      case 'state':
        return at(this.fixed.state, Space.state);
      case 'primal':
        return at(this.fixed.primal, Space.primal);
      case 'data':
        return at(this.fixed.data, Space.data);
      case 't':
        return { space: Space.varying, offset: this.fixed.tRow };
      case 'particle':
        return { space: Space.varying, offset: this.fixed.particleRow };
      default:
        throw new Error(`an unroll has no input of role ${op.role}`);
    }
  }

  /** Walks the timeline once: every buffer is born at the item that writes it and dies at the last that reads it. */
  #requestAll(timeline: { start: number }, arenas: ArenaRequests) {
    const { graph, values, uniform, schedule } = this.planned;
    const { nodes } = graph;
    const levelOf = new Map<string, Level>();
    const request = (key: string, size: number, isUniform: boolean, level: Level, time: number) => {
      const buffer: BufferRequest = { size, start: time, end: time, offset: -1 };
      (isUniform ? arenas.uniform : arenas.varying).push(buffer);
      this.#buffers.set(key, { space: isUniform ? Space.uniform : Space.varying, request: buffer, delta: 0 });
      levelOf.set(key, level);
    };
    const use = (key: string, level: Level, time: number) => {
      const found = this.#buffers.get(key);
      if (!found) return;
      found.request.end =
        levelOf.get(key) === level ? Math.max(found.request.end, time) : Number.POSITIVE_INFINITY;
    };
    const lastUse = this.#lastUses();

    let time = timeline.start;
    for (const level of LEVELS) {
      for (const item of schedule.items[level]) {
        if (item.kind === 'save') {
          request(`saved ${item.node}`, sizeOf(nodes[item.node].shape), false, level, time);
        } else if (item.kind === 'commit') {
          use(
            schedule.saved.has(item.node) ? `saved ${item.node}` : `node ${values[item.node].base}`,
            level,
            time,
          );
        } else {
          const { unit } = item;
          for (const m of unit.nodes)
            for (const x of nodes[m].inputs) use(`node ${values[x].base}`, level, time);
          const written = unit.kind === 'group' ? this.planned.outputsOf(unit) : unit.nodes;
          for (const base of written) {
            if (schedule.inPlace.has(base)) continue;
            const over = unit.kind === 'group' ? this.#dyingInput(unit, base, item, lastUse) : undefined;
            if (over !== undefined) {
              const key = `node ${over}`;
              const shared = this.#buffers.get(key) as {
                space: SpaceCode;
                request: BufferRequest;
                delta: number;
              };
              this.#buffers.set(`node ${base}`, shared);
              levelOf.set(`node ${base}`, level);
            } else request(`node ${base}`, sizeOf(nodes[base].shape), uniform[base], level, time);
          }
          if (unit.kind === 'kernel') this.#requestCopies(unit, request, level, time);
        }
        time++;
      }
      // Loss and metrics are read when the step's items are done.
      if (level === 'step') {
        for (const output of graph.outputs) {
          if (output.path.startsWith('state.')) continue;
          use(
            schedule.saved.has(output.node) ? `saved ${output.node}` : `node ${values[output.node].base}`,
            level,
            time,
          );
        }
        time++;
      }
    }
    timeline.start = time;
  }

  #requestCopies(
    unit: Unit,
    request: (key: string, size: number, isUniform: boolean, level: Level, time: number) => void,
    level: Level,
    time: number,
  ) {
    const { graph, values, uniform } = this.planned;
    const node = graph.nodes[unit.nodes[0]];
    node.inputs.forEach((x, i) => {
      const { shape } = graph.nodes[x];
      if (needsCopy(node, i, shape, values[x].strides))
        request(`copy ${node.id} ${i}`, sizeOf(shape), uniform[values[x].base], level, time);
    });
  }

  /** The last item that reads each base; absent when something after the items (loss, metrics) or a later level does. */
  #lastUses(): Map<number, Item> {
    const { graph, values, schedule } = this.planned;
    const last = new Map<number, Item>();
    const level = new Map<number, Level>();
    const open = new Set<number>();
    for (const l of LEVELS)
      for (const item of schedule.items[l]) {
        const reads =
          item.kind === 'unit' ? item.unit.nodes.flatMap((m) => graph.nodes[m].inputs) : [item.node];
        for (const x of reads) {
          const { base } = values[x];
          last.set(base, item);
          const before = level.get(base);
          if (before !== undefined && before !== l) open.add(base);
        }
        if (item.kind === 'unit') for (const m of item.unit.nodes) level.set(m, l);
      }
    for (const output of graph.outputs)
      if (!output.path.startsWith('state.')) open.add(values[output.node].base);
    for (const base of open) last.delete(base);
    return last;
  }

  /** An arena input of the group that dies here and is read only element for element: the result may take its place. */
  #dyingInput(
    unit: Unit,
    result: number,
    item: Item,
    lastUse: ReadonlyMap<number, Item>,
  ): number | undefined {
    const { graph, values, uniform } = this.planned;
    const { nodes } = graph;
    const taken = new Set(this.planned.outputsOf(unit).map((o) => this.#buffers.get(`node ${o}`)?.request));
    for (const m of unit.nodes) {
      if (m === unit.product) continue;
      for (const x of nodes[m].inputs) {
        const { base } = values[x];
        const found = this.#buffers.get(`node ${base}`);
        if (!found || unit.nodes.includes(base) || lastUse.get(base) !== item || taken.has(found.request))
          continue;
        if (uniform[base] !== uniform[result] || found.request.size !== sizeOf(nodes[result].shape)) continue;
        const sharers = [...this.#buffers].filter(([, b]) => b.request === found.request).map(([key]) => key);
        if (sharers.some((key) => key !== `node ${base}` && !this.#isDead(key, item, lastUse))) continue;
        if (found.request.end === Number.POSITIVE_INFINITY) continue;
        const elementwise = unit.nodes.every((k) =>
          nodes[k].inputs.every(
            (y) =>
              this.#buffers.get(`node ${values[y].base}`)?.request !== found.request ||
              (k !== unit.product && isWholeUnder(graph, values, y, result)),
          ),
        );
        if (elementwise) return base;
      }
    }
    return undefined;
  }

  #isDead(key: string, item: Item, lastUse: ReadonlyMap<number, Item>): boolean {
    // Another value that once lived in this buffer: its life ended when the current holder was written over it.
    const base = Number(key.slice('node '.length));
    return key.startsWith('node ') && lastUse.has(base) && lastUse.get(base) !== item;
  }
}
