/** Perturbation kernels in TypeScript, in portions that let the event loop turn. */
import { addNormalRows, fillNormalRows, ROW_BLOCK, STREAMS, weightedRowSum } from '../../random/index.js';
import type { NoiseKernels, NoiseRows } from '../driver.js';

/** Normals made between two turns of the event loop: about 4 ms of work. */
const PORTION = 1 << 18;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Rows [first, last) of the noise, as the functions of src/random take it. */
function rowsOf({ seed, noiseStep }: NoiseRows, first: number, last: number) {
  const step = typeof noiseStep === 'number' ? noiseStep : noiseStep.subarray(first, last);
  return { seed, stream: STREAMS.theta, draw: 0, step, firstRow: first };
}

/** Calls `work` on portions of `rows` rows of `dim` elements, a turn of the event loop between them. */
async function portions(
  rows: number,
  dim: number,
  work: (first: number, last: number) => void,
): Promise<void> {
  const size = Math.max(1, Math.floor(PORTION / Math.max(1, dim) / ROW_BLOCK)) * ROW_BLOCK;
  for (let first = 0; first < rows; first += size) {
    if (first > 0) await turn();
    work(first, Math.min(rows, first + size));
  }
}

/** `check` throws when the device is no longer there. */
export function hostNoise(check: () => void): NoiseKernels {
  return {
    async fill(noise) {
      check();
      const { rows, dim } = noise;
      const out = new Float32Array(rows * dim);
      await portions(rows, dim, (first, last) => {
        fillNormalRows(out.subarray(first * dim, last * dim), dim, rowsOf(noise, first, last));
      });
      return out;
    },
    async accumulate(accumulator, scale, noise) {
      check();
      const { rows, dim } = noise;
      await portions(rows, dim, (first, last) => {
        addNormalRows(accumulator.subarray(first * dim, last * dim), scale, rowsOf(noise, first, last));
      });
    },
    async weightedRowSum(weights, matrix, dim) {
      check();
      const out = new Float64Array(dim);
      await portions(weights.length, dim, (first, last) => {
        for (let row = first; row < last; row += ROW_BLOCK) {
          const end = Math.min(last, row + ROW_BLOCK);
          const block = weightedRowSum(
            weights.subarray(row, end),
            matrix.subarray(row * dim, end * dim),
            dim,
          );
          for (let j = 0; j < dim; j++) out[j] += block[j];
        }
      });
      return out;
    },
  };
}
