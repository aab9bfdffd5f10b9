/** The ops that move elements, in tfjs. */
import * as tf from '@tensorflow/tfjs';
import { type GraphNode, type Op, sizeOf } from '../graph/graph.js';
import {
  aligned,
  broadcast,
  concatenated,
  filled,
  fullShape,
  type OpContext,
  type Operand,
  reshaped,
  spread,
} from './operand.js';

type OpOf<N extends Op['name']> = Extract<Op, { name: N }>;

/** Transposition with runs of axes that stay together taken as one: backends are limited in rank. */
export function transpose(x: tf.Tensor, perm: readonly number[]): tf.Tensor {
  const runs: number[][] = [];
  for (const axis of perm) {
    const run = runs.at(-1);
    if (run && axis === (run.at(-1) as number) + 1) run.push(axis);
    else runs.push([axis]);
  }
  const sorted = [...runs].sort((p, q) => p[0] - q[0]);
  const extent = (run: readonly number[]) => run.reduce((n, axis) => n * x.shape[axis], 1);
  const collapsed = reshaped(x, sorted.map(extent));
  const moved = tf.transpose(
    collapsed,
    runs.map((run) => sorted.indexOf(run)),
  );
  return reshaped(
    moved,
    perm.map((axis) => x.shape[axis]),
  );
}

/** `x` with axis `from` in the place `to`; `x` itself when they are the same. */
export function moveAxis(x: tf.Tensor, from: number, to: number): tf.Tensor {
  if (from === to) return x;
  const others = x.shape.map((_, i) => i).filter((i) => i !== from);
  others.splice(to, 0, from);
  return transpose(x, others);
}

function slice(node: GraphNode, op: OpOf<'slice'>, x: Operand): tf.Tensor {
  const lead = x.varying ? 1 : 0;
  // Along each axis that is cut, the tensor is seen as [before, axis, after].
  let result = x.tensor;
  op.begin.forEach((begin, i) => {
    const axis = i + lead;
    const stride = op.strides[i];
    const size = node.shape[i];
    const extent = result.shape[axis];
    if (begin === 0 && size === extent && stride === 1) return;
    const before = sizeOf(result.shape.slice(0, axis));
    const after = sizeOf(result.shape.slice(axis + 1));
    const flat = reshaped(result, [before, extent, after]);
    const positions = Int32Array.from({ length: size }, (_, j) => begin + j * stride);
    const cut =
      stride === 1
        ? tf.slice(flat, [0, begin, 0], [before, size, after])
        : tf.gather(flat, tf.tensor1d(positions, 'int32'), 1);
    result = reshaped(cut, [...result.shape.slice(0, axis), size, ...result.shape.slice(axis + 1)]);
  });
  return result === x.tensor ? result.clone() : result;
}

function pad(node: GraphNode, op: OpOf<'pad'>, x: Operand, context: OpContext): tf.Tensor {
  const lead = x.varying ? 1 : 0;
  const { dtype } = node;
  if (sizeOf(x.node.shape) === 0)
    return filled(
      fullShape(node.shape, x.varying, context),
      dtype === 'bool' ? Number(op.value !== 0) : op.value,
      dtype,
    );
  let result = x.tensor;
  op.paddings.forEach(([before, after], i) => {
    if (before + after === 0) return;
    const { shape } = result;
    const axis = i + lead;
    const border = (n: number) =>
      filled([...shape.slice(0, axis), n, ...shape.slice(axis + 1)], op.value, dtype);
    const parts = [before > 0 ? [border(before)] : [], [result], after > 0 ? [border(after)] : []].flat();
    result = concatenated(parts, axis);
  });
  return result === x.tensor ? result.clone() : result;
}

function concat(
  node: GraphNode,
  op: OpOf<'concat'>,
  inputs: readonly Operand[],
  context: OpContext,
): tf.Tensor {
  const filledInputs = inputs.filter((x) => sizeOf(x.node.shape) > 0);
  const varying = inputs.some((x) => x.varying);
  const parts = filledInputs.map((x) => (varying ? spread(x, x.node.shape, context) : x.tensor));
  if (parts.length === 1) return parts[0].clone();
  return reshaped(
    concatenated(parts, varying ? op.axis + 1 : op.axis),
    fullShape(node.shape, varying, context),
  );
}

/** Indices clamped to [0, n), and where they were outside; `outside` undefined when none can be. */
function clamped(
  indices: tf.Tensor,
  node: GraphNode,
  n: number,
  context: OpContext,
): { safe: tf.Tensor; outside?: tf.Tensor } {
  const range = context.range(node);
  if (range && range.min >= 0 && range.max < n) return { safe: indices };
  const last = tf.scalar(n - 1, 'int32');
  const safe = tf.minimum(tf.maximum(indices, tf.scalar(0, 'int32')), last);
  return { safe, outside: tf.notEqual(safe, indices) };
}

/**
 * Everything as [batch, outer, n, inner] and [batch, m], where the particle axis is a batch axis unless only one side has it:
 * particle-wise x with common indices has it among the outer axes, a common x with particle-wise indices among the indices.
 */
