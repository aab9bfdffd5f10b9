import { describe, expect, it } from 'vitest';
import { OptionError } from '../../src/errors.js';
import {
  addNormalRows,
  fillNormal,
  fillNormalRows,
  ROW_BLOCK,
  weightedRowSum,
} from '../../src/random/index.js';

const noise = { seed: 99, stream: 2, step: 3, draw: 0 };

describe('fillNormalRows', () => {
  it('draws row i for subject firstRow + i, wherever the matrix is cut', () => {
    const dim = 5;
    const whole = new Float32Array(20 * dim);
    fillNormalRows(whole, dim, noise);
    const part = new Float32Array(7 * dim);
    fillNormalRows(part, dim, { ...noise, firstRow: 13 });
    expect(part).toEqual(whole.slice(13 * dim));
    const row = new Float32Array(dim);
    fillNormal(row, { ...noise, subject: 4 });
    expect(row).toEqual(whole.slice(4 * dim, 5 * dim));
  });

  it('takes a step for each row', () => {
    const rows = new Float32Array(3 * 2);
    fillNormalRows(rows, 2, { ...noise, step: Uint32Array.from([3, 8, 3]) });
    const shared = new Float32Array(3 * 2);
    fillNormalRows(shared, 2, noise);
    const eight = new Float32Array(3 * 2);
    fillNormalRows(eight, 2, { ...noise, step: 8 });
    expect([...rows]).toEqual([...shared.slice(0, 2), ...eight.slice(2, 4), ...shared.slice(4)]);
  });
});

describe('addNormalRows', () => {
  it.each([1, ROW_BLOCK - 1, ROW_BLOCK, 2 * ROW_BLOCK + 1])(
    'adds scale * eps to %d rows, each operation rounded to float32',
    (rows) => {
      const scale = Float32Array.from([0.1, -2, 3e-5]);
      const eps = new Float32Array(rows * 3);
      const step = Uint32Array.from({ length: rows }, (_, r) => r * 7);
      fillNormalRows(eps, 3, { ...noise, step, firstRow: 5 });
      const sum = Float32Array.from({ length: rows * 3 }, (_, i) => i / 8);
      addNormalRows(sum, scale, { ...noise, step, firstRow: 5 });
      for (let i = 0; i < sum.length; i++) {
        expect(sum[i]).toBe(Math.fround(i / 8 + Math.fround(scale[i % 3]! * eps[i]!)));
      }
    },
  );
});

describe('weightedRowSum', () => {
  it('is the sum of weights times rows within 1e-12', () => {
    const rows = 1000;
    const dim = 7;
    const matrix = new Float32Array(rows * dim);
    fillNormalRows(matrix, dim, noise);
    const weights = Float64Array.from({ length: rows }, (_, i) => Math.sin(i) * 10 ** (i % 5));
    const got = weightedRowSum(weights, matrix, dim);
    for (let j = 0; j < dim; j++) {
      // Neumaier's compensated sum
      let sum = 0;
      let lost = 0;
      let size = 0;
      for (let i = 0; i < rows; i++) {
        const x = weights[i]! * matrix[i * dim + j]!;
        const next = sum + x;
        lost += Math.abs(sum) >= Math.abs(x) ? sum - next + x : x - next + sum;
        sum = next;
        size += Math.abs(x);
      }
      expect(Math.abs(got[j]! - (sum + lost))).toBeLessThan(1e-12 * size);
    }
  });

  it('adds the sums of blocks of 256 rows in order', () => {
    const rows = 2 * ROW_BLOCK + 9;
    const matrix = new Float32Array(rows);
    fillNormalRows(matrix, 1, noise);
    const weights = Float64Array.from(matrix, (x) => 1 / x);
    let total = 0;
    for (let first = 0; first < rows; first += ROW_BLOCK) {
      const last = Math.min(first + ROW_BLOCK, rows);
      total += weightedRowSum(weights.slice(first, last), matrix.slice(first, last), 1)[0]!;
    }
    expect(weightedRowSum(weights, matrix, 1)[0]).toBe(total);
  });

  it('of no rows is zero, of no columns empty', () => {
    expect([...weightedRowSum(new Float64Array(0), new Float32Array(0), 2)]).toEqual([0, 0]);
    expect(weightedRowSum(new Float64Array(3), new Float32Array(0), 0).length).toBe(0);
  });
});

describe('shapes that disagree', () => {
  it.each([
    () => fillNormalRows(new Float32Array(5), 2, noise),
    () => fillNormalRows(new Float32Array(4), 2, { ...noise, step: new Uint32Array(3) }),
    () => addNormalRows(new Float32Array(5), new Float32Array(2), noise),
    () => addNormalRows(new Float32Array(4), new Float32Array(2), { ...noise, step: new Uint32Array(3) }),
    () => weightedRowSum(new Float64Array(3), new Float32Array(4), 2),
    () => weightedRowSum(new Float64Array(2), new Float32Array(4), 0),
  ])('are refused (%#)', (call) => {
    expect(call).toThrow(OptionError);
  });
});
