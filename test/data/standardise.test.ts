import { describe, expect, it } from 'vitest';
import { standardisation, standardised } from '../../src/data/standardise.js';

const rows = (n: number, from = 0) => Int32Array.from({ length: n }, (_, i) => i + from);

describe('standardisation', () => {
  it('uses the given rows only', () => {
    // mean 2 and deviation 1 over the first two rows; the third must not count
    const features = Float64Array.of(1, 3, 1000);
    const s = standardisation(features, 1, rows(2), [true]);
    expect([...s.mean]).toEqual([2]);
    expect([...s.deviation]).toEqual([1]);
    expect([...standardised(features, rows(3), s)]).toEqual([-1, 1, 998]);
  });

  it('leaves 0/1 columns alone and centres constant ones', () => {
    const features = Float64Array.of(0, 7, 1, 7, 1, 7);
    const s = standardisation(features, 2, rows(3), [false, true]);
    expect(s.constant).toEqual([1]);
    expect([...standardised(features, rows(3), s)]).toEqual([0, 0, 1, 0, 1, 0]);
  });

  it('survives values near the ends of the double range, and large offsets', () => {
    const huge = Float64Array.of(-1.7e308, 1.7e308, 0, 1.7e308);
    const s = standardisation(huge, 1, rows(4), [true]);
    const out = standardised(huge, rows(4), s);
    expect(out.every(Number.isFinite)).toBe(true);
    expect(out.reduce((a, b) => a + b)).toBeCloseTo(0, 5);
    const offset = Float64Array.of(1e9, 1e9 + 1, 1e9 + 2);
    const t = standardised(offset, rows(3), standardisation(offset, 1, rows(3), [true]));
    expect(t[2]).toBeCloseTo(Math.sqrt(1.5), 5);
  });
});
