/**
 * The native addon: finding and loading it, and the declaration of everything it exports. Nothing here computes, and importing
 * this module loads nothing: `loadNative` does, once, and reports a reason instead of throwing.
 *
 * Every function of the addon checks its arguments and throws an Error with a `code` of errors.ts: ERR_OPTION (malformed
 * argument or program words), ERR_DISPOSED, ERR_BUSY (the state is in use by a run, or by an export or gather), ERR_ABORTED,
 * ERR_DEVICE (out of memory, no kernels, a state left partly advanced). Promises reject with the same errors. Buffers passed in
 * are copied before a call returns, so they may be changed, transferred or collected at once.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TypedArray } from '../../graph/graph.js';

/** Version of the declarations below; an addon built from other sources is refused. */
export const NATIVE_ABI = 2;

declare const handle: unique symbol;
/** Opaque objects owned by the addon; freed by `dispose`, or by a finaliser once unreachable. */
export interface EngineHandle {
  readonly [handle]: 'engine';
}
export interface ProgramHandle {
  readonly [handle]: 'program';
}
export interface StateHandle {
  readonly [handle]: 'state';
}
export interface FunctionHandle {
  readonly [handle]: 'function';
}
export interface ReverseHandle {
  readonly [handle]: 'reverse';
}
export interface RunHandle {
  readonly [handle]: 'run';
}

/** One instruction level: built into the addon or not, and whether this processor can run it. */
export interface NativeLevel {
  readonly name: string;
  readonly supported: boolean;
  /** float32 lanes of one vector register. */
  readonly vectorWidth: number;
}

export interface NativeInfo {
  /** Levels built in, lowest first. */
  readonly levels: readonly NativeLevel[];
  /** The highest supported one, or null when none is. */
  readonly bestLevel: string | null;
  readonly hardwareThreads: number;
  readonly compiler: string;
  readonly sanitized: boolean;
}

/** Live native objects and bytes of the whole process (all worker threads), for `inspect` and leak tests. */
export interface NativeCounters {
  readonly engines: number;
  readonly programs: number;
  readonly functions: number;
  readonly states: number;
  /** Runs and other background work that has not finished. */
  readonly jobs: number;
  readonly threads: number;
  readonly programBytes: number;
  readonly stateBytes: number;
  /** Working memory: per thread of programs that have run, per simultaneous call of functions. */
  readonly arenaBytes: number;
}

/** Philox source of perturbation noise: key words, and one step for all rows or one per row (or pair). */
export interface NativeNoise {
  readonly key0: number;
  readonly key1: number;
  readonly step: number | Uint32Array;
}

export type NativeTheta =
  | { readonly kind: 'shared'; readonly values: Float32Array }
  | { readonly kind: 'perParticle'; readonly values: Float32Array }
  | {
      readonly kind: 'perturbed';
      readonly mean: Float32Array;
      readonly sigma: Float32Array;
      readonly noise: NativeNoise;
    };

export interface NativeRunRequest {
  /** 1 .. 2^31 - 1 */
  readonly steps: number;
  readonly firstStep: number;
  readonly key0: number;
  readonly key1: number;
  readonly antithetic: boolean;
  readonly perStep: boolean;
  readonly theta: NativeTheta;
}

export interface NativeMetric {
  readonly sums: Float64Array;
  readonly last: Float32Array;
  readonly perStep?: Float32Array;
}

/** As RunResult of driver.ts; metrics in the order of the program's words. */
export interface NativeRunResult {
  readonly lossSums: Float64Array;
  readonly firstSteps: Int32Array;
  readonly losses?: Float32Array;
  readonly metrics: readonly NativeMetric[];
}

export interface NativeReverseResult {
  /** [particles, P] */
  readonly thetaGradients: Float32Array;
  /** Per pair of `cotangents`, [particles, elements]; null where that is empty. */
  readonly stateGradients: readonly Float32Array[];
}

export interface NativeRun {
  readonly handle: RunHandle;
  readonly promise: Promise<NativeRunResult>;
}

