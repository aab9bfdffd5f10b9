/** Gradients through runs, against eager tfjs: the same steps, draws and episodes as one long computation on its tape. */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Checkpoints, type Device, defineUnroll, openDevice, shape } from '../../src/index.js';
import { fillNormal, STREAMS } from '../../src/random/index.js';

const HORIZON = 6;
const UNITS = 3;

/** A noisy recurrence whose parameters, start, data, clock and particle all matter; an int32 leaf rides along. */
const noisy = defineUnroll({
  horizon: HORIZON,
  theta: { w: shape(UNITS, UNITS), b: shape(UNITS), scale: shape() },
  data: { x: shape(4) },
  init: ({ theta, rng }) => ({
    h: theta.b.mul(theta.scale).add(rng.normal([UNITS], { share: 'particle' }).mul(0.2)),
    last: tf.scalar(0.25),
    steps: tf.scalar(0, 'int32'),
  }),
  step: ({ theta, state, t, rng, data, particle }) => {
    const drive = data.x.sum().mul(0.1).add(t.toFloat().mul(0.05)).add(particle.toFloat().mul(0.01));
    const noise = rng.normal([UNITS], { share: 'pair' }).mul(0.3);
    const h = tf.tanh(
      tf
        .matMul(state.h.reshape([1, UNITS]), theta.w)
        .reshape([UNITS])
        .add(drive)
        .add(noise),
    );
    const loss = h.square().sum().mul(theta.scale).add(state.last.mul(h.sum()));
    return { state: { h, last: loss.mul(0.1), steps: state.steps.add(tf.scalar(1, 'int32')) }, loss };
  },
});

const PARTICLES = 6;
const X = [0.3, -0.2, 0.5, 0.1];
const SEED = 11;

interface Problem {
  readonly t: readonly number[];
  readonly fresh: boolean;
  readonly firstStep: number;
  readonly steps: number;
  readonly weights?: readonly number[];
  readonly final?: Float32Array;
}

const wave = (n: number, phase: number) =>
  Float32Array.from({ length: n }, (_, i) => 0.6 * Math.sin(phase + 1.7 * i));

const thetaArrays = {
  w: wave(PARTICLES * UNITS * UNITS, 0.4),
  b: wave(PARTICLES * UNITS, 1.1),
  scale: wave(PARTICLES, 2.2),
};

function draw(stream: number, step: number, subject: number): tf.Tensor {
  const values = new Float32Array(UNITS);
  fillNormal(values, { seed: SEED, stream, step, draw: 0, subject });
  return tf.tensor1d(values);
}

/** One particle's run on the tape: gradients towards w, b, scale and the state that it begins with, and the loss. */
function eager(i: number, problem: Problem, start: { h: Float32Array; last: number }) {
  const run = (w: tf.Tensor, b: tf.Tensor, scale: tf.Tensor, h0: tf.Tensor, last0: tf.Tensor): tf.Scalar => {
    let h = h0;
    let last = last0;
    let total: tf.Tensor = tf.scalar(0);
    let fresh = problem.fresh;
    let t = problem.t[i]!;
    for (let k = 0; k < problem.steps; k++) {
      const step = problem.firstStep + k;
      if (fresh) {
        h = b.mul(scale).add(draw(STREAMS.init, step, i).mul(0.2));
        last = tf.scalar(0.25);
        fresh = false;
      }
      const drive = tf
        .sum(tf.tensor1d(X))
        .mul(0.1)
        .add(0.05 * t)
        .add(0.01 * i);
      const noise = draw(STREAMS.step, step, i % (PARTICLES / 2)).mul(0.3);
      h = tf.tanh(
        tf
          .matMul(h.reshape([1, UNITS]), w as tf.Tensor2D)
          .reshape([UNITS])
          .add(drive)
          .add(noise),
      );
      const loss = h.square().sum().mul(scale).add(last.mul(h.sum()));
      last = loss.mul(0.1);
      total = total.add(loss.mul(problem.weights?.[i] ?? 1));
      if (++t === HORIZON) {
        t = 0;
        fresh = true;
      }
    }
    const final = problem.final?.subarray(i * UNITS, (i + 1) * UNITS);
    return (final ? total.add(h.mul(tf.tensor1d(final)).sum()) : total) as tf.Scalar;
  };
  const part = (values: Float32Array, n: number) => values.slice(i * n, (i + 1) * n);
  return tf.tidy(() => {
    const xs = [
      tf.tensor2d(part(thetaArrays.w, UNITS * UNITS), [UNITS, UNITS]),
      tf.tensor1d(part(thetaArrays.b, UNITS)),
      tf.scalar(thetaArrays.scale[i]!),
      tf.tensor1d(start.h),
      tf.scalar(start.last),
    ] as const;
    const { value, grads } = tf.engine().gradients(() => run(...xs), [...xs], undefined, true);
    return {
      loss: value.dataSync()[0]!,
      grads: grads.map((g, j) => (g ? g.dataSync().slice() : new Float32Array(xs[j]!.size))),
    };
  });
}

