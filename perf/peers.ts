/**
 * The other side in Python: JAX and PyTorch on the same cores, each case in a process of its own that measures a round when it is told to
 * (perf/peers/serve.py). Used with `--peers`; what is not installed is left out with a message. UNROLLED_PEERS_PYTHON names the interpreter.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Side } from './measure.js';

const SERVE = fileURLToPath(new URL('peers/serve.py', import.meta.url));
const PYTHON = process.env.UNROLLED_PEERS_PYTHON ?? 'python3';
/** Exit codes of serve.py. */
const NOT_INSTALLED = 3;
const NO_SUCH_CASE = 4;

let enabled = false;

/** Whether `pythonPeers` starts any. */
export function setPeers(on: boolean): void {
  enabled = on;
}

async function start(library: 'jax' | 'torch', name: string): Promise<Side | undefined> {
  const child = spawn(PYTHON, [SERVE, library, name], { stdio: ['pipe', 'pipe', 'pipe'] });
  const errors: string[] = [];
  child.stderr.on('data', (chunk) => errors.push(String(chunk)));
  const ended = new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code) => resolve(code ?? 'killed'));
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () =>
    JSON.parse((await lines.next()).value ?? '{}') as Record<string, number | string>;
  const ready = await Promise.race([answer(), ended.then(() => undefined)]);
  if (!ready?.ready) {
    const code = await ended;
    const reason =
      code === NOT_INSTALLED
        ? `${library} is not installed for ${PYTHON}`
        : `${code} ${errors.join('').slice(-500)}`;
    if (code !== NO_SUCH_CASE) process.stderr.write(`skipping peer ${library} of ${name}: ${reason}\n`);
    return undefined;
  }
  return {
    name: `${library}-cpu`,
    compileSeconds: Number(ready.compileSeconds),
    close: () => child.stdin.end(),
    measure: async () => {
      child.stdin.write('round\n');
      return Number((await answer()).value);
    },
  };
}

/** The peers that have this case, started and compiled; none unless they were asked for. */
export async function pythonPeers(name: string): Promise<Side[]> {
  if (!enabled) return [];
  const sides: Side[] = [];
  for (const library of ['jax', 'torch'] as const) {
    const side = await start(library, name);
    if (side) sides.push(side);
  }
  return sides;
}
