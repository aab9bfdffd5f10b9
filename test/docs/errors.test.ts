import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('docs/errors.md', () => {
  it('has a row for every code of the sources, and for no other', () => {
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    );
    const sources = files.map((name) => readFileSync(join(root, 'src', name), 'utf8')).join('\n');
    // Codes of ours are thrown with super('ERR_X' or as the code of an error; Node's own ones only name reasons.
    const codes = [...sources.matchAll(/(?:super\(\s*|UnrolledError\(\s*|code: |\?\? )'(ERR_[A-Z_]+)'/g)].map(
      ([, code]) => code,
    );
    const page = readFileSync(join(root, 'docs', 'errors.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `(ERR_[A-Z_]+)`/gm)].map(([, code]) => code);
    expect(new Set(documented)).toEqual(new Set(codes));
    expect(codes).toContain('ERR_BUSY');
  });
});
