/**
 * Truncated evolution strategies: ES on one window at a time, blind to what the window does to later ones.
 * Biased, like truncated back-propagation, which it equals in expectation where the loss is quadratic; the
 * baseline that PES is compared with. Vicol, Metz, Sohl-Dickstein 2021 (arXiv 2112.13835), section 2.
 */
import type { RunResult } from '../device/driver.js';
import { OptionError } from '../errors.js';
import { checkChoice, checkInteger } from '../options.js';
import type { UnrollProgram } from '../transform/program.js';
import type { EstimatorState, GradientEstimator } from './estimator.js';
import { restoreEstimator, saveEstimator } from './estimator-checkpoint.js';
import type { TruncatedOptions } from './gpes.js';
import { pairStatistics } from './gradient-statistics.js';
import { checkEstimatorOptions, checkTruncation, ESTIMATOR_KEYS, sigmaFactor } from './options.js';
import { finitePairs, halfDifferences } from './pair-differences.js';
import { checkArguments, exclusively, finishEstimate, perturbedRun, seedOf } from './runs.js';
import { estimatorSeeds } from './seeds.js';
import { firstOffsets, windowsAt, windowsPerEpisode } from './windows.js';

export interface TruncatedEsOptions<Theta> extends TruncatedOptions<Theta> {
  /**
   * Which state the next window starts from. 'mean': a state of its own, advanced with the unperturbed theta,
   * one per chunk of pairs. 'positive': each pair goes on from the state of its positively perturbed
   * particle. Default 'mean'.
   */
  readonly carry?: 'mean' | 'positive';
  /**
   * Groups of pairs with a mean state each (only for carry 'mean'). Default 1 in lockstep, else one per
   * window of an episode, at most one per pair.
   */
  readonly chunks?: number;
}

/** As `EstimatorState`; with carry 'mean', `inner` holds the mean states and `t` is [chunks]. */
export type TruncatedEsState<S = unknown> = EstimatorState<S>;

/** [2, particles] losses before and after a reset -> [particles] losses of the window. */
function windowSums(lossSums: Float64Array): Float64Array {
  const particles = lossSums.length / 2;
  return lossSums.slice(0, particles).map((sum, i) => sum + lossSums[particles + i]);
}

/** Groups that carry a state: chunks, or pairs. */
function carriers<Theta>(
  options: TruncatedEsOptions<Theta>,
  pairs: number,
  horizon: number,
  carry: string,
): number {
  if (carry === 'positive') {
    if (options.chunks !== undefined)
      throw new OptionError("chunks belong to carry 'mean'; with 'positive' every pair is its own");
    return pairs;
  }
  const { staggering = 'lockstep', truncation } = options;
  const usual = staggering === 'lockstep' ? 1 : Math.min(pairs, windowsPerEpisode(horizon, truncation));
  return checkInteger(options.chunks ?? (Number.isFinite(usual) ? usual : 1), 'chunks', 1, pairs);
}

/**
 * Truncated ES: all pairs of a chunk start the window from one state, g = mean over pairs of eps (L+ - L-) /
 * (2 sigma^2) with the losses of this window only. Random draws of a mean state are those of the particle
 * with the chunk's number; draws shared by all particles are the same for it as for the perturbed ones.
 * Shapes: theta [P] as the program defines it. Cost: particles x truncation inner steps, with carry 'mean'
 * chunks x truncation more, one after the other.
 * Throws OptionError on a malformed option, or a truncation beyond the horizon.
 *
 *     const estimator = truncatedEs(program, { particles: 1000, sigma: 0.1, truncation: 10 });
 */
