/** Matrix products without a sum. */
import type { Graph } from '../graph.js';
import { copyNode, rewriteGraph } from './rewrite.js';

/**
 * A product over an inner dimension of 1 becomes a broadcast multiplication, which fuses with what is done to its result: the weight
 * gradient of a single example, added to an accumulator. An element that would have been 0 + (-0) is now -0.
 * Cost: O(nodes).
 */
export function multiplyOuterProducts(graph: Graph): Graph {
  return rewriteGraph(graph, (node, inputs, builder) => {
    const { op } = node;
    if (op.name !== 'matMul') return copyNode(builder, node, inputs);
    const [a, b] = inputs.map((id) => builder.node(id).shape);
    if (a.at(op.transposeA ? -2 : -1) !== 1) return copyNode(builder, node, inputs);
    const [m, n] = node.shape.slice(-2);
    const column = builder.add({ name: 'reshape' }, [inputs[0]], { shape: [...a.slice(0, -2), m, 1] });
    const row = builder.add({ name: 'reshape' }, [inputs[1]], { shape: [...b.slice(0, -2), 1, n] });
    return builder.add({ name: 'mul' }, [column, row]);
  });
}
