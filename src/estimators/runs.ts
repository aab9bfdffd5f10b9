/**
 * What all estimators do around the device's run: refuse a used-up state, pass the run on, put the estimate
 * together.
 */
import type { RunResult, ThetaInput } from '../device/driver.js';
import { OptionError } from '../errors.js';
import { checkKeys } from '../options.js';
import { describe, toSeed } from '../random/philox.js';
import { UnrollProgram } from '../transform/program.js';
import { UnrollState } from '../transform/state.js';
import type { Estimate, EstimatorState, EstimatorStepOptions } from './estimator.js';
import type { PairStatistics } from './gradient-statistics.js';
import type { CheckedOptions } from './options.js';

/** A program whose metrics an estimator does not look at. */
// biome-ignore lint/suspicious/noExplicitAny: the type of the metrics plays no part in an estimate.
export type ProgramOf<Theta, S> = UnrollProgram<Theta, S, any>;

/**
 * Throws OptionError when `state` is no state of an estimator of `program` for so many particles (inner states), or when a
 * later estimate has already advanced its inner states.
 */
export function checkUsable<Theta, S>(
  program: ProgramOf<Theta, S>,
  particles: number,
  state: EstimatorState,
): void {
  if (!(state?.inner instanceof UnrollState)) {
    throw new OptionError(
      `wanted the state of this estimator (from init, restore, or the latest estimate), got ${describe(state)}`,
    );
  }
  program.checkState(state.inner, 'an estimator');
  if (state.inner.particles !== particles) {
    throw new OptionError(
      `this estimator state belongs to another estimator: it has ${state.inner.particles} inner states, this one has ${particles}`,
    );
  }
  if (state.inner.stepsDone !== state.step) {
    throw new OptionError(
      `this estimator state is used up: it is at step ${state.step}, its inner states are at step ${state.inner.stepsDone}; pass the state of the latest estimate`,
    );
  }
}

/**
 * Runs one step of an estimator on a state that no other step uses; `particles` are the inner states of this
 * estimator. Rejects with OptionError when the state is another's or used up, or an option is unknown,
 * DeviceError ERR_BUSY when another step of it is under way.
 */
export async function exclusively<Theta, S, T>(
  program: ProgramOf<Theta, S>,
  particles: number,
  state: EstimatorState,
  options: EstimatorStepOptions,
  step: () => Promise<T>,
): Promise<T> {
  checkUsable(program, particles, state);
  checkKeys(options, ['signal', 'onProgress'], 'step (its options)');
  state.inner.hold();
  try {
    return await step();
  } finally {
    state.inner.release();
  }
}

/** The seed that `init` of an estimator was given. Throws OptionError when it lacks its options. */
export function seedOf(options: unknown): number {
  checkKeys(options, ['seed'], 'init (its second argument)');
  return toSeed((options as { readonly seed: number }).seed);
}

/** Throws OptionError unless `program` is a compiled definition and `options` are an object. */
export function checkArguments(program: unknown, options: unknown, name: string): void {
  if (!(program instanceof UnrollProgram)) {
    throw new OptionError(`${name} needs a program (device.compile(definition)), got ${describe(program)}`);
  }
  if (typeof options !== 'object' || options === null) {
    throw new OptionError(`${name} expects an object of options, got ${describe(options)}`);
  }
}

/** Advances the inner states of all pairs by one window. */
export async function perturbedRun<Theta, S>(
  program: ProgramOf<Theta, S>,
  state: { readonly inner: UnrollState<S>; readonly step: number },
  steps: number,
  theta: ThetaInput,
  seed: number,
  options: EstimatorStepOptions & { readonly perStep: boolean },
): Promise<RunResult> {
  const { signal, onProgress } = options;
  const result = await program.loaded.run({
    state: state.inner.driver,
    steps,
    theta,
    seed,
    firstStep: state.step >>> 0,
    antithetic: true,
    record: options.perStep ? 'perStep' : 'sum',
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress }),
  });
  state.inner.advance(steps);
  return result;
}

/** Mean loss of a step over the particles of kept pairs. */
function meanLoss(lossSums: Float64Array, kept: Uint8Array, steps: number): number {
  const pairs = kept.length;
  let sum = 0;
  let count = 0;
  for (let p = 0; p < pairs; p++) {
    if (!kept[p]) continue;
    count += 2;
    sum += lossSums[p] + lossSums[pairs + p] + lossSums[2 * pairs + p] + lossSums[3 * pairs + p];
  }
  return sum / (count * steps);
}

/** The estimate in the structure of theta, with its diagnostics. */
export function finishEstimate<Theta, S, State extends EstimatorState>(
  program: ProgramOf<Theta, S>,
  options: CheckedOptions,
  state: State,
  result: RunResult,
  kept: Uint8Array,
  statistics: PairStatistics,
  counts: {
    readonly steps: number;
    readonly resets: number;
    readonly accumulatorNorm: number;
    /** Inner steps besides those of the pairs, one after the other and in all. */
    readonly extraSteps?: { readonly sequential: number; readonly particle: number };
  },
): Estimate<Theta, State> {
  const { gradient, standardError, pairGradients } = statistics;
  const { steps, resets, extraSteps } = counts;
  const norm = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
  return {
    gradient: program.theta.unpack(gradient),
    ...(standardError && { standardError: program.theta.unpack(standardError) }),
    meanLoss: meanLoss(result.lossSums, kept, steps),
    ...(options.recordLosses && { losses: result.losses! }),
    ...(pairGradients && { pairGradients }),
    state,
    info: {
      sequentialSteps: steps + (extraSteps?.sequential ?? 0),
      particleSteps: steps * options.particles + (extraSteps?.particle ?? 0),
      resets,
      droppedPairs: options.pairs - kept.reduce((sum, keep) => sum + keep, 0),
      gradientNorm: Math.sqrt(norm(gradient)),
      gradientVariance: standardError ? norm(standardError) : Number.NaN,
      accumulatorNorm: counts.accumulatorNorm,
    },
  };
}
