/** Outer parameters that are drawn around a mean, one set a particle. */
import { checkKeys } from '../options.js';
import { checkUint32, toSeed } from '../random/philox.js';

/** Thetas made on the fly, one per particle: mean + sigma * noise. Made by `perturbed`. */
export class PerturbedTheta<I> {
  readonly mean: I;
  readonly sigma: number | I;
  readonly seed: number;
  readonly noiseStep: number | Uint32Array;
  constructor(options: PerturbedOptions<I>) {
    checkKeys(options, ['mean', 'sigma', 'seed', 'noiseStep'], 'perturbed');
    this.mean = options.mean;
    this.sigma = options.sigma;
    this.seed = toSeed(options.seed, 'perturbed seed');
    this.noiseStep = options.noiseStep ?? 0;
    if (!(this.noiseStep instanceof Uint32Array)) checkUint32(this.noiseStep, 'noiseStep');
  }
}

export interface PerturbedOptions<I> {
  readonly mean: I;
  /** Standard deviation: one number, or a structure like theta. */
  readonly sigma: number | I;
  readonly seed: number;
  /**
   * Which noise of the seed: one number (uint32) for all, or one per pair (per particle without pairs).
   * Default 0.
   */
  readonly noiseStep?: number | Uint32Array;
}

/**
 * Thetas mean + sigma * eps with eps ~ N(0, 1), drawn where they are used and never stored. In an antithetic
 * run particle i + particles / 2 has the opposite eps of particle i. Throws OptionError on a malformed seed,
 * noise step or key.
 */
export function perturbed<I>(options: PerturbedOptions<I>): PerturbedTheta<I> {
  return new PerturbedTheta(options);
}
