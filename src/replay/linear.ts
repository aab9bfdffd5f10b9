/** Products, reductions and running sums in tfjs. */
import * as tf from '@tensorflow/tfjs';
import { reduceIdentity } from '../graph/evaluate-reduce.js';
import { type GraphNode, type Op, type ReduceOp, sizeOf } from '../graph/graph.js';
import { broadcastShapes } from '../graph/infer.js';
import { product } from '../ops/product.js';
import { aligned, broadcast, filled, fullShape, type OpContext, type Operand, reshaped } from './operand.js';

type OpOf<N extends Op['name']> = Extract<Op, { name: N }>;

/** One side of a product: its batch axes, the particle axis among them, and its matrix. */
interface Side {
  readonly batch: readonly number[];
  readonly matrix: readonly [number, number];
  readonly tensor: tf.Tensor;
}

function side(x: Operand, rank: number, context: OpContext): Side {
  const tensor = aligned(x, rank, context);
  return {
    batch: tensor.shape.slice(0, -2),
    matrix: tensor.shape.slice(-2) as [number, number],
    tensor,
  };
}

/** The side as [1 or all batches, rows, columns]: backends broadcast a single matrix, but not general batch shapes. */
function flattened(x: Side, batch: readonly number[]): tf.Tensor3D {
  const own = sizeOf(x.batch);
  const full = own === 1 || own === sizeOf(batch) ? x.tensor : broadcast(x.tensor, [...batch, ...x.matrix]);
  return reshaped(full, [own === 1 ? 1 : sizeOf(batch), ...x.matrix]) as tf.Tensor3D;
}

export function evaluateMatMul(
  node: GraphNode,
  op: OpOf<'matMul'>,
  a: Operand,
  b: Operand,
  varying: boolean,
  context: OpContext,
): tf.Tensor {
  const shape = fullShape(node.shape, varying, context);
  const left = side(a, node.shape.length, context);
  const right = side(b, node.shape.length, context);
  const k = left.matrix[op.transposeA ? 0 : 1];
  if (k === 0) return filled(shape, 0, 'float32');
  const batch = broadcastShapes([left.batch, right.batch]);
  if (sizeOf(right.batch) === 1 && !op.transposeA) {
    // One matrix for all: the rows of all batches are one tall matrix.
    const tall = reshaped(left.tensor, [sizeOf(left.batch) * left.matrix[0], k]) as tf.Tensor2D;
    const single = reshaped(right.tensor, [...right.matrix]) as tf.Tensor2D;
    return reshaped(product(tall, single, false, op.transposeB), shape);
  }
  const result = product(flattened(left, batch), flattened(right, batch), op.transposeA, op.transposeB);
  return reshaped(result, shape);
}

const REDUCE: Readonly<Record<ReduceOp, (x: tf.Tensor, axes: number[], keepDims: boolean) => tf.Tensor>> = {
  all: tf.all,
  any: tf.any,
  max: tf.max,
  min: tf.min,
  prod: tf.prod,
  sum: tf.sum,
};

export function evaluateReduce(
  node: GraphNode,
  op: OpOf<ReduceOp>,
  x: Operand,
  context: OpContext,
): tf.Tensor {
  const shape = fullShape(node.shape, x.varying, context);
  if (sizeOf(x.node.shape) === 0) {
    return filled(shape, reduceIdentity(op.name, node.dtype !== 'float32'), node.dtype);
  }
  const axes = op.axes.map((axis) => (x.varying ? axis + 1 : axis));
  if (axes.length === 0) return x.tensor.clone();
  return REDUCE[op.name](x.tensor, axes, op.keepDims);
}

export function evaluateArgReduce(op: OpOf<'argMax' | 'argMin'>, x: Operand): tf.Tensor {
  const axis = x.varying ? op.axis + 1 : op.axis;
  return op.name === 'argMax' ? tf.argMax(x.tensor, axis) : tf.argMin(x.tensor, axis);
}

export function evaluateCumsum(op: OpOf<'cumsum'>, x: Operand): tf.Tensor {
  return tf.cumsum(x.tensor, x.varying ? op.axis + 1 : op.axis, op.exclusive, op.reverse);
}
