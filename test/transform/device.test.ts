import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { DisposedError, defineUnroll, OptionError, openDevice, shape } from '../../src/index.js';
import { NATIVE } from '../support/devices.js';

const definition = defineUnroll({
  horizon: 3,
  theta: { rate: shape() },
  init: () => ({ x: tf.scalar(1) }),
  step: ({ theta, state }) => ({ state: { x: state.x.mul(theta.rate) }, loss: state.x }),
});

describe('opening a device', () => {
  it("'auto' takes the native engine where there is one, else tfjs, and says why", async () => {
    await using device = await openDevice('auto');
    expect(device.kind).toBe(NATIVE ? 'cpu' : 'tfjs');
    expect(device.description).not.toBe('');
    expect(device.notes.length > 0).toBe(!NATIVE);
  });

  it('refuses unknown kinds and options', async () => {
    await expect(openDevice('gpu' as never)).rejects.toThrow(OptionError);
    await expect(openDevice('tfjs', { thread: 2 } as never)).rejects.toThrow(/"thread"/);
  });

  it.each(NATIVE ? (['cpu', 'tfjs'] as const) : (['tfjs'] as const))(
    '%s refuses to compile once disposed; programs of it go with it',
    async (kind) => {
      const device = await openDevice(kind);
      const program = device.compile(definition);
      expect(() => device.compile(definition, { dta: 1 } as never)).toThrow(/misspelt "data"/);
      await device.dispose();
      await device.dispose();
      expect(() => device.compile(definition)).toThrow(DisposedError);
      expect(() => program.createState(1)).toThrow(DisposedError);
    },
  );
});