function gather(
  node: GraphNode,
  op: OpOf<'gather'>,
  x: Operand,
  indices: Operand,
  context: OpContext,
): tf.Tensor {
  const { particles } = context;
  const shape = x.node.shape;
  const n = shape[op.axis];
  const varying = x.varying || indices.varying;
  const full = fullShape(node.shape, varying, context);
  const outsideValue = node.dtype === 'float32' ? Number.NaN : 0;
  if (n === 0) return filled(full, outsideValue, node.dtype);
  const batch = sizeOf(shape.slice(0, op.batchDims));
  const outer = sizeOf(shape.slice(op.batchDims, op.axis));
  const inner = sizeOf(shape.slice(op.axis + 1));
  const m = sizeOf(indices.node.shape.slice(op.batchDims));
  const chosen =
    batch > 1 && x.varying && !indices.varying
      ? broadcast(indices.tensor, [particles, ...indices.node.shape])
      : indices.tensor;
  const { safe, outside } = clamped(chosen, indices.node, n, context);
  // [.., outer, m, inner] with every other axis of 1, to mark what came from outside
  const mark = (y: tf.Tensor, maskShape: number[]) => {
    if (!outside) return y;
    const mask = reshaped(outside, maskShape);
    if (node.dtype === 'bool') return tf.logicalAnd(y, tf.logicalNot(mask));
    return tf.where(mask, tf.scalar(outsideValue, node.dtype as 'float32'), y);
  };
  if (batch === 1 && !indices.varying) {
    const rows = (x.varying ? particles : 1) * outer;
    const y = tf.gather(reshaped(x.tensor, [rows, n, inner]), reshaped(safe, [m]), 1);
    return reshaped(mark(y, [1, m, 1]), full);
  }
  if (batch === 1 && !x.varying) {
    const y = tf.gather(reshaped(x.tensor, [outer, n, inner]), reshaped(safe, [particles * m]), 1);
    const rows = reshaped(y, [outer, particles, m, inner]);
    const first = outer === 1 ? reshaped(rows, [particles, 1, m, inner]) : tf.transpose(rows, [1, 0, 2, 3]);
    return reshaped(mark(first, [particles, 1, m, 1]), full);
  }
  // Batched on both sides: position (b, index) of x seen as [b * n, ...].
  const batches = (varying ? particles : 1) * batch;
  const source = varying ? spread(x, shape, context) : x.tensor;
  const offsets = tf.mul(tf.range(0, batches, 1, 'int32'), tf.scalar(n, 'int32'));
  const flat = tf.add(reshaped(safe, [batches, m]), reshaped(offsets, [batches, 1]));
  const lifted =
    outer === 1 ? source : tf.transpose(reshaped(source, [batches, outer, n, inner]), [0, 2, 1, 3]);
  const y = tf.gather(reshaped(lifted, [batches * n, outer * inner]), reshaped(flat, [batches * m]), 0);
  const blocks = reshaped(y, [batches, m, outer, inner]);
  const ordered = outer === 1 ? reshaped(y, [batches, 1, m, inner]) : tf.transpose(blocks, [0, 2, 1, 3]);
  return reshaped(mark(ordered, [batches, 1, m, 1]), full);
}

/** Rows are scattered to segment + particle * (segments + 1); the extra segment takes what has no place. */
function segmentSum(
  node: GraphNode,
  op: OpOf<'segmentSum'>,
  x: Operand,
  ids: Operand,
  context: OpContext,
): tf.Tensor {
  const varying = x.varying || ids.varying;
  const full = fullShape(node.shape, varying, context);
  const [n, ...rest] = x.node.shape;
  if (n === 0) return filled(full, 0, node.dtype);
  const inner = sizeOf(rest);
  const segments = op.numSegments;
  const groups = varying ? context.particles : 1;
  const inside = tf.logicalAnd(
    tf.greaterEqual(ids.tensor, tf.scalar(0, 'int32')),
    tf.less(ids.tensor, tf.scalar(segments, 'int32')),
  );
  const place = tf.where(inside, ids.tensor, tf.scalar(segments, 'int32'));
  const offsets = tf.mul(tf.range(0, groups, 1, 'int32'), tf.scalar(segments + 1, 'int32'));
  const target = tf.add(reshaped(place, [ids.varying ? groups : 1, n]), reshaped(offsets, [groups, 1]));
  const rows = varying ? spread(x, x.node.shape, context) : x.tensor;
  const sums = tf.scatterND(reshaped(target, [groups * n, 1]), reshaped(rows, [groups * n, inner]), [
    groups * (segments + 1),
    inner,
  ]);
  const kept = tf.slice(reshaped(sums, [groups, segments + 1, inner]), [0, 0, 0], [groups, segments, inner]);
  return reshaped(kept, full);
}

/** Evaluates an op that moves elements; undefined for any other. */
export function evaluateStructure(
  node: GraphNode,
  inputs: readonly Operand[],
  context: OpContext,
): tf.Tensor | undefined {
  const { op } = node;
  const x = inputs[0];
  switch (op.name) {
    case 'reshape':
      return reshaped(x.tensor, fullShape(node.shape, x.varying, context));
    case 'transpose':
      return transpose(x.tensor, x.varying ? [0, ...op.perm.map((axis) => axis + 1)] : op.perm);
    case 'slice':
      return slice(node, op, x);
    case 'broadcastTo':
      return broadcast(aligned(x, node.shape.length, context), fullShape(node.shape, x.varying, context));
    case 'concat':
      return concat(node, op, inputs, context);
    case 'pad':
      return pad(node, op, x, context);
    case 'gather':
      return gather(node, op, x, inputs[1], context);
    case 'segmentSum':
      return segmentSum(node, op, x, inputs[1], context);
    default:
      return undefined;
  }
}
