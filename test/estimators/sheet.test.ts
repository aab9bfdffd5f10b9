import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Device,
  defineUnroll,
  fullEs,
  gpes,
  nres,
  openDevice,
  pes,
  shape,
  truncatedEs,
} from '../../src/index.js';
import { linearRecurrence } from '../../src/tasks/linear-recurrence.js';
import { effort, NATIVE, openFastest } from '../support/devices.js';
import { ESTIMATORS } from './estimators.js';
import { CASES, linearLosses } from './linear-losses.js';

const THETA = { theta: 0.4 };

/**
 * Sum over an episode of what each pair contributes: mean, its standard error, and the trace of the
 * covariance.
 */
async function episodeMoments(
  estimator: {
    init(theta: never, options: { seed: number }): never;
    step(
      theta: never,
      state: never,
    ): Promise<{ pairGradients?: Float64Array; state: { inner: { dispose(): void } } }>;
  },
  theta: object,
  windows: number,
  pairs: number,
  seed: number,
) {
  let state = estimator.init(theta as never, { seed });
  let sums = new Float64Array(0);
  for (let i = 0; i < windows; i++) {
    const estimate = await estimator.step(theta as never, state);
    state = estimate.state as never;
    const { pairGradients } = estimate;
    if (i === 0) sums = new Float64Array(pairGradients!.length);
    for (let j = 0; j < sums.length; j++) sums[j] += pairGradients![j];
  }
  (state as { inner: { dispose(): void } }).inner.dispose();
  const dim = sums.length / pairs;
  const mean = new Float64Array(dim);
  for (let j = 0; j < sums.length; j++) mean[j % dim] += sums[j] / pairs;
  let variance = 0;
  for (let j = 0; j < sums.length; j++) variance += (sums[j] - mean[j % dim]) ** 2 / (pairs - 1);
  return { mean, variance, standardError: Math.sqrt(variance / pairs) };
}

