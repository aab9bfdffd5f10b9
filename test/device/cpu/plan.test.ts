import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planUnroll } from '../../../src/device/cpu/plan.js';
import * as words from '../../../src/device/cpu/words.js';
import type { LeafSpec, UnrollSpec } from '../../../src/device/driver.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { evaluateGraph } from '../../../src/graph/evaluate.js';
import { type Graph, type GraphOutput, type Op, sizeOf } from '../../../src/graph/graph.js';
import { WordsMachine } from './words-machine.js';

describe('words.ts', () => {
  it('has the numbers of native/engine/program.h', () => {
    const header = readFileSync(new URL('../../../native/engine/program.h', import.meta.url), 'utf8');
    const body = header.slice(
      header.indexOf('enum Micro'),
      header.indexOf('// Everything an instruction can see'),
    );
    const numbers: Record<string, number> = {};
    let next = 0;
    for (const [, name, value] of body
      .replace(/\/\*.*?\*\/|\/\/.*/g, '')
      .matchAll(/\b(k[A-Z]\w*)(?:\s*=\s*(\d+))?/g)) {
      if (value !== undefined) next = Number(value);
      numbers[name] = next++;
    }
    const name = (prefix: string, s: string, suffix: string) =>
      `${prefix}${s[0].toUpperCase()}${s.slice(1)}${suffix}`;
    const short: Record<string, string> = {
      minimum: 'min',
      maximum: 'max',
      equal: 'eq',
      notEqual: 'ne',
      less: 'lt',
      lessEqual: 'le',
      greater: 'gt',
      greaterEqual: 'ge',
    };
    const check = (table: Readonly<Record<string, number>>, suffix: string) => {
      for (const [op, code] of Object.entries(table)) {
        const known = numbers[name('k', short[op] ?? op, suffix)] ?? numbers[name('k', short[op] ?? op, '')];
        expect(known, op).toBe(code);
      }
    };
    check(words.FLOAT_UNARY, 'F');
    check(words.INT_UNARY, 'I');
    check(words.FLOAT_BINARY, 'F');
    check(words.INT_BINARY, 'I');
    check(words.FLOAT_COMPARE, 'F');
    check(words.INT_COMPARE, 'I');
    const { bitwiseAnd, isNan, ...others } = words.Micro;
    expect(numbers.kAndI).toBe(bitwiseAnd);
    expect(numbers.kIsNan).toBe(isNan);
    check({ ...others }, 'F');
  });
});

/** Runs a plan and the reference evaluator side by side and compares state, loss and metrics after every step. */
function compare(
  spec: UnrollSpec,
  theta: Float32Array,
  data: Record<string, Float32Array | Int32Array>,
  steps: number,
) {
  const plan = planUnroll(spec);
  const packed = spec.data.flatMap((leaf) => {
    const values = data[leaf.path];
    return [...(values instanceof Float32Array ? new Int32Array(values.slice().buffer) : values)];
  });
  const machine = new WordsMachine(plan.words(16), plan.constants, Int32Array.from(packed), theta, {
    index: 0,
    pair: 0,
    seed: 1,
  });
  let at = 0;
  const thetaInputs = Object.fromEntries(
    spec.theta.map((leaf) => {
      const n = sizeOf(leaf.shape);
      at += n;
      return [leaf.path, theta.slice(at - n, at)];
    }),
  );
  const inputs = { ...thetaInputs, ...data };
  let state = evaluateGraph(spec.init, inputs);
  for (let k = 0; k < steps; k++) {
    const stateInputs = Object.fromEntries(
      spec.state.map((leaf) => [leaf.path, state[`state.${leaf.path}`].values]),
    );
    const expected = evaluateGraph(spec.step, { ...inputs, ...stateInputs, t: Int32Array.of(k) });
    const { loss, metrics } = machine.step(k);
    close([loss], expected.loss.values, 'loss', plan.text);
    for (const [i, m] of spec.metrics.entries())
      close([metrics[i]], expected[`metrics.${m}`].values, m, plan.text);
    let row = 0;
    for (const leaf of spec.state) {
      const wanted = expected[`state.${leaf.path}`].values;
      const got = Array.from({ length: wanted.length }, (_, i) =>
        leaf.dtype === 'float32'
          ? machine.state.getFloat32(4 * (row + i), true)
          : machine.state.getInt32(4 * (row + i), true),
      );
      row += wanted.length;
      close(got, wanted, leaf.path, plan.text);
    }
    state = expected;
  }
  return plan;
}

