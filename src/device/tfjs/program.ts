/** An unroll on the tfjs device. */
import { AbortedError, DisposedError, OptionError } from '../../errors.js';
import type { TypedArray } from '../../graph/graph.js';
import { checkLeaves, checkParticles, checkRun, checkSnapshot, checkStagger } from '../checks.js';
import type {
  DriverState,
  LoadedProgram,
  LoadedReverse,
  ProgramPlan,
  ReverseSpec,
  RunRequest,
  RunResult,
  StateSnapshot,
  UnrollSpec,
} from '../driver.js';
import type { RunSetup } from './chunk.js';
import type { TfjsDriver } from './driver.js';
import { describePlan, planUnroll, type TfjsPlan } from './plan.js';
import { TfjsReverse } from './reverse.js';
import { runChunks } from './run.js';
import { emptyLeaf, TfjsState } from './state.js';
import { Stretch } from './stretch.js';

const PROGRESS_MS = 100;

export class TfjsProgram implements LoadedProgram {
  readonly #plan: TfjsPlan;
  #data: readonly TypedArray[];
  #disposed = false;

  constructor(
    private readonly driver: TfjsDriver,
    readonly spec: UnrollSpec,
    data: readonly TypedArray[],
    private readonly backend: string,
    private readonly note: string | undefined,
  ) {
    this.#data = data.map((values) => values.slice());
    this.#plan = planUnroll(spec, backend);
  }

  createState(particles: number, t?: Int32Array): DriverState {
    this.#check();
    checkParticles(particles);
    if (t) checkStagger(t, particles, this.spec.horizon);
    return new TfjsState(this, {
      leaves: this.spec.state.map(({ dtype, shape }) => emptyLeaf(dtype, shape, particles)),
      t: t?.slice() ?? new Int32Array(particles),
      fresh: new Uint8Array(particles).fill(1),
    });
  }

  async importState(snapshot: StateSnapshot): Promise<DriverState> {
    this.#check();
    checkSnapshot(this.spec, snapshot);
    const normalised = (values: TypedArray) =>
      values instanceof Uint8Array ? values.map((v) => (v ? 1 : 0)) : values.slice();
    return new TfjsState(this, {
      leaves: snapshot.leaves.map(normalised),
      t: snapshot.t.slice(),
      fresh: snapshot.fresh.map((v) => (v ? 1 : 0)),
    });
  }

  setData(values: readonly TypedArray[]): void {
    this.#check();
    checkLeaves('data', this.spec.data, values, 1);
    this.#data = values.map((v) => v.slice());
  }

  async run(request: RunRequest): Promise<RunResult> {
    this.#check();
    const state = this.owned(request.state);
    checkRun(this.spec, request);
    return this.execute(request, state, request.steps, this.#plan, runChunks);
  }

  /** A state of this program. @throws OptionError, DisposedError */
  owned(state: DriverState): TfjsState {
    this.#check();
    if (!(state instanceof TfjsState) || state.owner !== this) {
      throw new OptionError('the state belongs to another program; create it with this one');
    }
    state.read();
    return state;
  }

  /** Runs `work` in stretches on a checked request; `steps`: advances of each particle, for progress. */
  execute<T>(
    request: RunRequest,
    state: TfjsState,
    steps: number,
    plan: TfjsPlan,
    work: (setup: RunSetup) => Promise<T>,
  ): Promise<T> {
    if (request.signal?.aborted) throw new AbortedError(request.signal.reason, false);
    return this.driver.track(this.#execute(request, state, steps, plan, this.#data, work));
  }

  /** `data` is what was set when the run began. */
  async #execute<T>(
    request: RunRequest,
    state: TfjsState,
    steps: number,
    plan: TfjsPlan,
    data: readonly TypedArray[],
    work: (setup: RunSetup) => Promise<T>,
  ): Promise<T> {
    const arrays = state.begin();
    const { signal, onProgress } = request;
    const total = state.particles * steps;
    const begun = performance.now();
    let reported = begun;
    let done = 0;
    const report = () => {
      const now = performance.now();
      if (!onProgress || now - reported < PROGRESS_MS) return;
      reported = now;
      const rate = (1000 * done) / (now - begun);
      onProgress({
        done,
        total,
        rate,
        etaSeconds: rate > 0 ? (total - done) / rate : Number.POSITIVE_INFINITY,
      });
    };
    const stretch = new Stretch(this.backend, signal, report);
    let whole = false;
    try {
      // The caller goes on first; work begins on the event loop's next turn.
      await stretch.pause();
      const result = await work({
        spec: this.spec,
        schedules: request.theta.kind === 'shared' ? plan.shared : plan.perParticle,
        data,
        arrays,
        request,
        backend: this.backend,
        chunk: plan.chunk,
        stretch,
        onSteps: (particleSteps) => {
          done += particleSteps;
        },
      });
      whole = true;
      return result;
    } finally {
      stretch.leave();
      state.end(whole);
    }
  }

  loadReverse(spec: ReverseSpec): LoadedReverse {
    this.#check();
    this.driver.requireKernels([spec.backwardInit, spec.backwardStep], this.backend);
    return new TfjsReverse(this, spec, this.backend);
  }

  plan(): ProgramPlan {
    this.#check();
    const head = [`tfjs backend ${this.backend}`, ...(this.note ? [this.note] : [])];
    return describePlan(this.#plan, head);
  }

  dispose(): void {
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @throws DisposedError */
  check(): void {
    this.#check();
  }

  #check(): void {
    if (this.#disposed) throw new DisposedError('this program');
    this.driver.check();
  }
}
