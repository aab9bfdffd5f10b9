/**
 * Strided views: how one buffer is seen under a shape. Strides count elements (rows of a varying buffer, words of a uniform one).
 * Movement ops (reshape, transpose, slice, broadcastTo) become views where strides can express them, so that they cost nothing.
 */
import type { Shape } from '../../graph/graph.js';

/** Row-major strides of a contiguous value. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

/** Whether the strides are those of a contiguous value; axes of size 1 may have any stride, an empty value is contiguous. */
export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] === 0) return true;
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i];
  }
  return true;
}

/** Strides under which `shape` with `strides` reads as `target` (same element count), or null when only a copy can do it. */
export function reshapeStrides(shape: Shape, strides: readonly number[], target: Shape): number[] | null {
  if (isContiguous(shape, strides)) return contiguousStrides(target);
  const dims: number[] = [];
  const steps: number[] = [];
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === 1) continue;
    dims.push(shape[i]);
    steps.push(strides[i]);
  }
  const result = new Array<number>(target.length).fill(0);
  let source = 0;
  let axis = 0;
  while (source < dims.length) {
    // The smallest groups of source and target axes that hold equally many elements must each be collapsible.
    let sourceCount = dims[source];
    let sourceEnd = source + 1;
    while (axis < target.length && target[axis] === 1) axis++;
    let targetCount = target[axis];
    let targetEnd = axis + 1;
    while (sourceCount !== targetCount) {
      if (sourceCount < targetCount) sourceCount *= dims[sourceEnd++];
      else targetCount *= target[targetEnd++];
    }
    for (let i = source; i < sourceEnd - 1; i++) if (steps[i] !== steps[i + 1] * dims[i + 1]) return null;
    let stride = steps[sourceEnd - 1];
    for (let i = targetEnd - 1; i >= axis; i--) {
      result[i] = stride;
      stride *= target[i];
    }
    source = sourceEnd;
    axis = targetEnd;
  }
  return result;
}

/** Strides of a value of `shape` read under the broadcast `target` shape. */
export function broadcastStrides(shape: Shape, strides: readonly number[], target: Shape): number[] {
  const lead = target.length - shape.length;
  return target.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : strides[i - lead]));
}

/** Adjacent axes as a single one, or null when no one stride steps through them all. */
export function collapse(
  dims: readonly number[],
  strides: readonly number[],
): { dim: number; stride: number } | null {
  let dim = 1;
  let stride = 0;
  for (let i = dims.length - 1; i >= 0; i--) {
    if (dims[i] === 1) continue;
    if (dim === 1) stride = strides[i];
    else if (strides[i] !== stride * dim) return null;
    dim *= dims[i];
  }
  return { dim, stride };
}

/** Merges adjacent axes that every operand walks as one, and drops axes of size 1; at least one axis remains. */
export function collapseTogether(
  dims: readonly number[],
  operands: readonly (readonly number[])[],
): { dims: number[]; strides: number[][] } {
  const outDims: number[] = [];
  const out: number[][] = operands.map(() => []);
  for (let i = 0; i < dims.length; i++) {
    if (dims[i] === 1) continue;
    const last = outDims.length - 1;
    if (last >= 0 && operands.every((s, k) => out[k][last] === s[i] * dims[i])) {
      outDims[last] *= dims[i];
      operands.forEach((s, k) => {
        out[k][last] = s[i];
      });
    } else {
      outDims.push(dims[i]);
      operands.forEach((s, k) => {
        out[k].push(s[i]);
      });
    }
  }
  if (outDims.length === 0) {
    outDims.push(1);
    for (const s of out) s.push(0);
  }
  return { dims: outDims, strides: out };
}
