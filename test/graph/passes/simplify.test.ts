import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { evaluateGraph } from '../../../src/graph/evaluate.js';
import { optimize, simplify } from '../../../src/graph/passes/index.js';
import { printGraph } from '../../../src/graph/print.js';

/** The printed lines of the simplified and cleaned graph whose output `y` is what `make` returns, without the inputs. */
function simplified(make: (b: GraphBuilder) => number): string[] {
  const b = new GraphBuilder();
  const y = make(b);
  return printGraph(optimize(b.build([{ path: 'y', node: y }]), { exact: true })).split('\n');
}

const float = (b: GraphBuilder, path: string, ...shape: number[]) => b.input('value', path, shape, 'float32');
const scalar = (b: GraphBuilder, value: number) => b.constant([value], [], 'float32');

describe('structure', () => {
  it('joins reshapes, and drops one that changes nothing', () => {
    const lines = simplified((b) => {
      const x = float(b, 'x', 2, 6);
      const r = b.add({ name: 'reshape' }, [x], { shape: [3, 4] });
      return b.add({ name: 'reshape' }, [r], { shape: [12] });
    });
    expect(lines).toEqual([
      '%0 = input {value "x"} : float32[2,6]',
      '%1 = reshape(%0) : float32[12]',
      'return y = %1',
    ]);
    const none = simplified((b) => b.add({ name: 'reshape' }, [float(b, 'x', 2)], { shape: [2] }));
    expect(none).toEqual(['%0 = input {value "x"} : float32[2]', 'return y = %0']);
  });

  it('composes transposes in the right order', () => {
    const lines = simplified((b) => {
      const t = b.add({ name: 'transpose', perm: [1, 2, 0] }, [float(b, 'x', 2, 3, 5)]);
      return b.add({ name: 'transpose', perm: [0, 2, 1] }, [t]);
    });
    // x[i,j,k] -> t[j,k,i] -> y[j,i,k]
    expect(lines[1]).toBe('%1 = transpose(%0) {perm [1,0,2]} : float32[3,2,5]');
  });

  it('makes a transpose that moves only axes of 1 a reshape', () => {
    const lines = simplified((b) => b.add({ name: 'transpose', perm: [1, 0] }, [float(b, 'x', 1, 4)]));
    expect(lines[1]).toBe('%1 = reshape(%0) : float32[4,1]');
  });

  it('composes slices, also with strides', () => {
    const lines = simplified((b) => {
      const outer = b.add({ name: 'slice', begin: [9], strides: [-2] }, [float(b, 'x', 10)], { shape: [5] });
      return b.add({ name: 'slice', begin: [1], strides: [2] }, [outer], { shape: [2] });
    });
    expect(lines[1]).toBe('%1 = slice(%0) {begin [7], strides [-4]} : float32[2]');
  });

  it('takes a slice of a concat from the piece it lies in', () => {
    const lines = simplified((b) => {
      const both = b.add({ name: 'concat', axis: 0 }, [float(b, 'x', 2), float(b, 'z', 3)]);
      return b.add({ name: 'slice', begin: [3], strides: [1] }, [both], { shape: [2] });
    });
    expect(lines).toEqual([
      '%0 = input {value "z"} : float32[3]',
      '%1 = slice(%0) {begin [1]} : float32[2]',
      'return y = %1',
    ]);
  });

  it('undoes a pad by a slice', () => {
    const lines = simplified((b) => {
      const padded = b.add({ name: 'pad', paddings: [[2, 1]], value: 0 }, [float(b, 'x', 3)]);
      return b.add({ name: 'slice', begin: [2], strides: [1] }, [padded], { shape: [3] });
    });
    expect(lines).toEqual(['%0 = input {value "x"} : float32[3]', 'return y = %0']);
  });

  it('turns tiling of an axis of 1 into one broadcast', () => {
    // tile([1,10], [16,1]) as reshape, broadcast, reshape
    const lines = simplified((b) => {
      const r = b.add({ name: 'reshape' }, [float(b, 'x', 1, 10)], { shape: [1, 1, 1, 10] });
      const wide = b.add({ name: 'broadcastTo' }, [r], { shape: [16, 1, 1, 10] });
      return b.add({ name: 'reshape' }, [wide], { shape: [16, 10] });
    });
    expect(lines).toEqual([
      '%0 = input {value "x"} : float32[1,10]',
      '%1 = broadcastTo(%0) : float32[16,10]',
      'return y = %1',
    ]);
  });

  it('gives a transposed operand to matMul as a flag', () => {
    const lines = simplified((b) => {
      const t = b.add({ name: 'transpose', perm: [1, 0] }, [float(b, 'x', 3, 2)]);
      return b.add({ name: 'matMul', transposeA: false, transposeB: true }, [t, float(b, 'z', 4, 3)]);
    });
    expect(lines[2]).toBe('%2 = matMul(%0, %1) {transposeA, transposeB} : float32[2,4]');
  });

  it('keeps a cast of a comparison and drops casts that undo each other', () => {
    const kept = simplified((b) => {
      const test = b.add({ name: 'greater' }, [float(b, 'x', 2), scalar(b, 0)]);
      const asInt = b.add({ name: 'cast' }, [test], { dtype: 'int32' });
      return b.add({ name: 'cast' }, [asInt], { dtype: 'float32' });
    });
    expect(kept.slice(2)).toEqual([
      '%2 = greater(%0, %1) : bool[2]',
      '%3 = cast(%2) : float32[2]',
      'return y = %3',
    ]);
    // int32 has more digits than float32: this one may not go
    const lossy = simplified((b) => {
      const x = b.input('value', 'x', [2], 'int32');
      const f = b.add({ name: 'cast' }, [x], { dtype: 'float32' });
      return b.add({ name: 'cast' }, [f], { dtype: 'int32' });
    });
    expect(lossy).toHaveLength(4);
  });
});

