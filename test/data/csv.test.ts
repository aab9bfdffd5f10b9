import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCsv, readCsv } from '../../src/data/csv.js';
import { DataError } from '../../src/errors.js';

const cells = (text: string) => parseCsv(text, 'x.csv').rows.map((row) => row.cells);

describe('parseCsv', () => {
  it('reads quoted commas, quotes and line breaks, any line end, and skips a byte order mark', () => {
    const table = parseCsv('\uFEFFa,"b ""c"""\r\n1,"x,\r\ny"\r\n\r\n2,z', 'x.csv');
    expect(table.columns).toEqual(['a', 'b "c"']);
    expect(table.rows.map((row) => row.cells)).toEqual([
      ['1', 'x,\ny'],
      ['2', 'z'],
    ]);
    expect(table.rows.map((row) => row.number)).toEqual([1, 2]);
    expect(table.rows.map((row) => row.line)).toEqual([3, 5]);
  });

  it('takes empty, NA, NaN and null in any case as missing, and nothing else', () => {
    expect(cells('a,b\n, \nNA,na\nNaN,nan\nnull,NULL\nNone,n/a\n0,-')).toEqual([
      [null, null],
      [null, null],
      [null, null],
      [null, null],
      ['None', 'n/a'],
      ['0', '-'],
    ]);
  });

  it('names the line of a row with too few or too many cells', () => {
    expect(() => parseCsv('a,b\n1,2\n\n3\n', 'x.csv')).toThrow(
      'x.csv: row 2 (line 4) has 1 cells, the header has 2',
    );
    expect(() => parseCsv('a,b\n1,2,3\n', 'x.csv')).toThrow(/row 1 \(line 2\) has 3 cells/);
  });

  it('refuses an empty file, an unnamed and a repeated column, and text that is not CSV', () => {
    expect(() => parseCsv('', 'x.csv')).toThrow('the file is empty');
    expect(() => parseCsv('\n\n', 'x.csv')).toThrow('the file is empty');
    expect(() => parseCsv('a,,b\n', 'x.csv')).toThrow('column 2 of the header has no name');
    expect(() => parseCsv('a,b, a\n', 'x.csv')).toThrow('names column "a" twice');
    expect(() => parseCsv('a,b\n1,"2\n', 'x.csv')).toThrow(DataError);
  });
});

describe('readCsv', () => {
  it('names the path and the reason when a file cannot be read', () => {
    const folder = mkdtempSync(join(tmpdir(), 'unrolled-'));
    try {
      expect(() => readCsv(join(folder, 'none.csv'))).toThrow(/cannot read .*none\.csv: no such file/);
      expect(() => readCsv(folder)).toThrow(/it is a directory/);
      writeFileSync(join(folder, 'a.csv'), 'a,b\n1,2\n');
      expect(readCsv(join(folder, 'a.csv')).rows).toHaveLength(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
