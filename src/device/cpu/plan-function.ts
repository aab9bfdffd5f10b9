/**
 * A function as a native program of stages and tasks (FUNCTIONS in native/engine/program.h): fuses its graph, writes results straight to the
 * memory of outputs and donated inputs, plans the arena, and shares the work among threads. Pure: nothing here talks to the addon.
 */
import { sizeOf } from '../../graph/graph.js';
import type { FunctionSpec } from '../driver.js';
import { cutInstruction, cutReduced, ranges } from './cut.js';
import { UnitEmitter } from './emit-unit.js';
import { FunctionMemory } from './function-memory.js';
import { arrange, type Piece, type Stage, TASK_MICROSECONDS } from './function-stages.js';
import { type OutputCopy, REDUCE_BLOCKS, type Step, stepsOf } from './function-steps.js';
import { BlockWriter, show, writeCopy } from './instructions.js';
import { Overwrites } from './overwrites.js';
import { topological } from './schedule.js';
import { buildUnits, type Level, type Unit } from './units.js';
import { valuesOf } from './values.js';
import { contiguousStrides } from './views.js';
import { FUNCTION_MAGIC, Opcode, Space, Stream, VERSION } from './words.js';

export interface CpuFunctionPlan {
  readonly words: Int32Array;
  readonly constants: Int32Array;
  /** Per output: the input that it is written over, or -1 where it has an external of its own (these follow the inputs, in order). */
  readonly writtenOver: readonly number[];
  readonly buffers: number;
  readonly arenaWords: number;
  readonly flops: number;
  readonly text: string;
}

const INT32_MAX = 2 ** 31 - 1;

/** One instruction of a step, cut into its pieces. */
interface Cut {
  readonly opcode: number;
  readonly pieces: readonly (readonly number[])[];
  readonly text: string;
}

/**
 * Plans a function for `threads` threads, which decide how it is cut but not what it computes. Throws nothing for a spec whose graph has inputs and
 * outputs of the types that it names. `granularity`: microseconds that a task should last. Cost: about linear in nodes, quadratic (with a small factor) in buffers.
 */
