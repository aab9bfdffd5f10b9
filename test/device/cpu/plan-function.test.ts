/** Plans of functions, run on a plain machine against the reference evaluator; the machine refuses tasks of a stage that are not independent. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planFunction } from '../../../src/device/cpu/plan-function.js';
import type { FunctionSpec, LeafSpec } from '../../../src/device/driver.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { evaluateGraph } from '../../../src/graph/evaluate.js';
import type { DType, Graph, Op, Shape, TypedArray } from '../../../src/graph/graph.js';
import { sizeOf } from '../../../src/graph/graph.js';
import { programFromTape } from '../../graph/random-graph.js';
import { FunctionMachine } from './function-machine.js';
import { asFloat } from './instruction-machine.js';

function specOf(graph: Graph, donations?: FunctionSpec['donations']): FunctionSpec {
  const inputs: LeafSpec[] = [];
  for (const { op, shape, dtype } of graph.nodes)
    if (op.name === 'input') inputs.push({ path: op.path, shape, dtype });
  const outputs = graph.outputs.map(({ path, node }) => {
    const { shape, dtype } = graph.nodes[node];
    return { path, shape, dtype };
  });
  return { graph, inputs, outputs, donations };
}

interface Ran {
  readonly outputs: Record<string, number[]>;
  readonly text: string;
  readonly writtenOver: readonly number[];
}

/** Runs the plan, the tasks of each stage in an order drawn from `seed`. Granularity 0.001 cuts whatever can be cut. */
function run(
  spec: FunctionSpec,
  inputs: Readonly<Record<string, TypedArray>>,
  threads: number,
  granularity?: number,
  seed = 1,
): Ran {
  const plan = planFunction(spec, threads, granularity);
  const machine = new FunctionMachine(plan.words, plan.constants);
  spec.inputs.forEach(({ path }, i) => {
    machine.set(i, inputs[path]);
  });
  let state = seed;
  const below = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % n;
  };
  machine.run((tasks) => {
    for (let i = tasks.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [tasks[i], tasks[j]] = [tasks[j], tasks[i]];
    }
    return tasks;
  });
  let own = spec.inputs.length;
  const outputs = spec.outputs.map(({ path, shape, dtype }, o) => {
    const over = plan.writtenOver[o];
    const memory = machine.external(over >= 0 ? over : own++);
    const read = (i: number) => {
      const bits = memory.getInt32(4 * i, true);
      return dtype === 'float32' ? asFloat(bits) : bits;
    };
    return [path, Array.from({ length: sizeOf(shape) }, (_, i) => read(i))] as const;
  });
  return { outputs: Object.fromEntries(outputs), text: plan.text, writtenOver: plan.writtenOver };
}

/** Values of moderate size, none of them between two results that rounding could choose from. */
const TAME = [0, 1, -1, 2, 0.5, -2.5, 1.5, 0.1, -0.3, 7];

/** Whether all values of the program stay of moderate size. */
function isTame(graph: Graph, inputs: Record<string, TypedArray>): boolean {
  const all = { nodes: graph.nodes, outputs: graph.nodes.map(({ id }) => ({ path: `n${id}`, node: id })) };
  return Object.values(evaluateGraph(all, inputs)).every(({ values }) =>
    values.every((v) => !Number.isFinite(v) || (Math.abs(v) < 1e4 && (v === 0 || Math.abs(v) > 1e-4))),
  );
}

function compare(spec: FunctionSpec, inputs: Record<string, TypedArray>, ran: Ran) {
  const wanted = evaluateGraph(spec.graph, inputs);
  for (const [path, values] of Object.entries(ran.outputs)) {
    values.forEach((got, i) => {
      const want = wanted[path].values[i];
      const near =
        Object.is(got, want) || got === want || Math.abs(got - want) <= 1e-4 * (1 + Math.abs(want));
      if (!near) expect.fail(`${path}[${i}] is ${got} instead of ${want}\n${ran.text}`);
    });
  }
}

const tapes = fc.array(fc.nat({ max: 5039 }), { minLength: 60, maxLength: 220, size: 'max' });

