/**
 * Traced functions as differentiable functions of many copies of their operands: their graph is replayed with a leading batch axis, and their
 * derivative is another graph, replayed alike. So gradients are those of a trace, right to any order, also in eager tfjs.
 */
import * as tf from '@tensorflow/tfjs';
import type { Graph, GraphNode } from '../graph/graph.js';
import { optimize } from '../graph/passes/index.js';
import { type Operand, spread } from '../replay/operand.js';
import { type ReplayValue, replayBackend, replayGraph } from '../replay/replay.js';
import { customOp } from '../trace/custom-op.js';
import { type TraceInput, trace } from '../trace/trace.js';

/** The type of an operand, for one copy. */
export type OperandType = Pick<TraceInput, 'shape' | 'dtype'>;

/** A graph as a function of a list of operands. */
export interface GraphFunction {
  readonly graph: Graph;
  readonly operands: readonly OperandType[];
  /** The operand that an input of the graph stands for, by path. */
  readonly operandOf: ReadonlyMap<string, number>;
  /** Its derivative, once it is known. */
  pullback?: Pullback;
}

/** Vector-Jacobian product: takes the operands of the function, then cotangents of its float32 outputs. */
export interface Pullback {
  readonly fn: GraphFunction;
  /** Per operand of the function, the output of `fn` that is its gradient; undefined where nothing depends on it. */
  readonly gradientOf: readonly (number | undefined)[];
}

/** The graph in its smallest form. */
export function graphFunction(
  graph: Graph,
  operands: readonly OperandType[],
  operandOf: ReadonlyMap<string, number>,
): GraphFunction {
  return { graph: optimize(graph), operands, operandOf };
}

interface Differentiator {
  gradients(
    f: () => tf.Tensor,
    xs: tf.Tensor[],
    dy: undefined,
    allowNoGradients: boolean,
  ): { grads: (tf.Tensor | undefined)[] };
}

/** Gradients of sum_i <outputs_i, cotangents_i> by each of `xs`; undefined where it does not depend on one. Outputs that are not float32 have none. */
export function pulled(
  outputs: () => readonly tf.Tensor[],
  xs: readonly tf.Tensor[],
  cotangents: readonly tf.Tensor[],
): (tf.Tensor | undefined)[] {
  if (xs.length === 0) return [];
  const objective = () => {
    const smooth = outputs().filter(({ dtype }) => dtype === 'float32');
    const terms = smooth.map((y, i) => tf.sum(tf.mul(y, cotangents[i])));
    return terms.length > 0 ? tf.addN(terms) : tf.scalar(0);
  };
  const engine = tf.engine() as unknown as Differentiator;
  return engine.gradients(objective, [...xs], undefined, true).grads;
}

/** Inputs of a trace for these types. */
export function traceInputs(prefix: string, types: readonly OperandType[]): TraceInput[] {
  return types.map(({ shape, dtype }, i) => ({ role: 'value', path: `${prefix}.${i}`, shape, dtype }));
}

/** The types of a graph's float32 outputs: of the cotangents. */
export function smoothOutputs({ nodes, outputs }: Graph): OperandType[] {
  return outputs.map(({ node }) => nodes[node]).filter(({ dtype }) => dtype === 'float32');
}

/** The gradients that are there, in order, and where each of `count` places finds its own. */
export function present(
  gradients: readonly (tf.Tensor | undefined)[],
  places: readonly number[],
  count: number,
): { readonly found: tf.Tensor[]; readonly gradientOf: (number | undefined)[] } {
  const found: tf.Tensor[] = [];
  const gradientOf = new Array<number | undefined>(count).fill(undefined);
  gradients.forEach((gradient, i) => {
    if (gradient) gradientOf[places[i]] = found.push(gradient) - 1;
  });
  return { found, gradientOf };
}

/** The pullback of a graph: of the graph itself, by the gradients of the ops that it is replayed in. */
function pullbackOf(fn: GraphFunction): Pullback {
  fn.pullback ??= tracePullback(fn);
  return fn.pullback;
}

