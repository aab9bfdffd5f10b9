/** The tfjs device: programs run as ordinary tfjs ops, vectorised over the particles. Slower than native code, and everywhere there. */
import * as tf from '@tensorflow/tfjs';
import { AbortedError, DisposedError, OptionError } from '../../errors.js';
import type { Graph, TypedArray } from '../../graph/graph.js';
import { checkLeaves, checkParticles, checkRun, checkSnapshot, checkStagger } from '../checks.js';
import type {
  DeviceDriver,
  DriverState,
  FunctionSpec,
  LoadedFunction,
  LoadedProgram,
  NoiseKernels,
  ProgramPlan,
  RunRequest,
  RunResult,
  StateSnapshot,
  UnrollSpec,
} from '../driver.js';
import { type ChosenBackend, chooseBackend, startCpuBackend, type TfjsBackendName } from './backend.js';
import { TfjsFunction } from './function.js';
import { missingKernels } from './kernels.js';
import { hostNoise } from './noise.js';
import { describePlan, planUnroll, type TfjsPlan } from './plan.js';
import { runChunks } from './run.js';
import { emptyLeaf, TfjsState } from './state.js';
import { Stretch } from './stretch.js';

export interface TfjsDeviceOptions {
  /** Forces a backend: 'cpu' (part of tfjs), 'wasm' or 'tensorflow'. Default: the fastest one that loads. */
  readonly tfjsBackend?: TfjsBackendName;
}

const PROGRESS_MS = 100;

/**
 * Opens the tfjs device. Rejects with OptionError for an unknown backend, DeviceError for a forced one that does not load. Takes about a
 * second for each optional backend that is installed: it is first loaded in a child process.
 */
export async function openTfjsDevice(options: TfjsDeviceOptions = {}): Promise<DeviceDriver> {
  const chosen = await chooseBackend(options.tfjsBackend);
  // Programs that the chosen backend cannot run fall back on this one.
  await startCpuBackend();
  return new TfjsDriver(chosen);
}

export class TfjsDriver implements DeviceDriver {
  readonly kind = 'tfjs';
  readonly description: string;
  readonly notes: string[];
  readonly noise: NoiseKernels;
  readonly #running = new Set<Promise<unknown>>();
  #disposed = false;

  constructor(private readonly backend: ChosenBackend) {
    this.description = `tfjs ${tf.version_core}, backend ${backend.name} (${backend.package})`;
    this.notes = [...backend.notes];
    this.noise = hostNoise(() => this.check());
  }

  load(spec: UnrollSpec, data: readonly TypedArray[]): LoadedProgram {
    this.check();
    checkLeaves('data', spec.data, data, 1);
    const { backend, note } = this.#backendFor([spec.init, spec.step], 'program');
    return new TfjsProgram(this, spec, data, backend, note);
  }

  loadFunction(spec: FunctionSpec): LoadedFunction {
    this.check();
    const { backend, note } = this.#backendFor([spec.graph], 'function');
    const head = `interpreted by tfjs ${tf.version_core}, backend ${backend}`;
    return new TfjsFunction(this, spec, backend, note ? [head, note] : [head]);
  }

  /** The device's backend, or the cpu backend where that one lacks kernels. */
  #backendFor(graphs: readonly Graph[], what: string): { backend: string; note: string | undefined } {
    const missing = missingKernels(graphs, this.backend.name);
    if (missing.length === 0) return { backend: this.backend.name, note: undefined };
    const note = `backend ${this.backend.name} lacks ${missing.join(', ')}; a ${what} that needs this runs on backend cpu`;
    if (!this.notes.includes(note)) this.notes.push(note);
    return { backend: 'cpu', note };
  }

  /** Lets `dispose` wait for a run. */
  async track<T>(run: Promise<T>): Promise<T> {
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }

  check(): void {
    if (this.#disposed) throw new DisposedError('this device');
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await Promise.allSettled(this.#running);
  }
}

class TfjsProgram implements LoadedProgram {
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
    const { state, signal } = request;
    if (!(state instanceof TfjsState) || state.owner !== this) {
      throw new OptionError('the state belongs to another program; create it with this one');
    }
    state.read();
    checkRun(this.spec, request);
    if (signal?.aborted) throw new AbortedError(signal.reason, false);
    return this.driver.track(this.#run(request, state, this.#data));
  }

  /** `data` is what was set when the run began. */
  async #run(request: RunRequest, state: TfjsState, data: readonly TypedArray[]): Promise<RunResult> {
    const arrays = state.begin();
    const { signal, onProgress } = request;
    const total = state.particles * request.steps;
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
      const result = await runChunks({
        spec: this.spec,
        schedules: request.theta.kind === 'shared' ? this.#plan.shared : this.#plan.perParticle,
        data,
        arrays,
        request,
        backend: this.backend,
        chunk: this.#plan.chunk,
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

  #check(): void {
    if (this.#disposed) throw new DisposedError('this program');
    this.driver.check();
  }
}