describe('random graphs as functions', () => {
  it('compute the graph, on one thread and cut finely, whatever the order of tasks', () => {
    let checked = 0;
    fc.assert(
      fc.property(tapes, (tape) => {
        const { graph, inputs } = programFromTape(tape, TAME);
        if (!isTame(graph, inputs)) return;
        checked++;
        const spec = specOf(graph);
        compare(spec, inputs, run(spec, inputs, 1));
        compare(spec, inputs, run(spec, inputs, 4, 1e-4, tape[0]));
      }),
      { numRuns: 300, seed: 4 },
    );
    expect(checked).toBeGreaterThan(100);
  });

  it('also where every input is donated to an output of its type', () => {
    let inPlace = 0;
    fc.assert(
      fc.property(tapes, (tape) => {
        const { graph, inputs } = programFromTape(tape, TAME);
        if (!isTame(graph, inputs)) return;
        const bare = specOf(graph);
        const taken = new Set<number>();
        const donations = bare.inputs.flatMap((input, i): [number, number][] => {
          const o = bare.outputs.findIndex(
            (output, k) =>
              !taken.has(k) && output.dtype === input.dtype && output.shape.join() === input.shape.join(),
          );
          taken.add(o);
          return o >= 0 ? [[i, o]] : [];
        });
        const spec = { ...bare, donations };
        const ran = run(spec, inputs, 3, 1e-4, tape[1]);
        inPlace += ran.writtenOver.filter((i) => i >= 0).length;
        compare(spec, inputs, ran);
      }),
      { numRuns: 300, seed: 5 },
    );
    expect(inPlace).toBeGreaterThan(20);
  });
});

const float = (b: GraphBuilder, path: string, shape: Shape, dtype: DType = 'float32') =>
  b.input('value', path, shape, dtype);

function ramp(n: number, step = 0.1): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => ((i * 7) % 13) * step - 0.5);
}

