/** Models of tf.layers as pure functions of their weights. */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OptionError, ShapeError } from '../../src/errors.js';
import type { Rng } from '../../src/trace/rng.js';
import type { Device } from '../../src/transform/device.js';
import { functional } from '../../src/transform/functional.js';
import { grad, valueAndGrad } from '../../src/transform/grad.js';
import { jit } from '../../src/transform/jit.js';
import { openFastest } from '../support/devices.js';
import { expectClose } from './close.js';

let device: Device;
beforeAll(async () => {
  await tf.setBackend('cpu');
  device = await openFastest();
});
afterAll(() => device.dispose());

/** Weights that differ from layer to layer and from run to run of the initialisers: fixed numbers. */
function settle<M extends tf.LayersModel>(model: M): M {
  model.setWeights(
    model.getWeights().map((w, k) => {
      const values = Float32Array.from({ length: w.size }, (_, i) => 0.4 * Math.sin(1.7 * i + k + 1));
      // A variance, among the moving statistics, is not negative.
      return tf.tensor(
        values.map((v) => (model.weights[k].name.includes('variance') ? 1 + v * v : v)),
        w.shape,
      );
    }),
  );
  return model;
}

const input = (shape: number[]) =>
  tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.cos(0.9 * i)),
    shape,
  );

const MODELS: readonly { name: string; make(): tf.LayersModel; inputs(): tf.Tensor | tf.Tensor[] }[] = [
  {
    name: 'a dense network',
    make: () =>
      tf.sequential({
        layers: [
          tf.layers.dense({ units: 5, activation: 'relu', inputShape: [3] }),
          tf.layers.dropout({ rate: 0.5 }),
          tf.layers.dense({ units: 2, activation: 'softmax' }),
        ],
      }),
    inputs: () => input([4, 3]),
  },
  {
    name: 'batch normalisation with its moving statistics',
    make: () =>
      tf.sequential({
        layers: [
          tf.layers.dense({ units: 4, inputShape: [3] }),
          tf.layers.batchNormalization({}),
          tf.layers.activation({ activation: 'tanh' }),
        ],
      }),
    inputs: () => input([4, 3]),
  },
  {
    name: 'two inputs, a shared layer, two outputs',
    make: () => {
      const [a, b] = [tf.input({ shape: [3] }), tf.input({ shape: [3] })];
      const shared = tf.layers.dense({ units: 3, activation: 'tanh' });
      const [u, v] = [shared.apply(a), shared.apply(b)] as tf.SymbolicTensor[];
      const sum = tf.layers.add().apply([u, v]) as tf.SymbolicTensor;
      const again = shared.apply(sum) as tf.SymbolicTensor;
      return tf.model({ inputs: [a, b], outputs: [again, sum] });
    },
    inputs: () => [input([2, 3]), tf.neg(input([2, 3]))],
  },
  {
    name: 'a model in a model',
    make: () => {
      const inner = tf.sequential({
        layers: [
          tf.layers.dense({ units: 4, activation: 'sigmoid', inputShape: [3] }),
          tf.layers.dense({ units: 3 }),
        ],
      });
      const x = tf.input({ shape: [3] });
      const twice = inner.apply(inner.apply(x)) as tf.SymbolicTensor;
      return tf.model({
        inputs: x,
        outputs: tf.layers.dense({ units: 1 }).apply(twice) as tf.SymbolicTensor,
      });
    },
    inputs: () => input([2, 3]),
  },
  {
    name: 'an embedding under an LSTM',
    make: () =>
      tf.sequential({
        layers: [
          tf.layers.embedding({ inputDim: 7, outputDim: 3, inputLength: 4 }),
          tf.layers.lstm({ units: 3, returnSequences: true }),
          tf.layers.lstm({ units: 2 }),
        ],
      }),
    inputs: () => tf.tensor2d([0, 3, 6, 2, 1, 1, 5, 4], [2, 4], 'int32'),
  },
  {
    name: 'recurrent layers of every kind',
    make: () =>
      tf.sequential({
        layers: [
          tf.layers.simpleRNN({ units: 3, returnSequences: true, inputShape: [3, 2] }),
          tf.layers.bidirectional({
            layer: tf.layers.gru({ units: 2, returnSequences: true }) as tf.RNN,
            mergeMode: 'concat',
          }),
          tf.layers.timeDistributed({ layer: tf.layers.dense({ units: 2 }) }),
          tf.layers.rnn({ cell: tf.layers.stackedRNNCells({ cells: [tf.layers.lstmCell({ units: 2 })] }) }),
        ],
      }),
    inputs: () => input([2, 3, 2]),
  },
];

