/**
 * An unroll as a native program: places fixed values, fuses and schedules both graphs, plans the arenas, and writes the words of
 * native/engine/program.h. Pure: nothing here talks to the addon. Cost: about quadratic in the number of nodes.
 */
import { type Graph, type InputRole, sizeOf } from '../../graph/graph.js';
import { analyseInvariants } from '../../graph/passes/invariants.js';
import { analyseUniform } from '../../graph/passes/uniform.js';
import type { LeafSpec, UnrollSpec } from '../driver.js';
import { placeBuffers } from './arena.js';
import { ConstantPool } from './constants.js';
import { deferredProducts } from './deferred.js';
import { Emitter } from './emit.js';
import { BlockWriter } from './instructions.js';
import { type ArenaRequests, type FixedPlaces, GraphLayout, LEVELS, type PlannedGraph } from './layout.js';
import { type Schedule, scheduleInit, scheduleStep } from './schedule.js';
import { buildUnits, type Level, type Unit } from './units.js';
import { valuesOf } from './values.js';
import { HEADER_WORDS, MAGIC, Stream, VERSION } from './words.js';

export interface CpuPlan {
  /** Program words for tiles of `lanes` particles; only the lane count differs between tile widths. */
  words(lanes: number): Int32Array;
  readonly constants: Int32Array;
  /** For the addon: (first row, elements, 1 for bool) per state leaf. */
  readonly leaves: Int32Array;
  readonly stateRows: number;
  readonly varyingRows: number;
  readonly uniformWords: number;
  readonly flopsPerStep: number;
  readonly text: string;
}

/** A tile-level value bigger than this is recomputed each step rather than kept: reading it back costs more than making it. */
const HOIST_LIMIT = 256;
const UNIFORM_ALIGN = 16;

/**
 * Plans a traced unroll. For a program that goes back through another one, `primal` are that program's state leaves (inputs of role primal), and
 * `init` may read the state, too, and sums of products over steps may be put off (only a reverse run flushes them). Throws nothing for a graph that `inferNode` accepts and whose inputs the spec names.
 */
export function planUnroll(spec: UnrollSpec, primal: readonly LeafSpec[] = []): CpuPlan {
  const uses = (role: InputRole) => [spec.init, spec.step].some((g) => usesRole(g, role));
  const thetaElements = total(spec.theta);
  let row = thetaElements;
  const tRow = uses('t') ? row++ : -1;
  const particleRow = uses('particle') ? row++ : -1;
  const stateRows = offsets(spec.state);
  const fixed: FixedPlaces = {
    theta: byPath(spec.theta),
    state: byPath(spec.state),
    stateRows,
    data: byPath(spec.data),
    primal: byPath(primal),
    tRow,
    particleRow,
    constants: new ConstantPool(),
  };

  const step = plannedStep(spec.step, spec.state);
  const init = plannedInit(spec.init, spec.state);
  const { rings, end } = primal.length > 0 ? deferredProducts(step, row) : { rings: new Map(), end: row };
  row = end;
  const arenas: ArenaRequests = { varying: [], uniform: [] };
  const timeline = { start: 0 };
  const stepLayout = new GraphLayout(step, fixed, timeline, arenas);
  const initLayout = new GraphLayout(init, fixed, timeline, arenas);
  const varyingRows = placeBuffers(arenas.varying, row, 1);
  const uniformWords = placeBuffers(arenas.uniform, 0, UNIFORM_ALIGN);

  const blocks = new Map<Level, BlockWriter>();
  for (const level of LEVELS) {
    const writer = new BlockWriter();
    const layout = level === 'init' ? initLayout : stepLayout;
    const emitter = new Emitter(layout, stateRows, level === 'init' ? Stream.init : Stream.step, rings);
    for (const item of layout.planned.schedule.items[level]) emitter.emit(item, level, writer);
    blocks.set(level, writer);
  }
  const reader = new Emitter(stepLayout, stateRows, Stream.step);
  const result = (path: string): number[] => {
    const output = spec.step.outputs.find((o) => o.path === path);
    if (!output) throw new Error(`the step graph has no output ${path}`);
    const { space, offset } = reader.operandOf(output.node);
    return [space, offset];
  };
  const loss = result('loss');
  const metrics = spec.metrics.flatMap((name) => result(`metrics.${name}`));
  const constants = fixed.constants.words();
  const horizon = Number.isFinite(spec.horizon) ? spec.horizon : 0;

  const writers = LEVELS.map((level) => blocks.get(level) as BlockWriter);
  let at = HEADER_WORDS + metrics.length;
  const table = writers.flatMap((w) => {
    const entry = [at, w.words.length];
    at += w.words.length;
    return entry;
  });
  const size = (list: readonly LeafSpec[]) => total(list);
  const header = [
    MAGIC,
    VERSION,
    0,
    varyingRows,
    uniformWords,
    constants.length,
    size(spec.data),
    size(spec.state),
    thetaElements,
    0,
    tRow,
    particleRow,
    ...loss,
    spec.metrics.length,
    horizon,
    ...table,
  ];
  const words = Int32Array.from([...header, ...metrics, ...writers.flatMap((w) => w.words)]);

  const listing = LEVELS.map(
    (level, i) => `${level}:\n${writers[i].lines.map((l) => `  ${l}`).join('\n')}`,
  ).join('\n');
  return {
    words(lanes) {
      const copy = words.slice();
      copy[2] = lanes;
      return copy;
    },
    constants,
    leaves: Int32Array.from(
      spec.state.flatMap((leaf, i) => [stateRows[i], sizeOf(leaf.shape), Number(leaf.dtype === 'bool')]),
    ),
    stateRows: size(spec.state),
    varyingRows,
    uniformWords,
    flopsPerStep: (blocks.get('step') as BlockWriter).flops,
    text: `state ${size(spec.state)} rows, varying ${varyingRows} rows, uniform ${uniformWords} words, constants ${constants.length} words\n${listing}`,
  };
}

