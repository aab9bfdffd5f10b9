import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeviceDriver, UnrollSpec } from '../../../src/device/driver.js';
import { openDriver } from '../../../src/device/open.js';
import type { TfjsBackendName } from '../../../src/device/tfjs/backend.js';
import { openTfjsDevice } from '../../../src/device/tfjs/driver.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { leaf } from './walks.js';

/** x' = erf(x), from 0.5. */
function erfUnroll(): UnrollSpec {
  const i = new GraphBuilder();
  const b = new GraphBuilder();
  const next = b.add({ name: 'erf' }, [b.input('state', 'x', [], 'float32')]);
  return {
    init: i.build([{ path: 'state.x', node: i.constant([0.5], [], 'float32') }]),
    step: b.build([
      { path: 'state.x', node: next },
      { path: 'loss', node: next },
    ]),
    theta: [],
    state: [leaf('x', [])],
    data: [],
    metrics: [],
    horizon: Number.POSITIVE_INFINITY,
  };
}

async function lossOf(driver: DeviceDriver): Promise<number> {
  using program = driver.load(erfUnroll(), []);
  using state = program.createState(1);
  const { lossSums } = await program.run({
    state,
    steps: 1,
    theta: { kind: 'shared', values: new Float32Array(0) },
    seed: 0,
    firstStep: 0,
    antithetic: false,
    record: 'sum',
  });
  return lossSums[0];
}

describe('the choice of a backend', () => {
  let driver: DeviceDriver;
  let listeners: number[];
  const count = () => [
    process.listenerCount('unhandledRejection'),
    process.listenerCount('uncaughtException'),
  ];
  beforeAll(async () => {
    await tf.setBackend('cpu');
    listeners = count();
    driver = await openTfjsDevice();
  });
  afterAll(async () => {
    await driver.dispose();
  });

  it('takes the best that loads, says which, and why not a better one', () => {
    expect(driver.description).toContain('backend wasm (@tensorflow/tfjs-backend-wasm)');
    expect(driver.notes).toEqual([
      '@tensorflow/tfjs-node-gpu: not installed',
      '@tensorflow/tfjs-node: not installed',
    ]);
  });

  it("leaves the user's backend active and adds no handlers of uncaught errors", () => {
    expect(tf.getBackend()).toBe('cpu');
    expect(count()).toEqual(listeners);
  });

  it('runs a program on cpu, and says so, when the backend lacks a kernel that it needs', async () => {
    const kernel = tf.getKernel('Erf', 'wasm');
    tf.unregisterKernel('Erf', 'wasm');
    try {
      using program = driver.load(erfUnroll(), []);
      const note = 'backend wasm lacks Erf; a program that needs this runs on backend cpu';
      expect(program.plan().text).toContain(`tfjs backend cpu\n${note}`);
      expect(driver.notes).toContain(note);
      expect(await lossOf(driver)).toBeCloseTo(0.5204999, 5);
    } finally {
      tf.registerKernel(kernel);
    }
    using again = driver.load(erfUnroll(), []);
    expect(again.plan().text).toContain('tfjs backend wasm');
    expect(await lossOf(driver)).toBeCloseTo(0.5204999, 5);
  });

  it('survives candidates that crash or cannot load, and reports how they failed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'unrolled-backends-'));
    const install = (name: string, code: string) => {
      const path = join(folder, 'node_modules', ...name.split('/'));
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, 'package.json'), JSON.stringify({ name, version: '4.22.0', main: 'main.js' }));
      writeFileSync(join(path, 'main.js'), code);
    };
    install(
      '@tensorflow/tfjs-node-gpu',
      "process.kill(process.pid, 'SIGSEGV'); setInterval(() => {}, 1000);",
    );
    install(
      '@tensorflow/tfjs-node',
      "throw new Error('libtensorflow.so.2: cannot open shared object file');",
    );
    const home = process.cwd();
    process.chdir(folder);
    try {
      const other = await openTfjsDevice();
      expect(other.description).toContain('backend wasm');
      expect(other.notes).toEqual([
        '@tensorflow/tfjs-node-gpu: crashed with SIGSEGV while loading',
        '@tensorflow/tfjs-node: Error: libtensorflow.so.2: cannot open shared object file',
      ]);
      await other.dispose();
    } finally {
      process.chdir(home);
      rmSync(folder, { recursive: true });
    }
  });

  it('refuses a backend that is not there, or unknown, with the reason', async () => {
    await expect(openTfjsDevice({ tfjsBackend: 'tensorflow' })).rejects.toThrow(
      'the tfjs backend "tensorflow" cannot be used: @tensorflow/tfjs-node-gpu: not installed',
    );
    await expect(openTfjsDevice({ tfjsBackend: 'webgl' as TfjsBackendName })).rejects.toMatchObject({
      code: 'ERR_OPTION',
    });
  });
});

describe('openDriver', () => {
  it('opens the kind that is asked for', async () => {
    const driver = await openDriver('tfjs', { tfjsBackend: 'cpu' });
    expect(driver.kind).toBe('tfjs');
    expect(await lossOf(driver)).toBeCloseTo(0.5204999, 5);
    await driver.dispose();
  });

  it('opens something for auto, and says why nothing better where it fell back', async () => {
    const driver = await openDriver('auto', { tfjsBackend: 'cpu' });
    if (driver.kind === 'tfjs') expect(driver.notes[0]).toMatch(/^cpu: /);
    else expect(driver.notes).toEqual([]);
    expect(await lossOf(driver)).toBeCloseTo(0.5204999, 5);
    await driver.dispose();
  });

  it('refuses cuda, unknown kinds and misspelt options by name', async () => {
    await expect(openDriver('cuda')).rejects.toMatchObject({ code: 'ERR_DEVICE' });
    await expect(openDriver('cuda')).rejects.toThrow('this version has no cuda device');
    await expect(openDriver('gpu' as 'cpu')).rejects.toThrow('device must be');
    await expect(openDriver('tfjs', { thread: 2 } as object)).rejects.toThrow(
      'unknown device option "thread"',
    );
    await expect(openDriver('tfjs', { tfjsBackend: 'tensorflow' })).rejects.toThrow(
      /no tfjs device could be opened: tfjs: the tfjs backend "tensorflow" cannot be used/,
    );
  });
});
