import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Device,
  defineUnroll,
  grad,
  hvp,
  openDevice,
  shape,
  unroll,
  unrollGrad,
  vmap,
} from '../../src/index.js';

const HORIZON = 4;

/** A damped oscillator with a learned stiffness and start; everything smooth, nothing drawn. */
const oscillator = defineUnroll({
  horizon: HORIZON,
  theta: { stiffness: shape(), start: shape(2) },
  init: ({ theta }) => ({ x: theta.start.mul(2), v: tf.zeros([2]) }),
  step: ({ theta, state, t }) => {
    const v = state.v.sub(tf.sin(state.x).mul(theta.stiffness)).mul(0.9);
    const x = state.x.add(v.mul(0.5)).add(t.toFloat().mul(0.01));
    return { state: { x, v }, loss: x.square().sum(), metrics: { speed: v.square().mean() } };
  },
});

const THETA = { stiffness: 0.7, start: [0.4, -0.9] };
const tensors = () => ({ stiffness: tf.scalar(THETA.stiffness), start: tf.tensor1d(THETA.start) });

/** Loss of `steps` steps in float64. */
function loss64(stiffness: number, start: readonly number[], steps: number): number {
  let total = 0;
  let x: number[] = [];
  let v: number[] = [];
  for (let k = 0; k < steps; k++) {
    const t = k % HORIZON;
    if (t === 0) {
      x = start.map((s) => 2 * s);
      v = [0, 0];
    }
    v = v.map((vi, i) => 0.9 * (vi - Math.sin(x[i]!) * stiffness));
    x = x.map((xi, i) => xi + 0.5 * v[i]! + 0.01 * t);
    total += x.reduce((sum, xi) => sum + xi * xi, 0);
  }
  return total;
}

const flatLoss = (p: readonly number[], steps: number) => loss64(p[0]!, p.slice(1), steps);
const P = [THETA.stiffness, ...THETA.start];

/** Central differences of a scalar function in float64. */
function slope(f: (p: number[]) => number, p: readonly number[], i: number, h = 1e-5): number {
  const at = (d: number) => f(p.map((x, j) => (j === i ? x + d : x)));
  return (at(h) - at(-h)) / (2 * h);
}

const values = (x: unknown) => Array.from((x as tf.Tensor).dataSync());

