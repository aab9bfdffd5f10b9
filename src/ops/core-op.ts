/** Core ops that tfjs lacks: recorded while a trace runs, else computed on the host by the reference arithmetic. */
import * as tf from '@tensorflow/tfjs';
import { evaluateNode } from '../graph/evaluate.js';
import type { DType, GraphNode, Op, TypedArray } from '../graph/graph.js';
import { inferNode, type TypeHint } from '../graph/infer.js';
import { activeTrace } from '../trace/active.js';
import { recordOp } from '../trace/custom-op.js';

/**
 * The result of one core op, unknown to the tape. Outside of traces the inputs are read from their backend with dataSync, so the backend must
 * be one that can be read synchronously. Throws ShapeError when the inputs do not fit.
 */
export function coreOp(op: Op, inputs: readonly tf.Tensor[], hint?: TypeHint): tf.Tensor {
  if (activeTrace()) return recordOp(op, inputs, hint);
  const values = inputs.map((x) => ({
    shape: x.shape,
    dtype: x.dtype as DType,
    values: x.dataSync() as TypedArray,
  }));
  const { shape, dtype } = inferNode(op, values, hint);
  const node: GraphNode = { id: inputs.length, op, inputs: inputs.map((_, i) => i), shape, dtype };
  return tf.tensor(evaluateNode(node, values).values, [...shape], dtype as 'float32');
}
