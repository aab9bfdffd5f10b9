import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../src/graph/builder.js';
import { evaluateGraph, evaluateNode } from '../../src/graph/evaluate.js';
import { erf } from '../../src/graph/evaluate-elementwise.js';
import type { DType, Op, Shape, TypedArray } from '../../src/graph/graph.js';
import type { TypeHint } from '../../src/graph/infer.js';

// Against values worked out by hand, and published ones. test/trace compares the same ops with eager tfjs, through traces.

interface Operand {
  readonly values: readonly number[];
  readonly shape?: Shape;
  readonly dtype?: DType;
}

function arrayOf(dtype: DType, values: readonly number[]): TypedArray {
  if (dtype === 'float32') return Float32Array.from(values);
  return dtype === 'int32' ? Int32Array.from(values) : Uint8Array.from(values);
}

/** The value of one op on operands given as numbers. */
function run(op: Op, operands: readonly Operand[], hint?: TypeHint): number[] {
  const b = new GraphBuilder();
  const ids = operands.map(({ values, shape = [values.length], dtype = 'float32' }) =>
    b.constant(arrayOf(dtype, values), shape, dtype),
  );
  const node = b.add(op, ids, hint);
  return Array.from(evaluateGraph(b.build([{ path: 'y', node }]), {}).y.values);
}

const unary = (name: 'round' | 'sign' | 'relu' | 'neg' | 'softplus' | 'sigmoid', values: number[]) =>
  run({ name }, [{ values }]);
const binary = (
  name: 'add' | 'atan2' | 'floorDiv' | 'maximum' | 'minimum' | 'mod' | 'mul' | 'pow' | 'squaredDifference',
  a: number[],
  b: number[],
  dtype: DType = 'float32',
) =>
  run({ name }, [
    { values: a, dtype },
    { values: b, dtype },
  ]);

describe('elementwise ops at their edges', () => {
  it('round ties to even, and keep what is no number', () => {
    expect(unary('round', [0.5, 1.5, 2.5, -0.5, -1.5, 2.4999, Infinity, NaN])).toEqual([
      0,
      2,
      2,
      0,
      -2,
      2,
      Infinity,
      NaN,
    ]);
  });

  it('keep NaN in sign, relu, min, max', () => {
    expect(unary('sign', [NaN, -3, 0, 2])).toEqual([NaN, -1, 0, 1]);
    expect(unary('relu', [NaN, -3, 2])).toEqual([NaN, 0, 2]);
    expect(binary('maximum', [NaN, 1], [1, NaN])).toEqual([NaN, NaN]);
    expect(binary('minimum', [NaN, 1], [1, NaN])).toEqual([NaN, NaN]);
    expect(run({ name: 'clip', min: -1, max: 1 }, [{ values: [NaN, -5, 0.5, Infinity] }])).toEqual([
      NaN,
      -1,
      0.5,
      1,
    ]);
  });

  it('divide towards -Infinity, with the remainder of the sign of the divisor', () => {
    expect(binary('floorDiv', [7, -7, 7, -7], [2, 2, -2, -2])).toEqual([3, -4, -4, 3]);
    expect(binary('mod', [7, -7, 7, -7], [2, 2, -2, -2])).toEqual([1, 1, -1, -1]);
    expect(binary('floorDiv', [1], [0.1])).toEqual([9]);
  });

  it('give 0 for int32 divisions by zero, and wrap around', () => {
    expect(binary('floorDiv', [5, -5, 0], [0, 0, 0], 'int32')).toEqual([0, 0, 0]);
    expect(binary('mod', [5, -5], [0, 0], 'int32')).toEqual([0, 0]);
    expect(binary('add', [2147483647], [1], 'int32')).toEqual([-2147483648]);
    expect(binary('mul', [65537], [65537], 'int32')).toEqual([131073]);
    expect(binary('squaredDifference', [-65537], [0], 'int32')).toEqual([131073]);
  });

  it('raise to powers as JavaScript does', () => {
    expect(binary('pow', [1, NaN, 0, -2, -8, 1], [NaN, 0, -1, 3, 0.5, Infinity])).toEqual([
      NaN,
      1,
      Infinity,
      -8,
      NaN,
      NaN,
    ]);
    expect(binary('pow', [2, -3], [10, 3], 'int32')).toEqual([1024, -27]);
  });

  it('neither overflow nor lose small values in softplus and sigmoid', () => {
    expect(unary('softplus', [100, -100, 0])).toEqual([
      100,
      Math.fround(Math.exp(-100)),
      Math.fround(Math.log(2)),
    ]);
    expect(unary('sigmoid', [1000, -1000])).toEqual([1, 0]);
  });

  it('step at zero and NaN', () => {
    expect(run({ name: 'step', alpha: 0.25 }, [{ values: [2, 0, -1, NaN] }])).toEqual([1, 0.25, 0.25, NaN]);
  });

  it('cast by truncation; any number but 0 is true', () => {
    expect(run({ name: 'cast' }, [{ values: [1.9, -1.9, NaN] }], { dtype: 'int32' })).toEqual([1, -1, 0]);
    expect(run({ name: 'cast' }, [{ values: [0.25, 0, -0, NaN] }], { dtype: 'bool' })).toEqual([1, 0, 0, 1]);
    expect(run({ name: 'cast' }, [{ values: [16777217], dtype: 'int32' }], { dtype: 'float32' })).toEqual([
      16777216,
    ]);
  });

  it('compute erf to float64', () => {
    // Abramowitz and Stegun, table 7.1; NIST DLMF 7.2
    const table = [
      [0.1, 0.1124629160182849],
      [0.5, 0.5204998778130465],
      [1, 0.8427007929497149],
      [2, 0.9953222650189527],
      [3.5, 0.9999992569016276],
    ];
    for (const [x, wanted] of table) {
      expect(erf(x)).toBeCloseTo(wanted, 14);
      expect(erf(-x)).toBeCloseTo(-wanted, 14);
    }
    expect([erf(0), erf(7), erf(-Infinity), erf(NaN)]).toEqual([0, 1, -1, NaN]);
  });

  it('broadcast three ways in select', () => {
    const y = run({ name: 'select' }, [
      { values: [1, 0], shape: [2, 1], dtype: 'bool' },
      { values: [1, 2, 3] },
      { values: [9], shape: [] },
    ]);
    expect(y).toEqual([1, 2, 3, 9, 9, 9]);
  });
});

