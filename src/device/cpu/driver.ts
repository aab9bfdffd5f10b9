/** The native CPU device: programs are planned here and run by the addon on its own threads. */
import { AbortedError, DeviceError, DisposedError, OptionError } from '../../errors.js';
import { sizeOf, type TypedArray } from '../../graph/graph.js';
import { seedHigh, toSeed } from '../../random/index.js';
import {
  checkAncestors,
  checkLeaves,
  checkParticles,
  checkRun,
  checkSnapshot,
  checkStagger,
} from '../checks.js';
import type {
  DeviceDriver,
  DriverState,
  LoadedProgram,
  MetricRecord,
  NoiseKernels,
  NoiseRows,
  ProgramPlan,
  RunRequest,
  RunResult,
  StateSnapshot,
  ThetaInput,
  UnrollSpec,
} from '../driver.js';
import { lanesFor, widestLanes } from './lanes.js';
import {
  type EngineHandle,
  loadNative,
  type NativeAddon,
  type NativeNoise,
  type NativeTheta,
  type ProgramHandle,
  type RunHandle,
  type StateHandle,
} from './native.js';
import { type CpuPlan, planUnroll } from './plan.js';

export interface CpuDeviceOptions {
  /** Worker threads; default UNROLLED_THREADS, else all hardware threads. */
  readonly threads?: number;
  /** Instruction level ('base', 'avx2', 'avx512'); default UNROLLED_ISA, else the best one this processor has. */
  readonly isa?: string;
}

const PROGRESS_MS = 100;

/** The addon's errors as the library's own classes. */
function translated(error: unknown): unknown {
  const { code, message } = error as { code?: string; message?: string };
  if (code === 'ERR_OPTION') return new OptionError(String(message), { cause: error });
  if (code === 'ERR_BUSY' || code === 'ERR_DEVICE')
    return new DeviceError(String(message), { code, cause: error });
  return error;
}

function native<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw translated(error);
  }
}

async function nativeAsync<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw translated(error);
  }
}

/**
 * Opens the native device.
 * @returns the driver, or why there is none (no addon for this platform, built from other sources, ...)
 * @throws OptionError for threads or an instruction level that cannot be had
 */
export function openCpuDevice(options: CpuDeviceOptions = {}): { driver: DeviceDriver } | { reason: string } {
  const loaded = loadNative();
  if (!loaded.ok) return { reason: loaded.reason };
  const engine = native(() =>
    loaded.native.openEngine({ level: options.isa ?? null, threads: options.threads ?? null }),
  );
  return { driver: new CpuDriver(loaded.native, engine) };
}

class CpuDriver implements DeviceDriver {
  readonly kind = 'cpu';
  readonly description: string;
  readonly notes: readonly string[] = [];
  readonly noise: NoiseKernels;
  readonly #programs = new Set<CpuProgram>();
  #disposed = false;

