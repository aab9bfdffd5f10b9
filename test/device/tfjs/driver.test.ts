import * as tf from '@tensorflow/tfjs';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DeviceDriver, RunProgress, RunRequest, ThetaInput } from '../../../src/device/driver.js';
import { openTfjsDevice } from '../../../src/device/tfjs/driver.js';
import { fillBernoulli, fillIntegers, fillNormal, fillUniform } from '../../../src/random/index.js';
import { adding, draws, recurrence } from './walks.js';

const NO_THETA: ThetaInput = { kind: 'shared', values: new Float32Array(0) };

function request(overrides: Partial<RunRequest> & Pick<RunRequest, 'state'>): RunRequest {
  return { steps: 1, theta: NO_THETA, seed: 0, firstStep: 0, antithetic: false, record: 'sum', ...overrides };
}

let driver: DeviceDriver;
beforeAll(async () => {
  driver = await openTfjsDevice({ tfjsBackend: 'cpu' });
});
afterAll(async () => {
  await driver.dispose();
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Makes every look at the clock find that `ms` have passed: each op then ends a stretch of work. */
function slowClock(ms: number): void {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => {
    now += ms;
    return now;
  });
}

/** The recurrence of one particle in float32, followed by hand. */
function followRecurrence(
  theta: readonly number[],
  start: number,
  horizon: number,
  steps: number,
): { losses: number[]; t: number; x: number[] } {
  const [rate, ...shift] = theta;
  let x = [...shift];
  let t = start;
  let fresh = true;
  const losses: number[] = [];
  for (let s = 0; s < steps; s++) {
    if (fresh) x = [...shift];
    fresh = false;
    x = x.map((v, i) => Math.fround(Math.fround(v * rate) + shift[i]));
    losses.push(Math.fround(x[0] + x[1]));
    t++;
    if (t === horizon) {
      t = 0;
      fresh = true;
    }
  }
  return { losses, t, x };
}

describe('a linear recurrence', () => {
  const horizon = 5;
  const particles = 6;
  const stagger = Int32Array.of(0, 1, 2, 3, 4, 0);
  const steps = 8;
  const thetas = Float32Array.from({ length: 3 * particles }, (_, i) => Math.fround(0.3 + 0.1 * (i % 7)));

  it('follows the hand-written loop for every particle: losses, sums split at the first reset, metrics, t', async () => {
    using program = driver.load(recurrence(horizon), []);
    using state = program.createState(particles, stagger);
    const result = await program.run(
      request({ state, steps, theta: { kind: 'perParticle', values: thetas }, record: 'perStep' }),
    );
    const snapshot = await state.export();
    for (let p = 0; p < particles; p++) {
      const wanted = followRecurrence([...thetas.slice(3 * p, 3 * p + 3)], stagger[p], horizon, steps);
      expect(wanted.losses.map((_, s) => result.losses?.[s * particles + p])).toEqual(wanted.losses);
      const first = horizon - stagger[p];
      expect(result.firstSteps[p]).toBe(first);
      const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
      expect(result.lossSums[p]).toBe(sum(wanted.losses.slice(0, first)));
      expect(result.lossSums[particles + p]).toBe(sum(wanted.losses.slice(first)));
      const ts = wanted.losses.map((_, s) => (stagger[p] + s) % horizon);
      expect(ts.map((_, s) => result.metrics.t.perStep?.[s * particles + p])).toEqual(ts);
      expect(result.metrics.t.sums[p]).toBe(sum(ts));
      expect(result.metrics.t.last[p]).toBe(ts[steps - 1]);
      expect([...snapshot.leaves[0].slice(2 * p, 2 * p + 2)]).toEqual(wanted.x);
      expect(snapshot.t[p]).toBe(wanted.t);
      expect(snapshot.fresh[p]).toBe(wanted.t === 0 ? 1 : 0);
    }
  });

  it('gives a theta that all share to all, and records nothing per step unless asked', async () => {
    using program = driver.load(recurrence(horizon), []);
    using state = program.createState(3);
    const theta = Float32Array.of(0.5, 1, 2);
    const result = await program.run(request({ state, steps: 4, theta: { kind: 'shared', values: theta } }));
    const { losses } = followRecurrence([...theta], 0, horizon, 4);
    const total = losses.reduce((a, b) => a + b, 0);
    expect([...result.lossSums]).toEqual([total, total, total, 0, 0, 0]);
    expect([...result.firstSteps]).toEqual([4, 4, 4]);
    expect(result.losses).toBeUndefined();
    expect(result.metrics.t.perStep).toBeUndefined();
  });

  it('perturbs theta by float32 steps, with opposite signs in a pair', async () => {
    using program = driver.load(recurrence(Number.POSITIVE_INFINITY), []);
    using state = program.createState(4);
    const mean = Float32Array.of(0.5, 1, 2);
    const sigma = Float32Array.of(0.1, 0.01, 3);
    const noiseStep = Uint32Array.of(7, 9);
    const theta: ThetaInput = { kind: 'perturbed', mean, sigma, seed: 11, noiseStep };
    const result = await program.run(request({ state, steps: 2, theta, antithetic: true }));
    for (let p = 0; p < 4; p++) {
      const pair = p % 2;
      const eps = new Float32Array(3);
      fillNormal(eps, { seed: 11, stream: 2, draw: 0, step: noiseStep[pair], subject: pair });
      const sign = p < 2 ? 1 : -1;
      const own = Array.from(eps, (e, j) =>
        Math.fround(mean[j] + Math.fround(Math.fround(sign * sigma[j]) * e)),
      );
      const { losses } = followRecurrence(own, 0, Number.POSITIVE_INFINITY, 2);
      expect(result.lossSums[p]).toBe(losses[0] + losses[1]);
    }
  });

  it('goes on from a snapshot, and from gathered particles, bit for bit', async () => {
    using program = driver.load(recurrence(horizon), []);
    using state = program.createState(particles, stagger);
    const theta: ThetaInput = { kind: 'shared', values: Float32Array.of(0.9, 0.1, -0.3) };
    await program.run(request({ state, steps: 4, theta }));
    using copy = await program.importState(await state.export());
    using picked = await state.gather(Int32Array.of(5, 5, 1));
    expect(picked.particles).toBe(3);
    expect(picked.bytes).toBe(3 * (8 + 4 + 1));
    const rest = { steps: 3, firstStep: 4, theta, record: 'perStep' as const };
    const one = await program.run(request({ state, ...rest }));
    const other = await program.run(request({ state: copy, ...rest }));
    expect(other).toEqual(one);
    const some = await program.run(request({ state: picked, ...rest }));
    for (const [i, from] of [5, 5, 1].entries()) {
      for (let s = 0; s < 3; s++) expect(some.losses?.[3 * s + i]).toBe(one.losses?.[particles * s + from]);
    }
  });
});

describe('random draws', () => {
  const size = 5;
  const particles = 4;
  const subjects = { all: [0, 0, 0, 0], pair: [0, 1, 0, 1], particle: [0, 1, 2, 3] };

  for (const share of ['all', 'pair', 'particle'] as const) {
    it(`shared by ${share}: the counters of the run's global step, in step and in init`, async () => {
      using program = driver.load(draws({ distribution: 'normal' }, share, size), []);
      using state = program.createState(particles);
      await program.run(request({ state, steps: 3, seed: 2 ** 40 + 5, firstStep: 100, antithetic: true }));
      const { leaves } = await state.export();
      subjects[share].forEach((subject, p) => {
        const wanted = new Float32Array(size);
        fillNormal(wanted, { seed: 2 ** 40 + 5, stream: 0, draw: 5, step: 102, subject });
        expect(leaves[0].slice(size * p, size * (p + 1))).toEqual(wanted);
        fillNormal(wanted, { seed: 2 ** 40 + 5, stream: 1, draw: 2, step: 100, subject });
        expect(leaves[1].slice(size * p, size * (p + 1))).toEqual(wanted);
      });
    });
  }

  it('pairs nobody without antithetic pairs', async () => {
    using program = driver.load(draws({ distribution: 'normal' }, 'pair', size), []);
    using state = program.createState(particles);
    await program.run(request({ state }));
    const { leaves } = await state.export();
    expect(new Set([0, 1, 2, 3].map((p) => leaves[0][size * p])).size).toBe(particles);
  });

  it('of every distribution', async () => {
    const draw = { seed: 3, stream: 0, draw: 5, step: 0, subject: 0 };
    const run = async (kind: Parameters<typeof draws>[0]) => {
      using program = driver.load(draws(kind, 'particle', size), []);
      using state = program.createState(2);
      await program.run(request({ state, seed: 3 }));
      return (await state.export()).leaves[0];
    };
    const floats = new Float32Array(2 * size);
    fillUniform(floats, draw, -1, 3, size);
    expect(await run({ distribution: 'uniform', low: -1, high: 3 })).toEqual(floats);
    const ints = new Int32Array(2 * size);
    fillIntegers(ints, draw, -4, 10, size);
    expect(Array.from(await run({ distribution: 'integers', low: -4, high: 10 }))).toEqual([...ints]);
    const bits = new Uint8Array(2 * size);
    fillBernoulli(bits, draw, 0.3, size);
    expect(Array.from(await run({ distribution: 'bernoulli', p: 0.3 }))).toEqual([...bits]);
  });
});

describe('large runs', () => {
  it('goes in chunks, with the same outcome for every particle', async () => {
    const n = 2048;
    using program = driver.load(adding(n), [Float32Array.from({ length: n }, (_, i) => i)]);
    expect(program.plan().lanes).toBe(64);
    using state = program.createState(200);
    const result = await program.run(request({ state, steps: 3, record: 'perStep' }));
    const { leaves } = await state.export();
    for (const p of [0, 63, 64, 199]) {
      expect([0, 1, 2].map((s) => result.losses?.[200 * s + p])).toEqual([1, 2, 3].map((s) => s * (n - 1)));
      expect(leaves[0][p * n + 7]).toBe(21);
    }
  });
});

describe('sharing the thread and the tfjs engine', () => {
  it('leaves no tensor behind, whether a run ends well or not', async () => {
    using program = driver.load(recurrence(5), []);
    const before = tf.memory();
    const theta: ThetaInput = { kind: 'shared', values: Float32Array.of(0.5, 1, 2) };
    for (let i = 0; i < 3; i++) {
      using state = program.createState(10);
      await program.run(request({ state, steps: 12, theta }));
      const abort = new AbortController();
      slowClock(10);
      const run = program.run(request({ state, steps: 10, theta, signal: abort.signal }));
      abort.abort();
      await expect(run).rejects.toMatchObject({ code: 'ERR_ABORTED' });
      vi.restoreAllMocks();
    }
    const after = tf.memory();
    expect(after.numTensors).toBe(before.numTensors);
    expect(after.numBytes).toBe(before.numBytes);
    expect(after.numDataBuffers).toBe(before.numDataBuffers);
  });

  it('frees everything when the caller throws in a progress report', async () => {
    using program = driver.load(adding(3), [Float32Array.of(1, 2, 3)]);
    using state = program.createState(2);
    const before = tf.memory().numTensors;
    slowClock(60);
    const onProgress = () => {
      throw new RangeError('from the caller');
    };
    await expect(program.run(request({ state, steps: 5, onProgress }))).rejects.toThrow('from the caller');
    expect(tf.memory().numTensors).toBe(before);
    await expect(program.run(request({ state }))).rejects.toThrow(/partly advanced/);
  });

  it('lets the event loop turn between ops when they take long, and the user have their backend meanwhile', async () => {
    const wasm = await openTfjsDevice({ tfjsBackend: 'wasm' });
    await tf.setBackend('cpu');
    using program = wasm.load(recurrence(5), []);
    using state = program.createState(4);
    slowClock(10);
    const seen: string[] = [];
    let running = true;
    const look = () => {
      seen.push(tf.getBackend());
      // A user's own work in between is not disturbed.
      expect(tf.tidy(() => tf.add(tf.scalar(1), tf.scalar(2)).dataSync()[0])).toBe(3);
      if (running) setImmediate(look);
    };
    setImmediate(look);
    const theta: ThetaInput = { kind: 'shared', values: Float32Array.of(0.5, 1, 2) };
    const result = await program.run(request({ state, steps: 3, theta }));
    running = false;
    expect(seen.length).toBeGreaterThan(10);
    expect(new Set(seen)).toEqual(new Set(['cpu']));
    expect(tf.getBackend()).toBe('cpu');
    const { losses } = followRecurrence([0.5, 1, 2], 0, 5, 3);
    expect(result.lossSums[0]).toBeCloseTo(
      losses.reduce((a, b) => a + b, 0),
      5,
    );
    await wasm.dispose();
  });

  it('runs two programs at once', async () => {
    slowClock(10);
    const runs = [1, 2].map(async (d) => {
      using program = driver.load(adding(2), [Float32Array.of(d, -d)]);
      using state = program.createState(3);
      await program.run(request({ state, steps: 20 }));
      return [...(await state.export()).leaves[0]];
    });
    const [one, two] = await Promise.all(runs);
    expect(one).toEqual([20, -20, 20, -20, 20, -20]);
    expect(two).toEqual([40, -40, 40, -40, 40, -40]);
  });

  it('reports progress at most ten times a second', async () => {
    using program = driver.load(adding(2), [Float32Array.of(1, 1)]);
    using state = program.createState(3);
    slowClock(30);
    const reports: RunProgress[] = [];
    const times: number[] = [];
    await program.run(
      request({
        state,
        steps: 10,
        onProgress: (report) => {
          reports.push(report);
          times.push(performance.now());
        },
      }),
    );
    expect(reports.length).toBeGreaterThan(3);
    for (const [i, { done, total, rate, etaSeconds }] of reports.entries()) {
      expect(total).toBe(30);
      expect(done).toBeLessThanOrEqual(30);
      expect(done).toBeGreaterThanOrEqual(reports[i - 1]?.done ?? 0);
      if (done > 0) expect(etaSeconds * rate).toBeCloseTo(total - done, 6);
      if (i > 0) expect(times[i] - times[i - 1]).toBeGreaterThanOrEqual(100);
    }
  });
});

describe('what a program and its states refuse', () => {
  it('keeps the data of a run that has begun when new data is set', async () => {
    const first = Float32Array.of(1, 2);
    using program = driver.load(adding(2), [first]);
    first.fill(100);
    using state = program.createState(2);
    const running = program.run(request({ state, steps: 10 }));
    program.setData([Float32Array.of(-1, -1)]);
    await running;
    expect([...(await state.export()).leaves[0]]).toEqual([10, 20, 10, 20]);
    await program.run(request({ state, steps: 1, firstStep: 10 }));
    expect([...(await state.export()).leaves[0]]).toEqual([9, 19, 9, 19]);
    expect(() => program.setData([new Float32Array(3)])).toThrow('data "d" must hold 2 elements');
  });

  it('one run at a time for a state; none after an abort; nothing after dispose', async () => {
    using program = driver.load(adding(2), [Float32Array.of(1, 1)]);
    using state = program.createState(2);
    const abort = new AbortController();
    slowClock(10);
    const running = program.run(request({ state, steps: 5, signal: abort.signal }));
    await expect(program.run(request({ state }))).rejects.toMatchObject({ code: 'ERR_BUSY' });
    await expect(state.export()).rejects.toMatchObject({ code: 'ERR_BUSY' });
    abort.abort(new Error('enough'));
    await expect(running).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: new Error('enough') });
    await expect(program.run(request({ state }))).rejects.toThrow(/partly advanced/);
    state.dispose();
    state.dispose();
    await expect(program.run(request({ state }))).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });

  it('a signal that fired before the run, which changes nothing', async () => {
    using program = driver.load(adding(2), [Float32Array.of(1, 1)]);
    using state = program.createState(2);
    const run = program.run(request({ state, signal: AbortSignal.abort() }));
    await expect(run).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    await program.run(request({ state }));
    expect([...(await state.export()).leaves[0]]).toEqual([1, 1, 1, 1]);
  });

  it('states of other programs, and everything once disposed', async () => {
    const program = driver.load(adding(2), [Float32Array.of(1, 1)]);
    using other = driver.load(adding(2), [Float32Array.of(1, 1)]);
    using state = other.createState(1);
    await expect(program.run(request({ state }))).rejects.toThrow('another program');
    await expect(other.run(request({ state, antithetic: true }))).rejects.toThrow('even number');
    program.dispose();
    program.dispose();
    expect(() => program.createState(1)).toThrow('this program was disposed');
    expect(() => program.setData([])).toThrow('this program was disposed');
    const short = await openTfjsDevice({ tfjsBackend: 'cpu' });
    await short.dispose();
    await short.dispose();
    expect(() => short.load(adding(2), [new Float32Array(2)])).toThrow('this device was disposed');
    await expect(short.noise.fill({ rows: 1, dim: 1, seed: 0, noiseStep: 0 })).rejects.toThrow('disposed');
  });

  it('waits for running work before it is gone', async () => {
    const short = await openTfjsDevice({ tfjsBackend: 'cpu' });
    const program = short.load(adding(2), [Float32Array.of(1, 1)]);
    const state = program.createState(2);
    slowClock(10);
    let ended = false;
    const running = program.run(request({ state, steps: 5 })).then(() => {
      ended = true;
    });
    await short.dispose();
    expect(ended).toBe(true);
    await running;
  });
});

describe('plan', () => {
  it('lists the blocks and counts the work', () => {
    using program = driver.load(recurrence(5), []);
    const plan = program.plan();
    expect(plan.device).toBe('tfjs');
    expect(plan.text).toContain('tfjs backend cpu');
    expect(plan.text).toMatch(/once a chunk:\n {2}%\d+ = input \{theta "rate"\}/);
    expect(plan.text).toMatch(/every step:\n(.*\n)* {2}%\d+ = mul/);
    expect(plan.stateBytesPerParticle).toBe(8);
    expect(plan.flopsPerStep).toBe(0);
    expect(plan.arenaBytes).toBeLessThanOrEqual(256 * 2 ** 20);
  });
});
