/**
 * Random functions made of every kind of differentiable op, each a short chain of them on tensors of all ranks. A function is settled by a
 * number: it is the same whether it runs eagerly or is traced.
 */
import * as tf from '@tensorflow/tfjs';
import { cholesky, choleskySolve, eigh, logDet, triangularSolve } from '../../src/ops/linalg.js';
import { digamma, erfinv, lgamma } from '../../src/ops/special.js';
import { logSumExp } from '../../src/ops/sums.js';
import { generator } from './compare.js';

type Draw = (below: number) => number;

interface Op {
  readonly name: string;
  readonly run: (x: tf.Tensor, y: tf.Tensor, draw: Draw) => tf.Tensor;
  /** tfjs's own gradient is missing or wrong, or it has none for the op at all. */
  readonly eagerFails?: boolean;
}

/**
 * The elements of a tensor, repeated or cut off to fill a shape; each repetition a little larger, since a maximum of equal elements has no
 * derivative.
 */
function fill(x: tf.Tensor, shape: number[]): tf.Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  const places = Int32Array.from({ length: n }, (_, i) => i % x.size);
  const taken = tf.gather(tf.reshape(x, [-1]), tf.tensor1d(places, 'int32'));
  const factors = Float32Array.from({ length: n }, (_, i) => 1 + 0.05 * Math.floor(i / x.size));
  return tf.reshape(n > x.size ? tf.mul(taken, tf.tensor1d(factors)) : taken, shape);
}

const image = (x: tf.Tensor) => fill(x, [1, 4, 5, 2]) as tf.Tensor4D;
const volume = (x: tf.Tensor) => fill(x, [1, 3, 3, 4, 2]) as tf.Tensor5D;
const matrix = (x: tf.Tensor) => fill(x, [3, 4]) as tf.Tensor2D;
const vector = (x: tf.Tensor) => fill(x, [6]) as tf.Tensor1D;
/** Symmetric, with eigenvalues apart from zero and from each other. */
const definite = (x: tf.Tensor) => {
  const a = fill(x, [3, 3]) as tf.Tensor2D;
  return tf.add(tf.matMul(a, a, false, true), tf.diag(tf.tensor1d([1, 2.5, 4.5]))) as tf.Tensor2D;
};
const between = (x: tf.Tensor, low: number, high: number) => tf.add(tf.mul(tf.sigmoid(x), high - low), low);
const int = (...values: number[]) => tf.tensor1d(values, 'int32');
const padding = (draw: Draw) => (draw(2) ? 'same' : 'valid');
const strides = (draw: Draw): [number, number] => [1 + draw(2), 1 + draw(2)];

const unary = (name: string, run: (x: tf.Tensor) => tf.Tensor, eagerFails = false): Op => ({
  name,
  run,
  eagerFails,
});

const ELEMENTWISE: readonly Op[] = [
  unary('abs', tf.abs),
  unary('acos', (x) => tf.acos(between(x, -0.8, 0.8))),
  unary('acosh', (x) => tf.acosh(between(x, 1.2, 3))),
  unary('asin', (x) => tf.asin(between(x, -0.8, 0.8))),
  unary('asinh', tf.asinh),
  unary('atan', tf.atan),
  unary('atanh', (x) => tf.atanh(between(x, -0.8, 0.8))),
  unary('clipByValue', (x) => tf.clipByValue(x, -0.4, 0.6)),
  unary('cos', tf.cos),
  unary('cosh', (x) => tf.cosh(tf.tanh(x))),
  unary('digamma', (x) => digamma(between(x, 0.7, 4)), true),
  unary('elu', tf.elu),
  unary('erf', tf.erf),
  unary('erfinv', (x) => erfinv(between(x, -0.9, 0.9)), true),
  unary('exp', (x) => tf.exp(tf.tanh(x))),
  unary('expm1', (x) => tf.expm1(tf.tanh(x))),
  unary('leakyRelu', (x) => tf.leakyRelu(x, 0.3)),
  unary('lgamma', (x) => lgamma(between(x, 0.7, 4)), true),
  unary('log', (x) => tf.log(between(x, 0.4, 3))),
  unary('log1p', (x) => tf.log1p(between(x, -0.4, 2))),
  unary('logSigmoid', tf.logSigmoid),
  unary('neg', tf.neg),
  unary('reciprocal', (x) => tf.reciprocal(between(x, 0.5, 2))),
  unary('relu', tf.relu),
  unary('relu6', tf.relu6),
  unary('rsqrt', (x) => tf.rsqrt(between(x, 0.5, 2))),
  unary('selu', tf.selu),
  unary('sigmoid', tf.sigmoid),
  unary('sin', tf.sin),
  unary('sinh', (x) => tf.sinh(tf.tanh(x))),
  unary('softplus', tf.softplus),
  unary('sqrt', (x) => tf.sqrt(between(x, 0.5, 2))),
  unary('square', (x) => tf.square(tf.tanh(x))),
  unary('tan', (x) => tf.tan(tf.tanh(x))),
  unary('tanh', tf.tanh),
];

