/** Kernels that take tensors apart into blocks and put them together otherwise, and bands of matrices. */
import * as tf from '@tensorflow/tfjs';
import { UnsupportedOpError } from '../../errors.js';
import type { Shape } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import { constantValues } from './constants.js';
import type { Lowering, LoweringTable } from './lowering.js';

/** Reshape, transpose, reshape: how both directions between batch and space work. */
function regroup(e: Emitter, x: number, blockShape: readonly number[], toSpace: boolean): number {
  const shape = e.shape(x).slice();
  const blocks = blockShape.slice();
  const product = blocks.reduce((a, b) => a * b, 1);
  const apart = tf.backend_util.getReshaped(shape, blocks, product, toSpace);
  const perm = tf.backend_util.getPermuted(apart.length, blocks.length, toSpace);
  const together = tf.backend_util.getReshapedPermuted(shape, blocks, product, toSpace);
  return e.reshape(e.transpose(e.reshape(x, apart), perm), together);
}

const spaceToBatch: Lowering = (e, { x }, { blockShape, paddings }) => {
  const all = e.shape(x).map((_, i): [number, number] => {
    const pair = paddings[i - 1];
    return i > 0 && pair ? [pair[0], pair[1]] : [0, 0];
  });
  return regroup(e, e.pad(x, all, 0), blockShape, false);
};

const batchToSpace: Lowering = (e, { x }, { blockShape, crops }) => {
  const whole = regroup(e, x, blockShape, true);
  const begin = tf.backend_util.getSliceBeginCoords(crops, blockShape.length);
  const size = tf.backend_util.getSliceSize(e.shape(whole).slice(), crops, blockShape.length);
  return e.slice(
    whole,
    e.shape(whole).map((_, i) => begin[i] ?? 0),
    e.shape(whole).map((d, i) => size[i] ?? d),
  );
};

const depthToSpace: Lowering = (e, { x }, { blockSize, dataFormat }) => {
  const [batch, b] = [e.shape(x)[0]!, blockSize];
  const blocks = b * b;
  if (dataFormat === 'NCHW') {
    const [, depth, height, width] = e.shape(x) as [number, number, number, number];
    const parts: Shape = [batch, b, b, depth / blocks, height, width];
    const moved = e.transpose(e.reshape(x, parts), [0, 3, 4, 1, 5, 2]);
    return e.reshape(moved, [batch, depth / blocks, height * b, width * b]);
  }
  const [, height, width, depth] = e.shape(x) as [number, number, number, number];
  const parts: Shape = [batch, height, width, b, b, depth / blocks];
  const moved = e.transpose(e.reshape(x, parts), [0, 1, 3, 2, 4, 5]);
  return e.reshape(moved, [batch, height * b, width * b, depth / blocks]);
};

/** Elements with -numUpper <= row - column <= numLower; a negative number means all on that side. */
const bandPart: Lowering = (e, { input, numLower, numUpper }) => {
  const [rows, columns] = e.shape(input).slice(-2) as [number, number];
  const distance = e.binary(
    'sub',
    e.reshape(e.iota(rows), [rows, 1]),
    e.reshape(e.iota(columns), [1, columns]),
  );
  const within = (limit: number, offset: number): number => {
    const most = e.cast(e.reshape(limit, []), 'int32');
    const all = e.binary('less', most, e.scalar(0, 'int32'));
    return e.binary('logicalOr', all, e.binary('lessEqual', offset, most));
  };
  const inBand = e.binary(
    'logicalAnd',
    within(numLower, distance),
    within(numUpper, e.unary('neg', distance)),
  );
  return e.select(inBand, input, e.scalar(0, e.dtype(input)));
};

/** The shape that two shapes broadcast to, where both are known while tracing (every shape of a traced tensor is). */
const broadcastArgs: Lowering = (e, { s0, s1 }) => {
  const [a, b] = [s0, s1].map((s) => constantValues(e, s));
  if (!a || !b) {
    throw new UnsupportedOpError(
      'broadcastArgs',
      'broadcastArgs: shapes are static in a trace; compute them in plain TypeScript, from tensor.shape',
    );
  }
  const shape = tf.backend_util.assertAndGetBroadcastShape(Array.from(a), Array.from(b));
  return e.constant(shape, [shape.length], 'int32');
};

export const BLOCKS: LoweringTable = {
  SpaceToBatchND: spaceToBatch,
  BatchToSpaceND: batchToSpace,
  DepthToSpace: depthToSpace,
  MatrixBandPart: bandPart,
  BroadcastArgs: broadcastArgs,
};
