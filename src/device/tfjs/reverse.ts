/** Going back through an unroll in tfjs: the same sweep as on every device, a chunk of particles at a time. */
import * as tf from '@tensorflow/tfjs';
import { DisposedError } from '../../errors.js';
import { sizeOf } from '../../graph/graph.js';
import { checkReverse, checkRun } from '../checks.js';
import type {
  CheckpointSchedule,
  LoadedReverse,
  ProgramPlan,
  ReverseCost,
  ReverseRequest,
  ReverseResult,
  ReverseSpec,
} from '../driver.js';
import { planSweep, type Sweep, SweepAction } from '../sweep.js';
import { Chunk, Levels, type Moment, type RunSetup } from './chunk.js';
import { describePlan, planUnroll, type TfjsPlan } from './plan.js';
import type { TfjsProgram } from './program.js';
import { emptyResult } from './run.js';

export class TfjsReverse implements LoadedReverse {
  readonly #plan: TfjsPlan;
  #disposed = false;

  constructor(
    private readonly program: TfjsProgram,
    private readonly spec: ReverseSpec,
    private readonly backend: string,
  ) {
    this.#plan = planUnroll(program.spec, backend, spec);
  }

  async run(request: ReverseRequest): Promise<ReverseResult> {
    this.#check();
    const state = this.program.owned(request.state);
    checkRun(this.program.spec, request);
    checkReverse(this.program.spec, request);
    const sweep = planSweep(request.steps, request.schedule);
    return this.program.execute(request, state, sweep.forwardSteps, this.#plan, (setup) =>
      this.#sweep(setup, request, sweep),
    );
  }

  cost(steps: number, particles: number, schedule: CheckpointSchedule): ReverseCost {
    this.#check();
    return this.#cost(planSweep(steps, schedule), particles);
  }

  slotBytes(particles: number): number {
    this.#check();
    return this.#plan.stateBytesPerParticle * Math.min(this.#plan.chunk, particles);
  }

  plan(): ProgramPlan {
    this.#check();
    return describePlan(this.#plan, [`tfjs backend ${this.backend}`]);
  }

  dispose(): void {
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #check(): void {
    if (this.#disposed) throw new DisposedError('this reverse program');
    this.program.check();
  }

  #cost(sweep: Sweep, particles: number): ReverseCost {
    const chunk = Math.min(this.#plan.chunk, particles);
    // The final state is kept beside the slots.
    const keptBytes = this.slotBytes(particles) * sweep.slots;
    const cotangents = this.spec.state.reduce((sum, leaf) => sum + 4 * sizeOf(leaf.shape), 0);
    const working = (this.#plan.stateBytesPerParticle + cotangents + this.#plan.bytesPerParticle) * chunk;
    return {
      forwardSteps: sweep.forwardSteps,
      slots: sweep.slots,
      keptBytes,
      peakBytes: keptBytes + working,
    };
  }

  async #sweep(setup: RunSetup, request: ReverseRequest, sweep: Sweep): Promise<ReverseResult> {
    const { spec } = this.program;
    const { particles } = request.state;
    const thetas = spec.theta.reduce((sum, leaf) => sum + sizeOf(leaf.shape), 0);
    const result = {
      ...emptyResult(setup),
      thetaGradients: new Float32Array(particles * thetas),
      stateGradients: spec.state.map((leaf) =>
        leaf.dtype === 'float32' ? new Float32Array(particles * sizeOf(leaf.shape)) : undefined,
      ),
      cost: this.#cost(sweep, particles),
    };
    const call = new Levels();
    try {
      for (let first = 0; first < particles; first += setup.chunk) {
        const count = Math.min(setup.chunk, particles - first);
        const cotangents = this.#begin(request, first, count);
        const pairs = request.antithetic ? particles / 2 : 0;
        const chunk = new Chunk(setup, result, call, { first, count, pairs }, cotangents);
        try {
          await follow(chunk, sweep);
          this.#collect(cotangents, result, first, count, thetas);
        } finally {
          chunk.dispose();
          for (const tensor of cotangents.values()) tensor.dispose();
        }
      }
      return result;
    } finally {
      call.dispose();
    }
  }

  /** The state of the backward graphs at the end of the run. */
  #begin(request: ReverseRequest, first: number, count: number): Map<string, tf.Tensor> {
    const { spec } = this.program;
    const start = new Map<string, Float32Array>();
    spec.state.forEach((leaf, i) => {
      const width = sizeOf(leaf.shape);
      const given = request.finalCotangents?.[i]?.slice(first * width, (first + count) * width);
      if (given) start.set(`cotangent.${leaf.path}`, given);
    });
    const weights = request.lossWeights?.slice(first, first + count);
    start.set('lossWeight', weights ?? new Float32Array(count).fill(1));
    return new Map(
      this.spec.state.map(({ path, shape }) => {
        const values = start.get(path) ?? new Float32Array(count * sizeOf(shape));
        return [path, tf.keep(tf.tensor(values, [count, ...shape]))];
      }),
    );
  }

  #collect(
    cotangents: ReadonlyMap<string, tf.Tensor>,
    result: { thetaGradients: Float32Array; stateGradients: (Float32Array | undefined)[] },
    first: number,
    count: number,
    thetas: number,
  ): void {
    const { spec } = this.program;
    const read = (path: string) => (cotangents.get(path) as tf.Tensor).dataSync();
    spec.state.forEach((leaf, i) => {
      result.stateGradients[i]?.set(read(`cotangent.${leaf.path}`), first * sizeOf(leaf.shape));
    });
    let offset = 0;
    for (const leaf of spec.theta) {
      const width = sizeOf(leaf.shape);
      const values = read(`gradient.${leaf.path}`);
      for (let i = 0; i < count; i++)
        for (let j = 0; j < width; j++)
          result.thetaGradients[(first + i) * thetas + offset + j] = values[i * width + j];
      offset += width;
    }
  }
}

/** Takes a chunk through a sweep, and leaves it at the end of the run. */
async function follow(chunk: Chunk, sweep: Sweep): Promise<void> {
  const slots = new Map<number, Moment>();
  let seen = 0;
  let final: Moment | undefined;
  try {
    chunk.load();
    for (let i = 0; i < sweep.actions.length; i += 2) {
      const argument = sweep.actions[i + 1];
      switch (sweep.actions[i]) {
        case SweepAction.keep:
          slots.get(argument)?.dispose();
          slots.set(argument, chunk.save());
          break;
        case SweepAction.advance:
          await chunk.advance(argument, chunk.at === seen);
          seen = Math.max(seen, chunk.at);
          break;
        case SweepAction.restore:
          chunk.restore(slots.get(argument) as Moment);
          break;
        default: {
          if (!final) {
            const turn = chunk.save();
            await chunk.advance(1, true);
            final = chunk.save();
            chunk.holdNext();
            chunk.restore(turn);
            turn.dispose();
          }
          await chunk.back();
        }
      }
    }
    chunk.restore(final as Moment);
    chunk.store();
  } finally {
    final?.dispose();
    for (const moment of slots.values()) moment.dispose();
  }
}
