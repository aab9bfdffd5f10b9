import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCpuDevice } from '../../../src/device/cpu/driver.js';
import { loadNative } from '../../../src/device/cpu/native.js';
import type { DeviceDriver, UnrollSpec } from '../../../src/device/driver.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { evaluateGraph } from '../../../src/graph/evaluate.js';
import { sizeOf } from '../../../src/graph/graph.js';
import { initGraph, leaf, RANDOM_DATA, randomSpec } from './random-spec.js';

const native = loadNative();
if (!native.ok) console.warn(`the native device is not tested here: ${native.reason}`);
const suite = native.ok ? describe : describe.skip;

suite('the cpu device', () => {
  let driver: DeviceDriver;
  beforeAll(() => {
    const opened = openCpuDevice({ threads: 2 });
    if ('reason' in opened) throw new Error(opened.reason);
    driver = opened.driver;
  });
  afterAll(async () => {
    await driver.dispose();
  });

  it('runs random unrolls as the reference evaluator does, whatever the number of particles', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(2 ** 31 - 1), { minLength: 40, maxLength: 160 }),
        fc.constantFrom(1, 15, 16, 17, 130),
        async (choices, particles) => {
          const spec = randomSpec(choices);
          using program = driver.load(spec, [RANDOM_DATA.x, RANDOM_DATA.ids]);
          const steps = 3;
          const theta = Float32Array.from({ length: 4 * particles }, (_, i) =>
            Math.sin(1.7 * i + choices.length),
          );
          using state = program.createState(particles);
          const result = await program.run({
            state,
            steps,
            theta: { kind: 'perParticle', values: theta },
            seed: 3,
            firstStep: 0,
            antithetic: false,
            record: 'perStep',
          });
          const snapshot = await state.export();
          for (const i of new Set([0, particles >> 1, particles - 1])) {
            const inputs = {
              ...RANDOM_DATA,
              u: theta.slice(4 * i, 4 * i + 3),
              v: theta.slice(4 * i + 3, 4 * i + 4),
            };
            let values = evaluateGraph(spec.init, inputs);
            for (let k = 0; k < steps; k++) {
              const p = values['state.p'].values;
              const q = values['state.q'].values;
              values = evaluateGraph(spec.step, { ...inputs, p, q, t: Int32Array.of(k) });
              const at = k * particles + i;
              close(result.losses?.[at], values.loss.values[0], program.plan().text);
              close(result.metrics.m.perStep?.[at], values['metrics.m'].values[0], program.plan().text);
            }
            spec.state.forEach((s, l) => {
              const n = sizeOf(s.shape);
              const wanted = values[`state.${s.path}`].values;
              for (let j = 0; j < n; j++)
                close(snapshot.leaves[l][i * n + j], wanted[j], program.plan().text);
            });
          }
        },
      ),
      { numRuns: 250, seed: 21 },
    );
  });

  it('gives the same bits with one and two threads, and for every width of tile', async () => {
    const opened = openCpuDevice({ threads: 1 });
    if ('reason' in opened) throw new Error(opened.reason);
    const runs = await Promise.all(
      [
        { on: driver, particles: 1000 },
        { on: opened.driver, particles: 1000 },
        { on: driver, particles: 9000 },
      ].map(async ({ on, particles }) => {
        using program = on.load(noisyWalk(7), []);
        using state = program.createState(particles);
        const result = await program.run({
          state,
          steps: 20,
          theta: {
            kind: 'perturbed',
            mean: Float32Array.of(0.5),
            sigma: Float32Array.of(0.2),
            seed: 4,
            noiseStep: 9,
          },
          seed: 8,
          firstStep: 5,
          antithetic: false,
          record: 'sum',
        });
        return { losses: result.lossSums, x: (await state.export()).leaves[0] };
      }),
    );
    await opened.driver.dispose();
    expect(runs[1]).toEqual(runs[0]);
    // Fewer particles take narrower tiles.
    expect(runs[2].x.slice(0, 7000)).toEqual(runs[0].x);
    expect(runs[2].losses.slice(0, 1000)).toEqual(runs[0].losses.slice(0, 1000));
  });

  it('resets at the horizon, counts t, and splits the losses at the first end of an episode', async () => {
    const horizon = 4;
    using program = driver.load(counter(horizon), []);
    const start = Int32Array.of(0, 1, 3);
    using state = program.createState(3, start);
    const request = {
      state,
      theta: { kind: 'shared', values: new Float32Array(0) },
      seed: 0,
      antithetic: false,
      record: 'perStep',
    } as const;
    const first = await program.run({ ...request, steps: 3, firstStep: 0 });
    // Loss is 10 c + t, where c counts the steps since init.
    const expected = (i: number, steps: number) => {
      let t = start[i];
      let c = 0;
      return Array.from({ length: steps }, () => {
        const loss = 10 * ++c + t;
        if (++t === horizon) {
          t = 0;
          c = 0;
        }
        return loss;
      });
    };
    for (let i = 0; i < 3; i++) {
      const losses = expected(i, 3);
      expect(Array.from({ length: 3 }, (_, k) => first.losses?.[k * 3 + i])).toEqual(losses);
      const before = Math.min(3, horizon - start[i]);
      expect(first.firstSteps[i]).toBe(before);
      expect(first.lossSums[i]).toBe(losses.slice(0, before).reduce((a, b) => a + b, 0));
      expect(first.lossSums[3 + i]).toBe(losses.slice(before).reduce((a, b) => a + b, 0));
    }
    const snapshot = await state.export();
    expect([...snapshot.t]).toEqual([3, 0, 2]);
    expect([...snapshot.fresh]).toEqual([0, 1, 0]);
    using copy = await program.importState(snapshot);
    using twin = await state.gather(Int32Array.of(2, 2, 0, 1));
    const second = await program.run({ ...request, steps: 5, firstStep: 3 });
    const resumed = await program.run({ ...request, state: copy, steps: 5, firstStep: 3 });
    expect(resumed).toEqual(second);
    const gathered = await program.run({ ...request, state: twin, steps: 5, firstStep: 3 });
    for (const [i, from] of [2, 2, 0, 1].entries()) {
      for (let k = 0; k < 5; k++) expect(gathered.losses?.[4 * k + i]).toBe(second.losses?.[3 * k + from]);
    }
  });

  it('keeps the data of a run that has begun when new data is set', async () => {
    const b = new GraphBuilder();
    const x = b.input('state', 'x', [], 'float32');
    const d = b.input('data', 'd', [], 'float32');
    const next = b.add({ name: 'add' }, [x, d]);
    const step = b.build([
      { path: 'state.x', node: next },
      { path: 'loss', node: next },
    ]);
    const state = [leaf('x', [])];
    const spec: UnrollSpec = {
      init: initGraph(state, () => 0),
      step,
      theta: [],
      state,
      data: [leaf('d', [])],
      metrics: [],
      horizon: Number.POSITIVE_INFINITY,
    };
    using program = driver.load(spec, [Float32Array.of(1)]);
    using s = program.createState(1000);
    const run = (steps: number) =>
      program.run({
        state: s,
        steps,
        theta: { kind: 'shared', values: new Float32Array(0) },
        seed: 0,
        firstStep: 0,
        antithetic: false,
        record: 'sum',
      });
    const pending = run(50_000);
    program.setData([Float32Array.of(-1)]);
    await pending;
    expect((await s.export()).leaves[0][999]).toBe(50_000);
    await run(10);
    expect((await s.export()).leaves[0][0]).toBe(49_990);
  });

  it('aborts between steps, leaves a state that says why it refuses, and reports progress', async () => {
    using program = driver.load(noisyWalk(16), []);
    using state = program.createState(4096);
    const abort = new AbortController();
    let reports = 0;
    const request = {
      state,
      steps: 2_000_000,
      theta: { kind: 'shared', values: Float32Array.of(0.5) },
      seed: 1,
      firstStep: 0,
      antithetic: false,
      record: 'sum',
    } as const;
    const running = program.run({
      ...request,
      signal: abort.signal,
      onProgress: (p) => {
        expect(p.total).toBe(4096 * 2_000_000);
        expect(p.done).toBeLessThan(p.total);
        if (++reports === 2) abort.abort(new Error('enough'));
      },
    });
    await expect(program.run({ ...request, steps: 1 })).rejects.toMatchObject({ code: 'ERR_BUSY' });
    await expect(running).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: new Error('enough') });
    await expect(program.run({ ...request, steps: 1 })).rejects.toThrow(/partly advanced/);
    state.dispose();
    state.dispose();
    await expect(program.run({ ...request, steps: 1 })).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });

  it('refuses malformed requests in words', async () => {
    using program = driver.load(counter(4), []);
    using other = driver.load(counter(4), []);
    using state = program.createState(3);
    const request = {
      state,
      steps: 1,
      theta: { kind: 'shared', values: new Float32Array(0) },
      seed: 0,
      firstStep: 0,
      antithetic: false,
      record: 'sum',
    } as const;
    expect(() => program.createState(0)).toThrow('particles must be an integer of at least 1, got 0');
    expect(() => program.createState(2, Int32Array.of(0, 4))).toThrow('t[1] must be in 0 .. horizon - 1');
    await expect(other.run(request)).rejects.toThrow('another program');
    await expect(program.run({ ...request, steps: 1.5 })).rejects.toThrow('steps must be an integer');
    await expect(program.run({ ...request, antithetic: true })).rejects.toThrow(
      'even number of particles, got 3',
    );
    await expect(program.run({ ...request, seed: -1 })).rejects.toThrow('seed must be');
    await expect(
      program.run({ ...request, theta: { kind: 'shared', values: new Float32Array(2) } }),
    ).rejects.toThrow('theta values must be a Float32Array of 0 elements, got 2');
    await expect(state.gather(Int32Array.of(3))).rejects.toThrow('ancestors[0] must be in 0 .. 2, got 3');
    expect(() => driver.load(counter(4), [new Float32Array(1)])).toThrow('data has 0 leaves, got 1');
  });
});