function tracePullback({ graph, operands, operandOf }: GraphFunction): Pullback {
  const cotangents = smoothOutputs(graph);
  const inputs = [...traceInputs('x', operands), ...traceInputs('cotangent', cotangents)];
  const smooth = operands.flatMap(({ dtype }, i) => (dtype === 'float32' ? [i] : []));
  let gradientOf: (number | undefined)[] = [];
  const traced = trace(
    (tensors) => {
      const xs = tensors.slice(0, operands.length);
      const source = (node: GraphNode) => ({ tensor: xs[operandIndex(node, operandOf)], varying: false });
      const outputs = () => replayGraph(graph, source, 1).map(({ tensor }) => tensor);
      const by = smooth.map((i) => xs[i]);
      const result = present(pulled(outputs, by, tensors.slice(operands.length)), smooth, operands.length);
      gradientOf = result.gradientOf;
      return result.found;
    },
    { inputs, name: 'a derivative', repeat: false },
  );
  const paths = new Map(inputs.map(({ path }, i) => [path, i]));
  return { fn: graphFunction(traced.graph, inputs, paths), gradientOf };
}

function operandIndex({ op }: GraphNode, operandOf: ReadonlyMap<string, number>): number {
  const index = op.name === 'input' ? operandOf.get(op.path) : undefined;
  if (index === undefined) throw new TypeError(`'${op.name}' is no operand`);
  return index;
}

/** Whether each node's value differs between copies. */
export function varyingNodes({ graph, operandOf }: GraphFunction, operands: readonly boolean[]): boolean[] {
  const varying: boolean[] = [];
  for (const node of graph.nodes) {
    varying.push(
      node.op.name === 'input'
        ? operands[operandIndex(node, operandOf)]
        : node.inputs.some((id) => varying[id]),
    );
  }
  return varying;
}

/**
 * The outputs for all copies, each [copies, ...shape]. Operands that are not varying are shared by the copies; their gradient is the sum over
 * them. Differentiable to any order.
 */
export function applyToCopies(
  fn: GraphFunction,
  operands: readonly ReplayValue[],
  copies: number,
): tf.Tensor[] {
  const { graph, operandOf } = fn;
  if (graph.outputs.length === 0) return [];
  const varying = operands.map((operand) => operand.varying);
  const tensors = operands.map((operand) => operand.tensor);
  const forward = () => {
    const source = (node: GraphNode) => operands[operandIndex(node, operandOf)];
    const context = { particles: copies, backend: replayBackend(), range: () => undefined };
    return tf.tidy(() =>
      replayGraph(graph, source, copies).map((value, i) => {
        const node = graph.nodes[graph.outputs[i].node];
        if (value.varying) return value.tensor;
        return spread({ node, ...value } satisfies Operand, node.shape, context);
      }),
    );
  };
  return customOp(tensors, forward, (dys, saved) => {
    const { fn: pull, gradientOf } = pullbackOf(fn);
    const smooth = dys.filter((_, i) => graph.nodes[graph.outputs[i].node].dtype === 'float32');
    const gradients = applyToCopies(
      pull,
      [
        ...saved.map((tensor, i) => ({ tensor, varying: varying[i] })),
        ...smooth.map((tensor) => ({ tensor, varying: true })),
      ],
      copies,
    );
    return operands.map((operand, i) => {
      const at = gradientOf[i];
      if (at === undefined) return undefined;
      return operand.varying ? gradients[at] : tf.sum(gradients[at], 0);
    });
  });
}

/** Outputs of no copies at all. */
export function noCopies({ graph }: GraphFunction): tf.Tensor[] {
  return graph.outputs.map(({ node }) => {
    const { shape, dtype } = graph.nodes[node];
    return tf.tensor(new Float32Array(0), [0, ...shape], dtype as 'float32');
  });
}
