/** Running the command line as a user does: a process of its own. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface CliOutcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `unrolled ...words` from its sources. `interruptOn`: send Ctrl-C once stderr holds this. */
export function runCli(
  words: readonly string[],
  options: { env?: Record<string, string>; interruptOn?: string; cwd?: string } = {},
): Promise<CliOutcome> {
  const child = spawn(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), `${root}src/cli/main.ts`, ...words],
    {
      cwd: options.cwd ?? root,
      env: { ...process.env, NO_COLOR: '1', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    let interrupted = false;
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
      if (options.interruptOn && !interrupted && stderr.includes(options.interruptOn)) {
        interrupted = true;
        child.kill('SIGINT');
      }
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
