/** Runs a function eagerly on the tfjs cpu backend and through trace + reference evaluation, and compares the two. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import type { DType, TypedArray } from '../../src/graph/graph.js';
import { flatten } from '../../src/trace/structure.js';
import { trace } from '../../src/trace/trace.js';

export interface Input {
  readonly shape: number[];
  readonly dtype: DType;
  readonly values: TypedArray;
}

/** Numbers in (0, 1) from a fixed linear congruential generator: independent of the library's own. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

const sizeOf = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);

/** float32 values in (low, high). */
export function floats(shape: number[], low = -2, high = 2, seed = 1): Input {
  const next = generator(seed + sizeOf(shape));
  const values = Float32Array.from({ length: sizeOf(shape) }, () => low + (high - low) * next());
  return { shape, dtype: 'float32', values };
}

/** int32 values in [low, high). */
export function ints(shape: number[], low = -5, high = 6, seed = 1): Input {
  const next = generator(seed + sizeOf(shape));
  const values = Int32Array.from({ length: sizeOf(shape) }, () => low + Math.floor((high - low) * next()));
  return { shape, dtype: 'int32', values };
}

export function bools(shape: number[], seed = 1): Input {
  const next = generator(seed + sizeOf(shape));
  return { shape, dtype: 'bool', values: Uint8Array.from({ length: sizeOf(shape) }, () => +(next() < 0.5)) };
}

/** float32 values given one by one. */
export function given(values: number[], shape: number[] = [values.length]): Input {
  return { shape, dtype: 'float32', values: Float32Array.from(values) };
}

const isTensor = (x: unknown): x is tf.Tensor => x instanceof tf.Tensor;

// biome-ignore lint/suspicious/noExplicitAny: tests pass tensors of every rank to functions typed by rank.
export type Fn = (...inputs: any[]) => unknown;

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
