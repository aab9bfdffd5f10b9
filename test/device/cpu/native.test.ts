import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import {
  loadNative,
  type NativeAddon,
  type NativeRunRequest,
  nativePath,
  type ProgramHandle,
  type StateHandle,
} from '../../../src/device/cpu/native.js';
import { addNormalRows, fillNormalRows, weightedRowSum } from '../../../src/random/noise.js';
import { expectedLosses, type RawOptions, rawProgram } from './raw-program.js';

const folder = mkdtempSync(join(tmpdir(), 'unrolled-native-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('loading reports a reason and never throws', () => {
  it('names a missing file and what makes it', () => {
    const load = loadNative(join(folder, 'nothing.node'));
    expect(load).toMatchObject({ ok: false, path: join(folder, 'nothing.node') });
    expect(load.ok === false && load.reason).toMatch(/no native addon for .* at .*nothing\.node/);
  });

  it('names a file that is no addon, in one line', () => {
    const path = join(folder, 'garbage.node');
    writeFileSync(path, 'this is no shared object');
    const load = loadNative(path);
    expect(load.ok === false && load.reason).toMatch(/garbage\.node could not be loaded: [^\n]+$/);
  });

  it('refuses an addon of another interface version', () => {
    const path = join(folder, 'old.cjs');
    writeFileSync(path, 'module.exports = { abi: 0 };');
    const load = loadNative(path);
    expect(load.ok === false && load.reason).toMatch(/interface version 0, this library needs 2: rebuild/);
  });

  it('looks where UNROLLED_ADDON points and nowhere else', () => {
    expect(nativePath({ UNROLLED_ADDON: '/elsewhere/x.node' })).toBe('/elsewhere/x.node');
    expect(nativePath({})).toMatch(/prebuilds.[a-z]+-[a-z0-9]+(-musl)?.unrolled\.node$/);
  });
});

const loaded = loadNative();
it('an addon that is there can be loaded', () => {
  expect(loaded.ok || existsSync(loaded.path), loaded.ok ? '' : loaded.reason).toBe(loaded.ok);
});
const absent = loaded.ok ? '' : ` (not run: ${loaded.reason})`;

