/** A compiled unroll on a device: what runs particles. */
import type {
  LoadedProgram,
  LoadedReverse,
  MetricRecord,
  NoiseKernels,
  ProgramPlan,
  ReverseCost,
  RunProgress,
  RunRequest,
  RunResult,
  StateSnapshot,
  ThetaInput,
} from '../device/driver.js';
import { CheckpointError, DisposedError, OptionError } from '../errors.js';
import { sizeOf, type TypedArray } from '../graph/graph.js';
import { printGraph } from '../graph/print.js';
import { checkBoolean, checkChoice, checkInteger, checkKeys } from '../options.js';
import { describe, toSeed } from '../random/philox.js';
import {
  type CheckpointArray,
  decodeCheckpoint,
  encodeCheckpoint,
  programFingerprint,
  snapshotArrays,
} from './checkpoint.js';
import type { CompiledUnroll } from './compile.js';
import type { InputsOf } from './leaf.js';
import { PerturbedTheta } from './perturbed.js';
import {
  type Checkpoints,
  checkpointSchedule,
  type GradientOptions,
  gradientStructures,
  readCotangents,
  readWeights,
  type UnrollGradient,
} from './reverse.js';
import { type ExportedState, UnrollState } from './state.js';
import { packSigma, type ThetaLayout } from './theta-layout.js';

export interface RunOptions<Theta, State> {
  /** Advanced in place. A state serves one run at a time. */
  readonly state: UnrollState<State>;
  /**
   * The outer parameters: a structure like the definition's. A leaf is given once for all particles (a
   * number, an array, a tensor), or with a leading axis of `particles`; or `perturbed({...})`.
   */
  readonly theta: InputsOf<Theta> | PerturbedTheta<InputsOf<Theta>>;
  /** Steps to run, at least 1. */
  readonly steps: number;
  /** Integer in 0..2^53-1: the key of all random draws. The same seed gives the same numbers. */
  readonly seed: number;
  /** Particles i and i + particles / 2 form a pair: they share pair draws. Default false. */
  readonly antithetic?: boolean;
  /** 'perStep' also returns every step's loss and metrics. Default 'sum'. */
  readonly record?: 'sum' | 'perStep';
  readonly signal?: AbortSignal;
  /** Called about ten times a second. */
  readonly onProgress?: (progress: RunProgress) => void;
}

export interface UnrollRun<MetricName extends string = string> {
  /** Mean over particles and steps. */
  readonly meanLoss: number;
  /** [particles]: sum over the run's steps. */
  readonly lossSums: Float64Array;
  /** [steps, particles] when recorded per step. */
  readonly losses?: Float32Array;
  readonly metrics: Readonly<Record<MetricName, MetricRecord>>;
}

const RUN_KEYS = ['state', 'theta', 'steps', 'seed', 'antithetic', 'record', 'signal', 'onProgress'] as const;
const GRADIENT_KEYS = [...RUN_KEYS, 'checkpoints', 'finalCotangents', 'lossWeights'] as const;

/**
 * A definition compiled for a device; State is the structure of typed arrays of an exported state. Holds
 * device memory until `dispose`. Made by `device.compile`.
 */
export class UnrollProgram<Theta, State, Metrics> {
  /** The program on its device, for code that drives it with flat arrays. */
  readonly loaded: LoadedProgram;
  /** The device's perturbation kernels. */
  readonly noise: NoiseKernels;
  /** Between structures of outer parameters and flat vectors. */
  readonly theta: ThetaLayout<Theta>;
  /** Identifies what a checkpoint must fit: the leaves of theta and state, and the horizon. */
  readonly fingerprint: string;
  readonly #compiled: CompiledUnroll<Theta>;
  #reverse: LoadedReverse | undefined;
  #disposed = false;

