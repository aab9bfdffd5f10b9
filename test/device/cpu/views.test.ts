import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  broadcastStrides,
  collapse,
  collapseTogether,
  contiguousStrides,
  isContiguous,
  reshapeStrides,
} from '../../../src/device/cpu/views.js';

/** Offsets that a view visits, row-major. */
function walk(shape: readonly number[], strides: readonly number[]): number[] {
  return shape.reduce<number[]>(
    (offsets, d, axis) => offsets.flatMap((o) => Array.from({ length: d }, (_, i) => o + i * strides[axis])),
    [0],
  );
}

/** A contiguous value transposed, sliced and broadcast at random. */
const view = fc
  .record({
    dims: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
    perm: fc.infiniteStream(fc.nat(100)),
    steps: fc.array(fc.integer({ min: -1, max: 2 }), { minLength: 4, maxLength: 4 }),
  })
  .map(({ dims, perm, steps }) => {
    const order = dims.map((_, i) => ({ i, key: perm.next().value as number })).sort((a, b) => a.key - b.key);
    const strides = contiguousStrides(dims);
    return { shape: order.map(({ i }) => dims[i]), strides: order.map(({ i }) => strides[i] * steps[i]) };
  });

/** All shapes with this many elements and at most four axes. */
function shapesOf(size: number, axes = 4): number[][] {
  if (axes === 1) return [[size]];
  const result: number[][] = [[size]];
  for (let d = 1; d <= size; d++)
    if (size % d === 0) for (const rest of shapesOf(size / d, axes - 1)) result.push([d, ...rest]);
  return result;
}

describe('reshapeStrides', () => {
  it('visits the same elements in the same order whenever it finds strides', () => {
    fc.assert(
      fc.property(view, fc.nat(10_000), ({ shape, strides }, choice) => {
        const size = shape.reduce((a, b) => a * b, 1);
        const targets = shapesOf(size, 3);
        const target = targets[choice % targets.length];
        const found = reshapeStrides(shape, strides, target);
        if (found) expect(walk(target, found)).toEqual(walk(shape, strides));
        else expect(isContiguous(shape, strides)).toBe(false);
      }),
      { numRuns: 2000, seed: 5 },
    );
  });

  it('finds no strides exactly where an axis pair cannot be walked as one', () => {
    expect(reshapeStrides([2, 3], [1, 2], [6])).toBeNull();
    expect(reshapeStrides([2, 3], [0, 1], [6])).toBeNull();
    expect(reshapeStrides([2, 3], [0, 0], [6])).toEqual([0]);
    expect(reshapeStrides([4, 2, 3], [1, 12, 4], [4, 6])).toEqual([1, 4]);
    expect(reshapeStrides([4, 6], [1, 4], [2, 2, 1, 6])).toEqual([2, 1, 0, 4]);
    expect(reshapeStrides([3, 0], [7, 7], [0, 5])).toEqual([5, 1]);
  });
});

describe('collapse', () => {
  it('merges axes only where one stride steps through all of them', () => {
    fc.assert(
      fc.property(view, ({ shape, strides }) => {
        const merged = collapse(shape, strides);
        const offsets = walk(shape, strides);
        const even = offsets.every((o, i) => i < 2 || o - offsets[i - 1] === offsets[1] - offsets[0]);
        expect(merged !== null).toBe(even);
        if (merged) expect(walk([merged.dim], [merged.stride])).toEqual(offsets);
      }),
      { numRuns: 1000, seed: 6 },
    );
  });

  it('of several operands keeps every walk', () => {
    fc.assert(
      fc.property(view, fc.array(fc.nat(3), { minLength: 4, maxLength: 4 }), ({ shape, strides }, other) => {
        const second = contiguousStrides(shape).map((s, i) => (other[i] === 0 ? 0 : s));
        const { dims, strides: walks } = collapseTogether(shape, [strides, second]);
        expect(walk(dims, walks[0])).toEqual(walk(shape, strides));
        expect(walk(dims, walks[1])).toEqual(walk(shape, second));
        expect(dims.length).toBeLessThanOrEqual(Math.max(1, shape.length));
      }),
      { numRuns: 1000, seed: 7 },
    );
    expect(
      collapseTogether(
        [2, 3, 4],
        [
          [12, 4, 1],
          [0, 0, 0],
        ],
      ).dims,
    ).toEqual([24]);
    expect(collapseTogether([], [[], []])).toEqual({ dims: [1], strides: [[0], [0]] });
  });
});

it('broadcastStrides stands still along added and stretched axes', () => {
  expect(broadcastStrides([3, 1], [1, 1], [2, 3, 4])).toEqual([0, 1, 0]);
  expect(broadcastStrides([], [], [2])).toEqual([0]);
});