  constructor(
    private readonly addon: NativeAddon,
    private readonly engine: EngineHandle,
  ) {
    const info = addon.engineInfo(engine);
    this.description = `native ${info.level}, ${info.threads} ${info.threads === 1 ? 'thread' : 'threads'}`;
    this.noise = new CpuNoise(addon, engine, () => this.#check());
  }

  load(spec: UnrollSpec, data: readonly TypedArray[]): LoadedProgram {
    this.#check();
    checkLeaves('data', spec.data, data, 1);
    const program = new CpuProgram(this.addon, this.engine, spec, planUnroll(spec), data, (p) =>
      this.#programs.delete(p),
    );
    this.#programs.add(program);
    return program;
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const program of [...this.#programs]) program.dispose();
    this.addon.dispose(this.engine);
  }

  #check() {
    if (this.#disposed) throw new DisposedError('this device');
  }
}

class CpuNoise implements NoiseKernels {
  constructor(
    private readonly addon: NativeAddon,
    private readonly engine: EngineHandle,
    private readonly check: () => void,
  ) {}

  async fill(noise: NoiseRows): Promise<Float32Array> {
    this.check();
    return nativeAsync(() => this.addon.fillNormal(this.engine, noise.rows, noise.dim, nativeNoise(noise)));
  }

  async accumulate(accumulator: Float32Array, scale: Float32Array, noise: NoiseRows): Promise<void> {
    this.check();
    await nativeAsync(() => this.addon.addNormal(this.engine, accumulator, scale, nativeNoise(noise)));
  }

  async weightedRowSum(weights: Float64Array, matrix: Float32Array, dim: number): Promise<Float64Array> {
    this.check();
    return nativeAsync(() => this.addon.weightedRowSum(this.engine, weights, matrix, dim));
  }
}

function key(seed: number): { key0: number; key1: number } {
  const checked = toSeed(seed);
  return { key0: checked >>> 0, key1: seedHigh(checked) };
}

function nativeNoise(noise: {
  readonly seed: number;
  readonly noiseStep: number | Uint32Array;
}): NativeNoise {
  return { ...key(noise.seed), step: noise.noiseStep };
}

function nativeTheta(theta: ThetaInput): NativeTheta {
  if (theta.kind !== 'perturbed') return theta;
  return { kind: 'perturbed', mean: theta.mean, sigma: theta.sigma, noise: nativeNoise(theta) };
}

/** One plan, loaded once for each tile width that its states use. */
class CpuProgram implements LoadedProgram {
  readonly #variants = new Map<number, ProgramHandle>();
  #data: readonly TypedArray[];
  #disposed = false;
  private readonly vectorWidth: number;

  constructor(
    private readonly addon: NativeAddon,
    private readonly engine: EngineHandle,
    readonly spec: UnrollSpec,
    private readonly planned: CpuPlan,
    data: readonly TypedArray[],
    private readonly onDispose: (program: CpuProgram) => void,
  ) {
    this.#data = data.map((values) => values.slice());
    this.vectorWidth = addon.engineInfo(engine).vectorWidth;
  }

  createState(particles: number, t?: Int32Array): DriverState {
    this.#check();
    checkParticles(particles);
    if (t) checkStagger(t, particles, this.spec.horizon);
    const lanes = lanesFor(this.planned, particles, this.vectorWidth);
    const handle = native(() => this.addon.createState(this.#variant(lanes), particles, t ?? null));
    return this.wrap(handle, lanes);
  }

  async importState(snapshot: StateSnapshot): Promise<DriverState> {
    this.#check();
    checkSnapshot(this.spec, snapshot);
    const lanes = lanesFor(this.planned, snapshot.t.length, this.vectorWidth);
    const program = this.#variant(lanes);
    const handle = await nativeAsync(() =>
      this.addon.importState(program, snapshot.leaves, snapshot.t, snapshot.fresh),
    );
    return this.wrap(handle, lanes);
  }

  setData(values: readonly TypedArray[]): void {
    this.#check();
    checkLeaves('data', this.spec.data, values, 1);
    this.#data = values.map((v) => v.slice());
    for (const program of this.#variants.values()) native(() => this.addon.setData(program, this.#data));
  }

  async run(request: RunRequest): Promise<RunResult> {
    this.#check();
    const { state, signal, onProgress } = request;
    if (!(state instanceof CpuState) || state.program !== this)
      throw new OptionError('the state belongs to another program; create it with this one');
    const handle = state.use();
    checkRun(this.spec, request);
    if (signal?.aborted) throw new AbortedError(signal.reason, false);
    const total = state.particles * request.steps;
    const begun = performance.now();
    const { handle: run, promise } = native(() =>
      this.addon.run(handle, {
        steps: request.steps,
        firstStep: request.firstStep,
        ...key(request.seed),
        antithetic: request.antithetic,
        perStep: request.record === 'perStep',
        theta: nativeTheta(request.theta),
      }),
    );
    const cancel = () => this.addon.cancel(run);
    signal?.addEventListener('abort', cancel, { once: true });
    // What onProgress throws ends the run and rejects it; out of a timer it would end the process.
    let thrown: { readonly error: unknown } | undefined;
    const report = () => {
      try {
        this.#report(run, total, begun, onProgress!);
      } catch (error) {
        thrown ??= { error };
        clearInterval(timer);
        cancel();
      }
    };
    const timer = onProgress && setInterval(report, PROGRESS_MS);
    try {
      const result = await promise;
      const metrics: Record<string, MetricRecord> = {};
      this.spec.metrics.forEach((name, i) => {
        metrics[name] = result.metrics[i];
      });
      return { ...result, metrics };
    } catch (error) {
      if (thrown) throw thrown.error;
      if ((error as { code?: string }).code === 'ERR_ABORTED') throw new AbortedError(signal?.reason);
      throw translated(error);
    } finally {
      clearInterval(timer);
      signal?.removeEventListener('abort', cancel);
    }
  }

  plan(): ProgramPlan {
    this.#check();
    const lanes = widestLanes(this.planned, this.vectorWidth);
    return {
      device: 'cpu',
      text: this.planned.text,
      lanes,
      arenaBytes: 4 * (this.planned.varyingRows * lanes + this.planned.uniformWords),
      stateBytesPerParticle: 4 * this.planned.stateRows,
      flopsPerStep: this.planned.flopsPerStep,
    };
  }

  /** A copy of rows of `state`, in the tile width that suits their number. */
  async gather(state: CpuState, ancestors: Int32Array): Promise<DriverState> {
    this.#check();
    checkAncestors(ancestors, state.particles);
    const lanes = lanesFor(this.planned, ancestors.length, this.vectorWidth);
    if (lanes === state.lanes) {
      const handle = await nativeAsync(() => this.addon.gatherState(state.use(), ancestors));
      return this.wrap(handle, lanes);
    }
    const { leaves, t, fresh } = await state.export();
    return this.importState({
      leaves: leaves.map((leaf, i) => gatherRows(leaf, sizeOf(this.spec.state[i].shape), ancestors)),
      t: gatherRows(t, 1, ancestors),
      fresh: gatherRows(fresh, 1, ancestors),
    });
  }

  wrap(handle: StateHandle, lanes: number): CpuState {
    return new CpuState(this, this.addon, handle, lanes);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const program of this.#variants.values()) this.addon.dispose(program);
    this.#variants.clear();
    this.onDispose(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #variant(lanes: number): ProgramHandle {
    let program = this.#variants.get(lanes);
    if (!program) {
      const { planned } = this;
      program = native(() =>
        this.addon.loadProgram(
          this.engine,
          planned.words(lanes),
          planned.constants,
          this.#data,
          planned.leaves,
        ),
      );
      this.#variants.set(lanes, program);
    }
    return program;
  }

  #report(run: RunHandle, total: number, begun: number, onProgress: NonNullable<RunRequest['onProgress']>) {
    const done = this.addon.progress(run);
    const rate = done / ((performance.now() - begun) / 1000);
    onProgress({
      done,
      total,
      rate,
      etaSeconds: rate > 0 ? (total - done) / rate : Number.POSITIVE_INFINITY,
    });
  }

  #check() {
    if (this.#disposed) throw new DisposedError('this program');
  }
}

function gatherRows<T extends TypedArray>(values: T, width: number, rows: Int32Array): T {
  const out = new (values.constructor as new (n: number) => T)(rows.length * width);
  rows.forEach((row, i) => {
    out.set(values.subarray(row * width, (row + 1) * width), i * width);
  });
  return out;
}

const ELEMENT = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;

class CpuState implements DriverState {
  readonly particles: number;
  readonly bytes: number;
  #handle: StateHandle | null;

  constructor(
    readonly program: CpuProgram,
    private readonly addon: NativeAddon,
    handle: StateHandle,
    readonly lanes: number,
  ) {
    this.#handle = handle;
    const info = addon.stateInfo(handle);
    this.particles = info.particles;
    this.bytes = info.bytes;
  }

  /** The native handle. @throws DisposedError */
  use(): StateHandle {
    if (this.#handle === null) throw new DisposedError('this state');
    return this.#handle;
  }

  async export(): Promise<StateSnapshot> {
    const snapshot = await nativeAsync(() => this.addon.exportState(this.use()));
    const { state } = this.program.spec;
    return {
      leaves: snapshot.leaves.map((buffer, i) => new ELEMENT[state[i].dtype](buffer)),
      t: snapshot.t,
      fresh: snapshot.fresh,
    };
  }

  gather(ancestors: Int32Array): Promise<DriverState> {
    return this.program.gather(this, ancestors);
  }

  dispose(): void {
    if (this.#handle === null) return;
    this.addon.dispose(this.#handle);
    this.#handle = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
