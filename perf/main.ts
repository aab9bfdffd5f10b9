/**
 * `npm run bench -- [SUITE[/CASE] ...] [--json] [--peers] [--rounds N]`: runs the suites (all of them without a name) and prints a table, or with
 * --json one JSON object a line (with --peers also against JAX and PyTorch, see peers.ts): {"suite","case","unit","value","peer","peerValue","ratio"}. Medians of 7 interleaved rounds; a higher
 * ratio is better for us. Exit code 2 for a suite that does not exist.
 */
import { parseArgs } from 'node:util';
import { mobile } from './backend.js';
import { eventLoop } from './event-loop.js';
import { JIT_CASES, jitCase } from './jit.js';
import { kernels } from './kernels.js';
import { type Line, setRounds } from './measure.js';
import { memory } from './memory.js';
import { setPeers } from './peers.js';
import { reverse } from './reverse.js';
import { ROLLOUT_CASES, rollout } from './rollout.js';
import { threads } from './threads.js';

const SUITES: Readonly<Record<string, () => Promise<Line[]>>> = {
  ...Object.fromEntries(ROLLOUT_CASES.map((name) => [`rollout/${name}`, () => rollout(name)])),
  ...Object.fromEntries(JIT_CASES.map((name) => [`jit/${name}`, () => jitCase(name)])),
  'reverse/rnn': reverse,
  'backend/mobile': mobile,
  threads,
  'event-loop': eventLoop,
  memory,
  kernels,
};

function text({ suite, case: name, unit, value, peer, peerValue, ratio }: Line): string {
  const digits = (x: number) => (Math.abs(x) >= 1e5 ? x.toExponential(3) : x.toPrecision(4));
  const against = peer === null ? '' : `   ${peer} ${digits(peerValue ?? 0)}   ratio ${digits(ratio ?? 0)}`;
  return `${`${suite}/${name}`.padEnd(40)} ${digits(value).padStart(10)} ${unit}${against}`;
}

/** Names of the suites that a word stands for: one, or all of a family. */
function named(word: string): string[] {
  return Object.keys(SUITES).filter((name) => name === word || name.startsWith(`${word}/`));
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      peers: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '7' },
    },
  });
  const rounds = Number(values.rounds);
  const unknown = positionals.filter((word) => named(word).length === 0);
  if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
    const problem = unknown.length > 0 ? `unknown suite ${unknown.join(', ')}` : `--rounds ${values.rounds}`;
    process.stderr.write(`error: ${problem}; suites: ${Object.keys(SUITES).join(', ')}\n`);
    process.exitCode = 2;
    return;
  }
  setRounds(rounds);
  setPeers(values.peers);
  const chosen = positionals.length === 0 ? Object.keys(SUITES) : [...new Set(positionals.flatMap(named))];
  for (const name of chosen) {
    for (const line of await SUITES[name]()) {
      process.stdout.write(`${values.json ? JSON.stringify(line) : text(line)}\n`);
    }
  }
}

main().catch((error) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = 1;
});
