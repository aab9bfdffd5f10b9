import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  evaluateTraced,
  expectSameAsEager,
  type Fn,
  floats,
  generator,
  given,
  type Input,
  ints,
  tracedValues,
} from './compare.js';
import { expectDerivatives } from './derivatives.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const next = generator(8);
const within = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));

/** Block shapes, paddings that fit, and a shape with `trailing` axes more. */
function spaceCase(): { shape: number[]; blocks: number[]; pads: number[][] } {
  const blocks = Array.from({ length: within(1, 3) }, () => within(1, 3));
  const space = blocks.map(() => within(1, 6));
  const pads = blocks.map((block, i) => {
    const before = within(0, 2);
    const over = (space[i] + before) % block;
    return [before, (over === 0 ? 0 : block - over) + block * within(0, 1)];
  });
  const trailing = Array.from({ length: within(0, 2) }, () => within(1, 3));
  return { shape: [within(1, 2), ...space, ...trailing], blocks, pads };
}
const CASES = Array.from({ length: 25 }, spaceCase);

describe('space, batch and depth', () => {
  test('spaceToBatchND of random shapes', () => {
    for (const { shape, blocks, pads } of CASES) {
      expectSameAsEager((x) => tf.spaceToBatchND(x, blocks, pads), [floats(shape)]);
    }
  });
  test('batchToSpaceND of random shapes', () => {
    for (const { shape, blocks } of CASES) {
      const product = blocks.reduce((a, b) => a * b, 1);
      const crops = blocks.map((block, i) =>
        block * shape[i + 1] > 2 ? [within(0, 1), within(0, 1)] : [0, 0],
      );
      const x = floats([shape[0] * product, ...shape.slice(1)]);
      expectSameAsEager((t) => tf.batchToSpaceND(t, blocks, crops), [x]);
    }
  });
  test('depthToSpace', () => {
    for (const [batch, height, width, depth, block] of [
      [1, 1, 1, 4, 2],
      [2, 3, 1, 8, 2],
      [1, 2, 3, 18, 3],
    ]) {
      expectSameAsEager((x) => tf.depthToSpace(x, block, 'NHWC'), [floats([batch, height, width, depth])]);
      // tfjs cpu knows NHWC only: the other order is the same between transposes.
      const x = floats([batch, depth, height, width]);
      const swapped: Fn = (t) =>
        tf.transpose(tf.depthToSpace(tf.transpose(t, [0, 2, 3, 1]) as tf.Tensor4D, block), [0, 3, 1, 2]);
      expect(tracedValues((t) => tf.depthToSpace(t, block, 'NCHW'), [x])).toEqual(tracedValues(swapped, [x]));
    }
  });
  test('derivatives', () => {
    expectDerivatives(
      (x) =>
        tf.spaceToBatchND(
          x,
          [2, 1],
          [
            [1, 0],
            [0, 0],
          ],
        ),
      [floats([1, 3, 2, 2])],
    );
    expectDerivatives(
      (x) =>
        tf.batchToSpaceND(
          x,
          [2, 1],
          [
            [1, 0],
            [0, 0],
          ],
        ),
      [floats([4, 3, 2])],
    );
    expectDerivatives((x) => tf.image.flipLeftRight(x), [floats([1, 2, 3, 2])]);
    expectDerivatives((x) => tf.depthToSpace(x, 2), [floats([1, 2, 3, 8])]);
    expectDerivatives((x) => tf.depthToSpace(x, 2, 'NCHW'), [floats([2, 8, 2, 3])]);
  });
});

describe('matrices', () => {
  test('bandPart with numbers, negative ones and tensors', () => {
    for (const shape of [
      [4, 4],
      [3, 5],
      [2, 5, 3],
    ]) {
      for (const [lower, upper] of [
        [0, 0],
        [1, -1],
        [-1, 2],
        [-1, -1],
        [3, 1],
      ]) {
        expectSameAsEager((x) => tf.linalg.bandPart(x, lower, upper), [floats(shape)]);
      }
    }
    const one = tf.scalar(1, 'int32');
    expectSameAsEager((x) => tf.linalg.bandPart(x, one, one), [floats([4, 4])]);
  });
  test('the kernel MatrixBandPart, which no op runs', () => {
    const kernel: Fn = (input, numLower, numUpper) =>
      tf.engine().runKernel('MatrixBandPart', { input, numLower, numUpper });
    for (const [lower, upper] of [
      [0, 0],
      [1, -1],
      [-1, 2],
    ]) {
      const limits = [lower, upper].map((v): Input => ({ ...ints([]), values: Int32Array.of(v) }));
      expect(tracedValues(kernel, [floats([2, 3, 4]), ...limits])).toEqual(
        tracedValues((x) => tf.linalg.bandPart(x, lower, upper), [floats([2, 3, 4])]),
      );
    }
  });
  test('derivatives of diag, bandPart, gramSchmidt and qr', () => {
    expectDerivatives((x) => tf.diag(x), [floats([4])]);
    expectDerivatives((x) => tf.linalg.bandPart(x, 1, 0), [floats([3, 3])]);
    expectDerivatives((x) => tf.linalg.gramSchmidt(x), [floats([2, 3])]);
    expectDerivatives((x) => tf.linalg.qr(x), [given([2, -1, 0.5, 1, 3, -0.5, 0.3, 1, -2], [3, 3])]);
    expectDerivatives((x) => tf.linalg.qr(x), [given([2, -1, 0.5, 1, 0.3, 1], [3, 2])]);
  });
});