export function planFunction(
  spec: FunctionSpec,
  threads: number,
  granularity = TASK_MICROSECONDS,
): CpuFunctionPlan {
  const { graph, inputs } = spec;
  const { nodes } = graph;
  const values = valuesOf(graph);
  const uniform = nodes.map(() => true);
  const levels = nodes.map((): Level => 'step');
  const unitGraph = buildUnits(graph, values, levels, uniform, { fuseUniformProducts: true });
  const overwrites = new Overwrites(graph, values, unitGraph, () => true);

  // Memory of inputs and outputs.
  const inputOf = new Map(inputs.map((leaf, i) => [leaf.path, i]));
  const inputNode: number[] = inputs.map(() => -1);
  const externals = new Map<number, number>();
  for (const { id, op } of nodes) {
    if (op.name !== 'input') continue;
    const index = inputOf.get(op.path);
    if (index === undefined) throw new Error(`input "${op.path}" is not in the spec`);
    inputNode[index] = id;
    externals.set(id, index);
  }
  const outputNode = new Map(graph.outputs.map(({ path, node }) => [path, node]));
  const outputs = spec.outputs.map(({ path }) => {
    const node = outputNode.get(path);
    if (node === undefined) throw new Error(`the graph has no output ${path}`);
    return node;
  });
  const passedOn = new Set(outputs.map((node) => values[node].base));
  const writtenOver: number[] = [];
  const written = inputs.map(() => false);
  const copies: OutputCopy[] = [];
  const sizes = inputs.map((leaf) => sizeOf(leaf.shape));
  outputs.forEach((node, output) => {
    const { base } = values[node];
    const own = sizes.length;
    const direct = overwrites.isRelocatable(node) && !externals.has(base);
    const input = spec.donations?.find(([, to]) => to === output)?.[0];
    const old = input === undefined ? -1 : inputNode[input];
    if (input !== undefined && direct && !passedOn.has(old) && overwrites.tryOverwrite(node, old)) {
      externals.set(base, input);
      writtenOver.push(input);
      written[input] = true;
      return;
    }
    writtenOver.push(-1);
    sizes.push(sizeOf(nodes[node].shape));
    written.push(true);
    if (direct) externals.set(base, own);
    else copies.push({ node, output: own });
  });

  // Order, stages, memory.
  const units = topological(unitGraph.units, overwrites.predecessors);
  const outputsOf = neededOutside(graph.nodes.length, unitGraph.units, (m) =>
    nodes[m].inputs.map((x) => values[x].base),
  );
  for (const base of passedOn) outputsOf.needed[base] = true;
  const steps = stepsOf(graph, values, units, overwrites.predecessors, outputsOf.of, copies);
  const stages = arrange(steps, threads, granularity);
  const memory = new FunctionMemory(graph, values, externals, outputsOf.of, steps);
  const emitter = new UnitEmitter(memory, Stream.step);

  const tally = new BlockWriter();
  const cutSteps = new Map<Step, readonly Cut[]>();
  const cutsOf = (step: Step, parts: number): readonly Cut[] => {
    let cuts = cutSteps.get(step);
    if (!cuts) {
      cuts = cutStep(step, parts, memory, emitter, tally);
      cutSteps.set(step, cuts);
    }
    return cuts;
  };
  const tasks: { words: number[]; lines: string[] }[] = [];
  const stageTable: number[] = [];
  const listing: string[] = [];
  for (const stage of stages) {
    const first = tasks.length;
    for (const task of stage) {
      const made = emitTask(task, cutsOf);
      if (made.words.length > 0) tasks.push(made);
    }
    const count = tasks.length - first;
    if (count === 0) continue;
    listing.push(`stage ${stageTable.length / 2}, ${count} ${count === 1 ? 'task' : 'tasks'}:`);
    listing.push(...stageLines(stage, cutsOf));
    stageTable.push(first, count);
  }

  const constants = memory.constants.words();
  const flops = Math.round(tally.uniformFlops);
  const header = [
    FUNCTION_MAGIC,
    VERSION,
    memory.words,
    constants.length,
    sizes.length,
    inputs.length,
    stageTable.length / 2,
    tasks.length,
    Math.min(INT32_MAX, Math.round(flops / 1000)),
  ];
  sizes.forEach((size, i) => {
    header.push(size, Number(written[i]));
  });
  header.push(...stageTable);
  let at = header.length + 2 * tasks.length;
  for (const { words } of tasks) {
    header.push(at, words.length);
    at += words.length;
  }
  const words = new Int32Array(at);
  words.set(header);
  at = header.length;
  for (const task of tasks) {
    words.set(task.words, at);
    at += task.words.length;
  }
  return {
    words,
    constants,
    writtenOver,
    buffers: memory.bufferCount,
    arenaWords: memory.words,
    flops,
    text: [
      `externals ${sizes.length} (${inputs.length} inputs), arena ${memory.words} words in ${memory.bufferCount} buffers, constants ${constants.length} words`,
      ...listing,
    ].join('\n'),
  };
}

/** The instructions of a step, each cut into at most `parts` pieces. */
function cutStep(
  step: Step,
  parts: number,
  memory: FunctionMemory,
  emitter: UnitEmitter,
  tally: BlockWriter,
): Cut[] {
  const out = new BlockWriter();
  const { unit } = step;
  if (step.kind === 'output') {
    const node = step.node as number;
    const { shape } = memory.graph.nodes[node];
    const to = {
      space: Space.external + (step.output as number),
      offset: 0,
      strides: contiguousStrides(shape),
    };
    writeCopy(out, 0, shape, emitter.view(node), to, 'output');
  } else if (step.kind === 'copies') emitter.copies(unit as Unit, out);
  else if (step.kind === 'combine') writeCombine(unit as Unit, memory, emitter, out);
  else emitter.unit(unit as Unit, out);
  tally.count(0, step.kind === 'combine' ? 0 : out.uniformFlops);
  if (step.kind === 'partial') {
    const [reduce] = instructionsOf(out);
    const blocks = cutReduced(toPartial(reduce.payload, memory.partial(unit as Unit).offset), REDUCE_BLOCKS);
    const text = `${out.lines[0]} in ${blocks.length} blocks`;
    // Several blocks may be one piece: words of instructions after another.
    const pieces = ranges(blocks.length, parts).map(([from, to]) =>
      blocks.slice(from, to).flatMap((payload) => [Opcode.reduce, payload.length + 2, ...payload]),
    );
    return [{ opcode: -1, pieces, text }];
  }
  return instructionsOf(out).map(({ opcode, payload }, i) => ({
    opcode,
    pieces: cutInstruction(opcode, payload, parts),
    text: out.lines[i],
  }));
}

