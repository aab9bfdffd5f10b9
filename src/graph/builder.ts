/** Building a graph node by node; the only way in which traces and passes make one. */
import { ShapeError } from '../errors.js';
import type { DType, Graph, GraphNode, GraphOutput, InputRole, Op, Shape, TypedArray } from './graph.js';
import { inferNode, type TypeHint, type ValueType } from './infer.js';

/** Copies `values` into the typed array of `dtype`: bool becomes 0/1, int32 truncates. */
export function typedValues(values: ArrayLike<number | boolean>, dtype: DType): TypedArray {
  const n = values.length;
  if (dtype === 'bool') return Uint8Array.from({ length: n }, (_, i) => (values[i] ? 1 : 0));
  const result = dtype === 'int32' ? new Int32Array(n) : new Float32Array(n);
  for (let i = 0; i < n; i++) result[i] = Number(values[i]);
  return result;
}

/**
 * Appends checked nodes; each method returns the new node's id. Nothing is simplified or merged: that is the passes' work.
 * Every method throws ShapeError when the inputs do not fit (see `inferNode`).
 */
export class GraphBuilder {
  readonly #nodes: GraphNode[] = [];

  /** Nodes so far. */
  get size(): number {
    return this.#nodes.length;
  }

  input(role: InputRole, path: string, shape: Shape, dtype: DType): number {
    return this.add({ name: 'input', role, path }, [], { shape, dtype });
  }

  /** A constant of `values` (row-major, copied, converted to `dtype`). */
  constant(values: ArrayLike<number | boolean>, shape: Shape, dtype: DType): number {
    return this.add({ name: 'constant', values: typedValues(values, dtype) }, [], { shape, dtype });
  }

  /** A node of `op` on earlier nodes; `hint` gives what the op leaves open (shape of reshape, dtype of cast ...). */
  add(op: Op, inputs: readonly number[], hint?: TypeHint): number {
    const types: ValueType[] = inputs.map((id) => this.node(id));
    const { shape, dtype } = inferNode(op, types, hint);
    const id = this.#nodes.length;
    this.#nodes.push({ id, op, inputs: inputs.slice(), shape, dtype });
    return id;
  }

  /** @throws ShapeError when no node has this id yet */
  node(id: number): GraphNode {
    const node = this.#nodes[id];
    if (!node)
      throw new ShapeError(`there is no node %${id}; the graph has ${this.#nodes.length} nodes so far`);
    return node;
  }

  /** The graph so far with these outputs. Building on afterwards does not change it. */
  build(outputs: readonly GraphOutput[]): Graph {
    const seen = new Set<string>();
    for (const { path, node } of outputs) {
      this.node(node);
      if (seen.has(path)) throw new ShapeError(`two outputs are named "${path}"`);
      seen.add(path);
    }
    return { nodes: this.#nodes.slice(), outputs: outputs.map(({ path, node }) => ({ path, node })) };
  }
}
