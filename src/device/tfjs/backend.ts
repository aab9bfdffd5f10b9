/** Choosing the tfjs backend: the fastest that is installed and works. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { DeviceError, OptionError } from '../../errors.js';

/** A package that brings a backend, and the name under which it registers. Tried in this order. */
const CANDIDATES = [
  { package: '@tensorflow/tfjs-node-gpu', backend: 'tensorflow' },
  { package: '@tensorflow/tfjs-node', backend: 'tensorflow' },
  { package: '@tensorflow/tfjs-backend-wasm', backend: 'wasm' },
] as const;

type Candidate = (typeof CANDIDATES)[number];

/** Names that can be asked for. 'tensorflow' is what tfjs-node and tfjs-node-gpu bring. */
export const TFJS_BACKENDS = ['tensorflow', 'wasm', 'cpu'] as const;
export type TfjsBackendName = (typeof TFJS_BACKENDS)[number];

export interface ChosenBackend {
  /** As tfjs knows it: one of TFJS_BACKENDS, or whatever the user has made active. */
  readonly name: string;
  /** The package it came from. */
  readonly package: string;
  /** Why each better one was not chosen. */
  readonly notes: readonly string[];
}

/** How long a candidate may take to load and multiply two numbers. */
const PROBE_MS = 30_000;

/**
 * What the child runs: native addons and wasm runtimes may crash or hang while they load, and then only the child is lost. It is given
 * absolute paths, since `-e` code resolves packages from the working directory.
 */
const PROBE = `
const [tfjs, candidate, backend] = process.argv.slice(1);
(async () => {
  const tf = require(tfjs);
  require(candidate);
  if (!(await tf.setBackend(backend))) throw new Error('backend "' + backend + '" did not start');
  await tf.ready();
  const product = tf.tidy(() => tf.matMul(tf.tensor2d([1, 2], [1, 2]), tf.tensor2d([3, 4], [2, 1])).dataSync()[0]);
  if (product !== 11) throw new Error('1*3 + 2*4 came out as ' + product);
  process.stdout.write('works');
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
`;

/** Path of a package's main file as this library, or the program that uses it, would find it. */
function resolvePackage(name: string): string | undefined {
  for (const base of [import.meta.url, pathToFileURL(join(process.cwd(), 'package.json')).href]) {
    try {
      return createRequire(base).resolve(name);
    } catch {
      // not there; the other base may know it
    }
  }
  return undefined;
}

/** The line of a child's stderr that says most. */
function reasonIn(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return lines.find((line) => /error|cannot|not found/i.test(line)) ?? lines.at(-1) ?? 'no message';
}

/** Loads a candidate in a child process. Resolves to undefined when it works, else to the reason. */
function probe(main: string, { backend }: Candidate): Promise<string | undefined> {
  const tfjs = createRequire(import.meta.url).resolve('@tensorflow/tfjs');
  // NODE_OPTIONS may carry loaders and inspectors of the parent that a bare child cannot serve.
  const env = { ...process.env, NODE_OPTIONS: '', TF_CPP_MIN_LOG_LEVEL: '2' };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['-e', PROBE, tfjs, main, backend], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: PROBE_MS,
      killSignal: 'SIGKILL',
      windowsHide: true,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.on('error', (error) => resolve(`the trial process did not start: ${error.message}`));
    child.on('close', (code, signal) => {
      if (stdout.endsWith('works')) resolve(undefined);
      else if (child.killed) resolve(`did not load within ${PROBE_MS / 1000} s`);
      else if (signal) resolve(`crashed with ${signal} while loading`);
      else resolve(reasonIn(stderr) || `ended with code ${code}`);
    });
  });
}

/** Trials are made once a process: they cost about a second each. */
const trials = new Map<string, Promise<string | undefined>>();

