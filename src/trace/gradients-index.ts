/**
 * Gradients of kernels that fetch and put values by index, for which tfjs 4.22 has none (gatherND, scatterND, tensorScatterUpdate,
 * sparseToDense, bincount, topk), or one that fails in a trace (unsortedSegmentSum).
 */
import * as tf from '@tensorflow/tfjs';
import { sizeOf } from '../graph/graph.js';

type Gradient = tf.GradConfig;

const zeroLike = (x: tf.Tensor): tf.Tensor => tf.zeros(x.shape, 'float32');

const gatherNd = (x: tf.Tensor, indices: tf.Tensor) => tf.gatherND(x, indices);
const scatterNd = (indices: tf.Tensor, updates: tf.Tensor, shape: readonly number[]) =>
  tf.scatterND(indices as tf.Tensor2D, updates, shape.slice() as [number]);

/** Indices as [..., sliceRank]: a vector of them, which the scatters take for rank 1, gets its axis. */
const withSliceAxis = (indices: tf.Tensor): tf.Tensor =>
  indices.rank === 1 ? tf.expandDims(indices, 1) : indices;

/**
 * For a scatter that overwrites: 1 for each update that is still there in the result, 0 for those that a later one to the same place
 * replaced. [count]
 */
function survivors(indices: tf.Tensor, shape: readonly number[]): tf.Tensor {
  const at = withSliceAxis(indices);
  const outer = shape.slice(0, at.shape.at(-1));
  const numbers = tf.range(1, sizeOf(at.shape.slice(0, -1)) + 1, 1, 'int32');
  const flat = tf.reshape(at, [numbers.size, at.shape.at(-1)!]);
  const winners = tf.tensorScatterUpdate(tf.zeros(outer, 'int32'), flat as tf.Tensor2D, numbers);
  return tf.cast(tf.equal(gatherNd(winners, flat), numbers), 'float32');
}

/** dy where an overwriting scatter left the target as it was, 0 elsewhere. */
function untouched(dy: tf.Tensor, indices: tf.Tensor): tf.Tensor {
  const at = withSliceAxis(indices);
  const rank = at.shape.at(-1)!;
  const count = sizeOf(at.shape.slice(0, -1));
  const flat = tf.reshape(at, [count, rank]);
  const hit = scatterNd(flat, tf.ones([count]), dy.shape.slice(0, rank));
  const kept = tf.cast(tf.equal(hit, 0), 'float32');
  return tf.mul(dy, tf.reshape(kept, [...dy.shape.slice(0, rank), ...dy.shape.slice(rank).fill(1)]));
}

/** dy at the updates that are still there, in the shape of the updates. */
function toUpdates(dy: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor): tf.Tensor {
  const at = withSliceAxis(indices);
  const fetched = gatherNd(dy, at);
  const kept = survivors(indices, dy.shape);
  const outer = at.shape.slice(0, -1);
  const mask = tf.reshape(kept, [...outer, ...fetched.shape.slice(outer.length).fill(1)]);
  const masked = tf.mul(fetched, mask);
  // A scalar update went to every index.
  return updates.rank === 0 ? tf.sum(masked) : tf.reshape(masked, updates.shape);
}

/** dy for the elements of x that were counted; 0 for those outside the table. `first` is added to each. */
function toWeights(dy: tf.Tensor, x: tf.Tensor, weights: tf.Tensor, size: number): tf.Tensor {
  if (weights.size === 0) return zeroLike(weights);
  const inside = tf.logicalAnd(tf.greaterEqual(x, 0), tf.less(x, size));
  const safe = tf.where(inside, x, tf.zerosLike(x));
  const fetched = dy.rank === 2 ? tf.gather(dy, safe, 1, 1) : tf.gather(dy, safe);
  return tf.reshape(tf.mul(fetched, tf.cast(inside, 'float32')), weights.shape);
}

