import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stratifiedSplit } from '../../src/data/split.js';
import { OptionError } from '../../src/errors.js';

const options = { seed: 3, validation: 0.2, tuning: 0.2 };

describe('stratifiedSplit', () => {
  it('puts every row in exactly one part and every class in training and validation', () => {
    const labelled = fc.array(fc.integer({ min: 2, max: 30 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(labelled, fc.integer({ min: 0, max: 2 ** 53 - 1 }), (sizes, seed) => {
        const labels = Int32Array.from(sizes.flatMap((n, k) => new Array(n).fill(k)));
        const { train, tuning, validation } = stratifiedSplit(labels, { ...options, seed });
        const all = [...train, ...tuning, ...validation].sort((a, b) => a - b);
        expect(all).toEqual([...labels.keys()]);
        sizes.forEach((n, k) => {
          const count = (rows: Int32Array) => rows.filter((row) => labels[row] === k).length;
          expect(count(train)).toBeGreaterThanOrEqual(1);
          expect(count(validation)).toBe(Math.min(n - 1, Math.max(1, Math.round(n * 0.2))));
          if (n >= 3) expect(count(tuning)).toBeGreaterThanOrEqual(1);
        });
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it('depends on the seed, and on nothing else', () => {
    const labels = Int32Array.from({ length: 100 }, (_, i) => i % 2);
    const again = (seed: number) => [...stratifiedSplit(labels, { ...options, seed }).validation];
    expect(again(3)).toEqual(again(3));
    expect(again(3)).not.toEqual(again(4));
  });

  it('refuses shares that leave nothing to train on', () => {
    for (const [validation, tuning] of [
      [0, 0.2],
      [0.5, 0.5],
      [0.2, -0.1],
      [Number.NaN, 0],
    ] as const) {
      expect(() => stratifiedSplit(new Int32Array(4), { seed: 0, validation, tuning })).toThrow(OptionError);
    }
  });
});
