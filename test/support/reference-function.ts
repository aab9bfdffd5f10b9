/** One copy of a function in plain TypeScript: its graph evaluated one node at a time. */
import type { FunctionCall, FunctionPlan, FunctionSpec, LoadedFunction } from '../../src/device/driver.js';
import { AbortedError, DisposedError } from '../../src/errors.js';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import { type GraphNode, sizeOf, type TypedArray } from '../../src/graph/graph.js';

/** Multiply-adds of the matrix products, counted twice. */
function productFlops({ graph }: FunctionSpec): number {
  let flops = 0;
  for (const { op, inputs, shape } of graph.nodes) {
    if (op.name !== 'matMul') continue;
    const { shape: a } = graph.nodes[inputs[0]];
    flops += 2 * sizeOf(shape) * (op.transposeA ? a[a.length - 2] : a[a.length - 1]);
  }
  return flops;
}

export class ReferenceFunction implements LoadedFunction {
  #disposed = false;

  constructor(
    readonly spec: FunctionSpec,
    private readonly live: { functions: number },
    private readonly draw: (node: GraphNode, seed: number, step: number) => TypedArray,
  ) {
    live.functions++;
  }

  callSync({ inputs, into = [], seed = 0, step = 0 }: FunctionCall): TypedArray[] {
    if (this.#disposed) throw new DisposedError('this function');
    const named = Object.fromEntries(this.spec.inputs.map(({ path }, i) => [`value.${path}`, inputs[i]]));
    const outputs = evaluateGraph(this.spec.graph, named, (node) => this.draw(node, seed, step));
    // All results first: one may be read from what another is written over.
    const results = this.spec.outputs.map(({ path }) => outputs[path].values.slice());
    return results.map((values, i) => {
      const target = into[i];
      if (!target) return values;
      target.set(values);
      return target;
    });
  }

  async call(call: FunctionCall, signal?: AbortSignal): Promise<TypedArray[]> {
    const given = new Set(call.into);
    const inputs = call.inputs.map((values) => (given.has(values) ? values : values.slice()));
    await new Promise((resolve) => setImmediate(resolve));
    if (signal?.aborted) throw new AbortedError(signal.reason);
    return this.callSync({ ...call, inputs });
  }

  plan(): FunctionPlan {
    return { device: 'cpu', text: 'reference', buffers: 0, arenaBytes: 0, flops: productFlops(this.spec) };
  }

  dispose(): void {
    if (!this.#disposed) this.live.functions--;
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
