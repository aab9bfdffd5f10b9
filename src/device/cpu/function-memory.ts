/** Where the values of a function lie: externals where inputs and outputs are used in place, constants, and buffers of the arena. */
import { type Graph, sizeOf } from '../../graph/graph.js';
import { type BufferRequest, placeBuffers } from './arena.js';
import { ConstantPool } from './constants.js';
import type { Memory } from './emit-unit.js';
import { REDUCE_BLOCKS, type Step } from './function-steps.js';
import type { Place } from './instructions.js';
import { needsCopy } from './operands.js';
import { isWholeUnder } from './overwrites.js';
import type { Unit } from './units.js';
import type { Value } from './values.js';
import { Space } from './words.js';

const ALIGN = 16;

/** Memory of the arena, which one value after the other may hold. */
interface Buffer {
  readonly request: BufferRequest;
  holder: number;
}

export class FunctionMemory implements Memory {
  readonly constants = new ConstantPool();
  readonly #buffers = new Map<number | string, Buffer>();
  readonly #requests: BufferRequest[] = [];
  /** Words of the arena. */
  readonly words: number;

  /**
   * `externals`: the external that holds each input node, and each result that is written straight to one. `steps` as `stepsOf` gave them, their
   * times set: each buffer lives from the step that writes it to the last that reads it.
   */
  constructor(
    readonly graph: Graph,
    readonly values: readonly Value[],
    private readonly externals: ReadonlyMap<number, number>,
    readonly outputsOf: (unit: Unit) => readonly number[],
    steps: readonly Step[],
  ) {
    this.#request(steps);
    this.words = placeBuffers(this.#requests, 0, ALIGN);
  }

  get bufferCount(): number {
    return this.#requests.length;
  }

  place(base: number): Place {
    const external = this.externals.get(base);
    if (external !== undefined) return { space: Space.external + external, offset: 0 };
    const node = this.graph.nodes[base];
    if (node.op.name === 'constant' || node.op.name === 'iota')
      return { space: Space.constant, offset: this.constants.add(node) };
    return this.#arena(base);
  }

  copied(node: number, input: number): Place | null {
    const key = `copy ${node} ${input}`;
    return this.#buffers.has(key) ? this.#arena(key) : null;
  }

  /** Results of the blocks of a reduction. */
  partial(unit: Unit): Place {
    return this.#arena(`partial ${unit.nodes[0]}`);
  }

  #arena(key: number | string): Place {
    const found = this.#buffers.get(key);
    if (!found) throw new Error(`no memory was planned for ${key}`);
    return { space: Space.uniform, offset: found.request.offset };
  }

  #request(steps: readonly Step[]) {
    const lastRead = lastReads(steps);
    const request = (key: number | string, size: number, time: number, end: number) => {
      const buffer: BufferRequest = { size, start: time, end, offset: -1 };
      this.#requests.push(buffer);
      this.#buffers.set(key, { request: buffer, holder: typeof key === 'number' ? key : -1 });
    };
    const { nodes } = this.graph;
    const order = steps.map((_, i) => i).sort((a, b) => steps[a].time - steps[b].time || a - b);
    for (const i of order) {
      const step = steps[i];
      const { unit, time } = step;
      if (!unit) continue;
      const node = nodes[unit.nodes[0]];
      const endOf = (base: number) => lastRead.get(base)?.time ?? time;
      if (step.kind === 'copies') {
        const end = steps[i + 1].time;
        node.inputs.forEach((x, input) => {
          const { shape } = nodes[x];
          if (needsCopy(node, input, shape, this.values[x].strides))
            request(`copy ${node.id} ${input}`, sizeOf(shape), time, end);
        });
        continue;
      }
      if (step.kind === 'partial') {
        request(`partial ${node.id}`, REDUCE_BLOCKS * sizeOf(node.shape), time, steps[i + 1].time);
        continue;
      }
      for (const base of unit.kind === 'group' ? this.outputsOf(unit) : unit.nodes) {
        if (this.externals.has(base)) continue;
        const over = unit.kind === 'group' ? this.#dyingInput(unit, base, step, lastRead) : undefined;
        if (over) {
          over.holder = base;
          over.request.end = Math.max(over.request.end, endOf(base));
          this.#buffers.set(base, over);
        } else request(base, sizeOf(nodes[base].shape), time, endOf(base));
      }
    }
  }

  /** The buffer of a value that only this group still reads, element for element: the result may take its place. */
  #dyingInput(
    unit: Unit,
    result: number,
    step: Step,
    lastRead: ReadonlyMap<number, LastRead>,
  ): Buffer | undefined {
    const { graph, values } = this;
    const { nodes } = graph;
    for (const base of step.reads) {
      const buffer = this.#buffers.get(base);
      const last = lastRead.get(base);
      if (!buffer || buffer.holder !== base || last?.step !== step || last.shared) continue;
      if (buffer.request.size !== sizeOf(nodes[result].shape)) continue;
      const elementwise = unit.nodes.every((m) =>
        nodes[m].inputs.every(
          (x) => values[x].base !== base || (m !== unit.product && isWholeUnder(graph, values, x, result)),
        ),
      );
      if (elementwise) return buffer;
    }
    return undefined;
  }
}

interface LastRead {
  readonly time: number;
  readonly step: Step;
  /** Another step reads it at the same time. */
  readonly shared: boolean;
}

function lastReads(steps: readonly Step[]): Map<number, LastRead> {
  const last = new Map<number, LastRead>();
  for (const step of steps)
    for (const base of step.reads) {
      const known = last.get(base);
      if (known && known.time > step.time) continue;
      last.set(base, { time: step.time, step, shared: known?.time === step.time });
    }
  return last;
}
