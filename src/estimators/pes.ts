/**
 * Persistent evolution strategies: an unbiased gradient of the mean loss of an unrolled computation from
 * short windows of it. Vicol, Metz, Sohl-Dickstein 2021 (arXiv 2112.13835), algorithm 2; telescoping for a
 * final loss as in the authors' appendix on hyperparameter optimisation.
 */
import { OptionError } from '../errors.js';
import { checkBoolean } from '../options.js';
import type { UnrollProgram } from '../transform/program.js';
import type { AccumulatedState } from './accumulated.js';
import type { GradientEstimator } from './estimator.js';
import { accumulatingEstimator, type TruncatedOptions } from './gpes.js';
import { checkArguments } from './runs.js';

export interface PesOptions<Theta> extends TruncatedOptions<Theta> {
  /**
   * The objective is the loss F of the last step of an episode instead of the sum. Each estimate then covers
   * the change of F over its window; the changes add up to F. F must be comparable from step to step:
   * evaluate it on the same data all through an episode. Default false.
   */
  readonly telescoping?: boolean;
}

/** See `AccumulatedState`. */
export type PesState<S = unknown> = AccumulatedState<S>;

/**
 * PES: every particle keeps its own inner state, draws a new perturbation eps for every window, and weights
 * the window's loss with the sum xi of all perturbations since its episode began: g = 1 / (N sigma^2) sum_i
 * xi_i L_i, in antithetic pairs. With theta held fixed, the estimates of one episode add up to the gradient
 * of E[loss] under an independent perturbation per window (the exact gradient where the loss is quadratic).
 * Updating theta between windows makes it slightly stale, as with every online method.
 *
 * Variance grows with the number of windows in an episode, without bound when episodes never end: use many
 * particles then, or a finite horizon. On a function without inner steps PES is ordinary ES, at its price.
 * Shapes: theta [P] as the program defines it. Cost: particles x truncation inner steps and particles / 2 x P
 * normals.
 * Throws OptionError on a malformed option, or a truncation beyond the horizon.
 *
 *     const estimator = pes(program, { particles: 1000, sigma: 0.1, truncation: 10 });
 *     let state = estimator.init(theta, { seed: 7 });
 *     const estimate = await estimator.step(theta, state);
 *     theta = update(theta, estimate.gradient);
 *     state = estimate.state;
 */
export function pes<Theta, S, M>(
  program: UnrollProgram<Theta, S, M>,
  options: PesOptions<Theta>,
): GradientEstimator<Theta, PesState<S>> {
  checkArguments(program, options, 'pes');
  const telescoping = checkBoolean(options.telescoping ?? false, 'telescoping');
  if (telescoping && options.normalisation === 'mean') {
    throw new OptionError(
      "telescoping estimates the loss of the last step; normalisation 'mean' has no meaning there",
    );
  }
  return accumulatingEstimator(program, 'pes', options, ['telescoping'], {
    block: options.truncation,
    telescoping,
  });
}
