/**
 * The Palmer penguins (Gorman, Williams, Fraser 2014, PLoS ONE 9(3): e90081; Horst, Hill, Gorman 2020), as the vega-datasets package
 * carries them: 344 birds of three species, four measurements, island and sex.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DataError } from '../errors.js';
import type { Cell, Table } from './table.js';

/** The column that holds the class. */
export const PENGUIN_LABEL = 'Species';
/** Columns of categories rather than measurements. */
export const PENGUIN_CATEGORIES: readonly string[] = ['Island', 'Sex'];

/**
 * The table. One bird's sex was entered as "." in the field records: that is a missing value here, like the empty cells.
 * Throws DataError when the vega-datasets package or its file is not there.
 */
export function penguins(): Table {
  let records: Record<string, Cell>[];
  try {
    // The package exports no data file, only its entry; the file lies beside it.
    const entry = createRequire(import.meta.url).resolve('vega-datasets');
    records = JSON.parse(readFileSync(join(dirname(entry), '..', 'data', 'penguins.json'), 'utf8'));
  } catch (error) {
    throw new DataError(
      'the penguins table of the vega-datasets package could not be read',
      {},
      { cause: error },
    );
  }
  const columns = Object.keys(records[0] ?? {});
  return {
    source: 'penguins',
    columns,
    rows: records.map((record, i) => ({
      number: i + 1,
      line: undefined,
      cells: columns.map((column) => (record[column] === '.' ? null : (record[column] ?? null))),
    })),
  };
}
