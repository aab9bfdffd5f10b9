/** Values on a tfjs backend: with a leading particle axis where they differ between particles, without it where they do not. */
import * as tf from '@tensorflow/tfjs';
import { type DType, type GraphNode, type Shape, sizeOf } from '../graph/graph.js';

/** The value of a node for the particles being run. */
export interface Operand {
  readonly node: GraphNode;
  /** [...shape], or [particles, ...shape] when varying. */
  readonly tensor: tf.Tensor;
  readonly varying: boolean;
}

/** What an op needs to know besides its operands. */
export interface OpContext {
  readonly particles: number;
  /** Name of the active backend. */
  readonly backend: string;
  /** Static range of an int32 node, where it is known. */
  range(node: GraphNode): { readonly min: number; readonly max: number } | undefined;
}

/** Shape of a node's tensor. */
export function fullShape(shape: Shape, varying: boolean, context: OpContext): number[] {
  return varying ? [context.particles, ...shape] : [...shape];
}

/** The operand as one side of a broadcasting op of rank `rank`: its particle axis, if any, comes first of 1 + rank axes. */
export function aligned(x: Operand, rank: number, context: OpContext): tf.Tensor {
  const missing = rank - x.node.shape.length;
  if (!x.varying || missing === 0) return x.tensor;
  return tf.reshape(x.tensor, [context.particles, ...new Array<number>(missing).fill(1), ...x.node.shape]);
}

/**
 * `x` broadcast to `shape`. Done by an addition that changes nothing (x + -0 is x for every float): backends broadcast in their binary
 * kernels much faster than they tile.
 */
export function broadcast(x: tf.Tensor, shape: number[]): tf.Tensor {
  if (x.shape.length === shape.length && x.shape.every((d, i) => d === shape[i])) return x.clone();
  if (x.dtype === 'bool') return tf.logicalOr(x, tf.zeros(shape, 'bool'));
  return tf.add(x, x.dtype === 'int32' ? tf.zeros(shape, 'int32') : tf.fill(shape, -0));
}

/** The operand with a particle axis of its own, broadcast to `shape`. */
export function spread(x: Operand, shape: Shape, context: OpContext): tf.Tensor {
  return broadcast(aligned(x, shape.length, context), [context.particles, ...shape]);
}

/** A tensor of equal elements. */
export function filled(shape: number[], value: number, dtype: DType): tf.Tensor {
  return tf.fill(shape, value, dtype as 'float32');
}

/** A tensor of the same elements under another shape; always a new handle. */
export function reshaped(x: tf.Tensor, shape: number[]): tf.Tensor {
  return tf.reshape(x, shape);
}

/** The value of a constant of one element. */
export function scalarOf(node: GraphNode): number | undefined {
  return node.op.name === 'constant' && sizeOf(node.shape) === 1 ? node.op.values[0] : undefined;
}
