/** Whole unrolls on every device: the same draws, perturbations, resets and sums; states that travel between devices. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  DeviceDriver,
  LeafSpec,
  RunRequest,
  RunResult,
  StateSnapshot,
  UnrollSpec,
} from '../../src/device/driver.js';
import { GraphBuilder } from '../../src/graph/builder.js';
import type { DType, RandomKind, Shape, Share } from '../../src/graph/graph.js';
import { DEVICES } from './devices.js';

function leaf(path: string, shape: Shape, dtype: DType = 'float32'): LeafSpec {
  return { path, shape, dtype };
}

/**
 * A leaky walk: x' = decay * x + bias + (draws of every kind and sharing), with an int32 counter of positive draws and a bool of the last
 * one; init draws too. The walk forgets, so that roundings do not grow.
 */
function walk(): UnrollSpec {
  const draw = (b: GraphBuilder, n: number, kind: RandomKind, share: Share, shape: Shape = [3]) =>
    b.add({ name: 'random', kind, share, draw: n }, [], { shape });
  const i = new GraphBuilder();
  const bias = i.input('theta', 'bias', [3], 'float32');
  const start = i.add({ name: 'add' }, [bias, draw(i, 0, { distribution: 'normal' }, 'pair')]);
  const init = i.build([
    { path: 'state.x', node: start },
    { path: 'state.count', node: draw(i, 1, { distribution: 'integers', low: 0, high: 9 }, 'particle', []) },
    { path: 'state.last', node: i.constant([false], [], 'bool') },
  ]);
  const b = new GraphBuilder();
  const x = b.input('state', 'x', [3], 'float32');
  const count = b.input('state', 'count', [], 'int32');
  const decay = b.input('theta', 'decay', [], 'float32');
  const data = b.input('data', 'd', [4, 3], 'float32');
  const add = (...ids: number[]) => ids.reduce((p, q) => b.add({ name: 'add' }, [p, q]));
  const row = draw(b, 0, { distribution: 'integers', low: 0, high: 4 }, 'all', [1]);
  const picked = b.add({ name: 'gather', axis: 0, batchDims: 0 }, [data, row]);
  const flag = draw(b, 3, { distribution: 'bernoulli', p: 0.4 }, 'particle', []);
  const next = add(
    b.add({ name: 'mul' }, [x, decay]),
    b.input('theta', 'bias', [3], 'float32'),
    draw(b, 1, { distribution: 'normal' }, 'pair'),
    draw(b, 2, { distribution: 'uniform', low: -1, high: 1 }, 'particle'),
    b.add({ name: 'reshape' }, [picked], { shape: [3] }),
  );
  const t = b.add({ name: 'cast' }, [b.input('t', 't', [], 'int32')], { dtype: 'float32' });
  const loss = add(
    b.add({ name: 'sum', axes: [0], keepDims: false }, [b.add({ name: 'square' }, [next])]),
    t,
  );
  const step = b.build([
    { path: 'state.x', node: next },
    { path: 'state.count', node: add(count, b.add({ name: 'cast' }, [flag], { dtype: 'int32' })) },
    { path: 'state.last', node: flag },
    { path: 'loss', node: loss },
    { path: 'metrics.t', node: t },
    {
      path: 'metrics.particle',
      node: b.add({ name: 'cast' }, [b.input('particle', '', [], 'int32')], { dtype: 'float32' }),
    },
  ]);
  return {
    init,
    step,
    theta: [leaf('decay', []), leaf('bias', [3])],
    state: [leaf('x', [3]), leaf('count', [], 'int32'), leaf('last', [], 'bool')],
    data: [leaf('d', [4, 3])],
    metrics: ['t', 'particle'],
    horizon: 7,
  };
}

const PARTICLES = 34;
const DATA = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
const STAGGER = Int32Array.from({ length: PARTICLES }, (_, i) => (i * 3) % 7);
const REQUEST: Omit<RunRequest, 'state'> = {
  steps: 10,
  theta: {
    kind: 'perturbed',
    mean: Float32Array.of(0.3, 0.1, -0.2, 0.4),
    sigma: Float32Array.of(0.05, 0.5, 0.5, 0.5),
    seed: 17,
    noiseStep: Uint32Array.from({ length: PARTICLES / 2 }, (_, i) => i % 3),
  },
  seed: 2 ** 45 + 123,
  firstStep: 1000,
  antithetic: true,
  record: 'perStep',
};

