import { spawn } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { type FunctionHandle, loadNative, type NativeAddon } from '../../../src/device/cpu/native.js';
import { FUNCTION_MAGIC, Opcode, Space } from '../../../src/device/cpu/words.js';
import { fillUniform } from '../../../src/random/distributions.js';

const loaded = loadNative();

type Place = readonly [space: number, offset: number];
const X: Place = [Space.external, 0];
const Y: Place = [Space.external + 1, 0];
const OUT: Place = [Space.external + 2, 0];
const ADD = 60;
const MUL = 62;

const instruction = (opcode: number, payload: readonly number[]) => [opcode, payload.length + 2, ...payload];
const shifted = ([space, offset]: Place, by: number): Place => [space, offset + by];

/** out[i] = micro(a[i], b[i]); `strideB` 0: b is one word. */
function vectorOp(micro: number, n: number, a: Place, b: Place, out: Place, strideB = 1): number[] {
  const operands = [2, ...a, 1, ...b, strideB, 1, 2, ...out, 1];
  return instruction(Opcode.elementwise, [0, 1, n, ...operands, 3, 1, micro, 2, 0, 1, 0, 0, 0]);
}

interface RawFunction {
  readonly wordsU?: number;
  readonly inputs: number;
  readonly kiloFlops?: number;
  /** [words, written] */
  readonly externals: readonly (readonly [number, 0 | 1])[];
  /** instructions of each task of each stage */
  readonly stages: readonly (readonly (readonly number[])[])[];
}

function functionWords({ wordsU = 0, inputs, kiloFlops = 0, externals, stages }: RawFunction): Int32Array {
  const tasks = stages.flat();
  const words = [
    FUNCTION_MAGIC,
    1,
    wordsU,
    0,
    externals.length,
    inputs,
    stages.length,
    tasks.length,
    kiloFlops,
  ];
  words.push(...externals.flat());
  let first = 0;
  for (const stage of stages) {
    words.push(first, stage.length);
    first += stage.length;
  }
  let at = words.length + 2 * tasks.length;
  for (const task of tasks) {
    words.push(at, task.length);
    at += task.length;
  }
  return Int32Array.from([...words, ...tasks.flat()]);
}

/** out = (x + y) * sum(x * y): stages of `parts`, 1 and `parts` tasks. `donated`: out is x. */
function mixed(n: number, parts: number, donated = false): RawFunction {
  const out = donated ? X : OUT;
  const cuts = Array.from({ length: parts }, (_, i) => {
    const from = Math.floor((n * i) / parts);
    return { from, size: Math.floor((n * (i + 1)) / parts) - from };
  });
  const product: Place = [Space.uniform, 0];
  const sum: Place = [Space.uniform, n];
  return {
    wordsU: n + 1,
    inputs: 2,
    kiloFlops: 10_000,
    externals: [
      [n, donated ? 1 : 0],
      [n, 0],
      [n, 1],
    ],
    stages: [
      cuts.map(({ from, size }) =>
        vectorOp(MUL, size, shifted(X, from), shifted(Y, from), shifted(product, from)),
      ),
      [instruction(Opcode.reduce, [0, 0, 0, 1, n, ...product, 1, ...sum])],
      cuts.map(({ from, size }) => [
        ...vectorOp(ADD, size, shifted(X, from), shifted(Y, from), shifted(out, from)),
        ...vectorOp(MUL, size, shifted(out, from), sum, shifted(out, from), 0),
      ]),
    ],
  };
}

/** Small integers, so that every float32 result is exact. */
const values = (n: number, salt: number) =>
  Float32Array.from({ length: n }, (_, i) => ((i * 7 + salt) % 5) - 2);

function expectedMixed(x: Float32Array, y: Float32Array): Float32Array {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return x.map((value, i) => (value + y[i]) * sum);
}

/** A long chain of products of [n, n] matrices: seconds of work. */
function longFunction(n = 256, stages = 3000): RawFunction {
  const product = (a: Place, b: Place, out: Place) =>
    instruction(Opcode.matmul, [0, 0, n, n, n, ...a, n, 1, ...b, n, 1, ...out, n, 1]);
  return {
    inputs: 1,
    kiloFlops: 2 ** 31 - 1,
    externals: [
      [n * n, 0],
      [n * n, 1],
    ],
    stages: Array.from({ length: stages }, () => [product(X, X, Y)]),
  };
}

