import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type BufferRequest, placeBuffers } from '../../../src/device/cpu/arena.js';

const buffer = (size: number, start: number, end: number): BufferRequest => ({
  size,
  start,
  end,
  offset: -1,
});

it('buffers that live at the same time never overlap, and stay inside the arena', () => {
  const request = fc
    .tuple(fc.nat(40), fc.nat(12), fc.nat(12), fc.boolean())
    .map(([size, start, length, forever]) =>
      buffer(size, start, forever ? Number.POSITIVE_INFINITY : start + length),
    );
  fc.assert(
    fc.property(
      fc.array(request, { maxLength: 30 }),
      fc.constantFrom(1, 16),
      fc.nat(20),
      (buffers, align, origin) => {
        const top = placeBuffers(buffers, origin, align);
        for (const a of buffers) {
          expect(a.offset % align).toBe(0);
          expect(a.offset).toBeGreaterThanOrEqual(origin);
          expect(a.offset + a.size).toBeLessThanOrEqual(Math.max(top, a.offset));
          for (const b of buffers) {
            if (a === b || a.size === 0 || b.size === 0 || a.end < b.start || b.end < a.start) continue;
            expect(a.offset + a.size <= b.offset || b.offset + b.size <= a.offset).toBe(true);
          }
        }
      },
    ),
    { numRuns: 1000, seed: 3 },
  );
});

it('memory is used again once a buffer has died, not before', () => {
  const chain = [buffer(10, 0, 1), buffer(10, 1, 2), buffer(10, 2, 3), buffer(10, 3, 4)];
  expect(placeBuffers(chain, 5, 1)).toBe(25);
  expect(chain[2].offset).toBe(chain[0].offset);
});
