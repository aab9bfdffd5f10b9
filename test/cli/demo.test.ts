import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './run-cli.js';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'unrolled-demo-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const SMALL = ['--device', 'auto', '--particles', '64', '--steps', '30'];

function result(stdout: string): Record<string, never> & {
  defaultLoss: number;
  tunedLoss: number;
  defaultInterval: [number, number];
  tunedInterval: [number, number];
} {
  const lines = stdout.trimEnd().split('\n');
  return JSON.parse(lines[lines.length - 1]);
}

describe('unrolled demo', () => {
  it('improves on the defaults, prints one JSON object, and writes a report that needs nothing else', async () => {
    const report = join(folder, 'penguins.html');
    const { code, stdout, stderr } = await runCli([
      'demo',
      ...SMALL,
      '--steps',
      '80',
      '--json',
      '--report',
      report,
    ]);
    expect(code, stderr).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    const found = result(stdout);
    expect(found).toMatchObject({
      device: expect.stringMatching(/^(cpu|tfjs)$/),
      particles: 64,
      steps: 80,
      seed: 0,
      particleSteps: 64 * 10 * 80,
      table: {
        source: 'penguins',
        rows: 333,
        dropped: 11,
        features: 9,
        classes: ['Adelie', 'Chinstrap', 'Gentoo'],
      },
    });
    for (const key of ['particleStepsPerSecond', 'seconds', 'defaultLoss', 'tunedLoss'] as const) {
      expect(found[key], key).toBeGreaterThan(0);
    }
    const [before, after] = [found.defaultInterval, found.tunedInterval];
    expect(before[0]).toBeLessThan(found.defaultLoss);
    expect(found.defaultLoss).toBeLessThan(before[1]);
    expect(after[1]).toBeLessThan(before[0]);

    expect(stderr).toMatch(/tuning 80\/80 {2}tuning loss [\d.e-]+, [\d.e-]+ M particle-steps\/s/);
    const html = readFileSync(report, 'utf8');
    expect(html.match(/<svg /g)).toHaveLength(4);
    const links = [...html.matchAll(/https?:[^"'\s)<]*/g)].map(([link]) => link);
    expect(links.filter((link) => !link.startsWith('http://www.w3.org/'))).toEqual([]);
    expect(html).not.toMatch(/<script|<link|<img|@import|\ssrc=/);
  });

  it('gives the same result for the same seed, and another one for another seed', async () => {
    const run = async (seed: string) => {
      const words = [
        'demo',
        ...SMALL,
        '--json',
        '--seed',
        seed,
        '--report',
        join(folder, `seed-${seed}.html`),
      ];
      const { code, stdout, stderr } = await runCli(words);
      expect(code, stderr).toBe(0);
      return result(stdout);
    };
    const [first, again, other] = [await run('5'), await run('5'), await run('6')];
    expect(again.tunedLoss).toBe(first.tunedLoss);
    expect(again.defaultLoss).toBe(first.defaultLoss);
    expect(other.tunedLoss).not.toBe(first.tunedLoss);
  });

  it("runs on a user's own table, with missing values and a constant column, and says so", async () => {
    const path = join(folder, 'own.csv');
    const rows = Array.from({ length: 60 }, (_, i) => {
      const right = i % 2 === 1;
      const x = Math.sin(i * 12.9898) + (right ? 1 : -1);
      return `${i === 7 ? 'NA' : x},${Math.cos(i * 78.233)},1,${right ? 'right' : 'left & "up"'}`.replace(
        'left & "up"',
        '"left & ""up"""',
      );
    });
    writeFileSync(path, `x,y,same,side\n${rows.join('\n')}\n`);
    const report = join(folder, 'own.html');
    const { code, stdout, stderr } = await runCli([
      'demo',
      ...SMALL,
      '--csv',
      path,
      '--label',
      'side',
      '--report',
      report,
    ]);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('59 rows (1 with missing values dropped), 3 features, 2 classes');
    expect(stdout).toContain('column "same" is constant');
    expect(stdout).toMatch(/default {2}validation loss/);
    expect(readFileSync(report, 'utf8')).toContain('side');
  });

  it('works with two rows a class', async () => {
    const path = join(folder, 'tiny.csv');
    writeFileSync(path, 'x,kind\n1,a\n2,a\n3,b\n4,b\n');
    const report = join(folder, 'tiny.html');
    const words = [
      'demo',
      ...SMALL,
      '--steps',
      '3',
      '--csv',
      path,
      '--label',
      'kind',
      '--json',
      '--report',
      report,
    ];
    const { code, stdout, stderr } = await runCli(words);
    expect(code, stderr).toBe(0);
    expect(result(stdout)).toMatchObject({ table: { train: 2, tuning: 2, validation: 2 } });
    expect(stderr).toContain('also serve as tuning rows');
  });

  it('ends at Ctrl-C with one line, code 130, and no report', async () => {
    const report = join(folder, 'interrupted.html');
    const words = ['demo', '--particles', '512', '--steps', '100000', '--report', report];
    const { code, stderr } = await runCli(words, { interruptOn: 'tuning ' });
    expect(stderr.trimEnd().split('\n').at(-1)).toBe('interrupted');
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(130);
    expect(existsSync(report)).toBe(false);
  });
});
