/**
 * What every gradient estimator looks like from outside: init and step, a state, an estimate with its
 * diagnostics.
 */
import type { RunProgress } from '../device/driver.js';
import type { InputsOf, ValuesOf } from '../transform/leaf.js';
import type { UnrollState } from '../transform/state.js';

/** What an estimator's next step needs: plain data, and the handle of the inner states on the device. */
export interface EstimatorState<S = unknown> {
  /**
   * Inner states of all particles (truncated ES that carries the mean state: of all chunks). Dispose of it
   * when done.
   */
  readonly inner: UnrollState<S>;
  /** Number of estimates made. */
  readonly update: number;
  /** Inner steps run so far, the number of the next one. */
  readonly step: number;
  readonly seed: number;
  /**
   * [pairs] int32 (truncated ES that carries the mean state: [chunks]): the step within the episode that
   * comes next; 0 begins one.
   */
  readonly t: Int32Array;
}

/** What people plot. */
export interface EstimatorInfo {
  /** Inner steps of this estimate one after the other: the length of its critical path. */
  readonly sequentialSteps: number;
  /** Inner steps of this estimate, all particles together. */
  readonly particleSteps: number;
  /** Pairs (chunks) whose episode ended in this estimate. */
  readonly resets: number;
  /** Pairs left out because a loss of one of their two particles was not finite. */
  readonly droppedPairs: number;
  /** Euclidean norm of the gradient. */
  readonly gradientNorm: number;
  /**
   * Variance of the estimate: the sum over parameters of the squared standard errors. NaN without standard
   * errors.
   */
  readonly gradientVariance: number;
  /**
   * Root mean square, over pairs and parameters, of the perturbation that a loss is weighted with, in units
   * of sigma: 1 for a single perturbation, the square root of m after m of them have been accumulated. NaN
   * without standard errors.
   */
  readonly accumulatorNorm: number;
}

/** One estimate of d loss / d theta. */
export interface Estimate<Theta, State> {
  /** In the structure of theta: a number for a scalar, else a flat Float64Array. */
  readonly gradient: ValuesOf<Theta>;
  /** Standard error of each element of the gradient, over the pairs. Absent when switched off. */
  readonly standardError?: ValuesOf<Theta>;
  /**
   * Mean loss of one step, over the particles (of pairs that were not dropped) and the steps of this
   * estimate.
   */
  readonly meanLoss: number;
  /** [steps, particles] float32, when recorded. */
  readonly losses?: Float32Array;
  /**
   * [pairs, P] float64, when recorded: what each pair contributes; the gradient is their mean over the pairs
   * not dropped.
   */
  readonly pairGradients?: Float64Array;
  /** The next state. The one that was passed in is used up. */
  readonly state: State;
  readonly info: EstimatorInfo;
}

export interface EstimatorStepOptions {
  readonly signal?: AbortSignal;
  /** Called about ten times a second. */
  readonly onProgress?: (progress: RunProgress) => void;
}

/**
 * A way to estimate the gradient of the losses of an unrolled computation with respect to its outer
 * parameters.
 */
export interface GradientEstimator<Theta, State extends EstimatorState> {
  /** 'pes', 'nres' ... */
  readonly name: string;
  /** The state before the first estimate. `theta` is only checked. Throws OptionError, ShapeError. */
  init(theta: InputsOf<Theta>, options: { readonly seed: number }): State;
  /**
   * One estimate at `theta`, and the state that the next one needs. `state` is used up: passing it again is
   * an OptionError, while the step is under way a DeviceError. Rejects with AbortedError when the signal
   * fires, and with UnrolledError ERR_NON_FINITE when no pair is left whose losses are finite; go on from a
   * checkpoint then.
   */
  step(theta: InputsOf<Theta>, state: State, options?: EstimatorStepOptions): Promise<Estimate<Theta, State>>;
  /**
   * A state as one block of bytes; a run resumed from it goes on exactly as the uninterrupted one, on the
   * same device.
   */
  checkpoint(state: State): Promise<Uint8Array>;
  /**
   * The inverse of `checkpoint`. Rejects with CheckpointError on bytes of another program, estimator, or
   * particle count.
   */
  restore(bytes: Uint8Array): Promise<State>;
}
