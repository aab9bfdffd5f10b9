/** Factorisations, solves and sorting for all particles: batch axes, of which particles are one more. */
import type * as tf from '@tensorflow/tfjs';
import type { GraphNode } from '../graph/graph.js';
import { coreOp } from '../ops/core-op.js';
import { choleskyOp, eigenOp, matrixBatch, solveOp } from '../ops/matrix-ops.js';
import { untaped } from '../trace/custom-op.js';
import { fullShape, type OpContext, type Operand, reshaped, spread } from './operand.js';

/** Evaluates a factorisation, a solve or an argSort; undefined for any other op. */
export function evaluateLinearAlgebra(
  node: GraphNode,
  inputs: readonly Operand[],
  context: OpContext,
): tf.Tensor | undefined {
  const { op } = node;
  const varying = inputs.some((x) => x.varying);
  const full = fullShape(node.shape, varying, context);
  const batch = (x: Operand) => matrixBatch(varying ? spread(x, x.node.shape, context) : x.tensor);
  switch (op.name) {
    case 'cholesky':
      return reshaped(choleskyOp(batch(inputs[0])), full);
    case 'symmetricEigen':
      return reshaped(eigenOp(batch(inputs[0])), full);
    case 'triangularSolve':
      return reshaped(solveOp(batch(inputs[0]), batch(inputs[1]), op.lower, op.transpose), full);
    case 'argSort':
      // An order is piecewise constant.
      return untaped(() => coreOp(op, [inputs[0].tensor]));
    default:
      return undefined;
  }
}
