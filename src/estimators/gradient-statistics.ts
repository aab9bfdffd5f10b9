/** From what each pair contributes to the gradient: its mean and its standard error. */
import type { NoiseKernels } from '../device/driver.js';
import { forRows } from './slices.js';

/** A part of what pairs contribute: row r of the sum is weights[r] * scale * matrix[r, :]. */
export interface PairTerm {
  /** [pairs]; 0 where a pair was dropped. */
  readonly weights: Float64Array;
  /** [pairs, P] */
  readonly matrix: Float32Array;
  /** [P]; 1 when absent. */
  readonly scale?: Float32Array;
}

export interface PairStatistics {
  /** [P] */
  readonly gradient: Float64Array;
  /** [P]: sample standard deviation over pairs / sqrt(pairs). Infinity-free: NaN for a single pair. */
  readonly standardError: Float64Array | undefined;
  /** [pairs, P] */
  readonly pairGradients: Float64Array | undefined;
  /**
   * Root mean square of the first matrix divided by `unit`, over kept pairs and parameters; NaN without
   * standard errors.
   */
  readonly matrixNorm: number;
}

/**
 * gradient = 1/n sum over pairs of the sum of terms, n the number of kept pairs. The mean comes from the
 * device's kernel; the squared deviations are summed here (about 2 ns an element), in slices that let the
 * event loop turn. `kept` [pairs] 0/1; `wanted` says what else to compute, `unit` [P] (default 1) is for the
 * norm of the first matrix.
 */
export async function pairStatistics(
  noise: NoiseKernels,
  terms: readonly PairTerm[],
  kept: Uint8Array,
  dim: number,
  wanted: { readonly standardError: boolean; readonly pairGradients: boolean; readonly unit?: Float32Array },
): Promise<PairStatistics> {
  const pairs = kept.length;
  const count = kept.reduce((sum, keep) => sum + keep, 0);
  const gradient = new Float64Array(dim);
  for (const { weights, matrix, scale } of terms) {
    const sum = await noise.weightedRowSum(weights, matrix, dim);
    for (let j = 0; j < dim; j++) gradient[j] += (sum[j] * (scale ? scale[j] : 1)) / count;
  }
  const pairGradients = wanted.pairGradients ? new Float64Array(pairs * dim) : undefined;
  if (!wanted.standardError && !pairGradients) {
    return { gradient, standardError: undefined, pairGradients, matrixNorm: Number.NaN };
  }

  const squares = new Float64Array(dim);
  const row = new Float64Array(dim);
  const { matrix: weighted } = terms[0];
  const inverse = Float64Array.from({ length: dim }, (_, j) => 1 / (wanted.unit ? wanted.unit[j] : 1));
  let norm = 0;
  await forRows(pairs, dim, (r) => {
    if (!kept[r]) return;
    row.fill(0);
    for (const { weights, matrix, scale } of terms) {
      const weight = weights[r];
      if (weight === 0) continue;
      for (let j = 0, i = r * dim; j < dim; j++, i++) row[j] += weight * matrix[i] * (scale ? scale[j] : 1);
    }
    for (let j = 0, i = r * dim; j < dim; j++, i++) {
      const deviation = row[j] - gradient[j];
      squares[j] += deviation * deviation;
      const unscaled = weighted[i] * inverse[j];
      norm += unscaled * unscaled;
    }
    pairGradients?.set(row, r * dim);
  });
  const standardError = wanted.standardError
    ? squares.map((sum) => (count > 1 ? Math.sqrt(sum / (count - 1) / count) : Number.NaN))
    : undefined;
  const elements = count * dim;
  return {
    gradient,
    standardError,
    pairGradients,
    matrixNorm: elements === 0 ? 0 : Math.sqrt(norm / elements),
  };
}
