import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planUnroll } from '../../../src/device/cpu/plan.js';
import * as words from '../../../src/device/cpu/words.js';
import type { UnrollSpec } from '../../../src/device/driver.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { evaluateGraph } from '../../../src/graph/evaluate.js';
import { sizeOf } from '../../../src/graph/graph.js';
import { initGraph, leaf, RANDOM_DATA, randomSpec } from './random-spec.js';
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
        compare(randomSpec(choices), Float32Array.of(0.3, -0.7, 0.2, 0.9), RANDOM_DATA, 3);
      }),
      { numRuns: 400, seed: 11 },
    );
  });
});
