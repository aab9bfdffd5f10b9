/**
 * The mathematics that PES, NRES and their generalisation share: losses weighted with the perturbations that
 * have acted on a particle since its episode began (Vicol, Metz, Sohl-Dickstein 2021, section 3; Li et al.
 * 2023, GPES_k).
 *
 * Each pair p holds a perturbation eps_p, drawn anew at the first window of every block of k steps and after
 * a reset, and an accumulator xi_p = sum over the blocks of its episode of eps / sigma^2, the current block
 * included. A window with losses L+ and L- contributes xi_p (L+ - L-) / 2. k = truncation is PES, k =
 * Infinity is NRES.
 *
 * A window that crosses the end of an episode has two parts: the losses up to and including the step that
 * ends it belong to xi_p, those after it to the current eps / sigma^2 alone, because nothing else has acted
 * on the new episode; that is also what the new accumulator starts from.
 *
 * Dividing by sigma^2 where a perturbation is added, not where a loss is weighted, keeps the estimate right
 * when sigma changes from one estimate to the next.
 */
import type { NoiseKernels, RunResult, ThetaInput } from '../device/driver.js';
import type { Estimate, EstimatorState, EstimatorStepOptions } from './estimator.js';
import { type PairTerm, pairStatistics } from './gradient-statistics.js';
import { type CheckedOptions, sigmaFactor } from './options.js';
import { finitePairs, halfDifferences } from './pair-differences.js';
import { finishEstimate, type ProgramOf, perturbedRun } from './runs.js';
import { estimatorSeeds } from './seeds.js';
import { forRows } from './slices.js';
import { firstOffsets, type Staggering, type Windows, windowsAt } from './windows.js';

/** State of PES, NRES and GPES. The arrays are overwritten by the next step. */
export interface AccumulatedState<S = unknown> extends EstimatorState<S> {
  /** xi [pairs, P] float32: of the positive member; the negative one has the opposite. */
  readonly accumulator: Float32Array;
  /** [pairs]: which estimate drew the pair's current perturbation. */
  readonly noiseStep: Uint32Array;
  /** [pairs]: the schedule's factor of sigma when it was drawn. */
  readonly sigmaFactor: Float64Array;
  /**
   * [pairs] the block of k steps within the episode that it was drawn for; -1: draw anew at the next window.
   */
  readonly block: Int32Array;
  /**
   * [pairs] telescoping: half difference of the objective at the end of the window before, 0 at the start of
   * an episode. Else empty.
   */
  readonly previous: Float64Array;
}

/** What tells the methods of this family apart. */
export interface AccumulatedMethod {
  readonly options: CheckedOptions;
  /** Steps of a window, K. */
  readonly truncation: number;
  readonly staggering: Staggering;
  /** Steps for which a perturbation is kept, k: a multiple of the truncation, or Infinity. */
  readonly block: number;
  /**
   * The objective is the loss at the end of an episode; its changes over the windows are estimated, which add
   * up to it.
   */
  readonly telescoping: boolean;
}

export function initAccumulated<Theta, S>(
  program: ProgramOf<Theta, S>,
  method: AccumulatedMethod,
  seed: number,
): AccumulatedState<S> {
  const { pairs, particles } = method.options;
  estimatorSeeds(seed);
  const t = firstOffsets(pairs, program.horizon, method.truncation, method.staggering, seed);
  const stagger = Int32Array.from({ length: particles }, (_, i) => t[i % pairs]);
  return {
    inner: program.createState(particles, { stagger }),
    update: 0,
    step: 0,
    seed,
    t,
    accumulator: new Float32Array(pairs * program.theta.size),
    noiseStep: new Uint32Array(pairs),
    sigmaFactor: new Float64Array(pairs).fill(1),
    block: new Int32Array(pairs).fill(-1),
    previous: new Float64Array(method.telescoping ? pairs : 0),
  };
}

/**
 * Draws new perturbations where a block begins, and adds them to the accumulators. Returns which pairs drew
 * one.
 */
