import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AbortedError,
  type Device,
  DisposedError,
  defineUnroll,
  OptionError,
  openDevice,
  perturbed,
  ShapeError,
  shape,
} from '../../src/index.js';
import { DEVICES, NATIVE } from '../support/devices.js';

/** x' = x + a + t; counts its own steps; loss = sum of x. */
const counting = defineUnroll({
  horizon: 4,
  theta: { a: shape(), start: shape(2) },
  init: ({ theta }) => ({ x: theta.start, n: tf.scalar(0, 'int32'), odd: tf.scalar(false, 'bool') }),
  step: ({ theta, state, t, particle }) => {
    const x = state.x.add(theta.a).add(t.toFloat());
    const n = state.n.add(tf.scalar(1, 'int32'));
    return {
      state: { x, n, odd: tf.logicalNot(state.odd) },
      loss: tf.sum(x),
      metrics: { first: tf.slice(x, [0], [1]).reshape([]), who: particle.toFloat() },
    };
  },
});

/** Draws that differ in who shares them. */
const drawing = defineUnroll({
  horizon: 3,
  theta: { a: shape() },
  init: ({ rng }) => ({ start: rng.normal([]), all: tf.scalar(0), pair: tf.scalar(0), own: tf.scalar(0) }),
  step: ({ state, rng, theta }) => ({
    state: {
      start: state.start,
      all: rng.normal([]),
      pair: rng.uniform([], 0, 1, { share: 'pair' }),
      own: rng.normal([], { share: 'particle' }),
    },
    loss: theta.a,
  }),
});

