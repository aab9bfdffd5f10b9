/** Softmax probabilities from the exponentials that their logarithm was made of. */
import type { GraphBuilder } from '../builder.js';
import type { Graph, GraphNode } from '../graph.js';
import { copyNode, rewriteGraph } from './rewrite.js';

/**
 * exp(log softmax) becomes softmax: where m is a maximum, E = exp(z - m) is there already and S is a sum of E, both
 * exp((z - m) - log S) and exp(z - (m + log S)) become E * (1 / S). The gradient of a cross-entropy asks for this value, and an exponential
 * costs several times a product. Results differ by roundings (they are the more accurate ones); since E <= 1 <= S, infinities and
 * NaN of z come out alike. Cost: O(nodes).
 */
export function reuseExponentials(graph: Graph): Graph {
  return rewriteGraph(graph, (node, inputs, builder) => {
    const exponentials = node.op.name === 'exp' ? findSoftmax(builder, inputs[0]) : undefined;
    if (!exponentials) return copyNode(builder, node, inputs);
    const { scaled, sum, shape } = exponentials;
    const inverse = builder.add({ name: 'reciprocal' }, [builder.add({ name: 'reshape' }, [sum], { shape })]);
    return builder.add({ name: 'mul' }, [scaled, inverse]);
  });
}

interface Softmax {
  /** E, and S with the shape under which it meets E. */
  readonly scaled: number;
  readonly sum: number;
  readonly shape: readonly number[];
}

function findSoftmax(builder: GraphBuilder, argument: number): Softmax | undefined {
  const difference = builder.node(argument);
  if (difference.op.name !== 'sub') return undefined;
  const [left, right] = difference.inputs.map((id) => builder.node(id));
  const shift = bare(builder, right);
  const terms = shift.op.name === 'add' ? shift.inputs.map((id) => bare(builder, builder.node(id))) : [shift];
  const log = terms.find((term) => term.op.name === 'log');
  if (!log) return undefined;
  const sum = bare(builder, builder.node(log.inputs[0]));
  if (sum.op.name !== 'sum') return undefined;
  const scaled = bare(builder, builder.node(sum.inputs[0]));
  if (scaled.op.name !== 'exp') return undefined;
  const centred = builder.node(scaled.inputs[0]);
  if (centred.op.name !== 'sub') return undefined;
  const maximum = bare(builder, builder.node(centred.inputs[1]));
  if (maximum.op.name !== 'max') return undefined;
  const same =
    terms.length === 1
      ? left.id === centred.id
      : left.id === centred.inputs[0] && terms.some((term) => term.id === maximum.id);
  return same ? { scaled: scaled.id, sum: sum.id, shape: right.shape } : undefined;
}

/** What a node is under its reshapes. */
function bare(builder: GraphBuilder, node: GraphNode): GraphNode {
  let inner = node;
  while (inner.op.name === 'reshape') inner = builder.node(inner.inputs[0]);
  return inner;
}