async function drawPerturbations(
  noise: NoiseKernels,
  state: AccumulatedState,
  block: number,
  factor: number,
  scale: Float32Array,
  seed: number,
): Promise<Uint8Array> {
  const { t, accumulator, noiseStep } = state;
  const pairs = t.length;
  const dim = scale.length;
  const number = state.update >>> 0;
  const drawn = new Uint8Array(pairs);
  for (let p = 0; p < pairs; p++) {
    const current = Math.floor(t[p] / block);
    if (state.block[p] === current) continue;
    drawn[p] = 1;
    state.block[p] = current;
    noiseStep[p] = number;
    state.sigmaFactor[p] = factor;
  }
  if (drawn.every((one) => one === 1)) {
    await noise.accumulate(accumulator, scale, { rows: pairs, dim, seed, noiseStep: number });
  } else if (drawn.includes(1)) {
    const eps = await noise.fill({ rows: pairs, dim, seed, noiseStep: number });
    await forRows(pairs, dim, (p) => {
      if (!drawn[p]) return;
      // The same roundings as the device's `accumulate`.
      for (let j = 0, i = p * dim; j < dim; j++, i++) accumulator[i] += Math.fround(scale[j] * eps[i]);
    });
  }
  return drawn;
}

/**
 * The thetas of this window. As a rule the device makes them on the fly; only pairs that still use
 * perturbations of differing sigma (a schedule, with blocks that do not begin together) need them written
 * out.
 */
async function windowThetas(
  noise: NoiseKernels,
  state: AccumulatedState,
  mean: Float32Array,
  sigma: Float32Array,
  seed: number,
): Promise<ThetaInput> {
  const { noiseStep, sigmaFactor: factors } = state;
  const pairs = factors.length;
  const first = factors[0];
  if (factors.every((factor) => factor === first)) {
    const same = noiseStep.every((step) => step === noiseStep[0]);
    return {
      kind: 'perturbed',
      mean,
      sigma: sigma.map((value) => value * first),
      seed,
      noiseStep: same ? noiseStep[0] : noiseStep.slice(),
    };
  }
  const dim = mean.length;
  const eps = await noise.fill({ rows: pairs, dim, seed, noiseStep });
  const values = new Float32Array(2 * pairs * dim);
  await forRows(pairs, dim, (p) => {
    for (let j = 0, i = p * dim; j < dim; j++, i++) {
      const perturbation = Math.fround(Math.fround(sigma[j] * factors[p]) * eps[i]);
      values[i] = mean[j] + perturbation;
      values[pairs * dim + i] = mean[j] - perturbation;
    }
  });
  return { kind: 'perParticle', values };
}

/**
 * Values [2 pairs] of the objective at the last step before the reset and at the last step of the window, for
 * telescoping.
 */
function finalLosses(losses: Float32Array, { before, after }: Windows, steps: number) {
  const pairs = before.length;
  const first = new Float64Array(2 * pairs);
  const last = new Float64Array(2 * pairs);
  for (let p = 0; p < pairs; p++) {
    for (const i of [p, pairs + p]) {
      first[i] = losses[(before[p] - 1) * 2 * pairs + i];
      last[i] = after[p] > 0 ? losses[(steps - 1) * 2 * pairs + i] : first[i];
    }
  }
  return { first, last };
}

/**
 * The two parts of a window, as half differences of pairs: `first` up to the reset, `second` after it (0
 * where there is none).
 */
function windowDifferences(result: RunResult, windows: Windows, method: AccumulatedMethod) {
  const { options, truncation, telescoping } = method;
  const { pairs, particles } = options;
  const sums = [result.lossSums.subarray(0, particles), result.lossSums.subarray(particles)];
  let [before, after] = sums;
  if (telescoping) {
    ({ first: before, last: after } = finalLosses(result.losses!, windows, truncation));
    sums.push(before, after);
  }
  const kept = finitePairs(sums, pairs, options.nonFinite);
  const divisor = options.normalisation === 'mean' ? truncation : 1;
  const first = halfDifferences(before, kept, divisor, options.difference);
  const second = new Float64Array(pairs);
  if (windows.crossing) {
    const halves = halfDifferences(after, kept, divisor, options.difference);
    for (let p = 0; p < pairs; p++) if (windows.after[p] > 0) second[p] = halves[p];
  }
  return { kept, first, second };
}

