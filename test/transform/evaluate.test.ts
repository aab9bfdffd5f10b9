import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/transform/device.js';
import { evaluate } from '../../src/transform/evaluate.js';
import { DEVICES } from '../support/devices.js';

describe.each(DEVICES)('evaluating a function on $name', ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device.dispose());

  it('gives each particle the value that eager tfjs gives, in the structure that the function returns', async () => {
    const x = tf.tensor3d(
      Array.from({ length: 17 * 6 }, (_, i) => Math.sin(i)),
      [17, 2, 3],
    );
    const w = tf.tensor2d([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    const result = await evaluate(
      device,
      ({ x }: { x: tf.Tensor }, { w }: { w: tf.Tensor }) => ({
        product: tf.matMul(x, w),
        rest: [tf.argMax(x, 0), tf.less(x, 0)],
      }),
      { x },
      { particles: 17, shared: { w } },
    );
    const [index, negative] = result.rest;
    expect(result.product.shape).toEqual([17, 2, 2]);
    const wanted = tf.tidy(() => tf.stack(tf.unstack(x).map((row) => tf.matMul(row, w))).dataSync());
    result.product.values.forEach((value, i) => {
      expect(value).toBeCloseTo(wanted[i], 5);
    });
    expect(index).toEqual({
      shape: [17, 3],
      dtype: 'int32',
      values: Int32Array.from(tf.argMax(x, 1).dataSync()),
    });
    expect(negative.dtype).toBe('bool');
    expect([...negative.values]).toEqual([...tf.less(x, 0).dataSync()]);
  });

  it('draws from its seed, and can leave the passes out', async () => {
    const draw = (seed: number, optimize: boolean) =>
      evaluate(
        device,
        (_: object, __: object, rng) => rng.normal([3], { share: 'particle' }),
        {},
        { particles: 5, seed, optimize },
      );
    const first = await draw(1, true);
    expect(first.shape).toEqual([5, 3]);
    expect(new Set(first.values).size).toBe(15);
    expect((await draw(1, false)).values).toEqual(first.values);
    expect((await draw(2, true)).values).not.toEqual(first.values);
  });

  it('refuses inputs without the particle axis', async () => {
    const run = evaluate(device, ({ x }: { x: tf.Tensor }) => x, { x: tf.zeros([3, 2]) }, { particles: 4 });
    await expect(run).rejects.toThrow(/"x" must have a leading axis of 4 particles, got \[3, 2\]/);
  });
});
