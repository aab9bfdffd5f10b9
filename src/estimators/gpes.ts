/**
 * Generalised persistent evolution strategies, GPES_k: perturbations that are kept for k inner steps. Li,
 * Harrison, Sohl-Dickstein, Smith, Metz 2023 (arXiv 2304.12180); PES is k = truncation, NRES k >= horizon.
 */

import { OptionError } from '../errors.js';
import { checkChoice, checkInteger } from '../options.js';
import type { UnrollProgram } from '../transform/program.js';
import {
  type AccumulatedMethod,
  type AccumulatedState,
  initAccumulated,
  stepAccumulated,
} from './accumulated.js';
import type { GradientEstimator } from './estimator.js';
import { restoreEstimator, saveEstimator } from './estimator-checkpoint.js';
import { checkEstimatorOptions, checkTruncation, ESTIMATOR_KEYS, type EstimatorOptions } from './options.js';
import { checkArguments, checkUsable, exclusively, seedOf } from './runs.js';
import type { Staggering } from './windows.js';

/** Options of the estimators that work on truncation windows. */
export interface TruncatedOptions<Theta> extends EstimatorOptions<Theta> {
  /** K: inner steps of an estimate; at most the horizon. The horizon need not be a multiple of it. */
  readonly truncation: number;
  /** When pairs begin their episodes. Default 'lockstep'. */
  readonly staggering?: Staggering;
}

export interface GpesOptions<Theta> extends TruncatedOptions<Theta> {
  /**
   * k: inner steps for which a perturbation is kept; a multiple of the truncation, or Infinity for the whole
   * episode.
   */
  readonly block: number;
}

const TRUNCATED_KEYS = [...ESTIMATOR_KEYS, 'truncation', 'staggering'] as const;

/** An estimator of the accumulating family. `method` says what makes it PES, NRES or GPES. */
export function accumulatingEstimator<Theta, S, M>(
  program: UnrollProgram<Theta, S, M>,
  name: string,
  options: TruncatedOptions<Theta>,
  extraKeys: readonly string[],
  method: { readonly block: number; readonly telescoping: boolean },
): GradientEstimator<Theta, AccumulatedState<S>> {
  checkArguments(program, options, name);
  const checked = checkEstimatorOptions(options, [...TRUNCATED_KEYS, ...extraKeys], name, program.theta);
  const truncation = checkTruncation(options.truncation, program.horizon);
  const staggering = checkChoice(options.staggering ?? 'lockstep', 'staggering', [
    'lockstep',
    'staggered',
    'random',
  ]);
  const whole: AccumulatedMethod = { options: checked, truncation, staggering, ...method };
  const settings = JSON.stringify({
    particles: checked.particles,
    truncation,
    block: String(method.block),
    telescoping: method.telescoping,
  });
  const { pairs } = checked;
  return {
    name,
    init: (theta, initOptions) => {
      const seed = seedOf(initOptions);
      program.theta.pack(theta);
      return initAccumulated(program, whole, seed);
    },
    step: (theta, state, stepOptions = {}) =>
      exclusively(program, checked.particles, state, stepOptions, () =>
        stepAccumulated(program, whole, program.theta.pack(theta), state, stepOptions),
      ),
    checkpoint: async (state) => {
      checkUsable(program, checked.particles, state);
      const { accumulator, noiseStep, sigmaFactor, block, previous } = state;
      const own = { accumulator, noiseStep, sigmaFactor, block, previous };
      return saveEstimator(program, name, settings, checked.particles, state, own);
    },
    restore: async (bytes) => {
      const { state, own } = await restoreEstimator(program, name, settings, bytes, {
        t: pairs,
        accumulator: pairs * program.theta.size,
        noiseStep: pairs,
        sigmaFactor: pairs,
        block: pairs,
        previous: method.telescoping ? pairs : 0,
      });
      return { ...state, ...(own as unknown as Omit<AccumulatedState<S>, keyof typeof state>) };
    },
  };
}

/**
 * GPES_k: unbiased for the mean loss under an independent perturbation for each block of k steps. A larger k
 * averages over fewer perturbations (smaller variance where the gradients of the windows point the same way),
 * a smaller one over more.
 * Shapes: theta [P] as the program defines it. Cost: particles x truncation inner steps, and particles / 2 x
 * P normals.
 * Throws OptionError on a malformed option, a truncation beyond the horizon, or a block that is no multiple
 * of the truncation.
 *
 *     const estimator = gpes(program, { particles: 1000, sigma: 0.1, truncation: 10, block: 50 });
 *     let state = estimator.init(theta, { seed: 7 });
 *     const estimate = await estimator.step(theta, state);
 */
export function gpes<Theta, S, M>(
  program: UnrollProgram<Theta, S, M>,
  options: GpesOptions<Theta>,
): GradientEstimator<Theta, AccumulatedState<S>> {
  checkArguments(program, options, 'gpes');
  const { block } = options;
  if (block !== Number.POSITIVE_INFINITY) {
    checkInteger(block, 'block', 1);
    if (block % options.truncation !== 0) {
      throw new OptionError(
        `block must be a multiple of the truncation (${options.truncation}), or Infinity, got ${block}`,
      );
    }
  }
  return accumulatingEstimator(program, 'gpes', options, ['block'], { block, telescoping: false });
}