/**
 * The state after a window: accumulators of ended episodes begin anew, with the current perturbation where it
 * acts on.
 */
async function afterWindow(
  state: AccumulatedState,
  windows: Windows,
  differences: { readonly first: Float64Array; readonly second: Float64Array },
  eps: Float32Array | undefined,
  scale: Float32Array,
  factor: number,
): Promise<void> {
  const dim = scale.length;
  const { accumulator, block, previous, sigmaFactor: factors } = state;
  for (let p = 0; p < previous.length; p++) {
    previous[p] = windows.ended[p] ? differences.second[p] : differences.first[p];
  }
  if (windows.resets === 0) return;
  for (let p = 0; p < windows.ended.length; p++) {
    if (!windows.ended[p]) continue;
    block[p] = -1;
    const start = p * dim;
    if (windows.after[p] === 0) accumulator.fill(0, start, start + dim);
    else
      for (let j = 0; j < dim; j++)
        accumulator[start + j] = (scale[j] * eps![start + j] * factor) / factors[p];
  }
}

/** One estimate. Pure but for the state, which it uses up. */
export async function stepAccumulated<Theta, S>(
  program: ProgramOf<Theta, S>,
  method: AccumulatedMethod,
  mean: Float32Array,
  state: AccumulatedState<S>,
  stepOptions: EstimatorStepOptions,
): Promise<Estimate<Theta, AccumulatedState<S>>> {
  const { options, truncation, telescoping } = method;
  const { pairs, sigma } = options;
  const { noise } = program;
  const dim = sigma.length;
  const seeds = estimatorSeeds(state.seed);
  const factor = sigmaFactor(options, state.update);
  const scale = sigma.map((value) => 1 / Math.fround(value * factor));

  const drawn = await drawPerturbations(noise, state, method.block, factor, scale, seeds.perturbations);
  const theta = await windowThetas(noise, state, mean, sigma, seeds.perturbations);
  const result = await perturbedRun(program, state, truncation, theta, seeds.steps, {
    ...stepOptions,
    perStep: options.recordLosses || telescoping,
  });

  const windows = windowsAt(state.t, truncation, program.horizon);
  const differences = windowDifferences(result, windows, method);
  const { kept, first, second } = differences;
  // Weights of the accumulator, and of the current perturbation alone.
  const weights = telescoping ? first.slice() : first;
  const alone = second.map((half, p) => (half * factor) / state.sigmaFactor[p]);
  let needsNoise = windows.crossing;
  if (telescoping) {
    // xi_t F_t - xi_{t-1} F_{t-1}; where a block began, xi_{t-1} is xi_t without the perturbation just drawn.
    for (let p = 0; p < pairs; p++) {
      if (!kept[p] || state.previous[p] === 0) continue;
      needsNoise = true;
      weights[p] -= state.previous[p];
      if (drawn[p]) alone[p] += state.previous[p];
    }
  }
  const { accumulator } = state;
  const eps = needsNoise
    ? await noise.fill({ rows: pairs, dim, seed: seeds.perturbations, noiseStep: state.noiseStep })
    : undefined;
  const terms: PairTerm[] = [{ weights, matrix: accumulator }];
  if (eps) terms.push({ weights: alone, matrix: eps, scale });
  const statistics = await pairStatistics(noise, terms, kept, dim, {
    standardError: options.standardError,
    pairGradients: options.recordPairGradients,
    unit: scale,
  });
  await afterWindow(state, windows, differences, eps, scale, factor);
  const next: AccumulatedState<S> = {
    ...state,
    update: state.update + 1,
    step: state.step + truncation,
    t: windows.next,
  };
  return finishEstimate(program, options, next, result, kept, statistics, {
    steps: truncation,
    resets: windows.resets,
    accumulatorNorm: statistics.matrixNorm,
  });
}
