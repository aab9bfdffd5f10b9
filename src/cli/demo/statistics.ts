/** Means over independent training runs, with their confidence intervals. */

/** A mean of `count` independent values and its two-sided 95 % confidence interval. */
export interface Estimate {
  readonly mean: number;
  /** [low, high] */
  readonly interval: readonly [number, number];
  /** Finite values that went in. */
  readonly count: number;
  /** Values left out because they were NaN or infinite. */
  readonly nonFinite: number;
}

/**
 * 97.5 % quantile of Student's t with `degrees` >= 1 degrees of freedom. Exact for 1 and 2, else the Cornish-Fisher expansion about the
 * normal quantile (Abramowitz and Stegun 26.7.5), whose error is below 0.4 % at 3 and 1e-5 from 20 on.
 */
export function studentQuantile(degrees: number): number {
  if (degrees === 1) return 12.706204736;
  if (degrees === 2) return 4.30265273;
  const z = 1.959963984540054;
  const g1 = (z ** 3 + z) / 4;
  const g2 = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  const g3 = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384;
  const g4 = (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160;
  return z + g1 / degrees + g2 / degrees ** 2 + g3 / degrees ** 3 + g4 / degrees ** 4;
}

/**
 * Mean and t interval of independent values. Values that are not finite are counted and left out; with fewer than two finite ones
 * the interval is [NaN, NaN].
 */
export function estimateMean(values: ArrayLike<number>): Estimate {
  let count = 0;
  let mean = 0;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!Number.isFinite(value)) continue;
    count++;
    const delta = value - mean;
    mean += delta / count;
    squares += delta * (value - mean);
  }
  const nonFinite = values.length - count;
  if (count < 2)
    return { mean: count === 1 ? mean : Number.NaN, interval: [Number.NaN, Number.NaN], count, nonFinite };
  const half = studentQuantile(count - 1) * Math.sqrt(squares / (count - 1) / count);
  return { mean, interval: [mean - half, mean + half], count, nonFinite };
}