/** Two tensors of one shape, or one row of it where broadcasting. */
function pair(x: tf.Tensor, y: tf.Tensor, draw: Draw): [tf.Tensor, tf.Tensor] {
  const shape = x.shape.length === 0 ? [2] : x.shape;
  return [fill(x, shape), fill(y, draw(2) ? shape : shape.slice(-1))];
}

const binary = (
  name: string,
  f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
  { eagerFails = false, safe = (b: tf.Tensor) => b } = {},
): Op => ({
  name,
  eagerFails,
  run: (x, y, draw) => {
    const [a, b] = pair(x, y, draw);
    return f(a, safe(b));
  },
});

const apart = (b: tf.Tensor) => between(b, 0.6, 2);

const BINARY: readonly Op[] = [
  binary('add', tf.add),
  binary('atan2', tf.atan2, { safe: apart }),
  binary('div', tf.div, { safe: apart }),
  binary('maximum', tf.maximum, { eagerFails: true }),
  binary('minimum', tf.minimum, { eagerFails: true }),
  binary('mod', tf.mod, { safe: apart, eagerFails: true }),
  binary('mul', tf.mul),
  binary('pow', (a, b) => tf.pow(between(a, 0.5, 2), b), { safe: apart }),
  binary('prelu', (a, b) => tf.prelu(a, b), { eagerFails: true }),
  binary('squaredDifference', tf.squaredDifference, { eagerFails: true }),
  binary('sub', tf.sub),
  {
    name: 'where',
    eagerFails: true,
    run: (x, y) => tf.where(tf.greater(fill(y, x.shape), 0.05), tf.mul(x, 2), fill(y, x.shape)),
  },
  { name: 'addN', run: (x, y) => tf.addN([x, fill(y, x.shape), x]) },
];

const axisOf = (x: tf.Tensor, draw: Draw) => draw(x.rank);
/** No two elements equal, as pooling makes them: tfjs's gradient of a maximum goes to every one of them. */
const untied = (x: tf.Tensor) => tf.add(x, tf.reshape(tf.mul(tf.range(0, x.size), 0.0137), x.shape));
const ranked = (x: tf.Tensor) => (x.rank === 0 ? tf.reshape(x, [1]) : x);
const reducing = (name: string, f: (x: tf.Tensor, axis: number) => tf.Tensor, eagerFails = false): Op => ({
  name,
  eagerFails,
  run: (x, _, draw) => {
    const r = ranked(x);
    return f(r, axisOf(r, draw));
  },
});

const REDUCTIONS: readonly Op[] = [
  reducing('sum', tf.sum),
  reducing('mean', tf.mean),
  reducing('max', (x, axis) => tf.max(untied(x), axis)),
  reducing('min', (x, axis) => tf.min(untied(x), axis)),
  reducing('prod', (x, axis) => tf.prod(between(x, 0.5, 1.5), axis)),
  reducing('logSumExp of tfjs', tf.logSumExp),
  reducing('logSumExp', logSumExp, true),
  reducing('norm', (x, axis) => tf.norm(tf.add(tf.square(x), 0.5), 2, axis)),
  reducing('moments', (x, axis) => tf.moments(x, axis).variance),
  reducing('cumsum', tf.cumsum, true),
  reducing('cumprod', (x, axis) => tf.cumprod(between(x, 0.6, 1.4), axis), true),
  { name: 'softmax', run: (x) => tf.softmax(ranked(x)) },
  { name: 'logSoftmax', run: (x) => tf.logSoftmax(ranked(x)) },
];

