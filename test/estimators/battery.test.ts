import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CheckpointError, defineUnroll, OptionError, ShapeError, shape } from '../../src/index.js';
import { linearRecurrence } from '../../src/tasks/linear-recurrence.js';
import { Device } from '../../src/transform/device.js';
import { DEVICES, effort, openFastest } from '../support/devices.js';
import { referenceDriver } from '../support/reference-driver.js';
import { ESTIMATORS } from './estimators.js';

// Two parameters, noise in init and step, an integer in the state, horizon 6: everything an estimator must carry along.
const noisy = defineUnroll({
  horizon: 6,
  theta: { a: shape(), b: shape(2) },
  init: ({ rng, theta }) => ({
    s: rng.normal([2], { share: 'pair' }).add(theta.b),
    n: tf.scalar(0, 'int32'),
  }),
  step: ({ theta, state, rng, t }) => {
    const s = state.s
      .mul(theta.a)
      .add(rng.normal([2]).mul(0.1))
      .add(theta.b.mul(0.1))
      .add(t.toFloat().mul(0.01));
    return { state: { s, n: state.n.add(tf.scalar(1, 'int32')) }, loss: s.square().sum().add(theta.b.sum()) };
  },
});
const THETA = { a: 0.7, b: [0.3, -0.2] };

/** The recurrence of the sheet with losses scale * loss + offset. */
function scaled(scale: number, offset: number) {
  return defineUnroll({
    horizon: 6,
    theta: { theta: shape() },
    init: () => ({ s: tf.scalar(1) }),
    step: ({ theta, state }) => {
      const s = state.s.mul(0.9).add(theta.theta);
      return {
        state: { s },
        loss: s
          .sub(2)
          .square()
          .mul(0.5 * scale)
          .add(offset),
      };
    },
  });
}

/** Gradients, losses and final inner state of some estimates, as plain numbers. */
async function trajectory(
  device: Device,
  listed: (typeof ESTIMATORS)[number],
  seed: number,
  updates: number,
  resumeAt = -1,
) {
  using program = device.compile(noisy);
  const estimator = listed.make(program, { particles: 8, sigma: 0.1 }, 2);
  let state = estimator.init(THETA, { seed });
  const numbers: number[] = [];
  for (let i = 0; i < updates; i++) {
    if (i === resumeAt) {
      const bytes = await estimator.checkpoint(state);
      state.inner.dispose();
      state = await estimator.restore(bytes);
    }
    const estimate = await estimator.step(THETA, state);
    state = estimate.state;
    const { gradient, standardError } = estimate;
    numbers.push(gradient.a, ...gradient.b, standardError!.a, ...standardError!.b, estimate.meanLoss);
  }
  const exported = await state.inner.export();
  numbers.push(...exported.state.s, ...exported.state.n, ...exported.t, ...exported.fresh);
  state.inner.dispose();
  return numbers;
}

function closeRelative(a: readonly number[], b: readonly number[], tolerance: number): void {
  expect(a.length).toBe(b.length);
  a.forEach((value, i) => {
    const scale = Math.max(1, Math.abs(b[i]));
    expect(Math.abs(value - b[i]) / scale, `number ${i}: ${value} and ${b[i]}`).toBeLessThan(tolerance);
  });
}