function close(got: number | undefined, wanted: number, text: string) {
  const ok = Object.is(got, wanted) || Math.abs((got as number) - wanted) <= 1e-4 * (1 + Math.abs(wanted));
  if (!ok) expect.fail(`got ${got}, wanted ${wanted}\n${text}`);
}

/** x' = theta x + noise, over n elements, with draws of every sharing. */
function noisyWalk(n: number): UnrollSpec {
  const b = new GraphBuilder();
  const x = b.input('state', 'x', [n], 'float32');
  const decay = b.input('theta', 'decay', [], 'float32');
  const draw = (share: 'all' | 'particle', k: number) =>
    b.add({ name: 'random', kind: { distribution: 'normal' }, share, draw: k }, [], {
      shape: [n],
      dtype: 'float32',
    });
  const noise = b.add({ name: 'add' }, [draw('all', 0), draw('particle', 1)]);
  const next = b.add({ name: 'add' }, [b.add({ name: 'mul' }, [x, decay]), noise]);
  const loss = b.add({ name: 'sum', axes: [0], keepDims: false }, [b.add({ name: 'square' }, [next])]);
  const state = [leaf('x', [n])];
  return {
    init: initGraph(state, (i) => i),
    step: b.build([
      { path: 'state.x', node: next },
      { path: 'loss', node: loss },
    ]),
    theta: [leaf('decay', [])],
    state,
    data: [],
    metrics: [],
    horizon: Number.POSITIVE_INFINITY,
  };
}

/** Counts the steps since init; loss = 10 count + t. */
function counter(horizon: number): UnrollSpec {
  const b = new GraphBuilder();
  const c = b.input('state', 'c', [], 'int32');
  const t = b.input('t', 't', [], 'int32');
  const next = b.add({ name: 'add' }, [c, b.constant([1], [], 'int32')]);
  const loss = b.add({ name: 'add' }, [b.add({ name: 'mul' }, [next, b.constant([10], [], 'int32')]), t]);
  const i = new GraphBuilder();
  return {
    init: i.build([{ path: 'state.c', node: i.constant([0], [], 'int32') }]),
    step: b.build([
      { path: 'state.c', node: next },
      { path: 'loss', node: b.add({ name: 'cast' }, [loss], { dtype: 'float32' }) },
    ]),
    theta: [],
    state: [leaf('c', [], 'int32')],
    data: [],
    metrics: [],
    horizon,
  };
}
