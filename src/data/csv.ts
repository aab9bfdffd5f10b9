/** Reading comma-separated files into tables. */
import { readFileSync } from 'node:fs';
import { CsvError, parse } from 'csv-parse/sync';
import { DataError } from '../errors.js';
import { type Cell, isMissingText, rowName, type Table, type TableRow } from './table.js';

interface Parsed {
  readonly record: string[];
  readonly info: { readonly lines: number };
}

/**
 * Parses comma-separated text (RFC 4180: quoted cells may hold commas, quotes and line breaks; any line ends; a byte order mark is
 * skipped). The first record is the header. Cells are trimmed; "", NA, NaN and null become missing values.
 *
 * `source`: what messages call the text. Throws DataError for text that is not CSV, an empty header, a repeated or unnamed column,
 * or a row with too few or too many cells.
 */
export function parseCsv(text: string, source: string): Table {
  let parsed: Parsed[];
  try {
    // One kind of line end keeps the parser's line numbers right.
    parsed = parse(text.replace(/\r\n?/g, '\n'), {
      bom: true,
      info: true,
      skip_empty_lines: true,
      relax_column_count: true,
      record_delimiter: '\n',
    }) as unknown as Parsed[];
  } catch (error) {
    if (error instanceof CsvError) throw new DataError(`${source}: ${error.message}`, {}, { cause: error });
    throw error;
  }
  const header = parsed[0]?.record.map((name) => name.trim());
  if (!header || header.every((name) => name === '')) {
    throw new DataError(`${source}: the file is empty; expected a header line and rows below it`);
  }
  checkHeader(header, source);
  const rows = parsed.slice(1).map(({ record, info }, i): TableRow => {
    const cells = record.map((cell): Cell => (isMissingText(cell) ? null : cell.trim()));
    const row = { number: i + 1, line: info.lines, cells };
    if (cells.length !== header.length) {
      throw new DataError(
        `${source}: ${rowName(row)} has ${cells.length} cells, the header has ${header.length} columns`,
        { row: row.number },
      );
    }
    return row;
  });
  return { source, columns: header, rows };
}

function checkHeader(header: readonly string[], source: string): void {
  const seen = new Set<string>();
  header.forEach((name, i) => {
    if (name === '') throw new DataError(`${source}: column ${i + 1} of the header has no name`);
    if (seen.has(name)) {
      throw new DataError(`${source}: the header names column ${JSON.stringify(name)} twice`, {
        column: name,
      });
    }
    seen.add(name);
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'it is a directory',
  EACCES: 'permission denied',
  ENOTDIR: 'a part of the path is not a directory',
  ERR_STRING_TOO_LONG: 'the file is too large to read into memory',
  ERR_FS_FILE_TOO_LARGE: 'the file is too large to read into memory',
};

/**
 * Reads a UTF-8 file with `parseCsv`. Throws DataError when it cannot be read, naming the path and the reason, and whatever
 * `parseCsv` throws.
 */
export function readCsv(path: string): Table {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw new DataError(
      `cannot read ${path}: ${REASONS[code] ?? (code || String(error))}`,
      {},
      { cause: error },
    );
  }
  return parseCsv(text, path);
}
