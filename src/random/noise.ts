/**
 * Perturbations of theta, recomputed from counters instead of stored: rows of N(0, 1) whose subject is the row (the particle, or the
 * antithetic pair). The native kernels of the same names (native/cpu/noise.h) give the same noise bit for bit.
 */
import { OptionError } from '../errors.js';
import { type Draw, fillNormal } from './distributions.js';
import { describe } from './philox.js';

/** Rows added up before they join the total: the unit of work that keeps sums the same however it is spread over threads. */
export const ROW_BLOCK = 256;

/** Noise of a matrix [rows, dim]: as `Draw`, with the subject of row i = firstRow + i. */
export interface RowNoise extends Omit<Draw, 'subject'> {
  /** Default 0. */
  readonly firstRow?: number;
}

function checkMatrix(matrix: Float32Array, dim: number, name: string): number {
  if (!Number.isInteger(dim) || dim < 0 || (dim === 0 ? matrix.length > 0 : matrix.length % dim)) {
    throw new OptionError(`dim must divide the ${matrix.length} elements of ${name}, got ${describe(dim)}`);
  }
  return dim === 0 ? 0 : matrix.length / dim;
}

/** out [rows, dim] = N(0, 1), float32. Throws OptionError when dim does not divide the length, or the noise is malformed. */
export function fillNormalRows(out: Float32Array, dim: number, noise: RowNoise): void {
  checkMatrix(out, dim, 'out');
  fillNormal(out, { ...noise, subject: noise.firstRow ?? 0 }, dim);
}

/**
 * accumulator [rows, dim] += scale [dim] * eps, in place; product and sum are each rounded to float32.
 * Throws OptionError when shapes disagree or the noise is malformed. Needs 4 * min(rows, 256) * dim bytes.
 */
export function addNormalRows(accumulator: Float32Array, scale: Float32Array, noise: RowNoise): void {
  const dim = scale.length;
  const rows = checkMatrix(accumulator, dim, 'accumulator');
  const { step, firstRow = 0 } = noise;
  if (step instanceof Uint32Array && step.length !== rows) {
    throw new OptionError(`step must have one element per row (${rows}), got ${step.length}`);
  }
  const eps = new Float32Array(Math.min(rows, ROW_BLOCK) * dim);
  for (let row = 0; row < rows; row += ROW_BLOCK) {
    const count = Math.min(ROW_BLOCK, rows - row);
    const block = eps.subarray(0, count * dim);
    const steps = step instanceof Uint32Array ? step.subarray(row, row + count) : step;
    fillNormal(block, { ...noise, step: steps, subject: firstRow + row }, dim);
    let i = row * dim;
    for (let r = 0, e = 0; r < count; r++) {
      for (let j = 0; j < dim; j++, e++, i++) {
        accumulator[i] = accumulator[i]! + Math.fround(scale[j]! * block[e]!);
      }
    }
  }
}

/**
 * sum_i weights[i] * matrix[i, :] -> float64 [dim], for matrix [rows, dim] float32 and weights [rows] float64. Rows are added in order
 * within blocks of 256, then the blocks in order. Throws OptionError when shapes disagree.
 */
export function weightedRowSum(weights: Float64Array, matrix: Float32Array, dim: number): Float64Array {
  const rows = checkMatrix(matrix, dim, 'matrix');
  if (dim > 0 && weights.length !== rows) {
    throw new OptionError(`weights must have one element per row (${rows}), got ${weights.length}`);
  }
  const out = new Float64Array(dim);
  const partial = new Float64Array(dim);
  for (let row = 0; row < rows; row += ROW_BLOCK) {
    partial.fill(0);
    const end = Math.min(row + ROW_BLOCK, rows);
    for (let r = row, i = row * dim; r < end; r++) {
      const weight = weights[r]!;
      for (let j = 0; j < dim; j++, i++) partial[j] = partial[j]! + weight * matrix[i]!;
    }
    for (let j = 0; j < dim; j++) out[j] = out[j]! + partial[j]!;
  }
  return out;
}
