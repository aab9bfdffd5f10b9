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

/** Axes up to which every backend broadcasts and concatenates. */
const SAFE_RANK = 4;

/**
 * `f`, which broadcasts, of tensors whose neighbouring axes are taken together wherever they broadcast alike: backends are limited in rank (the
 * wasm backend goes wrong above it).
 */
export function broadcasting(f: (...xs: tf.Tensor[]) => tf.Tensor, xs: readonly tf.Tensor[]): tf.Tensor {
  const rank = Math.max(...xs.map((x) => x.rank));
  if (rank <= SAFE_RANK) return f(...xs);
  const shapes = xs.map(({ shape }) => [...new Array<number>(rank - shape.length).fill(1), ...shape]);
  const full = shapes[0].map((_, axis) => shapes.find((shape) => shape[axis] !== 1)?.[axis] ?? 1);
  const groups: { axes: number[]; stretched: string | undefined }[] = [];
  for (let axis = 0; axis < rank; axis++) {
    // An axis of one element everywhere goes with any other.
    const stretched =
      full[axis] === 1 ? undefined : shapes.map((shape) => Number(shape[axis] === 1)).join('');
    const last = groups.at(-1);
    if (last && (stretched === undefined || last.stretched === undefined || last.stretched === stretched)) {
      last.axes.push(axis);
      last.stretched ??= stretched;
    } else groups.push({ axes: [axis], stretched });
  }
  const joined = (shape: readonly number[]) =>
    groups.map(({ axes }) => axes.reduce((n, axis) => n * shape[axis], 1));
  return tf.reshape(f(...xs.map((x, i) => tf.reshape(x, joined(shapes[i])))), full);
}

/** tf.concat, with the axes before and after the one concerned taken together above the rank that backends handle. */
export function concatenated(parts: readonly tf.Tensor[], axis: number): tf.Tensor {
  const [{ shape, rank }] = parts;
  if (rank <= SAFE_RANK) return tf.concat([...parts], axis);
  const before = sizeOf(shape.slice(0, axis));
  const after = sizeOf(shape.slice(axis + 1));
  const flat = parts.map((part) => tf.reshape(part, [before, part.shape[axis], after]));
  const extent = parts.reduce((sum, part) => sum + part.shape[axis], 0);
  return tf.reshape(tf.concat(flat, 1), [...shape.slice(0, axis), extent, ...shape.slice(axis + 1)]);
}

/**
 * `x` broadcast to `shape`. Done by an addition that changes nothing (x + -0 is x for every float): backends broadcast in their binary
 * kernels much faster than they tile.
 */
export function broadcast(x: tf.Tensor, shape: number[]): tf.Tensor {
  if (x.shape.length === shape.length && x.shape.every((d, i) => d === shape[i])) return x.clone();
  if (x.dtype === 'bool') return broadcasting(tf.logicalOr, [x, tf.zeros(shape, 'bool')]);
  const zeros = x.dtype === 'int32' ? tf.zeros(shape, 'int32') : tf.fill(shape, -0);
  return broadcasting(tf.add, [x, zeros]);
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