function close(got: ArrayLike<number>, wanted: ArrayLike<number>, what: string, text: string) {
  expect(got.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    const ok =
      Object.is(got[i], wanted[i]) ||
      got[i] === wanted[i] ||
      Math.abs(got[i] - wanted[i]) <= 1e-4 * (1 + Math.abs(wanted[i]));
    if (!ok) expect.fail(`${what}[${i}] is ${got[i]}, wanted ${wanted[i]}\n${text}`);
  }
}

const leaf = (path: string, shape: number[], dtype: LeafSpec['dtype'] = 'float32'): LeafSpec => ({
  path,
  shape,
  dtype,
});

function initGraph(state: readonly LeafSpec[], value: (i: number) => number): Graph {
  const b = new GraphBuilder();
  const outputs = state.map((s) => ({
    path: `state.${s.path}`,
    node: b.constant(
      Float32Array.from({ length: sizeOf(s.shape) }, (_, i) => value(i)),
      s.shape,
      s.dtype,
    ),
  }));
  return b.build(outputs);
}

describe('planUnroll', () => {
  it('updates a state in place and swaps leaves without losing one', () => {
    const state = [leaf('a', [3]), leaf('b', [3]), leaf('c', [2, 3]), leaf('same', [2])];
    const b = new GraphBuilder();
    const [a, bb, c, same] = state.map((s) => b.input('state', s.path, s.shape, s.dtype));
    const rate = b.input('theta', 'rate', [], 'float32');
    const grown = b.add({ name: 'mul' }, [c, b.add({ name: 'exp' }, [rate])]);
    const flipped = b.add({ name: 'slice', begin: [2], strides: [-1] }, [a], { shape: [3] });
    const loss = b.add({ name: 'sum', axes: [0, 1], keepDims: false }, [grown]);
    const before = b.add({ name: 'max', axes: [0], keepDims: false }, [a]);
    const step = b.build([
      { path: 'state.a', node: bb },
      { path: 'state.b', node: flipped },
      { path: 'state.c', node: grown },
      { path: 'state.same', node: same },
      { path: 'loss', node: loss },
      { path: 'metrics.before', node: before },
    ]);
    const spec: UnrollSpec = {
      init: initGraph(state, (i) => i + 1),
      step,
      theta: [leaf('rate', [])],
      state,
      data: [],
      metrics: ['before'],
      horizon: Number.POSITIVE_INFINITY,
    };
    const plan = compare(spec, Float32Array.of(0.1), {}, 4);
    expect(plan.text).toMatch(/S6 = elementwise\[2,3\] mul/);
    expect(plan.text).not.toMatch(/same/);
  });

  it('fuses a gradient product with the update of the weights, in place', () => {
    const state = [leaf('w', [5, 3])];
    const b = new GraphBuilder();
    const w = b.input('state', 'w', [5, 3], 'float32');
    const rate = b.input('theta', 'rate', [], 'float32');
    const x = b.input('data', 'x', [4, 5], 'float32');
    const y = b.add({ name: 'matMul', transposeA: false, transposeB: false }, [x, w]);
    const loss = b.add({ name: 'sum', axes: [0, 1], keepDims: false }, [b.add({ name: 'square' }, [y])]);
    const g = b.add({ name: 'matMul', transposeA: true, transposeB: false }, [x, y]);
    const next = b.add({ name: 'sub' }, [w, b.add({ name: 'mul' }, [g, rate])]);
    const step = b.build([
      { path: 'state.w', node: next },
      { path: 'loss', node: loss },
    ]);
    const spec: UnrollSpec = {
      init: initGraph(state, (i) => Math.sin(i)),
      step,
      theta: [leaf('rate', [])],
      state,
      data: [leaf('x', [4, 5])],
      metrics: [],
      horizon: Number.POSITIVE_INFINITY,
    };
    const plan = compare(
      spec,
      Float32Array.of(0.05),
      { x: Float32Array.from({ length: 20 }, (_, i) => Math.cos(3 * i)) },
      5,
    );
    expect(plan.text).toMatch(/S0 = matmul\[5,4,3\] D0 V\d+ then mul sub/);
  });

  it('agrees with the reference evaluator on random graphs, step after step', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2 ** 31 - 1), { minLength: 40, maxLength: 160 }), (choices) => {
        compare(
          randomSpec(choices),
          Float32Array.of(0.3, -0.7, 0.2, 0.9),
          { x: Float32Array.of(0.5, -1, 2, 0.25, 1, -0.5), ids: Int32Array.of(1, 0, 2) },
          3,
        );
      }),
      { numRuns: 400, seed: 11 },
    );
  });
});