/** Gradients that tfjs lacks. Indices and counts get zeros: they are piecewise constant. */
export const INDEX_GRADIENTS: readonly Gradient[] = [
  {
    kernelName: 'GatherNd',
    inputsToSave: ['params', 'indices'],
    gradFunc: (dy, saved) => {
      const [params, indices] = saved as [tf.Tensor, tf.Tensor];
      // A vector of indices is one index here.
      const at = indices.rank === 1 ? tf.reshape(indices, [1, indices.size]) : indices;
      const shape = [...at.shape.slice(0, -1), ...params.shape.slice(at.shape.at(-1))];
      return {
        params: () => scatterNd(at, tf.reshape(dy as tf.Tensor, shape), params.shape),
        indices: () => zeroLike(indices),
      };
    },
  },
  {
    kernelName: 'ScatterNd',
    inputsToSave: ['indices', 'updates'],
    gradFunc: (dy, saved) => {
      const [indices, updates] = saved as [tf.Tensor, tf.Tensor];
      return {
        updates: () => tf.reshape(gatherNd(dy as tf.Tensor, withSliceAxis(indices)), updates.shape),
        indices: () => zeroLike(indices),
      };
    },
  },
  {
    kernelName: 'TensorScatterUpdate',
    inputsToSave: ['indices', 'updates'],
    gradFunc: (dy, saved) => {
      const [indices, updates] = saved as [tf.Tensor, tf.Tensor];
      return {
        tensor: () => untouched(dy as tf.Tensor, indices),
        updates: () => toUpdates(dy as tf.Tensor, indices, updates),
        indices: () => zeroLike(indices),
      };
    },
  },
  {
    kernelName: 'SparseToDense',
    inputsToSave: ['sparseIndices', 'sparseValues', 'defaultValue'],
    gradFunc: (dy, saved) => {
      const [indices, values, base] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const at = indices.rank === 0 ? tf.reshape(indices, [1]) : indices;
      return {
        sparseValues: () => toUpdates(dy as tf.Tensor, at, values),
        defaultValue: () => tf.reshape(tf.sum(untouched(dy as tf.Tensor, at)), base.shape),
        sparseIndices: () => zeroLike(indices),
      };
    },
  },
  ...['Bincount', 'DenseBincount'].map(
    (kernelName): Gradient => ({
      kernelName,
      inputsToSave: ['x', 'weights'],
      gradFunc: (dy, saved, attributes) => {
        const [x, weights] = saved as [tf.Tensor, tf.Tensor];
        const { size, binaryOutput } = attributes as unknown as { size: number; binaryOutput?: boolean };
        const zero = binaryOutput === true && x.rank === 2;
        return {
          weights: () => (zero ? zeroLike(weights) : toWeights(dy as tf.Tensor, x, weights, size)),
          x: () => zeroLike(x),
        };
      },
    }),
  ),
  ...['SparseSegmentSum', 'SparseSegmentMean'].map(
    (kernelName): Gradient => ({
      kernelName,
      inputsToSave: ['data', 'indices', 'segmentIds'],
      gradFunc: (dy, saved) => {
        const [data, indices, ids] = saved as [tf.Tensor, tf.Tensor1D, tf.Tensor1D];
        return {
          data: () => {
            const upstream = dy as tf.Tensor;
            const rows = tf.gather(upstream, ids);
            if (kernelName === 'SparseSegmentSum') {
              return tf.unsortedSegmentSum(rows, indices, data.shape[0]!);
            }
            const counts = tf.unsortedSegmentSum(tf.ones([ids.size]), ids, upstream.shape[0]!);
            const shares = tf.reshape(tf.gather(counts, ids), [ids.size, ...rows.shape.slice(1).fill(1)]);
            return tf.unsortedSegmentSum(tf.div(rows, shares), indices, data.shape[0]!);
          },
          indices: () => zeroLike(indices),
          segmentIds: () => zeroLike(ids),
        };
      },
    }),
  ),
  {
    // Every value goes back to where it was taken from.
    kernelName: 'TopK',
    inputsToSave: ['x'],
    outputsToSave: [false, true],
    gradFunc: (dys, saved) => {
      const [x, indices] = saved as [tf.Tensor, tf.Tensor];
      const [dy] = dys as tf.Tensor[];
      const n = x.shape.at(-1)!;
      const rows = n === 0 ? 0 : x.size / n;
      return {
        x: () => {
          const first = tf.mul(tf.reshape(tf.range(0, rows, 1, 'int32'), [rows, 1]), tf.scalar(n, 'int32'));
          const at = tf.add(tf.reshape(indices, [rows, indices.shape.at(-1)!]), first);
          const sums = tf.unsortedSegmentSum(
            tf.reshape(dy!, [dy!.size]),
            tf.reshape(at, [at.size]) as tf.Tensor1D,
            x.size,
          );
          return tf.reshape(sums, x.shape);
        },
      };
    },
  },
  {
    kernelName: 'SearchSorted',
    inputsToSave: ['sortedSequence', 'values'],
    gradFunc: (_, saved) => {
      const [sequence, values] = saved as [tf.Tensor, tf.Tensor];
      return { sortedSequence: () => zeroLike(sequence), values: () => zeroLike(values) };
    },
  },
];

/**
 * unsortedSegmentSum: every row gets the gradient of its segment, and 0 where its id is in none. tfjs's own rule knows ids of rank 1
 * only, and fetches outside the table for ids past its end.
 */
export const unsortedSegmentSum = (original: Gradient): Gradient => ({
  ...original,
  gradFunc: (dy, saved, attributes) => {
    const [ids] = saved as [tf.Tensor];
    const { numSegments } = attributes as unknown as { numSegments: number };
    return {
      x: () => {
        const inside = tf.logicalAnd(tf.greaterEqual(ids, 0), tf.less(ids, numSegments));
        const rows = tf.gather(dy as tf.Tensor, tf.where(inside, ids, tf.zerosLike(ids)));
        const mask = tf.reshape(inside, [...ids.shape, ...rows.shape.slice(ids.rank).fill(1)]);
        return tf.where(tf.broadcastTo(mask, rows.shape), rows, tf.zerosLike(rows));
      },
      segmentIds: () => zeroLike(ids),
    };
  },
});