interface Outcome {
  readonly first: RunResult;
  readonly half: StateSnapshot;
  readonly second: RunResult;
  readonly end: StateSnapshot;
}

async function play(driver: DeviceDriver, from?: StateSnapshot): Promise<Outcome> {
  using program = driver.load(walk(), [DATA]);
  using state = program.createState(PARTICLES, STAGGER);
  const first = await program.run({ ...REQUEST, state });
  const half = await state.export();
  using resumed = await program.importState(from ?? half);
  const second = await program.run({ ...REQUEST, state: resumed, steps: 5, firstStep: 1010 });
  return { first, half, second, end: await resumed.export() };
}

function expectClose(got: ArrayLike<number>, wanted: ArrayLike<number>, what: string): void {
  expect(got.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    if (Math.abs(got[i] - wanted[i]) > 1e-5 * Math.abs(wanted[i]) + 1e-5) {
      expect.fail(`${what}[${i}] is ${got[i]} instead of ${wanted[i]}`);
    }
  }
}

function expectSameOutcome(got: Outcome, wanted: Outcome): void {
  for (const part of ['first', 'second'] as const) {
    const [g, w] = [got[part], wanted[part]];
    expectClose(g.losses as Float32Array, w.losses as Float32Array, `${part} losses`);
    expectClose(g.lossSums, w.lossSums, `${part} lossSums`);
    expect(g.firstSteps).toEqual(w.firstSteps);
    expect(g.metrics).toEqual(w.metrics);
  }
  for (const part of ['half', 'end'] as const) {
    const [g, w] = [got[part], wanted[part]];
    expectClose(g.leaves[0], w.leaves[0], `${part} x`);
    // Draws are the same bits everywhere, hence whatever is made of them in integers.
    expect(g.leaves[1]).toEqual(w.leaves[1]);
    expect(g.leaves[2]).toEqual(w.leaves[2]);
    expect(g.t).toEqual(w.t);
    expect(g.fresh).toEqual(w.fresh);
  }
}

describe('an unroll with draws, perturbed thetas, stagger and resets', () => {
  const drivers: DeviceDriver[] = [];
  const outcomes: Outcome[] = [];
  beforeAll(async () => {
    for (const { open } of DEVICES) {
      const driver = await open();
      drivers.push(driver);
      outcomes.push(await play(driver));
    }
  });
  afterAll(async () => {
    for (const driver of drivers) await driver.dispose();
  });

  for (const [k, { name }] of DEVICES.entries()) {
    if (k === 0) continue;
    it(`comes out on ${name} as on ${DEVICES[0].name}`, () => expectSameOutcome(outcomes[k], outcomes[0]));
    it(`goes on on ${name} with the state of ${DEVICES[0].name}`, async () => {
      expectSameOutcome(await play(drivers[k], outcomes[0].half), outcomes[0]);
    });
  }

  it('ends every episode at the horizon, wherever it began', () => {
    for (const { half } of outcomes) {
      expect(half.t).toEqual(STAGGER.map((t) => (t + 10) % 7));
      expect([...half.fresh]).toEqual(Array.from(half.t, (t) => (t === 0 ? 1 : 0)));
    }
  });

  it('perturbation kernels agree bit for bit with what runs draw', async () => {
    const noise = {
      rows: 33,
      dim: 5,
      seed: 17,
      noiseStep: Uint32Array.from({ length: 33 }, (_, i) => i % 3),
    };
    const weights = Float64Array.from({ length: 33 }, (_, i) => Math.cos(i));
    const all = await Promise.all(
      drivers.map(async (driver) => {
        const matrix = await driver.noise.fill(noise);
        const sum = new Float32Array(33 * 5).fill(0.5);
        await driver.noise.accumulate(sum, Float32Array.of(1, 2, 3, 4, 0.5), noise);
        return { matrix, sum, weighted: await driver.noise.weightedRowSum(weights, matrix, 5) };
      }),
    );
    for (const other of all.slice(1)) expect(other).toEqual(all[0]);
  });
});
