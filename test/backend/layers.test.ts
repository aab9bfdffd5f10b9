/** tf.layers, optimizers and tf.data on the backend, against the cpu backend of tfjs. */
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { NATIVE } from '../support/devices.js';
import { useUnrolled } from './unrolled.js';

/** Numbers in [-1, 1) that look random, the same at every call. */
function numbers(count: number, seed: number): Float32Array {
  return Float32Array.from(
    { length: count },
    (_, i) => 2 * ((Math.sin(12.9898 * i + 78.233 * seed) * 43758.5453) % 1),
  );
}

function cnn(): tf.Sequential {
  const init = (seed: number) => tf.initializers.glorotUniform({ seed });
  return tf.sequential({
    layers: [
      tf.layers.conv2d({
        inputShape: [12, 12, 1],
        filters: 6,
        kernelSize: 3,
        activation: 'relu',
        kernelInitializer: init(1),
      }),
      tf.layers.maxPooling2d({ poolSize: 2 }),
      tf.layers.batchNormalization(),
      tf.layers.conv2d({ filters: 8, kernelSize: 3, padding: 'same', kernelInitializer: init(2) }),
      tf.layers.averagePooling2d({ poolSize: 2, strides: 1 }),
      tf.layers.flatten(),
      tf.layers.dropout({ rate: 0.25, seed: 11 }),
      tf.layers.dense({ units: 10, activation: 'softmax', kernelInitializer: init(3) }),
    ],
  });
}

function recurrent(): tf.Sequential {
  const init = (seed: number) => tf.initializers.randomUniform({ minval: -0.3, maxval: 0.3, seed });
  return tf.sequential({
    layers: [
      tf.layers.embedding({ inputDim: 20, outputDim: 6, inputLength: 7, embeddingsInitializer: init(1) }),
      tf.layers.lstm({ units: 8, kernelInitializer: init(2), recurrentInitializer: init(3) }),
      tf.layers.dense({ units: 1, kernelInitializer: init(4) }),
    ],
  });
}

interface Problem {
  readonly model: () => tf.Sequential;
  readonly loss: string;
  readonly data: () => { xs: tf.Tensor; ys: tf.Tensor };
}

const CNN: Problem = {
  model: cnn,
  loss: 'categoricalCrossentropy',
  data: () => ({
    xs: tf.tensor4d(numbers(32 * 144, 1), [32, 12, 12, 1]),
    ys: tf.oneHot(
      tf.tensor1d(
        Int32Array.from({ length: 32 }, (_, i) => (i * 7) % 10),
        'int32',
      ),
      10,
    ),
  }),
};

const RECURRENT: Problem = {
  model: recurrent,
  loss: 'meanSquaredError',
  data: () => ({
    xs: tf.tensor2d(
      Int32Array.from({ length: 16 * 7 }, (_, i) => (i * i) % 20),
      [16, 7],
      'int32',
    ),
    ys: tf.tensor2d(numbers(16, 2), [16, 1]),
  }),
};

/** Losses of training on one batch over and over, then the model's predictions. */
async function train(
  backend: string,
  { model: make, loss, data }: Problem,
  optimizer: () => tf.Optimizer,
  steps: number,
): Promise<{ losses: number[]; predictions: number[] }> {
  await tf.setBackend(backend);
  const before = tf.memory().numTensors;
  const model = make();
  const update = optimizer();
  model.compile({ optimizer: update, loss });
  const { xs, ys } = data();
  const losses: number[] = [];
  let during = 0;
  for (let i = 0; i < steps; i++) {
    losses.push((await model.trainOnBatch(xs, ys)) as number);
    // The optimizer's variables are there after the first step.
    if (i === 0) during = tf.memory().numTensors;
  }
  expect(tf.memory().numTensors).toBe(during);
  const output = model.predict(xs) as tf.Tensor;
  const predictions = Array.from(await output.data());
  tf.dispose([xs, ys, output]);
  model.dispose();
  update.dispose();
  expect(tf.memory().numTensors - before).toBeLessThanOrEqual(4);
  return { losses, predictions };
}

