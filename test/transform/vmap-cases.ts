/** Functions of single examples, with which of their arguments are batched. */
import * as tf from '@tensorflow/tfjs';
import * as linalg from '../../src/ops/linalg.js';
import * as special from '../../src/ops/special.js';

export interface VmapCase {
  readonly name: string;
  readonly f: (...args: tf.Tensor[]) => tf.Tensor;
  /** Shapes of the arguments of one example; 'int' ones hold indices below `below`. */
  readonly args: readonly {
    readonly shape: readonly number[];
    readonly axis: number | null;
    readonly below?: number;
    /** Made symmetric positive definite. */
    readonly positive?: boolean;
  }[];
  /** Piecewise linear or without a second derivative worth checking. Default true. */
  readonly second?: boolean;
}

const matrix = (t: tf.Tensor) => t as tf.Tensor2D;
const image = (t: tf.Tensor) => t as tf.Tensor4D;
const x34 = (axis: number | null) => ({ shape: [3, 4], axis });
const x45 = (axis: number | null) => ({ shape: [4, 5], axis });

export const CASES: readonly VmapCase[] = [
  ...(
    [
      [0, 0],
      [0, null],
      [null, 0],
      [2, 1],
    ] as const
  ).flatMap(([a, b]): VmapCase[] => [
    { name: `matMul, axes ${a}, ${b}`, f: (x, w) => tf.matMul(x, w), args: [x34(a), x45(b)] },
    {
      name: `matMul of transposes, axes ${a}, ${b}`,
      f: (x, w) => tf.matMul(matrix(x), matrix(w), true, true),
      args: [
        { shape: [4, 3], axis: a },
        { shape: [5, 4], axis: b },
      ],
    },
    {
      name: `batched matMul, axes ${a}, ${b}`,
      f: (x, w) => tf.matMul(x, w),
      args: [
        { shape: [2, 3, 4], axis: a },
        { shape: [2, 4, 5], axis: b },
      ],
    },
    {
      name: `dense layer, axes ${a}, ${b}`,
      f: (x, w, bias) => tf.tanh(tf.add(tf.matMul(x, w), bias)),
      args: [x34(a), x45(b), { shape: [5], axis: b === 1 ? 0 : b }],
    },
    {
      name: `division with broadcasting, axes ${a}, ${b}`,
      f: (x, y) => tf.div(x, tf.add(tf.square(y), 1)),
      args: [x34(a), { shape: [4], axis: b }],
    },
    {
      name: `maximum with broadcasting, axes ${a}, ${b}`,
      f: (x, y) => tf.maximum(x, y),
      args: [x34(a), { shape: [3, 1], axis: b }],
      second: false,
    },
    {
      name: `where, axes ${a}, ${b}`,
      f: (x, y) => tf.where(tf.greater(x, y), tf.square(x), tf.mul(x, y)),
      args: [x34(a), { shape: [3, 4], axis: b }],
    },
    {
      name: `gather of rows, axes ${a}, ${b}`,
      f: (x, i) => tf.square(tf.gather(x, i as tf.Tensor1D)),
      args: [x34(a), { shape: [5], axis: b, below: 3 }],
    },
    {
      name: `gather of columns by a matrix of indices, axes ${a}, ${b}`,
      f: (x, i) => tf.square(tf.gather(x, i as tf.Tensor1D, 1)),
      args: [x34(a), { shape: [2, 3], axis: b, below: 4 }],
    },
    {
      name: `gather with batch dims, axes ${a}, ${b}`,
      f: (x, i) => tf.square(tf.gather(x, i as tf.Tensor1D, 1, 1)),
      args: [
        { shape: [2, 4, 3], axis: a },
        { shape: [2, 5], axis: b, below: 4 },
      ],
    },
    {
      name: `segment sums, axes ${a}, ${b}`,
      f: (x, i) => tf.square(tf.unsortedSegmentSum(x, i as tf.Tensor1D, 3)),
      args: [x45(a), { shape: [4], axis: b === 1 ? 0 : b, below: 3 }],
    },
    {
      name: `concat and stack, axes ${a}, ${b}`,
      f: (x, y) => tf.square(tf.concat([x, y, tf.neg(x)], 1)),
      args: [x34(a), { shape: [3, 2], axis: b }],
    },
    {
      name: `triangularSolve, axes ${a}, ${b}`,
      f: (l, y) => linalg.triangularSolve(l, y, { transpose: true }),
      args: [
        { shape: [3, 3], axis: a, positive: true },
        { shape: [3, 2], axis: b },
      ],
    },
    {
      name: `conv2d, axes ${a}, ${b}`,
      f: (x, w) => tf.conv2d(image(x), image(w), [2, 1], 'same'),
      args: [
        { shape: [1, 5, 4, 2], axis: a },
        { shape: [3, 2, 2, 3], axis: b },
      ],
    },
    {
      name: `depthwise conv2d, axes ${a}, ${b}`,
      f: (x, w) => tf.depthwiseConv2d(image(x), image(w), 1, 'valid', 'NHWC', [2, 1]),
      args: [
        { shape: [2, 5, 4, 2], axis: a },
        { shape: [2, 2, 2, 2], axis: b },
      ],
    },
    {
      name: `transposed conv2d, axes ${a}, ${b}`,
      f: (x, w) => tf.conv2dTranspose(image(x), image(w), [1, 5, 6, 2], 2, 'same'),
      args: [
        { shape: [1, 3, 3, 3], axis: a },
        { shape: [3, 2, 2, 3], axis: b },
      ],
    },
  ]),
  ...[0, 1].flatMap((axis): VmapCase[] => [
    {
      name: `sum and mean, axis ${axis}`,
      f: (x) => tf.add(tf.sum(tf.square(x)), tf.mean(x, 0)),
      args: [x34(axis)],
    },
    { name: `prod, axis ${axis}`, f: (x) => tf.prod(x, 1), args: [x34(axis)] },
    {
      name: `max and min, axis ${axis}`,
      f: (x) => tf.sub(tf.max(x, 0), tf.min(x, 0)),
      args: [x34(axis)],
      second: false,
    },
    { name: `softmax, axis ${axis}`, f: (x) => tf.softmax(x), args: [x34(axis)] },
    {
      name: `softmax cross-entropy, axis ${axis}`,
      f: (x) => tf.losses.softmaxCrossEntropy(tf.oneHot(tf.tensor1d([0, 3, 1], 'int32'), 4), x),
      args: [x34(axis)],
    },
    { name: `logSumExp, axis ${axis}`, f: (x) => tf.logSumExp(x, 0), args: [x34(axis)] },
    {
      name: `special functions, axis ${axis}`,
      f: (x) => special.lgamma(tf.add(tf.square(x), special.erfinv(tf.mul(x, 0.5)))),
      args: [x34(axis)],
    },
    {
      name: `preciseSum and logSumExp, axis ${axis}`,
      f: (x) => tf.mul(special.preciseSum(x, 0), special.logSumExp(x, 0)),
      args: [x34(axis)],
    },
    {
      name: `cumsum along the first axis, axis ${axis}`,
      f: (x) => tf.square(tf.cumsum(x, 0, true, true)),
      args: [x34(axis)],
    },
    {
      name: `cumsum along the last axis, axis ${axis}`,
      f: (x) => tf.square(tf.cumsum(x, 1)),
      args: [x34(axis)],
    },
    {
      name: `slice, pad, reverse, tile, axis ${axis}`,
      f: (x) =>
        tf.square(
          tf.tile(
            tf.reverse(
              tf.pad(
                tf.slice(x, [1, 0], [2, 3]),
                [
                  [1, 0],
                  [0, 2],
                ],
                0.5,
              ),
              1,
            ),
            [2, 1],
          ),
        ),
      args: [x34(axis)],
    },
    {
      name: `strided slice, axis ${axis}`,
      f: (x) => tf.square(tf.stridedSlice(x, [2, 3], [0, -5], [-1, -2])),
      args: [x34(axis)],
    },
    {
      name: `transpose and reshape, axis ${axis}`,
      f: (x) => tf.square(tf.transpose(tf.reshape(x, [2, 2, 3]), [2, 0, 1])),
      args: [x34(axis)],
    },
    {
      name: `cholesky, axis ${axis}`,
      f: (x) => linalg.cholesky(tf.add(tf.matMul(x, x, false, true), tf.eye(3))),
      args: [x34(axis)],
    },
    {
      name: `log determinant, axis ${axis}`,
      f: (x) => linalg.logDet(tf.add(tf.matMul(x, x, true), tf.eye(4))),
      args: [x34(axis)],
    },
    {
      name: `eigenvalues and vectors, axis ${axis}`,
      f: (x) => {
        const { values, vectors } = linalg.eigh(
          tf.add(tf.matMul(x, x, false, true), tf.mul(tf.eye(3), tf.tensor1d([1, 2, 4]))),
        );
        return tf.mul(vectors, values);
      },
      args: [x34(axis)],
    },
    {
      name: `layer normalisation, axis ${axis}`,
      f: (x) => {
        const { mean, variance } = tf.moments(x, 1, true);
        return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-3)));
      },
      args: [x34(axis)],
    },
    {
      name: `a constant, and one example`,
      f: (x) => tf.add(tf.mul(tf.square(x), tf.range(0, 4)), tf.scalar(2)),
      args: [x34(axis)],
    },
    {
      name: `pooling, axis ${axis}`,
      f: (x) =>
        tf.add(
          tf.square(tf.maxPool(image(tf.reshape(x, [1, 3, 4, 1])), 2, 1, 'same')),
          tf.avgPool(image(tf.reshape(x, [1, 3, 4, 1])), [2, 3], 1, 'same'),
        ),
      args: [x34(axis)],
    },
    { name: `topk, axis ${axis}`, f: (x) => tf.square(tf.topk(x, 2).values), args: [x34(axis)] },
  ]),
];
