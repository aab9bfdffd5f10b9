/** Convolutions and pooling against eager tfjs, and their gradients against the transpose. */
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../src/graph/builder.js';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import type { Op, Shape, Triple, Window } from '../../src/graph/graph.js';
import { sizeOf } from '../../src/graph/graph.js';

function numbers(shape: Shape, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: sizeOf(shape) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function run(op: Op, inputs: readonly (readonly [Shape, Float32Array])[], shape?: Shape): Float32Array {
  const b = new GraphBuilder();
  const ids = inputs.map(([s], i) => b.input('value', `x${i}`, s, 'float32'));
  const graph = b.build([{ path: 'y', node: b.add(op, ids, shape ? { shape } : undefined) }]);
  const values = Object.fromEntries(inputs.map(([, v], i) => [`x${i}`, v]));
  return evaluateGraph(graph, values).y.values as Float32Array;
}

function window(size: Triple, rest: Partial<Window> = {}): Window {
  return { size, strides: [1, 1, 1], dilations: [1, 1, 1], padBefore: [0, 0, 0], ...rest };
}

function close(got: Float32Array, want: ArrayLike<number>, tolerance = 1e-5) {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < got.length; i++) expect(Math.abs(got[i] - want[i])).toBeLessThanOrEqual(tolerance);
}

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * b[i], 0);

const GEOMETRIES: { name: string; window: Window; x: Shape; y: Shape }[] = [
  { name: 'plain', window: window([1, 3, 2]), x: [2, 1, 6, 5, 3], y: [2, 1, 4, 4, 4] },
  {
    name: 'strided, padded',
    window: window([1, 3, 3], { strides: [1, 2, 3], padBefore: [0, 1, 2] }),
    x: [1, 1, 7, 8, 2],
    y: [1, 1, 4, 4, 3],
  },
  {
    name: 'dilated, 3-D, negative padding',
    window: window([2, 2, 3], { dilations: [2, 1, 2], padBefore: [1, 0, -1] }),
    x: [1, 4, 3, 7, 2],
    y: [1, 4, 2, 3, 2],
  },
];

describe.each(GEOMETRIES)('convolution: $name', ({ window: w, x: xShape, y: yShape }) => {
  test.each([false, true])('the three ops are transposes of each other (depthwise %s)', (depthwise) => {
    const c = xShape[4];
    const shape = depthwise ? [...yShape.slice(0, 4), c * 2] : yShape;
    const filterShape = [...w.size, c, depthwise ? 2 : shape[4]];
    const [x, k, dy] = [numbers(xShape, 1), numbers(filterShape, 2), numbers(shape, 3)];
    const y = run(
      { name: 'conv', window: w, depthwise },
      [
        [xShape, x],
        [filterShape, k],
      ],
      shape,
    );
    const dx = run(
      { name: 'convInputGrad', window: w, depthwise },
      [
        [shape, dy],
        [filterShape, k],
      ],
      xShape,
    );
    const dk = run({ name: 'convFilterGrad', window: w, depthwise }, [
      [xShape, x],
      [shape, dy],
    ]);
    const want = dot(y, dy);
    expect(dot(dx, x)).toBeCloseTo(want, 4);
    expect(dot(dk, k)).toBeCloseTo(want, 4);
  });
  test('the sum over windows and its gradient are transposes', () => {
    const shape = [...yShape.slice(0, 4), xShape[4]];
    const [x, dy] = [numbers(xShape, 1), numbers(shape, 3)];
    const y = run({ name: 'windowSum', window: w }, [[xShape, x]], shape);
    const dx = run({ name: 'windowSumGrad', window: w }, [[shape, dy]], xShape);
    expect(dot(dx, x)).toBeCloseTo(dot(y, dy), 4);
  });
});