function expectClose(actual: readonly number[], wanted: readonly number[], tolerance: number): void {
  expect(actual).toHaveLength(wanted.length);
  const off = wanted.map((w, i) => Math.abs(actual[i] - w)).reduce((a, b) => Math.max(a, b), 0);
  expect(off).toBeLessThan(tolerance);
}

const OPTIMIZERS: Readonly<Record<string, () => tf.Optimizer>> = {
  sgd: () => tf.train.sgd(0.05),
  momentum: () => tf.train.momentum(0.02, 0.9),
  nesterov: () => tf.train.momentum(0.02, 0.9, true),
  adagrad: () => tf.train.adagrad(0.05),
  adadelta: () => tf.train.adadelta(0.5),
  adam: () => tf.train.adam(0.005),
  adamax: () => tf.train.adamax(0.005),
  rmsprop: () => tf.train.rmsprop(0.002, 0.9, 0.5, 1e-5),
};

if (NATIVE)
  describe('tf.layers on the unrolled backend', () => {
    it('trains a CNN for 50 steps with the losses of tfjs cpu, without a kernel of tfjs', async () => {
      const wanted = await train('cpu', CNN, OPTIMIZERS.sgd, 50);
      const backend = await useUnrolled();
      backend.clearFallbacks();
      const actual = await train('unrolled', CNN, OPTIMIZERS.sgd, 50);
      expectClose(actual.losses, wanted.losses, 1e-4);
      expectClose(actual.predictions, wanted.predictions, 1e-3);
      expect(wanted.losses[49]).toBeLessThan(0.5 * wanted.losses[0]);
      expect(backend.fallbacks()).toEqual([]);
    });

    it('makes neither programs nor arrays once a training loop is under way', async () => {
      const backend = await useUnrolled();
      const model = cnn();
      model.compile({ optimizer: tf.train.momentum(0.01, 0.9), loss: CNN.loss });
      const { xs, ys } = CNN.data();
      for (let i = 0; i < 3; i++) await model.trainOnBatch(xs, ys);
      const { compiled } = backend.compiled();
      const ids = backend.numDataIds();
      const { pooledBytes } = backend.memory();
      for (let i = 0; i < 10; i++) await model.trainOnBatch(xs, ys);
      expect(backend.compiled().compiled).toBe(compiled);
      expect(backend.numDataIds()).toBe(ids);
      expect(Math.abs(backend.memory().pooledBytes - pooledBytes)).toBeLessThan(0.05 * pooledBytes);
      tf.dispose([xs, ys]);
      model.dispose();
    });

    it.each(Object.keys(OPTIMIZERS))('trains an LSTM on embeddings with %s', async (name) => {
      const wanted = await train('cpu', RECURRENT, OPTIMIZERS[name], 12);
      const actual = await train('unrolled', RECURRENT, OPTIMIZERS[name], 12);
      expectClose(actual.losses, wanted.losses, 1e-4);
      expectClose(actual.predictions, wanted.predictions, 1e-3);
      expect(wanted.losses[11]).toBeLessThan(wanted.losses[0]);
    });

    it('fits a data set of tf.data', async () => {
      const fitted = async (backend: string) => {
        await tf.setBackend(backend);
        const rows = Array.from({ length: 24 }, (_, i) => Array.from(numbers(3, i)));
        const xs = tf.data.array(rows);
        const ys = tf.data.array(rows.map(([a, b]) => [a - 2 * b]));
        const batches = tf.data.zip({ xs, ys }).shuffle(24, '5').batch(5);
        const model = tf.sequential({
          layers: [tf.layers.dense({ inputShape: [3], units: 1, kernelInitializer: 'zeros' })],
        });
        model.compile({ optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError' });
        const { history } = await model.fitDataset(batches as never, { epochs: 6, verbose: 0 });
        model.dispose();
        return history.loss as number[];
      };
      const wanted = await fitted('cpu');
      expectClose(await fitted('unrolled'), wanted, 1e-5);
      expect(wanted[5]).toBeLessThan(0.2 * wanted[0]);
    });
  });
