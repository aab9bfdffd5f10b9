/** Inputs of traced functions in tests: made from fixed seeds. */
import type { DType, TypedArray } from '../../src/graph/graph.js';

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

// biome-ignore lint/suspicious/noExplicitAny: tests pass tensors of every rank to functions typed by rank.
export type Fn = (...inputs: any[]) => unknown;
