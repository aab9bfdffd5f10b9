/** Kernel calls as native functions: the lowering of the trace makes a tiny graph, which is compiled once for each signature. */
import type * as tf from '@tensorflow/tfjs';
import type { DeviceDriver, LeafSpec, LoadedFunction } from '../device/driver.js';
import { type DType, sizeOf, type TypedArray } from '../graph/graph.js';
import { optimize } from '../graph/passes/index.js';
import { Emitter } from '../trace/emitter.js';
import type { KernelAttributes, KernelInputs } from '../trace/lower/lowering.js';
import type { ArrayPool } from './pool.js';
import { Signature, SignatureTable } from './signature.js';

/** Inputs of a kernel by name or position; optional ones may be missing. */
export type Inputs = Readonly<Record<string, tf.TensorInfo | null | undefined>>;
export type Attributes = Readonly<Record<string, unknown>>;

/** A kernel in core ops. `scalars`: nodes of the attributes that are numbers of the call rather than of the program. */
export type EagerLowering = (
  e: Emitter,
  inputs: KernelInputs,
  attributes: KernelAttributes,
  scalars: readonly number[],
) => number | number[];

/** How a kernel is compiled. */
export interface KernelPlan {
  /** A number of its own. */
  readonly id: number;
  readonly lower: EagerLowering;
  /** Attributes that become float32 inputs, so that new values of them need no new program. */
  readonly scalars: readonly string[];
}

export interface Output {
  readonly shape: number[];
  readonly dtype: DType;
  readonly size: number;
}

/** One signature. */
export interface Program {
  readonly loaded: LoadedFunction;
  readonly outputs: readonly Output[];
  readonly scalars: readonly Float32Array[];
  /** Whether there is nothing to compute. */
  readonly isEmpty: boolean;
  /** Whether the kernel gives a list, however long. */
  readonly isList: boolean;
}

export interface ProgramCounts {
  /** Programs in the cache, and the most that it holds. */
  readonly size: number;
  readonly capacity: number;
  /** Programs made so far, those that were dropped again included. */
  readonly compiled: number;
}

export class KernelPrograms {
  readonly #signature = new Signature();
  readonly #table: SignatureTable<Program>;
  #compiled = 0;

  constructor(
    private readonly driver: DeviceDriver,
    private readonly pool: ArrayPool,
    capacity: number,
  ) {
    this.#table = new SignatureTable(capacity, ({ loaded }) => loaded.dispose());
  }

  get counts(): ProgramCounts {
    return { size: this.#table.size, capacity: this.#table.capacity, compiled: this.#compiled };
  }

  /**
   * The program of a call, compiled if need be (about half a millisecond); undefined where an input is neither float32, int32 nor bool. Throws
   * ShapeError and UnsupportedOpError as the lowering does.
   */
  find(plan: KernelPlan, inputs: Inputs, attributes: Attributes): Program | undefined {
    const signature = this.#signature;
    signature.begin(plan.id);
    for (const name in inputs) {
      const input = inputs[name];
      if (input && !signature.input(name, input.shape, input.dtype)) return undefined;
    }
    const { scalars } = plan;
    for (const name in attributes) if (!scalars.includes(name)) signature.attribute(name, attributes[name]);
    const known = this.#table.find(signature);
    if (known) return known;
    const words = signature.words.slice(0, signature.wordCount);
    const hash = signature.hash();
    const program = compile(this.driver, plan, inputs, attributes);
    this.#compiled++;
    this.#table.add(words, hash, program);
    return program;
  }

  /**
   * Runs a program. `values`: the arrays of the inputs that are there, in order; scalars are added to it. Gives arrays that nobody else holds.
   */
  run(program: Program, plan: KernelPlan, values: TypedArray[], attributes: Attributes): TypedArray[] {
    const { outputs, scalars } = program;
    const into: TypedArray[] = [];
    for (let i = 0; i < outputs.length; i++) into.push(this.pool.take(outputs[i].dtype, outputs[i].size));
    if (program.isEmpty) return into;
    for (let i = 0; i < scalars.length; i++) {
      scalars[i][0] = attributes[plan.scalars[i]] as number;
      values.push(scalars[i]);
    }
    return program.loaded.callSync({ inputs: values, into });
  }

  dispose(): void {
    this.#table.clear();
  }
}

function compile(
  driver: DeviceDriver,
  { lower, scalars }: KernelPlan,
  inputs: Inputs,
  attributes: Attributes,
): Program {
  const emitter = new Emitter();
  const leaves: LeafSpec[] = [];
  const input = (path: string, shape: readonly number[], dtype: DType): number => {
    leaves.push({ path, shape, dtype });
    return emitter.builder.input('value', path, shape, dtype);
  };
  const list: number[] = [];
  const nodes: Record<string, number | number[]> = { list };
  for (const name in inputs) {
    const info = inputs[name];
    if (!info) continue;
    const node = input(name, info.shape.slice(), info.dtype as DType);
    nodes[name] = node;
    list.push(node);
  }
  const numbers = scalars.map((name) => input(`attribute ${name}`, [], 'float32'));
  const made = lower(
    emitter,
    nodes as unknown as KernelInputs,
    attributes as unknown as KernelAttributes,
    numbers,
  );
  const results = Array.isArray(made) ? made : [made];
  const graph = emitter.builder.build(results.map((node, i) => ({ path: String(i), node })));
  const outputs = results.map((node) => {
    const shape = emitter.shape(node).slice();
    return { shape, dtype: emitter.dtype(node), size: sizeOf(shape) };
  });
  const loaded = driver.loadFunction({
    graph: optimize(graph, { exact: true }),
    inputs: leaves,
    outputs: outputs.map(({ shape, dtype }, i) => ({ path: String(i), shape, dtype })),
  });
  return {
    loaded,
    outputs,
    scalars: scalars.map(() => new Float32Array(1)),
    isEmpty: outputs.every(({ size }) => size === 0),
    isList: Array.isArray(made),
  };
}
