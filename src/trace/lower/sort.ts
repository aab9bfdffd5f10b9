/** Kernels that need an order: topk and searches in sorted sequences. */
import type { Emitter } from '../emitter.js';
import type { Lowering, LoweringTable } from './lowering.js';

/**
 * The k largest along the last axis and where they stand, the lower index first among equals. NaN comes last (tfjs's own order
 * of NaN follows from its sort and means nothing). Unsorted and complete, the order is that of x, as in tfjs.
 */
const topK: Lowering = (e, { x }, { k, sorted }) => {
  const shape = e.shape(x);
  const n = shape.at(-1)!;
  const size = [...shape.slice(0, -1), k];
  if (k === n && !sorted) return [x, e.broadcastTo(e.iota(n), size)];
  const order = e.add({ name: 'argSort', descending: true }, [e.numeric(x)]);
  const indices = e.slice(
    order,
    shape.map(() => 0),
    size,
  );
  const axis = shape.length - 1;
  return [e.add({ name: 'gather', axis, batchDims: axis }, [x, indices]), indices];
};

/**
 * How many of each row of `sequence` [rows, n] come before each of `values` [rows, m]: less than it (left), or less or equal. A
 * binary search, all of them at once, unrolled to floor(log2 n) + 1 rounds; it looks at the same elements as tfjs, so that
 * sequences that are not sorted give the same numbers too.
 */
function search(e: Emitter, sequence: number, values: number, side: 'left' | 'right'): number {
  const [keys, wanted] = e.widen([e.numeric(sequence), e.numeric(values)]) as [number, number];
  const n = e.shape(keys)[1]!;
  const shape = e.shape(wanted);
  let left = e.splat(0, shape, 'int32');
  let right = e.splat(n, shape, 'int32');
  for (let span = n; span > 0; span = Math.floor(span / 2)) {
    const open = e.binary('less', left, right);
    const middle = e.binary('floorDiv', e.binary('add', left, right), e.scalar(2, 'int32'));
    const probe = e.add({ name: 'gather', axis: 1, batchDims: 1 }, [keys, middle]);
    const before = e.binary(side === 'left' ? 'less' : 'lessEqual', probe, wanted);
    const after = e.unary('logicalNot', before);
    const next = e.binary('add', middle, e.scalar(1, 'int32'));
    left = e.select(e.binary('logicalAnd', open, before), next, left);
    right = e.select(e.binary('logicalAnd', open, after), middle, right);
  }
  return right;
}

export const SORT: LoweringTable = {
  TopK: topK,
  SearchSorted: (e, { sortedSequence, values }, { side }) => search(e, sortedSequence, values, side),
  LowerBound: (e, { sortedSequence, values }) => search(e, sortedSequence, values, 'left'),
  UpperBound: (e, { sortedSequence, values }) => search(e, sortedSequence, values, 'right'),
};