describe('the linear recurrence with quadratic losses', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openFastest();
  });
  afterAll(() => device.dispose());

  // Variance of the variance: about 1 % at 200 000 pairs, 3 % at 20 000.
  const pairs = effort({ native: 200_000, tfjs: 20_000 });
  const tolerance = effort({ native: 0.05, tfjs: 0.12 });
  const options = { particles: 2 * pairs, sigma: 0.5, record: { pairGradients: true }, standardError: false };

  it(`PES is unbiased and has the variance 14.889466 a pair (${pairs} pairs)`, async () => {
    using program = device.compile(linearRecurrence());
    const moments = await episodeMoments(
      pes(program, { ...options, truncation: 2 }) as never,
      THETA,
      3,
      pairs,
      1,
    );
    expect(Math.abs(moments.mean[0] - 0.9219356)).toBeLessThan(4 * moments.standardError);
    expect(Math.abs(moments.variance / 14.889466 - 1)).toBeLessThan(tolerance);
  });

  it(`NRES and full ES are unbiased and have the variance 1.699930 a pair (${pairs} pairs)`, async () => {
    using program = device.compile(linearRecurrence());
    for (const [estimator, windows] of [
      [nres(program, { ...options, truncation: 2 }), 3],
      [fullEs(program, options), 1],
    ] as const) {
      const moments = await episodeMoments(estimator as never, THETA, windows, pairs, 2);
      expect(Math.abs(moments.mean[0] - 0.9219356), estimator.name).toBeLessThan(4 * moments.standardError);
      expect(Math.abs(moments.variance / 1.69993 - 1), estimator.name).toBeLessThan(tolerance);
    }
  });

  it('truncated ES expects the sum of the truncated gradients, -0.6444537, whose sign is wrong', async () => {
    using program = device.compile(linearRecurrence());
    const moments = await episodeMoments(
      truncatedEs(program, { ...options, truncation: 2 }) as never,
      THETA,
      3,
      pairs,
      3,
    );
    expect(Math.abs(moments.mean[0] - -0.6444537)).toBeLessThan(4 * moments.standardError);
    expect(moments.mean[0]).toBeLessThan(0);
  });

  it('each truncated-ES estimate expects what truncated back-propagation computes', async () => {
    using program = device.compile(linearRecurrence());
    const estimator = truncatedEs(program, { particles: 2 * pairs, sigma: 0.5, truncation: 2 });
    let state = estimator.init(THETA, { seed: 4 });
    let s = 1;
    for (let window = 0; window < 3; window++) {
      const start = s;
      const truncated = tf.tidy(() => {
        const loss = (theta: tf.Tensor) => {
          const first = tf.add(tf.mul(0.9, start), theta);
          const second = tf.add(tf.mul(0.9, first), theta);
          return tf.mul(0.5, tf.add(tf.square(tf.sub(first, 2)), tf.square(tf.sub(second, 2)))) as tf.Scalar;
        };
        return tf.grad(loss)(tf.scalar(0.4)).dataSync()[0];
      });
      const estimate = await estimator.step(THETA, state);
      state = estimate.state;
      expect(Math.abs(estimate.gradient.theta - truncated)).toBeLessThan(4 * estimate.standardError!.theta);
      s = 0.9 * (0.9 * s + 0.4) + 0.4;
    }
    state.inner.dispose();
  });

  it('PES over windows that cross the ends of episodes is unbiased: 7 windows of 3 steps are 3 episodes of 7', async () => {
    const horizon = 7;
    using program = device.compile(linearRecurrence({ horizon }));
    let gradient = 0;
    for (let t = 0, s = 1, ds = 0; t < horizon; t++) {
      s = 0.9 * s + 0.4;
      ds = 0.9 * ds + 1;
      gradient += (s - 2) * ds;
    }
    for (const estimator of [
      pes(program, { ...options, truncation: 3 }),
      nres(program, { ...options, truncation: 3 }),
    ]) {
      const moments = await episodeMoments(estimator as never, THETA, 7, pairs, 5);
      expect(Math.abs(moments.mean[0] - 3 * gradient), estimator.name).toBeLessThan(
        4 * moments.standardError,
      );
    }
  });

  it('PES with telescoping is unbiased for the loss of the last step', async () => {
    using program = device.compile(linearRecurrence());
    const estimator = pes(program, { ...options, truncation: 2, telescoping: true });
    const moments = await episodeMoments(estimator as never, THETA, 3, pairs, 6);
    let s = 1;
    let ds = 0;
    for (let t = 0; t < 6; t++) {
      s = 0.9 * s + 0.4;
      ds = 0.9 * ds + 1;
    }
    expect(Math.abs(moments.mean[0] - (s - 2) * ds)).toBeLessThan(4 * moments.standardError);
  });

  it('PES stays unbiased when sigma falls from window to window', async () => {
    using program = device.compile(linearRecurrence());
    const sigmaSchedule = (update: number) => 0.5 ** update;
    const estimator = pes(program, { ...options, truncation: 2, sigmaSchedule });
    const moments = await episodeMoments(estimator as never, THETA, 3, pairs, 7);
    expect(Math.abs(moments.mean[0] - 0.9219356)).toBeLessThan(4 * moments.standardError);
    expect(moments.standardError).toBeLessThan(effort({ native: 0.05, tfjs: 0.2 }));
  });
});

describe('diagnostics', () => {
  it('the accumulator of PES grows with the root of the windows of an episode, that of NRES does not', async () => {
    await using device = await openFastest();
    using program = device.compile(linearRecurrence());
    const norms = async (estimator: ReturnType<typeof pes<{ theta: unknown }, unknown, unknown>>) => {
      let state = estimator.init(THETA as never, { seed: 1 });
      const infos = [];
      for (let i = 0; i < 4; i++) {
        const estimate = await estimator.step(THETA as never, state);
        state = estimate.state;
        infos.push(estimate.info);
      }
      state.inner.dispose();
      return infos;
    };
    const options = { particles: 8000, sigma: 0.3, truncation: 2 };
    const persistent = await norms(pes(program, options) as never);
    [1, Math.sqrt(2), Math.sqrt(3), 1].forEach((wanted, i) => {
      // The norm over 4000 pairs varies by about 1 %.
      expect(Math.abs(persistent[i].accumulatorNorm / wanted - 1)).toBeLessThan(0.05);
    });
    expect(persistent.map(({ resets }) => resets)).toEqual([0, 0, 4000, 0]);
    expect(persistent.map(({ sequentialSteps }) => sequentialSteps)).toEqual([2, 2, 2, 2]);
    for (const { accumulatorNorm } of await norms(nres(program, options) as never)) {
      expect(Math.abs(accumulatorNorm - 1)).toBeLessThan(0.05);
    }
  });
});

