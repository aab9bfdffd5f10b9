/** Running a tfjs function eagerly, particle by particle, and on a device, all particles at once. */
import * as tf from '@tensorflow/tfjs';
import type { DeviceDriver } from '../../src/device/driver.js';
import type { DType, TypedArray } from '../../src/graph/graph.js';
import { type Evaluated, evaluate } from '../../src/transform/evaluate.js';

// biome-ignore lint/suspicious/noExplicitAny: the cases hand tensors of every rank to functions typed by rank.
export type Fn = (...inputs: any[]) => tf.Tensor | tf.Tensor[];

/** One argument of a function under test: its shape, and the values of each particle. */
export interface Argument {
  readonly shape: readonly number[];
  readonly dtype: DType;
  values(particle: number): TypedArray;
}

/** Numbers in (0, 1), independent of the library's own generator. */
export function generator(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

const sizeOf = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);

/** float32 in (low, high). */
export function floats(shape: readonly number[], low = -2, high = 2, seed = 1): Argument {
  return {
    shape,
    dtype: 'float32',
    values: (particle) => {
      const next = generator(seed + 1000 * particle);
      return Float32Array.from({ length: sizeOf(shape) }, () => low + (high - low) * next());
    },
  };
}

/** int32 in [low, high). */
export function ints(shape: readonly number[], low = -5, high = 6, seed = 1): Argument {
  return {
    shape,
    dtype: 'int32',
    values: (particle) => {
      const next = generator(seed + 1000 * particle);
      return Int32Array.from({ length: sizeOf(shape) }, () => low + Math.floor((high - low) * next()));
    },
  };
}

export function bools(shape: readonly number[], seed = 1): Argument {
  return {
    shape,
    dtype: 'bool',
    values: (particle) => {
      const next = generator(seed + 1000 * particle);
      return Uint8Array.from({ length: sizeOf(shape) }, () => (next() < 0.5 ? 0 : 1));
    },
  };
}

/** The given float32 numbers, turned by one place for each particle. */
export function turned(values: readonly number[], shift = 1): Argument {
  return {
    shape: [values.length],
    dtype: 'float32',
    values: (particle) => Float32Array.from(values, (_, i) => values[(i + shift * particle) % values.length]),
  };
}

export interface Result {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly values: ArrayLike<number>;
}

/** The function's results for one particle, eager on the cpu backend of tfjs. `shared` arguments are those of particle 0. */
export function eager(
  fn: Fn,
  args: readonly Argument[],
  particle: number,
  shared: readonly boolean[],
): Result[] {
  return tf.tidy(() => {
    const inputs = args.map(({ shape, dtype, values }, i) =>
      tf.tensor(values(shared[i] ? 0 : particle), [...shape], dtype),
    );
    return [fn(...inputs)]
      .flat()
      .map((x) => ({ shape: x.shape, dtype: x.dtype, values: x.dataSync().slice() }));
  });
}

/** The function's results for all particles on a device, one list per particle. */
export async function onDevice(
  driver: DeviceDriver,
  fn: Fn,
  args: readonly Argument[],
  particles: number,
  shared: readonly boolean[],
): Promise<Result[][]> {
  const varying: tf.Tensor[] = [];
  const uniform: tf.Tensor[] = [];
  args.forEach(({ shape, dtype, values }, i) => {
    if (shared[i]) {
      uniform.push(tf.tensor(values(0), [...shape], dtype));
      return;
    }
    const width = sizeOf(shape);
    const first = values(0);
    const all = new (first.constructor as new (n: number) => TypedArray)(particles * width);
    for (let p = 0; p < particles; p++) all.set(values(p), p * width);
    varying.push(tf.tensor(all, [particles, ...shape], dtype));
  });
  try {
    const traced = (own: tf.Tensor[], common: tf.Tensor[]) => {
      let nextOwn = 0;
      let nextCommon = 0;
      return [fn(...args.map((_, i) => (shared[i] ? common[nextCommon++] : own[nextOwn++])))].flat();
    };
    const results = (await evaluate(driver, traced, varying, {
      particles,
      shared: uniform,
    })) as unknown as Evaluated[];
    return Array.from({ length: particles }, (_, p) =>
      results.map(({ shape, dtype, values }) => {
        const width = sizeOf(shape.slice(1));
        return { shape: shape.slice(1), dtype, values: values.subarray(p * width, (p + 1) * width) };
      }),
    );
  } finally {
    tf.dispose([varying, uniform]);
  }
}

export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

/** The first difference in words, or undefined. int32 and bool must be equal; NaN and infinities must be where they are wanted. */
export function difference(
  got: Result,
  wanted: Result,
  { relative, absolute }: Tolerance,
): string | undefined {
  if (got.dtype !== wanted.dtype || got.shape.join() !== wanted.shape.join()) {
    return `${got.dtype}[${got.shape}] instead of ${wanted.dtype}[${wanted.shape}]`;
  }
  for (let i = 0; i < wanted.values.length; i++) {
    const g = got.values[i];
    const w = wanted.values[i];
    if (Object.is(g, w) || g === w) continue;
    const near =
      wanted.dtype === 'float32' &&
      Number.isFinite(w) &&
      Math.abs(g - w) <= relative * Math.abs(w) + absolute;
    if (!near) return `element ${i} is ${g} instead of ${w}`;
  }
  return undefined;
}
