/** Seeded splits that keep the proportion of the classes. */
import { OptionError } from '../errors.js';
import { fillWords, STREAMS } from '../random/index.js';

export interface SplitOptions {
  /** Integer in 0..2^53-1; the same seed gives the same split. */
  readonly seed: number;
  /** Share of each class held out for validation, in (0, 1). */
  readonly validation: number;
  /** Share of each class held out for tuning, in [0, 1); together with `validation` below 1. */
  readonly tuning: number;
}

/** Row indices, each in ascending order; together every row once. */
export interface Split {
  readonly train: Int32Array;
  readonly tuning: Int32Array;
  readonly validation: Int32Array;
}

/**
 * Splits rows into three parts, class by class. Of a class with n rows, round(n * share) go to validation (at least 1) and to
 * tuning (at least 1 when n >= 3 and the share is not 0, none when n = 2), and at least 1 stays for training.
 *
 * `labels`: [rows] class indices; every class needs two rows (`classification` checks that). Throws OptionError for shares out of range.
 */
export function stratifiedSplit(labels: Int32Array, options: SplitOptions): Split {
  const { seed, validation, tuning } = options;
  if (!(validation > 0 && tuning >= 0 && validation + tuning < 1)) {
    throw new OptionError(
      `split shares must be validation > 0, tuning >= 0, together below 1; got ${validation} and ${tuning}`,
    );
  }
  const classes = new Map<number, number[]>();
  labels.forEach((label, row) => {
    const rows = classes.get(label);
    if (rows) rows.push(row);
    else classes.set(label, [row]);
  });
  const parts = { train: [] as number[], tuning: [] as number[], validation: [] as number[] };
  for (const [label, rows] of [...classes].sort(([a], [b]) => a - b)) {
    const order = shuffled(rows, seed, label);
    const n = rows.length;
    const forValidation = Math.min(n - 1, Math.max(1, Math.round(n * validation)));
    const wanted = tuning > 0 ? Math.max(1, Math.round(n * tuning)) : 0;
    const forTuning = Math.max(0, Math.min(n - forValidation - 1, wanted));
    parts.validation.push(...order.slice(0, forValidation));
    parts.tuning.push(...order.slice(forValidation, forValidation + forTuning));
    parts.train.push(...order.slice(forValidation + forTuning));
  }
  const sorted = (rows: number[]) => Int32Array.from(rows).sort();
  return { train: sorted(parts.train), tuning: sorted(parts.tuning), validation: sorted(parts.validation) };
}

/** A permutation by sorting random words; rows decide between equal words. */
function shuffled(rows: readonly number[], seed: number, draw: number): number[] {
  const words = new Uint32Array(rows.length);
  fillWords(words, { seed, stream: STREAMS.user, step: 0, draw });
  return rows
    .map((row, i) => ({ row, word: words[i] }))
    .sort((a, b) => a.word - b.word || a.row - b.row)
    .map(({ row }) => row);
}
