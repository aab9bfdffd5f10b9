/**
 * A function compiled once for each signature of its arguments: traced, cleaned by the passes, loaded on a device, kept in a bounded
 * cache. What jit, grad and their relatives are made of; they differ in the body that is traced.
 */
import * as tf from '@tensorflow/tfjs';
import type { FunctionCall, FunctionSpec, LeafSpec, LoadedFunction } from '../device/driver.js';
import { AbortedError, DisposedError, OptionError } from '../errors.js';
import type { DType, Graph, TypedArray } from '../graph/graph.js';
import { optimize } from '../graph/passes/index.js';
import { printGraph } from '../graph/print.js';
import type { Seed } from '../random/philox.js';
import { engineAccess } from '../trace/recorder.js';
import type { Rng } from '../trace/rng.js';
import { type FlatTree, flatten } from '../trace/structure.js';
import { trace } from '../trace/trace.js';
import {
  type ArgumentLeaf,
  type ArgumentOptions,
  layoutOf,
  type ReadArguments,
  readArguments,
  valuesOf,
} from './arguments.js';
import { LruCache } from './cache.js';
import { type DeviceChoice, type FunctionDevice, functionDevice } from './default-device.js';
import { viewOf, withZeros } from './derivative-trees.js';
import { isFloat, pullBack } from './differentiate.js';
import { Donation, donationPairs } from './donation.js';
import type { CacheInfo, Lowered } from './function-types.js';
import { putOnTape } from './taped.js';

/** What is traced: the arguments with tensors at their leaves, and the draws. */
export type Body = (args: unknown[], rng: Rng) => unknown;

export interface CompileSettings extends ArgumentOptions {
  readonly device: DeviceChoice;
  /** Arguments that are given up, by index. */
  readonly donate: ReadonlySet<number>;
  readonly cacheSize: number;
  readonly seed: Seed | undefined;
  readonly output: 'tensor' | 'typedArray' | undefined;
}

/** One signature. */
interface Entry {
  readonly leaves: readonly LeafSpec[];
  readonly variables: readonly tf.Variable[];
  readonly before: Graph;
  readonly loaded: LoadedFunction;
  readonly outputs: readonly LeafSpec[];
  readonly structure: FlatTree<unknown>;
  readonly donated: readonly number[];
  /** The gradients by all float32 leaves and variables, made when a tape of tfjs asks for them. */
  pullback: Compiled | undefined;
  /** Asynchronous calls under way; a dropped entry is disposed of after the last. */
  running: number;
  dropped: boolean;
}

/** A call ready to go to the device. */
interface Prepared {
  readonly entry: Entry;
  readonly leaves: readonly ArgumentLeaf[];
  readonly call: FunctionCall;
  readonly donation: Donation | undefined;
  readonly typedArrays: boolean;
}

interface TensorMaker {
  makeTensor(values: TypedArray, shape: number[], dtype: DType): tf.Tensor;
}

/** A tensor of the active backend around the array itself: tf.tensor's checks of hand-written values are left out. */
export function wrapTensor(values: TypedArray, { shape, dtype }: LeafSpec): tf.Tensor {
  return (tf.engine() as unknown as TensorMaker).makeTensor(values, shape.slice(), dtype);
}

/** As one copy there is nobody to share a draw with. Throws OptionError where draws would be the same at every call. */
function settleDraws(graph: Graph, { seed, name }: CompileSettings): Graph {
  if (!graph.nodes.some(({ op }) => op.name === 'random')) return graph;
  if (seed === undefined) {
    throw new OptionError(
      `${name} draws random numbers, which would be the same at every call: give the outermost function the option seed`,
    );
  }
  const nodes = graph.nodes.map((node) =>
    node.op.name === 'random' ? { ...node, op: { ...node.op, share: 'all' as const } } : node,
  );
  return { ...graph, nodes };
}

export class Compiled {
  readonly #body: Body;
  readonly #entries: LruCache<string, Entry>;
  #device: FunctionDevice | undefined;
  #hits = 0;
  #misses = 0;
  /** The Philox step of the next call's draws. */
  #calls = 0;
  #disposed = false;