function usesRole(graph: Graph, role: InputRole): boolean {
  return graph.nodes.some(({ op }) => op.name === 'input' && op.role === role);
}

function plannedStep(graph: Graph, state: readonly LeafSpec[]): PlannedGraph {
  const values = valuesOf(graph);
  const uniform = analyseUniform(graph);
  const invariance = analyseInvariants(graph, uniform);
  const levels = graph.nodes.map((node, id): Level => {
    const level = invariance[values[id].base];
    const big = level === 'tile' && sizeOf(node.shape) > HOIST_LIMIT;
    return big ? 'step' : level;
  });
  // A value may not be hoisted above one that it reads.
  const rank = { call: 0, tile: 1, step: 2, init: 3 };
  for (const node of graph.nodes)
    for (const x of node.inputs) {
      const needed = levels[values[x].base];
      const isLeaf =
        graph.nodes[values[x].base].inputs.length === 0 && graph.nodes[values[x].base].op.name !== 'random';
      if (!isLeaf && rank[needed] > rank[levels[node.id]]) levels[node.id] = needed;
    }
  return planned(graph, values, uniform, levels, (unitGraph) =>
    scheduleStep(graph, values, unitGraph, state),
  );
}

function plannedInit(graph: Graph, state: readonly LeafSpec[]): PlannedGraph {
  const values = valuesOf(graph);
  const uniform = analyseUniform(graph);
  const levels = graph.nodes.map((): Level => 'init');
  return planned(graph, values, uniform, levels, (unitGraph) =>
    scheduleInit(graph, values, unitGraph, state),
  );
}

function planned(
  graph: Graph,
  values: PlannedGraph['values'],
  uniform: readonly boolean[],
  levels: readonly Level[],
  schedule: (unitGraph: PlannedGraph['unitGraph']) => Schedule,
): PlannedGraph {
  const unitGraph = buildUnits(graph, values, levels, uniform);
  const needed = new Map<Unit, number[]>();
  const outside = new Set(graph.outputs.map((o) => values[o.node].base));
  for (const unit of unitGraph.units)
    for (const m of unit.nodes)
      for (const x of graph.nodes[m].inputs) {
        const { base } = values[x];
        if (unitGraph.unitOf[base] && unitGraph.unitOf[base] !== unit) outside.add(base);
      }
  const outputsOf = (unit: Unit) => {
    let list = needed.get(unit);
    if (!list) {
      list = unit.nodes.filter((n) => outside.has(n));
      needed.set(unit, list);
    }
    return list;
  };
  return { graph, values, uniform, unitGraph, schedule: schedule(unitGraph), outputsOf };
}

function total(leaves: readonly LeafSpec[]): number {
  return leaves.reduce((sum, leaf) => sum + sizeOf(leaf.shape), 0);
}

function offsets(leaves: readonly LeafSpec[]): number[] {
  let at = 0;
  return leaves.map((leaf) => {
    const offset = at;
    at += sizeOf(leaf.shape);
    return offset;
  });
}

function byPath(leaves: readonly LeafSpec[]): Map<string, number> {
  const at = offsets(leaves);
  return new Map(leaves.map((leaf, i) => [leaf.path, at[i]]));
}
