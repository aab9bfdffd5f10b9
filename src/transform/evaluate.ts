/**
 * One evaluation of a pure function for many particles: how single ops and small graphs are compared between
 * devices.
 */
import * as tf from '@tensorflow/tfjs';
import type { DeviceDriver, LeafSpec, UnrollSpec } from '../device/driver.js';
import { ShapeError } from '../errors.js';
import { GraphBuilder } from '../graph/builder.js';
import { type DType, type Shape, sizeOf, type TypedArray } from '../graph/graph.js';
import { optimize } from '../graph/passes/index.js';
import { checkInteger, checkKeys } from '../options.js';
import { toSeed } from '../random/philox.js';
import type { Rng } from '../trace/rng.js';
import { flatten } from '../trace/structure.js';
import { type Traced, trace } from '../trace/trace.js';
import { Device } from './device.js';
import type { TensorTree } from './leaf.js';

export interface EvaluateOptions<U extends TensorTree> {
  readonly particles: number;
  /** Tensors that are the same for all particles; the function's second argument. Default: none. */
  readonly shared?: U;
  /** Key of the function's random draws. Default 0. */
  readonly seed?: number;
  /** Particles form antithetic pairs. Default false. */
  readonly antithetic?: boolean;
  /** Run the graph passes first. Default true. */
  readonly optimize?: boolean;
}

/** One result for all particles. */
export interface Evaluated {
  /** [particles, ...shape of the function's result] */
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: TypedArray;
}

type EvaluatedTree = Evaluated | readonly EvaluatedTree[] | { readonly [name: string]: EvaluatedTree };

/** Results in the structure that the function returns. */
export type EvaluatedOf<R> = [TensorTree] extends [R]
  ? EvaluatedTree
  : R extends tf.Tensor
    ? Evaluated
    : { readonly [K in keyof R]: EvaluatedOf<R[K]> };

function isTensor(value: unknown): value is tf.Tensor {
  return value instanceof tf.Tensor;
}

function valuesOf(tensor: tf.Tensor): TypedArray {
  const values = tensor.dataSync();
  if (tensor.dtype === 'bool') return Uint8Array.from(values);
  return tensor.dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
}

function leaf(path: string, shape: Shape, dtype: string): LeafSpec {
  return { path, shape, dtype: dtype as DType };
}

/** An `init` that yields zeros; the state is imported, so it never runs, but a program has one. */
function zeroInit(state: readonly LeafSpec[]): UnrollSpec['init'] {
  const builder = new GraphBuilder();
  const outputs = state.map(({ path, shape, dtype }) => {
    const zero = builder.constant([0], [], dtype);
    const node = shape.length === 0 ? zero : builder.add({ name: 'broadcastTo' }, [zero], { shape });
    return { path: `state.${path}`, node };
  });
  return builder.build(outputs);
}

/** The outputs of the traced function become state leaves beside the inputs, which stay as they are. */
function specOf(
  traced: Traced,
  given: readonly LeafSpec[],
  data: readonly LeafSpec[],
  passes: boolean,
): UnrollSpec {
  const results = traced.structure.leaves.slice(1 + given.length).map((node, i) => {
    const { shape, dtype } = traced.graph.nodes[node];
    return leaf(`out.${i}`, shape, dtype);
  });
  const state = [...given, ...results];
  const outputs = traced.graph.outputs.map(({ node }, i) => ({
    path: i === 0 ? 'loss' : `state.${state[i - 1].path}`,
    node,
  }));
  const step = { nodes: traced.graph.nodes, outputs };
  return {
    init: zeroInit(state),
    step: passes ? optimize(step) : step,
    theta: [],
    state,
    data,
    metrics: [],
    horizon: Number.POSITIVE_INFINITY,
  };
}

/**
 * Traces `fn` and runs it once on a device for every particle. `inputs` are tensors with a leading axis of
 * `particles`; the function sees one particle's, without that axis. Its third argument draws random numbers.
 * Rejects with ShapeError where an input lacks the particle axis, and with what tracing and the device throw.
 *
 *     const { values } = await evaluate(device, ({ x }) => tf.exp(x), { x: tf.ones([17, 3]) }, { particles: 17 });
 */
export async function evaluate<I extends TensorTree, R extends TensorTree, U extends TensorTree>(
  device: Device | DeviceDriver,
  fn: (inputs: I, shared: U, rng: Rng) => R,
  inputs: I,
  options: EvaluateOptions<U>,
): Promise<EvaluatedOf<R>> {
  checkKeys(options, ['particles', 'shared', 'seed', 'antithetic', 'optimize'], 'evaluate');
  const driver = device instanceof Device ? device.driver : device;
  const particles = checkInteger(options.particles, 'particles', 1);
  const varying = flatten(inputs, isTensor, 'inputs');
  const uniform = flatten(options.shared ?? {}, isTensor, 'shared');
  const given = varying.leaves.map((tensor, i) => {
    if (tensor.shape[0] !== particles) {
      throw new ShapeError(
        `the input "${varying.paths[i]}" must have a leading axis of ${particles} particles, got [${tensor.shape.join(', ')}]`,
      );
    }
    return leaf(`in.${i}`, tensor.shape.slice(1), tensor.dtype);
  });
  const data = uniform.leaves.map((tensor, i) => leaf(`shared.${i}`, tensor.shape, tensor.dtype));
  let structure = flatten(0 as unknown, (x): x is unknown => true);
  const traced = trace(
    (tensors, rng) => {
      const own = tensors.slice(0, given.length);
      const result = fn(varying.rebuild(own) as I, uniform.rebuild(tensors.slice(given.length)) as U, rng);
      structure = flatten(result, (x): x is unknown => isTensor(x) || typeof x === 'number', 'the result');
      return [0, ...own, ...structure.leaves];
    },
    {
      inputs: [
        ...given.map((spec) => ({ role: 'state' as const, ...spec })),
        ...data.map((spec) => ({ role: 'data' as const, ...spec })),
      ],
      name: 'the evaluated function',
    },
  );
  const spec = specOf(traced, given, data, options.optimize ?? true);
  const program = driver.load(spec, uniform.leaves.map(valuesOf));
  try {
    const blank = spec.state.slice(given.length).map(({ shape, dtype }) => {
      const n = particles * sizeOf(shape);
      if (dtype === 'bool') return new Uint8Array(n);
      return dtype === 'int32' ? new Int32Array(n) : new Float32Array(n);
    });
    const state = await program.importState({
      leaves: [...varying.leaves.map(valuesOf), ...blank],
      t: new Int32Array(particles),
      fresh: new Uint8Array(particles),
    });
    try {
      await program.run({
        state,
        steps: 1,
        theta: { kind: 'shared', values: new Float32Array(0) },
        seed: toSeed(options.seed ?? 0),
        firstStep: 0,
        antithetic: options.antithetic ?? false,
        record: 'sum',
      });
      const { leaves } = await state.export();
      const results = spec.state.slice(given.length).map(({ shape, dtype }, i): Evaluated => {
        return { shape: [particles, ...shape], dtype, values: leaves[given.length + i] };
      });
      return structure.rebuild(results) as EvaluatedOf<R>;
    } finally {
      state.dispose();
    }
  } finally {
    program.dispose();
  }
}
