/** Runs the words of a function on the plain machine, and finds tasks that are not independent. */
import { asBits, InstructionMachine, poisoned, viewOf } from './instruction-machine.js';

const MAGIC = 0x46524e55;
const EXTERNAL = 6;

export class FunctionMachine extends InstructionMachine {
  readonly spaces: DataView[];
  protected readonly draws: { readonly index: number; readonly pair: number; readonly seed: number };
  readonly #written: boolean[] = [];
  /** Of the running stage: the last task that wrote, and that read, each word. */
  #writers = new Map<string, number>();
  #readers = new Map<string, Set<number>>();
  #task = 0;

  constructor(
    readonly words: Int32Array,
    constants: Int32Array,
    seed = 0,
  ) {
    super();
    this.draws = { index: 0, pair: 0, seed };
    if (words[0] !== MAGIC || words[1] !== 1) throw new Error('not the words of a function');
    const externals = Array.from({ length: words[4] }, (_, i) => poisoned(words[9 + 2 * i]));
    for (let i = 0; i < words[4]; i++) this.#written.push(words[10 + 2 * i] === 1);
    const none = poisoned(0);
    this.spaces = [none, poisoned(words[2]), viewOf(constants), none, none, none, ...externals];
  }

  external(i: number): DataView {
    return this.spaces[EXTERNAL + i];
  }

  /** Fills external `i`; bool as 0/1. */
  set(i: number, values: Float32Array | Int32Array | Uint8Array) {
    values.forEach((x, k) => {
      this.external(i).setInt32(4 * k, values instanceof Float32Array ? asBits(x) : x, true);
    });
  }

  /** Runs all stages, the tasks of each in the order that `shuffle` makes of them. */
  run(shuffle: (tasks: number[]) => number[], step = 0) {
    const { words } = this;
    const stageTable = 9 + 2 * words[4];
    const taskTable = stageTable + 2 * words[6];
    for (let g = 0; g < words[6]; g++) {
      const [first, count] = [words[stageTable + 2 * g], words[stageTable + 2 * g + 1]];
      this.#writers = new Map();
      this.#readers = new Map();
      for (const task of shuffle(Array.from({ length: count }, (_, i) => first + i))) {
        this.#task = task;
        const from = words[taskTable + 2 * task];
        this.runWords(words, from, from + words[taskTable + 2 * task + 1], step);
      }
    }
  }

  protected override isReadOnly(space: number): boolean {
    return space === 2 || space < 1 || (space >= EXTERNAL && !this.#written[space - EXTERNAL]);
  }

  protected override bits(space: number, offset: number): number {
    const key = `${space}:${offset}`;
    const writer = this.#writers.get(key);
    if (writer !== undefined && writer !== this.#task)
      throw new Error(`task ${this.#task} reads ${key}, which task ${writer} of its stage writes`);
    const readers = this.#readers.get(key) ?? new Set();
    this.#readers.set(key, readers.add(this.#task));
    return super.bits(space, offset);
  }

  protected override store(space: number, offset: number, bits: number) {
    const key = `${space}:${offset}`;
    const others = [this.#writers.get(key), ...(this.#readers.get(key) ?? [])];
    const other = others.find((task) => task !== undefined && task !== this.#task);
    if (other !== undefined)
      throw new Error(`task ${this.#task} writes ${key}, which task ${other} of its stage uses`);
    this.#writers.set(key, this.#task);
    super.store(space, offset, bits);
  }
}
