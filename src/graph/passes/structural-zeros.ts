/** Zeros that a derivative is made of. */
import type { GraphBuilder } from '../builder.js';
import type { Graph, GraphNode } from '../graph.js';
import { sizeOf } from '../graph.js';
import { sameShape } from '../infer.js';
import { copyNode, rewriteGraph } from './rewrite.js';

/** Ops that are linear in their first input: zeros in, zeros out. */
const LINEAR: ReadonlySet<string> = new Set([
  'broadcastTo',
  'cumsum',
  'gather',
  'neg',
  'reshape',
  'segmentSum',
  'slice',
  'sum',
  'transpose',
  'windowSum',
  'windowSumGrad',
]);

/** Ops that are linear in each of their inputs. */
const BILINEAR: ReadonlySet<string> = new Set(['conv', 'convFilterGrad', 'convInputGrad', 'matMul', 'mul']);

/** Ops that are linear in one of two inputs: which one. */
const LINEAR_IN: Readonly<Record<string, number>> = { div: 0, triangularSolve: 1, windowMaxGrad: 1 };

/**
 * Takes structural zeros for what they are: terms that are absent. A structural zero is a float32 constant of one or more axes that holds nothing
 * but 0 (what `zerosLike`, `zeros` and `fill` record, and what a transposition fills in for a value without a cotangent), and everything linear
 * that is made of one. Products, convolutions and quotients of it are zeros, and so a Jacobian-vector product along a few arguments costs nothing for the
 * others. As in JAX, whose zero tangents are symbols, this holds even where the other factor is NaN or Infinity: 0 * NaN is NaN as
 * arithmetic, but no term of a derivative. A *scalar* 0 that a program multiplies by is a number like any other and is left alone.
 * Terms of value 0 of a sum or difference go, too, whoever wrote them: this can change -0 into 0 and nothing else. Cost: O(nodes + constant bytes).
 */
export function dropStructuralZeros(graph: Graph): Graph {
  /** New ids of structural zeros. */
  const zeros = new Set<number>();
  return rewriteGraph(graph, (node, inputs, builder) => {
    const zero = () => {
      const id = zeroLike(builder, node);
      zeros.add(id);
      return id;
    };
    const isZero = (i: number) => zeros.has(inputs[i]);
    const { op } = node;
    if (node.dtype === 'float32' && sizeOf(node.shape) > 0) {
      if (op.name === 'constant') {
        if (node.shape.length > 0 && op.values.every((v) => v === 0)) return zero();
      } else if (op.name === 'broadcastTo' && node.shape.length > 0 && hasValueZero(builder, inputs[0]))
        return zero();
      else if (LINEAR.has(op.name) && isZero(0)) return zero();
      else if (BILINEAR.has(op.name) && (isZero(0) || isZero(1))) return zero();
      else if (op.name in LINEAR_IN && isZero(LINEAR_IN[op.name])) return zero();
      else if (op.name === 'pad' && op.value === 0 && isZero(0)) return zero();
      else if (op.name === 'concat' && inputs.every((_, i) => isZero(i))) return zero();
      else if (op.name === 'select' && isZero(1) && isZero(2)) return zero();
      else if (op.name === 'add' || op.name === 'sub') {
        const [a, b] = inputs.map((id) => zeros.has(id) || hasValueZero(builder, id));
        if (a && b && (isZero(0) || isZero(1))) return zero();
        if (b) return shaped(builder, inputs[0], node);
        if (a && op.name === 'add') return shaped(builder, inputs[1], node);
        if (a) return shaped(builder, builder.add({ name: 'neg' }, [inputs[1]]), node);
      }
    }
    return copyNode(builder, node, inputs);
  });
}

/** Whether the node is a constant 0, or one that is repeated. */
function hasValueZero(builder: GraphBuilder, id: number): boolean {
  const { op, inputs } = builder.node(id);
  if (op.name === 'broadcastTo') return hasValueZero(builder, inputs[0]);
  return (
    op.name === 'constant' &&
    op.values instanceof Float32Array &&
    op.values.length === 1 &&
    op.values[0] === 0
  );
}

function zeroLike(builder: GraphBuilder, { shape }: GraphNode): number {
  const scalar = builder.constant([0], [], 'float32');
  return shape.length === 0 ? scalar : builder.add({ name: 'broadcastTo' }, [scalar], { shape });
}

/** `id` in the node's shape: the term that was dropped may have brought it. */
function shaped(builder: GraphBuilder, id: number, { shape }: GraphNode): number {
  if (sameShape(builder.node(id).shape, shape)) return id;
  return builder.add({ name: 'broadcastTo' }, [id], { shape });
}