/** A random step over two state leaves, theta, data and t: every movement op, reductions, products, gathers; values kept bounded. */
function randomSpec(choices: readonly number[]): UnrollSpec {
  let at = 0;
  const pick = (n: number) => choices[at++ % choices.length] % n;
  const state = [leaf('p', [2, 3]), leaf('q', [3])];
  const b = new GraphBuilder();
  const pool = [
    b.input('state', 'p', [2, 3], 'float32'),
    b.input('state', 'q', [3], 'float32'),
    b.input('theta', 'u', [3], 'float32'),
    b.input('theta', 'v', [], 'float32'),
    b.input('data', 'x', [2, 3], 'float32'),
    b.add({ name: 'cast' }, [b.input('t', 't', [], 'int32')], { dtype: 'float32' }),
    b.constant(Float32Array.of(0.5, -2, 1), [3], 'float32'),
  ];
  const ids = b.input('data', 'ids', [3], 'int32');
  const any = () => pool[pick(pool.length)];
  const shaped = (rank: number) => {
    const found = pool.filter((n) => b.node(n).shape.length === rank && sizeOf(b.node(n).shape) > 0);
    return found[pick(found.length)];
  };
  /** Through tanh, so that repeated products stay finite. */
  const keep = (n: number) => pool.push(b.add({ name: 'tanh' }, [n]));
  const broadcastable = (x: number, y: number) => {
    const [s, t] = [b.node(x).shape, b.node(y).shape];
    return s
      .slice()
      .reverse()
      .every((d, i) => i >= t.length || d === t[t.length - 1 - i] || d === 1 || t[t.length - 1 - i] === 1);
  };
  const moves: (() => void)[] = [
    () => {
      const [x, y] = [any(), any()];
      if (broadcastable(x, y))
        pool.push(b.add({ name: (['add', 'sub', 'mul', 'maximum', 'minimum'] as const)[pick(5)] }, [x, y]));
    },
    () => {
      const [x, y] = [any(), any()];
      if (!broadcastable(x, y)) return;
      const less = b.add({ name: 'less' }, [x, y]);
      pool.push(b.add({ name: 'select' }, [less, x, y]));
      pool.push(b.add({ name: 'cast' }, [less], { dtype: 'float32' }));
    },
    () =>
      pool.push(
        b.add({ name: (['neg', 'square', 'sigmoid', 'sin', 'relu', 'abs'] as const)[pick(6)] }, [any()]),
      ),
    () => {
      const x = shaped(2);
      pool.push(b.add({ name: 'transpose', perm: [1, 0] }, [x]));
    },
    () => {
      const x = any();
      pool.push(b.add({ name: 'reshape' }, [x], { shape: [sizeOf(b.node(x).shape)] }));
    },
    () => {
      const x = shaped(1);
      const n = sizeOf(b.node(x).shape);
      pool.push(b.add({ name: 'slice', begin: [n - 1], strides: [-1] }, [x], { shape: [n] }));
    },
    () => {
      const x = shaped(1);
      pool.push(b.add({ name: 'broadcastTo' }, [x], { shape: [2, sizeOf(b.node(x).shape)] }));
    },
    () => {
      const x = shaped(2);
      const axis = pick(2);
      keep(
        b.add(
          { name: (['sum', 'max', 'min', 'prod'] as const)[pick(4)], axes: [axis], keepDims: pick(2) === 0 },
          [x],
        ),
      );
    },
    () => {
      const [x, y] = [shaped(2), shaped(2)];
      const [transposeA, transposeB] = [pick(2) === 0, pick(2) === 0];
      const k = b.node(x).shape[transposeA ? 0 : 1];
      if (
        b.node(y).shape[transposeB ? 1 : 0] !== k ||
        sizeOf(b.node(x).shape) > 40 ||
        sizeOf(b.node(y).shape) > 40
      )
        return;
      keep(b.add({ name: 'matMul', transposeA, transposeB }, [x, y]));
    },
    () => {
      const x = shaped(2);
      if (b.node(x).shape[1] > 9) return;
      pool.push(b.add({ name: 'concat', axis: 1 }, [x, x]));
    },
    () =>
      pool.push(
        b.add(
          {
            name: 'pad',
            paddings: [
              [1, 0],
              [0, 2],
            ],
            value: 0.5,
          },
          [b.add({ name: 'slice', begin: [0, 0], strides: [1, 1] }, [pool[0]], { shape: [1, 3] })],
        ),
      ),
    () => pool.push(b.add({ name: 'gather', axis: 0, batchDims: 0 }, [pool[1], ids])),
    () => keep(b.add({ name: 'segmentSum', numSegments: 3 }, [pool[1], ids])),
    () =>
      pool.push(
        b.add({ name: 'cumsum', axis: 0, exclusive: pick(2) === 0, reverse: pick(2) === 0 } as Op, [pool[1]]),
      ),
    () => {
      const x = shaped(1);
      pool.push(b.add({ name: 'cast' }, [b.add({ name: 'argMax', axis: 0 }, [x])], { dtype: 'float32' }));
    },
  ];
  const n = 4 + pick(14);
  for (let i = 0; i < n; i++) moves[pick(moves.length)]();
  const resized = (shape: number[]) => {
    const size = sizeOf(shape);
    const exact = pool.filter((x) => sizeOf(b.node(x).shape) === size);
    const x = exact[pick(exact.length)];
    return b.add({ name: 'reshape' }, [x], { shape });
  };
  const scalar = (x: number) => {
    const axes = b.node(x).shape.map((_, i) => i);
    return b.add({ name: 'sum', axes, keepDims: false }, [x]);
  };
  const outputs: GraphOutput[] = [
    { path: 'state.p', node: pick(3) === 0 ? resized([2, 3]) : b.add({ name: 'tanh' }, [resized([2, 3])]) },
    { path: 'state.q', node: pick(3) === 0 ? resized([3]) : b.add({ name: 'tanh' }, [resized([3])]) },
    { path: 'loss', node: scalar(any()) },
    { path: 'metrics.m', node: scalar(any()) },
  ];
  return {
    init: initGraph(state, (i) => 0.3 * i - 0.5),
    step: b.build(outputs),
    theta: [leaf('u', [3]), leaf('v', [])],
    state,
    data: [leaf('x', [2, 3]), leaf('ids', [3], 'int32')],
    metrics: ['m'],
    horizon: Number.POSITIVE_INFINITY,
  };
}