  /** @internal */
  constructor(loaded: LoadedProgram, noise: NoiseKernels, compiled: CompiledUnroll<Theta>) {
    this.loaded = loaded;
    this.noise = noise;
    this.theta = compiled.theta;
    this.#compiled = compiled;
    const { spec } = compiled;
    this.fingerprint = programFingerprint(spec.theta, spec.state, spec.horizon);
  }

  /** Steps in an episode; Infinity for an endless one. */
  get horizon(): number {
    return this.#compiled.spec.horizon;
  }

  /** Names of the metrics. */
  get metrics(): readonly (keyof Metrics & string)[] {
    return this.#compiled.spec.metrics as readonly (keyof Metrics & string)[];
  }

  /** The traced graphs as readable text. */
  get graphs(): { readonly init: string; readonly step: string } {
    const { init, step } = this.#compiled.spec;
    return { init: printGraph(init), step: printGraph(step) };
  }

  #check(): void {
    if (this.#disposed) throw new DisposedError('the program');
  }

  /**
   * New states, all at the start of an episode. `stagger` [particles] lets the first episode of particle i
   * begin at step stagger[i] of the horizon, so that it ends early; its state is an ordinary initial one.
   * Throws OptionError on a malformed count or stagger.
   */
  createState(particles: number, options: { readonly stagger?: ArrayLike<number> } = {}): UnrollState<State> {
    this.#check();
    checkInteger(particles, 'particles', 1, 0x7fffffff);
    checkKeys(options, ['stagger'], 'createState');
    const { stagger } = options;
    let t: Int32Array | undefined;
    if (stagger !== undefined) {
      if (stagger?.length !== particles) {
        const got = stagger?.length === undefined ? describe(stagger) : stagger.length;
        throw new OptionError(`stagger must have one step per particle (${particles}), got ${got}`);
      }
      const last = Math.min(this.horizon - 1, 0x7fffffff);
      t = Int32Array.from(stagger, (step, i) => checkInteger(step, `stagger[${i}]`, 0, last));
    }
    return this.wrapState(this.loaded.createState(particles, t), 0);
  }

  /** @internal Throws OptionError unless `state` is a state of this program. */
  checkState(state: unknown, where: string): asserts state is UnrollState<State> {
    if (!(state instanceof UnrollState))
      throw new OptionError(`${where} needs a state: program.createState(particles); got ${describe(state)}`);
    if (state.program !== this.loaded)
      throw new OptionError('the state belongs to another program; create it with this one');
  }

  /** @internal */
  wrapState(driver: ReturnType<LoadedProgram['createState']>, stepsDone: number): UnrollState<State> {
    const rebuild = (leaves: StateSnapshot['leaves']) => this.#compiled.rebuildState(leaves) as State;
    return new UnrollState(driver, this.loaded, rebuild, stepsDone);
  }

  /** The inverse of `state.export()`. Rejects with ShapeError naming a leaf that does not fit. */
  async importState(exported: ExportedState<State>): Promise<UnrollState<State>> {
    this.#check();
    checkKeys(exported, ['state', 't', 'fresh', 'stepsDone'], 'importState');
    const { t, fresh } = exported;
    if (!(t instanceof Int32Array)) {
      throw new OptionError(
        `importState needs t, an Int32Array of the step within the episode of every particle, got ${describe(t)}`,
      );
    }
    const leaves = this.#compiled.flattenState(exported.state, t.length);
    const stepsDone = checkInteger(exported.stepsDone, 'stepsDone', 0);
    return this.wrapState(await this.loaded.importState({ leaves, t, fresh }), stepsDone);
  }

  /**
   * A state as one block of bytes (see checkpoint.ts); `loadCheckpoint` makes it a state again. Rejects with
   * OptionError on a state of another program.
   */
  async saveCheckpoint(state: UnrollState<State>): Promise<Uint8Array> {
    this.#check();
    this.checkState(state, 'saveCheckpoint');
    const snapshot = await state.driver.export();
    return encodeCheckpoint({
      kind: 'state',
      fingerprint: this.fingerprint,
      numbers: { stepsDone: state.stepsDone, particles: state.particles },
      arrays: snapshotArrays(this.loaded.spec.state, snapshot),
    });
  }