describe.each(DEVICES)('a program on $name', ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device.dispose());

  it('runs steps, starts afresh at the horizon, and carries on from run to run', async () => {
    using program = device.compile(counting);
    using state = program.createState(3);
    const theta = { a: [1, 2, 3], start: [10, 20] };
    const expected = (a: number, steps: number) => {
      let x = [0, 0];
      const losses: number[] = [];
      for (let s = 0; s < steps; s++) {
        if (s % 4 === 0) x = [10, 20];
        x = x.map((value) => value + a + (s % 4));
        losses.push(x[0] + x[1]);
      }
      return { x, losses };
    };
    const first = await program.run({ state, theta, steps: 3, seed: 1, record: 'perStep' });
    const second = await program.run({ state, theta, steps: 3, seed: 1, record: 'perStep' });
    for (const i of [0, 1, 2]) {
      const { losses } = expected(i + 1, 6);
      const got = [0, 1, 2]
        .map((s) => first.losses![s * 3 + i])
        .concat([0, 1, 2].map((s) => second.losses![s * 3 + i]));
      expect(got).toEqual(losses);
      expect(first.lossSums[i]).toBe(losses.slice(0, 3).reduce((a, b) => a + b));
      expect(second.metrics.first.last[i]).toBe(expected(i + 1, 6).x[0]);
      expect(second.metrics.who.sums[i]).toBe(3 * i);
    }
    expect(first.meanLoss).toBeCloseTo(first.losses!.reduce((a, b) => a + b) / 9, 6);
    const exported = await state.export();
    expect([...exported.t]).toEqual([2, 2, 2]);
    expect([...exported.state.n]).toEqual([2, 2, 2]);
    expect([...exported.state.odd]).toEqual([0, 0, 0]);
    expect(exported.stepsDone).toBe(6);
  });

  it('staggers the first episode, whose state is an ordinary first one', async () => {
    using program = device.compile(counting);
    using state = program.createState(2, { stagger: [0, 3] });
    await program.run({ state, theta: { a: 0, start: 1 }, steps: 1, seed: 1 });
    const { t, fresh, state: leaves } = await state.export();
    expect([...t]).toEqual([1, 0]);
    expect([...fresh]).toEqual([0, 1]);
    expect([...leaves.x]).toEqual([1, 1, 4, 4]);
  });

  it('imports what it exported, and goes on as before', async () => {
    using program = device.compile(drawing);
    using state = program.createState(4);
    await program.run({ state, theta: { a: 1 }, steps: 2, seed: 5 });
    using copy = await program.importState(await state.export());
    using saved = await program.loadCheckpoint(await program.saveCheckpoint(state));
    for (const each of [state, copy, saved])
      await program.run({ state: each, theta: { a: 1 }, steps: 2, seed: 5 });
    const original = await state.export();
    expect(await copy.export()).toEqual(original);
    expect(await saved.export()).toEqual(original);
  });

  it('one run of four steps is two of two', async () => {
    using program = device.compile(drawing);
    using whole = program.createState(4);
    using parts = program.createState(4);
    await program.run({ state: whole, theta: { a: 1 }, steps: 4, seed: 5 });
    await program.run({ state: parts, theta: { a: 1 }, steps: 2, seed: 5 });
    await program.run({ state: parts, theta: { a: 1 }, steps: 2, seed: 5 });
    expect(await parts.export()).toEqual(await whole.export());
  });

  it('shares draws between all particles, pairs, or nobody', async () => {
    using program = device.compile(drawing);
    using state = program.createState(6);
    await program.run({ state, theta: { a: 1 }, steps: 1, seed: 5, antithetic: true });
    const { all, pair, own, start } = (await state.export()).state;
    expect(new Set(all).size).toBe(1);
    expect(new Set(start).size).toBe(1);
    expect(new Set(own).size).toBe(6);
    expect(new Set(pair).size).toBe(3);
    expect([...pair.slice(0, 3)]).toEqual([...pair.slice(3)]);
  });

  it('perturbs theta: mean + sigma * noise, with opposite signs in a pair, the noise of the kernels', async () => {
    using program = device.compile(drawing);
    using state = program.createState(6);
    const theta = perturbed({ mean: { a: 2 }, sigma: 0.5, seed: 9, noiseStep: 4 });
    const { lossSums } = await program.run({
      state,
      theta,
      steps: 1,
      seed: 5,
      antithetic: true,
    });
    const eps = await program.noise.fill({ rows: 3, dim: 1, seed: 9, noiseStep: 4 });
    const wanted = [...eps].map((e) => Math.fround(2 + Math.fround(0.5 * e)));
    const mirrored = [...eps].map((e) => Math.fround(2 - Math.fround(0.5 * e)));
    expect([...lossSums]).toEqual([...wanted, ...mirrored]);
  });

  it('gathers particles', async () => {
    using program = device.compile(counting);
    using state = program.createState(3);
    await program.run({ state, theta: { a: [1, 2, 3], start: 0 }, steps: 1, seed: 1 });
    using chosen = await state.gather([2, 2, 0, 1]);
    expect(chosen.particles).toBe(4);
    expect([...(await chosen.export()).state.x]).toEqual([3, 3, 3, 3, 1, 1, 2, 2]);
    await expect(state.gather([3])).rejects.toThrow(/ancestors\[0\] must be an integer in 0..2/);
  });

  it('refuses what it cannot run, by name', async () => {
    using program = device.compile(counting);
    using state = program.createState(3);
    const good = { state, theta: { a: 1, start: 0 }, steps: 1, seed: 1 };
    const refuse = async (extra: object, message: RegExp) =>
      expect(program.run({ ...good, ...extra } as never)).rejects.toThrow(message);
    await refuse({ step: 2 }, /misspelt "steps"/);
    await refuse({ steps: 0 }, /steps must be an integer/);
    await refuse({ seed: 1.5 }, /seed must be an integer/);
    await refuse({ state: undefined }, /createState/);
    await refuse({ record: 'all' }, /record must be one of 'sum', 'perStep'/);
    await refuse({ record: 'perStep', steps: 2 ** 31 - 1 }, /more than 2\^32 - 1 losses: run fewer steps/);
    await refuse({ antithetic: true }, /even number of particles, got 3/);
    await refuse({ antithetic: 1 }, /antithetic must be true or false, got 1/);
    await refuse({ signal: new AbortController() }, /signal must be an AbortSignal .* AbortController/);
    await refuse({ onProgress: 'yes' }, /onProgress must be a function, got "yes"/);
    await refuse({ theta: { a: 1 } }, /theta lacks "start"/);
    const gone = tf.scalar(1);
    gone.dispose();
    await refuse({ theta: { a: gone, start: 0 } }, /theta at "a" is a tensor that has been disposed/);
    // None of the refusals has claimed the state.
    expect((await program.run(good)).meanLoss).toBe(2);
    await refuse({ theta: { a: [1, 2], start: 0 } }, /theta at "a"/);
    expect(() => program.createState(0)).toThrow(OptionError);
    expect(() => program.createState(2, { stagger: [0, 4] })).toThrow(
      /stagger\[1\] must be an integer in 0..3, got 4/,
    );
    expect(() => program.createState(2, { stagger: [0] })).toThrow(/one step per particle/);
    expect(() => program.createState(2, { stagger: null as never })).toThrow(/one step per particle.*null/);
    await expect(state.gather(undefined as never)).rejects.toThrow(/gather needs an array/);
    await expect(program.importState({ state: {} } as never)).rejects.toThrow(/importState needs t/);
    const exported = await state.export();
    await expect(
      program.importState({ ...exported, state: { ...exported.state, x: new Float32Array(5) } }),
    ).rejects.toThrow(ShapeError);
  });

  it('does not save the state of another program', async () => {
    using program = device.compile(counting);
    using other = device.compile(drawing);
    using state = other.createState(2);
    await expect(program.saveCheckpoint(state as never)).rejects.toThrow(/belongs to another program/);
    await expect(program.saveCheckpoint(undefined as never)).rejects.toThrow(/saveCheckpoint needs a state/);
    await expect(
      program.run({ state: state as never, theta: { a: 1, start: 0 }, steps: 1, seed: 1 }),
    ).rejects.toThrow(/belongs to another program/);
  });

  it('imports what it exported, whatever the order of keys and with empty parts', async () => {
    using program = device.compile(
      defineUnroll({
        horizon: 3,
        theta: {},
        init: () => ({ layers: [], extra: {}, b: tf.tensor1d([1, 2]), a: tf.scalar(3, 'int32') }),
        step: ({ state }) => ({ state, loss: state.b.sum() }),
      }),
    );
    using state = program.createState(2);
    await program.run({ state, theta: {}, steps: 1, seed: 0 });
    const exported = await state.export();
    const { a, b, extra, layers } = exported.state;
    using again = await program.importState({ ...exported, state: { a, b, extra, layers } });
    expect(await again.export()).toEqual(exported);
    await expect(program.importState({ ...exported, state: { a, b, extra } } as never)).rejects.toThrow(
      /state lacks "layers"/,
    );
  });

  it('refuses to work once disposed', async () => {
    const program = device.compile(counting);
    const state = program.createState(2);
    state.dispose();
    state.dispose();
    await expect(program.run({ state, theta: { a: 1, start: 0 }, steps: 1, seed: 1 })).rejects.toThrow(
      DisposedError,
    );
    program.dispose();
    program.dispose();
    expect(() => program.createState(1)).toThrow(DisposedError);
  });

  it('explains what the device made of it', () => {
    using program = device.compile(counting);
    expect(program.explain()).toContain(program.plan().text);
    expect(program.metrics).toEqual(['first', 'who']);
    expect(program.horizon).toBe(4);
  });
});

