/**
 * Reference evaluation of a graph on typed arrays, for one particle: what every op means, in plain TypeScript. Constant folding
 * uses it, and tests compare devices with it. It is slow on purpose: float64 arithmetic, float32 results rounded once per node.
 */
import { UnsupportedOpError } from '../errors.js';
import { evaluateElementwise } from './evaluate-elementwise.js';
import {
  evaluateCholesky,
  evaluateSymmetricEigen,
  evaluateTriangularSolve,
} from './evaluate-linear-algebra.js';
import {
  evaluateArgReduce,
  evaluateCumsum,
  evaluateMatMul,
  evaluateReduce,
  evaluateSegmentSum,
} from './evaluate-reduce.js';
import { evaluateArgSort } from './evaluate-sort.js';
import { evaluateStructure } from './evaluate-structure.js';
import { emptyArray, type Value } from './evaluate-value.js';
import { evaluateConv, evaluatePool } from './evaluate-window.js';
import type { Graph, GraphNode, TypedArray } from './graph.js';
import { sizeOf } from './graph.js';

export type { Value } from './evaluate-value.js';

/**
 * The value of one node from those of its inputs, in the order of `node.inputs`. Cost: O(elements touched).
 * Throws UnsupportedOpError for `input` and `random` nodes, whose values come from outside.
 */
export function evaluateNode(node: GraphNode, inputs: readonly Value[]): Value {
  const { op } = node;
  switch (op.name) {
    case 'input':
    case 'random':
      throw new UnsupportedOpError(
        op.name,
        `a node '${op.name}' has no value of its own; pass one to evaluateGraph`,
      );
    case 'constant':
      return { shape: node.shape, dtype: node.dtype, values: op.values };
    case 'iota': {
      const values = emptyArray(node.dtype, sizeOf(node.shape));
      for (let i = 0; i < values.length; i++) values[i] = op.start + i * op.step;
      return { shape: node.shape, dtype: node.dtype, values };
    }
    case 'matMul':
      return evaluateMatMul(node, op, inputs[0], inputs[1]);
    case 'sum':
    case 'prod':
    case 'max':
    case 'min':
    case 'all':
    case 'any':
      return evaluateReduce(node, op.name, op.axes, inputs[0]);
    case 'argMax':
    case 'argMin':
      return evaluateArgReduce(node, op.name, op.axis, inputs[0]);
    case 'segmentSum':
      return evaluateSegmentSum(node, op.numSegments, inputs[0], inputs[1]);
    case 'cumsum':
      return evaluateCumsum(node, op, inputs[0]);
    case 'conv':
    case 'convInputGrad':
    case 'convFilterGrad':
      return evaluateConv(node, op, inputs[0], inputs[1]);
    case 'windowMax':
    case 'windowSum':
    case 'windowMaxGrad':
    case 'windowSumGrad':
      return evaluatePool(node, op, inputs);
    case 'argSort':
      return evaluateArgSort(node, op.descending, inputs[0]);
    case 'cholesky':
      return evaluateCholesky(node, inputs[0]);
    case 'triangularSolve':
      return evaluateTriangularSolve(node, op, inputs[0], inputs[1]);
    case 'symmetricEigen':
      return evaluateSymmetricEigen(node, inputs[0]);
    default: {
      const value = evaluateElementwise(node, inputs) ?? evaluateStructure(node, inputs);
      if (!value) throw new UnsupportedOpError(op.name, `the reference evaluator has no op '${op.name}'`);
      return value;
    }
  }
}

/**
 * All outputs of a graph by path. `inputs` is keyed by `<role>.<path>`, or by the path alone where that is unambiguous; values are
 * row-major, bool as 0/1. `random` supplies the draws of random nodes. Throws UnsupportedOpError when an input or draw is missing.
 */
export function evaluateGraph(
  graph: Graph,
  inputs: Readonly<Record<string, TypedArray>>,
  random?: (node: GraphNode) => TypedArray,
): Record<string, Value> {
  const values: Value[] = [];
  for (const node of graph.nodes) {
    const { op } = node;
    let given: TypedArray | undefined;
    if (op.name === 'input') given = inputs[`${op.role}.${op.path}`] ?? inputs[op.path];
    else if (op.name === 'random') given = random?.(node);
    values.push(
      given
        ? { shape: node.shape, dtype: node.dtype, values: given }
        : evaluateNode(
            node,
            node.inputs.map((id) => values[id]),
          ),
    );
  }
  return Object.fromEntries(graph.outputs.map(({ path, node }) => [path, values[node]]));
}
