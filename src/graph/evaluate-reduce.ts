/** Reference arithmetic of products, reductions and running sums: float64 accumulators, rounded once at the end. */
import type { Value } from './evaluate-value.js';
import { broadcastStrides, emptyArray, rowMajorStrides, stridedPositions } from './evaluate-value.js';
import type { GraphNode, Op, ReduceOp, Shape } from './graph.js';
import { sizeOf } from './graph.js';

const INT_MIN = -(2 ** 31);
const INT_MAX = 2 ** 31 - 1;

/** What a reduction of no elements gives, by op. */
export function reduceIdentity(name: ReduceOp, integer: boolean): number {
  switch (name) {
    case 'sum':
    case 'any':
      return 0;
    case 'prod':
    case 'all':
      return 1;
    case 'max':
      return integer ? INT_MIN : Number.NEGATIVE_INFINITY;
    case 'min':
      return integer ? INT_MAX : Number.POSITIVE_INFINITY;
  }
}

function combine(name: ReduceOp, integer: boolean): (a: number, b: number) => number {
  switch (name) {
    case 'sum':
      return integer ? (a, b) => (a + b) | 0 : (a, b) => a + b;
    case 'prod':
      return integer ? Math.imul : (a, b) => a * b;
    case 'max':
      return Math.max;
    case 'min':
      return Math.min;
    case 'all':
      return (a, b) => a & b;
    case 'any':
      return (a, b) => a | b;
  }
}

/** Positions of the kept axes, and offsets over the reduced ones. */
function split(shape: Shape, axes: readonly number[]): { kept: Int32Array; reduced: Int32Array } {
  const strides = rowMajorStrides(shape);
  const keep = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const pick = (which: readonly number[]) =>
    stridedPositions(
      which.map((axis) => shape[axis]),
      which.map((axis) => strides[axis]),
    );
  return { kept: pick(keep), reduced: pick(axes) };
}

export function evaluateReduce(node: GraphNode, name: ReduceOp, axes: readonly number[], x: Value): Value {
  const integer = x.dtype !== 'float32';
  const { kept, reduced } = split(x.shape, axes);
  const f = combine(name, integer);
  const values = emptyArray(node.dtype, kept.length);
  for (let i = 0; i < kept.length; i++) {
    // From the first element on, not from the identity: a sum of one -0 is -0, hence a reduction of one element is a reshape.
    let total = reduced.length > 0 ? x.values[kept[i] + reduced[0]] : reduceIdentity(name, integer);
    for (let j = 1; j < reduced.length; j++) total = f(total, x.values[kept[i] + reduced[j]]);
    values[i] = total;
  }
  return { shape: node.shape, dtype: node.dtype, values };
}

/** First index of the extreme value; as in tfjs a NaN is never better than what stands before it, nor is it ever beaten. */
export function evaluateArgReduce(node: GraphNode, name: 'argMax' | 'argMin', axis: number, x: Value): Value {
  const { kept, reduced } = split(x.shape, [axis]);
  const values = new Int32Array(kept.length);
  for (let i = 0; i < kept.length; i++) {
    let best = 0;
    for (let j = 1; j < reduced.length; j++) {
      const candidate = x.values[kept[i] + reduced[j]];
      const holder = x.values[kept[i] + reduced[best]];
      if (name === 'argMax' ? candidate > holder : candidate < holder) best = j;
    }
    values[i] = best;
  }
  return { shape: node.shape, dtype: 'int32', values };
}

export function evaluateMatMul(
  node: GraphNode,
  op: Extract<Op, { name: 'matMul' }>,
  a: Value,
  b: Value,
): Value {
  const batch = node.shape.slice(0, -2);
  const [m, n] = node.shape.slice(-2) as [number, number];
  const k = a.shape.at(op.transposeA ? -2 : -1)!;
  const [aRow, aInner] = op.transposeA ? [1, m] : [k, 1];
  const [bInner, bColumn] = op.transposeB ? [1, k] : [n, 1];
  const blocks = (x: Value, size: number) =>
    stridedPositions(
      batch,
      broadcastStrides(x.shape.slice(0, -2), batch).map((s) => s * size),
    );
  const aBlocks = blocks(a, m * k);
  const bBlocks = blocks(b, k * n);
  const values = new Float32Array(sizeOf(node.shape));
  let out = 0;
  for (let block = 0; block < aBlocks.length; block++) {
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        const aStart = aBlocks[block] + row * aRow;
        const bStart = bBlocks[block] + column * bColumn;
        for (let i = 0; i < k; i++) sum += a.values[aStart + i * aInner] * b.values[bStart + i * bInner];
        values[out++] = sum;
      }
    }
  }
  return { shape: node.shape, dtype: 'float32', values };
}

export function evaluateSegmentSum(node: GraphNode, segments: number, x: Value, ids: Value): Value {
  const inner = sizeOf(x.shape.slice(1));
  const totals = new Float64Array(segments * inner);
  for (let row = 0; row < ids.values.length; row++) {
    const segment = ids.values[row];
    if (segment < 0 || segment >= segments) continue;
    for (let i = 0; i < inner; i++) totals[segment * inner + i] += x.values[row * inner + i];
  }
  const values = emptyArray(node.dtype, totals.length);
  for (let i = 0; i < totals.length; i++) values[i] = totals[i];
  return { shape: node.shape, dtype: node.dtype, values };
}

export function evaluateCumsum(node: GraphNode, op: Extract<Op, { name: 'cumsum' }>, x: Value): Value {
  const { kept, reduced } = split(x.shape, [op.axis]);
  const values = emptyArray(node.dtype, x.values.length);
  const order = op.reverse ? [...reduced].reverse() : [...reduced];
  for (const start of kept) {
    let total = 0;
    for (const offset of order) {
      const before = total;
      total += x.values[start + offset];
      values[start + offset] = op.exclusive ? before : total;
    }
  }
  return { shape: node.shape, dtype: node.dtype, values };
}
