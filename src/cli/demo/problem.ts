/** The table of a demo as arrays that a training run can be given: standardised, split in three, classes one-hot. */
import { classification } from '../../data/classification.js';
import { readCsv } from '../../data/csv.js';
import { PENGUIN_CATEGORIES, PENGUIN_LABEL, penguins } from '../../data/penguins.js';
import { type Split, stratifiedSplit } from '../../data/split.js';
import { standardisation, standardised } from '../../data/standardise.js';
import type { TableSummary } from './result.js';

/** Rows of one part of the split. */
export interface Part {
  readonly rows: number;
  /** [rows, features] float32 */
  readonly x: Float32Array;
  /** [rows, classes] float32, one-hot */
  readonly y: Float32Array;
}

export interface Problem {
  readonly features: number;
  readonly classes: number;
  /** What weights are trained on. */
  readonly train: Part;
  /** What the outer loss is measured on. */
  readonly tuning: Part;
  /** What neither sees: for the final comparison only. */
  readonly validation: Part;
  readonly summary: TableSummary;
}

/** Validation rows beyond this number sharpen nothing but cost time: they train instead. */
const VALIDATION_ROWS = 500;

export interface ProblemOptions {
  /** A CSV file; without one, the penguins. */
  readonly csv?: string;
  readonly label?: string;
  readonly seed: number;
}

/** Reads and splits the table. Throws DataError when it cannot be used (see `classification` and `readCsv`). */
export function loadProblem({ csv, label = PENGUIN_LABEL, seed }: ProblemOptions): Problem {
  const table = csv === undefined ? penguins() : readCsv(csv);
  const data = classification(table, { label, categorical: csv === undefined ? PENGUIN_CATEGORIES : [] });
  const width = data.featureNames.length;
  const notes: string[] = [];

  const validation = Math.min(0.2, VALIDATION_ROWS / data.rows);
  const split = withTuningRows(
    stratifiedSplit(data.labels, { seed, validation, tuning: 0.2 }),
    data.labels,
    notes,
  );
  const scale = standardisation(data.features, width, split.train, data.numeric);
  for (const j of scale.constant) {
    notes.push(
      `column ${JSON.stringify(data.featureNames[j])} is constant over the training rows and tells nothing`,
    );
  }
  const part = (rows: Int32Array): Part => {
    const y = new Float32Array(rows.length * data.classes.length);
    rows.forEach((row, i) => {
      y[i * data.classes.length + data.labels[row]] = 1;
    });
    return { rows: rows.length, x: standardised(data.features, rows, scale), y };
  };
  const parts = { train: part(split.train), tuning: part(split.tuning), validation: part(split.validation) };
  return {
    features: width,
    classes: data.classes.length,
    ...parts,
    summary: {
      source: data.source,
      label,
      classes: data.classes,
      features: data.featureNames,
      rows: data.rows,
      dropped: data.dropped,
      train: parts.train.rows,
      tuning: parts.tuning.rows,
      validation: parts.validation.rows,
      notes,
    },
  };
}

/** A class of two rows leaves none for tuning: there its training row serves for both, and the reader is told. */
function withTuningRows(split: Split, labels: Int32Array, notes: string[]): Split {
  const present = new Set(Array.from(split.tuning, (row) => labels[row]));
  const shared = split.train.filter((row) => !present.has(labels[row]));
  if (shared.length === 0) return split;
  notes.push(`${shared.length} training rows of classes with two rows only also serve as tuning rows`);
  return { ...split, tuning: Int32Array.of(...split.tuning, ...shared).sort() };
}