export function truncatedEs<Theta, S, M>(
  program: UnrollProgram<Theta, S, M>,
  options: TruncatedEsOptions<Theta>,
): GradientEstimator<Theta, TruncatedEsState<S>> {
  checkArguments(program, options, 'truncatedEs');
  const keys = [...ESTIMATOR_KEYS, 'truncation', 'staggering', 'carry', 'chunks'];
  const checked = checkEstimatorOptions(options, keys, 'truncatedEs', program.theta);
  const { horizon, noise } = program;
  const truncation = checkTruncation(options.truncation, horizon);
  const staggering = checkChoice(options.staggering ?? 'lockstep', 'staggering', [
    'lockstep',
    'staggered',
    'random',
  ]);
  const carry = checkChoice(options.carry ?? 'mean', 'carry', ['mean', 'positive']);
  const { pairs, particles, sigma } = checked;
  const groups = carriers(options, pairs, horizon, carry);
  const dim = sigma.length;
  const settings = JSON.stringify({ particles, truncation, carry, groups });
  const groupOf = (i: number) => Math.floor(((i % pairs) * groups) / pairs);
  const ancestors = Int32Array.from({ length: particles }, (_, i) => groupOf(i));
  return {
    name: 'truncatedEs',
    init: (theta, initOptions) => {
      const seed = seedOf(initOptions);
      program.theta.pack(theta);
      const t = firstOffsets(groups, horizon, truncation, staggering, seed);
      return { inner: program.createState(groups, { stagger: t }), update: 0, step: 0, seed, t };
    },
    step: (theta, state, stepOptions = {}) =>
      exclusively(program, groups, state, stepOptions, async () => {
        const mean = program.theta.pack(theta);
        const seeds = estimatorSeeds(state.seed);
        const factor = sigmaFactor(checked, state.update);
        const scaled = sigma.map((value) => value * factor);
        const perturbation = { seed: seeds.perturbations, noiseStep: state.update >>> 0 };
        const thetas = { kind: 'perturbed', mean, sigma: scaled, ...perturbation } as const;
        const spread = await state.inner.gather(ancestors);
        let inner = state.inner;
        let result: RunResult;
        let kept: Uint8Array;
        try {
          result = await perturbedRun(
            program,
            { inner: spread, step: state.step },
            truncation,
            thetas,
            seeds.steps,
            {
              ...stepOptions,
              perStep: checked.recordLosses,
            },
          );
          // Before anything is carried on, so that a step that rejects leaves the state as it was.
          kept = finitePairs([windowSums(result.lossSums)], pairs, checked.nonFinite);
          if (carry === 'positive') {
            inner = await spread.gather(ancestors.subarray(0, pairs));
            state.inner.dispose();
          } else {
            const { signal } = stepOptions;
            await program.loaded.run({
              state: inner.driver,
              steps: truncation,
              theta: { kind: 'shared', values: mean },
              seed: seeds.steps,
              firstStep: state.step >>> 0,
              antithetic: false,
              record: 'sum',
              ...(signal !== undefined && { signal }),
            });
            inner.advance(truncation);
          }
        } finally {
          spread.dispose();
        }
        const { next: t, resets } = windowsAt(state.t, truncation, horizon);
        const totals = windowSums(result.lossSums);
        const divisor = checked.normalisation === 'mean' ? truncation : 1;
        const weights = halfDifferences(totals, kept, divisor, checked.difference);
        const matrix = await noise.fill({ rows: pairs, dim, ...perturbation });
        const terms = [{ weights, matrix, scale: scaled.map((value) => 1 / value) }];
        const wanted = { standardError: checked.standardError, pairGradients: checked.recordPairGradients };
        const statistics = await pairStatistics(noise, terms, kept, dim, wanted);
        const next = { ...state, inner, t, update: state.update + 1, step: state.step + truncation };
        const extra =
          carry === 'mean' ? { sequential: truncation, particle: truncation * groups } : undefined;
        return finishEstimate(program, checked, next, result, kept, statistics, {
          steps: truncation,
          resets,
          accumulatorNorm: 1,
          ...(extra && { extraSteps: extra }),
        });
      }),
    checkpoint: (state) => saveEstimator(program, 'truncatedEs', settings, groups, state, {}),
    restore: async (bytes) =>
      (await restoreEstimator(program, 'truncatedEs', settings, bytes, { t: groups })).state,
  };
}