describe.each(MODELS)('$name', ({ make, inputs }) => {
  it('gives what predict gives, traced or not, and changes nothing of the model', () => {
    const model = settle(make());
    const before = model.getWeights().map((w) => Array.from(w.dataSync()));
    const x = inputs();
    const wanted = [model.predict(x)].flat();
    const { params, apply } = functional(model);
    const eager = [apply(params, x)].flat();
    const compiled = jit((p: typeof params, given: tf.Tensor | tf.Tensor[]) => [apply(p, given)].flat(), {
      device,
    });
    const results = compiled(params, x as tf.Tensor);
    wanted.forEach((each, i) => {
      expectClose(eager[i], each, 1e-6);
      expectClose(results[i], each, 1e-5);
    });
    expect(model.getWeights().map((w) => Array.from(w.dataSync()))).toEqual(before);
    compiled.dispose();
  });

  it('takes other weights than the model has', () => {
    const model = settle(make());
    const x = inputs();
    const { params, apply } = functional(model);
    const scaled = {
      trainable: Object.fromEntries(Object.entries(params.trainable).map(([k, w]) => [k, tf.mul(w, 0.5)])),
      nonTrainable: params.nonTrainable,
    };
    const results = [apply(scaled, x)].flat();
    model.setWeights(
      model.weights.map((w) => (w.name in scaled.trainable ? scaled.trainable[w.name] : w.read())),
    );
    [model.predict(x)].flat().forEach((each, i) => {
      expectClose(results[i], each, 1e-6);
    });
  });

  it('has the gradients that tfjs finds', () => {
    const model = settle(make());
    const x = inputs();
    const { params, apply } = functional(model);
    const loss = (outputs: tf.Tensor | tf.Tensor[]) =>
      tf.addN([outputs].flat().map((y) => tf.mean(tf.square(tf.sub(y, 0.3))))) as tf.Scalar;
    const slope = grad(
      (trainable: typeof params.trainable, given: tf.Tensor | tf.Tensor[]) =>
        loss(apply({ trainable, nonTrainable: params.nonTrainable }, given)),
      0,
      { device },
    );
    const gradients = slope(params.trainable, x as tf.Tensor);
    const { grads } = tf.variableGrads(() => loss(model.predict(x)));
    for (const [name, wanted] of Object.entries(grads)) expectClose(gradients[name], wanted, 2e-5);
    expect(Object.keys(gradients)).toHaveLength(Object.keys(grads).length);
    slope.dispose();
  });
});

