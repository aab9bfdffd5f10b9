import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs';
import { afterAll, describe, expect, it } from 'vitest';
import { vmap } from '../../src/transform/vmap.js';

const six = (x: tf.Tensor) => tf.reshape(x, [1, 2, 1, 3, 2, 1]);
const small = () => tf.reshape(tf.range(0, 4), [1, 1, 2, 1, 1, 2]);

/** Functions of tensors of six axes, to which replay adds one. */
const FUNCTIONS: readonly (readonly [string, (x: tf.Tensor) => tf.Tensor])[] = [
  ['broadcast sum', (x) => tf.add(x, small())],
  [
    'broadcast choice',
    (x) => tf.where(tf.greater(small(), 1), tf.tile(x, [1, 1, 2, 1, 1, 2]), tf.scalar(-1)),
  ],
  ['tile', (x) => tf.tile(x, [2, 2, 1, 1, 1, 1])],
  ['sum', (x) => tf.sum(x, [1, 4])],
  ['argMax', (x) => tf.argMax(x, 3)],
  ['cumsum', (x) => tf.cumsum(x, 3)],
  ['transpose', (x) => tf.transpose(x, [5, 2, 4, 0, 3, 1])],
  ['concat', (x) => tf.concat([x, tf.mul(x, 2)], 3)],
  ['pad', (x) => tf.concat([tf.zerosLike(x), x], 4)],
  ['slice', (x) => tf.slice(x, [0, 1, 0, 1, 0, 0], [1, 1, 1, 2, 2, 1])],
  ['gather', (x) => tf.gather(x, tf.tensor1d([1, 0], 'int32'), 3)],
];

describe.each(['cpu', 'wasm'])('one axis more than tfjs has, on backend %s', (backend) => {
  afterAll(() => tf.setBackend('cpu'));
  it.each(FUNCTIONS)('%s', async (_, f) => {
    const flat = (x: tf.Tensor) => tf.reshape(f(six(x)), [-1]);
    await tf.setBackend('cpu');
    const rows = Array.from({ length: 2 }, (_, i) => Array.from({ length: 12 }, (_, j) => 12 * i + j));
    const wanted = rows.map((row) => tf.tidy(() => flat(tf.tensor1d(row)).arraySync()));
    await tf.setBackend(backend);
    expect(tf.tidy(() => vmap(flat)(tf.tensor2d(rows)).arraySync())).toEqual(wanted);
  });
});