describe('what a plan looks like', () => {
  it('a scalar function of twenty ops is one stage, one task, one instruction', () => {
    const b = new GraphBuilder();
    const x = float(b, 'x', []);
    let y = x;
    for (let i = 0; i < 10; i++) y = b.add({ name: 'add' }, [b.add({ name: 'tanh' }, [y]), x]);
    const { text, words } = planFunction(specOf(b.build([{ path: 'y', node: y }])), 8);
    expect(text.split('\n')).toHaveLength(3);
    expect([words[6], words[7]]).toEqual([1, 1]);
  });

  it('independent products share a stage', () => {
    const b = new GraphBuilder();
    const [x, w, g] = [float(b, 'x', [128, 256]), float(b, 'w', [256, 256]), float(b, 'g', [128, 256])];
    const dw = b.add({ name: 'matMul', transposeA: true, transposeB: false }, [x, g]);
    const dx = b.add({ name: 'matMul', transposeA: false, transposeB: true }, [g, w]);
    const plan = planFunction(
      specOf(
        b.build([
          { path: 'dw', node: dw },
          { path: 'dx', node: dx },
        ]),
      ),
      2,
    );
    expect(plan.words[6]).toBe(1);
    expect(plan.words[7]).toBeGreaterThanOrEqual(2);
    expect(plan.arenaWords).toBe(0);
    expect(plan.flops).toBe(2 * 2 * 128 * 256 * 256);
  });

  it('a product and the elementwise ops on it are one instruction, and leave no buffer', () => {
    const b = new GraphBuilder();
    const [x, w, bias] = [float(b, 'x', [9, 5]), float(b, 'w', [5, 7]), float(b, 'bias', [7])];
    const product = b.add({ name: 'matMul', transposeA: false, transposeB: false }, [x, w]);
    const y = b.add({ name: 'relu' }, [b.add({ name: 'add' }, [product, bias])]);
    const spec = specOf(b.build([{ path: 'y', node: y }]));
    expect(planFunction(spec, 1).text).toContain('  X3 = matmul[9,5,7] X0 X1 then add relu');
    const inputs = { x: ramp(45), w: ramp(35), bias: ramp(7) };
    compare(spec, inputs, run(spec, inputs, 2, 1e-4));
  });

  it('does not depend on threads but in its cuts: a long sum is done in fixed blocks', () => {
    const b = new GraphBuilder();
    const n = 1 << 17;
    const x = float(b, 'x', [n]);
    const spec = specOf(
      b.build([{ path: 'y', node: b.add({ name: 'sum', axes: [0], keepDims: false }, [x]) }]),
    );
    const inputs = { x: Float32Array.from({ length: n }, (_, i) => Math.sin(i)) };
    const results = [1, 2, 8].map((threads) => run(spec, inputs, threads).outputs.y);
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    expect(planFunction(spec, 2).text).toContain('in 32 blocks');
    compare(spec, inputs, { outputs: { y: results[0] }, text: '', writtenOver: [] });
  });

  it('outputs that are inputs, constants, views, or named twice are copied', () => {
    const b = new GraphBuilder();
    const x = float(b, 'x', [2, 3]);
    const y = b.add({ name: 'neg' }, [x]);
    const turned = b.add({ name: 'transpose', perm: [1, 0] }, [y]);
    const spec = specOf(
      b.build([
        { path: 'same', node: x },
        { path: 'constant', node: b.constant([1, 2], [2], 'int32') },
        { path: 'y', node: y },
        { path: 'again', node: y },
        { path: 'turned', node: turned },
      ]),
    );
    const inputs = { x: ramp(6) };
    compare(spec, inputs, run(spec, inputs, 2, 1e-4));
  });

  it('an input is not overwritten before its other readers, nor where it is returned', () => {
    const b = new GraphBuilder();
    const [x, w] = [float(b, 'x', [4, 4]), float(b, 'w', [4, 4])];
    const product = b.add({ name: 'matMul', transposeA: false, transposeB: false }, [x, w]);
    const stepped = b.add({ name: 'sub' }, [w, b.add({ name: 'tanh' }, [w])]);
    const graph = b.build([
      { path: 'p', node: product },
      { path: 'w', node: stepped },
    ]);
    const inputs = { x: ramp(16), w: ramp(16, 0.3) };
    const donated = specOf(graph, [[1, 1]]);
    const ran = run(donated, inputs, 2, 1e-4);
    expect(ran.writtenOver).toEqual([-1, 1]);
    compare(donated, inputs, ran);
    const returned = specOf({ nodes: graph.nodes, outputs: [...graph.outputs, { path: 'old', node: w }] }, [
      [1, 1],
    ]);
    expect(run(returned, inputs, 2).writtenOver).toEqual([-1, -1, -1]);
    // The product itself may not be written over its own operand.
    expect(run(specOf(graph, [[0, 0]]), inputs, 2).writtenOver).toEqual([-1, -1]);
  });
});

