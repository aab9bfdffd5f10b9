/** Running one graph once for several particles on a device, through the interface that every device has. */
import type { DeviceDriver, LeafSpec, UnrollSpec } from '../../src/device/driver.js';
import { GraphBuilder } from '../../src/graph/builder.js';
import type { Graph, InputRole, Shape, TypedArray } from '../../src/graph/graph.js';
import { sizeOf } from '../../src/graph/graph.js';
import { rewriteGraph } from '../../src/graph/passes/rewrite.js';

/** Where an input of role 'value' comes from in the run: particle-wise state, or data that all particles share. */
export type Placement = Readonly<Record<string, 'state' | 'data'>>;

function zeros(builder: GraphBuilder, leaf: LeafSpec): number {
  return builder.constant(new Array(sizeOf(leaf.shape)).fill(0), leaf.shape, leaf.dtype);
}

/**
 * An unroll whose step computes the outputs of `graph` from its 'value' inputs, which become state or data leaves of the same path. Each
 * output is a state leaf `out.<path>`.
 */
export function specOfGraph(graph: Graph, placement: Placement): UnrollSpec {
  const inputs: LeafSpec[] = [];
  for (const { op, shape, dtype } of graph.nodes) {
    if (op.name === 'input') inputs.push({ path: op.path, shape, dtype });
  }
  const stateInputs = inputs.filter((leaf) => placement[leaf.path] === 'state');
  const data = inputs.filter((leaf) => placement[leaf.path] === 'data');
  const outputs: LeafSpec[] = graph.outputs.map(({ path, node }) => {
    const { shape, dtype } = graph.nodes[node];
    return { path: `out.${path}`, shape, dtype };
  });
  const state = [...stateInputs, ...outputs];
  const initBuilder = new GraphBuilder();
  const init = initBuilder.build(
    state.map((leaf) => ({ path: `state.${leaf.path}`, node: zeros(initBuilder, leaf) })),
  );
  let loss = 0;
  const kept: { path: string; node: number }[] = [];
  const body = rewriteGraph(graph, (node, ids, builder) => {
    if (node.id === 0) {
      loss = builder.constant([0], [], 'float32');
      for (const leaf of stateInputs) {
        kept.push({
          path: `state.${leaf.path}`,
          node: builder.input('state', leaf.path, leaf.shape, leaf.dtype),
        });
      }
    }
    const { op } = node;
    if (op.name !== 'input') return builder.add(op, ids, { shape: node.shape, dtype: node.dtype });
    const role: InputRole = placement[op.path];
    const known = kept.find(({ path }) => path === `state.${op.path}`);
    return role === 'state' && known ? known.node : builder.input(role, op.path, node.shape, node.dtype);
  });
  const step: Graph = {
    nodes: body.nodes,
    outputs: [
      ...kept,
      ...body.outputs.map(({ path, node }) => ({ path: `state.out.${path}`, node })),
      { path: 'loss', node: loss },
    ],
  };
  return { init, step, theta: [], state, data, metrics: [], horizon: Number.POSITIVE_INFINITY };
}

function joined(parts: readonly TypedArray[], like: TypedArray): TypedArray {
  const out = new (like.constructor as new (n: number) => TypedArray)(
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/**
 * The outputs of `graph`, by path, one array per particle. `inputsOf` gives the values of a particle's inputs; data inputs are those of
 * particle 0.
 */
export async function runGraph(
  driver: DeviceDriver,
  graph: Graph,
  placement: Placement,
  particles: number,
  inputsOf: (particle: number) => Readonly<Record<string, TypedArray>>,
): Promise<Record<string, TypedArray[]>> {
  const spec = specOfGraph(graph, placement);
  const values = Array.from({ length: particles }, (_, p) => inputsOf(p));
  const empty = (shape: Shape, dtype: LeafSpec['dtype']): TypedArray => {
    const n = particles * sizeOf(shape);
    return dtype === 'float32'
      ? new Float32Array(n)
      : dtype === 'int32'
        ? new Int32Array(n)
        : new Uint8Array(n);
  };
  const program = driver.load(
    spec,
    spec.data.map(({ path }) => values[0][path]),
  );
  try {
    const state = await program.importState({
      leaves: spec.state.map(({ path, shape, dtype }) => {
        const blank = empty(shape, dtype);
        return path.startsWith('out.')
          ? blank
          : joined(
              values.map((v) => v[path]),
              blank,
            );
      }),
      t: new Int32Array(particles),
      fresh: new Uint8Array(particles),
    });
    await program.run({
      state,
      steps: 1,
      theta: { kind: 'shared', values: new Float32Array(0) },
      seed: 1,
      firstStep: 0,
      antithetic: false,
      record: 'sum',
    });
    const { leaves } = await state.export();
    state.dispose();
    const result: Record<string, TypedArray[]> = {};
    spec.state.forEach(({ path, shape }, i) => {
      if (!path.startsWith('out.')) return;
      const width = sizeOf(shape);
      result[path.slice(4)] = values.map((_, p) => leaves[i].slice(p * width, (p + 1) * width));
    });
    return result;
  } finally {
    program.dispose();
  }
}
