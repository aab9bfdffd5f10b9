/**
 * The order in which a reverse run goes through its steps: which states it keeps, advances from and returns to, so that every step is
 * gone back through once, last to first, with few states kept at a time.
 */
import { OptionError } from '../errors.js';
import type { CheckpointSchedule } from './driver.js';

/** One move of a sweep, as the words (code, argument). */
export const SweepAction = {
  /** Keep the present state in slot `argument`. */
  keep: 0,
  /** Advance by `argument` steps. */
  advance: 1,
  /** Return to the state of slot `argument`. */
  restore: 2,
  /** Back through the step that begins at the present state. The run's last step is first advanced, for its loss and the final state. */
  back: 3,
} as const;

export interface Sweep {
  /** Pairs (code, argument). */
  readonly actions: Int32Array;
  /** States kept at the same time at the most. */
  readonly slots: number;
  /** Steps advanced in all; `steps` of them are the run itself, the rest are repetitions. */
  readonly forwardSteps: number;
}

/** Words of a plan at the most: a binomial schedule with few slots repeats steps quadratically often. */
const MOST_ACTIONS = 1 << 26;

class Planner {
  readonly #words: number[] = [];
  forwardSteps = 0;
  #turned = false;

  keep(slot: number): void {
    this.#push(SweepAction.keep, slot);
  }
  advance(steps: number): void {
    if (steps === 0) return;
    this.#push(SweepAction.advance, steps);
    this.forwardSteps += steps;
  }
  restore(slot: number): void {
    this.#push(SweepAction.restore, slot);
  }
  back(): void {
    // The first step that is gone back through is the run's last.
    if (!this.#turned) this.forwardSteps++;
    this.#turned = true;
    this.#push(SweepAction.back, 0);
  }
  actions(): Int32Array {
    return Int32Array.from(this.#words);
  }
  #push(code: number, argument: number): void {
    if (this.#words.length >= MOST_ACTIONS)
      throw new OptionError('the checkpoint schedule repeats too many steps; allow more checkpoints');
    this.#words.push(code, argument);
  }
}

/**
 * The sweep of a schedule over `steps` steps. A schedule that has more slots than there are steps keeps every state.
 * Memory: `slots` states. Cost of planning: linear in the number of actions.
 *
 * - every c: ceil(steps / c) - 1 states between segments and at most c - 1 within one; at most `steps` more forward steps.
 * - binomial: with s slots and the least r such that C(s + r, s) >= steps, r * steps - C(s + r, s + 1) repeated steps, the fewest possible
 *   (Griewank & Walther 2000, "Algorithm 799: Revolve", proposition 1).
 *
 * @throws OptionError for a schedule whose numbers are not whole and positive, or that repeats more than 2^25 actions
 */
export function planSweep(steps: number, schedule: CheckpointSchedule): Sweep {
  const check = (value: number, name: string) => {
    if (!Number.isInteger(value) || value < 1)
      throw new OptionError(`${name} must be an integer of at least 1, got ${String(value)}`);
    return value;
  };
  check(steps, 'steps');
  switch (schedule.kind) {
    case 'every':
      return everySweep(steps, Math.min(check(schedule.every, 'every'), steps));
    case 'binomial':
      return binomialSweep(steps, Math.min(check(schedule.slots, 'slots'), steps));
    default:
      throw new OptionError(
        `a checkpoint schedule is 'every' or 'binomial', got ${String((schedule as { kind: unknown }).kind)}`,
      );
  }
}

function everySweep(steps: number, every: number): Sweep {
  const plan = new Planner();
  const segments = Math.ceil(steps / every);
  const between = segments - 1;
  for (let segment = 0; segment < between; segment++) {
    plan.keep(segment);
    plan.advance(every);
  }
  for (let segment = segments - 1; segment >= 0; segment--) {
    if (segment < between) plan.restore(segment);
    const count = Math.min(every, steps - segment * every);
    // The first state of a segment is kept already, but for the last one's; the last state of any is where the way back begins.
    const slot = (i: number) =>
      segment < between && i === 0 ? segment : between + i - Number(segment < between);
    for (let i = 0; i + 1 < count; i++) {
      if (segment === between || i > 0) plan.keep(slot(i));
      plan.advance(1);
    }
    plan.back();
    for (let i = count - 2; i >= 0; i--) {
      plan.restore(slot(i));
      plan.back();
    }
  }
  const within = Math.max(segments > 1 ? every - 2 : 0, Math.min(every, steps - between * every) - 1, 0);
  return { actions: plan.actions(), slots: Math.max(1, between + within), forwardSteps: plan.forwardSteps };
}

/** C(s + r, s): the steps that s slots can reverse when no step is advanced more than r times. */
function reach(slots: number, repeats: number): number {
  if (repeats < 0) return 0;
  let result = 1;
  for (let i = 1; i <= slots; i++) result = (result * (repeats + i)) / i;
  return result;
}

function binomialSweep(steps: number, slots: number): Sweep {
  const plan = new Planner();
  // The state at `start` is in slot `slot` and is the present one; slots slot + 1 .. slots - 1 are free.
  const reverse = (start: number, end: number, slot: number): void => {
    for (; end - start > 1; plan.restore(slot)) {
      const free = slots - slot;
      const count = end - start;
      if (free === 1) {
        // Only the start is kept: every state is advanced to from there.
        plan.advance(count - 1);
        plan.back();
        end--;
        continue;
      }
      let repeats = 1;
      while (reach(free, repeats) < count) repeats++;
      const middle = start + Math.min(reach(free, repeats - 1), count - reach(free - 1, repeats - 1));
      plan.advance(middle - start);
      plan.keep(slot + 1);
      reverse(middle, end, slot + 1);
      end = middle;
    }
    plan.back();
  };
  plan.keep(0);
  reverse(0, steps, 0);
  return { actions: plan.actions(), slots, forwardSteps: plan.forwardSteps };
}

/**
 * The cheapest schedule whose kept states fit in `bytes`, `slotBytes` each: all of them, else the fewest repetitions of 'every c', else
 * binomial with as many slots as fit (at least one).
 */
export function scheduleWithin(steps: number, slotBytes: number, bytes: number): CheckpointSchedule {
  const slots = Math.max(1, Math.floor(bytes / Math.max(1, slotBytes)));
  if (slots >= steps) return { kind: 'every', every: 1 };
  // Kept at a time: about steps / c + c, least at c = sqrt(steps).
  for (let every = 2; every * every <= steps + every; every++) {
    if (Math.ceil(steps / every) + every - 2 <= slots) return { kind: 'every', every };
  }
  return { kind: 'binomial', slots };
}
