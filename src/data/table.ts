/** A table as it was read: named columns, cells that are text, a number, or missing. Nothing is interpreted yet. */

/** null is a missing value. */
export type Cell = string | number | null;

export interface TableRow {
  /** Counted from 1 below the header. */
  readonly number: number;
  /** Line of the file on which the row ends; undefined for a table that was not read from lines. */
  readonly line: number | undefined;
  /** One per column. */
  readonly cells: readonly Cell[];
}

export interface Table {
  /** What messages call the table: a file's path, or a data set's name. */
  readonly source: string;
  readonly columns: readonly string[];
  readonly rows: readonly TableRow[];
}

const MISSING = new Set(['', 'na', 'nan', 'null']);

/** Whether a cell's text stands for a missing value: empty, NA, NaN or null, in any case, with or without spaces around. */
export function isMissingText(text: string): boolean {
  return MISSING.has(text.trim().toLowerCase());
}

/** `row 7 (line 8)`, or `row 7` where lines mean nothing. */
export function rowName(row: TableRow): string {
  return row.line === undefined ? `row ${row.number}` : `row ${row.number} (line ${row.line})`;
}
