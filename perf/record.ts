/**
 * Writes measured figures into perf/RESULTS.md and the README's speed table, between their markers:
 *
 *     npm run --silent bench -- --peers --json | npx tsx perf/record.ts
 *
 * Nothing else puts figures there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { openDevice } from '../src/index.js';
import type { Line } from './measure.js';

const root = new URL('../', import.meta.url);

/** Cases of the README's short table, and what it calls them. */
const HEADLINES: Readonly<Record<string, string>> = {
  'rollout/mlp-sgd': 'SGD steps of a 64-32-10 network, batch 16, 4,096 particles',
  'rollout/toy-2d': 'two-dimensional regression, 65,536 particles',
  'rollout/vm': 'seven elementwise ops, 65,536 particles',
  'rollout/mlp-784': 'SGD steps of a 784-128-10 network, batch 32, 64 particles',
  'jit/mlp-train': 'Adam steps of a 784-512-256-10 network, batch 128, compiled',
  'jit/cnn-train': 'SGD steps of a small CNN, 28x28, batch 64, compiled',
  'reverse/rnn': 'gradients through 200 steps of a 32-unit RNN, 256 particles',
  'backend/mobile': 'MobileNet-like stack, 96x96, batch 8, eager backend',
};

function figure(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)} G`;
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (value >= 1e4) return `${(value / 1e3).toPrecision(3)} k`;
  return value.toPrecision(3);
}

function ratio(line: Line): string {
  if (line.ratio === null) return '';
  if (line.peer === 'fma-peak') return `${(100 * line.ratio).toFixed(0)} %`;
  return line.ratio >= 100
    ? `${Math.round(line.ratio).toLocaleString('en')}x`
    : `${line.ratio.toPrecision(3)}x`;
}

function row(title: string, line: Line): string {
  const peer = line.peer === null ? '| |' : `| ${line.peer} | ${figure(line.peerValue ?? 0)}`;
  return `| ${title} | ${figure(line.value)} ${line.unit} ${peer} | ${ratio(line)} |`;
}

function table(rows: readonly string[]): string {
  return ['| what | Unrolled | against | | ratio |', '|---|---|---|---|---|', ...rows].join('\n');
}

function replaceBetween(file: string, marker: string, text: string): void {
  const url = new URL(file, root);
  const page = readFileSync(url, 'utf8');
  const pattern = new RegExp(`(<!-- ${marker} -->\n)[\\s\\S]*?(<!-- end ${marker} -->)`);
  if (!pattern.test(page)) throw new Error(`${file} has no <!-- ${marker} --> section`);
  writeFileSync(
    url,
    page.replace(pattern, (_, head, tail) => `${head}\n${text}\n\n${tail}`),
  );
}

async function main(): Promise<void> {
  const lines = readFileSync(0, 'utf8')
    .split('\n')
    .filter((text) => text.startsWith('{'))
    .map((text) => JSON.parse(text) as Line);
  if (lines.length === 0) throw new Error('no JSON lines on stdin; see the top of perf/record.ts');
  await using device = await openDevice('cpu');
  const memory = Math.round(totalmem() / 2 ** 30);
  const machine = `${cpus()[0].model.trim()}, ${availableParallelism()} threads, ${memory} GiB, Node ${process.versions.node}; ${device.description}`;

  const all = lines.map((line) => row(`${line.suite}/${line.case}`, line));
  replaceBetween('perf/RESULTS.md', 'results', `Machine: ${machine}.\n\n${table(all)}`);
  const short = lines
    .filter((line) => `${line.suite}/${line.case}` in HEADLINES)
    .map((line) => row(HEADLINES[`${line.suite}/${line.case}`], line));
  replaceBetween('README.md', 'speed', `${table(short)}\n\nMeasured on: ${machine}.`);
}

main().catch((error) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
});
