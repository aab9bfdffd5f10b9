import * as tf from '@tensorflow/tfjs';
import { beforeAll, test } from 'vitest';
import { expectSameAsEager, type Fn, floats, type Input, ints } from './compare.js';

// Ops that tfjs builds from other ops: nothing of ours knows them, so they show whether the parts fit together.

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const MATRIX = floats([4, 3]);
const ONES: () => tf.Tensor = () => tf.ones([4, 3]);

const cases: Record<string, [Fn, ...Input[]]> = {
  'qr of a square matrix': [(x) => tf.linalg.qr(x), floats([3, 3])],
  'qr of a tall matrix': [(x) => tf.linalg.qr(x), MATRIX],
  gramSchmidt: [(x) => tf.linalg.gramSchmidt(x), floats([3, 4])],
  bandPart: [(x) => tf.linalg.bandPart(x, 1, 1), floats([4, 4])],
  basicLSTMCell: [
    (x, kernel, bias, c, h) => tf.basicLSTMCell(tf.scalar(1), kernel, bias, x, c, h),
    floats([2, 3]),
    floats([7, 16]),
    floats([16]),
    floats([2, 4]),
    floats([2, 4], 0, 1, 9),
  ],
  cosineDistance: [(x) => tf.losses.cosineDistance(x, ONES(), 1), MATRIX],
  hingeLoss: [(x) => tf.losses.hingeLoss(ONES(), x), MATRIX],
  logLoss: [(x) => tf.losses.logLoss(ONES(), tf.sigmoid(x)), MATRIX],
  absoluteDifference: [(x) => tf.losses.absoluteDifference(ONES(), x), MATRIX],
  meanSquaredError: [(x) => tf.losses.meanSquaredError(ONES(), x), MATRIX],
  confusionMatrix: [(x) => tf.math.confusionMatrix(tf.tensor1d([0, 1, 2], 'int32'), x, 3), ints([3], 0, 3)],
  'chained methods': [(x) => x.mul(2).add(1).relu().sum(1).expandDims(1).squeeze().max(), MATRIX],
  'signal.frame': [(x) => tf.signal.frame(x, 4, 2), floats([10])],
  'signal.hannWindow': [() => tf.signal.hannWindow(5)],
  'batches of eye': [() => tf.eye(3, 3, [2])],
  'layer normalisation': [
    (x) => {
      const { mean, variance } = tf.moments(x, -1, true);
      return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5)));
    },
    MATRIX,
  ],
  'an attention head': [
    (q, k, v) => tf.matMul(tf.softmax(tf.div(tf.matMul(q, k, false, true), Math.sqrt(3))), v),
    floats([2, 4, 3]),
    floats([2, 5, 3]),
    floats([2, 5, 2]),
  ],
};

test.each(Object.entries(cases))('%s', (_, [fn, ...inputs]) => expectSameAsEager(fn, inputs, 1e-5));