export interface NativeSnapshot {
  /** In the order of the program's leaves, [particles, elements]: the raw words, or one byte an element for bool. */
  readonly leaves: readonly ArrayBuffer[];
  readonly t: Int32Array;
  readonly fresh: Uint8Array;
}

export interface NativeAddon {
  readonly abi: number;
  info(): NativeInfo;
  counters(): NativeCounters;

  /**
   * `level`: 'base', 'avx2', ...; null takes UNROLLED_ISA, else the best one. `threads`: null takes UNROLLED_THREADS, else the
   * hardware's. Engines with the same number of threads share one pool. Throws ERR_OPTION for a level or a count that cannot be had.
   */
  openEngine(options: { readonly level?: string | null; readonly threads?: number | null }): EngineHandle;
  engineInfo(engine: EngineHandle): {
    readonly level: string;
    readonly vectorWidth: number;
    readonly threads: number;
  };

  /**
   * `words`: see native/engine/program.h. `data`: leaves that are concatenated in order to the D space (Uint8Array holds bools and
   * is widened to int32). `leaves`: triples (first row in S, elements, 1 for bool else 0), the order of a snapshot.
   */
  loadProgram(
    engine: EngineHandle,
    words: Int32Array,
    constants: Int32Array | Uint32Array | Float32Array,
    data: readonly TypedArray[],
    leaves: Int32Array,
  ): ProgramHandle;
  /** Replaces the D space; runs in flight keep the old one. */
  setData(program: ProgramHandle, data: readonly TypedArray[]): void;
  /** Working memory of one thread, in bytes. */
  arenaBytes(program: ProgramHandle): number;

  /** All particles fresh; `t` as in driver.ts, null for zeros. */
  createState(program: ProgramHandle, particles: number, t: Int32Array | null): StateHandle;
  importState(
    program: ProgramHandle,
    leaves: readonly TypedArray[],
    t: Int32Array,
    fresh: Uint8Array,
  ): Promise<StateHandle>;
  exportState(state: StateHandle): Promise<NativeSnapshot>;
  gatherState(state: StateHandle, ancestors: Int32Array): Promise<StateHandle>;
  stateInfo(state: StateHandle): {
    readonly particles: number;
    readonly bytes: number;
    readonly busy: boolean;
  };

  run(state: StateHandle, request: NativeRunRequest): NativeRun;
  /** The run's promise then rejects with ERR_ABORTED; without effect on a run that has ended. */
  cancel(run: RunHandle): void;
  /** Particle-steps done so far. */
  progress(run: RunHandle): number;

  /** `words`: a function of native/engine/program.h. `bools[i]` is 1 where external i is bool (a Uint8Array outside). */
  loadFunction(
    engine: EngineHandle,
    words: Int32Array,
    constants: Int32Array | Uint32Array | Float32Array,
    bools: Uint8Array,
  ): FunctionHandle;
  /** Runs on the calling thread, with the pool's help where the function is big enough; blocks. `externals`: one array each, inputs then outputs. */
  callFunction(
    fn: FunctionHandle,
    externals: readonly TypedArray[],
    key0: number,
    key1: number,
    step: number,
  ): void;
  /** The same on the pool. The arrays are referenced until the promise settles; who calls copies what may change. */
  callFunctionAsync(
    fn: FunctionHandle,
    externals: readonly TypedArray[],
    key0: number,
    key1: number,
    step: number,
  ): { readonly handle: RunHandle; readonly promise: Promise<void> };