describe('products and reductions', () => {
  it('multiply transposed and broadcast batches', () => {
    // a is two 2x1 matrices stored transposed, b one 2x1 matrix stored transposed.
    const y = run({ name: 'matMul', transposeA: true, transposeB: true }, [
      { values: [1, 2, 3, 4], shape: [2, 1, 2] },
      { values: [5, 7], shape: [2, 1] },
    ]);
    expect(y).toEqual([5, 7, 10, 14, 15, 21, 20, 28]);
    const empty = run({ name: 'matMul', transposeA: false, transposeB: false }, [
      { values: [], shape: [2, 0] },
      { values: [], shape: [0, 1] },
    ]);
    expect(empty).toEqual([0, 0]);
  });

  it('reduce over any axes, and nothing to the identity', () => {
    const x = { values: [1, 2, 3, 4, 5, 6], shape: [1, 2, 3] };
    const reduce = (name: 'sum' | 'max' | 'prod' | 'min', axes: number[], operand: Operand = x) =>
      run({ name, axes, keepDims: false }, [operand]);
    expect(reduce('sum', [1])).toEqual([5, 7, 9]);
    expect(reduce('max', [0, 2])).toEqual([3, 6]);
    expect(reduce('prod', [0, 1, 2])).toEqual([720]);
    expect(reduce('sum', [])).toEqual(x.values);
    const nothing = { values: [], shape: [0] };
    expect(['sum', 'prod', 'max', 'min'].map((name) => reduce(name as 'sum', [0], nothing)[0])).toEqual([
      0,
      1,
      -Infinity,
      Infinity,
    ]);
    const noIntegers: Operand = { ...nothing, dtype: 'int32' };
    expect([reduce('max', [0], noIntegers), reduce('min', [0], noIntegers)]).toEqual([
      [-2147483648],
      [2147483647],
    ]);
    const bits: Operand = { values: [1, 0, 1, 1], shape: [2, 2], dtype: 'bool' };
    expect(run({ name: 'all', axes: [1], keepDims: false }, [bits])).toEqual([0, 1]);
    expect(run({ name: 'any', axes: [1], keepDims: false }, [bits])).toEqual([1, 1]);
    expect(reduce('max', [0], { values: [1, NaN, 3] })).toEqual([NaN]);
  });

  it('round a sum once', () => {
    expect(run({ name: 'sum', axes: [0], keepDims: false }, [{ values: [1e8, 1, -1e8] }])).toEqual([1]);
  });

  it('take the first of ties', () => {
    const values = [1, 3, 3, -2, -2];
    expect(run({ name: 'argMax', axis: 0 }, [{ values }])).toEqual([1]);
    expect(run({ name: 'argMin', axis: 0 }, [{ values }])).toEqual([3]);
    expect(run({ name: 'argMax', axis: 0 }, [{ values: [1, NaN, 3] }])).toEqual([2]);
  });

  it('sum along an axis, exclusive and reverse', () => {
    const x = { values: [1, 2, 3, 4, 5, 6], shape: [2, 3] };
    const cumsum = (axis: number, exclusive: boolean, reverse: boolean) =>
      run({ name: 'cumsum', axis, exclusive, reverse }, [x]);
    expect(cumsum(1, false, false)).toEqual([1, 3, 6, 4, 9, 15]);
    expect(cumsum(1, true, false)).toEqual([0, 1, 3, 0, 4, 9]);
    expect(cumsum(1, false, true)).toEqual([6, 5, 3, 15, 11, 6]);
    expect(cumsum(0, true, true)).toEqual([4, 5, 6, 0, 0, 0]);
  });
});

