import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { UnrolledError } from '../../src/errors.js';
import { exportedOps, SAMPLES } from '../docs/samples.js';
import { evaluateTraced, expectSameAsEager } from './compare.js';

// Every op that tfjs exports: traced it gives what it gives eagerly, or it is refused with a typed error.

beforeAll(async () => {
  await tf.setBackend('cpu');
});

test('there is a sample for every op', () => {
  const missing = exportedOps().filter((name) => !(name in SAMPLES));
  expect(missing).toEqual([]);
  expect(exportedOps().length).toBeGreaterThan(200);
});

describe('every op', () => {
  test.each(Object.entries(SAMPLES))('%s', (_, { fn, inputs, refused }) => {
    if (!refused) {
      expectSameAsEager(fn, inputs, 1e-5);
      return;
    }
    let error: unknown;
    try {
      evaluateTraced(fn, inputs);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UnrolledError);
    expect((error as UnrolledError).code).toBe(refused);
  });
});
