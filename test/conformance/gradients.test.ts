/**
 * Random functions of every differentiable op: value, gradient and Hessian-vector product on the fastest device, against eager tfjs where
 * its gradient is right, and against finite differences in float64 everywhere.
 *
 * UNROLLED_RANDOM_PROGRAMS sets how many (default 200), UNROLLED_RANDOM_FIRST the number of the first.
 */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import type { Graph, TypedArray } from '../../src/graph/graph.js';
import { trace } from '../../src/trace/trace.js';
import type { Device } from '../../src/transform/device.js';
import { grad } from '../../src/transform/grad.js';
import { hvp } from '../../src/transform/hvp.js';
import { jit } from '../../src/transform/jit.js';
import { openFastest } from '../support/devices.js';
import { generator } from './compare.js';
import { OPS, randomFunction, SHAPES } from './random-gradients.js';

const COUNT = Number(process.env.UNROLLED_RANDOM_PROGRAMS ?? 200);
const FIRST = Number(process.env.UNROLLED_RANDOM_FIRST ?? 0);
const GROUP = 25;

type Numbers = readonly (readonly number[])[];

/** The reference evaluator with every float32 result in float64. */
function evaluateExactly(graph: Graph, inputs: Numbers): number[][] {
  const original = globalThis.Float32Array;
  try {
    globalThis.Float32Array = Float64Array as never;
    const named = Object.fromEntries(
      inputs.map((values, i) => [`value.${i}`, Float64Array.from(values) as unknown as TypedArray]),
    );
    const outputs = evaluateGraph(graph, named);
    return graph.outputs.map(({ path }) => Array.from(outputs[path].values));
  } finally {
    globalThis.Float32Array = original;
  }
}

function graphOf(fn: (...inputs: tf.Tensor[]) => unknown): Graph {
  const inputs = SHAPES.map((shape, i) => {
    return { role: 'value' as const, path: String(i), shape, dtype: 'float32' as const };
  });
  return trace((tensors) => fn(...tensors), { inputs, repeat: false }).graph;
}

/** Central difference of fourth order, of whatever the graph computes, along a direction. */
function slope(graph: Graph, at: Numbers, along: Numbers, h: number): number[] {
  const moved = (k: number) =>
    evaluateExactly(
      graph,
      at.map((x, i) => x.map((v, j) => v + k * h * along[i][j])),
    ).flat();
  const [a, b, c, d] = [-2, -1, 1, 2].map(moved);
  return a.map((_, i) => (8 * (c[i] - b[i]) - (d[i] - a[i])) / (12 * h));
}

/** Fails where `got` is off by more than `tolerance` times the largest number wanted (at least 1). */
function expectNear(
  got: readonly number[],
  wanted: readonly number[],
  tolerance: number,
  what: string,
): void {
  const scale = Math.max(1, ...wanted.map(Math.abs));
  expect(got.length, what).toBe(wanted.length);
  wanted.forEach((value, i) => {
    const off = Math.abs(got[i] - value);
    if (!(off <= tolerance * scale)) expect.fail(`${what}, element ${i}: ${got[i]}, wanted ${value}`);
  });
}

const flat = (tensors: readonly tf.Tensor[]) => tensors.flatMap((t) => Array.from(t.dataSync()));

let device: Device;
/** Checks against finite differences that had a value at all: at a kink there is none. */
let smooth = 0;
let checks = 0;

beforeAll(async () => {
  await tf.setBackend('cpu');
  device = await openFastest();
});
afterAll(() => device.dispose());

/** The derivative where two step sizes agree on one. */
function derivative(graph: Graph, at: Numbers, along: Numbers): number[] | undefined {
  checks++;
  const [fine, coarse] = [slope(graph, at, along, 1e-4), slope(graph, at, along, 4e-4)];
  const scale = Math.max(1, ...fine.map(Math.abs));
  if (!fine.every((v, i) => Math.abs(v - coarse[i]) <= 1e-5 * scale)) return undefined;
  smooth++;
  return fine;
}

function check(index: number): void {
  const { f, ops, eager } = randomFunction(index);
  const what = `function ${index} (${ops.join(', ')})`;
  const next = generator(31 * index + 5);
  const points = () =>
    SHAPES.map((s) =>
      Array.from({ length: s.reduce((a, b) => a * b, 1) }, () => Math.fround(2 * next() - 1)),
    );
  const [at, along] = [points(), points()];
  const tensors = (values: Numbers) => values.map((v, i) => tf.tensor([...v], SHAPES[i]));
  const compiled = jit(
    (x: tf.Tensor[], t: tf.Tensor[]) => {
      const { gradient, product } = hvp(f, x as never, t as never) as unknown as Record<string, tf.Tensor[]>;
      return { value: f(...(x as [tf.Tensor, tf.Tensor, tf.Tensor])), gradient, product };
    },
    { device, name: what },
  );
  tf.tidy(() => {
    const x = tensors(at);
    const { value, gradient, product } = compiled(x, tensors(along));
    const got = flat(gradient);
    expectNear(flat([value]), flat([f(...(x as [tf.Tensor, tf.Tensor, tf.Tensor]))]), 2e-5, `${what}: value`);
    if (eager) expectNear(got, flat(tf.grads(f as never)(x)), 2e-4, `${what}: gradient, eager`);
    const forward = derivative(graphOf(f as never), at, along);
    const directional = got.reduce((s, g, i) => s + g * along.flat()[i], 0);
    if (forward) expectNear([directional], forward, 5e-4, `${what}: gradient along a direction`);
    const second = derivative(graphOf(grad(f as never, [0, 1, 2]) as never), at, along);
    if (second) expectNear(flat(product), second, 2e-3, `${what}: Hessian-vector product`);
  });
  compiled.dispose();
}

describe(`random functions of ${OPS.length} differentiable ops, with gradients`, () => {
  const groups = Array.from({ length: Math.ceil(COUNT / GROUP) }, (_, i) => FIRST + i * GROUP);
  it.each(groups)('from number %i', (first) => {
    const { numTensors } = tf.memory();
    for (let i = first; i < Math.min(first + GROUP, FIRST + COUNT); i++) check(i);
    expect(tf.memory().numTensors).toBe(numTensors);
  });

  it('are smooth where they were looked at, nearly always', () => {
    expect(smooth).toBeGreaterThan(0.85 * checks);
  });
});