describe('broadcasts', () => {
  it('leaves broadcasting to elementwise ops', () => {
    const lines = simplified((b) => {
      const wide = b.add({ name: 'broadcastTo' }, [float(b, 'bias', 10)], { shape: [16, 10] });
      return b.add({ name: 'add' }, [float(b, 'x', 16, 10), wide]);
    });
    expect(lines[2]).toBe('%2 = add(%1, %0) : float32[16,10]');
  });

  it('computes on the small value and broadcasts the result', () => {
    const lines = simplified((b) => {
      const wide = b.add({ name: 'broadcastTo' }, [float(b, 'x')], { shape: [64, 10] });
      return b.add({ name: 'exp' }, [b.add({ name: 'neg' }, [wide])]);
    });
    expect(lines.slice(1)).toEqual([
      '%1 = neg(%0) : float32[]',
      '%2 = exp(%1) : float32[]',
      '%3 = broadcastTo(%2) : float32[64,10]',
      'return y = %3',
    ]);
  });

  it('multiplies by ones for nothing', () => {
    const lines = simplified((b) => {
      const ones = b.constant(new Array(6).fill(1), [2, 3], 'float32');
      return b.add({ name: 'mul' }, [b.add({ name: 'square' }, [float(b, 'x', 2, 3)]), ones]);
    });
    expect(lines).toEqual([
      '%0 = input {value "x"} : float32[2,3]',
      '%1 = square(%0) : float32[2,3]',
      'return y = %1',
    ]);
  });

  it('takes the maximum, but not the sum, of a broadcast from its source', () => {
    const reduceWide = (name: 'max' | 'sum') =>
      simplified((b) => {
        const wide = b.add({ name: 'broadcastTo' }, [float(b, 'x')], { shape: [3] });
        return b.add({ name, axes: [0], keepDims: false }, [wide]);
      });
    expect(reduceWide('max')).toEqual(['%0 = input {value "x"} : float32[]', 'return y = %0']);
    expect(reduceWide('sum')).toContain('%2 = sum(%1) {axes [0]} : float32[]');
  });

  it('makes a reduction over axes of 1 a reshape', () => {
    const lines = simplified((b) =>
      b.add({ name: 'sum', axes: [1], keepDims: false }, [float(b, 'x', 4, 1, 2)]),
    );
    expect(lines[1]).toBe('%1 = reshape(%0) : float32[4,2]');
  });
});

