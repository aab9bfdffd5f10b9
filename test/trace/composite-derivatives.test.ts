import * as tf from '@tensorflow/tfjs';
import { beforeAll, test } from 'vitest';
import { SAMPLES } from '../docs/samples.js';
import { expectDerivatives } from './derivatives.js';

// First and second derivatives, against differences, of ops that tfjs makes of others.

beforeAll(async () => {
  await tf.setBackend('cpu');
});

// tf.losses.softmaxCrossEntropy is not among them: its gradient towards the labels is one that tfjs gives by hand.
const NAMES = [
  'tf.losses.absoluteDifference',
  'tf.losses.computeWeightedLoss',
  'tf.losses.cosineDistance',
  'tf.losses.hingeLoss',
  'tf.losses.huberLoss',
  'tf.losses.logLoss',
  'tf.losses.meanSquaredError',
  'tf.losses.sigmoidCrossEntropy',
  'tf.basicLSTMCell',
  'tf.multiRNNCell',
  'tf.movingAverage',
  'tf.dot',
  'tf.outerProduct',
  'tf.einsum',
  'tf.moments',
  'tf.norm',
  'tf.euclideanNorm',
  'tf.logSumExp',
  'tf.batchNorm',
  'tf.signal.frame',
  'tf.signal.stft',
  'tf.linalg.gramSchmidt',
  'tf.linalg.qr',
  'tf.meshgrid',
];

const tensors = (result: unknown): tf.Tensor[] =>
  result instanceof tf.Tensor ? [result] : Object.values(result as object).flatMap(tensors);

test.each(NAMES)('%s', (name) => {
  const { fn, inputs } = SAMPLES[name];
  expectDerivatives((...xs) => tensors(fn(...xs)), inputs);
});
