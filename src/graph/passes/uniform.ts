import type { Graph, InputRole } from '../graph.js';

/**
 * Which values are the same for all particles, per node. Inputs of the `uniformRoles` are (default: data only), draws shared by all
 * are, and so is whatever depends on nothing else. A device keeps such values once. Cost: O(nodes).
 */
export function analyseUniform(graph: Graph, uniformRoles: readonly InputRole[] = ['data']): boolean[] {
  const uniform: boolean[] = [];
  for (const { op, inputs } of graph.nodes) {
    if (op.name === 'input') uniform.push(uniformRoles.includes(op.role));
    else if (op.name === 'random') uniform.push(op.share === 'all');
    else uniform.push(inputs.every((id) => uniform[id]));
  }
  return uniform;
}