describe('scans and slices', () => {
  const AXES: [number[], number][] = [
    [[1], 0],
    [[7], 0],
    [[3, 9], 1],
    [[5, 2], 0],
    [[2, 3, 4], 1],
    [[2, 3, 4], -1],
  ];
  test('cumprod of any length, exclusive and reverse', () => {
    for (const [shape, axis] of [
      ...AXES.filter(([, axis]) => axis >= 0),
      [[33], 0],
      [[64], 0],
      [[2, 0], 1],
    ] as [number[], number][]) {
      for (const exclusive of [false, true]) {
        for (const reverse of [false, true]) {
          expectSameAsEager((x) => tf.cumprod(x, axis, exclusive, reverse), [floats(shape, 0.5, 1.5)], 1e-5);
        }
      }
    }
  });
  test('cumprod of an axis counted from the end, on which tfjs cpu fails', () => {
    const x = floats([2, 3, 4]);
    const along = (axis: number) => tracedValues((t) => tf.cumprod(t, axis), [x]);
    expect(along(-1)).toEqual(along(2));
  });
  test('derivatives of split and unstack into one piece', () => {
    expectDerivatives((x) => tf.unstack(x), [floats([1, 3])]);
    expectDerivatives((x) => tf.split(x, 1), [floats([2, 3])]);
  });
  test('derivatives of cumprod, also where values are zero', () => {
    for (const [shape, axis] of AXES) {
      for (const exclusive of [false, true]) {
        for (const reverse of [false, true]) {
          const x = floats(shape, -1, 1);
          x.values[Math.floor(x.values.length / 2)] = 0;
          expectDerivatives((t) => tf.cumprod(t, axis, exclusive, reverse), [x]);
        }
      }
    }
  });
  test('derivatives of prod, also where values are zero', () => {
    for (const [shape, axis] of [
      [[5], 0],
      [[2, 4], 1],
      [
        [2, 3, 2],
        [0, 2],
      ],
      [[2, 3], undefined],
    ] as const) {
      const x = floats(shape.slice(), -1.5, 1.5);
      x.values[1] = 0;
      expectDerivatives((t) => tf.prod(t, axis as number | number[]), [x]);
    }
  });
  test('derivatives of stridedSlice with strides, negative strides and masks', () => {
    const variants: [number[], number[], number[], ...number[]][] = [
      [
        [0, 0, 0],
        [2, 3, 7],
        [1, 2, 3],
      ],
      [
        [1, 2, 6],
        [-3, -4, -8],
        [-1, -1, -2],
      ],
      [[0, 1, 1], [0, 0, 4], [1, 1, 1], 0, 3],
      [[0, 0, 3], [1, 3, 4], [1, 1, 1], 0, 0, 0, 0, 5],
      [[0, 1], [0, 4], [1, 2], 0, 0, 1],
      [[0, 0, 0], [2, 0, 3], [1, 1, 2], 0, 0, 0, 2],
      [[1], [2], [1]],
    ];
    for (const variant of variants)
      expectDerivatives((x) => tf.stridedSlice(x, ...variant), [floats([2, 3, 7])]);
  });
});

test('broadcastArgs of shapes that are constants', () => {
  const shapes = () => [tf.tensor1d([3, 1], 'int32'), tf.tensor1d([2, 1, 5], 'int32')] as const;
  const kernel: Fn = () => {
    const [s0, s1] = shapes();
    return tf.engine().runKernel('BroadcastArgs', { s0, s1 });
  };
  expectSameAsEager(kernel, []);
  expect(() =>
    evaluateTraced((s) => tf.engine().runKernel('BroadcastArgs', { s0: s, s1: s }), [ints([2])]),
  ).toThrow(/shapes are static/);
});
