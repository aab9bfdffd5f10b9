/**
 * Convolutions, windows, sorting and factorisations on every device against the float64 reference: as the step of an unroll, with operands of each
 * particle and shared ones, and as a function.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeviceDriver } from '../../src/device/driver.js';
import { GraphBuilder } from '../../src/graph/builder.js';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import type { Graph, Op, Shape, TypedArray, Window } from '../../src/graph/graph.js';
import { sizeOf } from '../../src/graph/graph.js';
import { difference, generator } from './compare.js';
import { DEVICES } from './devices.js';
import { runGraph } from './run-graph.js';

interface Case {
  readonly name: string;
  readonly graph: Graph;
  /** Values in (-1, 1) unless given. */
  values?(path: string, random: () => number): number;
}

interface Geometry {
  readonly name: string;
  readonly window: Window;
  readonly image: Shape;
  readonly out: Shape;
}

const window = (size: Window['size'], rest: Partial<Window> = {}): Window => ({
  size,
  strides: [1, 1, 1],
  dilations: [1, 1, 1],
  padBefore: [0, 0, 0],
  ...rest,
});

/** Channels around the widths of vectors; strides, dilations, padding of either sign, windows beyond the image. */
const GEOMETRIES: readonly Geometry[] = [
  { name: '1x1', window: window([1, 1, 1]), image: [2, 1, 4, 3, 17], out: [2, 1, 4, 3] },
  {
    name: '3x3 same',
    window: window([1, 3, 3], { padBefore: [0, 1, 1] }),
    image: [1, 1, 6, 7, 3],
    out: [1, 1, 6, 7],
  },
  {
    name: 'strided',
    window: window([1, 2, 3], { strides: [1, 2, 3], padBefore: [0, 1, 0] }),
    image: [3, 1, 7, 8, 8],
    out: [3, 1, 4, 2],
  },
  {
    name: 'dilated, negative padding',
    window: window([1, 2, 2], { dilations: [1, 3, 2], padBefore: [0, -1, 0] }),
    image: [1, 1, 7, 5, 1],
    out: [1, 1, 3, 3],
  },
  {
    name: '3-D',
    window: window([2, 3, 2], { strides: [2, 1, 1], padBefore: [1, 1, 1] }),
    image: [2, 5, 4, 3, 2],
    out: [2, 3, 4, 4],
  },
  {
    name: '1-D, long',
    window: window([1, 1, 5], { strides: [1, 1, 2], padBefore: [0, 0, 2] }),
    image: [1, 1, 1, 40, 16],
    out: [1, 1, 1, 20],
  },
  {
    name: 'beyond the image',
    window: window([1, 1, 2], { padBefore: [0, 0, 4] }),
    image: [1, 1, 1, 3, 2],
    out: [1, 1, 1, 9],
  },
];

function single(op: Op, shapes: readonly Shape[], shape?: Shape): Graph {
  const b = new GraphBuilder();
  const inputs = shapes.map((s, i) => b.input('value', `x${i}`, s, 'float32'));
  return b.build([{ path: 'y', node: b.add(op, inputs, shape ? { shape } : undefined) }]);
}

const windows: Case[] = GEOMETRIES.flatMap(({ name, window: w, image, out }) => {
  const channels = image[4] as number;
  const convolutions = [
    { kind: '', depthwise: false, filters: 5, columns: 5 },
    { kind: ', one filter', depthwise: false, filters: 1, columns: 1 },
    { kind: ', depthwise', depthwise: true, filters: 1, columns: channels },
    { kind: ', depthwise, two each', depthwise: true, filters: 2, columns: 2 * channels },
  ].flatMap(({ kind, depthwise, filters, columns }): Case[] => {
    const filter = [...w.size, channels, filters];
    const y = [...out, columns];
    return [
      {
        name: `conv ${name}${kind}`,
        graph: single({ name: 'conv', window: w, depthwise }, [image, filter], y),
      },
      {
        name: `convInputGrad ${name}${kind}`,
        graph: single({ name: 'convInputGrad', window: w, depthwise }, [y, filter], image),
      },
      {
        name: `convFilterGrad ${name}${kind}`,
        graph: single({ name: 'convFilterGrad', window: w, depthwise }, [image, y]),
      },
    ];
  });
  const y = [...out, channels];
  // Few values, so that maxima are tied; now and then a NaN.
  const tied = (_: string, random: () => number) =>
    random() < 0.03 ? Number.NaN : Math.floor(4 * random()) / 2;
  return [
    ...convolutions,
    { name: `windowMax ${name}`, graph: single({ name: 'windowMax', window: w }, [image], y), values: tied },
    { name: `windowSum ${name}`, graph: single({ name: 'windowSum', window: w }, [image], y) },
    {
      name: `windowMaxGrad ${name}`,
      graph: single({ name: 'windowMaxGrad', window: w }, [image, y]),
      values: (path, random) => (path === 'x0' ? tied(path, random) : random()),
    },
    { name: `windowSumGrad ${name}`, graph: single({ name: 'windowSumGrad', window: w }, [y], image) },
  ];
});

