/** Sums of equal terms. */
import type { Graph } from '../graph.js';
import { sizeOf } from '../graph.js';
import { copyNode, rewriteGraph } from './rewrite.js';

/**
 * The sum of a broadcast along repeated axes becomes a product with the number of repeats: what the gradient of a mean or of a shared bias
 * asks for. The result is rounded once instead of n - 1 times, so it may differ in its last bits (and n * x overflows just where the sum does).
 * Cost: O(nodes).
 */
export function multiplyRepeatedSums(graph: Graph): Graph {
  return rewriteGraph(graph, (node, inputs, builder) => {
    const { op, shape } = node;
    const x = inputs.length === 1 ? builder.node(inputs[0]) : undefined;
    if (
      op.name !== 'sum' ||
      node.dtype !== 'float32' ||
      x?.op.name !== 'broadcastTo' ||
      sizeOf(x.shape) === 0
    )
      return copyNode(builder, node, inputs);
    const source = builder.node(x.inputs[0]);
    const lead = x.shape.length - source.shape.length;
    const extents = x.shape.map((_, axis) => (axis < lead ? 1 : source.shape[axis - lead]));
    const repeated = op.axes.filter((axis) => extents[axis] !== x.shape[axis]);
    if (repeated.length === 0) return copyNode(builder, node, inputs);
    const count = repeated.reduce((n, axis) => n * x.shape[axis], 1);
    // What is summed over other axes still is; axes that are repeated but kept are repeated again in the end.
    const padded = builder.add({ name: 'reshape' }, [source.id], { shape: extents });
    const own = op.axes.filter((axis) => !repeated.includes(axis));
    const reduced =
      own.length > 0 ? builder.add({ name: 'sum', axes: own, keepDims: true }, [padded]) : padded;
    const product = builder.add({ name: 'mul' }, [reduced, builder.constant([count], [], 'float32')]);
    const kept = x.shape.map((d, axis) => (op.axes.includes(axis) ? 1 : d));
    const wide = builder.add({ name: 'broadcastTo' }, [product], { shape: kept });
    return builder.add({ name: 'reshape' }, [wide], { shape });
  });
}
