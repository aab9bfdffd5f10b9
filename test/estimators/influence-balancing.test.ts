import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Device, pes, truncatedEs } from '../../src/index.js';
import { influenceBalancing } from '../../src/tasks/influence-balancing.js';
import { effort, openFastest } from '../support/devices.js';

const N = 23;
const SIGNS = Array.from({ length: N }, (_, i) => (i < 10 ? 1 : -1));

/** s' = A s + theta v in float64. */
function advance(s: readonly number[], theta: number): number[] {
  return s.map((x, i) => 0.5 * x + 0.5 * (s[i + 1] ?? 0) + theta * SIGNS[i]);
}

/** Loss after 500 fresh steps. */
function finalLoss(theta: number): number {
  let s: number[] = new Array(N).fill(1);
  for (let i = 0; i < 500; i++) s = advance(s, theta);
  return 0.5 * (s[0] - 1) ** 2;
}

/**
 * Theta after `updates` of gradient descent at rate 1e-4 on the exact (real-time recurrent) or one-step
 * gradient.
 */
function exactDescent(updates: number, oneStep: boolean): number {
  let theta = 0.5;
  let s: number[] = new Array(N).fill(1);
  let sensitivity: number[] = new Array(N).fill(0);
  for (let i = 0; i < updates; i++) {
    if (oneStep) sensitivity = new Array(N).fill(0);
    sensitivity = advance(sensitivity, 1);
    s = advance(s, theta);
    theta -= 1e-4 * (s[0] - 1) * sensitivity[0];
  }
  return theta;
}

describe('influence balancing', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openFastest();
  });
  afterAll(() => device.dispose());

  async function descend(
    make: typeof pes | typeof truncatedEs,
    particles: number,
    updates: number,
    seed: number,
  ) {
    using program = device.compile(influenceBalancing());
    const estimator = make(program, { particles, sigma: 0.1, truncation: 1, standardError: false });
    let theta = 0.5;
    let state = estimator.init({ theta }, { seed });
    for (let i = 0; i < updates; i++) {
      const estimate = await estimator.step({ theta }, state as never);
      theta -= 1e-4 * estimate.gradient.theta;
      state = estimate.state;
    }
    state.inner.dispose();
    return theta;
  }

  it('has the published sensitivities and its minimum at -1/6', () => {
    expect(finalLoss(0.5)).toBeCloseTo(8, 10);
    expect(finalLoss(-1 / 6)).toBeLessThan(1e-20);
    let s: number[] = new Array(N).fill(0);
    const sensitivities: number[] = [];
    for (let k = 1; k <= 100; k++) {
      s = advance(s, 1);
      sensitivities[k] = s[0];
    }
    const published = {
      1: 1,
      5: 5,
      10: 10,
      20: 16.476059,
      30: 9.869932,
      40: 0.565538,
      50: -4.752671,
      100: -6,
    };
    for (const [k, value] of Object.entries(published))
      expect(sensitivities[Number(k)]).toBeCloseTo(value, 5);
  });

  const { seeds, updates, limit } = effort({
    native: { seeds: [1, 2, 3, 4, 5], updates: 3000, limit: 1e-10 },
    // The exact gradient has a loss of 1.4e-3 after 600 updates.
    tfjs: { seeds: [1], updates: 600, limit: 0.02 },
  });
  it.each(seeds)(
    `PES finds the minimum: loss below ${limit} after ${updates} updates, seed %i`,
    async (seed) => {
      expect(finalLoss(await descend(pes, 1000, updates, seed))).toBeLessThan(limit);
    },
  );

  it('truncated ES walks away from it exactly as truncated back-propagation does, within 5 %', async () => {
    const steps = effort({ native: 1000, tfjs: 300 });
    const wanted = finalLoss(exactDescent(steps, true));
    if (steps === 1000) expect(wanted).toBeCloseTo(22.2, 1);
    expect(wanted).toBeGreaterThan(8);
    const loss = finalLoss(await descend(truncatedEs, 1000, steps, 1));
    expect(Math.abs(loss / wanted - 1)).toBeLessThan(0.05);
  });

  it('PES follows the exact real-time recurrent gradient', async () => {
    const steps = 200;
    const theta = await descend(pes, effort({ native: 20_000, tfjs: 2000 }), steps, 2);
    expect(Math.abs(theta - exactDescent(steps, false))).toBeLessThan(effort({ native: 0.01, tfjs: 0.03 }));
  });
});
