import { describe, expect, it } from 'vitest';
import { estimateMean, studentQuantile } from '../../src/cli/demo/statistics.js';

describe('studentQuantile', () => {
  // Any printed table of Student's t, column 0.975.
  it.each([
    [1, 12.7062],
    [2, 4.3027],
    [5, 2.5706],
    [10, 2.2281],
    [30, 2.0423],
    [120, 1.9799],
  ])('agrees with the table at %i degrees', (degrees, value) => {
    expect(Math.abs(studentQuantile(degrees) / value - 1)).toBeLessThan(2e-4);
  });
});

describe('estimateMean', () => {
  it('gives the textbook interval', () => {
    // mean 3, s = sqrt(2.5), n = 5: 3 +- 2.7764 * 1.5811 / sqrt(5)
    const { mean, interval, count } = estimateMean([1, 2, 3, 4, 5]);
    expect(mean).toBe(3);
    expect(count).toBe(5);
    expect(interval[0]).toBeCloseTo(3 - 1.9632, 2);
    expect(interval[1]).toBeCloseTo(3 + 1.9632, 2);
  });

  it('counts what is not finite instead of spoiling the mean', () => {
    const { mean, nonFinite, count } = estimateMean([1, Number.NaN, 3, Number.POSITIVE_INFINITY]);
    expect([mean, nonFinite, count]).toEqual([2, 2, 2]);
    expect(estimateMean([Number.NaN]).interval).toEqual([Number.NaN, Number.NaN]);
  });
});
