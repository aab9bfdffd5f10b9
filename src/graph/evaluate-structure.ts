/** Reference evaluation of the ops that only move elements. */
import type { Value } from './evaluate-value.js';
import { broadcastStrides, emptyArray, rowMajorStrides, stridedPositions, take } from './evaluate-value.js';
import type { GraphNode, Op } from './graph.js';
import { sizeOf } from './graph.js';

function evaluateConcat(node: GraphNode, axis: number, inputs: readonly Value[]): Value {
  const values = emptyArray(node.dtype, sizeOf(node.shape));
  const rowOf = (x: Value) => sizeOf(x.shape.slice(axis));
  const total = sizeOf(node.shape.slice(axis));
  let start = 0;
  for (const x of inputs) {
    const row = rowOf(x);
    for (let i = 0; i < x.values.length; i++)
      values[Math.floor(i / row) * total + start + (i % row)] = x.values[i];
    start += row;
  }
  return { shape: node.shape, dtype: node.dtype, values };
}

function evaluatePad(node: GraphNode, op: Extract<Op, { name: 'pad' }>, x: Value): Value {
  const values = emptyArray(node.dtype, sizeOf(node.shape)).fill(op.value);
  const strides = rowMajorStrides(node.shape);
  const offset = op.paddings.reduce((sum, [before], axis) => sum + before * strides[axis], 0);
  const positions = stridedPositions(x.shape, strides, offset);
  for (let i = 0; i < positions.length; i++) values[positions[i]] = x.values[i];
  return { shape: node.shape, dtype: node.dtype, values };
}

/** x seen as [batch, outer, n, inner], indices as [batch, m]: out[b, o, j, i] = x[b, o, indices[b, j], i]. */
function evaluateGather(
  node: GraphNode,
  op: Extract<Op, { name: 'gather' }>,
  x: Value,
  indices: Value,
): Value {
  const n = x.shape[op.axis];
  const batch = sizeOf(x.shape.slice(0, op.batchDims));
  const outer = sizeOf(x.shape.slice(op.batchDims, op.axis));
  const inner = sizeOf(x.shape.slice(op.axis + 1));
  const m = sizeOf(indices.shape.slice(op.batchDims));
  const outside = node.dtype === 'float32' ? Number.NaN : 0;
  const values = emptyArray(node.dtype, batch * outer * m * inner);
  let out = 0;
  for (let b = 0; b < batch; b++) {
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < m; j++) {
        const index = indices.values[b * m + j];
        const start = ((b * outer + o) * n + index) * inner;
        const inside = index >= 0 && index < n;
        for (let i = 0; i < inner; i++) values[out++] = inside ? x.values[start + i] : outside;
      }
    }
  }
  return { shape: node.shape, dtype: node.dtype, values };
}

/** Evaluates reshape, transpose, slice, broadcastTo, concat, pad and gather; undefined for any other op. */
export function evaluateStructure(node: GraphNode, inputs: readonly Value[]): Value | undefined {
  const { op, shape } = node;
  const x = inputs[0];
  switch (op.name) {
    case 'reshape':
      return { shape, dtype: node.dtype, values: x.values };
    case 'transpose': {
      const strides = rowMajorStrides(x.shape);
      return take(
        x,
        shape,
        stridedPositions(
          shape,
          op.perm.map((axis) => strides[axis]),
        ),
      );
    }
    case 'slice': {
      const own = rowMajorStrides(x.shape);
      const offset = op.begin.reduce((sum, begin, axis) => sum + begin * own[axis], 0);
      return take(
        x,
        shape,
        stridedPositions(
          shape,
          op.strides.map((s, axis) => s * own[axis]),
          offset,
        ),
      );
    }
    case 'broadcastTo':
      return take(x, shape, stridedPositions(shape, broadcastStrides(x.shape, shape)));
    case 'concat':
      return evaluateConcat(node, op.axis, inputs);
    case 'pad':
      return evaluatePad(node, op, x);
    case 'gather':
      return evaluateGather(node, op, x, inputs[1]);
    default:
      return undefined;
  }
}
