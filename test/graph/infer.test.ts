import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.js';
import type { DType, Op, Shape, Window } from '../../src/graph/graph.js';
import { broadcastShapes, inferNode, type TypeHint, type ValueType } from '../../src/graph/infer.js';

const f32 = (...shape: number[]): ValueType => ({ shape, dtype: 'float32' });
const i32 = (...shape: number[]): ValueType => ({ shape, dtype: 'int32' });
const bool = (...shape: number[]): ValueType => ({ shape, dtype: 'bool' });

type Good = [op: Op, inputs: ValueType[], result: ValueType, hint?: TypeHint];
type Bad = [op: Op, inputs: ValueType[], message: RegExp, hint?: TypeHint];

const matMul = (transposeA = false, transposeB = false): Op => ({ name: 'matMul', transposeA, transposeB });

const WINDOW: Window = { size: [1, 3, 3], strides: [1, 1, 1], dilations: [1, 1, 1], padBefore: [0, 0, 0] };
const conv = (depthwise = false): Op => ({ name: 'conv', window: WINDOW, depthwise });

const good: Good[] = [
  [{ name: 'exp' }, [f32(2, 3)], f32(2, 3)],
  [{ name: 'abs' }, [i32(2)], i32(2)],
  [{ name: 'isNan' }, [f32(2)], bool(2)],
  [{ name: 'logicalNot' }, [bool(2)], bool(2)],
  [{ name: 'add' }, [f32(3, 1), f32(4)], f32(3, 4)],
  [{ name: 'mod' }, [i32(), i32(0)], i32(0)],
  [{ name: 'less' }, [i32(2, 1), i32(1, 3)], bool(2, 3)],
  [{ name: 'logicalAnd' }, [bool(), bool(2)], bool(2)],
  [{ name: 'bitwiseAnd' }, [i32(2), i32(2)], i32(2)],
  [{ name: 'select' }, [bool(2, 1), f32(3), f32()], f32(2, 3)],
  [matMul(), [f32(2, 3), f32(3, 4)], f32(2, 4)],
  [matMul(true, true), [f32(3, 2), f32(4, 3)], f32(2, 4)],
  [matMul(), [f32(5, 1, 2, 3), f32(4, 3, 1)], f32(5, 4, 2, 1)],
  [matMul(), [f32(2, 0), f32(0, 4)], f32(2, 4)],
  [{ name: 'sum', axes: [0, 2], keepDims: false }, [f32(2, 3, 4)], f32(3)],
  [{ name: 'max', axes: [1], keepDims: true }, [i32(2, 3)], i32(2, 1)],
  [{ name: 'all', axes: [0], keepDims: false }, [bool(2)], bool()],
  [{ name: 'argMin', axis: 0 }, [f32(2, 3)], i32(3)],
  [{ name: 'reshape' }, [bool(2, 3)], bool(6), { shape: [6] }],
  [{ name: 'transpose', perm: [2, 0, 1] }, [f32(2, 3, 4)], f32(4, 2, 3)],
  [{ name: 'slice', begin: [4, 0], strides: [-2, 1] }, [f32(5, 2)], f32(3, 1), { shape: [3, 1] }],
  [{ name: 'slice', begin: [9], strides: [1] }, [f32(5)], f32(0), { shape: [0] }],
  [{ name: 'broadcastTo' }, [f32(1, 3)], f32(4, 2, 3), { shape: [4, 2, 3] }],
  [{ name: 'broadcastTo' }, [f32(1)], f32(0), { shape: [0] }],
  [{ name: 'concat', axis: 1 }, [f32(2, 3), f32(2, 0), f32(2, 1)], f32(2, 4)],
  [{ name: 'pad', paddings: [[1, 2]], value: 0 }, [i32(3)], i32(6)],
  [{ name: 'gather', axis: 1, batchDims: 0 }, [f32(2, 3, 4), i32(5, 6)], f32(2, 5, 6, 4)],
  [{ name: 'gather', axis: 2, batchDims: 1 }, [f32(2, 3, 4), i32(2, 5)], f32(2, 3, 5)],
  [{ name: 'segmentSum', numSegments: 7 }, [f32(3, 2), i32(3)], f32(7, 2)],
  [{ name: 'cumsum', axis: 1, exclusive: false, reverse: false }, [f32(2, 3)], f32(2, 3)],
  [{ name: 'cast' }, [f32(2)], bool(2), { dtype: 'bool' }],
  [{ name: 'iota', start: 0, step: 1 }, [], i32(4), { shape: [4] }],
  [{ name: 'iota', start: 0.5, step: 1 }, [], f32(4), { shape: [4], dtype: 'float32' }],
  [{ name: 'constant', values: Uint8Array.of(1, 0) }, [], bool(2), { shape: [2] }],
  [{ name: 'clip', min: 0, max: 1 }, [i32(2)], i32(2)],
  [{ name: 'step', alpha: 0 }, [f32(2)], f32(2)],
  [{ name: 'input', role: 't', path: 't' }, [], i32(), { shape: [], dtype: 'int32' }],
  [
    { name: 'random', kind: { distribution: 'bernoulli', p: 0.5 }, share: 'all', draw: 0 },
    [],
    bool(3),
    { shape: [3] },
  ],
  [conv(), [f32(2, 1, 5, 5, 3), f32(1, 3, 3, 3, 4)], f32(2, 1, 3, 3, 4), { shape: [2, 1, 3, 3, 4] }],
  [conv(true), [f32(2, 1, 5, 5, 3), f32(1, 3, 3, 3, 2)], f32(2, 1, 3, 3, 6), { shape: [2, 1, 3, 3, 6] }],
  [
    { name: 'convInputGrad', window: WINDOW, depthwise: false },
    [f32(2, 1, 3, 3, 4), f32(1, 3, 3, 3, 4)],
    f32(2, 1, 5, 5, 3),
    { shape: [2, 1, 5, 5, 3] },
  ],
  [
    { name: 'convFilterGrad', window: WINDOW, depthwise: true },
    [f32(2, 1, 5, 5, 3), f32(2, 1, 3, 3, 6)],
    f32(1, 3, 3, 3, 2),
  ],
  [{ name: 'windowMaxGrad', window: WINDOW }, [f32(2, 1, 5, 5, 3), f32(2, 1, 3, 3, 3)], f32(2, 1, 5, 5, 3)],
  [{ name: 'argSort', descending: false }, [f32(2, 5)], i32(2, 5)],
  [{ name: 'cholesky' }, [f32(2, 3, 3)], f32(2, 3, 3)],
  [{ name: 'triangularSolve', lower: true, transpose: false }, [f32(2, 3, 3), f32(2, 3, 1)], f32(2, 3, 1)],
  [{ name: 'symmetricEigen' }, [f32(2, 3, 3)], f32(2, 4, 3)],
];

