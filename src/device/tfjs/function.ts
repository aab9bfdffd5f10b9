/** One copy of a function, interpreted by tfjs: its graph is replayed, op by op, on a backend. */
import * as tf from '@tensorflow/tfjs';
import { AbortedError, DisposedError } from '../../errors.js';
import { type GraphNode, sizeOf, type TypedArray } from '../../graph/graph.js';
import { printNode } from '../../graph/print.js';
import { STREAMS } from '../../random/index.js';
import { replayGraph } from '../../replay/replay.js';
import { checkLeaves } from '../checks.js';
import type { FunctionCall, FunctionPlan, FunctionSpec, LoadedFunction } from '../driver.js';
import { checkAlone, stepOf } from '../function-checks.js';
import { drawNode } from './draws.js';
import { scheduleGraph } from './executor.js';
import { flopsOf } from './plan.js';

/** What a function needs of the device that loaded it. */
export interface FunctionHost {
  /** Throws DisposedError when the device is gone. */
  check(): void;
  /** Lets the device's `dispose` wait for a call. */
  track<T>(call: Promise<T>): Promise<T>;
}

/** Runs `f` with a loaded backend active; the user's is active again afterwards. */
function onBackend<T>(name: string, f: () => T): T {
  const theirs = tf.getBackend();
  if (theirs === name) return f();
  void tf.setBackend(name);
  try {
    return f();
  } finally {
    void tf.setBackend(theirs);
  }
}

export class TfjsFunction implements LoadedFunction {
  #disposed = false;

  /** `head`: lines on the backend and what was passed over. */
  constructor(
    private readonly host: FunctionHost,
    readonly spec: FunctionSpec,
    private readonly backend: string,
    private readonly head: readonly string[],
  ) {}

  callSync(call: FunctionCall): TypedArray[] {
    this.#check();
    const { spec } = this;
    checkLeaves('inputs', spec.inputs, call.inputs, 1);
    stepOf(call);
    spec.outputs.forEach((_, i) => {
      checkAlone(spec, call, i);
    });
    const outputs = onBackend(this.backend, () => tf.tidy(() => this.#run(call)));
    return outputs.map((values, i) => {
      const into = call.into?.[i];
      if (into === undefined) return values;
      checkLeaves('into', [spec.outputs[i]], [into], 1);
      into.set(values);
      return into;
    });
  }

  /** Reads before it writes: an output may go over the input that it was made of. */
  #run({ inputs, seed = 0, step = 0 }: FunctionCall): TypedArray[] {
    const { graph, inputs: leaves, outputs } = this.spec;
    const index = new Map(leaves.map(({ path }, i) => [path, i]));
    const tensor = (node: GraphNode, values: TypedArray) =>
      tf.tensor(values, [...node.shape], node.dtype as 'float32');
    const values = replayGraph(
      graph,
      (node) => {
        const { op } = node;
        if (op.name === 'random') {
          const drawn = drawNode(
            node,
            { seed, stream: STREAMS.step, step },
            { first: 0, count: 1, pairs: 0 },
          );
          return { tensor: tensor(node, drawn), varying: false };
        }
        const given = inputs[index.get((op as { path: string }).path) as number];
        // Backends may keep the array itself, which is the caller's.
        return { tensor: tensor(node, given.slice()), varying: false };
      },
      1,
    );
    const byPath = new Map(graph.outputs.map(({ path }, i) => [path, values[i].tensor]));
    return outputs.map(({ path, dtype }) => {
      const data = (byPath.get(path) as tf.Tensor).dataSync();
      // The cpu backend hands out the arrays that its tensors share.
      return dtype === 'bool' ? Uint8Array.from(data) : (data.slice() as TypedArray);
    });
  }

  async call(call: FunctionCall, signal?: AbortSignal): Promise<TypedArray[]> {
    this.#check();
    checkLeaves('inputs', this.spec.inputs, call.inputs, 1);
    if (signal?.aborted) throw new AbortedError(signal.reason, false);
    const donated = new Set(this.spec.donations?.map(([input]) => input));
    const inputs = call.inputs.map((values, i) => (donated.has(i) ? values : values.slice()));
    return this.host.track(this.#later({ ...call, inputs }, signal));
  }

  async #later(call: FunctionCall, signal: AbortSignal | undefined): Promise<TypedArray[]> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (signal?.aborted) throw new AbortedError(signal.reason, false);
    return this.callSync(call);
  }

  plan(): FunctionPlan {
    this.#check();
    const { graph } = this.spec;
    const { order } = scheduleGraph(graph, []);
    const nodes = [...order.call, ...order.tile, ...order.step]
      .sort((a, b) => a - b)
      .map((id) => graph.nodes[id]);
    const made = nodes.filter(({ op }) => op.name !== 'input');
    const { arenaBytes, buffers } = footprint(made, new Set(graph.outputs.map(({ node }) => node)));
    return {
      device: 'tfjs',
      text: [...this.head, ...nodes.map((node) => `  ${printNode(node)}`)].join('\n'),
      buffers,
      arenaBytes,
      flops: made.reduce((sum, node) => sum + flopsOf(node, graph.nodes), 0),
    };
  }

  dispose(): void {
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #check(): void {
    if (this.#disposed) throw new DisposedError('this function');
    this.host.check();
  }
}

/** Most tensors and bytes of intermediate values alive at once, each freed after its last use. Ops need more while they run. */
function footprint(
  nodes: readonly GraphNode[],
  outputs: ReadonlySet<number>,
): { readonly arenaBytes: number; readonly buffers: number } {
  const lastUse = new Map<number, number>();
  for (const node of nodes) for (const input of node.inputs) lastUse.set(input, node.id);
  const bytes = (node: GraphNode) => sizeOf(node.shape) * (node.dtype === 'bool' ? 1 : 4);
  const alive = new Map<number, number>();
  let now = 0;
  let arenaBytes = 0;
  let buffers = 0;
  for (const node of nodes) {
    if (!outputs.has(node.id)) {
      alive.set(node.id, bytes(node));
      now += bytes(node);
    }
    arenaBytes = Math.max(arenaBytes, now);
    buffers = Math.max(buffers, alive.size);
    for (const input of node.inputs) {
      if (lastUse.get(input) !== node.id) continue;
      now -= alive.get(input) ?? 0;
      alive.delete(input);
    }
  }
  return { arenaBytes, buffers };
}
