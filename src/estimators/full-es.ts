/**
 * Evolution strategies on whole episodes: the baseline that PES replaces by windows.
 * Antithetic form of the Gaussian-smoothing gradient (Vicol, Metz, Sohl-Dickstein 2021, equation 2).
 */
import { OptionError } from '../errors.js';
import { checkChoice } from '../options.js';
import type { UnrollProgram } from '../transform/program.js';
import type { EstimatorState, GradientEstimator } from './estimator.js';
import { restoreEstimator, saveEstimator } from './estimator-checkpoint.js';
import { pairStatistics } from './gradient-statistics.js';
import { checkEstimatorOptions, ESTIMATOR_KEYS, type EstimatorOptions, sigmaFactor } from './options.js';
import { finitePairs, halfDifferences } from './pair-differences.js';
import { checkArguments, exclusively, finishEstimate, perturbedRun, seedOf } from './runs.js';
import { estimatorSeeds } from './seeds.js';

/** What an episode's losses amount to. */
export type EpisodeObjective = 'sum' | 'mean' | 'last' | 'min';

export interface FullEsOptions<Theta> extends Omit<EstimatorOptions<Theta>, 'normalisation'> {
  /** Sum or mean of the losses of an episode, the last of them, or the smallest. Default 'sum'. */
  readonly objective?: EpisodeObjective;
}

/** See `EstimatorState`. */
export type FullEsState<S = unknown> = EstimatorState<S>;

/** The objective of every particle, [particles]. */
function objectives(
  objective: EpisodeObjective,
  sums: Float64Array,
  losses: Float32Array | undefined,
  steps: number,
): Float64Array {
  const particles = sums.length;
  if (objective === 'sum') return sums;
  if (objective === 'mean') return sums.map((sum) => sum / steps);
  const values = new Float64Array(particles);
  for (let i = 0; i < particles; i++) {
    let value = losses![(steps - 1) * particles + i];
    if (objective === 'min')
      for (let s = 0; s < steps - 1; s++) value = Math.min(value, losses![s * particles + i]);
    values[i] = value;
  }
  return values;
}

/**
 * Full-unroll ES: every estimate runs whole episodes with theta +- eps, g = mean over pairs of eps (L+ - L-)
 * / (2 sigma^2): unbiased for the loss smoothed with N(0, sigma^2). `es` is another name for it.
 * Shapes: theta [P] as the program defines it. Cost: particles x horizon inner steps and particles / 2 x P
 * normals; objectives 'last' and 'min' also particles x horizon floats of memory.
 * Throws OptionError on a malformed option, or a program whose episodes never end.
 *
 *     const estimator = fullEs(program, { particles: 100, sigma: 0.1 });
 */
export function fullEs<Theta, S, M>(
  program: UnrollProgram<Theta, S, M>,
  options: FullEsOptions<Theta>,
): GradientEstimator<Theta, FullEsState<S>> {
  checkArguments(program, options, 'fullEs');
  const keys = [...ESTIMATOR_KEYS.filter((key) => key !== 'normalisation'), 'objective'];
  const checked = checkEstimatorOptions<Theta>(options, keys, 'fullEs', program.theta);
  const objective = checkChoice(options.objective ?? 'sum', 'objective', ['sum', 'mean', 'last', 'min']);
  const { horizon, noise } = program;
  if (!Number.isFinite(horizon)) {
    throw new OptionError(
      'fullEs needs episodes that end; the horizon is Infinity: use pes, or give the definition a horizon',
    );
  }
  const { pairs, sigma } = checked;
  const dim = sigma.length;
  const settings = JSON.stringify({ particles: checked.particles, objective });
  return {
    name: 'fullEs',
    init: (theta, initOptions) => {
      const seed = seedOf(initOptions);
      program.theta.pack(theta);
      return {
        inner: program.createState(checked.particles),
        update: 0,
        step: 0,
        seed,
        t: new Int32Array(pairs),
      };
    },
    step: (theta, state, stepOptions = {}) =>
      exclusively(program, checked.particles, state, stepOptions, async () => {
        const mean = program.theta.pack(theta);
        const seeds = estimatorSeeds(state.seed);
        const factor = sigmaFactor(checked, state.update);
        const scaled = sigma.map((value) => value * factor);
        const perturbation = { seed: seeds.perturbations, noiseStep: state.update >>> 0 };
        const thetas = { kind: 'perturbed', mean, sigma: scaled, ...perturbation } as const;
        const result = await perturbedRun(program, state, horizon, thetas, seeds.steps, {
          ...stepOptions,
          perStep: checked.recordLosses || objective === 'last' || objective === 'min',
        });
        const sums = result.lossSums.subarray(0, checked.particles);
        const kept = finitePairs([sums], pairs, checked.nonFinite);
        const values = objectives(objective, sums, result.losses, horizon);
        const weights = halfDifferences(values, kept, 1, checked.difference);
        const matrix = await noise.fill({ rows: pairs, dim, ...perturbation });
        const terms = [{ weights, matrix, scale: scaled.map((value) => 1 / value) }];
        const wanted = { standardError: checked.standardError, pairGradients: checked.recordPairGradients };
        const statistics = await pairStatistics(noise, terms, kept, dim, wanted);
        const next = { ...state, update: state.update + 1, step: state.step + horizon };
        return finishEstimate(program, checked, next, result, kept, statistics, {
          steps: horizon,
          resets: pairs,
          accumulatorNorm: 1,
        });
      }),
    checkpoint: (state) => saveEstimator(program, 'fullEs', settings, checked.particles, state, {}),
    restore: async (bytes) =>
      (await restoreEstimator(program, 'fullEs', settings, bytes, { t: pairs })).state,
  };
}

/** Another name of `fullEs`. */
export const es = fullEs;
