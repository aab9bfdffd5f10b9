import type { Graph } from '../graph.js';
import { copyNode, rewriteGraph } from './rewrite.js';

/** Drops every node that no output needs, inputs included. Cost: O(nodes). */
export function removeDeadCode(graph: Graph): Graph {
  const needed = new Array<boolean>(graph.nodes.length).fill(false);
  for (const { node } of graph.outputs) needed[node] = true;
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    if (needed[id]) for (const input of graph.nodes[id].inputs) needed[input] = true;
  }
  return rewriteGraph(graph, (node, inputs, builder) =>
    needed[node.id] ? copyNode(builder, node, inputs) : -1,
  );
}