describe('as tfjs has it', () => {
  test('conv2d, same padding', () => {
    const [x, k] = [numbers([2, 7, 6, 3], 5), numbers([3, 3, 3, 4], 6)];
    const w = window([1, 3, 3], { strides: [1, 2, 2], padBefore: [0, 1, 0] });
    const got = run(
      { name: 'conv', window: w, depthwise: false },
      [
        [[2, 1, 7, 6, 3], x],
        [[1, 3, 3, 3, 4], k],
      ],
      [2, 1, 4, 3, 4],
    );
    const want = tf.conv2d(tf.tensor4d(x, [2, 7, 6, 3]), tf.tensor4d(k, [3, 3, 3, 4]), 2, 'same');
    expect(want.shape).toEqual([2, 4, 3, 4]);
    close(got, want.dataSync());
  });
  test('depthwiseConv2d, dilated', () => {
    const [x, k] = [numbers([1, 7, 6, 3], 5), numbers([3, 2, 3, 2], 6)];
    const w = window([1, 3, 2], { dilations: [1, 2, 2] });
    const got = run(
      { name: 'conv', window: w, depthwise: true },
      [
        [[1, 1, 7, 6, 3], x],
        [[1, 3, 2, 3, 2], k],
      ],
      [1, 1, 3, 4, 6],
    );
    const want = tf.depthwiseConv2d(
      tf.tensor4d(x, [1, 7, 6, 3]),
      tf.tensor4d(k, [3, 2, 3, 2]),
      1,
      'valid',
      'NHWC',
      2,
    );
    close(got, want.dataSync());
  });
  test('maxPool and its gradient', () => {
    const x = numbers([2, 5, 5, 3], 9);
    const w = window([1, 3, 3], { strides: [1, 2, 2], padBefore: [0, 1, 1] });
    const input = tf.tensor4d(x, [2, 5, 5, 3]);
    const pool = (t: tf.Tensor4D) => tf.maxPool(t, 3, 2, 'same');
    const want = pool(input);
    close(run({ name: 'windowMax', window: w }, [[[2, 1, 5, 5, 3], x]], [2, 1, 3, 3, 3]), want.dataSync(), 0);
    const dy = numbers([2, 3, 3, 3], 10);
    const grad = tf.grad((t) => pool(t as tf.Tensor4D))(input, tf.tensor4d(dy, [2, 3, 3, 3]));
    close(
      run({ name: 'windowMaxGrad', window: w }, [
        [[2, 1, 5, 5, 3], x],
        [[2, 1, 3, 3, 3], dy],
      ]),
      grad.dataSync(),
    );
  });
});

describe('corners of pooling', () => {
  const w = window([1, 1, 2]);
  const shape = [1, 1, 1, 3, 1];
  const grad = (x: number[], dy: number[]) => [
    ...run({ name: 'windowMaxGrad', window: w }, [
      [[1, 1, 1, 4, 1], Float32Array.from(x)],
      [shape, Float32Array.from(dy)],
    ]),
  ];
  test('ties go to the first, NaN wins', () => {
    expect(grad([1, 1, 0, 0], [1, 10, 100])).toEqual([1, 10, 100, 0]);
    expect(grad([5, NaN, 7, 1], [1, 10, 100])).toEqual([0, 11, 100, 0]);
    const x = Float32Array.of(5, NaN, 7, 1);
    expect([...run({ name: 'windowMax', window: w }, [[[1, 1, 1, 4, 1], x]], shape)]).toEqual([NaN, NaN, 7]);
  });
  test('a window with nothing in it', () => {
    const far = window([1, 1, 2], { padBefore: [0, 0, 3] });
    const x: [Shape, Float32Array] = [[1, 1, 1, 2, 1], Float32Array.of(-4, 2)];
    expect([...run({ name: 'windowMax', window: far }, [x], shape)]).toEqual([-Infinity, -Infinity, -4]);
    expect([...run({ name: 'windowSum', window: far }, [x], shape)]).toEqual([0, 0, -4]);
    const dy: [Shape, Float32Array] = [shape, Float32Array.of(1, 10, 100)];
    expect([...run({ name: 'windowMaxGrad', window: far }, [x, dy])]).toEqual([100, 0]);
  });
});
