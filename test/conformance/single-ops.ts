/** Taking a random program apart: each op by itself, on the values that the reference evaluator finds for its operands. */
import { GraphBuilder } from '../../src/graph/builder.js';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import type { Graph, TypedArray } from '../../src/graph/graph.js';
import type { RandomProgram } from '../graph/random-graph.js';

export interface SingleOps {
  /** Every op of the program as an output `n<id>`, reading inputs `v<id>` instead of other ops (constants stay constants). */
  readonly graph: Graph;
  /** Values of inputs and the wanted ones of outputs, by node id, for a particle. */
  valuesOf(particle: number): Record<string, TypedArray>;
  readonly inputPaths: readonly string[];
}

export function singleOps({ graph, inputsOf }: RandomProgram): SingleOps {
  const everything: Graph = {
    nodes: graph.nodes,
    outputs: graph.nodes.map(({ id }) => ({ path: `v${id}`, node: id })),
  };
  const builder = new GraphBuilder();
  const outputs: { path: string; node: number }[] = [];
  const read = new Map<number, number>();
  const operand = (id: number): number => {
    let known = read.get(id);
    if (known === undefined) {
      const { op, shape, dtype } = graph.nodes[id];
      known =
        op.name === 'constant'
          ? builder.add(op, [], { shape, dtype })
          : builder.input('value', `v${id}`, shape, dtype);
      read.set(id, known);
    }
    return known;
  };
  for (const { id, op, inputs, shape, dtype } of graph.nodes) {
    if (op.name === 'input' || op.name === 'constant') continue;
    outputs.push({ path: `n${id}`, node: builder.add(op, inputs.map(operand), { shape, dtype }) });
  }
  const inputPaths = [...read.keys()]
    .filter((id) => graph.nodes[id].op.name !== 'constant')
    .map((id) => `v${id}`);
  return {
    graph: builder.build(outputs),
    inputPaths,
    valuesOf: (particle) =>
      Object.fromEntries(
        Object.entries(evaluateGraph(everything, inputsOf(particle))).map(([path, { values }]) => [
          path,
          values,
        ]),
      ),
  };
}

/** Sums whose partial sums may leave float32, angles that float32 cannot tell apart, integer powers beyond int32: unspecified. */
export function isOutOfScope(name: string, values: TypedArray): boolean {
  const beyond = (limit: number) => values.some((v) => Number.isFinite(v) && Math.abs(v) > limit);
  // Whether a padded position times NaN or Infinity is 0 or NaN.
  if (name.startsWith('conv')) return beyond(1e15) || values.some((v) => !Number.isFinite(v));
  if (/^(matMul|sum|prod|cumsum|segmentSum|window(Sum.*|MaxGrad))$/.test(name)) return beyond(1e15);
  if (['sin', 'cos', 'tan'].includes(name)) return beyond(1e6);
  return name === 'pow' && values instanceof Int32Array && beyond(9);
}