describe('training', () => {
  it('normalises by the batch and returns the moving statistics that follow', async () => {
    const make = () =>
      tf.sequential({
        layers: [tf.layers.batchNormalization({ momentum: 0.9, inputShape: [2] })],
      });
    const model = settle(make());
    const x = tf.tensor2d([1, 2, 3, 5, 8, 13], [3, 2]);
    const { params, apply } = functional(model, { training: true });
    const run = jit((p: typeof params, given: tf.Tensor) => apply(p, given), { device });
    const { outputs, nonTrainable } = run(params, x);
    const { mean, variance } = tf.moments(x, 0);
    const named = (part: string) =>
      Object.entries({ ...params.trainable, ...params.nonTrainable }).find(([k]) => k.includes(part))![1];
    const wanted = tf.add(
      tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-3))), named('gamma')),
      named('beta'),
    );
    expectClose(outputs as tf.Tensor, wanted, 1e-5);
    const next = (part: string) => Object.entries(nonTrainable).find(([k]) => k.includes(part))![1];
    expectClose(next('moving_mean'), tf.add(tf.mul(named('moving_mean'), 0.9), tf.mul(mean, 0.1)), 1e-5);
    expectClose(
      next('moving_variance'),
      tf.add(tf.mul(named('moving_variance'), 0.9), tf.mul(variance, 0.1)),
      1e-5,
    );
    expectClose(
      model.weights.find(({ name }) => name.includes('moving_mean'))!.read(),
      named('moving_mean'),
      0,
    );
    run.dispose();
  });

  it('draws dropout anew at every call, and one mask for a value and its gradient', () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dropout({ rate: 0.25, inputShape: [400] }),
        tf.layers.dense({ units: 1, useBias: false, kernelInitializer: 'ones' }),
      ],
    });
    const { params, apply } = functional(model, { training: true });
    const f = valueAndGrad(
      (w: typeof params.trainable, x: tf.Tensor, rng: Rng) =>
        tf.sum(apply({ ...params, trainable: w }, x, { rng }).outputs as tf.Tensor) as tf.Scalar,
      0,
      { seed: 5, device },
    );
    const x = tf.ones([1, 400]);
    const values = [0, 1].map(() => {
      const { value, gradient } = f(params.trainable, x);
      const kept = Array.from(Object.values(gradient)[0].dataSync());
      // d sum(w * mask) / d w = mask: zeros, and 1 / 0.75 where an element was kept.
      expect(kept.every((v) => v === 0 || Math.abs(v - 4 / 3) < 1e-6)).toBe(true);
      expect(kept.reduce((a, b) => a + b, 0)).toBeCloseTo(value.dataSync()[0], 2);
      const share = kept.filter((v) => v > 0).length / 400;
      // 4.5 standard deviations of a share of 400.
      expect(Math.abs(share - 0.75)).toBeLessThan(0.1);
      return kept;
    });
    expect(values[0]).not.toEqual(values[1]);
    f.dispose();
  });

  it('has noise of the right size in every kind of noise layer, and none when not training', () => {
    const layers: [tf.layers.Layer, number][] = [
      [tf.layers.gaussianNoise({ stddev: 0.5, inputShape: [20, 30] }), 0.5],
      [tf.layers.gaussianDropout({ rate: 0.2, inputShape: [20, 30] }), 0.5],
      // (1 - rate) / rate of a mean of 1: the spread of a Bernoulli draw over its keeping probability.
      [tf.layers.spatialDropout1d({ rate: 0.2, inputShape: [20, 30] }), 0.5],
    ];
    for (const [layer, deviation] of layers) {
      const model = tf.sequential({ layers: [layer] });
      const pass = (training: boolean) => {
        const { params, apply } = functional(model, { training });
        const f = jit(
          (x: tf.Tensor, rng: Rng) => {
            const y = apply(params, x, { rng });
            return (y instanceof tf.Tensor ? y : (y as { outputs: tf.Tensor }).outputs) as tf.Tensor;
          },
          { seed: 3, device },
        );
        const y = f(tf.ones([16, 20, 30]));
        const { mean, variance } = tf.moments(y);
        f.dispose();
        return [mean.dataSync()[0], Math.sqrt(variance.dataSync()[0])];
      };
      const [mean, spread] = pass(true);
      expect(Math.abs(mean - 1)).toBeLessThan(0.1);
      expect(Math.abs(spread / deviation - 1)).toBeLessThan(0.15);
      expect(pass(false)).toEqual([1, 0]);
    }
  });

  it('keeps mean and variance through alpha dropout', () => {
    const model = tf.sequential({ layers: [tf.layers.alphaDropout({ rate: 0.3, inputShape: [4000] })] });
    const { params, apply } = functional(model, { training: true });
    const f = jit((x: tf.Tensor, rng: Rng) => apply(params, x, { rng }).outputs as tf.Tensor, {
      seed: 8,
      device,
    });
    const { mean, variance } = tf.moments(f(tf.randomNormal([2, 4000], 0, 1, 'float32', 4)));
    expect(Math.abs(mean.dataSync()[0])).toBeLessThan(0.06);
    expect(Math.abs(variance.dataSync()[0] - 1)).toBeLessThan(0.1);
    f.dispose();
  });

  it('drops inside recurrent cells, and leaves their masks as they were', () => {
    const lstm = tf.layers.lstm({ units: 3, dropout: 0.5, recurrentDropout: 0.5, inputShape: [4, 2] });
    const model = settle(tf.sequential({ layers: [lstm] }));
    const { params, apply } = functional(model, { training: true });
    const f = jit((x: tf.Tensor, rng: Rng) => apply(params, x, { rng }).outputs as tf.Tensor, {
      seed: 1,
      device,
    });
    const x = input([2, 4, 2]);
    const [a, b] = [f(x), f(x)].map((y) => Array.from(y.dataSync()));
    expect(a).not.toEqual(b);
    const { cell } = lstm as unknown as { cell: { dropoutMask: unknown; dropoutFunc: unknown } };
    expect([cell.dropoutMask, cell.dropoutFunc]).toEqual([null, undefined]);
    // Eager use goes on as before.
    expect((model.predict(x) as tf.Tensor).shape).toEqual([2, 3]);
    f.dispose();
  });

  it('trains: gradient descent on the functional form follows that on the model', async () => {
    const make = () =>
      settle(
        tf.sequential({
          layers: [
            tf.layers.dense({ units: 6, activation: 'tanh', inputShape: [3] }),
            tf.layers.batchNormalization({}),
            tf.layers.dense({ units: 1 }),
          ],
        }),
      );
    const [x, y] = [input([8, 3]), input([8, 1])];
    const model = make();
    model.compile({ optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError' });
    const wanted: number[] = [];
    for (let i = 0; i < 5; i++) wanted.push((await model.trainOnBatch(x, y)) as number);

    const other = make();
    let { params } = functional(other);
    const { apply } = functional(other, { training: true });
    const step = jit(
      (p: typeof params, a: tf.Tensor, b: tf.Tensor) => {
        const { value, gradient, aux } = valueAndGrad(
          (trainable: typeof params.trainable) => {
            const { outputs, nonTrainable } = apply({ ...p, trainable }, a);
            return {
              value: tf.mean(tf.squaredDifference(outputs as tf.Tensor, b)) as tf.Scalar,
              aux: nonTrainable,
            };
          },
          0,
          { hasAux: true },
        )(p.trainable);
        const trainable = Object.fromEntries(
          Object.entries(p.trainable).map(([k, w]) => [k, tf.sub(w, tf.mul(gradient[k], 0.1))] as const),
        );
        return { loss: value, params: { trainable, nonTrainable: aux } };
      },
      { device, donate: [0] },
    );
    const losses: number[] = [];
    for (let i = 0; i < 5; i++) {
      const next = step(params, x, y);
      losses.push(next.loss.dataSync()[0]);
      params = next.params;
    }
    losses.forEach((loss, i) => {
      expect(loss).toBeCloseTo(wanted[i], 5);
    });
    const statistics = Object.entries(params.nonTrainable).map(([, w]) => Array.from(w.dataSync()));
    const theirs = model.weights.filter(({ name }) => name.includes('moving')).map((w) => w.read());
    theirs.forEach((w, i) => {
      expectClose(w, tf.tensor(statistics[i]), 1e-5);
    });
    step.dispose();
  });
});

