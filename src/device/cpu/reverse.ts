/** Going back through an unroll on the native device. */
import { AbortedError, DisposedError } from '../../errors.js';
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
  UnrollSpec,
} from '../driver.js';
import { nextPath, readsNext } from '../reverse-graph.js';
import { planSweep } from '../sweep.js';
import { awaitRun, native, nativeRequest } from './calls.js';
import type { EngineHandle, NativeAddon, ReverseHandle } from './native.js';
import { type CpuPlan, planUnroll } from './plan.js';
import type { CpuProgram } from './program.js';

/** The transposed program as an unroll whose state are cotangents, gradients and the weight; its primal state is that of `forward`. */
function backwardUnroll(forward: UnrollSpec, reverse: ReverseSpec): UnrollSpec {
  return {
    init: reverse.backwardInit,
    step: reverse.backwardStep,
    theta: forward.theta,
    state: reverse.state,
    data: forward.data,
    metrics: [],
    horizon: forward.horizon,
  };
}

export class CpuReverse implements LoadedReverse {
  /** One for each tile width that states are gone back through in. */
  readonly #variants = new Map<number, ReverseHandle>();
  readonly #planned: CpuPlan;
  readonly #readsNext: boolean;
  /** First rows of the gradients and of the weight in the transposed state, and (row, elements) of the cotangents. */
  readonly #rows: { readonly gradient: number; readonly weight: number; readonly cotangents: Int32Array };
  /** State leaves that have a cotangent, in order. */
  readonly #floats: readonly number[];
  #disposed = false;

  constructor(
    private readonly addon: NativeAddon,
    private readonly engine: EngineHandle,
    private readonly program: CpuProgram,
    spec: ReverseSpec,
    private readonly onDispose: (reverse: CpuReverse) => void,
  ) {
    const forward = program.spec;
    this.#readsNext = readsNext(spec);
    const next = forward.state.map((leaf) => ({ ...leaf, path: nextPath(leaf.path) }));
    const primal = this.#readsNext ? [...forward.state, ...next] : forward.state;
    this.#planned = planUnroll(backwardUnroll(forward, spec), primal);
    this.#floats = forward.state.flatMap(({ dtype }, i) => (dtype === 'float32' ? [i] : []));
    let row = 0;
    const cotangents = this.#floats.flatMap((i) => {
      const elements = sizeOf(forward.state[i].shape);
      row += elements;
      return [row - elements, elements];
    });
    const thetas = forward.theta.reduce((sum, leaf) => sum + sizeOf(leaf.shape), 0);
    this.#rows = { gradient: row, weight: row + thetas, cotangents: Int32Array.from(cotangents) };
  }

  async run(request: ReverseRequest): Promise<ReverseResult> {
    this.#check();
    const { state, signal } = request;
    const { handle, lanes } = this.program.use(state);
    const { spec } = this.program;
    checkRun(spec, request);
    checkReverse(spec, request);
    const sweep = planSweep(request.steps, request.schedule);
    if (signal?.aborted) throw new AbortedError(signal.reason, false);
    const run = native(() =>
      this.addon.runReverse(this.#variant(lanes), handle, {
        ...nativeRequest(request),
        actions: sweep.actions,
        slots: sweep.slots,
        finalCotangents: this.#floats.map((i) => request.finalCotangents?.[i] ?? null),
        lossWeights: request.lossWeights ?? null,
      }),
    );
    const total = state.particles * sweep.forwardSteps;
    const result = await awaitRun(this.addon, run, total, request);
    return {
      ...result,
      metrics: this.program.metrics(result.metrics),
      stateGradients: spec.state.map((_, i) => {
        const at = this.#floats.indexOf(i);
        return at < 0 ? undefined : result.stateGradients[at];
      }),
      cost: this.#cost(sweep, lanes, state.particles),
    };
  }

  cost(steps: number, particles: number, schedule: CheckpointSchedule): ReverseCost {
    this.#check();
    return this.#cost(planSweep(steps, schedule), this.program.lanes(particles), particles);
  }

  slotBytes(particles: number): number {
    this.#check();
    const lanes = this.program.lanes(particles);
    return this.addon.reverseBytes(this.#variant(lanes)).slot * this.#tilesAtOnce(lanes, particles);
  }

  plan(): ProgramPlan {
    this.#check();
    const { lanes } = this.program.plan();
    return {
      device: 'cpu',
      text: this.#planned.text,
      lanes,
      arenaBytes: 4 * (this.#planned.varyingRows * lanes + this.#planned.uniformWords),
      stateBytesPerParticle: 4 * this.#planned.stateRows,
      flopsPerStep: this.#planned.flopsPerStep,
    };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const handle of this.#variants.values()) this.addon.dispose(handle);
    this.#variants.clear();
    this.onDispose(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** A thread goes forward and back through one tile at a time. */
  #tilesAtOnce(lanes: number, particles: number): number {
    return Math.min(this.addon.engineInfo(this.engine).threads, Math.ceil(particles / lanes));
  }

  #cost(
    sweep: { readonly slots: number; readonly forwardSteps: number },
    lanes: number,
    particles: number,
  ): ReverseCost {
    const { slot, working } = this.addon.reverseBytes(this.#variant(lanes));
    const tiles = this.#tilesAtOnce(lanes, particles);
    const keptBytes = slot * sweep.slots * tiles;
    return {
      forwardSteps: sweep.forwardSteps,
      slots: sweep.slots,
      keptBytes,
      peakBytes: keptBytes + working * tiles,
    };
  }

  #variant(lanes: number): ReverseHandle {
    let reverse = this.#variants.get(lanes);
    if (!reverse) {
      const { gradient, weight, cotangents } = this.#rows;
      reverse = native(() =>
        this.addon.loadReverse(
          this.program.loaded(lanes),
          this.#planned.words(lanes),
          this.#planned.constants,
          this.#readsNext,
          gradient,
          weight,
          cotangents,
        ),
      );
      this.#variants.set(lanes, reverse);
    }
    return reverse;
  }

  #check() {
    if (this.#disposed) throw new DisposedError('this reverse program');
  }
}