const STRUCTURE: readonly Op[] = [
  { name: 'transpose', run: (x) => tf.transpose(x) },
  { name: 'reverse', run: (x, _, draw) => tf.reverse(ranked(x), axisOf(ranked(x), draw)) },
  { name: 'expandDims', run: (x, _, draw) => (x.rank > 3 ? x : tf.expandDims(x, draw(x.rank + 1))) },
  { name: 'slice', run: (x) => tf.slice(matrix(x), [1, 0], [2, 3]) },
  { name: 'stridedSlice', eagerFails: true, run: (x) => tf.stridedSlice(matrix(x), [2, 0], [0, 4], [-1, 2]) },
  { name: 'pad', run: (x) => tf.pad(matrix(x), [[1, 0], [0, 2]], 0.5) }, // biome-ignore format: one line
  { name: 'mirrorPad', eagerFails: true, run: (x, _, draw) => tf.mirrorPad(matrix(x), [[1, 1], [0, 2]], draw(2) ? 'reflect' : 'symmetric') }, // biome-ignore format: one line
  { name: 'tile', run: (x) => tf.tile(matrix(x), [2, 1]) },
  { name: 'broadcastTo', run: (x) => tf.broadcastTo(fill(x, [1, 4]), [3, 4]) },
  { name: 'concat', run: (x, y, draw) => tf.concat([matrix(x), matrix(y)], draw(2)) },
  { name: 'stack', run: (x, y, draw) => tf.stack([matrix(y), matrix(x)], draw(3)) },
  { name: 'unstack', run: (x) => tf.mul(tf.unstack(matrix(x))[2], 2) },
  { name: 'split', run: (x) => tf.sub(...(tf.split(matrix(x), 2, 1) as [tf.Tensor, tf.Tensor])) },
  { name: 'gather', run: (x, _, draw) => tf.gather(matrix(x), int(2, 0, 2), draw(2)) },
  {
    name: 'gatherND',
    eagerFails: true,
    run: (x) => tf.gatherND(matrix(x), tf.tensor2d([2, 3, 0, 1, 2, 3], [3, 2], 'int32')),
  },
  {
    name: 'scatterND',
    eagerFails: true,
    run: (x) => tf.scatterND(tf.tensor2d([1, 3, 1], [3, 1], 'int32'), fill(x, [3, 2]), [5, 2]),
  },
  {
    name: 'tensorScatterUpdate',
    eagerFails: true,
    run: (x, y) => tf.tensorScatterUpdate(matrix(x), tf.tensor2d([0, 2], [2, 1], 'int32'), fill(y, [2, 4])),
  },
  { name: 'unsortedSegmentSum', run: (x) => tf.unsortedSegmentSum(matrix(x), int(1, 0, 1), 2) },
  { name: 'topk', eagerFails: true, run: (x) => tf.topk(vector(x), 3).values },
  { name: 'diag', eagerFails: true, run: (x) => tf.diag(vector(x)) },
  { name: 'spaceToBatchND', run: (x) => tf.spaceToBatchND(fill(x, [1, 4, 4, 2]), [2, 2], [[0, 0], [0, 0]]) }, // biome-ignore format: one line
  { name: 'batchToSpaceND', run: (x) => tf.batchToSpaceND(fill(x, [4, 2, 2, 1]), [2, 2], [[0, 0], [1, 0]]) }, // biome-ignore format: one line
  {
    name: 'depthToSpace',
    eagerFails: true,
    run: (x) => tf.depthToSpace(fill(x, [1, 2, 2, 8]) as tf.Tensor4D, 2, 'NHWC'),
  },
  { name: 'bandPart', eagerFails: true, run: (x) => tf.linalg.bandPart(matrix(x), 1, 0) },
  { name: 'cast', run: (x) => tf.mul(tf.cast(tf.greater(x, 0), 'float32'), x), eagerFails: true },
];

