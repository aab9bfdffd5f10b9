import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gpes } from '../../src/estimators/gpes.js';
import { nres } from '../../src/estimators/nres.js';
import { pes } from '../../src/estimators/pes.js';
import { firstOffsets, type Staggering } from '../../src/estimators/windows.js';
import { linearRecurrence } from '../../src/tasks/linear-recurrence.js';
import { Device } from '../../src/transform/device.js';
import { referenceDriver } from '../support/reference-driver.js';
import { bruteForce } from './brute-force.js';

const THETA = 0.4;
const PAIRS = 12;
const WINDOWS = 9;

describe('estimates equal their definition, window by window', () => {
  let device: Device;
  beforeAll(() => {
    device = new Device(referenceDriver());
  });
  afterAll(() => device.dispose());

  async function check(
    horizon: number,
    truncation: number,
    blockWindows: number,
    staggering: Staggering,
    sigma: (update: number) => number,
    telescoping = false,
  ) {
    using program = device.compile(linearRecurrence({ horizon }));
    const common = {
      particles: 2 * PAIRS,
      sigma: sigma(0),
      truncation,
      staggering,
      sigmaSchedule: (u: number) => sigma(u) / sigma(0),
    };
    const block = blockWindows * truncation;
    const estimator =
      blockWindows === 1
        ? pes(program, { ...common, telescoping })
        : Number.isFinite(block)
          ? gpes(program, { ...common, block })
          : nres(program, common);
    const seed = 11;
    const expected = bruteForce({
      pairs: PAIRS,
      horizon,
      truncation,
      blockWindows,
      windows: WINDOWS,
      theta: THETA,
      sigma,
      seed,
      offsets: firstOffsets(PAIRS, horizon, truncation, staggering, seed),
      telescoping,
    });
    let state = estimator.init({ theta: THETA }, { seed });
    for (let w = 0; w < WINDOWS; w++) {
      const estimate = await estimator.step({ theta: THETA }, state);
      state = estimate.state;
      const scale = Math.max(1, Math.abs(expected[w]));
      expect(Math.abs(estimate.gradient.theta - expected[w]) / scale, `window ${w}`).toBeLessThan(2e-5);
    }
    state.inner.dispose();
  }

  const constant = () => 0.5;
  const falling = (update: number) => 0.5 * 0.8 ** update;
  for (const staggering of ['lockstep', 'staggered', 'random'] as const) {
    for (const [horizon, truncation] of [
      [6, 2],
      [7, 3],
      [5, 5],
      [8, 5],
    ] as const) {
      const where = `horizon ${horizon}, truncation ${truncation}, ${staggering}`;
      it(`PES, ${where}`, () => check(horizon, truncation, 1, staggering, constant));
      it(`NRES, ${where}`, () => check(horizon, truncation, Number.POSITIVE_INFINITY, staggering, constant));
      it(`GPES with blocks of two windows, ${where}`, () =>
        check(horizon, truncation, 2, staggering, constant));
      it(`PES with telescoping, ${where}`, () => check(horizon, truncation, 1, staggering, constant, true));
      it(`PES with falling sigma, ${where}`, () => check(horizon, truncation, 1, staggering, falling));
      it(`NRES with falling sigma, ${where}`, () =>
        check(horizon, truncation, Number.POSITIVE_INFINITY, staggering, falling));
    }
  }
});
