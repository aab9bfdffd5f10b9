import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { NATIVE } from '../support/devices.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, 'build', 'docs-examples');

interface Example {
  readonly name: string;
  readonly code: string;
}

/** Every ts block of a page, in order, named after the page and the line on which it begins. */
function blocks(page: string): Example[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => ({
    name: `${basename(page, '.md')}-${text.slice(0, match.index).split('\n').length}`,
    code: match[1],
  }));
}

const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)];
const programs = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'));
const examples: Example[] = [
  ...pages.flatMap(blocks),
  ...programs.map((name) => ({
    name: `examples-${basename(name, '.ts')}`,
    code: readFileSync(join(root, 'examples', name), 'utf8'),
  })),
];

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { name, code } of examples) {
    // The sources under test stand in for the installed package.
    writeFileSync(
      join(folder, `${name}.ts`),
      code
        .replaceAll("from 'unrolled'", "from '../../src/index.js'")
        .replaceAll(/(from|import) 'unrolled\/tfjs-backend'/g, "$1 '../../src/backend/index.js'"),
    );
  }
});

// An example may have chosen another.
afterEach(async () => {
  await tf.setBackend('cpu');
});

/** The eager backend is there only where the native addon is. */
const runnable = examples.filter(({ code }) => NATIVE || !code.includes('unrolled/tfjs-backend'));

describe('examples of the README, the documentation and examples/', () => {
  it('are found', () => {
    expect(examples.filter(({ name }) => name.startsWith('README'))).toHaveLength(1);
    expect(programs.length).toBeGreaterThanOrEqual(3);
    expect(examples.length).toBeGreaterThan(12);
  });

  it('import nothing but what a user has', () => {
    for (const { name, code } of examples) {
      const imports = [...code.matchAll(/(?:from|^import) '([^']+)'/gm)].map(([, from]) => from);
      const known = imports.filter(
        (from) =>
          from === 'unrolled' ||
          from === 'unrolled/tfjs-backend' ||
          from === '@tensorflow/tfjs' ||
          from.startsWith('node:'),
      );
      expect(known, name).toEqual(imports);
    }
  });

  it('have correct types', () => {
    const config = {
      extends: '../../tsconfig.json',
      compilerOptions: { noEmit: true, rootDir: '../..', lib: ['ES2023', 'ESNext.Disposable', 'DOM'] },
      include: ['*.ts'],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
    let output = '';
    try {
      execFileSync(process.execPath, [tsc, '-p', folder], { cwd: folder, encoding: 'utf8' });
    } catch (error) {
      output = (error as { stdout: string }).stdout;
    }
    // Errors of the sources themselves are the type check's to report.
    expect(output.split('\n').filter((line) => /^[\w-]+\.ts\(/.test(line))).toEqual([]);
  });

  it.each(runnable)('$name runs', async ({ name }) => {
    const printed: string[] = [];
    const log = vi.spyOn(console, 'log').mockImplementation((...words) => {
      printed.push(words.join(' '));
    });
    try {
      await import(/* @vite-ignore */ join(folder, `${name}.ts`));
    } finally {
      log.mockRestore();
    }
    expect(printed.join('\n')).not.toMatch(/NaN|undefined/);
  });
});
