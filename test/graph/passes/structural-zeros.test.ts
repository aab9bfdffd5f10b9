import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { evaluateGraph } from '../../../src/graph/evaluate.js';
import type { Op } from '../../../src/graph/graph.js';
import { optimize } from '../../../src/graph/passes/index.js';
import { printGraph } from '../../../src/graph/print.js';

const float = (b: GraphBuilder, path: string, ...shape: number[]) => b.input('value', path, shape, 'float32');
const zeros = (b: GraphBuilder, ...shape: number[]) =>
  b.constant(new Array(shape.reduce((n, d) => n * d, 1)).fill(0), shape, 'float32');

function lines(make: (b: GraphBuilder) => number, exact = false): string[] {
  const b = new GraphBuilder();
  return printGraph(optimize(b.build([{ path: 'y', node: make(b) }]), { exact })).split('\n');
}

const ZERO_2x3 = ['%0 = constant {0} : float32[]', '%1 = broadcastTo(%0) : float32[2,3]', 'return y = %1'];
const matMul: Op = { name: 'matMul', transposeA: false, transposeB: false };

describe('what is linear in a structural zero is one', () => {
  it.each<[string, (b: GraphBuilder) => number]>([
    ['a product of matrices', (b) => b.add(matMul, [zeros(b, 2, 4), float(b, 'x', 4, 3)])],
    ['the other factor', (b) => b.add(matMul, [float(b, 'x', 2, 4), zeros(b, 4, 3)])],
    ['a product', (b) => b.add({ name: 'mul' }, [float(b, 'x', 2, 3), zeros(b, 3)])],
    ['a quotient', (b) => b.add({ name: 'div' }, [zeros(b, 3), float(b, 'x', 2, 3)])],
    [
      'a filled one',
      (b) => {
        const wide = b.add({ name: 'broadcastTo' }, [b.constant([0], [], 'float32')], { shape: [2, 3] });
        return b.add({ name: 'mul' }, [float(b, 'x', 2, 3), wide]);
      },
    ],
    [
      'a chain',
      (b) => {
        const turned = b.add({ name: 'transpose', perm: [1, 0] }, [zeros(b, 4, 2)]);
        const part = b.add({ name: 'slice', begin: [0, 1], strides: [1, 1] }, [turned], { shape: [2, 3] });
        return b.add({ name: 'mul' }, [b.add({ name: 'neg' }, [part]), float(b, 'x')]);
      },
    ],
    [
      'a sum over rows that many products feed',
      (b) => {
        const each = b.add({ name: 'mul' }, [zeros(b, 500, 3), float(b, 'x', 500, 3)]);
        const rows = b.add({ name: 'sum', axes: [0], keepDims: true }, [each]);
        return b.add({ name: 'broadcastTo' }, [rows], { shape: [2, 3] });
      },
    ],
    ['a sum of two', (b) => b.add({ name: 'add' }, [zeros(b, 2, 3), zeros(b, 3)])],
    [
      'both branches',
      (b) => b.add({ name: 'select' }, [b.input('value', 'c', [2, 3], 'bool'), zeros(b, 2, 3), zeros(b, 3)]),
    ],
  ])('%s', (_, make) => {
    expect(lines(make).filter((line) => !line.includes('= input'))).toEqual(ZERO_2x3);
  });

  it('convolutions, windows and solves', () => {
    const window = {
      size: [1, 2, 2],
      strides: [1, 1, 1],
      dilations: [1, 1, 1],
      padBefore: [0, 0, 0],
    } as const;
    const conv: Op = { name: 'conv', window, depthwise: false };
    const shape = [1, 1, 2, 2, 5];
    const none = (make: (b: GraphBuilder) => number) =>
      expect(lines(make).filter((line) => !/input|constant|broadcastTo|return/.test(line))).toEqual([]);
    none((b) => b.add(conv, [float(b, 'x', 1, 1, 3, 3, 2), zeros(b, 1, 2, 2, 2, 5)], { shape }));
    none((b) =>
      b.add({ name: 'windowMaxGrad', window }, [float(b, 'x', 1, 1, 3, 3, 2), zeros(b, 1, 1, 2, 2, 2)]),
    );
    none((b) =>
      b.add({ name: 'triangularSolve', lower: true, transpose: false }, [
        float(b, 'a', 3, 3),
        zeros(b, 3, 2),
      ]),
    );
  });
});