describe.runIf(loaded.ok)(`the addon by itself${absent}`, () => {
  const native = (loaded as { native: NativeAddon }).native;
  const path = loaded.path;
  const levels = loaded.ok ? native.info().levels : [];

  function load(options: RawOptions & { level?: string; threads?: number } = {}): ProgramHandle {
    const { words, constants, data, leaves } = rawProgram(options);
    const engine = native.openEngine({ level: options.level ?? null, threads: options.threads ?? null });
    const program = native.loadProgram(engine, words, constants, data, leaves);
    native.dispose(engine);
    return program;
  }

  function request(change: Partial<NativeRunRequest> = {}): NativeRunRequest {
    const theta = { kind: 'shared', values: Float32Array.of(1, 0.5) } as const;
    return { steps: 3, firstStep: 0, key0: 7, key1: 0, antithetic: false, perStep: true, theta, ...change };
  }

  /** For arrays too long to compare element by element. */
  function sameBits(a: NodeJS.TypedArray, b: NodeJS.TypedArray): boolean {
    return Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
  }

  async function codeOf(call: () => unknown): Promise<string> {
    try {
      await call();
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
      return (error as { code: string }).code;
    }
    return 'nothing was thrown';
  }

  it('runs the same numbers as the definition, on every level and number of threads', async () => {
    const particles = 50;
    const theta = Float32Array.from({ length: 2 * particles }, (_, i) => (i % 2 ? 0.5 : 1) + i / 100);
    const horizon = 4;
    const expected = expectedLosses(particles, 10, theta, { seed: 7, firstStep: 3, horizon });
    for (const level of levels.filter((l) => l.supported)) {
      for (const threads of [1, 2, 3]) {
        const program = load({ horizon, level: level.name, threads });
        const state = native.createState(program, particles, null);
        const run = native.run(
          state,
          request({ steps: 10, firstStep: 3, theta: { kind: 'perParticle', values: theta } }),
        );
        const { losses, lossSums, firstSteps, metrics } = await run.promise;
        expect(losses).toEqual(expected);
        expect(native.progress(run.handle)).toBe(10 * particles);
        for (let i = 0; i < particles; i++) {
          let [first, second] = [0, 0];
          for (let k = 0; k < 4; k++) first += expected[k * particles + i];
          for (let k = 4; k < 10; k++) second += expected[k * particles + i];
          expect([lossSums[i], lossSums[particles + i], firstSteps[i]]).toEqual([first, second, 4]);
          expect(metrics[0].last[i]).toBe(Math.fround(theta[2 * i] + 10));
        }
        native.dispose(state);
        native.dispose(program);
      }
    }
  });

  it('perturbs theta with the noise of src/random, in antithetic pairs and with a step for each pair', async () => {
    const [particles, pairs] = [38, 19];
    const mean = Float32Array.of(1, 0.5);
    const sigma = Float32Array.of(0.1, 0.25);
    const program = load({ share: 1 });
    for (const step of [12, Uint32Array.from({ length: pairs }, (_, i) => 1000 + 7 * i)]) {
      const eps = new Float32Array(pairs * 2);
      fillNormalRows(eps, 2, { seed: 2 ** 40 + 9, stream: 2, draw: 0, step });
      const theta = new Float32Array(particles * 2);
      for (let i = 0; i < theta.length; i++) {
        const sign = i < particles ? 1 : -1;
        theta[i] = mean[i % 2] + Math.fround(Math.fround(sign * sigma[i % 2]) * eps[i % particles]);
      }
      const state = native.createState(program, particles, null);
      const noise = { key0: 9, key1: 2 ** 8, step };
      const { promise } = native.run(
        state,
        request({ antithetic: true, theta: { kind: 'perturbed', mean, sigma, noise } }),
      );
      expect((await promise).losses).toEqual(expectedLosses(particles, 3, theta, { seed: 7, pairs }));
      native.dispose(state);
    }
    native.dispose(program);
  });

  it('makes, adds and weighs noise as src/random does, whatever the level and threads', async () => {
    const [rows, dim] = [5000, 23];
    const perRow = Uint32Array.from({ length: rows }, (_, i) => 5 * i + 1);
    const scale = Float32Array.from({ length: dim }, (_, j) => j / 7 - 1);
    const weights = Float64Array.from({ length: rows }, (_, i) => Math.sin(i) * 1e3);
    for (const step of [8, perRow]) {
      const source = { seed: 3, stream: 2, draw: 0, step };
      const expected = new Float32Array(rows * dim);
      fillNormalRows(expected, dim, source);
      const expectedSum = expected.map((_, i) => i / 1000);
      addNormalRows(expectedSum, scale, source);
      for (const level of levels.filter((l) => l.supported)) {
        for (const threads of [1, 2]) {
          const engine = native.openEngine({ level: level.name, threads });
          const noise = { key0: 3, key1: 0, step };
          expect(sameBits(await native.fillNormal(engine, rows, dim, noise), expected)).toBe(true);
          const accumulator = expected.map((_, i) => i / 1000);
          expect(await native.addNormal(engine, accumulator, scale, noise)).toBeUndefined();
          expect(sameBits(accumulator, expectedSum)).toBe(true);
          expect(await native.weightedRowSum(engine, weights, expected, dim)).toEqual(
            weightedRowSum(weights, expected, dim),
          );
          native.dispose(engine);
        }
      }
    }
  });

  it('exports, imports and gathers states, and goes on as if nothing had happened', async () => {
    const particles = 21;
    const program = load({ horizon: 5 });
    const t = Int32Array.from({ length: particles }, (_, i) => i % 5);
    const state = native.createState(program, particles, t);
    await native.run(state, request()).promise;
    const snapshot = await native.exportState(state);
    expect(Array.from(snapshot.t)).toEqual(Array.from(t, (x) => (x + 3) % 5));
    expect(Array.from(snapshot.fresh)).toEqual(Array.from(t, (x) => Number((x + 3) % 5 === 0)));
    expect(new Uint8Array(snapshot.leaves[1])).toEqual(new Uint8Array(particles).fill(1));
    const leaves = [new Float32Array(snapshot.leaves[0]), new Uint8Array(snapshot.leaves[1])];
    const copy = await native.importState(program, leaves, snapshot.t, snapshot.fresh);
    const picked = await native.gatherState(
      state,
      Int32Array.from({ length: 40 }, (_, i) => (i * 8) % 21),
    );
    const gathered = await native.exportState(picked);
    for (let i = 0; i < 40; i++) {
      const from = (i * 8) % 21;
      expect(new Float32Array(gathered.leaves[0])[i]).toBe(leaves[0][from]);
      expect([gathered.t[i], gathered.fresh[i]]).toEqual([snapshot.t[from], snapshot.fresh[from]]);
    }
    const [a, b] = [state, copy].map((s) => native.run(s, request({ firstStep: 3, steps: 9 })).promise);
    expect(await a).toEqual(await b);
    for (const handle of [state, copy, picked, program]) native.dispose(handle);
  });

  it('refuses an instruction level that is not there, by argument and by environment', async () => {
    expect(await codeOf(() => native.openEngine({ level: 'sse9' }))).toBe('ERR_OPTION');
    for (const level of levels.filter((l) => !l.supported)) {
      expect(() => native.openEngine({ level: level.name })).toThrow(/this processor lacks/);
    }
    const script = `const n = require(process.argv[1]);
      try { console.log(n.engineInfo(n.openEngine({})).level); } catch (e) { console.log(e.code + ' ' + e.message); }`;
    const levelWith = (isa: string) =>
      spawnSync(process.execPath, ['-e', script, path], {
        env: { ...process.env, UNROLLED_ISA: isa },
        encoding: 'utf8',
      }).stdout.trim();
    for (const level of levels) {
      if (level.supported) expect(levelWith(level.name)).toBe(level.name);
      else expect(levelWith(level.name)).toMatch(/^ERR_OPTION UNROLLED_ISA=/);
    }
    expect(levelWith('')).toBe(native.info().bestLevel);
    expect(levelWith('sse9')).toMatch(/^ERR_OPTION UNROLLED_ISA=sse9: no such instruction level/);
  });

  it('refuses damaged words with ERR_OPTION, and runs those that it accepts', async () => {
    const good = rawProgram();
    const engine = native.openEngine({ threads: 2 });
    let seed = 1;
    const random = (n: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    let [accepted, refused] = [0, 0];
    for (let round = 0; round < 4000; round++) {
      let words = good.words.slice();
      for (let hits = 1 + random(2); hits > 0; hits--) {
        // Small numbers only: an accepted dimension of 2^31 would be harmless, but slow.
        words[random(words.length)] = [random(40) - 8, -1, -(2 ** 31), 4096 + random(8)][random(4)];
      }
      if (random(8) === 0) words = words.slice(0, random(words.length));
      try {
        const program = native.loadProgram(engine, words, good.constants, good.data, good.leaves);
        const state = native.createState(program, 20, null);
        await native
          .run(state, request({ theta: { kind: 'shared', values: new Float32Array(words[8]) } }))
          .promise.catch((error) => expect(error.code).toMatch(/^ERR_/));
        native.dispose(state);
        native.dispose(program);
        accepted++;
      } catch (error) {
        expect((error as { code: string }).code).toBe('ERR_OPTION');
        refused++;
      }
    }
    expect(accepted).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(1000);
    native.dispose(engine);
  });

  it('refuses malformed arguments with a code', async () => {
    const program = load({ horizon: 4 });
    const state = native.createState(program, 6, null);
    const refuse = async (call: () => unknown) => expect(await codeOf(call)).toBe('ERR_OPTION');
    const wrong = (value: unknown) => value as never;
    for (const value of [undefined, null, 1, 'x', {}, [], program]) {
      await refuse(() => native.engineInfo(wrong(value)));
      await refuse(() => native.run(wrong(value), request()));
      await refuse(() => native.createState(wrong(value === program ? state : value), 1, null));
    }
    for (const value of [0, -1, 1.5, Number.NaN, 2 ** 32, '3', undefined]) {
      await refuse(() => native.createState(program, wrong(value), null));
      await refuse(() => native.run(state, request({ steps: wrong(value) })));
    }
    for (const value of [-1, 0.5, 2 ** 32, '0', undefined, Number.POSITIVE_INFINITY]) {
      await refuse(() => native.run(state, request({ firstStep: wrong(value) })));
      await refuse(() => native.run(state, request({ key0: wrong(value) })));
    }
    for (const value of [undefined, 'yes', 1]) {
      await refuse(() => native.run(state, request({ antithetic: wrong(value) })));
    }
    for (const theta of [
      undefined,
      { kind: 'other' },
      { kind: 'shared', values: new Float32Array(3) },
      { kind: 'shared', values: new Float64Array(2) },
      { kind: 'perParticle', values: new Float32Array(2) },
      { kind: 'perturbed', mean: new Float32Array(2), sigma: new Float32Array(2) },
      {
        kind: 'perturbed',
        mean: new Float32Array(2),
        sigma: new Float32Array(2),
        noise: { key0: 0, key1: 0, step: new Uint32Array(5) },
      },
    ]) {
      await refuse(() => native.run(state, request({ theta: wrong(theta) })));
    }
    await refuse(() => native.createState(program, 3, Int32Array.of(0, 4, 0)));
    await refuse(() => native.createState(program, 3, new Int32Array(2)));
    await refuse(() => native.gatherState(state, Int32Array.of(6)));
    await refuse(() => native.gatherState(state, new Int32Array(0)));
    await refuse(() =>
      native.importState(program, [new Float32Array(6)], new Int32Array(6), new Uint8Array(6)),
    );
    await refuse(() =>
      native.importState(
        program,
        [new Float32Array(6), new Int32Array(6)],
        new Int32Array(6),
        new Uint8Array(6),
      ),
    );
    await refuse(() => native.setData(program, [new Float32Array(2)]));
    await refuse(() => native.openEngine({ threads: 0 }));
    // None of it left the state busy or advanced.
    const { losses } = await native.run(state, request()).promise;
    expect(losses).toEqual(
      expectedLosses(
        6,
        3,
        new Float32Array(12).map((_, i) => (i % 2 ? 0.5 : 1)),
        { seed: 7 },
      ),
    );
    native.dispose(state);
    expect(await codeOf(() => native.run(state, request()))).toBe('ERR_DISPOSED');
    native.dispose(state);
    native.dispose(program);
  });

  it('lets a state serve one run, or several readers, at a time', async () => {
    const program = load();
    const state = native.createState(program, 1000, null);
    const run = native.run(state, request({ steps: 100 }));
    expect(native.stateInfo(state).busy).toBe(true);
    expect(await codeOf(() => native.run(state, request()))).toBe('ERR_BUSY');
    expect(await codeOf(() => native.exportState(state))).toBe('ERR_BUSY');
    await run.promise;
    const gathered = native.gatherState(state, Int32Array.of(5));
    const exported = [native.exportState(state), native.exportState(state)];
    expect(await codeOf(() => native.run(state, request()))).toBe('ERR_BUSY');
    await Promise.all(exported);
    native.dispose(await gathered);
    await native.run(state, request({ firstStep: 100 })).promise;
    native.dispose(state);
    native.dispose(program);
  });

  it('ends a cancelled run with ERR_ABORTED and refuses its state', async () => {
    const program = load();
    const state: StateHandle = native.createState(program, 1000, null);
    const run = native.run(state, request({ steps: 2 ** 31 - 1, perStep: false }));
    while (native.progress(run.handle) < 1000) await new Promise((r) => setTimeout(r, 1));
    native.cancel(run.handle);
    expect(await codeOf(() => run.promise)).toBe('ERR_ABORTED');
    expect(native.progress(run.handle)).toBeLessThan(1000 * (2 ** 31 - 1));
    native.cancel(run.handle);
    expect(await codeOf(() => native.run(state, request()))).toBe('ERR_DEVICE');
    expect(await codeOf(() => native.exportState(state))).toBe('ERR_DEVICE');
    native.dispose(state);
    native.dispose(program);
  });

  it('does not read what the caller changes or transfers after the call', async () => {
    const program = load();
    const state = native.createState(program, 64, null);
    const values = Float32Array.from({ length: 128 }, (_, i) => (i % 2 ? 0.5 : 1));
    const expected = expectedLosses(64, 3, values.slice(), { seed: 7 });
    const run = native.run(state, request({ theta: { kind: 'perParticle', values } }));
    structuredClone(values.buffer, { transfer: [values.buffer] });
    expect((await run.promise).losses).toEqual(expected);
    const engine = native.openEngine({});
    const accumulator = new Float32Array(100);
    const adding = native.addNormal(engine, accumulator, new Float32Array(10), { key0: 0, key1: 0, step: 0 });
    structuredClone(accumulator.buffer, { transfer: [accumulator.buffer] });
    await adding;
    expect(accumulator.length).toBe(0);
    for (const handle of [state, program, engine]) native.dispose(handle);
  });

  it('frees everything when handles are disposed, also in the middle of a run', async () => {
    const program = load();
    const state = native.createState(program, 5000, null);
    expect(native.counters()).toMatchObject({ engines: 1, programs: 1, states: 1 });
    expect(native.counters().stateBytes).toBe(native.stateInfo(state).bytes);
    const run = native.run(state, request({ steps: 50 }));
    native.dispose(state);
    native.dispose(program);
    await run.promise;
    expect(native.counters()).toEqual({
      engines: 0,
      programs: 0,
      functions: 0,
      states: 0,
      jobs: 0,
      threads: 0,
      programBytes: 0,
      stateBytes: 0,
      arenaBytes: 0,
    });
  });

  /** What a child process or worker needs to run the raw program: `n`, `program`, `state`, `run(steps)`. */
  const prelude = (options: RawOptions = {}) => {
    const { words, constants, data, leaves } = rawProgram(options);
    return `
      const n = require(${JSON.stringify(path)});
      const engine = n.openEngine({ threads: 2 });
      let program = n.loadProgram(engine, Int32Array.of(${words}), Int32Array.of(${constants}), [Float32Array.of(${data[0]})], Int32Array.of(${leaves}));
      let state = n.createState(program, 1000, null);
      const run = (steps) => n.run(state, { steps, firstStep: 0, key0: 7, key1: 0, antithetic: false, perStep: false,
        theta: { kind: 'shared', values: Float32Array.of(1, 0.5) } });
    `;
  };
  const forever = 2 ** 31 - 1;

  function child(
    script: string,
    flags: readonly string[] = [],
  ): Promise<{ code: number | null; signal: string | null; out: string }> {
    return new Promise((resolve, reject) => {
      const process_ = spawn(process.execPath, [...flags, '-e', prelude() + script], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let out = '';
      process_.stdout.on('data', (chunk) => {
        out += chunk;
      });
      process_.stderr.on('data', (chunk) => {
        out += chunk;
      });
      process_.on('error', reject);
      process_.on('close', (code, signal) => resolve({ code, signal, out }));
    });
  }

  it('runs in two worker threads at once, with the same results as here', async () => {
    const expected = expectedLosses(
      1000,
      20,
      new Float32Array(2000).map((_, i) => (i % 2 ? 0.5 : 1)),
      { seed: 7 },
    );
    const sum = Float64Array.from({ length: 1000 }, (_, i) => {
      let total = 0;
      for (let k = 0; k < 20; k++) total += expected[k * 1000 + i];
      return total;
    });
    const script = `${prelude()}
      const { parentPort } = require('node:worker_threads');
      (async () => {
        for (let round = 0; round < 20; round++) {
          state = n.createState(program, 1000, null);
          parentPort.postMessage((await run(20).promise).lossSums.slice(0, 1000));
          n.dispose(state);
        }
      })();`;
    const results = await Promise.all(
      [0, 1].map(
        () =>
          new Promise<Float64Array[]>((resolve, reject) => {
            const worker = new Worker(script, { eval: true });
            const sums: Float64Array[] = [];
            worker.on('message', (message) => sums.push(message));
            worker.on('error', reject);
            worker.on('exit', () => resolve(sums));
          }),
      ),
    );
    for (const sums of results) {
      expect(sums.length).toBe(20);
      for (const got of sums) expect(got).toEqual(sum);
    }
    expect(native.counters()).toMatchObject({ states: 0, programs: 0, jobs: 0, stateBytes: 0 });
  });

  it('survives worker.terminate() in the middle of runs', async () => {
    const { code, signal, out } = await child(`
      const { Worker } = require('node:worker_threads');
      const script = ${JSON.stringify(`${prelude()} for (let i = 0; i < 3; i++) { state = n.createState(program, 1000, null); run(${forever}); } require('node:worker_threads').parentPort.postMessage('running');`)};
      (async () => {
        for (let i = 0; i < 5; i++) {
          const worker = new Worker(script, { eval: true });
          await new Promise((r) => worker.once('message', r));
          await new Promise((r) => setTimeout(r, 5 * i));
          await worker.terminate();
        }
        // This environment's own run is untouched by the others' end.
        await run(10).promise;
        n.dispose(state); n.dispose(program); n.dispose(engine);
        console.log(JSON.stringify(n.counters()));
      })();`);
    expect({ code, signal }, out).toEqual({ code: 0, signal: null });
    expect(JSON.parse(out)).toMatchObject({ states: 0, programs: 0, engines: 0, jobs: 0, threads: 0 });
  });

  it('survives process.exit() in the middle of runs, here and in a worker', async () => {
    for (const script of [
      `run(${forever}); process.exit(7);`,
      `run(${forever}); setTimeout(() => process.exit(7), 20);`,
      `run(${forever}); process.exitCode = 7; setTimeout(() => { throw new Error('the end') }, 20); process.on('uncaughtException', () => process.exit(7));`,
      `run(${forever}); const { Worker } = require('node:worker_threads');
       new Worker(${JSON.stringify(`${prelude()} run(${forever}); require('node:worker_threads').parentPort.postMessage(0);`)}, { eval: true })
         .on('message', () => setTimeout(() => process.exit(7), 20));`,
    ]) {
      const { code, signal, out } = await child(script);
      expect({ code, signal, out }).toEqual({ code: 7, signal: null, out: '' });
    }
  });

  it('keeps the process while a run is open, and not afterwards', async () => {
    const { code, out } = await child(
      `run(200).promise.then(() => console.log('done'), (e) => console.log(e.message));`,
    );
    expect({ code, out }).toEqual({ code: 0, out: 'done\n' });
  });

  it('frees what is no longer reachable', async () => {
    const { code, out } = await child(
      `(async () => {
        for (let i = 0; i < 50; i++) n.createState(program, 1000, null);
        state = program = null;
        for (let i = 0; i < 50 && n.counters().states + n.counters().programs > 0; i++) {
          gc();
          await new Promise((r) => setImmediate(r));
        }
        console.log(JSON.stringify(n.counters()));
      })();`,
      ['--expose-gc'],
    );
    expect(code, out).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ states: 0, programs: 0, stateBytes: 0, programBytes: 0 });
  });
});