describe('cutting every kind of instruction', () => {
  const window = { size: [1, 3, 2], strides: [1, 2, 1], dilations: [1, 1, 2], padBefore: [0, 1, 1] } as const;
  const image = [5, 1, 6, 7, 3];
  const out = [5, 1, 3, 6];
  const kernels: [string, Op, Shape[], Shape | undefined][] = [
    ['conv', { name: 'conv', window, depthwise: false }, [image, [1, 3, 2, 3, 4]], [...out, 4]],
    ['depthwise conv', { name: 'conv', window, depthwise: true }, [image, [1, 3, 2, 3, 2]], [...out, 6]],
    [
      'convInputGrad',
      { name: 'convInputGrad', window, depthwise: false },
      [
        [...out, 4],
        [1, 3, 2, 3, 4],
      ],
      image,
    ],
    ['convFilterGrad', { name: 'convFilterGrad', window, depthwise: false }, [image, [...out, 4]], undefined],
    [
      'depthwise convFilterGrad',
      { name: 'convFilterGrad', window, depthwise: true },
      [image, [...out, 6]],
      undefined,
    ],
    ['windowMax', { name: 'windowMax', window }, [image], [...out, 3]],
    ['windowSum', { name: 'windowSum', window }, [image], [...out, 3]],
    ['windowMaxGrad', { name: 'windowMaxGrad', window }, [image, [...out, 3]], undefined],
    ['windowSumGrad', { name: 'windowSumGrad', window }, [[...out, 3]], image],
    ['argSort', { name: 'argSort', descending: true }, [[6, 9]], undefined],
    ['cumsum', { name: 'cumsum', axis: 1, exclusive: false, reverse: true }, [[6, 5, 3]], undefined],
    [
      'batched matMul',
      { name: 'matMul', transposeA: true, transposeB: false },
      [
        [6, 5, 3],
        [6, 5, 2],
      ],
      undefined,
    ],
    [
      'tall matMul',
      { name: 'matMul', transposeA: false, transposeB: true },
      [
        [100, 3],
        [4, 3],
      ],
      undefined,
    ],
    [
      'wide matMul',
      { name: 'matMul', transposeA: false, transposeB: false },
      [
        [4, 3],
        [3, 200],
      ],
      undefined,
    ],
    ['sum', { name: 'sum', axes: [1], keepDims: false }, [[3, 4, 50]], undefined],
    ['argMax', { name: 'argMax', axis: 0 }, [[7, 40]], undefined],
    [
      'pad',
      {
        name: 'pad',
        paddings: [
          [1, 2],
          [0, 3],
        ],
        value: 2,
      },
      [[20, 3]],
      undefined,
    ],
    [
      'concat',
      { name: 'concat', axis: 1 },
      [
        [6, 3],
        [6, 5],
      ],
      undefined,
    ],
    [
      'add',
      { name: 'add' },
      [
        [6, 40],
        [6, 1],
      ],
      undefined,
    ],
  ];
  it.each(kernels)('%s', (_, op, shapes, shape) => {
    const b = new GraphBuilder();
    const ids = shapes.map((s, i) => float(b, `x${i}`, s));
    const spec = specOf(b.build([{ path: 'y', node: b.add(op, ids, shape ? { shape } : undefined) }]));
    const inputs = Object.fromEntries(shapes.map((s, i) => [`x${i}`, ramp(sizeOf(s), 0.1 + i)]));
    const ran = run(spec, inputs, 3, 1e-4);
    compare(spec, inputs, ran);
    expect(ran.text).toMatch(/pieces/);
  });

  it('gather, along every axis, with and without batch', () => {
    for (const [axis, batchDims, shape, indices] of [
      [0, 0, [9, 4], [30]],
      [1, 0, [9, 5], [4]],
      [2, 1, [7, 2, 5], [7, 3]],
      [1, 1, [7, 5], [7, 3]],
    ] as const) {
      const b = new GraphBuilder();
      const x = float(b, 'x', shape);
      const i = float(b, 'i', indices, 'int32');
      const spec = specOf(b.build([{ path: 'y', node: b.add({ name: 'gather', axis, batchDims }, [x, i]) }]));
      const inputs = {
        x: ramp(sizeOf(shape)),
        i: Int32Array.from({ length: sizeOf(indices) }, (_, k) => (k * 3) % (shape[axis] as number)),
      };
      compare(spec, inputs, run(spec, inputs, 3, 1e-4));
    }
  });

  it('batched factorisations and solves, of matrices that are views', () => {
    const b = new GraphBuilder();
    const n = 3;
    const root = float(b, 'r', [5, n, n]);
    const square = b.add({ name: 'matMul', transposeA: false, transposeB: true }, [root, root]);
    const eye = b.constant([1, 0, 0, 0, 1, 0, 0, 0, 1], [n, n], 'float32');
    const a = b.add({ name: 'add' }, [square, eye]);
    const turned = b.add({ name: 'transpose', perm: [0, 2, 1] }, [a]);
    const l = b.add({ name: 'cholesky' }, [turned]);
    const x = b.add({ name: 'triangularSolve', lower: true, transpose: true }, [l, turned]);
    const e = b.add({ name: 'symmetricEigen' }, [turned]);
    const spec = specOf(
      b.build([
        { path: 'l', node: l },
        { path: 'x', node: x },
        { path: 'e', node: e },
      ]),
    );
    const inputs = { r: ramp(45, 0.17) };
    compare(spec, inputs, run(spec, inputs, 4, 1e-4));
  });
});