const absent = loaded.ok ? '' : ` (not run: ${loaded.reason})`;

describe.runIf(loaded.ok)(`functions of the addon${absent}`, () => {
  const native = (loaded as { native: NativeAddon }).native;
  const path = loaded.path;
  const none = new Int32Array(0);

  function load(
    raw: RawFunction,
    options: { level?: string; threads?: number; bools?: readonly number[] } = {},
  ): FunctionHandle {
    const engine = native.openEngine({ level: options.level ?? null, threads: options.threads ?? 2 });
    const bools = Uint8Array.from(options.bools ?? raw.externals.map(() => 0));
    const fn = native.loadFunction(engine, functionWords(raw), none, bools);
    native.dispose(engine);
    return fn;
  }

  function errorOf(call: () => unknown): { code: string; message: string } {
    try {
      call();
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
      return error as { code: string; message: string };
    }
    throw new Error('nothing was thrown');
  }
  const wrong = (value: unknown) => value as never;

  it('computes what its words say, on every level and number of threads, called either way', async () => {
    for (const level of native.info().levels.filter((l) => l.supported)) {
      for (const threads of [1, 2, 3]) {
        for (const n of [1, 7, 4000]) {
          const fn = load(mixed(n, 5), { level: level.name, threads });
          const [x, y] = [values(n, 0), values(n, 3)];
          const out = new Float32Array(n);
          native.callFunction(fn, [x, y, out], 0, 0, 0);
          expect(out).toEqual(expectedMixed(x, y));
          const later = new Float32Array(n);
          const { promise } = native.callFunctionAsync(fn, [x, y, later], 0, 0, 0);
          expect(await promise).toBeUndefined();
          expect(later).toEqual(out);
          native.dispose(fn);
        }
      }
    }
  });

  it('gives the same bits whatever the threads', () => {
    const n = 30_011;
    const x = Float32Array.from({ length: n }, (_, i) => Math.sin(i));
    const y = Float32Array.from({ length: n }, (_, i) => Math.cos(3 * i));
    const results = [1, 2, 4].map((threads) => {
      const fn = load(mixed(n, 9), { threads });
      const out = new Float32Array(n);
      for (let round = 0; round < 20; round++) native.callFunction(fn, [x, y, out], 0, 0, 0);
      native.dispose(fn);
      return out;
    });
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it('uses arrays in place at any offset, also in shared memory', () => {
    const n = 501;
    const fn = load(mixed(n, 3));
    const shared = new Float32Array(new SharedArrayBuffer(4 * (n + 9)));
    const x = shared.subarray(3, n + 3);
    x.set(values(n, 1));
    const y = new Float32Array(n + 1).subarray(1);
    y.set(values(n, 2));
    const memory = new Float32Array(n + 5).fill(-9);
    native.callFunction(fn, [x, y, memory.subarray(1, n + 1)], 0, 0, 0);
    expect(memory.subarray(1, n + 1)).toEqual(expectedMixed(x.slice(), y.slice()));
    expect([memory[0], ...memory.subarray(n + 1)]).toEqual([-9, -9, -9, -9, -9]);
    native.dispose(fn);
  });

  it('takes int32 and bool arrays, and gives bools back as 0 and 1', async () => {
    // out = !x & y, then z = x + n as int32
    const n = 6;
    const not = instruction(Opcode.elementwise, [
      ...[0, 1, n, 2, ...X, 1, ...Y, 1, 1, 3, ...OUT, 1],
      ...[4, 2, 46, 2, 0, 0, 0, 0, 0, 112, 3, 2, 1, 0, 0, 0],
    ]);
    const add = vectorOp(80, n, [Space.external + 3, 0], X, [Space.external + 3, 0]);
    const raw: RawFunction = {
      inputs: 2,
      externals: [
        [n, 0],
        [n, 0],
        [n, 1],
        [n, 1],
      ],
      stages: [[not, add]],
    };
    const fn = load(raw, { bools: [1, 1, 1, 0] });
    const x = Uint8Array.of(0, 1, 255, 0, 2, 0);
    const y = Uint8Array.of(1, 1, 1, 0, 0, 7);
    for (const asynchronous of [false, true]) {
      const out = new Uint8Array(n).fill(9);
      const counts = Int32Array.of(1, 2, 3, 4, 5, 2 ** 31 - 1);
      if (asynchronous) await native.callFunctionAsync(fn, [x, y, out, counts], 0, 0, 0).promise;
      else native.callFunction(fn, [x, y, out, counts], 0, 0, 0);
      expect(Array.from(out)).toEqual([1, 0, 0, 0, 0, 1]);
      expect(Array.from(counts)).toEqual([1, 3, 4, 4, 6, 2 ** 31 - 1]);
    }
    native.dispose(fn);
  });

  it('draws from the key and step of the call', () => {
    const n = 9;
    const draw = instruction(Opcode.random, [0, 1, 0, 0, 5, n, 0, 0x3f800000, Space.external, 0]);
    const fn = load({ inputs: 0, externals: [[n, 1]], stages: [[draw]] });
    const out = new Float32Array(n);
    native.callFunction(fn, [out], 7, 0, 12);
    const expected = new Float32Array(n);
    fillUniform(expected, { seed: 7, stream: 0, draw: 5, step: 12, subject: 0 });
    expect(out).toEqual(expected);
    native.dispose(fn);
  });

  it('lets one array be an output and an input that is given up, and refuses any other overlap', () => {
    const n = 64;
    const plain = load(mixed(n, 2));
    const giving = load(mixed(n, 2, true));
    const [x, y] = [values(n, 0), values(n, 2)];
    const expected = expectedMixed(x, y);
    native.callFunction(giving, [x, y, x], 0, 0, 0);
    expect(x).toEqual(expected);
    const memory = new Float32Array(4 * n);
    const at = (offset: number) => memory.subarray(offset, offset + n);
    for (const [fn, a, b, c] of [
      [plain, 0, 2 * n, 0],
      [plain, 0, 2 * n, 2 * n],
      [plain, 0, 2 * n, 1],
      [plain, n, 2 * n, 1],
      [giving, 0, 0, 0],
      [giving, 0, 0, 2 * n],
      [giving, 0, 2 * n, 3],
      [giving, 0, 2 * n, 2 * n],
    ] as const) {
      const error = errorOf(() => native.callFunction(fn, [at(a), at(b), at(c)], 0, 0, 0));
      expect(error.code).toBe('ERR_OPTION');
      expect(error.message).toMatch(/externals\[\d\] and externals\[\d\] overlap/);
    }
    native.callFunction(plain, [at(0), at(0), at(n)], 0, 0, 0);
    native.dispose(plain);
    native.dispose(giving);
  });

  it('refuses malformed arguments with a code, called either way', () => {
    const fn = load(mixed(8, 2));
    const engine = native.openEngine({ threads: 1 });
    const f = (n = 8) => new Float32Array(n);
    const detached = f();
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    // Fetching the second element takes the memory of the first away.
    const trap: unknown[] = [f(), undefined, f()];
    Object.defineProperty(trap, 1, {
      get() {
        const first = trap[0] as Float32Array;
        if (first.length > 0) structuredClone(first.buffer, { transfer: [first.buffer as ArrayBuffer] });
        return f();
      },
    });
    const throwing = [f(), f(), f()];
    Object.defineProperty(throwing, 2, {
      get() {
        throw new TypeError('of the getter');
      },
    });
    for (const call of [native.callFunction, native.callFunctionAsync]) {
      for (const externals of [
        undefined,
        null,
        {},
        f(),
        [],
        [f(), f()],
        [f(), f(), f(), f()],
        [f(), f(7), f()],
        [f(), f(), f(9)],
        [f(), f(), new Uint8Array(8)],
        [f(), f(), new Float64Array(8)],
        [f(), f(), new Uint8ClampedArray(8)],
        [f(), f(), new Int16Array(8)],
        [f(), f(), new DataView(new ArrayBuffer(32))],
        [f(), f(), [1, 2, 3, 4, 5, 6, 7, 8]],
        [f(), detached, f()],
        new Array(3),
        trap,
      ]) {
        expect(errorOf(() => call(fn, wrong(externals), 0, 0, 0)).code).toBe('ERR_OPTION');
      }
      expect(() => call(fn, throwing, 0, 0, 0)).toThrow('of the getter');
      for (const key of [-1, 0.5, 2 ** 32, '1', undefined, Number.NaN]) {
        expect(errorOf(() => call(fn, [f(), f(), f()], wrong(key), 0, 0)).code).toBe('ERR_OPTION');
        expect(errorOf(() => call(fn, [f(), f(), f()], 0, wrong(key), 0)).code).toBe('ERR_OPTION');
        expect(errorOf(() => call(fn, [f(), f(), f()], 0, 0, wrong(key))).code).toBe('ERR_OPTION');
      }
      for (const handle of [undefined, {}, 3, engine]) {
        expect(errorOf(() => call(wrong(handle), [f(), f(), f()], 0, 0, 0)).code).toBe('ERR_OPTION');
      }
    }
    const words = functionWords(mixed(8, 2));
    const bools = new Uint8Array(3);
    for (const [w, c, b] of [
      [words.slice(0, 8), none, bools],
      [words.slice(0, -1), none, bools],
      [words.map((word, i) => (i === 0 ? 1 : word)), none, bools],
      [words, new Int32Array(1), bools],
      [words, none, new Uint8Array(2)],
      [words, none, wrong([0, 0, 0])],
      [wrong(Array.from(words)), none, bools],
      [words, wrong(new Float64Array(0)), bools],
    ] as const) {
      expect(errorOf(() => native.loadFunction(engine, w, c, b)).code).toBe('ERR_OPTION');
    }
    expect(errorOf(() => native.loadFunction(wrong(fn), words, none, bools)).code).toBe('ERR_OPTION');
    native.dispose(fn);
    native.dispose(fn);
    expect(errorOf(() => native.callFunction(fn, [f(), f(), f()], 0, 0, 0)).code).toBe('ERR_DISPOSED');
    expect(errorOf(() => native.callFunctionAsync(fn, [f(), f(), f()], 0, 0, 0)).code).toBe('ERR_DISPOSED');
    native.dispose(engine);
  });

  it('ends a cancelled call with ERR_ABORTED between two tasks', async () => {
    for (const threads of [1, 2]) {
      const raw = longFunction();
      const fn = load(raw, { threads });
      const x = new Float32Array(raw.externals[0][0]);
      const call = native.callFunctionAsync(fn, [x, x.slice()], 0, 0, 0);
      await new Promise((resolve) => setTimeout(resolve, 20));
      native.cancel(call.handle);
      await expect(call.promise).rejects.toMatchObject({ code: 'ERR_ABORTED' });
      native.cancel(call.handle);
      expect(native.progress(call.handle)).toBe(0);
      native.dispose(fn);
    }
  });

  it('runs many calls at once, each with its own memory', async () => {
    const n = 3000;
    const fn = load(mixed(n, 4));
    const cases = Array.from({ length: 12 }, (_, i) => ({ x: values(n, i), y: values(n, 2 * i + 1) }));
    const calls = cases.map(({ x, y }) => {
      const out = new Float32Array(n);
      const externals = [x, y, out];
      const { promise } = native.callFunctionAsync(fn, externals, 0, 0, 0);
      externals.length = 0;
      return promise.then(() => out);
    });
    const direct = new Float32Array(n);
    native.callFunction(fn, [cases[3].x, cases[3].y, direct], 0, 0, 0);
    const outs = await Promise.all(calls);
    for (const [i, { x, y }] of cases.entries()) expect(outs[i]).toEqual(expectedMixed(x, y));
    expect(direct).toEqual(outs[3]);
    native.dispose(fn);
  });

  it('frees everything when disposed, also in the middle of a call', async () => {
    const before = native.counters();
    const n = 5000;
    const fn = load(mixed(n, 4));
    expect(native.counters().functions).toBe(before.functions + 1);
    const out = new Float32Array(n);
    const [x, y] = [values(n, 1), values(n, 2)];
    const { promise } = native.callFunctionAsync(fn, [x, y, out], 0, 0, 0);
    expect(native.counters().arenaBytes).toBeGreaterThan(before.arenaBytes + 4 * n);
    native.dispose(fn);
    await promise;
    expect(out).toEqual(expectedMixed(x, y));
    expect(native.counters()).toEqual(before);
  });

  it('keeps its counters over ten thousand calls', async () => {
    const n = 700;
    const fn = load(mixed(n, 4));
    const [x, y] = [values(n, 1), values(n, 2)];
    const out = new Float32Array(n);
    native.callFunction(fn, [x, y, out], 0, 0, 0);
    await native.callFunctionAsync(fn, [x, y, out], 0, 0, 0).promise;
    const before = native.counters();
    for (let i = 0; i < 10_000; i++) native.callFunction(fn, [x, y, out], 0, 0, i);
    for (let i = 0; i < 200; i++) await native.callFunctionAsync(fn, [x, y, out], 0, 0, i).promise;
    expect(native.counters()).toEqual(before);
    expect(out).toEqual(expectedMixed(x, y));
    native.dispose(fn);
  });

  /** What a child process or worker needs: `n`, `load(words, externals)`, `call(fn, externals)`. */
  const prelude = `
    const n = require(${JSON.stringify(path)});
    const engine = n.openEngine({ threads: 2 });
    const load = (words, externals) => n.loadFunction(engine, Int32Array.from(words), new Int32Array(0), new Uint8Array(externals));
    const mixed = load([${functionWords(mixed(300, 4))}], 3);
    const long = load([${functionWords(longFunction(512, 200))}], 2);
    const big = new Float32Array(512 * 512);
    const forever = () => n.callFunctionAsync(long, [big, big.slice()], 0, 0, 0);
  `;

  function child(script: string, flags: readonly string[] = []) {
    return new Promise<{ code: number | null; signal: string | null; out: string }>((resolve, reject) => {
      const process_ = spawn(process.execPath, [...flags, '-e', prelude + script], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let out = '';
      for (const stream of [process_.stdout, process_.stderr]) {
        stream.on('data', (chunk) => {
          out += chunk;
        });
      }
      process_.on('error', reject);
      process_.on('close', (code, signal) => resolve({ code, signal, out }));
    });
  }

  it('runs in two worker threads at once, with the same results as here', async () => {
    const [x, y] = [values(300, 1), values(300, 2)];
    const script = `${prelude}
      const { parentPort } = require('node:worker_threads');
      const x = Float32Array.of(${x}), y = Float32Array.of(${y});
      (async () => {
        for (let round = 0; round < 200; round++) {
          const out = new Float32Array(300);
          if (round % 2) n.callFunction(mixed, [x, y, out], 0, 0, 0);
          else await n.callFunctionAsync(mixed, [x, y, out], 0, 0, 0).promise;
          parentPort.postMessage(out);
        }
      })();`;
    const before = native.counters();
    const results = await Promise.all(
      [0, 1].map(
        () =>
          new Promise<Float32Array[]>((resolve, reject) => {
            const worker = new Worker(script, { eval: true });
            const outs: Float32Array[] = [];
            worker.on('message', (message) => outs.push(message));
            worker.on('error', reject);
            worker.on('exit', () => resolve(outs));
          }),
      ),
    );
    const expected = expectedMixed(x, y);
    for (const outs of results) {
      expect(outs.length).toBe(200);
      for (const out of outs) expect(out).toEqual(expected);
    }
    expect(native.counters()).toEqual(before);
  });

  it('survives worker.terminate() and process.exit() in the middle of calls', async () => {
    const inWorker = `${prelude} for (let i = 0; i < 3; i++) forever(); require('node:worker_threads').parentPort.postMessage(0);`;
    const ended = await child(`
      const { Worker } = require('node:worker_threads');
      (async () => {
        for (let i = 0; i < 3; i++) {
          const worker = new Worker(${JSON.stringify(inWorker)}, { eval: true });
          await new Promise((r) => worker.once('message', r));
          await new Promise((r) => setTimeout(r, 10 * i));
          await worker.terminate();
        }
        for (const handle of [mixed, long, engine]) n.dispose(handle);
        console.log(JSON.stringify(n.counters()));
      })();`);
    expect({ code: ended.code, signal: ended.signal }, ended.out).toEqual({ code: 0, signal: null });
    expect(JSON.parse(ended.out)).toMatchObject({
      functions: 0,
      engines: 0,
      jobs: 0,
      threads: 0,
      arenaBytes: 0,
    });
    for (const script of [
      'forever(); process.exit(7);',
      'forever(); setTimeout(() => process.exit(7), 20);',
    ]) {
      expect(await child(script)).toEqual({ code: 7, signal: null, out: '' });
    }
  });

  it('frees what is no longer reachable', async () => {
    const { code, out } = await child(
      `(async () => {
        n.dispose(mixed);
        n.dispose(long);
        for (let i = 0; i < 50; i++) load([${functionWords(mixed(300, 4))}], 3);
        for (let i = 0; i < 50 && n.counters().functions > 0; i++) {
          gc();
          await new Promise((r) => setImmediate(r));
        }
        console.log(JSON.stringify(n.counters()));
      })();`,
      ['--expose-gc'],
    );
    expect(code, out).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ functions: 0, programBytes: 0, arenaBytes: 0 });
  });
});
