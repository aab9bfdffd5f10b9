/** What passes share: walking a graph into a new one, and seeing through it. */
import { GraphBuilder } from '../builder.js';
import {
  BINARY_OPS,
  BITWISE_OPS,
  COMPARE_OPS,
  FLOAT_UNARY_OPS,
  type Graph,
  type GraphNode,
  LOGICAL_OPS,
  NUMERIC_UNARY_OPS,
  type Op,
  TEST_UNARY_OPS,
} from '../graph.js';

const ELEMENTWISE: ReadonlySet<string> = new Set<string>([
  ...FLOAT_UNARY_OPS,
  ...NUMERIC_UNARY_OPS,
  ...TEST_UNARY_OPS,
  ...BINARY_OPS,
  ...COMPARE_OPS,
  ...LOGICAL_OPS,
  ...BITWISE_OPS,
  'logicalNot',
  'clip',
  'step',
  'cast',
  'select',
]);

/** Whether element i of the result depends only on element i of the (broadcast) inputs. */
export function isElementwiseOp(op: Op): boolean {
  return ELEMENTWISE.has(op.name);
}

/** The narrow view of a builder that rules need: `add` may simplify what it is given and return an older node. */
export interface Emitter {
  node(id: number): GraphNode;
  add: GraphBuilder['add'];
}

/** Appends a node like `node` on other inputs. */
export function copyNode(emitter: Emitter, node: GraphNode, inputs: readonly number[]): number {
  return emitter.add(node.op, inputs, { shape: node.shape, dtype: node.dtype });
}

/**
 * A graph of the same outputs whose nodes are what `rule` makes of the old ones, in order. `rule` gets the old node and the new ids of
 * its inputs, and returns the new id that stands for it.
 */
export function rewriteGraph(
  graph: Graph,
  rule: (node: GraphNode, inputs: number[], builder: GraphBuilder) => number,
): Graph {
  const builder = new GraphBuilder();
  const renamed: number[] = [];
  for (const node of graph.nodes) {
    renamed.push(
      rule(
        node,
        node.inputs.map((id) => renamed[id]),
        builder,
      ),
    );
  }
  return builder.build(graph.outputs.map(({ path, node }) => ({ path, node: renamed[node] })));
}
