/**
 * `npm run bench -- [SUITE[/CASE] ...] [--json]`: runs the suites (all of them without a name) and prints a table, or with --json one
 * JSON object a line: {"suite","case","unit","value","peer","peerValue","ratio"}. Medians of interleaved rounds; a higher ratio is better
 * for us.
 */
import { eventLoop } from './event-loop.js';
import { kernels } from './kernels.js';
import type { Line } from './measure.js';
import { memory } from './memory.js';
import { ROLLOUT_CASES, rollout } from './rollout.js';
import { threads } from './threads.js';

const SUITES: Readonly<Record<string, () => Promise<Line[]>>> = {
  ...Object.fromEntries(ROLLOUT_CASES.map((name) => [`rollout/${name}`, () => rollout(name)])),
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

async function main(): Promise<void> {
  const words = process.argv.slice(2);
  const json = words.includes('--json');
  const wanted = words.filter((word) => word !== '--json');
  const chosen = Object.keys(SUITES).filter(
    (name) => wanted.length === 0 || wanted.some((word) => name === word || name.startsWith(`${word}/`)),
  );
  const unknown = wanted.filter(
    (word) => !Object.keys(SUITES).some((name) => name === word || name.startsWith(`${word}/`)),
  );
  if (unknown.length > 0) {
    process.stderr.write(
      `unknown suite ${unknown.join(', ')}; there are ${Object.keys(SUITES).join(', ')}\n`,
    );
    process.exitCode = 2;
    return;
  }
  for (const name of chosen) {
    for (const line of await SUITES[name]()) {
      process.stdout.write(`${json ? JSON.stringify(line) : text(line)}\n`);
    }
  }
}

main().catch((error) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = 1;
});
