/**
 * The one way down: what every device (cpu, tfjs, later cuda) implements. Nothing above this file knows which device runs.
 *
 * A driver receives traced graphs (`UnrollSpec`), never user functions. Flat theta: the leaves of `spec.theta` in order, each
 * row-major, concatenated to a vector of P float32.
 */
import type { DType, Graph, Shape, TypedArray } from '../graph/graph.js';

export type DeviceKind = 'cpu' | 'tfjs' | 'cuda';

/** One leaf of a nested structure: its dotted path, shape and dtype (per particle). */
export interface LeafSpec {
  readonly path: string;
  readonly shape: Shape;
  readonly dtype: DType;
}

/**
 * A traced unroll. `init` has inputs of roles theta, data, particle and outputs `state.<path>`; `step` has inputs theta, state,
 * data, t, particle and outputs `state.<path>`, `loss` (float32 scalar) and `metrics.<name>` (float32 scalars). An input's
 * path is the leaf's path; leaves that a graph does not read need not appear in it. Random draws of `init` use Philox stream
 * 1, those of `step` stream 0 (random/philox.ts).
 */
export interface UnrollSpec {
  readonly init: Graph;
  readonly step: Graph;
  readonly theta: readonly LeafSpec[];
  readonly state: readonly LeafSpec[];
  readonly data: readonly LeafSpec[];
  readonly metrics: readonly string[];
  /** Steps in an episode; Infinity for an endless one. */
  readonly horizon: number;
}

/** Theta of a run. */
export type ThetaInput =
  /** values [P]: the same for every particle */
  | { readonly kind: 'shared'; readonly values: Float32Array }
  /** values [particles, P] */
  | { readonly kind: 'perParticle'; readonly values: Float32Array }
  /**
   * theta_i = mean + (sign_i * sigma) * eps, each op rounded to float32; eps ~ N(0, 1) from Philox (seed; stream 2, draw 0, step
   * `noiseStep`, subject = pair). sign is -1 for particles >= particles/2 of an antithetic run, else +1. Without
   * antithetic pairs, pair = particle. `noiseStep`: one number (uint32) for all, or one per pair.
   */
  | {
      readonly kind: 'perturbed';
      readonly mean: Float32Array;
      readonly sigma: Float32Array;
      readonly seed: number;
      readonly noiseStep: number | Uint32Array;
    };

export interface RunProgress {
  /** Particle-steps done so far in this run, and in all. */
  readonly done: number;
  readonly total: number;
  /** Particle-steps per second since the run began; estimated seconds to its end. */
  readonly rate: number;
  readonly etaSeconds: number;
}

export interface RunRequest {
  /** Advanced in place by `steps` steps. A state serves one run at a time. */
  readonly state: DriverState;
  readonly steps: number;
  readonly theta: ThetaInput;
  /** Key of the draws inside init and step. */
  readonly seed: number;
  /** Global number (uint32) of the run's first step: the Philox step of its draws; the caller carries it on from run to run. */
  readonly firstStep: number;
  /** Pairs (i, i + particles/2) share pair draws, and carry opposite signs of a perturbation. Particles must be even. */
  readonly antithetic: boolean;
  /** 'perStep' also records every step's loss and metrics: (1 + metrics) * steps * particles floats. */
  readonly record: 'sum' | 'perStep';
  readonly signal?: AbortSignal;
  /** Called at most about ten times a second. */
  readonly onProgress?: (progress: RunProgress) => void;
}

export interface RunResult {
  /**
   * [2, particles] float64: per particle the sum of the losses of this run up to and including the first step that ends an
   * episode, and the sum of those after it. Losses are float32, the sums float64.
   */
  readonly lossSums: Float64Array;
  /** [particles] int32: how many steps of this run belong to the first of the two sums. */
  readonly firstSteps: Int32Array;
  /** [steps, particles] float32 when recorded per step. */
  readonly losses?: Float32Array;
  readonly metrics: Readonly<Record<string, MetricRecord>>;
}

