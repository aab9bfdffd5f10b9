/**
 * Noise-reuse evolution strategies: one perturbation for a whole episode, estimates after every window of it.
 * Li, Harrison, Sohl-Dickstein, Smith, Metz 2023 (arXiv 2304.12180); the same estimator is ES-Single (Vicol,
 * Kolter, Swersky 2023, arXiv 2304.11153).
 */
import type { UnrollProgram } from '../transform/program.js';
import type { AccumulatedState } from './accumulated.js';
import type { GradientEstimator } from './estimator.js';
import { accumulatingEstimator, type TruncatedOptions } from './gpes.js';

export type NresOptions<Theta> = TruncatedOptions<Theta>;

/** See `AccumulatedState`. */
export type NresState<S = unknown> = AccumulatedState<S>;

/**
 * NRES: g = 1 / (N sigma^2) sum_i eps_i L_i per window, eps_i drawn when particle i begins an episode. With
 * theta held fixed, the estimates of one episode add up to the full-unroll ES estimate with the same
 * perturbations. Its variance does not grow with the number of windows; it needs episodes that end. Best with
 * staggering 'staggered' or 'random', so that perturbations are renewed at every estimate. Where the horizon
 * is no multiple of the truncation, the steps of a window after a reset still use the old perturbation; the
 * new one joins it at the next window, and both are weighted.
 * Shapes: theta [P] as the program defines it. Cost: particles x truncation inner steps; normals as in PES.
 * Throws OptionError on a malformed option, or a truncation beyond the horizon.
 *
 *     const estimator = nres(program, { particles: 1000, sigma: 0.1, truncation: 10, staggering: 'random' });
 */
export function nres<Theta, S, M>(
  program: UnrollProgram<Theta, S, M>,
  options: NresOptions<Theta>,
): GradientEstimator<Theta, NresState<S>> {
  return accumulatingEstimator(program, 'nres', options, [], {
    block: Number.POSITIVE_INFINITY,
    telescoping: false,
  });
}