describe.each(DEVICES.filter(({ name }) => name !== 'reference'))('stopping a run on $name', ({ open }) => {
  it('rejects with AbortedError when the signal fires, before or during the run', async () => {
    await using device = await open();
    using program = device.compile(drawing);
    using state = program.createState(512);
    const run = { state, theta: { a: 1 }, seed: 1 };
    await expect(program.run({ ...run, steps: 1, signal: AbortSignal.abort() })).rejects.toThrow(
      AbortedError,
    );
    using second = program.createState(512);
    const controller = new AbortController();
    const running = program.run({ ...run, state: second, steps: 2_000_000, signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(running).rejects.toThrow(AbortedError);
  });

  it('rejects with what onProgress throws, and reports no more', async () => {
    await using device = await open();
    using program = device.compile(drawing);
    using state = program.createState(512);
    let calls = 0;
    const onProgress = () => {
      calls++;
      throw new RangeError('mine');
    };
    await expect(
      program.run({ state, theta: { a: 1 }, seed: 1, steps: 2_000_000, onProgress }),
    ).rejects.toThrow(new RangeError('mine'));
    expect(calls).toBe(1);
  });
});

// Without the native engine there is nothing to compare.
describe.each(NATIVE ? ['with one thread and with two'] : [])('the native device %s', () => {
  it('gives the same bits', async () => {
    const results = [];
    for (const threads of [1, 2]) {
      await using device = await openDevice('cpu', { threads });
      using program = device.compile(drawing);
      using state = program.createState(3000);
      const theta = perturbed({ mean: { a: 2 }, sigma: 0.5, seed: 9 });
      const { lossSums } = await program.run({
        state,
        theta,
        steps: 7,
        seed: 5,
        antithetic: true,
      });
      results.push({ lossSums, exported: await state.export() });
    }
    expect(results[0]).toEqual(results[1]);
  });
});
