/**
 * One seed serves a whole estimator: unrelated seeds are folded out of it, for the inner steps, the
 * perturbations and the offsets.
 */
import { foldIn, type Seed, toSeed } from '../random/philox.js';

export const SEED_PARTS = { steps: 1, perturbations: 2, offsets: 3 } as const;

export interface EstimatorSeeds {
  /** Key of the draws inside `init` and `step`. */
  readonly steps: Seed;
  /** Key of the perturbations of theta. */
  readonly perturbations: Seed;
}

/** Throws OptionError unless `seed` is an integer in 0..2^53-1. */
export function estimatorSeeds(seed: number): EstimatorSeeds {
  const key = toSeed(seed);
  return { steps: foldIn(key, SEED_PARTS.steps), perturbations: foldIn(key, SEED_PARTS.perturbations) };
}
