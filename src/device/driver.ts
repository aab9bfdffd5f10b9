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
  /** The transposed program, to run back through this program's states. */
  loadReverse(spec: ReverseSpec): LoadedReverse;
  dispose(): void;
  [Symbol.dispose](): void;
}

/**
 * A traced function to be run as one copy (jit). The graph's inputs have role 'value' and the path of a leaf of `inputs` (leaves that it
 * does not read need not appear); its outputs are `outputs`, by path. Random draws share `all` only; they use Philox stream 0.
 */
export interface FunctionSpec {
  readonly graph: Graph;
  readonly inputs: readonly LeafSpec[];
  readonly outputs: readonly LeafSpec[];
  /** Pairs (input, output) of one type: the caller gives the input's memory up, and the output may be written over it. */
  readonly donations?: readonly (readonly [input: number, output: number])[];
}

export interface FunctionCall {
  /** In the order of `spec.inputs`; bool as Uint8Array of 0/1. Read only, but for donated ones. */
  readonly inputs: readonly TypedArray[];
  /** Arrays to write outputs to, by index; where there is none a new array is made. For a donation, the input itself may be given. */
  readonly into?: readonly (TypedArray | undefined)[];
  /** Key and step of the draws; default 0. */
  readonly seed?: number;
  readonly step?: number;
}

/** What a device made of a function. */
export interface FunctionPlan {
  readonly device: DeviceKind;
  /** Readable listing of the stages and their instructions. */
  readonly text: string;
  /** Arena buffers and bytes that one call holds, without inputs and outputs. */
  readonly buffers: number;
  readonly arenaBytes: number;
  /** Multiply-adds counted twice, per call. */
  readonly flops: number;
}

export interface LoadedFunction {
  readonly spec: FunctionSpec;
  /** Runs now and blocks until the outputs (in the order of `spec.outputs`) are there. */
  callSync(call: FunctionCall): TypedArray[];
  /** Off the event loop. Inputs are copied before it returns (donated ones are not: they must stay alone until it resolves). */
  call(call: FunctionCall, signal?: AbortSignal): Promise<TypedArray[]>;
  plan(): FunctionPlan;
  dispose(): void;
  [Symbol.dispose](): void;
}

/**
 * The transposed program of an unroll: what goes back through one step, and through the start of an episode. Cotangents of the state
 * leaves and the accumulated gradient of theta are its own state.
 *
 * `backwardStep`: inputs theta, data, t, particle, role 'primal' (the state before the step, by leaf path; after the step, by
 * `nextPath` of reverse-graph.ts), role 'state' with paths
 * `cotangent.<state path>` (float32 leaves only), `gradient.<theta path>` and `lossWeight` (a scalar); outputs `state.cotangent.<path>`: the
 * cotangent before the step of lossWeight * loss + cotangent . next state; `state.gradient.<path>`: the gradient with this step's share added;
 * `state.lossWeight` as it was; and `loss`, a constant 0. Draws are those of the step (stream 0).
 * `backwardInit`: inputs theta, data, particle, role 'state' as above; outputs `state.*` the same: the gradient with the share of init
 * added, and cotangents 0. Applied to the particles whose episode began at the step just gone back through. Draws are those of init (stream 1).
 * `state`: the leaves of role 'state', in order: cotangents, gradients, lossWeight.
 */
export interface ReverseSpec {
  readonly backwardInit: Graph;
  readonly backwardStep: Graph;
  readonly state: readonly LeafSpec[];
}

/** Which states of the forward sweep are kept; the others are computed again. */
export type CheckpointSchedule =
  /** Every `every`-th state; `every` = 1 keeps all. */
  | { readonly kind: 'every'; readonly every: number }
  /** At most `slots` states at a time, in the order that needs the fewest forward steps (Griewank & Walther 2000, Revolve). */
  | { readonly kind: 'binomial'; readonly slots: number };

export interface ReverseRequest extends RunRequest {
  readonly schedule: CheckpointSchedule;
  /** Cotangents of the final state per leaf of `spec.state` ([particles, ...shape]), default 0. int32 and bool leaves have none. */
  readonly finalCotangents?: readonly (Float32Array | undefined)[];
  /** [particles] weight of each particle's losses; default 1. */
  readonly lossWeights?: Float32Array;
}

/** RunResult, and the gradients of sum over the run's steps of the losses (weighted) + finalCotangents . final state. The state is advanced as by `run`. */
export interface ReverseResult extends RunResult {
  /** [particles, P] float32 */
  readonly thetaGradients: Float32Array;
  /** Per leaf of `spec.state`, [particles, ...shape] float32, with respect to the state the run began with; undefined for int32 and bool leaves; zero where it was fresh. */
  readonly stateGradients: readonly (Float32Array | undefined)[];
  readonly cost: ReverseCost;
}

/** What a reverse run takes, known before it runs. */
export interface ReverseCost {
  /** Steps advanced per particle: those of the run, and those repeated. */
  readonly forwardSteps: number;
  /** States kept at a time. */
  readonly slots: number;
  /** Bytes of the kept states at the peak, over all particles that are under way at once. */
  readonly keptBytes: number;
  /** All that going back takes beside the particles' own states: kept states, cotangents, gradients, arenas. */
  readonly peakBytes: number;
}

export interface LoadedReverse {
  run(request: ReverseRequest): Promise<ReverseResult>;
  /** What a run takes; `run` reports the same. */
  cost(steps: number, particles: number, schedule: CheckpointSchedule): ReverseCost;
  /** Bytes that one kept state takes, of all particles under way at once. */
  slotBytes(particles: number): number;
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
  /** One copy of a function. Throws UnsupportedOpError for an op the device lacks. */
  loadFunction(spec: FunctionSpec): LoadedFunction;
  dispose(): Promise<void>;
}
