import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { product } from '../../src/ops/product.js';

describe.each(['cpu', 'wasm'])('product on %s', (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });
  afterAll(async () => {
    await tf.setBackend('cpu');
  });

  it.each([
    [3, 5],
    [5, 5],
    [2, 7],
  ])('of one memory read as [1, n] and then as [n, 1] (%i rows, n = %i)', (rows, n) => {
    const values = Float32Array.from({ length: n }, (_, i) => i + 1);
    const memory = tf.tensor2d(values, [1, n]);
    const column = Float32Array.from({ length: rows }, (_, i) => i - 1);
    const outer = product(tf.tensor2d(column, [rows, 1]), memory);
    expect(Array.from(outer.dataSync())).toEqual(
      Array.from(column, (c) => Array.from(values, (v) => c * v))
        .flat()
        .map((x) => x + 0),
    );
    // What lies behind the result must stay what it is.
    const left = tf.ones([rows, n]) as tf.Tensor2D;
    const neighbours = Array.from({ length: 20 }, () => tf.fill([rows], 7));
    const inner = product(left, memory.reshape([n, 1]));
    const sum = (n * (n + 1)) / 2;
    expect(Array.from(inner.dataSync())).toEqual(new Array(rows).fill(sum));
    for (const x of neighbours) expect(Array.from(x.dataSync())).toEqual(new Array(rows).fill(7));
  });

  it('has the gradients of a product, and leaves no tensors behind', () => {
    const a = tf.tensor2d([1, 2, 3, 4], [2, 2]);
    const b = tf.tensor2d([5, 6, 7, 8], [2, 2]);
    const before = tf.memory().numTensors;
    const [da, db] = tf.grads((x, y) => tf.sum(product(x, y)))([a, b]);
    expect(Array.from(da!.dataSync())).toEqual([11, 15, 11, 15]);
    expect(Array.from(db!.dataSync())).toEqual([4, 4, 6, 6]);
    tf.dispose([da, db]);
    expect(tf.memory().numTensors).toBe(before);
  });
});