  /**
   * The reverse program (space P is this program's state before the step, and with `readsNext` after it the state after the step; `words` as for loadProgram, state rows = cotangents and gradients) of `program`.
   * `gradientRow`: first row in S of the gradients of theta (as many as theta has elements); `weightRow`: row in S of the weight of the losses;
   * `cotangents`: pairs (first row in S, elements) per float32 leaf of the state. All other rows of S begin at 0.
   */
  loadReverse(
    program: ProgramHandle,
    words: Int32Array,
    constants: Int32Array | Uint32Array | Float32Array,
    readsNext: boolean,
    gradientRow: number,
    weightRow: number,
    cotangents: Int32Array,
  ): ReverseHandle;
  /** Bytes of one slot, and of everything else that a thread needs for going back. */
  reverseBytes(reverse: ReverseHandle): { readonly slot: number; readonly working: number };
  /**
   * `actions`: the sweep, as pairs of words: (0, s) keep the present state in slot s; (1, n) advance n steps; (2, s) restore the state of slot s;
   * (3, 0) back through the step that begins at the present state, the last step being advanced first. `slots`: how many slots. A step's first time is recorded, its repetitions are
   * not. `finalCotangents`: per pair of `cotangents`, [particles, elements] or null.
   */
  runReverse(
    reverse: ReverseHandle,
    state: StateHandle,
    request: NativeRunRequest & {
      readonly actions: Int32Array;
      readonly slots: number;
      readonly finalCotangents: readonly (Float32Array | null)[];
      readonly lossWeights: Float32Array | null;
    },
  ): { readonly handle: RunHandle; readonly promise: Promise<NativeRunResult & NativeReverseResult> };

  /** [rows, dim] N(0, 1). */
  fillNormal(engine: EngineHandle, rows: number, dim: number, noise: NativeNoise): Promise<Float32Array>;
  /** accumulator [rows, dim] += scale[j] * eps. The array is written when the promise resolves. */
  addNormal(
    engine: EngineHandle,
    accumulator: Float32Array,
    scale: Float32Array,
    noise: NativeNoise,
  ): Promise<void>;
  weightedRowSum(
    engine: EngineHandle,
    weights: Float64Array,
    matrix: Float32Array,
    dim: number,
  ): Promise<Float64Array>;

  /** Idempotent. Work in flight keeps what it needs until it ends. */
  dispose(handle: EngineHandle | ProgramHandle | StateHandle | FunctionHandle | ReverseHandle): void;
}

export type NativeLoad =
  | { readonly ok: true; readonly native: NativeAddon; readonly path: string }
  /** `reason`: one sentence for people, naming the file and what to do. */
  | { readonly ok: false; readonly reason: string; readonly path: string };

/** Root of the package, from src/device/cpu/ and dist/device/cpu/ alike. */
const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

/** musl's loader is mapped into every process that uses it; the process report is the slower, portable answer. */
function usesMusl(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return readFileSync('/proc/self/maps', 'utf8').includes('musl');
  } catch {
    const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
    return report?.header?.glibcVersionRuntime === undefined;
  }
}

/** Folder name of this platform's addon under prebuilds/: `linux-x64`, `linux-x64-musl`, `darwin-arm64`, ... */
export function prebuildFolder(): string {
  return `${process.platform}-${process.arch}${usesMusl() ? '-musl' : ''}`;
}

/** Where the addon is looked for: UNROLLED_ADDON when set (and then nowhere else), or prebuilds/. */
export function nativePath(environment: NodeJS.ProcessEnv = process.env): string {
  return environment.UNROLLED_ADDON || join(packageRoot, 'prebuilds', prebuildFolder(), 'unrolled.node');
}

/**
 * Loads the addon at `path` (default: `nativePath()`). Never throws: a missing file, a file of another platform or of
 * another version yields `{ ok: false, reason }`. Repeated calls return the same addon, since Node caches it by path.
 */
export function loadNative(path: string = nativePath()): NativeLoad {
  try {
    const native = createRequire(import.meta.url)(path) as NativeAddon;
    if (native?.abi !== NATIVE_ABI) {
      const reason = `the native addon ${path} has interface version ${native?.abi}, this library needs ${NATIVE_ABI}: rebuild it with \`npm run build:native\``;
      return { ok: false, reason, path };
    }
    return { ok: true, native, path };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'MODULE_NOT_FOUND') {
      const advice = process.env.UNROLLED_ADDON
        ? 'UNROLLED_ADDON names it'
        : 'in a checkout, `npm run build:native` makes it (CMake and a C++20 compiler)';
      return {
        ok: false,
        reason: `there is no native addon for ${prebuildFolder()} at ${path}: ${advice}`,
        path,
      };
    }
    const firstLine = String(message).split('\n')[0];
    return { ok: false, reason: `the native addon ${path} could not be loaded: ${firstLine}`, path };
  }
}
