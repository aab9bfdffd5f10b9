import type { Graph, GraphNode, TypedArray } from '../graph.js';
import { formatAttributes, hashValues } from '../print.js';
import { copyNode, rewriteGraph } from './rewrite.js';

/** Ops whose result does not depend on the order of the two inputs. */
const COMMUTATIVE: ReadonlySet<string> = new Set([
  'add',
  'bitwiseAnd',
  'equal',
  'logicalAnd',
  'logicalOr',
  'maximum',
  'minimum',
  'mul',
  'notEqual',
  'squaredDifference',
]);

/** Hashes of constants: they are big, immutable, and met again in every round of the pipeline. */
const hashes = new WeakMap<TypedArray, string>();

function hashOf(values: TypedArray): string {
  let hash = hashes.get(values);
  if (hash === undefined) {
    hash = hashValues(values);
    hashes.set(values, hash);
  }
  return hash;
}

/** Equal bits, so that 0 and -0 stay apart and equal NaNs meet. */
export function sameBits(a: TypedArray, b: TypedArray): boolean {
  if (a === b) return true;
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  );
}

/** Equal keys mean equal values, but for constants, whose key is a hash. */
function keyOf(node: GraphNode, inputs: readonly number[]): string {
  const { op } = node;
  const attributes = op.name === 'constant' ? hashOf(op.values) : formatAttributes(op);
  const operands = COMMUTATIVE.has(op.name) ? [...inputs].sort((a, b) => a - b) : inputs;
  return `${op.name}(${operands.join(',')}){${attributes}}${node.dtype}[${node.shape.join(',')}]`;
}

/**
 * Merges nodes that compute the same: same op and attributes on the same inputs (in any order where that is immaterial), constants
 * of the same bits, the same random draw. The values of all outputs stay bitwise the same. Cost: O(nodes + constant bytes).
 */
export function mergeCommonSubexpressions(graph: Graph): Graph {
  const known = new Map<string, number[]>();
  return rewriteGraph(graph, (node, inputs, builder) => {
    const key = keyOf(node, inputs);
    const candidates = known.get(key) ?? [];
    const { op } = node;
    const same = candidates.find((id) => {
      const other = builder.node(id).op;
      return op.name !== 'constant' || (other.name === 'constant' && sameBits(op.values, other.values));
    });
    if (same !== undefined) return same;
    const id = copyNode(builder, node, inputs);
    known.set(key, [...candidates, id]);
    return id;
  });
}