describe.each(ESTIMATORS)('$name', (listed) => {
  describe.each(DEVICES)('on $name', ({ open }) => {
    let device: Device;
    beforeAll(async () => {
      device = await open();
    });
    afterAll(() => device.dispose());

    it('gives the same numbers for the same seed, and others for another', async () => {
      const first = await trajectory(device, listed, 5, 4);
      expect(await trajectory(device, listed, 5, 4)).toEqual(first);
      expect(await trajectory(device, listed, 6, 4)).not.toEqual(first);
    });

    it('goes on from a checkpoint as the uninterrupted run does, bit for bit', async () => {
      const whole = await trajectory(device, listed, 7, 5);
      for (const at of [1, 2, 3, 4])
        expect(await trajectory(device, listed, 7, 5, at), `resumed at ${at}`).toEqual(whole);
    });

    it('agrees with the reference device within 1e-5', async () => {
      const reference = new Device(referenceDriver());
      closeRelative(await trajectory(device, listed, 8, 5), await trajectory(reference, listed, 8, 5), 1e-5);
    });
  });

  describe('statistics', () => {
    let device: Device;
    beforeAll(async () => {
      device = await openFastest();
    });
    afterAll(() => device.dispose());

    it(`expects ${listed.unbiased ? 'the exact gradient' : 'the truncated gradient'} of a quadratic loss, at 4 standard errors`, async () => {
      using program = device.compile(linearRecurrence());
      const particles = effort({ native: 40_000, tfjs: 4000 });
      const estimator = listed.make(program, { particles, sigma: 0.5 }, 2);
      const theta = { theta: 0.4 };
      let state = estimator.init(theta, { seed: 1 });
      let sum = 0;
      let errors = 0;
      for (let i = 0; i < listed.windows(6, 2); i++) {
        const estimate = await estimator.step(theta, state);
        state = estimate.state;
        sum += estimate.gradient.theta;
        // Windows of one episode are correlated; the errors added up bound that of the sum.
        errors += estimate.standardError!.theta;
      }
      state.inner.dispose();
      if (listed.unbiased) {
        expect(Math.abs(sum - 0.9219356)).toBeLessThan(4 * errors);
        expect(errors).toBeLessThan(effort({ native: 0.06, tfjs: 0.2 }));
      } else if (listed.name === 'truncatedEs') {
        expect(Math.abs(sum - -0.6444537)).toBeLessThan(4 * errors);
      } else {
        // States that carry perturbations on keep their mean, and the loss is quadratic: the same expectation.
        expect(Math.abs(sum - -0.6444537)).toBeLessThan(4 * errors);
      }
    });
  });

  describe('contract', () => {
    const driver = referenceDriver();
    const device = new Device(driver);

    it('scales with the loss exactly, and does not see a constant', async () => {
      const estimates: number[][] = [];
      for (const [scale, offset] of [
        [1, 0],
        [4, 0],
        [1, 0.5],
      ]) {
        using program = device.compile(scaled(scale, offset));
        const estimator = listed.make(program, { particles: 64, sigma: 0.25 }, 2);
        let state = estimator.init({ theta: 0.4 }, { seed: 3 });
        const row: number[] = [];
        for (let i = 0; i < 3; i++) {
          const estimate = await estimator.step({ theta: 0.4 }, state);
          state = estimate.state;
          row.push(estimate.gradient.theta);
        }
        state.inner.dispose();
        estimates.push(row);
      }
      expect(estimates[1]).toEqual(estimates[0].map((g) => 4 * g));
      // The constant shifts the float32 rounding of a loss, and nothing else.
      closeRelative(estimates[2], estimates[0], 1e-5);
    });

    it('drops pairs that are not finite, counts them, and keeps the rest', async () => {
      using program = device.compile(
        defineUnroll({
          horizon: 4,
          theta: { theta: shape() },
          init: ({ particle }) => ({
            bad: tf.equal(particle.mod(tf.scalar(4, 'int32')), tf.scalar(1, 'int32')).toFloat(),
          }),
          // Particles 1, 5, ... divide by zero; with 8 particles these are the members of pair 1.
          step: ({ theta, state }) => ({ state, loss: theta.theta.div(tf.sub(1, state.bad)) }),
        }),
      );
      const estimator = listed.make(
        program,
        { particles: 8, sigma: 0.1, record: { pairGradients: true } },
        2,
      );
      const { gradient, info, meanLoss, pairGradients, state } = await estimator.step(
        { theta: 1 },
        estimator.init({ theta: 1 }, { seed: 1 }),
      );
      expect(info.droppedPairs).toBe(1);
      expect(Number.isFinite(gradient.theta)).toBe(true);
      expect(Number.isFinite(meanLoss)).toBe(true);
      const kept = [0, 2, 3].map((p) => pairGradients![p]);
      expect(gradient.theta).toBeCloseTo(kept.reduce((a, b) => a + b) / 3, 6);
      state.inner.dispose();
      const strict = listed.make(program, { particles: 8, sigma: 0.1, nonFinite: 'throw' }, 2);
      const fresh = strict.init({ theta: 1 }, { seed: 1 });
      await expect(strict.step({ theta: 1 }, fresh)).rejects.toMatchObject({ code: 'ERR_NON_FINITE' });
      fresh.inner.dispose();
    });

    it('refuses what it cannot use, by name', async () => {
      using program = device.compile(linearRecurrence());
      const make = (options: object) => () =>
        listed.make(program, { particles: 8, sigma: 0.1, ...options }, 2);
      expect(make({ particles: 7 })).toThrow(/particles must be even.*7/);
      expect(make({ sgima: 0.1 })).toThrow(/"sgima".*misspelt "sigma"/);
      expect(make({ sigma: -1 })).toThrow(/sigma must be positive/);
      expect(make({ sigma: { thetta: 1 } })).toThrow(/sigma has no "thetta"/);
      expect(make({ difference: { clip: 1, sign: 1 } })).toThrow(/one of the two/);
      expect(make({ nonFinite: 'ignore' })).toThrow(/nonFinite must be one of 'drop', 'throw'/);
      expect(make({ record: { loss: true } })).toThrow(/misspelt "losses"/);
      const estimator = make({})();
      expect(() => estimator.init({ theta: 1 }, { seed: -1 })).toThrow(/seed must be an integer/);
      expect(() => estimator.init({ theta: [1, 2] }, { seed: 1 })).toThrow(ShapeError);
      expect(() => estimator.init({} as never, { seed: 1 })).toThrow(/theta lacks "theta"/);
    });

    it('refuses a state that is used up, and leaves the newest usable', async () => {
      using program = device.compile(linearRecurrence());
      const estimator = listed.make(program, { particles: 8, sigma: 0.1 }, 2);
      const first = estimator.init({ theta: 1 }, { seed: 1 });
      const running = estimator.step({ theta: 1 }, first);
      await expect(estimator.step({ theta: 1 }, first)).rejects.toMatchObject({ code: 'ERR_BUSY' });
      const { state } = await running;
      await expect(estimator.step({ theta: 1 }, first)).rejects.toThrow(/used up|disposed/);
      const last = await estimator.step({ theta: 1 }, state);
      last.state.inner.dispose();
    });

    it('refuses what is no state of its own, by name', async () => {
      using program = device.compile(linearRecurrence());
      using twin = device.compile(linearRecurrence());
      const estimator = listed.make(program, { particles: 8, sigma: 0.1 }, 2);
      const refuse = (state: unknown, message: RegExp, options = {}) =>
        expect(estimator.step({ theta: 1 }, state as never, options)).rejects.toThrow(message);
      await refuse(undefined, /wanted the state of this estimator .*, got undefined/);
      await refuse({ theta: 1 }, /wanted the state of this estimator/);
      const options = { particles: 16, sigma: 0.1 };
      const strange = listed.make(twin, options, 2).init({ theta: 1 }, { seed: 1 });
      await refuse(strange, /belongs to another program/);
      await expect(estimator.checkpoint(undefined as never)).rejects.toThrow(/wanted the state/);
      const own = estimator.init({ theta: 1 }, { seed: 1 });
      await refuse(own, /misspelt "signal"/, { signall: undefined });
      const { state } = await estimator.step({ theta: 1 }, own);
      expect(() => estimator.init({ theta: 1 }, undefined as never)).toThrow(/expects an object of options/);
      for (const nothing of [undefined, device, linearRecurrence()]) {
        expect(() => listed.make(nothing as never, options, 2)).toThrow(/needs a program/);
      }
      state.inner.dispose();
      strange.inner.dispose();
    });

    it('refuses checkpoints of other programs, estimators, settings, and damaged ones', async () => {
      using program = device.compile(linearRecurrence());
      using other = device.compile(linearRecurrence({ horizon: 8 }));
      const estimator = listed.make(program, { particles: 8, sigma: 0.1 }, 2);
      const state = estimator.init({ theta: 1 }, { seed: 1 });
      const bytes = await estimator.checkpoint(state);
      state.inner.dispose();
      const refuse = async (
        maker: () => { restore(bytes: Uint8Array): Promise<unknown> },
        given: Uint8Array,
      ) => expect(maker().restore(given)).rejects.toThrow(CheckpointError);
      await refuse(() => listed.make(other, { particles: 8, sigma: 0.1 }, 2), bytes);
      await refuse(() => listed.make(program, { particles: 10, sigma: 0.1 }, 2), bytes);
      const another = ESTIMATORS.find(({ name }) => name.slice(0, 5) !== listed.name.slice(0, 5))!;
      await refuse(() => another.make(program, { particles: 8, sigma: 0.1 }, 2), bytes);
      const changed = bytes.slice();
      changed[changed.length - 9] ^= 1;
      await refuse(() => estimator, changed);
      await refuse(() => estimator, bytes.subarray(0, bytes.length - 8));
    });

    it('weights losses of every step into the estimates, and returns them when asked', async () => {
      using program = device.compile(linearRecurrence());
      const estimator = listed.make(
        program,
        { particles: 8, sigma: 0.1, record: { losses: true, pairGradients: true } },
        2,
      );
      const { losses, pairGradients, gradient, standardError, meanLoss, info, state } = await estimator.step(
        { theta: 0.4 },
        estimator.init({ theta: 0.4 }, { seed: 2 }),
      );
      const steps = 6 / listed.windows(6, 2);
      expect(losses).toHaveLength(8 * steps);
      expect(meanLoss).toBeCloseTo(losses!.reduce((a, b) => a + b) / losses!.length, 6);
      expect(gradient.theta).toBeCloseTo(pairGradients!.reduce((a, b) => a + b) / 4, 10);
      expect(info.particleSteps).toBeGreaterThanOrEqual(8 * steps);
      const squares = pairGradients!.map((g) => (g - gradient.theta) ** 2).reduce((a, b) => a + b);
      expect(standardError!.theta).toBeCloseTo(Math.sqrt(squares / 3 / 4), 10);
      expect(info.gradientVariance).toBeCloseTo(squares / 12, 10);
      expect(info.gradientNorm).toBeCloseTo(Math.abs(gradient.theta), 10);
      state.inner.dispose();
    });

    it('leaves nothing behind', async () => {
      const before = { ...driver.live, tensors: tf.memory().numTensors };
      await trajectory(device, listed, 1, 3, 2);
      expect({ ...driver.live, tensors: tf.memory().numTensors }).toEqual(before);
      expect(driver.live).toEqual({ states: 0, programs: 0, functions: 0 });
    });

    it('throws OptionError, the library’s own', () => {
      using program = device.compile(linearRecurrence());
      expect(() => listed.make(program, { particles: 0, sigma: 0.1 }, 2)).toThrow(OptionError);
    });
  });
});

describe('a state of fewer particles', () => {
  // Truncated ES carries a state of its own, whatever the number of particles.
  it.each(ESTIMATORS.filter(({ name }) => name !== 'truncatedEs'))('is refused by $name', async (listed) => {
    await using device = new Device(referenceDriver());
    using program = device.compile(linearRecurrence());
    const small = listed.make(program, { particles: 4, sigma: 0.1 }, 2).init({ theta: 1 }, { seed: 1 });
    const estimator = listed.make(program, { particles: 8, sigma: 0.1 }, 2);
    await expect(estimator.step({ theta: 1 }, small)).rejects.toThrow(/belongs to another estimator/);
    small.inner.dispose();
  });
});