  constructor(
    body: Body,
    readonly settings: CompileSettings,
  ) {
    this.#body = body;
    this.#entries = new LruCache(settings.cacheSize, drop);
  }

  get device(): FunctionDevice {
    this.#check();
    this.#device ??= functionDevice(this.settings.device);
    return this.#device;
  }

  /**
   * Runs now. Where a tape of tfjs is open around the call (an eager tf.grad, optimizer.minimize), the call is put on it; nothing is donated
   * then. `step` is that of the draws: by default the number of the call.
   */
  call(args: readonly unknown[], step?: number): unknown {
    const taped = engineAccess().isTapeOn();
    const prepared = this.#prepare(args, taped, step);
    const result = this.#finish(prepared, prepared.entry.loaded.callSync(prepared.call));
    if (taped && !prepared.typedArrays) this.#record(prepared, args, result);
    return result;
  }

  async callAsync(args: readonly unknown[], signal: AbortSignal | undefined): Promise<unknown> {
    if (signal?.aborted) throw new AbortedError(signal.reason, false);
    const prepared = this.#prepare(args, false);
    const { entry } = prepared;
    entry.running++;
    try {
      return this.#finish(prepared, await entry.loaded.call(prepared.call, signal));
    } finally {
      entry.running--;
      if (entry.dropped) drop(entry);
    }
  }

  lower(args: readonly unknown[]): Lowered {
    const { entry } = this.#lookUp(args);
    return {
      before: printGraph(entry.before),
      after: printGraph(entry.loaded.spec.graph),
      plan: entry.loaded.plan(),
      device: this.device.description,
    };
  }

  info(): CacheInfo {
    return { hits: this.#hits, misses: this.#misses, size: this.#entries.size };
  }

  clear(): void {
    this.#entries.clear();
  }

  dispose(): void {
    this.#disposed = true;
    this.clear();
  }

  #check(): void {
    if (this.#disposed) throw new DisposedError(this.settings.name);
  }

  #lookUp(args: readonly unknown[]): { readonly entry: Entry; readonly read: ReadArguments } {
    this.#check();
    const read = readArguments(args, this.settings);
    let entry = this.#entries.get(read.key);
    if (entry) this.#hits++;
    else {
      this.#misses++;
      entry = this.#compile(args);
      this.#entries.set(read.key, entry);
    }
    return { entry, read };
  }

