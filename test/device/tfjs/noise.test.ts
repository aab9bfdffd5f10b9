import { describe, expect, it } from 'vitest';
import { hostNoise } from '../../../src/device/tfjs/noise.js';
import { addNormalRows, fillNormalRows, weightedRowSum } from '../../../src/random/index.js';

const noise = hostNoise(() => {});
// More rows than one portion of work, and not a multiple of a block.
const dim = 7;
const rows = 80_003;
const steps = Uint32Array.from({ length: rows }, (_, i) => i % 13);

describe('perturbation kernels in portions', () => {
  it('draws the rows that one call draws', async () => {
    const wanted = new Float32Array(rows * dim);
    fillNormalRows(wanted, dim, { seed: 5, stream: 2, draw: 0, step: steps });
    const got = await noise.fill({ rows, dim, seed: 5, noiseStep: steps });
    expect(Buffer.from(got.buffer).equals(Buffer.from(wanted.buffer))).toBe(true);
  });

  it('accumulates the same noise', async () => {
    const scale = Float32Array.from({ length: dim }, (_, j) => 0.5 + j);
    const wanted = new Float32Array(rows * dim).fill(1);
    addNormalRows(wanted, scale, { seed: 5, stream: 2, draw: 0, step: 3 });
    const got = new Float32Array(rows * dim).fill(1);
    await noise.accumulate(got, scale, { rows, dim, seed: 5, noiseStep: 3 });
    expect(Buffer.from(got.buffer).equals(Buffer.from(wanted.buffer))).toBe(true);
  });

  it('sums rows in the same order of blocks', async () => {
    const matrix = await noise.fill({ rows, dim, seed: 6, noiseStep: 0 });
    const weights = Float64Array.from({ length: rows }, (_, i) => Math.sin(i));
    expect(await noise.weightedRowSum(weights, matrix, dim)).toEqual(weightedRowSum(weights, matrix, dim));
  });
});
