import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './run-cli.js';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'unrolled-cli-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const GOOD = 'a,b,kind\n1,2,p\n2,3,p\n3,1,q\n4,5,q\n';
let tables = 0;
const table = (text: string) => ['demo', '--csv', file(`table-${tables++}.csv`, text), '--label', 'kind'];

/** What is asked for, and what the one line must say. */
const CASES: readonly (readonly [string, () => readonly string[], RegExp])[] = [
  [
    'a missing file',
    () => ['demo', '--csv', join(folder, 'none.csv'), '--label', 'kind'],
    /none\.csv: no such file/,
  ],
  ['a folder', () => ['demo', '--csv', folder, '--label', 'kind'], /it is a directory/],
  [
    'an unknown column',
    () => ['demo', '--csv', file('good.csv', GOOD), '--label', 'species'],
    /unknown column "species"; the columns are "a", "b", "kind"/,
  ],
  [
    'a cell that is no number',
    () => table(`${GOOD}5,heavy,q\n`),
    /row 5 \(line 6\), column "b": expected a finite number, got "heavy"/,
  ],
  ['a single class', () => table('a,kind\n1,p\n2,p\n'), /column "kind" has one class, "p"/],
  [
    'a class with one row',
    () => table('a,kind\n1,p\n2,p\n3,q\n'),
    /class "q" has a single row, row 3 \(line 4\)/,
  ],
  ['zero rows', () => table('a,kind\n'), /zero rows/],
  [
    'only rows with missing values',
    () => table('a,kind\n,p\nNA,q\n'),
    /zero rows are left, all 2 have a missing value/,
  ],
  ['an empty file', () => table(''), /the file is empty/],
  ['a ragged row', () => table('a,kind\n1,p\n2\n'), /row 2 \(line 3\) has 1 cells/],
  ['a quote that never ends', () => table('a,kind\n1,"p\n'), /Quote Not Closed/],
  ['--csv without --label', () => ['demo', '--csv', file('good.csv', GOOD)], /--csv needs --label/],
  ['--label without --csv', () => ['demo', '--label', 'kind'], /--label needs --csv/],
  [
    'a misspelt option',
    () => ['demo', '--particle', '4'],
    /unknown option '--particle' \(Did you mean --particles\?\)/,
  ],
  ['an odd number of particles', () => ['demo', '--particles', '7'], /even integer in 2\.\./],
  ['no particles', () => ['demo', '--particles', '0'], /even integer in 2\.\./],
  ['steps that are no number', () => ['demo', '--steps', 'many'], /'--steps <n>' argument 'many' is invalid/],
  ['a negative seed', () => ['demo', '--seed=-1'], /'--seed <n>' argument '-1' is invalid/],
  ['a seed beyond 2^53', () => ['demo', '--seed', '9007199254740993'], /'--seed <n>'.*is invalid/],
  ['an unknown device', () => ['demo', '--device', 'gpu'], /Allowed choices are auto, cpu, tfjs/],
  [
    'a report in no folder',
    () => ['demo', '--report', join(folder, 'no', 'r.html')],
    /--report .*does not exist/,
  ],
  ['a report over a folder', () => ['demo', '--report', folder], /it is a directory/],
  ['an unknown command', () => ['dmeo'], /unknown command 'dmeo'/],
  ['an argument too many', () => ['inspect', 'cpu'], /too many arguments/],
];

describe('what cannot be used gets one line on stderr and exit code 2', () => {
  it.concurrent.each(CASES)('%s', async (_, words, message) => {
    const { code, stdout, stderr } = await runCli(words());
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/^error: /);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});
