import { evaluateNode, type Value } from '../evaluate.js';
import { emptyArray } from '../evaluate-value.js';
import type { Graph, GraphNode, TypedArray } from '../graph.js';
import { sizeOf } from '../graph.js';
import { copyNode, type Emitter, rewriteGraph } from './rewrite.js';

/** Bounds of folding. */
export interface FoldingLimits {
  /** Largest folded result, in elements. Default 4096: a bigger table is cheaper to compute once a call than to carry around. */
  readonly maxResult?: number;
  /** Largest input that is read to fold. Default 65536 elements. */
  readonly maxInput?: number;
}

/** Whether all elements have the bits of the first. */
function isSplat(values: TypedArray): boolean {
  const words =
    values instanceof Float32Array ? new Int32Array(values.buffer, values.byteOffset, values.length) : values;
  for (let i = 1; i < words.length; i++) if (words[i] !== words[0]) return false;
  return true;
}

/** Adds a constant; one of many equal elements as a scalar that is broadcast, which the other passes see through. */
function addConstant(emitter: Emitter, value: Value): number {
  const { shape, dtype, values } = value;
  if (values.length < 2 || !isSplat(values)) {
    return emitter.add({ name: 'constant', values }, [], { shape, dtype });
  }
  const scalar = emitter.add({ name: 'constant', values: values.slice(0, 1) }, [], { shape: [], dtype });
  return emitter.add({ name: 'broadcastTo' }, [scalar], { shape });
}

/** Whether the node's value is fixed by its inputs' emptiness alone. */
function isFixedByEmptiness(node: GraphNode, inputs: readonly GraphNode[]): boolean {
  if (inputs.length === 0) return false;
  if (sizeOf(node.shape) === 0) return true;
  // pad and concat fill up what an empty input leaves; there the other elements come from elsewhere.
  if (node.op.name === 'concat') return false;
  return sizeOf(inputs[0].shape) === 0;
}

/**
 * Replaces what depends on constants only by its value (`evaluateNode`), and everything that is empty, or made from something empty,
 * by a constant. A broadcast of a constant is never written out; a constant of equal elements becomes one. The values of all outputs
 * stay bitwise what `evaluateGraph` gives. Cost: O(nodes + elements folded).
 */
export function foldConstants(graph: Graph, limits: FoldingLimits = {}): Graph {
  const { maxResult = 4096, maxInput = 65536 } = limits;
  /** Values by new id, where known. */
  const known = new Map<number, Value>();
  return rewriteGraph(graph, (node, inputs, builder) => {
    const { op, shape, dtype } = node;
    const size = sizeOf(shape);
    const remember = (id: number, value: Value) => {
      if (size <= maxInput) known.set(id, value);
      return id;
    };
    if (op.name === 'constant') {
      const value = { shape, dtype, values: op.values };
      return remember(addConstant(builder, value), value);
    }
    if (
      isFixedByEmptiness(
        node,
        inputs.map((id) => builder.node(id)),
      )
    ) {
      // A concat's or gather's other inputs are read no more than the empty one; the shapes alone decide.
      const blank = node.inputs.map((id) => blankValue(graph.nodes[id]));
      if (size <= maxResult && blank.every((v) => v.values.length <= maxInput)) {
        const value = evaluateNode(node, blank);
        return remember(addConstant(builder, value), value);
      }
    }
    const values = inputs.map((id) => known.get(id));
    const foldable =
      op.name !== 'input' && op.name !== 'random' && size <= maxInput && values.every((v) => v !== undefined);
    if (!foldable) return copyNode(builder, node, inputs);
    const value = evaluateNode(node, values as Value[]);
    const grows = op.name === 'broadcastTo' && size > values[0].values.length;
    if (op.name === 'iota' || grows || size > maxResult)
      return remember(copyNode(builder, node, inputs), value);
    return remember(addConstant(builder, value), value);
  });
}

function blankValue(node: GraphNode): Value {
  return { shape: node.shape, dtype: node.dtype, values: emptyArray(node.dtype, sizeOf(node.shape)) };
}