describe('errors', () => {
  const model = () => tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [3] })] });

  it('refuses what is no model, is not built, or is stateful', () => {
    expect(() => functional({} as tf.LayersModel)).toThrow(OptionError);
    const open = tf.sequential();
    open.add(tf.layers.dense({ units: 2, inputShape: [1] }));
    expect(() => functional(tf.sequential() as tf.LayersModel)).toThrow(/not built/);
    const stateful = tf.sequential({
      layers: [tf.layers.lstm({ units: 2, stateful: true, batchInputShape: [1, 3, 2] })],
    });
    expect(() => functional(stateful)).toThrow(/stateful/);
    // @ts-expect-error: misspelt
    expect(() => functional(open, { trainig: true })).toThrow(/training/);
  });

  it('names weights and inputs that do not fit', () => {
    const { params, apply } = functional(model());
    const x = tf.ones([1, 3]);
    const [kernel] = Object.keys(params.trainable);
    expect(() => apply({ ...params, trainable: {} }, x)).toThrow(new RegExp(kernel));
    expect(() => apply({ ...params, trainable: { ...params.trainable, other: x } }, x)).toThrow(/other/);
    const wrong = { ...params, trainable: { ...params.trainable, [kernel]: x } };
    expect(() => apply(wrong, x)).toThrow(ShapeError);
    expect(() => apply(params, tf.ones([1, 4]))).toThrow(/\[any, 3\], got \[1,4\]/);
    expect(() => apply(params, [x, x])).toThrow(OptionError);
  });

  it('puts the weights back when a layer throws', () => {
    const bad = tf.sequential({
      layers: [tf.layers.dense({ units: 2, inputShape: [3] }), tf.layers.softmax()],
    });
    const before = bad.getWeights()[0].dataSync().slice();
    const { params, apply } = functional(bad);
    (bad.layers[1] as { call: unknown }).call = () => {
      throw new Error('broken');
    };
    expect(() => apply({ ...params, trainable: params.trainable }, tf.ones([1, 3]))).toThrow('broken');
    expect(bad.getWeights()[0].dataSync()).toEqual(before);
    expect(Object.keys(bad.weights[0])).not.toContain('write');
  });

  it('asks for an rng in training', () => {
    const noisy = tf.sequential({ layers: [tf.layers.dropout({ rate: 0.5, inputShape: [3] })] });
    const { params, apply } = functional(noisy, { training: true });
    expect(() => apply(params, tf.ones([1, 3]))).toThrow(/rng/);
  });

  it('leaves no tensors behind', () => {
    const m = model();
    const x = tf.ones([2, 3]);
    const { params, apply } = functional(m);
    const f = jit((p: typeof params, given: tf.Tensor) => apply(p, given) as tf.Tensor, { device });
    tf.dispose(f(params, x));
    const { numTensors } = tf.memory();
    tf.dispose(f(params, x));
    tf.dispose(apply(params, x));
    expect(tf.memory().numTensors).toBe(numTensors);
    f.dispose();
  });
});
