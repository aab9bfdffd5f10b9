import { describe, expect, it } from 'vitest';
import type { CheckpointSchedule } from '../../src/device/driver.js';
import { planSweep, type Sweep, SweepAction, scheduleWithin } from '../../src/device/sweep.js';

/** Follows a sweep on step numbers; returns what it went back through and checks every move. */
function follow(sweep: Sweep, steps: number) {
  const slots = new Map<number, number>();
  const backs: number[] = [];
  let present = 0;
  let seen = 0;
  let advanced = 0;
  for (let i = 0; i < sweep.actions.length; i += 2) {
    const [code, argument] = [sweep.actions[i], sweep.actions[i + 1]];
    if (code === SweepAction.keep) {
      expect(argument).toBeLessThan(sweep.slots);
      slots.set(argument, present);
    } else if (code === SweepAction.advance) {
      // Known and new steps are never advanced over at once.
      expect(present >= seen || present + argument <= seen).toBe(true);
      present += argument;
      seen = Math.max(seen, present);
      advanced += argument;
    } else if (code === SweepAction.restore) {
      expect(slots.has(argument)).toBe(true);
      present = slots.get(argument)!;
    } else {
      if (seen < steps) {
        expect([present, seen]).toEqual([steps - 1, steps - 1]);
        seen++;
        advanced++;
      }
      backs.push(present);
    }
  }
  expect(seen).toBe(steps);
  expect(advanced).toBe(sweep.forwardSteps);
  return backs;
}

const lastToFirst = (steps: number) => Array.from({ length: steps }, (_, i) => steps - 1 - i);

describe('planSweep', () => {
  const schedules: CheckpointSchedule[] = [
    ...[1, 2, 3, 5, 7, 100].map((every) => ({ kind: 'every', every }) as const),
    ...[1, 2, 3, 4, 6, 100].map((slots) => ({ kind: 'binomial', slots }) as const),
  ];
  it.each(schedules)('goes back through every step once, last to first: %o', (schedule) => {
    for (const steps of [1, 2, 3, 4, 5, 8, 13, 34, 61]) {
      expect(follow(planSweep(steps, schedule), steps)).toEqual(lastToFirst(steps));
    }
  });

  it('keeps everything and repeats nothing with every = 1', () => {
    expect(planSweep(50, { kind: 'every', every: 1 })).toMatchObject({ slots: 49, forwardSteps: 50 });
  });

  it('keeps about 2 sqrt(K) states at every = sqrt(K) and repeats less than K steps', () => {
    const sweep = planSweep(196, { kind: 'every', every: 14 });
    expect(sweep.slots).toBe(13 + 13);
    expect(sweep.forwardSteps).toBeLessThan(2 * 196);
  });

  it('binomial: as few repetitions as any schedule can have', () => {
    // Least advances that reverse m steps from a kept start with s slots, by trying every split.
    const least = new Map<string, number>();
    const cost = (m: number, s: number): number => {
      if (m === 1) return 0;
      if (s === 1) return (m * (m - 1)) / 2;
      const key = `${m} ${s}`;
      let best = least.get(key);
      if (best === undefined) {
        best = Number.POSITIVE_INFINITY;
        for (let k = 1; k < m; k++) best = Math.min(best, k + cost(m - k, s - 1) + cost(k, s));
        least.set(key, best);
      }
      return best;
    };
    for (let steps = 1; steps <= 40; steps++) {
      for (let slots = 1; slots <= Math.min(6, steps); slots++) {
        // The last step is advanced too, for its loss.
        expect(planSweep(steps, { kind: 'binomial', slots }).forwardSteps).toBe(cost(steps, slots) + 1);
      }
    }
  });

  it('plans a hundred thousand steps with 20 slots', () => {
    const sweep = planSweep(100_000, { kind: 'binomial', slots: 20 });
    expect(sweep.forwardSteps).toBeLessThan(6 * 100_000);
  });

  it.each([
    [0, { kind: 'every', every: 1 }],
    [5, { kind: 'every', every: 0 }],
    [5, { kind: 'every', every: 1.5 }],
    [5, { kind: 'binomial', slots: 0 }],
    [5, { kind: 'half' }],
  ])('refuses %s steps with %o', (steps, schedule) => {
    expect(() => planSweep(steps, schedule as CheckpointSchedule)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION' }),
    );
  });
});

describe('scheduleWithin', () => {
  it('keeps all where that fits, then segments, then binomial; never more than the budget', () => {
    expect(scheduleWithin(100, 10, 1000)).toEqual({ kind: 'every', every: 1 });
    for (const bytes of [10, 55, 120, 200, 500, 999]) {
      const schedule = scheduleWithin(100, 10, bytes);
      expect(planSweep(100, schedule).slots * 10).toBeLessThanOrEqual(bytes);
    }
    expect(scheduleWithin(100, 10, 190).kind).toBe('every');
    expect(scheduleWithin(100, 10, 150).kind).toBe('binomial');
    expect(scheduleWithin(100, 10, 1)).toEqual({ kind: 'binomial', slots: 1 });
  });
});
