/** Runs a function eagerly on the tfjs cpu backend and through trace + reference evaluation, and compares the two. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import { flatten } from '../../src/trace/structure.js';
import { trace } from '../../src/trace/trace.js';
import type { Fn, Input } from './inputs.js';

export * from './inputs.js';

const isTensor = (x: unknown): x is tf.Tensor => x instanceof tf.Tensor;

function close(actual: number, wanted: number, tolerance: number): boolean {
  if (Number.isNaN(wanted)) return Number.isNaN(actual);
  if (!Number.isFinite(wanted)) return actual === wanted;
  return Math.abs(actual - wanted) <= tolerance * Math.max(1, Math.abs(wanted));
}

/** The traced function, and its values by the reference interpreter. */
export function evaluateTraced(fn: Fn, inputs: readonly Input[]) {
  const traced = trace((symbols) => fn(...symbols), {
    inputs: inputs.map(({ shape, dtype }, i) => ({ role: 'value', path: `x${i}`, shape, dtype })),
  });
  const named = Object.fromEntries(inputs.map(({ values }, i) => [`value.x${i}`, values]));
  return { traced, results: evaluateGraph(traced.graph, named) };
}

/** The values of a traced function that returns one tensor. */
export function tracedValues(fn: Fn, inputs: readonly Input[]): number[] {
  return Array.from(evaluateTraced(fn, inputs).results.value.values);
}

/** Fails with the element that differs, or with the lengths. */
export function expectClose(actual: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-5): void {
  expect(actual.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    if (!close(actual[i], wanted[i], tolerance)) expect.fail(`[${i}]: ${actual[i]}, wanted ${wanted[i]}`);
  }
}

/** Fails with the path and element of the first difference in structure, shape, dtype or value. */
export function expectSameAsEager(fn: Fn, inputs: readonly Input[], tolerance = 2e-6): void {
  const tensors = inputs.map(({ values, shape, dtype }) => tf.tensor(values, shape, dtype));
  const eager = flatten(fn(...tensors), isTensor);
  const { traced, results } = evaluateTraced(fn, inputs);
  expect(traced.structure.paths).toEqual(eager.paths);
  eager.leaves.forEach((tensor, i) => {
    const path = eager.paths[i];
    const result = results[path || 'value'];
    expect({ path, shape: result.shape, dtype: result.dtype }).toEqual({
      path,
      shape: tensor.shape,
      dtype: tensor.dtype,
    });
    const wanted = tensor.dataSync();
    for (let j = 0; j < wanted.length; j++) {
      if (close(result.values[j], wanted[j], tolerance)) continue;
      expect.fail(`${path || 'value'}[${j}]: traced ${result.values[j]}, eager ${wanted[j]}`);
    }
  });
}
