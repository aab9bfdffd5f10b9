/** How kernels read their operands: as they lie, with merged axes, or contiguous; where they don't lie so, a copy is made. */
import type { GraphNode, Shape } from '../../graph/graph.js';
import { collapse, isContiguous } from './views.js';

/** Ops whose instructions take contiguous operands only. */
const CONTIGUOUS: ReadonlySet<string> = new Set([
  'argSort',
  'cholesky',
  'conv',
  'convFilterGrad',
  'convInputGrad',
  'symmetricEigen',
  'triangularSolve',
  'windowMax',
  'windowMaxGrad',
  'windowSum',
  'windowSumGrad',
]);

/** Whether input `input` of a kernel, of `shape` and `strides`, must be copied first. */
export function needsCopy(node: GraphNode, input: number, shape: Shape, strides: readonly number[]): boolean {
  if (CONTIGUOUS.has(node.op.name)) return !isContiguous(shape, strides);
  const groups = mergedAxes(node, input, shape);
  return (
    groups?.some(
      (g) =>
        collapse(
          g.map((a) => shape[a]),
          g.map((a) => strides[a]),
        ) === null,
    ) ?? false
  );
}

/** Operand slots of kernels that need their input as [a, b, ...] merged axes; see `mergedAxes`. */
export function mergedAxes(node: GraphNode, input: number, inputShape: readonly number[]): number[][] | null {
  const axes = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const rank = inputShape.length;
  const { op } = node;
  switch (op.name) {
    case 'gather':
      return input === 0
        ? [axes(0, op.batchDims), axes(op.batchDims, op.axis), [op.axis], axes(op.axis + 1, rank)]
        : [axes(0, op.batchDims), axes(op.batchDims, rank)];
    case 'segmentSum':
      return input === 0 ? [[0], axes(1, rank)] : [[0]];
    case 'cumsum':
      return [axes(0, op.axis), [op.axis], axes(op.axis + 1, rank)];
    default:
      return null;
  }
}
