/** Runs the program words of an unroll on the plain machine. */
import { InstructionMachine, poisoned, viewOf } from './instruction-machine.js';

const HEADER = 24;

/** One tile of one particle. */
export class WordsMachine extends InstructionMachine {
  protected readonly draws: { readonly index: number; readonly pair: number; readonly seed: number };
  readonly spaces: DataView[];
  readonly state: DataView;
  fresh = true;
  t = 0;
  lossSum = 0;

  constructor(
    readonly words: Int32Array,
    constants: Int32Array,
    data: Int32Array,
    readonly theta: Float32Array,
    readonly particle: { index: number; pair: number; seed: number },
  ) {
    super();
    this.draws = particle;
    this.state = poisoned(words[7]);
    this.spaces = [poisoned(words[3]), poisoned(words[4]), viewOf(constants), viewOf(data), this.state];
    this.#run(0, 0);
    theta.forEach((x, j) => {
      this.spaces[0].setFloat32(4 * (words[9] + j), x, true);
    });
    if (words[11] >= 0) this.spaces[0].setInt32(4 * words[11], particle.index, true);
    this.#run(1, 0);
  }

  step(globalStep: number): { loss: number; metrics: number[] } {
    const { words } = this;
    if (words[10] >= 0) this.spaces[0].setInt32(4 * words[10], this.t, true);
    if (this.fresh) this.#run(3, globalStep);
    this.fresh = false;
    this.#run(2, globalStep);
    const read = (at: number) => this.spaces[words[at]].getFloat32(4 * words[at + 1], true);
    const loss = read(12);
    const metrics = Array.from({ length: words[14] }, (_, i) => read(HEADER + 2 * i));
    this.t++;
    if (words[15] !== 0 && this.t >= words[15]) {
      this.t = 0;
      this.fresh = true;
    }
    return { loss, metrics };
  }

  #run(block: number, step: number) {
    const { words } = this;
    const at = words[16 + 2 * block];
    this.runWords(words, at, at + words[17 + 2 * block], step);
  }
}