function expectClose(got: ArrayLike<number>, wanted: ArrayLike<number>, what: string): void {
  const scale = Math.max(1, ...Array.from(wanted, Math.abs));
  expect(got.length, what).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++)
    expect(Math.abs(got[i]! - wanted[i]!), `${what}[${i}]: ${got[i]} against ${wanted[i]}`).toBeLessThan(
      2e-5 * scale,
    );
}

const CHECKPOINTS: (Checkpoints | undefined)[] = [
  undefined,
  'all',
  { every: 4 },
  { slots: 2 },
  { slots: 1 },
  { bytes: 100 },
];

describe.each(['cpu', 'tfjs'] as const)('program.gradient on %s', (kind) => {
  let device: Device;
  beforeAll(async () => {
    await tf.setBackend('cpu');
    device = await openDevice(kind);
  });
  afterAll(() => device.dispose());

  it.each(CHECKPOINTS)(
    'is that of eager tfjs through episodes, draws and data, with checkpoints %o',
    async (checkpoints) => {
      using program = device.compile(noisy, { data: { x: X } });
      const t = [0, 1, 5, 3, 0, 2];
      using state = program.createState(PARTICLES, { stagger: t });
      // Gradients of a run of a fresh state, then of one that goes on in the middle of episodes.
      const first = { t, fresh: true, firstStep: 0, steps: 2 };
      const options = {
        state,
        theta: thetaArrays,
        seed: SEED,
        antithetic: true,
        ...(checkpoints && { checkpoints }),
      };
      const begun = await program.gradient({ ...options, steps: 2 });
      const none = { h: new Float32Array(UNITS), last: 0 };
      for (let i = 0; i < PARTICLES; i++) {
        const wanted = eager(i, first, none);
        const gradients = begun.gradients as { w: Float32Array; b: Float32Array; scale: Float32Array };
        expectClose([begun.lossSums[i]!], [wanted.loss], 'loss');
        expectClose(gradients.w.subarray(i * 9, i * 9 + 9), wanted.grads[0]!, 'w');
        expectClose(gradients.b.subarray(i * 3, i * 3 + 3), wanted.grads[1]!, 'b');
        expectClose(gradients.scale.subarray(i, i + 1), wanted.grads[2]!, 'scale');
      }
      expect(Array.from((begun.stateGradients as { h: Float32Array }).h).every((v) => v === 0)).toBe(true);

      const exported = await state.export();
      const start = exported.state as unknown as { h: Float32Array; last: Float32Array };
      const weights = [1, 0.5, -2, 0, 3, 1];
      const final = wave(PARTICLES * UNITS, 3.3);
      const steps = 13;
      const result = await program.gradient({
        ...options,
        steps,
        lossWeights: weights,
        finalCotangents: { h: final },
      });
      const gradients = result.gradients as { w: Float32Array; b: Float32Array; scale: Float32Array };
      const towards = result.stateGradients as unknown as {
        h: Float32Array;
        last: Float32Array;
        steps: undefined;
      };
      expect(towards.steps).toBeUndefined();
      const mean = new Float64Array(UNITS);
      for (let i = 0; i < PARTICLES; i++) {
        const middle = exported.fresh[i] === 0;
        const problem = { t: Array.from(exported.t), fresh: !middle, firstStep: 2, steps, weights, final };
        const wanted = eager(i, problem, { h: start.h.slice(i * 3, i * 3 + 3), last: start.last[i]! });
        expectClose(gradients.w.subarray(i * 9, i * 9 + 9), wanted.grads[0]!, 'w');
        expectClose(gradients.b.subarray(i * 3, i * 3 + 3), wanted.grads[1]!, 'b');
        expectClose(gradients.scale.subarray(i, i + 1), wanted.grads[2]!, 'scale');
        expectClose(towards.h.subarray(i * 3, i * 3 + 3), wanted.grads[3]!, 'h');
        expectClose(towards.last.subarray(i, i + 1), wanted.grads[4]!, 'last');
        for (let j = 0; j < UNITS; j++) mean[j] += wanted.grads[1]![j]! / PARTICLES;
      }
      expectClose(result.gradient.b as Float64Array, mean, 'mean gradient');
    },
  );

  it('advances the state and reports losses exactly as run does', async () => {
    using program = device.compile(noisy, { data: { x: X } });
    using there = program.createState(PARTICLES);
    using here = program.createState(PARTICLES);
    const options = { theta: thetaArrays, seed: 5, steps: 17, record: 'perStep' } as const;
    const run = await program.run({ ...options, state: there });
    const back = await program.gradient({ ...options, state: here, checkpoints: { slots: 3 } });
    expect(back.lossSums).toEqual(run.lossSums);
    expect(back.losses).toEqual(run.losses);
    expect(await here.export()).toEqual(await there.export());
    expect(here.stepsDone).toBe(17);
  });

  it('costs what it said, and less memory with fewer states kept', async () => {
    using program = device.compile(noisy, { data: { x: X } });
    const costs: number[] = [];
    for (const checkpoints of ['all', { every: 8 }, { slots: 3 }] as const) {
      using state = program.createState(PARTICLES);
      const { cost } = await program.gradient({ state, theta: thetaArrays, seed: 1, steps: 64, checkpoints });
      expect(cost).toEqual(program.gradientCost({ steps: 64, particles: PARTICLES, checkpoints }));
      costs.push(cost.keptBytes);
    }
    expect(costs[1]! * 4).toBeLessThan(costs[0]!);
    expect(costs[2]).toBeLessThan(costs[1]!);
  });

  it('does not leak tensors', async () => {
    using program = device.compile(noisy, { data: { x: X } });
    using state = program.createState(PARTICLES);
    const gradient = () =>
      program.gradient({ state, theta: thetaArrays, seed: 1, steps: 9, checkpoints: { every: 3 } });
    await gradient();
    const before = tf.memory().numTensors;
    await gradient();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('can be aborted', async () => {
    using program = device.compile(noisy, { data: { x: X } });
    using state = program.createState(64);
    const controller = new AbortController();
    const running = program.gradient({
      state,
      theta: { w: new Float32Array(9), b: new Float32Array(3), scale: 1 },
      seed: 1,
      steps: 100_000,
      checkpoints: { every: 400 },
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 20);
    await expect(running).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });

  it.each([
    [{ checkpoints: 'none' }, /checkpoints/],
    [{ checkpoints: { every: 0 } }, /checkpoints\.every/],
    [{ checkpoints: { every: 2, slots: 2 } }, /one of/],
    [{ checkpoints: null }, /checkpoints/],
    [{ lossWeights: [1, 2] }, /lossWeights/],
    [{ lossWeights: null }, /lossWeights/],
    [{ lossWeights: ['1', '2', '3', '4', '5', '6'] }, /lossWeights/],
    [{ lossWeights: [[1, 2, 3, 4, 5, 6]] }, /lossWeights.*\[1, 6\]/],
    [{ finalCotangents: { h: tf.zeros([UNITS, PARTICLES]) } }, /"h".*\[6, 3\].*\[3, 6\]/],
    [{ finalCotangents: { h: [1, 2] } }, /"h"/],
    [{ finalCotangents: { steps: new Float32Array(PARTICLES) } }, /steps/],
    [{ finalCotangents: { nothing: [1] } }, /"nothing"/],
    [{ chekpoints: 'all' }, /chekpoints/],
  ])('refuses %o', async (wrong, message) => {
    using program = device.compile(noisy, { data: { x: X } });
    using state = program.createState(PARTICLES);
    const options = { state, theta: thetaArrays, seed: 1, steps: 3, ...wrong } as never;
    await expect(program.gradient(options)).rejects.toThrow(message);
  });
});

describe('gradients of matrices, whose sums over steps are put off on cpu', () => {
  const SIZE = 20;
  const network = defineUnroll({
    horizon: 5,
    theta: { w: shape(SIZE, SIZE), u: shape(4, SIZE) },
    data: { x: shape(7, 4) },
    init: ({ theta }) => ({ h: theta.w.mean(0).mul(0.5) }),
    step: ({ theta, state, t, data }) => {
      const x = tf.gather(data.x, t.reshape([1]) as tf.Tensor1D) as tf.Tensor2D;
      const row = state.h.reshape([1, SIZE]) as tf.Tensor2D;
      const h = tf.tanh(tf.matMul(row, theta.w).add(tf.matMul(x, theta.u))).reshape([SIZE]);
      return { state: { h }, loss: h.square().sum() };
    },
  });
  const particles = 11;
  const theta = {
    w: wave(particles * SIZE * SIZE, 0.2).map((v) => v * 0.4),
    u: wave(particles * 4 * SIZE, 1.3),
  };
  const data = { x: wave(28, 0.9) };

  it.each([1, 3, 8, 16, 21])(
    'over %i steps they are those of the tfjs device, whatever is kept',
    async (steps) => {
      const of = async (kind: 'cpu' | 'tfjs', checkpoints: Checkpoints, threads?: number) => {
        await using device = await openDevice(kind, { ...(threads && { threads }) });
        using program = device.compile(network, { data });
        using state = program.createState(particles);
        const { gradients } = await program.gradient({ state, theta, steps, seed: 1, checkpoints });
        return gradients as { w: Float32Array; u: Float32Array };
      };
      const mine = await of('cpu', 'all', 2);
      const theirs = await of('tfjs', 'all');
      expectClose(mine.w, theirs.w, 'w');
      expectClose(mine.u, theirs.u, 'u');
      expect(await of('cpu', { every: 4 }, 1)).toEqual(mine);
      expect(await of('cpu', { slots: 2 }, 1)).toEqual(mine);
    },
  );

  it('are put off', async () => {
    await using device = await openDevice('cpu');
    using program = device.compile(network, { data });
    expect(program.reverse().plan().text).toMatch(/\+= matmul\[20,1,20\].*steps at once/);
  });
});
