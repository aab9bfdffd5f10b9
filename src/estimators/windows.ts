/**
 * Truncation windows: which steps of an episode one estimate covers, where it crosses the end of an episode,
 * and at which step the first episode of each pair begins.
 */
import { OptionError } from '../errors.js';
import { fillIntegers } from '../random/distributions.js';
import { foldIn, STREAMS } from '../random/philox.js';
import { SEED_PARTS } from './seeds.js';

/**
 * When pairs begin their episodes. 'lockstep': all together. 'staggered': spread evenly over the windows of
 * an episode, in contiguous groups of pairs, so that every estimate sees early and late parts of an episode.
 * 'random': each pair at a random window. A first episode that begins at step t is an ordinary one cut short
 * by t steps.
 */
export type Staggering = 'lockstep' | 'staggered' | 'random';

/** Windows of `truncation` steps in an episode of `horizon` steps. */
export function windowsPerEpisode(horizon: number, truncation: number): number {
  return Math.ceil(horizon / truncation);
}

/**
 * The step at which each of `count` first episodes begins: multiples of the truncation below the horizon.
 * Throws OptionError when episodes never end and `staggering` is not 'lockstep'.
 */
export function firstOffsets(
  count: number,
  horizon: number,
  truncation: number,
  staggering: Staggering,
  seed: number,
): Int32Array {
  const offsets = new Int32Array(count);
  if (staggering === 'lockstep') return offsets;
  if (!Number.isFinite(horizon)) {
    throw new OptionError(
      `staggering '${staggering}' needs episodes that end; the horizon is Infinity: use 'lockstep'`,
    );
  }
  const windows = windowsPerEpisode(horizon, truncation);
  if (staggering === 'random') {
    const key = foldIn(seed, SEED_PARTS.offsets);
    fillIntegers(offsets, { seed: key, stream: STREAMS.user, draw: 0, step: 0, subject: 0 }, 0, windows);
  } else {
    for (let i = 0; i < count; i++) offsets[i] = Math.floor((i * windows) / count);
  }
  return offsets.map((window) => window * truncation);
}

/** How one window lies over the episodes of each pair; arrays are [pairs]. */
export interface Windows {
  /** Steps that belong to the episode in which the window begins. */
  readonly before: Int32Array;
  /** Steps of the next episode; 0 unless the window crosses an end. */
  readonly after: Int32Array;
  /** 1 where the episode ended in the window, at its last step or earlier. */
  readonly ended: Uint8Array;
  /** Step within the episode after the window. */
  readonly next: Int32Array;
  /** Pairs whose episode ended. */
  readonly resets: number;
  /** Some window crosses an end. */
  readonly crossing: boolean;
}

/**
 * The windows of `length` steps (at most the horizon, so that at most one episode ends in each) that begin at
 * steps t.
 */
export function windowsAt(t: Int32Array, length: number, horizon: number): Windows {
  const pairs = t.length;
  const before = new Int32Array(pairs);
  const after = new Int32Array(pairs);
  const ended = new Uint8Array(pairs);
  const next = new Int32Array(pairs);
  let resets = 0;
  let crossing = false;
  for (let p = 0; p < pairs; p++) {
    const left = horizon - t[p];
    if (length < left) {
      before[p] = length;
      next[p] = t[p] + length;
      continue;
    }
    before[p] = left;
    after[p] = length - left;
    next[p] = length - left;
    ended[p] = 1;
    resets++;
    crossing ||= length > left;
  }
  return { before, after, ended, next, resets, crossing };
}