export interface MetricRecord {
  /** [particles] float64: sum over the run's steps. */
  readonly sums: Float64Array;
  /** [particles] float32: at the last step. */
  readonly last: Float32Array;
  /** [steps, particles] float32 when recorded per step. */
  readonly perStep?: Float32Array;
}

/** A state copied out: everything the next step needs. */
export interface StateSnapshot {
  /** In the order of `spec.state`, each [particles, ...shape]; bool as Uint8Array of 0/1. */
  readonly leaves: readonly TypedArray[];
  /** [particles] int32: the step within the episode that comes next. */
  readonly t: Int32Array;
  /** [particles] 0/1: 1 where the next step first runs `init` (a new state, or an episode that has ended). */
  readonly fresh: Uint8Array;
}

/** Inner states of all particles, on the device. Disposing twice is allowed; use after it throws DisposedError. */
export interface DriverState {
  readonly particles: number;
  /** Bytes held on the device. */
  readonly bytes: number;
  export(): Promise<StateSnapshot>;
  /** A new state of `ancestors.length` particles: particle i is a copy of particle ancestors[i] of this one. */
  gather(ancestors: Int32Array): Promise<DriverState>;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** What a device made of a program, for `explain` and tests. */
export interface ProgramPlan {
  readonly device: DeviceKind;
  /** Readable listing of the blocks and their instructions. */
  readonly text: string;
  readonly lanes: number;
  /** Bytes of arena per thread, of state per particle. */
  readonly arenaBytes: number;
  readonly stateBytesPerParticle: number;
  /** Multiply-adds counted twice, per particle and step. */
  readonly flopsPerStep: number;
}

export interface LoadedProgram {
  readonly spec: UnrollSpec;
  /** All particles fresh. `t` [particles] staggers the first episode: it starts at step t of `horizon`, hence ends early. */
  createState(particles: number, t?: Int32Array): DriverState;
  importState(snapshot: StateSnapshot): Promise<DriverState>;
  /** Replaces the data inputs, in the order of `spec.data`; copied. Runs that have already begun keep the old data. */
  setData(values: readonly TypedArray[]): void;
  /**
   * Rejects with AbortedError when the signal fires (the state is then partly advanced and refuses further runs), DeviceError code
   * ERR_BUSY when the state is already in a run, OptionError on anything malformed.
   */
  run(request: RunRequest): Promise<RunResult>;
  plan(): ProgramPlan;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Rows of standard normals from counters: row i has subject i; stream 2 (perturbations), draw 0. */
export interface NoiseRows {
  readonly rows: number;
  readonly dim: number;
  readonly seed: number;
  /** One Philox step for all rows, or one per row. */
  readonly noiseStep: number | Uint32Array;
}

/** Perturbation kernels, the same numbers as `ThetaInput` of kind 'perturbed' draws. */
export interface NoiseKernels {
  /** [rows, dim] float32 N(0, 1) */
  fill(noise: NoiseRows): Promise<Float32Array>;
  /** accumulator [rows, dim] += scale [dim] * eps, in place. */
  accumulate(accumulator: Float32Array, scale: Float32Array, noise: NoiseRows): Promise<void>;
  /** sum_i weights[i] * matrix[i, :]: float64 [dim], summed in blocks of 256 rows in order, whatever the threads. */
  weightedRowSum(weights: Float64Array, matrix: Float32Array, dim: number): Promise<Float64Array>;
}

export interface DeviceDriver {
  readonly kind: DeviceKind;
  /** One line: what it runs on (instruction level and threads, or the tfjs backend). */
  readonly description: string;
  /** Why something better was not chosen; empty when nothing was missed. */
  readonly notes: readonly string[];
  readonly noise: NoiseKernels;
  /** `data` in the order of `spec.data`. Throws UnsupportedOpError for an op the device lacks. */
  load(spec: UnrollSpec, data: readonly TypedArray[]): LoadedProgram;
  dispose(): Promise<void>;
}