  /** Rejects with CheckpointError when the bytes are damaged, of a newer version, or of another program. */
  async loadCheckpoint(bytes: Uint8Array): Promise<UnrollState<State>> {
    this.#check();
    const { numbers, arrays } = decodeCheckpoint(bytes, 'state', this.fingerprint);
    return this.restoreState(arrays, Number(numbers.stepsDone));
  }

  /** @internal A state from the arrays of a checkpoint. */
  async restoreState(
    arrays: Readonly<Record<string, CheckpointArray>>,
    stepsDone: number,
  ): Promise<UnrollState<State>> {
    const t = arrays.t as Int32Array;
    const leaves = this.#compiled.spec.state.map(({ path, shape }) => {
      const values = arrays[`state.${path}`];
      if (values?.length !== t.length * sizeOf(shape)) {
        throw new CheckpointError(`the checkpoint is damaged: "${path}" is missing or of the wrong length`);
      }
      return values as TypedArray;
    });
    const driver = await this.loaded.importState({ leaves, t, fresh: arrays.fresh as Uint8Array });
    return this.wrapState(driver, stepsDone);
  }

  /**
   * Advances a state by some steps. Particle-steps are numbered on from run to run, so that two runs of 5
   * steps are one of 10.
   * Rejects with OptionError or ShapeError on anything malformed, AbortedError when the signal fires,
   * DeviceError when the state is already in a run.
   */
  async run(options: RunOptions<Theta, State>): Promise<UnrollRun<keyof Metrics & string>> {
    this.#check();
    checkKeys(options, RUN_KEYS, 'run');
    const result = await this.loaded.run(this.#request(options, 'run'));
    options.state.advance(options.steps);
    return this.#summary(result, options.state.particles, options.steps);
  }

  /** The request of a run, checked. */
  #request(options: RunOptions<Theta, State>, where: string): RunRequest {
    const { state, steps, signal, onProgress, antithetic = false, record = 'sum' } = options;
    this.checkState(state, where);
    checkInteger(steps, 'steps', 1, 0x7fffffff);
    checkChoice(record, 'record', ['sum', 'perStep']);
    checkBoolean(antithetic, 'antithetic');
    const { particles } = state;
    if (antithetic && particles % 2 !== 0) {
      throw new OptionError(`an antithetic run needs an even number of particles, got ${particles}`);
    }
    return {
      state: state.driver,
      steps,
      theta: this.#thetaInput(options.theta, particles),
      seed: toSeed(options.seed),
      firstStep: state.stepsDone >>> 0,
      antithetic,
      record,
      ...(signal !== undefined && { signal }),
      ...(onProgress !== undefined && { onProgress }),
    };
  }

  #summary(result: RunResult, particles: number, steps: number): UnrollRun<keyof Metrics & string> {
    // A plain loop: with a million particles, `from` and `reduce` would hold up the event loop for 70 ms.
    const lossSums = new Float64Array(particles);
    let total = 0;
    for (let i = 0; i < particles; i++) {
      lossSums[i] = result.lossSums[i] + result.lossSums[particles + i];
      total += lossSums[i];
    }
    const meanLoss = total / (particles * steps);
    const metrics = result.metrics as Record<keyof Metrics & string, MetricRecord>;
    return { meanLoss, lossSums, metrics, ...(result.losses && { losses: result.losses }) };
  }

  /**
   * Advances a state like `run` and goes back through the steps: the exact gradient of the sum of each particle's losses with respect to its
   * theta and to the state that the run began with (truncated backpropagation where runs follow each other: nothing flows
   * from one run to the one before). Episodes that begin within the run pass their gradient to `init`. Random draws are constants.
   *
   * Cost: the forward steps (again where states were not kept) and one step of the transposed program each; see `checkpoints`. What is kept
   * belongs to a thread, not to a particle: a tile of particles is done before a thread's next one begins.
   * Rejects like `run`; with TraceError, UnsupportedOpError when the step has no gradient.
   */
  async gradient(
    options: GradientOptions<Theta, State>,
  ): Promise<UnrollGradient<Theta, State, keyof Metrics & string>> {
    this.#check();
    checkKeys(options, GRADIENT_KEYS, 'gradient');
    const { checkpoints, finalCotangents, lossWeights, ...rest } = options;
    const request = this.#request(rest, 'gradient');
    const { particles } = options.state;
    const reverse = this.reverse();
    const { spec } = this.loaded;
    const result = await reverse.run({
      ...request,
      schedule: checkpointSchedule(checkpoints, reverse, options.steps, particles),
      ...(finalCotangents !== undefined && {
        finalCotangents: readCotangents(spec, finalCotangents, particles),
      }),
      ...(lossWeights !== undefined && { lossWeights: readWeights(lossWeights, particles) }),
    });
    options.state.advance(options.steps);
    return {
      ...this.#summary(result, particles, options.steps),
      ...gradientStructures(this.theta, this.#compiled.thetaSpec, result, particles),
      stateGradients: this.#compiled.rebuildState(result.stateGradients as never) as State,
      cost: result.cost,
    };
  }

  /** What a `gradient` would take: steps advanced, states kept, bytes. Throws OptionError on malformed numbers. */
  gradientCost(options: {
    readonly steps: number;
    readonly particles: number;
    readonly checkpoints?: Checkpoints;
  }): ReverseCost {
    this.#check();
    checkKeys(options, ['steps', 'particles', 'checkpoints'], 'gradientCost');
    const steps = checkInteger(options.steps, 'steps', 1, 0x7fffffff);
    const particles = checkInteger(options.particles, 'particles', 1, 0x7fffffff);
    const reverse = this.reverse();
    return reverse.cost(steps, particles, checkpointSchedule(options.checkpoints, reverse, steps, particles));
  }

  /** @internal The transposed program, traced and loaded when first needed. */
  reverse(): LoadedReverse {
    this.#reverse ??= this.loaded.loadReverse(this.#compiled.reverse());
    return this.#reverse;
  }

  #thetaInput(theta: InputsOf<Theta> | PerturbedTheta<InputsOf<Theta>>, particles: number): ThetaInput {
    if (!(theta instanceof PerturbedTheta)) {
      const { perParticle, values } = this.theta.packParticles(theta, particles);
      return { kind: perParticle ? 'perParticle' : 'shared', values };
    }
    return {
      kind: 'perturbed',
      mean: this.theta.pack(theta.mean, 'mean'),
      sigma: packSigma(this.theta, theta.sigma),
      seed: theta.seed,
      noiseStep: theta.noiseStep,
    };
  }

  /**
   * Replaces the data, of the structure, shapes and dtypes that the program was compiled with; copied. Runs
   * that have already begun keep the old data. Throws ShapeError or OptionError naming the path.
   */
  setData(data: unknown): void {
    this.#check();
    this.loaded.setData(this.#compiled.readData(data));
  }

  /** What the device made of the program. */
  plan(): ProgramPlan {
    this.#check();
    return this.loaded.plan();
  }

  /** The plan as readable text: instructions, lanes, memory, arithmetic per step. */
  explain(): string {
    const plan = this.plan();
    return [
      `device ${plan.device}, ${plan.lanes} lanes, ${plan.stateBytesPerParticle} bytes of state per particle, ` +
        `${plan.arenaBytes} bytes of arena per thread, ${plan.flopsPerStep} flop per particle and step in matrix products`,
      plan.text,
    ].join('\n');
  }

  dispose(): void {
    this.#disposed = true;
    this.#reverse?.dispose();
    this.loaded.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