describe('movement', () => {
  it('slice backwards with strides', () => {
    const x = { values: [0, 1, 2, 3, 4, 5, 6, 7], shape: [2, 4] };
    const op: Op = { name: 'slice', begin: [1, 3], strides: [-1, -2] };
    expect(run(op, [x], { shape: [2, 2] })).toEqual([7, 5, 3, 1]);
  });

  it('transpose three axes', () => {
    const y = run({ name: 'transpose', perm: [2, 0, 1] }, [{ values: [0, 1, 2, 3, 4, 5], shape: [1, 2, 3] }]);
    expect(y).toEqual([0, 3, 1, 4, 2, 5]);
  });

  it('pad, concat and broadcast', () => {
    expect(
      run(
        {
          name: 'pad',
          paddings: [
            [1, 0],
            [0, 2],
          ],
          value: 9,
        },
        [{ values: [1, 2], shape: [1, 2] }],
      ),
    ).toEqual([9, 9, 9, 9, 1, 2, 9, 9]);
    const y = run({ name: 'concat', axis: 1 }, [
      { values: [1, 2], shape: [2, 1] },
      { values: [], shape: [2, 0] },
      { values: [3, 4, 5, 6], shape: [2, 2] },
    ]);
    expect(y).toEqual([1, 3, 4, 2, 5, 6]);
    expect(run({ name: 'broadcastTo' }, [{ values: [1, 2], shape: [2, 1] }], { shape: [2, 2, 2] })).toEqual([
      1, 1, 2, 2, 1, 1, 2, 2,
    ]);
  });

  it('gather; outside is NaN, 0 or false', () => {
    const indices: Operand = { values: [1, 2, -1], dtype: 'int32' };
    const gather = (dtype: DType) =>
      run({ name: 'gather', axis: 0, batchDims: 0 }, [
        { values: [1, 1, 1, 1], shape: [2, 2], dtype },
        indices,
      ]);
    expect(gather('float32')).toEqual([1, 1, NaN, NaN, NaN, NaN]);
    expect(gather('int32')).toEqual([1, 1, 0, 0, 0, 0]);
    expect(gather('bool')).toEqual([1, 1, 0, 0, 0, 0]);
    const batched = run({ name: 'gather', axis: 2, batchDims: 1 }, [
      { values: [1, 2, 3, 4, 5, 6, 7, 8], shape: [2, 2, 2] },
      { values: [1, 0], shape: [2, 1], dtype: 'int32' },
    ]);
    expect(batched).toEqual([2, 4, 5, 7]);
  });

  it('sum segments, dropping what has none', () => {
    const y = run({ name: 'segmentSum', numSegments: 2 }, [
      { values: [1, 2, 3, 4, NaN, 6], shape: [3, 2] },
      { values: [1, 1, 5], dtype: 'int32' },
    ]);
    expect(y).toEqual([0, 0, 4, 6]);
  });

  it('count', () => {
    expect(run({ name: 'iota', start: 3, step: -2 }, [], { shape: [3] })).toEqual([3, 1, -1]);
  });
});

describe('evaluateGraph', () => {
  const b = new GraphBuilder();
  const theta = b.input('theta', 'w', [], 'float32');
  const state = b.input('state', 'w', [], 'float32');
  const draw = b.add({ name: 'random', kind: { distribution: 'normal' }, share: 'all', draw: 4 }, [], {
    shape: [],
  });
  const sum = b.add({ name: 'add' }, [b.add({ name: 'sub' }, [theta, state]), draw]);
  const graph = b.build([{ path: 'y', node: sum }]);

  it('takes inputs by role and path, and draws from the caller', () => {
    const inputs = { 'theta.w': Float32Array.of(5), 'state.w': Float32Array.of(2) };
    const { y } = evaluateGraph(graph, inputs, (node) =>
      Float32Array.of(node.op.name === 'random' ? node.op.draw : Number.NaN),
    );
    expect(y).toEqual({ shape: [], dtype: 'float32', values: Float32Array.of(7) });
  });

  it('refuses to make up a missing input or draw', () => {
    expect(() => evaluateGraph(graph, { 'theta.w': Float32Array.of(5) })).toThrow(
      "'input' has no value of its own",
    );
    expect(() => evaluateGraph(graph, { w: Float32Array.of(5) })).toThrow("'random' has no value of its own");
    expect(() => evaluateNode(graph.nodes[theta], [])).toThrow(/'input'/);
  });
});