describe('arithmetic', () => {
  const binary = (name: 'add' | 'div' | 'mul' | 'pow' | 'sub', c: number, constantFirst = false) =>
    simplified((b) => {
      const x = float(b, 'x', 2);
      const k = scalar(b, c);
      return b.add({ name }, constantFirst ? [k, x] : [x, k]);
    });
  const nothing = ['%0 = input {value "x"} : float32[2]', 'return y = %0'];

  it('drops x * 1, x / 1, x ^ 1, x - 0 and x + -0', () => {
    expect(binary('mul', 1)).toEqual(nothing);
    expect(binary('mul', 1, true)).toEqual(nothing);
    expect(binary('div', 1)).toEqual(nothing);
    expect(binary('pow', 1)).toEqual(nothing);
    expect(binary('sub', 0)).toEqual(nothing);
    expect(binary('add', -0)).toEqual(nothing);
  });

  it('keeps x + 0, x - -0, 0 - x and x * 0, which change -0, infinities or NaN', () => {
    expect(binary('add', 0)).toContain('%2 = add(%0, %1) : float32[2]');
    expect(binary('sub', -0)).toContain('%2 = sub(%0, %1) : float32[2]');
    expect(binary('sub', 0, true)).toHaveLength(4);
    expect(binary('mul', 0)).toHaveLength(4);
  });

  it('divides by powers of two by multiplying, by nothing else', () => {
    expect(binary('div', 16)).toContain('%1 = constant {0.0625} : float32[]');
    expect(binary('div', 10)).toContain('%2 = div(%0, %1) : float32[2]');
    expect(binary('div', 2 ** 127)).toContain('%2 = div(%0, %1) : float32[2]');
  });

  it('squares instead of raising to 2', () => {
    expect(binary('pow', 2)).toContain('%1 = square(%0) : float32[2]');
    expect(binary('pow', 0)).toContain('%0 = constant {1} : float32[]');
  });

  it('moves signs into sums and constants', () => {
    const lines = simplified((b) => {
      const scaled = b.add({ name: 'mul' }, [float(b, 'g', 2), scalar(b, 0.5)]);
      return b.add({ name: 'add' }, [float(b, 'w', 2), b.add({ name: 'neg' }, [scaled])]);
    });
    expect(lines.slice(2)).toEqual([
      '%2 = constant {-0.5} : float32[]',
      '%3 = mul(%0, %2) : float32[2]',
      '%4 = add(%1, %3) : float32[2]',
      'return y = %4',
    ]);
  });

  it('knows the outcome of a select on a constant', () => {
    const lines = simplified((b) => {
      const yes = b.constant([true], [], 'bool');
      return b.add({ name: 'select' }, [yes, float(b, 'x', 2), float(b, 'z', 2)]);
    });
    expect(lines).toEqual(nothing);
  });
});

describe('the gradient of a mean squared error, as tfjs writes it', () => {
  it('loses its ones, tiles, reshapes and casts, and keeps its value', () => {
    const b = new GraphBuilder();
    const x = float(b, 'x', 4, 2);
    const ones = b.constant(new Array(8).fill(1), [4, 2], 'float32');
    const dy = b.add(
      { name: 'broadcastTo' },
      [b.add({ name: 'reshape' }, [scalar(b, 1)], { shape: [1, 1] })],
      {
        shape: [4, 2],
      },
    );
    const spread = b.add({ name: 'mul' }, [dy, ones]);
    const scaled = b.add({ name: 'div' }, [spread, scalar(b, 8)]);
    const two = b.add({ name: 'mul' }, [b.add({ name: 'cast' }, [x], { dtype: 'float32' }), scalar(b, 2)]);
    const gradient = b.add({ name: 'mul' }, [scaled, two]);
    const graph = b.build([{ path: 'gradient', node: gradient }]);
    const cleaned = optimize(graph);
    expect(printGraph(cleaned)).toBe(
      [
        '%0 = input {value "x"} : float32[4,2]',
        '%1 = constant {0.125} : float32[]',
        '%2 = constant {2} : float32[]',
        '%3 = mul(%0, %2) : float32[4,2]',
        '%4 = mul(%1, %3) : float32[4,2]',
        'return gradient = %4',
      ].join('\n'),
    );
    const inputs = { x: Float32Array.of(1, -2, 3, 0.1, 7, -0, 2, 5) };
    expect(evaluateGraph(cleaned, inputs)).toEqual(evaluateGraph(graph, inputs));
  });
});

describe('simplify alone', () => {
  it('keeps output paths, and outputs that share a node', () => {
    const b = new GraphBuilder();
    const x = float(b, 'x', 2);
    const y = b.add({ name: 'reshape' }, [x], { shape: [2] });
    const graph = simplify(
      b.build([
        { path: 'a', node: y },
        { path: 'b', node: x },
      ]),
    );
    expect(graph.outputs).toEqual([
      { path: 'a', node: 0 },
      { path: 'b', node: 0 },
    ]);
  });
});
