/** The options that the estimators share, and their checks. */
import { OptionError } from '../errors.js';
import { checkBoolean, checkChoice, checkInteger, checkKeys } from '../options.js';
import { describe } from '../random/philox.js';
import type { InputsOf } from '../transform/leaf.js';
import { packSigma, type ThetaLayout } from '../transform/theta-layout.js';
import { checkDifferencePolicy, type DifferencePolicy, type NonFinitePolicy } from './pair-differences.js';

/** Options of every estimator. */
export interface EstimatorOptions<Theta> {
  /** N: particles, two for each antithetic pair (i and i + N/2); even, at least 2. */
  readonly particles: number;
  /** Standard deviation of the perturbations, in units of theta: one number, or a structure like theta. */
  readonly sigma: number | InputsOf<Theta>;
  /**
   * Factor of sigma as a function of the number of estimates made. Default 1. Accumulated perturbations stay
   * correctly weighted.
   */
  readonly sigmaSchedule?: (update: number) => number;
  /**
   * 'sum': gradient of the sum of the losses of a window; 'mean': of their mean over its steps. Default
   * 'sum'.
   */
  readonly normalisation?: 'sum' | 'mean';
  /** Limit or sign of the pair differences. Default: neither. */
  readonly difference?: DifferencePolicy;
  /** Pairs whose losses are not finite are dropped and counted, or make the step reject. Default 'drop'. */
  readonly nonFinite?: NonFinitePolicy;
  /**
   * Compute standard errors: pairs x P multiply-adds in JavaScript, in slices that let the event loop turn.
   * Default true.
   */
  readonly standardError?: boolean;
  /** Also return the losses of every step, or what each pair contributes. Default: neither. */
  readonly record?: { readonly losses?: boolean; readonly pairGradients?: boolean };
}

export const ESTIMATOR_KEYS = [
  'particles',
  'sigma',
  'sigmaSchedule',
  'normalisation',
  'difference',
  'nonFinite',
  'standardError',
  'record',
] as const;

/** The shared options with their defaults filled in. */
export interface CheckedOptions {
  readonly particles: number;
  readonly pairs: number;
  /** [P] float32, before the schedule. */
  readonly sigma: Float32Array;
  readonly sigmaSchedule: (update: number) => number;
  readonly normalisation: 'sum' | 'mean';
  readonly difference: DifferencePolicy | undefined;
  readonly nonFinite: NonFinitePolicy;
  readonly standardError: boolean;
  readonly recordLosses: boolean;
  readonly recordPairGradients: boolean;
}

/**
 * Checks the shared options; `known` lists all options of the method called `name`. Throws OptionError naming
 * the option.
 */
export function checkEstimatorOptions<Theta>(
  options: EstimatorOptions<Theta>,
  known: readonly string[],
  name: string,
  theta: ThetaLayout<Theta>,
): CheckedOptions {
  checkKeys(options, known, name);
  const particles = checkInteger(options.particles, 'particles', 2, 0x7ffffffe);
  if (particles % 2 !== 0) {
    throw new OptionError(`particles must be even (they form antithetic pairs), got ${particles}`);
  }
  if (options.sigma === undefined)
    throw new OptionError(`${name} needs sigma, the standard deviation of the perturbations`);
  const {
    sigmaSchedule = () => 1,
    normalisation = 'sum',
    nonFinite = 'drop',
    standardError = true,
    record = {},
  } = options;
  if (typeof sigmaSchedule !== 'function') {
    throw new OptionError(`sigmaSchedule must be a function of the update, got ${describe(sigmaSchedule)}`);
  }
  checkKeys(record, ['losses', 'pairGradients'], 'record');
  return {
    particles,
    pairs: particles / 2,
    sigma: packSigma(theta, options.sigma),
    sigmaSchedule,
    normalisation: checkChoice(normalisation, 'normalisation', ['sum', 'mean']),
    difference: options.difference === undefined ? undefined : checkDifferencePolicy(options.difference),
    nonFinite: checkChoice(nonFinite, 'nonFinite', ['drop', 'throw']),
    standardError: checkBoolean(standardError, 'standardError'),
    recordLosses: checkBoolean(record.losses ?? false, 'record.losses'),
    recordPairGradients: checkBoolean(record.pairGradients ?? false, 'record.pairGradients'),
  };
}

/**
 * The factor of sigma for an estimate. Throws OptionError when the schedule yields anything but a positive
 * finite number.
 */
export function sigmaFactor(options: CheckedOptions, update: number): number {
  const factor = options.sigmaSchedule(update);
  if (!(factor > 0) || !Number.isFinite(factor)) {
    throw new OptionError(
      `sigmaSchedule(${update}) must be a positive finite number, got ${describe(factor)}`,
    );
  }
  return factor;
}

/** A truncation that fits the horizon. Throws OptionError. */
export function checkTruncation(truncation: number, horizon: number): number {
  checkInteger(truncation, 'truncation', 1, 0x7fffffff);
  if (truncation > horizon) {
    throw new OptionError(
      `truncation ${truncation} is longer than an episode (horizon ${horizon}); use fullEs, or a truncation of at most ${horizon}`,
    );
  }
  return truncation;
}
