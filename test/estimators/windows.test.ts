import { describe, expect, it } from 'vitest';
import { firstOffsets, windowsAt, windowsPerEpisode } from '../../src/estimators/windows.js';

describe('truncation windows', () => {
  it('counts the windows of an episode, the last one cut short included', () => {
    expect([windowsPerEpisode(10, 5), windowsPerEpisode(11, 5), windowsPerEpisode(5, 5)]).toEqual([2, 3, 1]);
  });

  it('splits a window at the step that ends the episode, which still belongs to it', () => {
    const windows = windowsAt(Int32Array.of(0, 4, 6), 3, 7);
    expect(windows).toEqual({
      before: Int32Array.of(3, 3, 1),
      after: Int32Array.of(0, 0, 2),
      ended: Uint8Array.of(0, 1, 1),
      next: Int32Array.of(3, 0, 2),
      resets: 2,
      crossing: true,
    });
    expect(windowsAt(Int32Array.of(4), 3, 7).crossing).toBe(false);
    expect(windowsAt(Int32Array.of(1e6), 3, Number.POSITIVE_INFINITY).resets).toBe(0);
  });

  it('staggers contiguous groups of pairs evenly over the windows', () => {
    expect([...firstOffsets(8, 12, 3, 'staggered', 0)]).toEqual([0, 0, 3, 3, 6, 6, 9, 9]);
    expect([...firstOffsets(4, 12, 3, 'lockstep', 0)]).toEqual([0, 0, 0, 0]);
  });

  it('draws random offsets that are multiples of the truncation below the horizon, the same for the same seed', () => {
    const offsets = firstOffsets(4000, 11, 3, 'random', 5);
    expect(firstOffsets(4000, 11, 3, 'random', 5)).toEqual(offsets);
    const counts = [0, 3, 6, 9].map((t) => offsets.filter((offset) => offset === t).length);
    expect(counts.reduce((a, b) => a + b)).toBe(4000);
    // 4.5 standard deviations of a binomial(4000, 1/4)
    for (const count of counts)
      expect(Math.abs(count - 1000)).toBeLessThan(4.5 * Math.sqrt(4000 * 0.25 * 0.75));
  });

  it('refuses to stagger episodes that never end', () => {
    expect(() => firstOffsets(4, Number.POSITIVE_INFINITY, 3, 'random', 0)).toThrow(/lockstep/);
  });
});
