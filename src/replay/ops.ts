/** One tfjs interpretation of each core op, on whatever backend is active. */
import * as tf from '@tensorflow/tfjs';
import { UnsupportedOpError } from '../errors.js';
import { evaluateNode } from '../graph/evaluate.js';
import { type Graph, type GraphNode, sizeOf } from '../graph/graph.js';
import { evaluateElementwise } from './elementwise.js';
import { evaluateArgReduce, evaluateCumsum, evaluateMatMul, evaluateReduce } from './linear.js';
import { evaluateLinearAlgebra } from './linear-algebra.js';
import { filled, fullShape, type OpContext, type Operand } from './operand.js';
import { evaluateStructure } from './structure.js';
import { evaluateWindow } from './window.js';

/**
 * The node's tensor, a new one, varying when any input is. Call inside `tf.tidy`. Throws UnsupportedOpError for inputs and draws, whose
 * values come from outside.
 */
export function evaluateOp(node: GraphNode, inputs: readonly Operand[], context: OpContext): tf.Tensor {
  const { op } = node;
  const varying = inputs.some((x) => x.varying);
  if (op.name === 'constant' || op.name === 'iota') {
    const { values } = evaluateNode(node, []);
    return tf.tensor(values.slice(), [...node.shape], node.dtype as 'float32');
  }
  if (sizeOf(node.shape) === 0 && inputs.length > 0) {
    return filled(fullShape(node.shape, varying, context), 0, node.dtype);
  }
  switch (op.name) {
    case 'matMul':
      return evaluateMatMul(node, op, inputs[0], inputs[1], varying, context);
    case 'sum':
    case 'prod':
    case 'max':
    case 'min':
    case 'all':
    case 'any':
      return evaluateReduce(node, op, inputs[0], context);
    case 'argMax':
    case 'argMin': {
      if (sizeOf(inputs[0].node.shape) === 0)
        return filled(fullShape(node.shape, varying, context), 0, 'int32');
      return evaluateArgReduce(op, inputs[0]);
    }
    case 'cumsum':
      return evaluateCumsum(op, inputs[0]);
    default: {
      const result =
        evaluateElementwise(node, inputs, context) ??
        evaluateStructure(node, inputs, context) ??
        evaluateWindow(node, inputs, context) ??
        evaluateLinearAlgebra(node, inputs, context);
      if (!result) throw new UnsupportedOpError(op.name, `the tfjs device has no op '${op.name}'`);
      return result;
    }
  }
}

/** Static ranges of int32 nodes: what gather need not check. Follows constants, draws and ops that only move elements. */
export function rangeFinder(graph: Graph): OpContext['range'] {
  const known = new Map<number, { min: number; max: number } | undefined>();
  const find = (id: number): { min: number; max: number } | undefined => {
    if (known.has(id)) return known.get(id);
    const { op, inputs, shape, dtype } = graph.nodes[id];
    let range: { min: number; max: number } | undefined;
    if (dtype === 'int32') {
      if (op.name === 'constant' && op.values.length > 0) {
        range = { min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
        for (const v of op.values) {
          range.min = Math.min(range.min, v);
          range.max = Math.max(range.max, v);
        }
      } else if (op.name === 'iota' && shape[0] > 0) {
        const last = op.start + (shape[0] - 1) * op.step;
        range = { min: Math.min(op.start, last), max: Math.max(op.start, last) };
      } else if (op.name === 'random' && op.kind.distribution === 'integers') {
        range = { min: op.kind.low, max: op.kind.high - 1 };
      } else if (['reshape', 'transpose', 'slice', 'broadcastTo', 'clip'].includes(op.name)) {
        range = op.name === 'clip' ? { min: op.min, max: op.max } : find(inputs[0]);
      }
    }
    known.set(id, range);
    return range;
  };
  return (node) => find(node.id);
}
