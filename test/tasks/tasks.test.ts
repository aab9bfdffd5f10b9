import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillIntegers, fillNormal, STREAMS } from '../../src/random/index.js';
import { influenceBalancing } from '../../src/tasks/influence-balancing.js';
import { linearRecurrence } from '../../src/tasks/linear-recurrence.js';
import { mlpClassifier } from '../../src/tasks/mlp-classifier.js';
import { toyRegression2d } from '../../src/tasks/toy-regression.js';
import type { Device } from '../../src/transform/device.js';
import { DEVICES } from '../support/devices.js';

const MLP = { features: 3, classes: 2, rows: 5, heldRows: 4, hidden: 4, batch: 2, horizon: 6, timescale: 2 };
const DATA = {
  x: Float32Array.from({ length: 15 }, (_, i) => Math.sin(3 * i)),
  y: [
    [1, 0],
    [0, 1],
    [1, 0],
    [0, 1],
    [1, 0],
  ],
  heldX: Float32Array.from({ length: 12 }, (_, i) => Math.cos(2 * i)),
  heldY: [
    [1, 0],
    [0, 1],
    [0, 1],
    [1, 0],
  ],
};
const SETTINGS = {
  logLearningRate: Math.log(0.3),
  momentumLogit: 0.5,
  logWeightDecay: Math.log(0.01),
  decayExponent: 0.7,
};
const SEED = 12;

/** The same training run with tfjs’s own ops and optimizer, one eager tensor after the other. */
function eagerTraining(): number[] {
  return tf.tidy(() => {
    const normal = (shape: [number, number], draw: number, scale: number) => {
      const out = new Float32Array(shape[0] * shape[1]);
      fillNormal(out, { seed: SEED, stream: STREAMS.init, draw, step: 0, subject: 0 });
      return tf.tensor2d(out, shape).mul(scale);
    };
    const weights = [
      normal([3, 4], 0, Math.sqrt(2 / 3)),
      tf.zeros([4]),
      normal([4, 2], 1, 0.5),
      tf.zeros([2]),
    ].map((w) => tf.variable(w as tf.Tensor));
    const velocity = weights.map((w) => tf.zerosLike(w) as tf.Tensor);
    const rowsOf = (step: number, draw: number, rows: number) => {
      const out = new Int32Array(2);
      fillIntegers(out, { seed: SEED, stream: STREAMS.step, draw, step, subject: 0 }, 0, rows);
      return tf.tensor1d(out, 'int32');
    };
    const loss = (x: tf.Tensor, y: tf.Tensor) => {
      const [w1, b1, w2, b2] = weights;
      const outputs = tf.matMul(
        tf
          .matMul(x as tf.Tensor2D, w1 as tf.Tensor2D)
          .add(b1)
          .relu() as tf.Tensor2D,
        w2 as tf.Tensor2D,
      );
      return tf.losses.softmaxCrossEntropy(y, outputs.add(b2)) as tf.Scalar;
    };
    const [x, heldX] = [tf.tensor2d(DATA.x, [5, 3]), tf.tensor2d(DATA.heldX, [4, 3])];
    const [y, heldY] = [tf.tensor2d(DATA.y), tf.tensor2d(DATA.heldY)];
    const losses: number[] = [];
    for (let t = 0; t < 6; t++) {
      const rows = rowsOf(t, 0, 5);
      const { grads } = tf.variableGrads(() => loss(tf.gather(x, rows), tf.gather(y, rows)), weights);
      const rate = 0.3 / (1 + t / 2) ** 0.7;
      weights.forEach((w, i) => {
        const gradient = grads[w.name].add(w.mul(0.01));
        velocity[i] = velocity[i].mul(1 / (1 + Math.exp(-0.5))).add(gradient);
        w.assign(w.sub(velocity[i].mul(rate)));
      });
      const held = rowsOf(t, 1, 4);
      losses.push(loss(tf.gather(heldX, held), tf.gather(heldY, held)).dataSync()[0]);
    }
    for (const w of weights) w.dispose();
    return losses;
  });
}

describe.each(DEVICES)('tasks on $name', ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device.dispose());

  it('the linear recurrence has the loss 0.46383684 at 0.4', async () => {
    using program = device.compile(linearRecurrence());
    using state = program.createState(1);
    const { lossSums } = await program.run({ state, theta: { theta: 0.4 }, steps: 6, seed: 0 });
    expect(lossSums[0]).toBeCloseTo(0.46383684, 6);
  });

  it('influence balancing tends to -6 theta', async () => {
    using program = device.compile(influenceBalancing());
    using state = program.createState(2);
    const { metrics: _, losses } = await program.run({
      state,
      theta: { theta: [0.5, -1 / 6] },
      steps: 500,
      seed: 0,
      record: 'perStep',
    });
    expect((await state.export()).state.s[0]).toBeCloseTo(-3, 4);
    expect(losses!.at(-2)).toBeCloseTo(8, 4);
    expect(losses!.at(-1)).toBeLessThan(1e-10);
  });

  it('the toy regression costs 2487.77 at the start, and 2423.2 in its local minimum', async () => {
    using program = device.compile(toyRegression2d());
    using state = program.createState(2);
    const logRates = [
      [-4, -4],
      [0.134, -0.77],
    ];
    const { lossSums } = await program.run({ state, theta: { logRates }, steps: 100, seed: 0 });
    expect(lossSums[0]).toBeCloseTo(2487.77, 1);
    expect(lossSums[1]).toBeCloseTo(2423.2, 1);
  });

  it('training the classifier is the same computation in eager tfjs', async () => {
    using program = device.compile(mlpClassifier(MLP), { data: DATA });
    using state = program.createState(2);
    const { losses, metrics } = await program.run({
      state,
      theta: SETTINGS,
      steps: 6,
      seed: SEED,
      record: 'perStep',
    });
    eagerTraining().forEach((wanted, t) => {
      expect(Math.abs(losses![2 * t] - wanted), `step ${t}`).toBeLessThan(1e-5 * Math.max(1, wanted));
    });
    expect(metrics.trainLoss.sums[0]).toBeGreaterThan(0);
  });
});

describe('options of tasks', () => {
  it('are refused by name', () => {
    expect(() => mlpClassifier({ ...MLP, batchSize: 3 } as never)).toThrow(/"batchSize"/);
    expect(() => mlpClassifier({ ...MLP, classes: 1 })).toThrow(/classes must be an integer at least 2/);
    expect(() => influenceBalancing({ positive: 30 })).toThrow(/positive must be an integer in 0..23/);
    expect(() => toyRegression2d({ horizon: 0 })).toThrow(/horizon/);
    expect(() => linearRecurrence({ horizn: 3 } as never)).toThrow(/misspelt "horizon"/);
  });
});
