/** From a table to numbers a classifier can be trained on: feature matrix, class indices, and what was left out. */
import { DataError } from '../errors.js';
import { rowName, type Table, type TableRow } from './table.js';

export interface ClassificationOptions {
  /** Name of the column that holds the class. */
  readonly label: string;
  /** Feature columns of categories: one 0/1 feature per category. All others must be numbers. Default none. */
  readonly categorical?: readonly string[];
}

export interface Classification {
  readonly source: string;
  /** [rows, featureNames.length] float64, row-major, not standardised. */
  readonly features: Float64Array;
  /** A column's name, or `column=category`. */
  readonly featureNames: readonly string[];
  /** Which features are numbers, and so worth standardising. */
  readonly numeric: readonly boolean[];
  /** [rows] index into `classes`. */
  readonly labels: Int32Array;
  /** Class names, sorted. */
  readonly classes: readonly string[];
  /** Rows kept. */
  readonly rows: number;
  /** Rows dropped because a value was missing. */
  readonly dropped: number;
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * Reads a table as a classification problem. Rows with a missing value are dropped and counted.
 *
 * Throws DataError, naming row and column where there is one: unknown column, no feature column, a cell that is not a finite decimal
 * number, no row left, fewer than two classes, a class with a single row (it could not be in both parts of a split).
 */
export function classification(table: Table, options: ClassificationOptions): Classification {
  const label = columnIndex(table, options.label);
  const categories = new Set((options.categorical ?? []).map((name) => columnIndex(table, name)));
  const features = table.columns.map((_, i) => i).filter((i) => i !== label);
  if (features.length === 0) {
    throw new DataError(
      `${table.source}: the table has no feature column beside the label ${quote(options.label)}`,
    );
  }
  const numbers = new Map(
    features.filter((i) => !categories.has(i)).map((i) => [i, numericColumn(table, i)]),
  );
  const kept = table.rows.flatMap((row, i) => (row.cells.every((cell) => cell !== null) ? [i] : []));
  const dropped = table.rows.length - kept.length;
  if (kept.length === 0) {
    throw new DataError(
      table.rows.length === 0
        ? `${table.source}: the table has zero rows below its header`
        : `${table.source}: zero rows are left, all ${dropped} have a missing value`,
    );
  }
  const rows = kept.map((i) => table.rows[i]);
  const { classes, labels } = classIndices(table, rows, label, dropped);

  const columns: { name: string; numeric: boolean; value: (row: number) => number }[] = [];
  for (const i of features) {
    const name = table.columns[i];
    const values = numbers.get(i);
    if (values) {
      columns.push({ name, numeric: true, value: (row) => values[kept[row]] });
      continue;
    }
    const texts = rows.map((row) => String(row.cells[i]));
    for (const category of [...new Set(texts)].sort()) {
      columns.push({
        name: `${name}=${category}`,
        numeric: false,
        value: (row) => (texts[row] === category ? 1 : 0),
      });
    }
  }
  const matrix = new Float64Array(rows.length * columns.length);
  for (let row = 0, e = 0; row < rows.length; row++) {
    for (const column of columns) matrix[e++] = column.value(row);
  }
  return {
    source: table.source,
    features: matrix,
    featureNames: columns.map((column) => column.name),
    numeric: columns.map((column) => column.numeric),
    labels,
    classes,
    rows: rows.length,
    dropped,
  };
}

function columnIndex(table: Table, name: string): number {
  const index = table.columns.indexOf(name);
  if (index < 0) {
    const [only] = table.columns;
    const separator = table.columns.length === 1 ? /[;\t|]/.exec(only!)?.[0] : undefined;
    const hint = separator
      ? ` (the header holds ${quote(separator)}; cells must be separated by commas)`
      : `; the columns are ${listed(table.columns.map(quote))}`;
    throw new DataError(`${table.source}: unknown column ${quote(name)}${hint}`, { column: name });
  }
  return index;
}

/** A column's numbers; NaN stands for a missing cell. */
function numericColumn(table: Table, index: number): Float64Array {
  const column = table.columns[index];
  return Float64Array.from(table.rows, (row) => {
    const cell = row.cells[index];
    if (cell === null) return Number.NaN;
    const value = typeof cell === 'number' ? cell : DECIMAL.test(cell) ? Number(cell) : Number.NaN;
    if (!Number.isFinite(value)) {
      throw new DataError(
        `${table.source}: ${rowName(row)}, column ${quote(column)}: expected a finite number, got ${quote(String(cell))}; only the label column may hold text`,
        { row: row.number, column },
      );
    }
    return value;
  });
}

function classIndices(table: Table, rows: readonly TableRow[], label: number, dropped: number) {
  const column = table.columns[label];
  const names = rows.map((row) => String(row.cells[label]));
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const classes = [...counts.keys()].sort();
  if (classes.length < 2) {
    const after = dropped > 0 ? ` after ${dropped} rows with missing values were dropped` : '';
    throw new DataError(
      `${table.source}: column ${quote(column)} has one class, ${quote(classes[0])}${after}; at least two are needed`,
      { column },
    );
  }
  const single = classes.filter((name) => counts.get(name) === 1);
  if (single.length > 0) {
    const first = names.indexOf(single[0]);
    const more = single.length > 1 ? ` (and so have ${single.length - 1} other classes)` : '';
    throw new DataError(
      `${table.source}: column ${quote(column)}: class ${quote(single[0])} has a single row, ${rowName(rows[first])}${more}; every class needs at least two rows, to be in both parts of the split`,
      { row: rows[first].number, column },
    );
  }
  const indices = new Map(classes.map((name, i) => [name, i]));
  return { classes, labels: Int32Array.from(names, (name) => indices.get(name)!) };
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

function listed(items: readonly string[], limit = 12): string {
  if (items.length <= limit) return items.join(', ');
  return `${items.slice(0, limit).join(', ')} and ${items.length - limit} more`;
}