  #compile(args: readonly unknown[]): Entry {
    const { settings } = this;
    const { name, donate } = settings;
    const layout = layoutOf(args, settings);
    const traced = trace((tensors, rng) => this.#body(layout.rebuild(tensors), rng), {
      inputs: layout.leaves.map((leaf) => ({ role: 'value' as const, ...leaf })),
      name,
      variables: 'input',
    });
    const before = settleDraws(traced.graph, settings);
    const typed = (path: string, node: number): LeafSpec => {
      const { shape, dtype } = before.nodes[node];
      return { path, shape, dtype };
    };
    const outputs = before.outputs.map(({ path, node }) => typed(path, node));
    const captured = before.nodes
      .filter(({ op }) => op.name === 'input')
      .slice(layout.leaves.length)
      .map(({ id, op }) => typed(op.name === 'input' ? op.path : '', id));
    const donated = layout.argument.flatMap((index, leaf) => (donate.has(index) ? [leaf] : []));
    const inputs = [...layout.leaves, ...captured];
    const spec: FunctionSpec = {
      graph: optimize(before),
      inputs,
      outputs,
      donations: donationPairs(donated, inputs, outputs),
    };
    return {
      leaves: layout.leaves,
      variables: traced.variables,
      before,
      loaded: this.device.driver.loadFunction(spec),
      outputs,
      structure: traced.structure,
      donated,
      pullback: undefined,
      running: 0,
      dropped: false,
    };
  }

  #prepare(args: readonly unknown[], taped: boolean, at?: number): Prepared {
    const { entry, read } = this.#lookUp(args);
    const { name, seed, output } = this.settings;
    const inputs: TypedArray[] = read.leaves.map((leaf: ArgumentLeaf, i) =>
      valuesOf(leaf, entry.leaves[i], name),
    );
    for (const variable of entry.variables) inputs.push(variable.dataSync() as TypedArray);
    let donation: Donation | undefined;
    if (entry.donated.length > 0) {
      if (taped) for (const i of entry.donated) inputs[i] = inputs[i].slice();
      else donation = new Donation(entry.donated, read.leaves, inputs, entry.loaded.spec);
    }
    const step = at ?? this.#calls;
    if (seed !== undefined && at === undefined) this.#calls = (this.#calls + 1) >>> 0;
    return {
      entry,
      leaves: read.leaves,
      call: { inputs, into: donation?.into, seed: seed ?? 0, step },
      donation,
      typedArrays: output ? output === 'typedArray' : read.arrays && !read.tensors,
    };
  }

  /** The gradients of one signature, as a function of its arguments and of the cotangents of its float32 results (a list, the last). */
  #pullback(entry: Entry): Compiled {
    const { settings } = this;
    const variables = entry.variables.filter(isFloat);
    entry.pullback ??= new Compiled(
      (all, rng) => {
        const args = all.slice(0, -1);
        const cotangents = all.at(-1) as tf.Tensor[];
        const chosen = [...args.keys()].filter((i) => !settings.staticArgs.has(i));
        const view = viewOf((given) => this.#body(given, rng), args, chosen, settings.name);
        const { gradients } = pullBack(
          view.f,
          view.inputs,
          (values) => {
            let next = 0;
            return values.map((value) => (isFloat(value) ? cotangents[next++] : undefined));
          },
          variables,
        );
        return withZeros([...view.inputs, ...variables], gradients);
      },
      {
        ...settings,
        name: `the gradient of ${settings.name}`,
        donate: new Set(),
        cacheSize: 1,
        output: 'tensor',
      },
    );
    return entry.pullback;
  }

  #record({ entry, leaves, call }: Prepared, args: readonly unknown[], result: unknown): void {
    const isTensor = (x: unknown): x is tf.Tensor => x instanceof tf.Tensor;
    const outputs = flatten(result, isTensor).leaves.filter(isFloat);
    if (outputs.length === 0) return;
    const layout = layoutOf(args, this.settings);
    putOnTape({
      name: this.settings.name,
      leaves,
      smooth: entry.leaves.map(isFloat),
      variables: entry.variables.filter(isFloat),
      outputs,
      pullback: (kept, cotangents) =>
        this.#pullback(entry).call(
          [...layout.rebuild(kept as readonly tf.Tensor[]), cotangents],
          call.step,
        ) as tf.Tensor[],
    });
  }

  #finish({ entry, donation, typedArrays }: Prepared, results: TypedArray[]): unknown {
    const values = donation ? donation.settle(results) : results;
    if (typedArrays) return entry.structure.rebuild(values);
    const tensors = values.map((each, i) => wrapTensor(each, entry.outputs[i]));
    if (donation) donation.own(values);
    return entry.structure.rebuild(tensors);
  }
}

function drop(entry: Entry): void {
  entry.dropped = true;
  if (entry.running === 0) entry.loaded.dispose();
  entry.pullback?.dispose();
}

/** A tree with every number in it as a tensor: what a compiled function would have returned, inside a trace. */
export function asTensors(tree: unknown, what: string): unknown {
  const isLeaf = (x: unknown): x is tf.Tensor | number | boolean =>
    x instanceof tf.Tensor || typeof x === 'number' || typeof x === 'boolean';
  const { leaves, rebuild } = flatten(tree, isLeaf, what);
  return rebuild(
    leaves.map((leaf) =>
      leaf instanceof tf.Tensor ? leaf : tf.scalar(leaf, typeof leaf === 'boolean' ? 'bool' : 'float32'),
    ),
  );
}
