/** What the demo hands to its report and prints: plain data. */
import type { Estimate } from './statistics.js';

/** Hyperparameters as people write them (not the unconstrained ones that are tuned). */
export interface Settings {
  readonly learningRate: number;
  readonly momentum: number;
  readonly weightDecay: number;
  /** The learning rate at step t is learningRate * (1 + 10 t / horizon)^-decayExponent. */
  readonly decayExponent: number;
}

/** One update of the outer loop. */
export interface UpdateRecord {
  readonly update: number;
  /** Mean tuning loss of one inner step, over all particles of the update. */
  readonly meanLoss: number;
  readonly settings: Settings;
}

/** Many training runs with the same settings, each with its own seed. */
export interface Evaluation {
  /** Validation loss after the last step. */
  readonly loss: Estimate;
  /** Share of validation rows classified right after the last step. */
  readonly accuracy: Estimate;
  /** Validation loss after each step: mean over the runs, and the 2.5 % and 97.5 % quantiles. */
  readonly curve: readonly {
    readonly step: number;
    readonly mean: number;
    readonly low: number;
    readonly high: number;
  }[];
}

export interface TableSummary {
  readonly source: string;
  readonly label: string;
  readonly classes: readonly string[];
  readonly features: readonly string[];
  readonly rows: number;
  readonly dropped: number;
  readonly train: number;
  readonly tuning: number;
  readonly validation: number;
  /** What a reader should know: constant columns, classes too small to split three ways, rows left out for speed. */
  readonly notes: readonly string[];
}

export interface DemoResult {
  readonly table: TableSummary;
  readonly device: string;
  readonly deviceDescription: string;
  readonly particles: number;
  readonly updates: number;
  readonly horizon: number;
  readonly truncation: number;
  readonly seed: number;
  readonly runs: number;
  readonly defaults: Settings;
  readonly tuned: Settings;
  readonly history: readonly UpdateRecord[];
  readonly defaultEvaluation: Evaluation;
  readonly tunedEvaluation: Evaluation;
  /** Tuned minus default loss, run by run (both start from the same weights and see the same batches). */
  readonly difference: Estimate;
  readonly particleSteps: number;
  readonly particleStepsPerSecond: number;
  readonly seconds: number;
  readonly notes: readonly string[];
}

/** One sentence that says what came out, without more certainty than there is. */
export function verdict(result: DemoResult): string {
  const before = result.defaultEvaluation.loss;
  const after = result.tunedEvaluation.loss;
  if (after.interval[1] < before.interval[0]) {
    return `The tuned settings are better: validation loss ${number(after.mean)} instead of ${number(before.mean)}, and the 95 % intervals do not touch.`;
  }
  if (before.interval[1] < after.interval[0]) {
    return `The tuned settings are worse on the validation rows: loss ${number(after.mean)} against ${number(before.mean)}.`;
  }
  if (Number.isNaN(before.mean) || Number.isNaN(after.mean)) {
    return 'Training diverged in too many runs to compare the settings.';
  }
  return `The two settings cannot be told apart: validation loss ${number(after.mean)} tuned, ${number(before.mean)} default, with overlapping 95 % intervals.`;
}

/** Three significant digits, as people write them. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e4 || size < 1e-3) return value.toExponential(2).replace('e+', 'e');
  return String(Number(value.toPrecision(3)));
}
