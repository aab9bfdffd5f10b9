/**
 * Every op that tfjs exports and a trace can record, jitted on the devices, against eager tfjs; and under vmap, with batches of its float
 * inputs, against eager tfjs example by example.
 */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/transform/device.js';
import { jit } from '../../src/transform/jit.js';
import { vmap } from '../../src/transform/vmap.js';
import type { Sample } from '../docs/sample.js';
import { SAMPLES } from '../docs/samples.js';
import { DEVICES } from '../support/devices.js';

const TOLERANCE = 2e-5;
const EXAMPLES = 3;

const traced = Object.entries(SAMPLES).filter(([, { refused }]) => !refused);

function tensors(result: unknown): tf.Tensor[] {
  if (result instanceof tf.Tensor) return [result];
  return Object.values(result as object).flatMap(tensors);
}

function expectEqual(actual: tf.Tensor[], wanted: tf.Tensor[]): void {
  expect(actual.map(({ shape, dtype }) => [shape, dtype])).toEqual(
    wanted.map(({ shape, dtype }) => [shape, dtype]),
  );
  for (const [n, tensor] of wanted.entries()) {
    const [a, b] = [actual[n].dataSync(), tensor.dataSync()];
    for (let i = 0; i < b.length; i++) {
      const same = Object.is(a[i], b[i]) || Math.abs(a[i] - b[i]) <= TOLERANCE * Math.max(1, Math.abs(b[i]));
      if (!same) expect.fail(`result ${n}, element ${i}: ${a[i]}, eager ${b[i]}`);
    }
  }
}

/** Inputs of example `e`: float values moved a little, the rest as it is. */
const example = ({ inputs }: Sample, e: number): tf.Tensor[] =>
  inputs.map(({ values, shape, dtype }) => {
    const moved = dtype === 'float32' ? values.map((v) => v + 0.003 * e) : values.slice();
    return tf.tensor(moved, shape, dtype);
  });

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe.each(DEVICES.filter(({ name }) => name === 'tfjs' || name === 'cpu'))('on $name', ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device.dispose());

  it.each(traced)('%s', async (_, sample) => {
    const wanted = tensors(sample.fn(...example(sample, 0)));
    const compiled = jit((...xs: tf.Tensor[]) => tensors(sample.fn(...xs)), { device });
    expectEqual(tensors(await compiled(...example(sample, 0))), wanted);
  });
});

describe('one example of many', () => {
  const some = traced.filter(([, { inputs }]) => inputs.some(({ dtype }) => dtype === 'float32'));
  it.each(some)('%s', async (_, sample) => {
    const each = Array.from({ length: EXAMPLES }, (_, e) => example(sample, e));
    const results = each.map((xs) => tensors(sample.fn(...xs)));
    const wanted = results[0].map((_, i) => tf.stack(results.map((r) => r[i])));
    const axes = sample.inputs.map(({ dtype }) => (dtype === 'float32' ? 0 : null));
    const mapped = vmap((...xs: tf.Tensor[]) => tensors(sample.fn(...xs)), axes as never);
    const batched = sample.inputs.map(({ dtype }, i) =>
      dtype === 'float32' ? tf.stack(each.map((xs) => xs[i])) : each[0][i],
    );
    expectEqual(tensors(await mapped(...batched)), wanted);
  });
});
