import type { Graph, InputRole } from '../graph.js';

/** How often a value must be computed: once a call, once a call for each tile of particles, or every step. */
export type InvariantLevel = 'call' | 'tile' | 'step';

/** Inputs that differ from step to step. */
const CHANGING: readonly InputRole[] = ['state', 'primal', 't'];

/**
 * The level of each node. What depends on neither state, t nor a random draw does not change from step to step: it is of level 'call'
 * where it is `uniform` (see `analyseUniform`), of level 'tile' where it differs between particles. Cost: O(nodes).
 */
export function analyseInvariants(graph: Graph, uniform: readonly boolean[]): InvariantLevel[] {
  const changes: boolean[] = [];
  for (const { op, inputs } of graph.nodes) {
    const source = op.name === 'random' || (op.name === 'input' && CHANGING.includes(op.role));
    changes.push(source || inputs.some((id) => changes[id]));
  }
  return changes.map((changing, id) => (changing ? 'step' : uniform[id] ? 'call' : 'tile'));
}
