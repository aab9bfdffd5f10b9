/**
 * Where every node of a graph lives: in memory of its own (a *base*: leaf, or result of an instruction), or as a strided view of
 * another node's memory.
 */
import type { Graph, GraphNode } from '../../graph/graph.js';
import { broadcastStrides, contiguousStrides, isContiguous, reshapeStrides } from './views.js';

/** A node as a view: element [i...] is at base[offset + sum(i * strides)]. */
export interface Value {
  readonly base: number;
  readonly offset: number;
  readonly strides: readonly number[];
}

/** Values of all nodes. Views chain through to their base. */
export function valuesOf(graph: Graph): Value[] {
  const values: Value[] = [];
  for (const node of graph.nodes) values.push(viewOf(node, graph, values) ?? own(node));
  return values;
}

/** Whether the value is its base's memory, element for element, under the base's own shape. */
export function isWhole(value: Value, node: GraphNode, base: GraphNode): boolean {
  return (
    value.offset === 0 &&
    node.shape.length === base.shape.length &&
    node.shape.every((d, i) => d === base.shape[i]) &&
    isContiguous(node.shape, value.strides)
  );
}

/** Equal for operands that are the same memory read in the same way. */
export function operandKey(value: Value, node: GraphNode): string {
  return `${value.base}:${value.offset}:${value.strides.join()}:${node.shape.join()}`;
}

function own(node: GraphNode): Value {
  return { base: node.id, offset: 0, strides: contiguousStrides(node.shape) };
}

function viewOf(node: GraphNode, graph: Graph, values: readonly Value[]): Value | null {
  if (node.inputs.length === 0) return null;
  const input = values[node.inputs[0]];
  const source = graph.nodes[node.inputs[0]];
  const { op } = node;
  switch (op.name) {
    case 'reshape': {
      const strides = reshapeStrides(source.shape, input.strides, node.shape);
      return strides && { ...input, strides };
    }
    case 'transpose':
      return { ...input, strides: op.perm.map((axis) => input.strides[axis]) };
    case 'slice':
      return {
        base: input.base,
        offset: input.offset + op.begin.reduce((sum, b, i) => sum + b * input.strides[i], 0),
        strides: op.strides.map((s, i) => s * input.strides[i]),
      };
    case 'broadcastTo':
      return { ...input, strides: broadcastStrides(source.shape, input.strides, node.shape) };
    case 'cast': {
      // bool is int32 0/1 in memory, so these change nothing.
      const same = source.dtype === node.dtype || (source.dtype === 'bool' && node.dtype === 'int32');
      return same ? input : null;
    }
    case 'concat':
      return node.inputs.length === 1 ? input : null;
    default:
      return null;
  }
}
