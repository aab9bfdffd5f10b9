/**
 * Gradients of tfjs 4.22 that fail, are wrong, or grow with the size of the tensors, written anew for traces.
 *
 * - cumsum transposes its result for an axis that is not the last: it fails, or is wrong for square shapes.
 * - maximum, minimum and squaredDifference are not summed over broadcast axes: they fail.
 * - tile (which broadcastTo is) makes one slice and one addition for every copy, and fails above rank 4.
 * - split and unstack into one piece fail.
 * - gather with batchDims 1 makes a handful of ops for every batch element; more batch dims fail.
 */
import * as tf from '@tensorflow/tfjs';
import { sizeOf } from '../graph/graph.js';
import { unsortedSegmentSum } from './gradients-index.js';
import { complexAbs } from './gradients-structure.js';

type Gradient = tf.GradConfig;
type GradientInputs = Record<string, () => tf.Tensor>;

/** Sums a gradient over the axes that its input was stretched along. */
function sumTo(gradient: tf.Tensor, shape: readonly number[]): tf.Tensor {
  const offset = gradient.rank - shape.length;
  const axes = gradient.shape
    .map((_, i) => i)
    .filter((i) => i < offset || shape[i - offset] !== gradient.shape[i]);
  const summed = axes.length > 0 ? tf.sum(gradient, axes) : gradient;
  return tf.reshape(summed, shape.slice());
}

/** tfjs's own rule, with the sums over broadcast axes that it leaves out. */
const summedOverBroadcast = (original: Gradient): Gradient => ({
  ...original,
  gradFunc: (dy, saved, attributes) => {
    const inputs = original.gradFunc(dy, saved, attributes) as GradientInputs;
    const [a, b] = saved as tf.Tensor[];
    return { a: () => sumTo(inputs.a(), a.shape), b: () => sumTo(inputs.b(), b.shape) };
  },
});

/** One sum over the copies of each axis, in place of a slice and an addition for every copy. */
const tile = (original: Gradient): Gradient => ({
  ...original,
  gradFunc: (dy, saved, attributes) => {
    const { shape } = (saved as tf.Tensor[])[0];
    const { reps } = attributes as unknown as { reps: number[] };
    const stretched = shape.map((_, i) => i).filter((i) => shape[i] === 1 && reps[i] !== 1);
    return {
      x: () => {
        let g = stretched.length > 0 ? tf.sum(dy as tf.Tensor, stretched, true) : (dy as tf.Tensor);
        reps.forEach((rep, axis) => {
          if (rep === 1 || shape[axis] === 1) return;
          const outer = sizeOf(shape.slice(0, axis));
          const copies = tf.reshape(g, [outer, rep, shape[axis] * sizeOf(g.shape.slice(axis + 1))]);
          g = tf.reshape(tf.sum(copies, 1), [...shape.slice(0, axis + 1), ...g.shape.slice(axis + 1)]);
        });
        return g;
      },
    };
  },
});

/**
 * With batch dims up to the axis: one segment sum over rows numbered through all batches, in place of one for each batch element
 * (and of a failure for more than one batch dim). An index out of range takes part in nothing.
 */
const gather = (original: Gradient): Gradient => ({
  ...original,
  gradFunc: (dy, saved, attributes): GradientInputs => {
    const [x, indices] = saved as tf.Tensor[];
    const { axis, batchDims } = attributes as unknown as { axis: number; batchDims: number | null };
    const along = axis < 0 ? axis + x.rank : axis;
    const shared = (batchDims ?? 0) < 0 ? batchDims! + indices.rank : (batchDims ?? 0);
    // tfjs hands the indices on as their own gradient, which it then refuses for their dtype where they come from x (topk, argMax).
    const none = () => tf.zeros(indices.shape, 'float32');
    if (shared === 0 || shared !== along) {
      return { ...(original.gradFunc(dy, saved, attributes) as GradientInputs), indices: none };
    }
    const batch = sizeOf(x.shape.slice(0, shared));
    const rows = x.shape[along];
    return {
      x: () => {
        const ids = tf.reshape(indices, [batch, sizeOf(indices.shape.slice(shared))]);
        const inside = tf.logicalAnd(tf.greaterEqual(ids, 0), tf.less(ids, rows));
        const first = tf.mul(
          tf.reshape(tf.range(0, batch, 1, 'int32'), [batch, 1]),
          tf.scalar(rows, 'int32'),
        );
        const all = tf.where(inside, tf.add(ids, first), tf.scalar(-1, 'int32'));
        const values = tf.reshape(dy as tf.Tensor, [all.size, sizeOf(x.shape.slice(along + 1))]);
        const sums = tf.unsortedSegmentSum(values, tf.reshape(all, [all.size]) as tf.Tensor1D, batch * rows);
        return tf.reshape(sums, x.shape);
      },
      indices: none,
    };
  },
});

/** tfjs's own rule takes a list of gradients, and is given a bare one where there is one output. */
const ofList = (original: Gradient): Gradient => ({
  ...original,
  gradFunc: (dy, saved, attributes) => original.gradFunc([dy].flat(), saved, attributes),
});

/** Kernel name -> its gradient here, made from the one that is registered. */
export const REPLACED: Readonly<Record<string, (original: Gradient) => Gradient>> = {
  Tile: tile,
  GatherV2: gather,
  SplitV: ofList,
  Unpack: ofList,
  UnsortedSegmentSum: unsortedSegmentSum,
  ComplexAbs: complexAbs,
  Cumsum: (original) => ({
    ...original,
    gradFunc: (dy, _, attributes) => {
      const { axis, exclusive, reverse } = attributes as unknown as {
        axis: number;
        exclusive: boolean;
        reverse: boolean;
      };
      return { x: () => tf.cumsum(dy as tf.Tensor, axis, exclusive, !reverse) };
    },
  }),
  Maximum: summedOverBroadcast,
  Minimum: summedOverBroadcast,
  SquaredDifference: summedOverBroadcast,
};
