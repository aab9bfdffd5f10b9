import type { GraphBuilder } from '../builder.js';
import type { Graph, GraphNode, Op } from '../graph.js';
import { inferNode, type TypeHint, type ValueType } from '../infer.js';
import { type Emitter, rewriteGraph } from './rewrite.js';
import { simplifyArithmetic } from './simplify-arithmetic.js';
import { sinkBroadcasts } from './simplify-broadcast.js';
import { simplifyReduction } from './simplify-reduction.js';
import { simplifyStructure } from './simplify-structure.js';

/** A node about to be added: its op, the (new) nodes it reads, and its type. */
export interface Candidate extends ValueType {
  readonly op: Op;
  readonly inputs: readonly number[];
}

/** A rule: the id of a node that has the candidate's value, or undefined when the rule does not apply. */
export type Rule = (candidate: Candidate, emitter: Emitter) => number | undefined;

const RULES: readonly Rule[] = [simplifyStructure, sinkBroadcasts, simplifyReduction, simplifyArithmetic];

/** Adds nodes to a builder by way of the rules. Rules only ever make ops cheaper or move broadcasts down, so this ends. */
class SimplifyingEmitter implements Emitter {
  readonly #builder: GraphBuilder;

  constructor(builder: GraphBuilder) {
    this.#builder = builder;
  }

  node(id: number): GraphNode {
    return this.#builder.node(id);
  }

  add(op: Op, inputs: readonly number[], hint?: TypeHint): number {
    const type = inferNode(
      op,
      inputs.map((id) => this.node(id)),
      hint,
    );
    const candidate = { op, inputs, ...type };
    for (const rule of RULES) {
      const id = rule(candidate, this);
      if (id !== undefined) return id;
    }
    return this.#builder.add(op, inputs, type);
  }
}

/**
 * Algebra that changes no value: no-op reshapes, transposes, slices, broadcasts, pads and casts go, chains of them become one;
 * broadcasts move behind elementwise ops, which then work on the small value; x * 1, x / 1, x - 0, double negation and the like go.
 * Every rule holds bit for bit in float32, NaN, infinities and -0 included (which NaN is not promised). Cost: O(nodes).
 */
export function simplify(graph: Graph): Graph {
  let emitter: SimplifyingEmitter | undefined;
  return rewriteGraph(graph, (node, inputs, builder) => {
    emitter ??= new SimplifyingEmitter(builder);
    return emitter.add(node.op, inputs, { shape: node.shape, dtype: node.dtype });
  });
}