describe('unroll', () => {
  let device: Device;
  beforeAll(async () => {
    await tf.setBackend('cpu');
    device = await openDevice('cpu');
  });
  afterAll(() => device.dispose());

  it('is what a program runs, over episodes', async () => {
    const steps = 2 * HORIZON + 3;
    const f = unroll(oscillator, { steps, record: 'perStep' });
    const result = f({ theta: tensors() });
    using program = device.compile(oscillator);
    using state = program.createState(1);
    const run = await program.run({ state, theta: THETA, steps, seed: 1, record: 'perStep' });
    expect(values(result.loss)[0]).toBeCloseTo(run.lossSums[0]!, 5);
    expect(values(result.loss)[0]).toBeCloseTo(flatLoss(P, steps), 4);
    const losses = values(result.records.losses);
    expect(losses).toHaveLength(steps);
    losses.forEach((loss, k) => {
      expect(loss).toBeCloseTo(run.losses![k]!, 5);
    });
    const speeds = values(result.records.metrics!.speed);
    expect(speeds.reduce((a, b) => a + b)).toBeCloseTo(run.metrics.speed.sums[0]!, 5);
    const { x } = (await state.export()).state as unknown as { x: Float32Array };
    values(result.state.x).forEach((xi, i) => {
      expect(xi).toBeCloseTo(x[i]!, 5);
    });
    f.dispose();
  });

  it('goes on from a state', () => {
    const three = unroll(oscillator, { steps: 3 });
    const two = unroll(oscillator, { steps: 2 });
    const one = unroll(oscillator, { steps: 1 });
    const theta = tensors();
    const whole = three({ theta });
    const first = one({ theta });
    // t begins at 0 again, so only a step that does not look at it would agree; the state itself is taken over.
    const rest = two({ theta, state: first.state });
    expect(values(rest.state.x)).not.toEqual(values(whole.state.x));
    expect(values(rest.loss)[0]).toBeGreaterThan(0);
    for (const f of [one, two, three]) f.dispose();
  });

  it('differentiates to second order through grad and hvp', () => {
    const steps = HORIZON + 2;
    const f = unroll(oscillator, { steps });
    const loss = (theta: { stiffness: tf.Tensor; start: tf.Tensor }) =>
      f({ theta } as never).loss as tf.Scalar;
    const gradient = grad(loss)(tensors());
    const first = [...values(gradient.stiffness), ...values(gradient.start)];
    first.forEach((g, i) => {
      const wanted = slope((p) => flatLoss(p, steps), P, i);
      expect(Math.abs(g - wanted)).toBeLessThan(2e-4 * Math.max(1, Math.abs(wanted)));
    });
    const direction = [1, 0.5, -2];
    const { product } = hvp(loss, [tensors()], [
      { stiffness: tf.scalar(1), start: tf.tensor1d([0.5, -2]) },
    ] as never);
    const [along] = product as unknown as [{ stiffness: tf.Tensor; start: tf.Tensor }];
    [...values(along.stiffness), ...values(along.start)].forEach((h, i) => {
      const wanted = direction.reduce(
        (sum, d, j) => sum + d * slope((p) => slope((q) => flatLoss(q, steps), p, i, 1e-4), P, j, 1e-4),
        0,
      );
      expect(Math.abs(h - wanted)).toBeLessThan(1e-3 * Math.max(1, Math.abs(wanted)));
    });
  });

  it('is mapped over thetas by vmap', () => {
    const f = unroll(oscillator, { steps: 5 });
    const mapped = vmap((theta: { stiffness: tf.Tensor; start: tf.Tensor }) => f({ theta } as never).loss);
    const stiffness = [0.1, 0.5, 1.3];
    const starts = [
      [0.2, 0.3],
      [-0.4, 1],
      [0.9, -0.8],
    ];
    const losses = values(mapped({ stiffness: tf.tensor1d(stiffness), start: tf.tensor2d(starts) }));
    losses.forEach((loss, i) => {
      expect(loss).toBeCloseTo(loss64(stiffness[i]!, starts[i]!, 5), 4);
    });
  });

  it('agrees with program.gradient', async () => {
    const steps = 7;
    const f = unroll(oscillator, { steps });
    const gradient = grad((theta: never) => f({ theta } as never).loss as tf.Scalar)(
      tensors() as never,
    ) as never as {
      stiffness: tf.Tensor;
      start: tf.Tensor;
    };
    using program = device.compile(oscillator);
    using state = program.createState(1);
    const back = await program.gradient({ state, theta: THETA, steps, seed: 1 });
    expect(values(gradient.stiffness)[0]).toBeCloseTo(back.gradient.stiffness as number, 4);
    values(gradient.start).forEach((g, i) => {
      expect(g).toBeCloseTo((back.gradient.start as Float64Array)[i]!, 4);
    });
  });

  it('draws with a seed, anew at every call and step, and refuses without one', () => {
    const walk = defineUnroll({
      horizon: 100,
      theta: { scale: shape() },
      init: () => ({ x: tf.scalar(0) }),
      step: ({ theta, state, rng }) => {
        const x = state.x.add(rng.normal([]).mul(theta.scale));
        return { state: { x }, loss: x.square() };
      },
    });
    const f = unroll(walk, { steps: 4, seed: 3, record: 'perStep' });
    const call = () => values(f({ theta: { scale: tf.scalar(1) } }).records.losses);
    const [a, b] = [call(), call()];
    expect(new Set([...a, ...b]).size).toBe(8);
    const again = unroll(walk, { steps: 4, seed: 3, record: 'perStep' });
    expect(values(again({ theta: { scale: tf.scalar(1) } }).records.losses)).toEqual(a);
    expect(() => unroll(walk, { steps: 2 })({ theta: { scale: tf.scalar(1) } })).toThrow(/seed/);
  });

  it('takes typed arrays for theta of any shape, and a number for the particle', () => {
    const chosen = defineUnroll({
      horizon: 3,
      theta: { table: shape(2, 3) },
      init: () => ({ x: tf.scalar(1) }),
      step: ({ theta, state, particle }) => {
        const row = tf.gather(theta.table, particle) as tf.Tensor;
        return { state: { x: state.x.mul(2) }, loss: row.sum().mul(state.x) };
      },
    });
    const f = unroll(chosen, { steps: 2, output: 'tensor' });
    const result = f({ theta: { table: Float32Array.of(1, 2, 3, 4, 5, 6) }, particle: 1 } as never);
    expect(values(result.loss)).toEqual([15 + 30]);
  });

  it('gives a step tensors where init gives numbers', () => {
    const counted = defineUnroll({
      horizon: 5,
      theta: { a: shape() },
      init: () => ({ x: 1, on: true }) as never,
      step: ({ theta, state }: { theta: { a: tf.Scalar }; state: { x: tf.Tensor; on: tf.Tensor } }) => ({
        state: { x: state.x.add(theta.a), on: tf.logicalNot(state.on) } as never,
        loss: state.x as tf.Scalar,
      }),
    });
    expect(values(unroll(counted, { steps: 3 })({ theta: { a: tf.scalar(2) } }).loss)).toEqual([1 + 3 + 5]);
  });

  it.each([
    ['theta lacks', { stiffness: 1 }, /theta lacks "start"/],
    ['theta has', { ...THETA, more: 1 }, /theta has no "more"/],
    ['theta is shaped', { ...THETA, start: [1, 2, 3] }, /theta at "start".*\[2\].*\[3\]/],
    ['theta is shaped', { ...THETA, stiffness: tf.scalar(1, 'int32') }, /"stiffness".*float32.*int32/],
  ])('says what %s wrongly', (_, theta, message) => {
    expect(() => unroll(oscillator, { steps: 2 })({ theta } as never)).toThrow(message);
  });

  it('refuses data and states that do not fit', () => {
    const fit = defineUnroll({
      horizon: 3,
      theta: { a: shape() },
      data: { x: shape(null, 2) },
      init: () => ({ i: tf.scalar(0, 'int32'), w: tf.ones([2]) }),
      step: ({ theta, state, data }) => ({
        state: { i: state.i.add(data.x.shape[0] === 3 ? 1 : tf.scalar(1, 'int32')), w: state.w },
        loss: tf
          .matMul(data.x, state.w.reshape([2, 1]))
          .sum()
          .mul(theta.a),
      }),
    });
    const f = unroll(fit, { steps: 2 });
    const theta = { a: tf.scalar(0.5) };
    expect(values(f({ theta, data: { x: tf.ones([4, 2]) } }).loss)).toEqual([8]);
    expect(() => f({ theta } as never)).toThrow(/data lacks "x"/);
    expect(() => f({ theta, data: { x: tf.ones([4, 3]) } } as never)).toThrow(/"x".*\[any, 2\].*\[4, 3\]/);
    expect(() => f({ theta, data: { x: tf.ones([3, 2]) } })).toThrow(/state at "i".*int32.*float32/);
    expect(() => f({ theta, data: { x: tf.ones([4, 2]) }, particle: tf.ones([2]) })).toThrow(/particle/);
  });

  it.each([
    [{ steps: 0 }, /steps/],
    [{ steps: 2, record: 'all' }, /record/],
    [{ step: 2 }, /"step"/],
    [{ steps: 2, staticArgs: [0] }, /staticArgs/],
  ])('refuses %o', (options, message) => {
    const make = unroll as unknown as (definition: unknown, options: unknown) => unknown;
    expect(() => make(oscillator, options)).toThrow(message);
  });
});

