/** An unroll on the native device, and its states. */
import { AbortedError, DisposedError, OptionError } from '../../errors.js';
import { sizeOf, type TypedArray } from '../../graph/graph.js';
import {
  checkAncestors,
  checkLeaves,
  checkParticles,
  checkRun,
  checkSnapshot,
  checkStagger,
} from '../checks.js';
import type {
  DriverState,
  LoadedProgram,
  LoadedReverse,
  MetricRecord,
  ProgramPlan,
  ReverseSpec,
  RunRequest,
  RunResult,
  StateSnapshot,
  UnrollSpec,
} from '../driver.js';
import { awaitRun, native, nativeAsync, nativeRequest } from './calls.js';
import { lanesFor, widestLanes } from './lanes.js';
import type { EngineHandle, NativeAddon, NativeMetric, ProgramHandle, StateHandle } from './native.js';
import type { CpuPlan } from './plan.js';
import { CpuReverse } from './reverse.js';

/** One plan, loaded once for each tile width that its states use. */
export class CpuProgram implements LoadedProgram {
  readonly #variants = new Map<number, ProgramHandle>();
  readonly #reverses = new Set<CpuReverse>();
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
    const { state, signal } = request;
    const { handle } = this.use(state);
    checkRun(this.spec, request);
    if (signal?.aborted) throw new AbortedError(signal.reason, false);
    const run = native(() => this.addon.run(handle, nativeRequest(request)));
    const result = await awaitRun(this.addon, run, state.particles * request.steps, request);
    return { ...result, metrics: this.metrics(result.metrics) };
  }

  /** Metrics of a native result by name. */
  metrics(records: readonly NativeMetric[]): Record<string, MetricRecord> {
    return Object.fromEntries(this.spec.metrics.map((name, i) => [name, records[i]]));
  }

  /** The native handle of a state, and the program that it runs. @throws OptionError, DisposedError */
  use(state: DriverState): {
    readonly handle: StateHandle;
    readonly program: ProgramHandle;
    readonly lanes: number;
  } {
    this.#check();
    if (!(state instanceof CpuState) || state.program !== this)
      throw new OptionError('the state belongs to another program; create it with this one');
    return { handle: state.use(), program: this.#variant(state.lanes), lanes: state.lanes };
  }

  /** Tile width of a state of `particles`. */
  lanes(particles: number): number {
    return lanesFor(this.planned, particles, this.vectorWidth);
  }

  /** The loaded program of a tile width. */
  loaded(lanes: number): ProgramHandle {
    this.#check();
    return this.#variant(lanes);
  }

  loadReverse(spec: ReverseSpec): LoadedReverse {
    this.#check();
    const reverse = new CpuReverse(this.addon, this.engine, this, spec, (ended) =>
      this.#reverses.delete(ended),
    );
    this.#reverses.add(reverse);
    return reverse;
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
    for (const reverse of [...this.#reverses]) reverse.dispose();
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

export class CpuState implements DriverState {
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