const bad: Bad[] = [
  [conv(), [f32(2, 1, 5, 5, 3), f32(1, 3, 3, 3, 4)], /an output shape as hint/],
  [conv(), [f32(2, 1, 5, 5, 3), f32(1, 3, 3, 2, 4)], /2 channels in and 4 out/, { shape: [2, 1, 3, 3, 4] }],
  [conv(), [f32(2, 1, 5, 5, 3), f32(1, 3, 2, 3, 4)], /window's size \[1,3,3\]/, { shape: [2, 1, 3, 3, 4] }],
  [conv(), [f32(2, 1, 5, 5, 3), f32(1, 3, 3, 3, 4)], /as many images/, { shape: [1, 1, 3, 3, 4] }],
  [conv(), [f32(2, 5, 5, 3), f32(1, 3, 3, 3, 4)], /float32 of rank 5 as input 0/, { shape: [2, 1, 3, 3, 4] }],
  [
    { name: 'windowMax', window: { ...WINDOW, strides: [1, 0, 1] } },
    [f32(2, 1, 5, 5, 3)],
    /strides and dilations of three whole numbers >= 1/,
    { shape: [2, 1, 3, 3, 3] },
  ],
  [
    { name: 'convFilterGrad', window: WINDOW, depthwise: true },
    [f32(2, 1, 5, 5, 3), f32(2, 1, 3, 3, 4)],
    /a whole multiple of 3 channels/,
  ],
  [
    { name: 'windowSum', window: WINDOW },
    [f32(2, 1, 5, 5, 3)],
    /as many channels/,
    { shape: [2, 1, 3, 3, 4] },
  ],
  [{ name: 'argSort', descending: false }, [f32()], /rank 1 or more/],
  [{ name: 'cholesky' }, [f32(2, 3)], /matrices \[\.\.\., n, n\]/],
  [{ name: 'symmetricEigen' }, [f32(3)], /matrices \[\.\.\., n, n\]/],
  [
    { name: 'triangularSolve', lower: true, transpose: false },
    [f32(2, 3, 3), f32(3, 1)],
    /of the same leading axes/,
  ],
  [{ name: 'exp' }, [i32(2)], /^exp: wanted float32, got int32\[2\]$/],
  [{ name: 'abs' }, [bool(2)], /^abs: wanted float32 or int32, got bool\[2\]/],
  [{ name: 'exp' }, [], /^exp: wanted 1 input, got no inputs/],
  [{ name: 'add' }, [f32(2)], /^add: wanted 2 inputs, got float32\[2\]/],
  [{ name: 'add' }, [f32(2), i32(2)], /^add: wanted two inputs of one dtype, got float32\[2\], int32\[2\]/],
  [{ name: 'add' }, [f32(2), f32(3)], /^add: shapes \[2\], \[3\] do not broadcast: 2 and 3 differ/],
  [{ name: 'add' }, [f32(2), f32(0)], /do not broadcast/],
  [{ name: 'div' }, [i32(2), i32(2)], /^div: wanted float32/],
  [{ name: 'atan2' }, [i32(2), i32(2)], /^atan2: wanted float32/],
  [{ name: 'logicalOr' }, [i32(2), i32(2)], /^logicalOr: wanted bool/],
  [{ name: 'select' }, [f32(2), f32(2), f32(2)], /^select: wanted a bool condition/],
  [{ name: 'select' }, [bool(2), f32(2), i32(2)], /^select: wanted two branches of one dtype/],
  [matMul(), [f32(3), f32(3, 1)], /rank 2 or more/],
  [matMul(), [i32(3, 3), i32(3, 3)], /two float32 inputs/],
  [matMul(true), [f32(2, 3), f32(3, 2)], /equal inner dimensions.*transposeA true.*\(2, 3\)/],
  [matMul(), [f32(2, 2, 2), f32(3, 2, 2)], /matMul batch: shapes \[2\], \[3\]/],
  [{ name: 'sum', axes: [1, 0], keepDims: false }, [f32(2, 3)], /ascending axes without repeats/],
  [{ name: 'sum', axes: [2], keepDims: false }, [f32(2, 3)], /an axis in \[0, 2\).*axis 2/],
  [{ name: 'any', axes: [0], keepDims: false }, [f32(2)], /^any: wanted bool/],
  [{ name: 'argMax', axis: -1 }, [f32(2)], /an axis in \[0, 1\)/],
  [{ name: 'reshape' }, [f32(2, 3)], /wanted 5 elements for \[5\], got float32\[2,3\]/, { shape: [5] }],
  [{ name: 'reshape' }, [f32(2)], /an output shape as hint/],
  [{ name: 'reshape' }, [f32(2)], /whole numbers >= 0, got \[-1\]/, { shape: [-1] }],
  [{ name: 'transpose', perm: [0, 0] }, [f32(2, 3)], /a permutation of 2 axes/],
  [{ name: 'slice', begin: [3], strides: [1] }, [f32(5)], /range inside axis 0 of size 5/, { shape: [3] }],
  [{ name: 'slice', begin: [1], strides: [-1] }, [f32(5)], /range inside axis 0/, { shape: [3] }],
  [{ name: 'slice', begin: [1], strides: [0] }, [f32(5)], /strides other than 0/, { shape: [1] }],
  [{ name: 'broadcastTo' }, [f32(2)], /broadcasts to \[3\]/, { shape: [3] }],
  [{ name: 'concat', axis: 0 }, [f32(2, 3), f32(2, 4)], /differ in axis 0 only/],
  [{ name: 'concat', axis: 0 }, [], /at least one input/],
  [{ name: 'pad', paddings: [[-1, 0]], value: 0 }, [f32(2)], /one \[before, after\] >= 0 per axis/],
  [{ name: 'gather', axis: 0, batchDims: 0 }, [f32(2), f32(2)], /int32 indices/],
  [{ name: 'gather', axis: 0, batchDims: 1 }, [f32(2), i32(2)], /batchDims <= axis/],
  [{ name: 'segmentSum', numSegments: 2 }, [f32(3), i32(2)], /x \[n, \.\.\.\] and ids \[n\]/],
  [{ name: 'segmentSum', numSegments: -2 }, [f32(3), i32(3)], /whole numbers >= 0/],
  [{ name: 'cast' }, [f32(3)], /an output dtype as hint/],
  [{ name: 'iota', start: 0.5, step: 1 }, [], /whole start and step/, { shape: [2] }],
  [{ name: 'iota', start: 0, step: 1 }, [], /one axis/, { shape: [2, 2] }],
  [{ name: 'constant', values: Float32Array.of(1) }, [], /wanted 2 values/, { shape: [2] }],
  [{ name: 'exp' }, [f32(2)], /the shape \[3\] that was claimed/, { shape: [3] }],
  [{ name: 'exp' }, [f32(2)], /the dtype int32 that was claimed/, { dtype: 'int32' }],
  [{ name: 'broadcastTo' }, [f32(1)], /more than 2\^31 - 1 elements/, { shape: [2 ** 16, 2 ** 16] }],
];

describe('types of results', () => {
  test.each(good)('%j %j', (op, inputs, result, hint) => {
    expect(inferNode(op, inputs, hint)).toEqual(result);
  });
});

describe('refusals name the op, what it wanted and what came', () => {
  test.each(bad)('%j %j', (op, inputs, message, hint) => {
    expect(() => inferNode(op, inputs, hint)).toThrow(message);
    expect(() => inferNode(op, inputs, hint)).toThrow(ShapeError);
  });
  test('an unknown op', () => {
    expect(() => inferNode({ name: 'convolve' } as unknown as Op, [])).toThrow(/convolve: no such op/);
  });
});

test('broadcasting is symmetric, associative, and stretches ones only', () => {
  const shape = fc.array(fc.constantFrom(0, 1, 2, 3), { maxLength: 4 });
  const attempt = (shapes: Shape[]): Shape | 'refused' => {
    try {
      return broadcastShapes(shapes);
    } catch (error) {
      expect(error).toBeInstanceOf(ShapeError);
      return 'refused';
    }
  };
  fc.assert(
    fc.property(shape, shape, (a, b) => {
      const result = attempt([a, b]);
      expect(attempt([b, a])).toEqual(result);
      const rank = Math.max(a.length, b.length);
      const at = (s: number[], i: number) => s[i - (rank - s.length)] ?? 1;
      const axes = Array.from({ length: rank }, (_, i) => [at(a, i), at(b, i)] as const);
      const fits = axes.every(([p, q]) => p === q || p === 1 || q === 1);
      expect(result).toEqual(fits ? axes.map(([p, q]) => (p === 1 ? q : p)) : 'refused');
    }),
    { seed: 11 },
  );
});

test('hints must name one of the dtypes', () => {
  const hint = { shape: [1], dtype: 'float64' as DType };
  expect(() => inferNode({ name: 'input', role: 'data', path: 'x' }, [], hint)).toThrow(
    /float32 or int32 or bool/,
  );
});
