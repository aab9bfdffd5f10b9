/** ReLU and its mask from one value. */
import type { Graph } from '../graph.js';
import { copyNode, rewriteGraph } from './rewrite.js';

/**
 * step(x) becomes step(relu(x)) where the graph already has relu(x): the two are equal bit for bit (x <= 0 and NaN included), and x, as a rule
 * a sum that nothing else reads, need not be kept until the gradient asks for its sign. Cost: O(nodes).
 */
export function shareRelu(graph: Graph): Graph {
  const relus = new Map<number, number>();
  return rewriteGraph(graph, (node, inputs, builder) => {
    const known = relus.get(inputs[0]);
    const shared = node.op.name === 'step' && known !== undefined ? [known] : inputs;
    const id = copyNode(builder, node, shared);
    if (node.op.name === 'relu' && node.dtype === 'float32') relus.set(inputs[0], id);
    return id;
  });
}
