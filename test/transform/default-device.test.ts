/** Which device compiled functions run on where there is no native addon. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { DeviceError } from '../../src/errors.js';
import { grad } from '../../src/transform/grad.js';
import { jit } from '../../src/transform/jit.js';
import { expectClose } from './close.js';

vi.hoisted(() => {
  process.env.UNROLLED_ADDON = '/nowhere/unrolled.node';
});

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe('without a native addon', () => {
  it('functions run on tfjs, which a warning says once, and device always', async () => {
    const warned: (Error & { code?: string })[] = [];
    const listener = (warning: Error) => warned.push(warning);
    process.on('warning', listener);
    const f = jit((x: tf.Tensor) => tf.exp(x));
    const g = grad((x: tf.Tensor) => tf.sum(tf.exp(x)) as tf.Scalar);
    expectClose(f([0, 1]), [1, Math.E], 1e-6);
    expectClose(g([0, 1]), [1, Math.E], 1e-6);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', listener);
    expect(warned.map(({ code }) => code)).toEqual(['UNROLLED_NO_ADDON']);
    expect(warned[0].message).toMatch(/compiled functions run on tfjs.*not natively: .*nowhere/);
    expect(f.device).toMatch(/^tfjs: .*backend cpu.*; not native: .*nowhere/);
    expect(f.lower(1).device).toBe(f.device);
  });

  it('the tfjs device can be asked for, and the cpu device is refused', () => {
    const f = jit((x: tf.Tensor) => tf.neg(x), { device: 'tfjs' });
    expectClose(f([1, 2]), [-1, -2], 0);
    expect(f.device).not.toMatch(/not native/);
    const native = jit((x: tf.Tensor) => tf.neg(x), { device: 'cpu' });
    expect(() => native(1)).toThrow(DeviceError);
    expect(() => native(1)).toThrow(/no cpu device could be opened: .*nowhere/);
  });
});
