import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import type { TypedArray } from '../../src/graph/graph.js';
import { optimize } from '../../src/graph/passes/index.js';
import { trace } from '../../src/trace/trace.js';
import { vmap } from '../../src/transform/vmap.js';
import { CASES, type VmapCase } from './vmap-cases.js';

const BATCH = 2;

/** Reproducible numbers in [-1, 1). */
function numbers(count: number, seed: number): Float32Array {
  let state = seed * 7919 + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const sizeOf = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);

interface Input {
  /** Per example. */
  readonly examples: readonly TypedArray[];
  readonly shape: readonly number[];
  readonly axis: number | null;
  readonly dtype: 'float32' | 'int32';
}

function inputsOf({ args }: VmapCase): Input[] {
  return args.map(({ shape, axis, below, positive }, i) => {
    const one = (b: number): TypedArray => {
      const x = numbers(sizeOf(shape), 10 * i + b + 1);
      if (below !== undefined) return Int32Array.from(x, (v) => Math.floor(((v + 1) / 2) * below));
      if (positive) for (let k = 0; k < shape[0]; k++) x[k * shape[0] + k] += 2.5;
      return x;
    };
    const examples = Array.from({ length: BATCH }, (_, b) => one(axis === null ? 0 : b));
    return { examples, shape, axis, dtype: below === undefined ? 'float32' : 'int32' };
  });
}

const tensor = (values: TypedArray, shape: readonly number[], dtype: Input['dtype']) =>
  tf.tensor(values, [...shape], dtype);

/** As vmap is given it: with its batch axis. */
function batched({ examples, shape, axis, dtype }: Input): tf.Tensor {
  if (axis === null) return tensor(examples[0], shape, dtype);
  return tf.stack(
    examples.map((values) => tensor(values, shape, dtype)),
    axis < 0 ? axis + shape.length + 1 : axis,
  );
}

/** A gradient with batch axis, as one array per example; that of a shared argument as one. */
function perExample(x: tf.Tensor, axis: number | null): TypedArray[] {
  if (axis === null) return [x.dataSync() as TypedArray];
  return tf.unstack(x, axis < 0 ? axis + x.rank : axis).map((part) => part.dataSync() as TypedArray);
}

type F = (...args: tf.Tensor[]) => tf.Tensor;

/** Gradients of <f, w> by the float arguments; with `directions`, those of <gradients, directions>. */
function derivatives(
  f: F,
  weights: tf.Tensor,
  args: tf.Tensor[],
  directions: tf.Tensor[] | undefined,
): tf.Tensor[] {
  const floats = args.filter(({ dtype }) => dtype === 'float32');
  const withInts = (xs: tf.Tensor[]) => {
    let next = 0;
    return args.map((arg) => (arg.dtype === 'float32' ? xs[next++] : arg));
  };
  const first = tf.grads((...xs: tf.Tensor[]) => tf.sum(tf.mul(f(...withInts(xs)), weights)));
  if (!directions) return first(floats);
  return tf.grads((...xs: tf.Tensor[]) => tf.addN(first(xs).map((g, i) => tf.sum(tf.mul(g, directions[i])))))(
    floats,
  );
}

/** The same, recorded in a trace and evaluated by the reference. */
function inTrace(
  build: (args: tf.Tensor[]) => tf.Tensor[],
  args: readonly tf.Tensor[],
): { values: TypedArray; shape: readonly number[] }[] {
  const { graph } = trace((tensors) => build(tensors), {
    inputs: args.map(({ shape, dtype }, i) => ({
      role: 'value',
      path: `x${i}`,
      shape,
      dtype: dtype as 'float32',
    })),
    repeat: false,
  });
  const values = evaluateGraph(
    optimize(graph),
    Object.fromEntries(args.map((arg, i) => [`x${i}`, arg.dataSync() as TypedArray])),
  );
  return graph.outputs.map(({ path }) => values[path]);
}

function expectClose(got: ArrayLike<number>, wanted: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(wanted.length);
  const scale = Array.from(wanted).reduce((most, v) => Math.max(most, Math.abs(v)), 1);
  for (let i = 0; i < got.length; i++) expect(Math.abs(got[i] - wanted[i])).toBeLessThan(tolerance * scale);
}

let before: number;
beforeEach(() => {
  before = tf.memory().numTensors;
  tf.engine().startScope();
});
afterEach(() => {
  tf.engine().endScope();
  expect(tf.memory().numTensors).toBe(before);
});

describe('vmap agrees with a loop over the examples', () => {
  it.each(CASES)('$name', (each) => {
    const inputs = inputsOf(each);
    const example = (b: number) =>
      inputs.map(({ examples, shape, dtype }) => tensor(examples[b], shape, dtype));
    const loop = Array.from({ length: BATCH }, (_, b) => each.f(...example(b)));
    const args = inputs.map(batched);
    const axes = inputs.map(({ axis }) => axis);
    const mapped = vmap(each.f, axes.length === 1 ? axes[0] : axes) as F;
    const eager = mapped(...args);
    expect(eager.shape).toEqual([BATCH, ...loop[0].shape]);
    expectClose(eager.dataSync(), tf.stack(loop).dataSync(), 1e-5);
    const [traced] = inTrace((tensors) => [mapped(...tensors)], args);
    expect(traced.shape).toEqual(eager.shape);
    expectClose(traced.values, eager.dataSync(), 1e-5);

    const weights = tensor(numbers(eager.size, 99), eager.shape, 'float32');
    const floats = inputs.filter(({ dtype }) => dtype === 'float32');
    // Where the batch axis lies makes no difference to what is differentiated: second derivatives for one place only.
    const elsewhere = inputs[0].axis !== 0;
    for (const order of each.second === false || elsewhere ? [1] : [1, 2]) {
      const directions = floats.map((input, i) =>
        batched({
          ...input,
          examples: input.examples.map((x, b) =>
            numbers(x.length, 200 + 10 * i + (input.axis === null ? 0 : b)),
          ),
        }),
      );
      const directionsOf = (b: number) =>
        floats.map((input, i) =>
          tensor(
            numbers(input.examples[0].length, 200 + 10 * i + (input.axis === null ? 0 : b)),
            input.shape,
            'float32',
          ),
        );
      const rows = tf.unstack(weights);
      const wanted = floats.map(({ examples, axis }) =>
        examples.slice(0, axis === null ? 1 : BATCH).map((x) => new Float64Array(x.length)),
      );
      for (let b = 0; b < BATCH; b++) {
        const gradients = inTrace(
          (tensors) => derivatives(each.f, rows[b], tensors, order === 1 ? undefined : directionsOf(b)),
          example(b),
        );
        gradients.forEach(({ values }, i) => {
          values.forEach((v, k) => {
            wanted[i][floats[i].axis === null ? 0 : b][k] += v;
          });
        });
      }
      const run = (tensors: tf.Tensor[]) =>
        derivatives(mapped, weights, tensors, order === 1 ? undefined : directions);
      const results = [
        run(args),
        inTrace(run, args).map(({ values, shape }) => tf.tensor(values, [...shape])),
      ];
      for (const result of results) {
        result.forEach((gradient, i) => {
          perExample(gradient, floats[i].axis).forEach((values, b) => {
            expectClose(values, wanted[i][b], 5e-5);
          });
        });
      }
    }
  });
});