/** Loads a candidate here, after a trial. Resolves to why not, or undefined. The active backend stays the user's. */
async function loadCandidate(candidate: Candidate): Promise<string | undefined> {
  const main = resolvePackage(candidate.package);
  if (main === undefined) return 'not installed';
  let trial = trials.get(main);
  if (!trial) {
    trial = probe(main, candidate);
    trials.set(main, trial);
  }
  const failure = await trial;
  if (failure !== undefined) return failure;
  const theirs = tf.getBackend();
  const restoreListeners = rememberListeners();
  try {
    await import(pathToFileURL(main).href);
    if (tf.findBackendFactory(candidate.backend) === null) {
      return 'registers itself with another copy of @tensorflow/tfjs-core; install one version of tfjs';
    }
    return (await tf.setBackend(candidate.backend))
      ? undefined
      : `backend "${candidate.backend}" did not start`;
  } catch (error) {
    return (error as Error).message;
  } finally {
    restoreListeners();
    if (theirs !== undefined && tf.getBackend() !== theirs) await tf.setBackend(theirs);
  }
}

/**
 * A wasm runtime adds handlers of its own for uncaught errors, which would decide how the user's program ends. The function returned
 * removes what was added since.
 */
function rememberListeners(): () => void {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => new Set<unknown>(process.listeners(event as 'uncaughtException')));
  return () => {
    events.forEach((event, i) => {
      for (const listener of process.listeners(event as 'uncaughtException')) {
        if (!before[i].has(listener)) process.removeListener(event, listener);
      }
    });
  };
}

/**
 * The best backend, loaded and ready but not active. `wanted` forces one; rejects with DeviceError when that one does not load, OptionError
 * for an unknown name.
 */
export async function chooseBackend(wanted?: TfjsBackendName): Promise<ChosenBackend> {
  if (wanted !== undefined && !TFJS_BACKENDS.includes(wanted)) {
    throw new OptionError(`tfjsBackend must be one of ${TFJS_BACKENDS.join(', ')}, got ${String(wanted)}`);
  }
  // From here on the user's choice of backend is made, so that loading ours cannot change it.
  await quietly(() => tf.ready());
  const notes: string[] = [];
  if (wanted !== 'cpu') {
    for (const candidate of CANDIDATES) {
      if (wanted !== undefined && candidate.backend !== wanted) continue;
      const failure = await loadCandidate(candidate);
      if (failure === undefined) return { name: candidate.backend, package: candidate.package, notes };
      notes.push(`${candidate.package}: ${failure}`);
    }
    if (wanted !== undefined) {
      throw new DeviceError(`the tfjs backend "${wanted}" cannot be used: ${notes.join('; ')}`);
    }
  }
  await startCpuBackend();
  return { name: 'cpu', package: '@tensorflow/tfjs', notes };
}

/** The backend that is active, with the cpu backend of tfjs started beside it. Throws DeviceError when none is ready. */
export function activeBackend(): ChosenBackend {
  const env = tf.env();
  const was = env.getBool('IS_TEST');
  try {
    // The cpu backend's first tensor prints an advertisement for tfjs-node.
    env.set('IS_TEST', true);
    tf.backend();
    const name = tf.getBackend();
    if (name !== 'cpu') {
      // Both switches are synchronous: neither backend has anything left to load.
      void tf.setBackend('cpu');
      tf.scalar(0).dispose();
      void tf.setBackend(name);
    } else tf.scalar(0).dispose();
    return { name, package: 'active', notes: [] };
  } catch (cause) {
    throw new DeviceError(`no tfjs backend is ready: ${(cause as Error).message}`, { cause });
  } finally {
    env.set('IS_TEST', was);
  }
}

/** Starts the backend that tfjs itself brings, leaving the user's active. Needed before a synchronous switch to it. */
export async function startCpuBackend(): Promise<void> {
  const theirs = tf.getBackend();
  await quietly(async () => {
    if (!(await tf.setBackend('cpu')))
      throw new DeviceError('the cpu backend of @tensorflow/tfjs did not start');
    // Its first tensor prints an advertisement for tfjs-node; our notes say that already.
    tf.scalar(0).dispose();
  });
  if (theirs !== undefined && theirs !== 'cpu') await tf.setBackend(theirs);
}

/** Keeps tfjs from printing while `action` runs. */
async function quietly<T>(action: () => Promise<T>): Promise<T> {
  const env = tf.env();
  const was = env.getBool('IS_TEST');
  env.set('IS_TEST', true);
  try {
    return await action();
  } finally {
    env.set('IS_TEST', was);
  }
}