const PRODUCTS: readonly Op[] = [
  {
    name: 'matMul',
    run: (x, y, draw) =>
      draw(2) ? tf.matMul(matrix(x), matrix(y), true) : tf.matMul(matrix(x), matrix(y), false, true),
  },
  { name: 'batchMatMul', run: (x, y) => tf.matMul(fill(x, [2, 2, 3]), fill(y, [2, 3, 2])) },
  { name: 'dot', run: (x, y) => tf.dot(vector(x), vector(y)) },
  { name: 'outerProduct', run: (x, y) => tf.outerProduct(vector(x), vector(y)) },
  {
    name: 'einsum',
    eagerFails: true,
    run: (x, y) => tf.einsum('bij,bjk->bki', fill(x, [2, 2, 3]), fill(y, [2, 3, 2])),
  },
  {
    name: 'fused.matMul',
    run: (x, y) =>
      tf.fused.matMul({
        a: matrix(x),
        b: fill(y, [4, 2]) as tf.Tensor2D,
        bias: fill(x, [2]),
        activation: 'relu',
      }),
  },
  { name: 'cholesky', eagerFails: true, run: (x) => cholesky(definite(x)) },
  {
    name: 'choleskySolve',
    eagerFails: true,
    run: (x, y) => choleskySolve(cholesky(definite(x)), fill(y, [3, 2])),
  },
  { name: 'triangularSolve', eagerFails: true, run: (x, y) => triangularSolve(definite(x), fill(y, [3, 2])) },
  { name: 'logDet', eagerFails: true, run: (x) => logDet(definite(x)) },
  { name: 'eigh values', eagerFails: true, run: (x) => eigh(definite(x)).values },
  {
    name: 'fft',
    eagerFails: true,
    run: (x, y) =>
      tf.imag(tf.mul(tf.spectral.fft(tf.complex(vector(x), vector(y))), tf.complex(vector(y), vector(x)))),
  },
  {
    name: 'rfft',
    eagerFails: true,
    run: (x) => tf.abs(tf.spectral.rfft(tf.add(vector(x), tf.tensor1d([3, 1, 0, 0, 0, 0])))),
  },
];

const IMAGES: readonly Op[] = [
  {
    name: 'conv1d',
    run: (x, y, draw) =>
      tf.conv1d(fill(x, [1, 6, 2]) as tf.Tensor3D, fill(y, [3, 2, 2]) as tf.Tensor3D, 1, padding(draw)),
  },
  {
    name: 'conv2d',
    run: (x, y, draw) =>
      tf.conv2d(image(x), fill(y, [2, 3, 2, 2]) as tf.Tensor4D, strides(draw), padding(draw)),
  },
  {
    name: 'dilated conv2d',
    eagerFails: true,
    run: (x, y, draw) =>
      tf.conv2d(image(x), fill(y, [2, 2, 2, 1]) as tf.Tensor4D, 1, padding(draw), 'NHWC', [1, 2]),
  },
  {
    name: 'conv2dTranspose',
    eagerFails: true,
    run: (x, y) =>
      tf.conv2dTranspose(
        fill(x, [1, 2, 2, 2]) as tf.Tensor4D,
        fill(y, [3, 3, 1, 2]) as tf.Tensor4D,
        [1, 4, 4, 1],
        2,
        'same',
      ),
  },
  {
    name: 'conv3d',
    run: (x, y, draw) => tf.conv3d(volume(x), fill(y, [2, 2, 2, 2, 1]) as tf.Tensor5D, 1, padding(draw)),
    eagerFails: true,
  },
  {
    name: 'depthwiseConv2d',
    run: (x, y, draw) =>
      tf.depthwiseConv2d(image(x), fill(y, [2, 2, 2, 2]) as tf.Tensor4D, 1 + draw(2), padding(draw)),
  },
  {
    name: 'separableConv2d',
    run: (x, y) =>
      tf.separableConv2d(
        image(x),
        fill(y, [2, 2, 2, 1]) as tf.Tensor4D,
        fill(x, [1, 1, 2, 3]) as tf.Tensor4D,
        1,
        'same',
      ),
  },
  {
    name: 'dilation2d',
    eagerFails: true,
    run: (x, y, draw) => tf.dilation2d(image(x), fill(y, [2, 2, 2]) as tf.Tensor3D, 1, padding(draw)),
  },
  {
    name: 'avgPool',
    eagerFails: true,
    run: (x, _, draw) => tf.avgPool(image(x), 2, 1 + draw(2), padding(draw)),
  },
  { name: 'maxPool', run: (x, _, draw) => tf.maxPool(image(x), [2, 3], 1 + draw(2), padding(draw)) },
  { name: 'avgPool3d', eagerFails: true, run: (x, _, draw) => tf.avgPool3d(volume(x), 2, 1, padding(draw)) },
  { name: 'maxPool3d', eagerFails: true, run: (x, _, draw) => tf.maxPool3d(volume(x), 2, 1, padding(draw)) },
  {
    name: 'batchNorm',
    run: (x, y) =>
      tf.batchNorm(
        image(x),
        fill(y, [2]) as tf.Tensor1D,
        between(fill(x, [2]), 0.5, 2) as tf.Tensor1D,
        fill(y, [2]) as tf.Tensor1D,
        fill(x, [2]) as tf.Tensor1D,
      ),
  },
  {
    name: 'localResponseNormalization',
    run: (x, _, draw) =>
      tf.localResponseNormalization(fill(x, [1, 2, 2, 4]) as tf.Tensor4D, 1 + draw(2), 1, 0.5, 0.7),
  },
  {
    name: 'resizeBilinear',
    run: (x, _, draw) => tf.image.resizeBilinear(image(x), [3 + draw(4), 7], draw(2) === 1),
    eagerFails: true,
  },
  {
    name: 'resizeNearestNeighbor',
    run: (x, _, draw) => tf.image.resizeNearestNeighbor(image(x), [3 + draw(4), 7]),
    eagerFails: true,
  },
  { name: 'flipLeftRight', eagerFails: true, run: (x) => tf.image.flipLeftRight(image(x)) },
  {
    name: 'fused.conv2d',
    run: (x, y) =>
      tf.fused.conv2d({
        x: image(x),
        filter: fill(y, [2, 2, 2, 2]) as tf.Tensor4D,
        strides: 1,
        pad: 'same',
        bias: fill(x, [2]),
        activation: 'relu',
      }),
  },
];

