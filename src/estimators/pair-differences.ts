/**
 * From losses to one number per antithetic pair: half the difference between its two particles, with the
 * policies for scale and for losses that are not finite.
 *
 * The device adds the float32 losses of a window in float64, so the difference of two sums loses nothing that
 * the difference of each step would keep.
 */
import { OptionError, UnrolledError } from '../errors.js';
import { checkKeys, checkPositive } from '../options.js';

/**
 * Makes an estimate robust against a few huge differences, at the price of bias: `{ clip: c }` limits L+ - L-
 * to [-c, c]; `{ sign: s }` replaces it by s times its sign. Applied to what the pair's window (or its part
 * before or after a reset) adds up to, after normalisation.
 */
export type DifferencePolicy = { readonly clip: number } | { readonly sign: number };

/** Throws OptionError on anything but `{ clip }` or `{ sign }` with a positive number. */
export function checkDifferencePolicy(policy: DifferencePolicy): DifferencePolicy {
  checkKeys(policy, ['clip', 'sign'], 'difference');
  const entries = Object.entries(policy);
  if (entries.length !== 1)
    throw new OptionError('difference must be { clip: number } or { sign: number }, one of the two');
  checkPositive(entries[0][1], `difference.${entries[0][0]}`);
  return policy;
}

/**
 * `values` [2 pairs] of the positive, then the negative members -> [pairs] half differences after the policy,
 * 0 where not kept.
 */
export function halfDifferences(
  values: ArrayLike<number>,
  kept: Uint8Array,
  divisor: number,
  policy: DifferencePolicy | undefined,
): Float64Array {
  const pairs = kept.length;
  const result = new Float64Array(pairs);
  const limit = policy && 'clip' in policy ? policy.clip : Number.POSITIVE_INFINITY;
  const sign = policy && 'sign' in policy ? policy.sign : 0;
  for (let p = 0; p < pairs; p++) {
    if (!kept[p]) continue;
    const difference = (values[p] - values[pairs + p]) / divisor;
    const limited = Math.min(limit, Math.max(-limit, difference));
    result[p] = (sign === 0 ? limited : Math.sign(difference) * sign) / 2;
  }
  return result;
}

/**
 * What happens to a pair when a loss of one of its members is NaN or infinite: leave the pair out of the
 * estimate, or reject.
 */
export type NonFinitePolicy = 'drop' | 'throw';

/**
 * [pairs] 1 where every value of both members is finite. `sums` are arrays of [2 pairs].
 * Throws UnrolledError ERR_NON_FINITE when a pair is not finite under 'throw', or when no pair is left: there
 * is no estimate then.
 */
export function finitePairs(
  sums: readonly ArrayLike<number>[],
  pairs: number,
  policy: NonFinitePolicy,
): Uint8Array {
  const kept = new Uint8Array(pairs);
  let count = 0;
  for (let p = 0; p < pairs; p++) {
    // 0 where both are finite, else NaN.
    let zero = 0;
    for (const sum of sums) zero += sum[p] - sum[p] + (sum[pairs + p] - sum[pairs + p]);
    if (zero !== 0) continue;
    kept[p] = 1;
    count++;
  }
  if (count === 0 || (policy === 'throw' && count < pairs)) {
    throw new UnrolledError(
      'ERR_NON_FINITE',
      `${pairs - count} of ${pairs} pairs have a loss that is not finite: the inner problem diverges at these outer parameters; ` +
        'lower sigma or the outer learning rate, or bound the loss',
    );
  }
  return kept;
}
