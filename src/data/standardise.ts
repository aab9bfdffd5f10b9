/** Bringing features to zero mean and unit variance. */

/** Per feature: what is subtracted, and what the difference is divided by. */
export interface Standardisation {
  readonly mean: Float64Array;
  readonly deviation: Float64Array;
  /** Indices of features that were asked for but are constant on the given rows; they become 0 there. */
  readonly constant: readonly number[];
}

/**
 * Mean and standard deviation of each feature over `rows` only (the training rows: anything else would leak).
 * Features not in `numeric` keep mean 0 and deviation 1; constant ones are centred and keep deviation 1.
 *
 * `features`: [*, width] float64, row-major; `numeric`: [width]. Values are scaled by the largest one first, so that neither sums nor
 * squares overflow.
 */
export function standardisation(
  features: Float64Array,
  width: number,
  rows: Int32Array,
  numeric: readonly boolean[],
): Standardisation {
  const mean = new Float64Array(width);
  const deviation = new Float64Array(width).fill(1);
  const constant: number[] = [];
  for (let j = 0; j < width; j++) {
    if (!numeric[j]) continue;
    const values = Float64Array.from(rows, (row) => features[row * width + j]);
    const first = values[0] ?? 0;
    if (values.every((value) => value === first)) {
      mean[j] = first;
      constant.push(j);
      continue;
    }
    const largest = values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    const centre = values.reduce((sum, value) => sum + value / largest, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value / largest - centre) ** 2, 0) / values.length;
    mean[j] = centre * largest;
    // A spread below the rounding of the mean is no spread.
    if (Math.sqrt(variance) > 1e-12) deviation[j] = Math.sqrt(variance) * largest;
    else constant.push(j);
  }
  return { mean, deviation, constant };
}

/** (features[rows] - mean) / deviation as float32 [rows.length, width]. */
export function standardised(
  features: Float64Array,
  rows: Int32Array,
  { mean, deviation }: Standardisation,
): Float32Array {
  const width = mean.length;
  const out = new Float32Array(rows.length * width);
  for (let r = 0, e = 0; r < rows.length; r++) {
    for (let j = 0; j < width; j++, e++) {
      // Halved before the difference: two doubles of opposite sign can be further apart than a double reaches.
      out[e] = ((features[rows[r] * width + j] / 2 - mean[j] / 2) / deviation[j]) * 2;
    }
  }
  return out;
}