const FAMILIES = [ELEMENTWISE, BINARY, REDUCTIONS, STRUCTURE, PRODUCTS, IMAGES];

/** Every op that a random function may be made of, by name. */
export const OPS: readonly Op[] = FAMILIES.flat();

export interface RandomFunction {
  /** The names of its ops, in order. */
  readonly ops: readonly string[];
  /** Whether tfjs has the right gradient for all of them. */
  readonly eager: boolean;
  /** Of x [3, 4], y [2, 3, 2], z [5]: a scalar. */
  readonly f: (x: tf.Tensor, y: tf.Tensor, z: tf.Tensor) => tf.Scalar;
}

export const SHAPES: readonly number[][] = [[3, 4], [2, 3, 2], [5]];

/** Function number `index`: op number index of the list among its ops, the others at random, so that few functions cover them all. */
export function randomFunction(index: number): RandomFunction {
  const next = generator(7919 * index + 13);
  const draw: Draw = (below) => Math.floor(next() * below);
  const length = 2 + draw(5);
  const place = draw(length);
  const steps = Array.from({ length }, (_, i) => {
    const family = FAMILIES[draw(FAMILIES.length)];
    const op = i === place ? OPS[index % OPS.length] : family[draw(family.length)];
    return { op, x: draw(3), y: draw(5), seed: draw(2 ** 20) };
  });
  return {
    ops: steps.map(({ op }) => op.name),
    eager: steps.every(({ op }) => !op.eagerFails),
    f: (...inputs) => {
      const values: tf.Tensor[] = [...inputs];
      for (const { op, x, y, seed } of steps) {
        const local = generator(seed);
        const pick = (back: number) => values[Math.max(0, values.length - 1 - back)];
        const result = op.run(pick(x), pick(y), (below) => Math.floor(local() * below));
        // Kept in range, and small enough for many of them.
        const flat = tf.tanh(tf.mul(result, 0.7));
        values.push(flat.size > 60 || flat.rank > 4 ? fill(flat, [4, 5]) : flat);
      }
      const weighted = values.map((value) => {
        const weights = tf.cos(tf.add(tf.range(0, value.size), 0.5));
        return tf.mean(tf.mul(tf.reshape(value, [-1]), weights));
      });
      // Products with the inputs make second derivatives between them.
      return tf.addN([...weighted, tf.mul(weighted[0], weighted.at(-1) as tf.Tensor)]) as tf.Scalar;
    },
  };
}