const sorts: Case[] = [[17], [3, 1], [4, 33], [2, 0], [2, 3, 5]].flatMap((shape) =>
  [false, true].map((descending) => ({
    name: `argSort [${shape}]${descending ? ', descending' : ''}`,
    graph: single({ name: 'argSort', descending }, [shape]),
    values: (_: string, random: () => number) => {
      const pick = random();
      if (pick < 0.1) return Number.NaN;
      if (pick < 0.2) return pick < 0.15 ? -0 : 0;
      return pick < 0.25 ? Infinity : Math.floor(6 * random()) - 3;
    },
  })),
);

/** r r^T + I, and what is made of it. */
function factorised(shape: Shape, make: (b: GraphBuilder, a: number, r: number) => number): Graph {
  const b = new GraphBuilder();
  const n = shape[shape.length - 1] as number;
  const r = b.input('value', 'r', shape, 'float32');
  const square = b.add({ name: 'matMul', transposeA: false, transposeB: true }, [r, r]);
  const identity = Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
  const a = b.add({ name: 'add' }, [square, b.constant(identity, [n, n], 'float32')]);
  return b.build([{ path: 'y', node: make(b, a, r) }]);
}

const matrices: Case[] = [
  [1, 1],
  [4, 4],
  [3, 5, 5],
  [19, 19],
].flatMap((shape): Case[] => [
  { name: `cholesky [${shape}]`, graph: factorised(shape, (b, a) => b.add({ name: 'cholesky' }, [a])) },
  {
    name: `cholesky of what is not positive definite [${shape}]`,
    graph: single({ name: 'cholesky' }, [shape]),
    values: () => -1,
  },
  ...[true, false].flatMap((lower) =>
    [true, false].map((transpose) => ({
      name: `triangularSolve [${shape}], ${lower ? 'lower' : 'upper'}${transpose ? ', transposed' : ''}`,
      graph: factorised(shape, (b, a, r) => b.add({ name: 'triangularSolve', lower, transpose }, [a, r])),
    })),
  ),
  {
    name: `symmetricEigen [${shape}]`,
    graph: factorised(shape, (b, a) => b.add({ name: 'symmetricEigen' }, [a])),
  },
]);

const CASES: readonly Case[] = [...windows, ...sorts, ...matrices];
/** Sums of up to a few hundred products in float32; eigenvectors lose what the gap between eigenvalues takes. */
const TOLERANCE = { relative: 2e-5, absolute: 2e-5 };
const PARTICLES = 9;

function inputsOf({ graph, values }: Case, particle: number): Record<string, TypedArray> {
  const inputs: Record<string, TypedArray> = {};
  for (const { op, shape } of graph.nodes) {
    if (op.name !== 'input') continue;
    const random = generator(7 * particle + op.path.charCodeAt(op.path.length - 1));
    const draw = () => values?.(op.path, random) ?? 2 * random() - 1;
    inputs[op.path] = Float32Array.from({ length: sizeOf(shape) }, draw);
  }
  return inputs;
}

for (const { name, open } of DEVICES) {
  describe(`on ${name}`, () => {
    let driver: DeviceDriver;
    beforeAll(async () => {
      driver = await open();
    });
    afterAll(async () => {
      await driver.dispose();
    });

    it.each(CASES)('$name', async (test) => {
      const { graph } = test;
      const paths = Object.keys(inputsOf(test, 0));
      const own = Array.from({ length: PARTICLES }, (_, p) => inputsOf(test, p));
      const check = (values: TypedArray, inputs: Record<string, TypedArray>, where: string) => {
        const wanted = evaluateGraph(graph, inputs).y;
        const wrong = difference({ ...wanted, values }, wanted, TOLERANCE);
        if (wrong) expect.fail(`${where}: ${wrong}`);
      };
      const sharings = paths.length < 2 ? [[]] : [[], ...paths.map((path) => [path])];
      for (const shared of sharings) {
        const placement = Object.fromEntries(
          paths.map((path) => [path, shared.includes(path) ? 'data' : 'state'] as const),
        );
        const given = own.map((values) =>
          Object.fromEntries(paths.map((path) => [path, (shared.includes(path) ? own[0] : values)[path]])),
        );
        const results = await runGraph(driver, graph, placement, PARTICLES, (p) => given[p]);
        for (const p of [0, PARTICLES - 1]) check(results.y[p], given[p], `particle ${p}, shared ${shared}`);
      }
      const inputs = graph.nodes.flatMap(({ op, shape, dtype }) =>
        op.name === 'input' ? [{ path: op.path, shape, dtype }] : [],
      );
      const { shape, dtype } = graph.nodes[graph.outputs[0].node];
      const fn = driver.loadFunction({ graph, inputs, outputs: [{ path: 'y', shape, dtype }] });
      const [values] = fn.callSync({ inputs: inputs.map(({ path }) => own[1][path]) });
      check(values, own[1], 'as a function');
      fn.dispose();
    });
  });
}