describe('the variance formula for linear losses, 8 windows and 2 parameters', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openFastest();
  });
  afterAll(() => device.dispose());
  const pairs = effort({ native: 400_000, tfjs: 20_000 });
  const tolerance = effort({ native: 0.05, tfjs: 0.12 });

  it.each(CASES)(
    `$name: PES $pes, NRES $nres (${pairs} pairs)`,
    async ({ weights, pes: wantedPes, nres: wantedNres }) => {
      using program = device.compile(linearLosses(weights));
      const options = {
        particles: 2 * pairs,
        sigma: 0.3,
        truncation: 1,
        record: { pairGradients: true },
        standardError: false,
      };
      for (const [estimator, wanted] of [
        [pes(program, options), wantedPes],
        [nres(program, options), wantedNres],
      ] as const) {
        const { variance } = await episodeMoments(estimator as never, { theta: [0.2, -0.1] }, 8, pairs, 8);
        if (wanted === 0) expect(variance, estimator.name).toBeLessThan(1e-6);
        else expect(Math.abs(variance / wanted - 1), estimator.name).toBeLessThan(tolerance);
      }
    },
  );
});

describe('identities on the same noise', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openFastest();
  });
  afterAll(() => device.dispose());

  // Not quadratic, noisy, with two parameters.
  const rough = defineUnroll({
    horizon: 6,
    theta: { a: shape(), b: shape(2) },
    init: ({ theta, rng }) => ({ s: rng.normal([2], { share: 'pair' }).add(theta.b) }),
    step: ({ theta, state, rng }) => {
      const s = tf.tanh(state.s.mul(theta.a).add(theta.b)).add(rng.normal([2]).mul(0.1));
      return { state: { s }, loss: tf.sum(tf.exp(s)) as tf.Tensor };
    },
  });
  const theta = { a: 0.8, b: [0.1, -0.3] };
  type Estimator = ReturnType<typeof pes<(typeof rough)['theta'], unknown, unknown>>;

  async function estimates(estimator: unknown, count: number): Promise<number[][]> {
    const { init, step } = estimator as Estimator;
    let state = init(theta, { seed: 9 });
    const rows: number[][] = [];
    for (let i = 0; i < count; i++) {
      const estimate = await step(theta, state);
      state = estimate.state;
      rows.push([estimate.gradient.a, ...estimate.gradient.b]);
    }
    state.inner.dispose();
    return rows;
  }

  function close(a: readonly number[], b: readonly number[]): void {
    a.forEach((value, i) => {
      expect(Math.abs(value - b[i])).toBeLessThan(1e-5 * Math.max(1, Math.abs(b[i])));
    });
  }
  const common = { particles: 200, sigma: 0.2 };

  it('PES, NRES, GPES and truncated ES with one window an episode are full ES', async () => {
    using program = device.compile(rough);
    const full = await estimates(fullEs(program, common), 3);
    const window = { ...common, truncation: 6 };
    for (const other of [
      pes(program, window),
      nres(program, window),
      gpes(program, { ...window, block: 12 }),
      truncatedEs(program, { ...window, carry: 'positive' }),
    ]) {
      (await estimates(other, 3)).forEach((row, i) => {
        close(row, full[i]);
      });
    }
  });

  it('GPES with blocks of one window is PES, and with blocks of an episode NRES, exactly', async () => {
    using program = device.compile(rough);
    const window = { ...common, truncation: 2 };
    const asPes = await estimates(gpes(program, { ...window, block: 2 }), 7);
    expect(asPes).toEqual(await estimates(pes(program, window), 7));
    const asNres = await estimates(gpes(program, { ...window, block: 6 }), 7);
    expect(asNres).toEqual(await estimates(nres(program, window), 7));
    expect(asPes[1]).not.toEqual(asNres[1]);
  });

  it('the estimates of NRES over an episode add up to full ES', async () => {
    using program = device.compile(rough);
    const rows = await estimates(nres(program, { ...common, truncation: 2 }), 3);
    const sum = rows[0].map((_, j) => rows[0][j] + rows[1][j] + rows[2][j]);
    close(sum, (await estimates(fullEs(program, common), 1))[0]);
  });

  it('the first PES estimate after a reset is an ES estimate from the start, with the same perturbations', async () => {
    using program = device.compile(linearRecurrence());
    using short = device.compile(linearRecurrence({ horizon: 2 }));
    const options = { particles: 64, sigma: 0.2 };
    const run = async (estimator: unknown, count: number) => {
      const { init, step } = estimator as ReturnType<typeof fullEs<{ theta: unknown }, unknown, unknown>>;
      let state = init(THETA as never, { seed: 4 });
      let last = 0;
      for (let i = 0; i < count; i++) {
        const estimate = await step(THETA as never, state);
        state = estimate.state;
        last = (estimate.gradient as { theta: number }).theta;
      }
      state.inner.dispose();
      return last;
    };
    // Estimate 3 (the fourth) begins the second episode of 6 steps in windows of 2; full ES of 2 steps draws the same noise for it.
    const afterReset = await run(pes(program, { ...options, truncation: 2 }), 4);
    expect(afterReset).toBeCloseTo(await run(fullEs(short, options), 4), 6);
  });

  it("mean normalisation divides by the steps of a window; clipping and signs act on the pairs' differences", async () => {
    using program = device.compile(linearRecurrence());
    const window = { particles: 100, sigma: 0.3, truncation: 2, record: { pairGradients: true } } as const;
    const first = async (extra: object) => {
      const estimator = pes(program, { ...window, ...extra });
      const estimate = await estimator.step(THETA, estimator.init(THETA, { seed: 1 }));
      estimate.state.inner.dispose();
      return estimate;
    };
    const plain = await first({});
    expect((await first({ normalisation: 'mean' })).gradient.theta).toBeCloseTo(plain.gradient.theta / 2, 10);
    const noise = await program.noise.fill({ rows: 50, dim: 1, seed: 0, noiseStep: 0 });
    expect(noise).toHaveLength(50);
    const clipped = await first({ difference: { clip: 1e-3 } });
    const signed = await first({ difference: { sign: 1e-3 } });
    // Every difference of this problem is larger than 1e-3, so that both leave only its sign.
    expect([...clipped.pairGradients!]).toEqual([...signed.pairGradients!]);
    const halfDifference = Math.abs(signed.pairGradients![0] / plain.pairGradients![0]);
    expect(halfDifference).toBeLessThan(1);
  });
});

// Without the native engine there is nothing to compare.
describe.each(NATIVE ? ['with one thread and with two'] : [])('the native device %s', () => {
  it.each(ESTIMATORS)('$name: the same bits', async (listed) => {
    const rows: number[][] = [];
    for (const threads of [1, 2]) {
      await using device = await openDevice('cpu', { threads });
      using program = device.compile(linearRecurrence());
      const estimator = listed.make(program, { particles: 3000, sigma: 0.5 }, 2);
      let state = estimator.init(THETA, { seed: 5 });
      const row: number[] = [];
      for (let i = 0; i < 4; i++) {
        const estimate = await estimator.step(THETA, state);
        state = estimate.state;
        row.push(estimate.gradient.theta, estimate.standardError!.theta, estimate.meanLoss);
      }
      state.inner.dispose();
      rows.push(row);
    }
    expect(rows[1]).toEqual(rows[0]);
  });
});
