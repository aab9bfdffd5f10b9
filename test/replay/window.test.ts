import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../src/graph/builder.js';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import { type Op, sizeOf, type Triple, type Window } from '../../src/graph/graph.js';
import { spread } from '../../src/replay/operand.js';
import { replayBackend, replayGraph } from '../../src/replay/replay.js';

const PARTICLES = 3;

const triple = (min: number, max: number) =>
  fc.tuple(...[0, 1, 2].map(() => fc.integer({ min, max }))) as unknown as fc.Arbitrary<Triple>;

/** Any geometry: pads that are negative or larger than the window, windows that hang over either end. */
const GEOMETRY = fc
  .record({
    size: triple(1, 3),
    strides: triple(1, 2),
    dilations: triple(1, 2),
    padBefore: triple(-1, 2),
    windows: triple(1, 3),
    image: triple(1, 5),
    flat: fc.boolean(),
    rows: fc.integer({ min: 1, max: 2 }),
    channels: fc.integer({ min: 1, max: 2 }),
    filters: fc.integer({ min: 1, max: 2 }),
    depthwise: fc.boolean(),
    varying: fc.tuple(fc.boolean(), fc.boolean()),
    seed: fc.integer({ min: 1, max: 1e6 }),
    special: fc.constantFrom(undefined, Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY),
  })
  .map((g) => {
    if (!g.flat) return g;
    // Two dimensions, as tfjs's own kernels know them.
    const plane = (t: Triple, first: number): Triple => [first, t[1], t[2]];
    return {
      ...g,
      size: plane(g.size, 1),
      strides: [1, g.strides[1], g.strides[1]] as const,
      dilations: plane(g.dilations, 1),
      padBefore: plane(g.padBefore, 0),
      windows: plane(g.windows, 1),
      image: plane(g.image, 1),
    };
  });
type Geometry = typeof GEOMETRY extends fc.Arbitrary<infer G> ? G : never;

interface OpCase {
  readonly name: string;
  readonly build: (g: Geometry) => {
    op: Op;
    inputs: readonly (readonly number[])[];
    shape: readonly number[];
  };
  /** Whether special values may come in (not through products, where 0 * Infinity depends on the order). */
  readonly specials: boolean;
}

function shapesOf(g: Geometry) {
  const outputs = g.depthwise ? g.channels * g.filters : g.filters;
  return {
    x: [g.rows, ...g.image, g.channels],
    filter: [...g.size, g.channels, g.filters],
    y: [g.rows, ...g.windows, outputs],
    pooled: [g.rows, ...g.windows, g.channels],
  };
}

function windowOf({ size, strides, dilations, padBefore }: Geometry): Window {
  return { size, strides, dilations, padBefore };
}

const CASES: readonly OpCase[] = [
  {
    name: 'conv',
    build: (g) => ({
      op: { name: 'conv', window: windowOf(g), depthwise: g.depthwise },
      inputs: [shapesOf(g).x, shapesOf(g).filter],
      shape: shapesOf(g).y,
    }),
    specials: false,
  },
  {
    name: 'convInputGrad',
    build: (g) => ({
      op: { name: 'convInputGrad', window: windowOf(g), depthwise: g.depthwise },
      inputs: [shapesOf(g).y, shapesOf(g).filter],
      shape: shapesOf(g).x,
    }),
    specials: false,
  },
  {
    name: 'convFilterGrad',
    build: (g) => ({
      op: { name: 'convFilterGrad', window: windowOf(g), depthwise: g.depthwise },
      inputs: [shapesOf(g).x, shapesOf(g).y],
      shape: shapesOf(g).filter,
    }),
    specials: false,
  },
  {
    name: 'windowMax',
    build: (g) => ({
      op: { name: 'windowMax', window: windowOf(g) },
      inputs: [shapesOf(g).x],
      shape: shapesOf(g).pooled,
    }),
    specials: true,
  },
  {
    name: 'windowSum',
    build: (g) => ({
      op: { name: 'windowSum', window: windowOf(g) },
      inputs: [shapesOf(g).x],
      shape: shapesOf(g).pooled,
    }),
    specials: false,
  },
  {
    name: 'windowMaxGrad',
    build: (g) => ({
      op: { name: 'windowMaxGrad', window: windowOf(g) },
      inputs: [shapesOf(g).x, shapesOf(g).pooled],
      shape: shapesOf(g).x,
    }),
    specials: true,
  },
  {
    name: 'windowSumGrad',
    build: (g) => ({
      op: { name: 'windowSumGrad', window: windowOf(g) },
      inputs: [shapesOf(g).pooled],
      shape: shapesOf(g).x,
    }),
    specials: false,
  },
];