describe('terms of value 0', () => {
  it('go from sums and differences', () => {
    const kept = ['%0 = input {value "x"} : float32[2,3]', 'return y = %0'];
    const x = (b: GraphBuilder) => float(b, 'x', 2, 3);
    expect(lines((b) => b.add({ name: 'add' }, [x(b), zeros(b, 2, 3)]))).toEqual(kept);
    expect(lines((b) => b.add({ name: 'add' }, [b.constant([0], [], 'float32'), x(b)]))).toEqual(kept);
    expect(lines((b) => b.add({ name: 'sub' }, [x(b), zeros(b, 3)]))).toEqual(kept);
    expect(lines((b) => b.add({ name: 'sub' }, [zeros(b, 3), x(b)]))).toContain(
      '%1 = neg(%0) : float32[2,3]',
    );
  });
  it('bring their shape', () => {
    expect(lines((b) => b.add({ name: 'add' }, [float(b, 'x'), zeros(b, 2)]))).toContain(
      '%1 = broadcastTo(%0) : float32[2]',
    );
  });
});

describe('what stays', () => {
  it('a scalar 0 that a program multiplies by, so that NaN shows', () => {
    const b = new GraphBuilder();
    const y = b.add({ name: 'mul' }, [float(b, 'x', 3), b.constant([0], [], 'float32')]);
    const graph = optimize(b.build([{ path: 'y', node: y }]));
    const { values } = evaluateGraph(graph, { x: Float32Array.of(1, Number.NaN, Infinity) }).y;
    expect([...values]).toEqual([0, Number.NaN, Number.NaN]);
  });
  it('everything, when exact', () => {
    const text = lines((b) => b.add(matMul, [zeros(b, 2, 4), float(b, 'x', 4, 3)]), true);
    expect(text.some((line) => line.includes('matMul'))).toBe(true);
  });
  it('operands of int32, and gradients of windows towards what was compared', () => {
    const window = {
      size: [1, 2, 2],
      strides: [1, 1, 1],
      dilations: [1, 1, 1],
      padBefore: [0, 0, 0],
    } as const;
    const text = lines((b) =>
      b.add({ name: 'windowMaxGrad', window }, [zeros(b, 1, 1, 3, 3, 2), float(b, 'dy', 1, 1, 2, 2, 2)]),
    );
    expect(text.some((line) => line.includes('windowMaxGrad'))).toBe(true);
  });
});

describe('sums of a broadcast', () => {
  it('become a product along repeated axes', () => {
    const text = lines((b) => {
      const wide = b.add({ name: 'broadcastTo' }, [float(b, 'x', 3, 1, 5)], { shape: [2, 3, 4, 5] });
      return b.add({ name: 'sum', axes: [0, 2, 3], keepDims: false }, [wide]);
    });
    expect(text).toContain('%1 = reshape(%0) : float32[1,3,1,5]');
    expect(text).toContain('%2 = sum(%1) {axes [3], keepDims} : float32[1,3,1,1]');
    expect(text).toContain('%3 = constant {8} : float32[]');
    expect(text.at(-1)).toMatch(/return y/);
  });
  it('keep axes that are repeated but not summed', () => {
    const b = new GraphBuilder();
    const wide = b.add({ name: 'broadcastTo' }, [float(b, 'x', 1, 2)], { shape: [3, 4, 2] });
    const graph = b.build([{ path: 'y', node: b.add({ name: 'sum', axes: [1], keepDims: false }, [wide]) }]);
    const x = Float32Array.of(0.5, -3);
    expect(evaluateGraph(optimize(graph), { x }).y).toEqual(evaluateGraph(graph, { x }).y);
  });
});