describe('unrollGrad', () => {
  /** x' = a x, loss x'. */
  const power = defineUnroll({
    horizon: Number.POSITIVE_INFINITY,
    theta: { a: shape() },
    init: () => ({ x: tf.scalar(1) }),
    step: ({ theta, state }) => {
      const x = state.x.mul(theta.a);
      return { state: { x }, loss: x };
    },
  });
  const a = [0.9, 1.05, -0.7];
  const windowed = (ai: number, steps: number, truncation: number) => {
    let total = 0;
    for (let k = 0; k < steps; k++) {
      const j = (k % truncation) + 1;
      total += j * ai ** (j - 1) * ai ** (k - (k % truncation));
    }
    return total;
  };

  it.each([20, 5, 7, 1])(
    'is the closed form of a geometric sequence, cut every %i steps',
    async (truncation) => {
      await using device = await openDevice('cpu');
      using program = device.compile(power);
      using state = program.createState(3);
      const run = unrollGrad(program, { steps: 20, truncation, checkpoints: { every: 3 } });
      const result = await run({ state, theta: { a: Float32Array.from(a) }, seed: 1 });
      const gradients = (result.gradients as { a: Float32Array }).a;
      a.forEach((ai, i) => {
        const wanted = windowed(ai, 20, truncation);
        expect(Math.abs(gradients[i]! - wanted)).toBeLessThan(1e-5 * Math.max(1, Math.abs(wanted)));
        const sum = Array.from({ length: 20 }, (_, k) => ai ** (k + 1)).reduce((x, y) => x + y);
        expect(result.lossSums[i]).toBeCloseTo(sum, 4);
      });
      const mean = a.reduce((sum, ai) => sum + windowed(ai, 20, truncation), 0) / 3;
      expect(Math.abs((result.gradient.a as number) - mean)).toBeLessThan(1e-5 * Math.abs(mean));
      expect(state.stepsDone).toBe(20);
    },
  );

  it('refuses what is no program, and misspelt options', async () => {
    expect(() => unrollGrad({} as never, { steps: 2 })).toThrow(/device\.compile/);
    await using device = await openDevice('cpu');
    using program = device.compile(power);
    expect(() => unrollGrad(program, { steps: 2, truncate: 1 } as never)).toThrow(/truncate/);
    expect(() => unrollGrad(program, { steps: 2, truncation: 0 })).toThrow(/truncation/);
    using state = program.createState(1);
    const run = unrollGrad(program, { steps: 2 });
    const call = (more: object) => run({ state, theta: { a: 1 }, seed: 1, ...more });
    await expect(call({ steps: 5 })).rejects.toThrow(/"steps"/);
    await expect(call({ finalCotangents: { x: [1] } })).rejects.toThrow(/"finalCotangents"/);
    await expect(run(undefined as never)).rejects.toThrow(/undefined/);
    expect(state.stepsDone).toBe(0);
  });
});