/** Few different numbers, so that maxima tie. */
function numbers(count: number, seed: number, special: number | undefined): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const v = (state >>> 24) % 7;
    return special !== undefined && v === 6 ? special : (v - 3) / 2;
  });
}

function check({ build, specials }: OpCase, g: Geometry): void {
  const { op, inputs, shape } = build(g);
  const builder = new GraphBuilder();
  const ids = inputs.map((each, i) => builder.input('value', `x${i}`, each, 'float32'));
  const graph = builder.build([{ path: 'y', node: builder.add(op, ids, { shape }) }]);
  const values = inputs.map((each, i) =>
    Array.from({ length: g.varying[i] ? PARTICLES : 1 }, (_, p) =>
      numbers(sizeOf(each), g.seed + 31 * i + p, specials && i === 0 ? g.special : undefined),
    ),
  );
  const got = tf.tidy(() => {
    const [value] = replayGraph(
      graph,
      (node) => {
        const i = node.id;
        const flat = Float32Array.from(values[i].flatMap((v) => [...v]));
        const full = g.varying[i] ? [PARTICLES, ...inputs[i]] : [...inputs[i]];
        return { tensor: tf.tensor(flat, full), varying: g.varying[i] };
      },
      PARTICLES,
    );
    const node = graph.nodes[graph.outputs[0].node];
    const context = { particles: PARTICLES, backend: replayBackend(), range: () => undefined };
    expect(value.varying).toBe(inputs.some((_, i) => g.varying[i]));
    return (value.varying ? value.tensor : spread({ node, ...value }, shape, context)).dataSync();
  });
  const size = sizeOf(shape);
  for (let p = 0; p < PARTICLES; p++) {
    const of = values.map((each) => each[each.length === 1 ? 0 : p]);
    const wanted = evaluateGraph(graph, Object.fromEntries(of.map((v, i) => [`x${i}`, v]))).y.values;
    wanted.forEach((w, k) => {
      const found = got[p * size + k];
      if (Number.isFinite(w)) expect(Math.abs(found - w)).toBeLessThan(1e-4);
      else expect(found).toBe(w);
    });
  }
}

describe.each(['cpu', 'wasm'])(
  'windows on backend %s agree with the reference for every geometry',
  (backend) => {
    afterAll(() => tf.setBackend('cpu'));
    it.each(CASES)('$name', async (each) => {
      await tf.setBackend(backend);
      fc.assert(
        fc.property(GEOMETRY, (g) => check(each, g)),
        { numRuns: 25, seed: 7 },
      );
    });
  },
);

describe('argSort', () => {
  it.each(['cpu', 'wasm'])('is stable, with NaN last, on backend %s', async (backend) => {
    await tf.setBackend(backend);
    const builder = new GraphBuilder();
    const x = builder.input('value', 'x', [6], 'float32');
    const graph = builder.build([
      { path: 'up', node: builder.add({ name: 'argSort', descending: false }, [x]) },
      { path: 'down', node: builder.add({ name: 'argSort', descending: true }, [x]) },
    ]);
    const rows = [Number.NaN, 1, -0, 0, Number.POSITIVE_INFINITY, 1, 2, 2, Number.NaN, -1, 2, -1];
    const [up, down] = tf.tidy(() =>
      replayGraph(graph, () => ({ tensor: tf.tensor2d(rows, [2, 6]), varying: true }), 2).map(({ tensor }) =>
        tensor.arraySync(),
      ),
    );
    expect(up).toEqual([
      [2, 3, 1, 5, 4, 0],
      [3, 5, 0, 1, 4, 2],
    ]);
    expect(down).toEqual([
      [4, 1, 5, 2, 3, 0],
      [0, 1, 4, 3, 5, 2],
    ]);
    await tf.setBackend('cpu');
  });
});