function instructionsOf(out: BlockWriter): { opcode: number; payload: number[] }[] {
  const result: { opcode: number; payload: number[] }[] = [];
  for (let at = 0; at < out.words.length; at += out.words[at + 1])
    result.push({ opcode: out.words[at], payload: out.words.slice(at + 2, at + out.words[at + 1]) });
  return result;
}

/** A REDUCE that writes to the arena at `offset`: the output's place is its last two words. */
function toPartial(payload: readonly number[], offset: number): number[] {
  return [...payload.slice(0, -2), Space.uniform, offset];
}

/** The reduction of the blocks' results [blocks, outputs] over the blocks. */
function writeCombine(unit: Unit, memory: FunctionMemory, emitter: UnitEmitter, out: BlockWriter) {
  const whole = new BlockWriter();
  emitter.unit(unit, whole);
  const [{ payload }] = instructionsOf(whole);
  const partial = memory.partial(unit);
  const blocks = cutReduced(payload, REDUCE_BLOCKS).length;
  const node = memory.graph.nodes[unit.nodes[0]];
  const outputs = sizeOf(node.shape);
  const kind = payload[1];
  const words = [0, kind, 1, outputs, 1, blocks, partial.space, partial.offset, 1, outputs];
  out.instruction(
    Opcode.reduce,
    [...words, ...payload.slice(-2)],
    `${show({ space: payload[payload.length - 2], offset: payload[payload.length - 1] })} = ${node.op.name} of ${blocks} blocks ${show(partial)}`,
  );
}

function emitTask(task: readonly Piece[], cutsOf: (step: Step, parts: number) => readonly Cut[]) {
  const words: number[] = [];
  const lines: string[] = [];
  for (const { step, part, parts } of task)
    for (const { opcode, pieces } of cutsOf(step, parts)) {
      const piece = pieces[part];
      if (!piece) continue;
      if (opcode >= 0) words.push(opcode, piece.length + 2);
      for (const word of piece) words.push(word);
    }
  return { words, lines };
}

/** A line for each instruction of a stage, with the number of pieces of those that were cut. */
function stageLines(stage: Stage, cutsOf: (step: Step, parts: number) => readonly Cut[]): string[] {
  const lines: string[] = [];
  for (const task of stage)
    for (const { step, part, parts } of task)
      if (part === 0)
        for (const { text, pieces } of cutsOf(step, parts))
          lines.push(`  ${text}${pieces.length > 1 ? ` (${pieces.length} pieces)` : ''}`);
  return lines;
}

/** Which results leave their unit: those that another one reads; the caller adds what the function returns. */
function neededOutside(nodeCount: number, units: readonly Unit[], readsOf: (node: number) => number[]) {
  const needed = new Array<boolean>(nodeCount).fill(false);
  const unitOf = new Array<Unit | undefined>(nodeCount);
  for (const unit of units) for (const m of unit.nodes) unitOf[m] = unit;
  for (const unit of units)
    for (const m of unit.nodes)
      for (const base of readsOf(m)) if (unitOf[base] && unitOf[base] !== unit) needed[base] = true;
  return { needed, of: (unit: Unit) => unit.nodes.filter((n) => needed[n]) };
}
