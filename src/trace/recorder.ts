/**
 * A tfjs backend that computes nothing: every tensor it holds stands for a node of the graph being recorded.
 *
 * tfjs gives each kernel a backend and tensor handles (`dataId`s) and takes handles back; the recorder maps handles to nodes.
 * Handles of other backends that reach a kernel are tensors captured from outside: their values become constants, read where
 * they lie.
 */
import * as tf from '@tensorflow/tfjs';
import { TraceError, UnsupportedOpError } from '../errors.js';
import type { DType, Shape } from '../graph/graph.js';
import { sameShape } from '../graph/infer.js';
import { Emitter } from './emitter.js';
import { callSite } from './frames.js';
import { graphDType } from './lower/lowering.js';
import { RANDOM_OPS, refuseRandomness, refuseRead } from './refusals.js';
import type { Rng } from './rng.js';

/** The tensors that a complex64 tensor of a trace consists of: float32, of its shape. */
export interface ComplexParts {
  readonly real: tf.Tensor;
  readonly imag: tf.Tensor;
}

/** A handle of ours: the node it stands for, or the two tensors, and who still holds it. */
interface Entry {
  readonly content: number | ComplexParts;
  readonly dtype: DType | 'complex64';
  readonly size: number;
  references: number;
  tensor: tf.Tensor | undefined;
}

interface Capture {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly node: number;
}

/** One op on tfjs's gradient tape. */
export interface TapeNode {
  readonly inputs: Readonly<Record<string, tf.Tensor>>;
  readonly outputs: readonly tf.Tensor[];
}

/** A call of a function made by tf.customGrad, or of one of ours, which may have several outputs (and then takes a list of dys). */
export interface CustomCall {
  readonly inputs: Record<string, tf.Tensor>;
  forwardFunc(backend: tf.KernelBackend, save: (tensors: tf.Tensor[]) => void): tf.Tensor | tf.Tensor[];
  readonly backwardsFunc: (
    dy: tf.Tensor & tf.Tensor[],
    saved: tf.Tensor[],
  ) => Record<string, () => tf.Tensor>;
}

/** The parts of tfjs's engine that a trace works with: fields that its types keep private or leave out. */
export interface EngineState {
  scopeStack: { name: string }[];
  activeScope: { name: string } | null | undefined;
  gradientDepth: number;
  activeTape: TapeNode[] | null | undefined;
  kernelDepth: number;
  profiling: boolean;
  tensorInfo: WeakMap<object, { backend: tf.KernelBackend }>;
}

export interface EngineAccess {
  state: EngineState;
  backendName: string | null | undefined;
  backendInstance: tf.KernelBackend | null | undefined;
  pendingBackendInit: unknown;
  makeTensorFromTensorInfo(info: tf.TensorInfo, backend: tf.KernelBackend): tf.Tensor;
  makeVariable: unknown;
  addTapeNode(
    kernel: string,
    inputs: Record<string, tf.Tensor>,
    outputs: tf.Tensor[],
    gradient: unknown,
    saved: tf.Tensor[],
    attributes: object,
  ): void;
  runKernelFunc(call: object): unknown;
  isTapeOn(): boolean;
  clone(x: tf.Tensor): tf.Tensor;
  keep(x: tf.Tensor): tf.Tensor;
  disposeTensor(tensor: Pick<tf.Tensor, 'dataId' | 'dtype' | 'size'>): void;
  startScope(name: string): void;
}

/** The engine shared by every user of tfjs in this process. */
export function engineAccess(): EngineAccess {
  return tf.engine() as unknown as EngineAccess;
}

const OP_SUFFIX = '__op';

/** Names of the tfjs ops that are running, outermost first. */
export function runningOps(): string[] {
  return engineAccess()
    .state.scopeStack.map((scope) => scope.name)
    .filter((name) => name.endsWith(OP_SUFFIX))
    .map((name) => name.slice(0, -OP_SUFFIX.length));
}

export class Recorder extends tf.KernelBackend {
  readonly emitter = new Emitter();
  /** Set by an asynchronous read, which cannot throw where the user would see it; the trace ends with it. */
  pendingError: TraceError | undefined;
  /** The draws of this trace: one numbering, whoever makes them. */
  rng: Rng | undefined;
  /** How many there have been. */
  draws = 0;
  /** Where given, a variable captured from outside becomes an input of the graph, read at every call; listed in that order. */
  variables: tf.Variable[] | undefined;
  /** Where given, every tensor captured from outside becomes an input of the graph; listed in that order. */
  captures: tf.Tensor[] | undefined;
  readonly #entries = new Map<object, Entry>();
  readonly #captures = new Map<object, Capture[]>();
  readonly #complexCaptures = new Map<object, ComplexParts>();
  readonly #variables = new Map<tf.Variable, number>();
  /** By tensor, not by data: two tensors of the same data may have different gradients. */
  readonly #inputs = new Map<number, number>();
  #finished = false;

  /** A tensor that stands for a node. */
  tensor(node: number): tf.Tensor {
    if (this.#finished) {
      throw new TraceError(
        'rng',
        'this trace is over: a function or rng of it must not be used later',
        callSite().frame,
      );
    }
    return this.#tensor(this.#hold(node), this.emitter.shape(node), this.emitter.dtype(node));
  }

  /** A complex64 tensor of two float32 tensors of one shape, which it disposes with itself. */
  complexTensor(real: tf.Tensor, imag: tf.Tensor): tf.Tensor {
    const dataId = {};
    this.#entries.set(dataId, {
      content: { real, imag },
      dtype: 'complex64',
      size: real.size,
      references: 1,
      tensor: undefined,
    });
    return this.#tensor(dataId, real.shape, 'complex64');
  }

  #tensor(dataId: object, shape: Shape, dtype: tf.DataType): tf.Tensor {
    const tensor = engineAccess().makeTensorFromTensorInfo({ dataId, shape: shape.slice(), dtype }, this);
    this.#entries.get(dataId)!.tensor = tensor;
    // tfjs's own rules (logSigmoid's) hold on to what they are a gradient of. A scope around it may be over when a further derivative asks for
    // it, so scopes leave the tensors of a trace alone: they hold no memory, and `finish` gives up all of them.
    tensor.kept = true;
    return tensor;
  }

  /** The node behind a tensor: one of this trace, or a constant for a tensor from outside. */
  node(info: tf.TensorInfo): number {
    const content = this.#entries.get(info.dataId)?.content;
    if (typeof content === 'number') return content;
    if (content || info.dtype === 'complex64') {
      const message =
        'a complex64 tensor cannot be a result of a trace, or an operand here; take tf.real(x) and tf.imag(x)';
      throw new UnsupportedOpError('complex', message, callSite().frame);
    }
    return this.#capture(info);
  }

  /** Real and imaginary parts of a complex64 tensor: one of this trace, or one from outside, whose values become constants. */
  parts(info: tf.TensorInfo): ComplexParts {
    const content = this.#entries.get(info.dataId)?.content ?? this.#complexCaptures.get(info.dataId);
    if (typeof content === 'object') return content;
    const values = Array.from(this.#readOutside(info));
    const part = (which: 0 | 1) => {
      const of = values.filter((_, i) => i % 2 === which);
      return engineAccess().keep(this.tensor(this.emitter.constant(of, info.shape, 'float32')));
    };
    const parts = { real: part(0), imag: part(1) };
    this.#complexCaptures.set(info.dataId, parts);
    return parts;
  }

  #hold(node: number): object {
    const dataId = {};
    const shape = this.emitter.shape(node);
    const size = shape.reduce((n, d) => n * d, 1);
    this.#entries.set(dataId, {
      content: node,
      dtype: this.emitter.dtype(node),
      size,
      references: 1,
      tensor: undefined,
    });
    return dataId;
  }

  #capture(info: tf.TensorInfo): number {
    const dtype = graphDType(info.dtype);
    if (!dtype) {
      const message = `a captured tensor of dtype ${info.dtype} cannot be traced; use float32, int32 or bool`;
      throw new UnsupportedOpError('capture', message, callSite().frame);
    }
    if (this.captures && info instanceof tf.Tensor) return this.#input(this.captures, info, dtype);
    // Not by its data, which an ordinary tensor may share: that one is a constant.
    if (this.variables && info instanceof tf.Variable) return this.#variable(this.variables, info, dtype);
    const known = this.#captures.get(info.dataId) ?? [];
    const same = known.find((c) => c.dtype === dtype && sameShape(c.shape, info.shape));
    if (same) return same.node;
    const node = this.emitter.constant(this.#readOutside(info), info.shape, dtype);
    this.#captures.set(info.dataId, [...known, { shape: info.shape.slice(), dtype, node }]);
    return node;
  }

  #input(captures: tf.Tensor[], tensor: tf.Tensor, dtype: DType): number {
    const known = this.#inputs.get(tensor.id);
    if (known !== undefined) return known;
    if (tensor.isDisposed) this.#readOutside(tensor);
    const node = this.emitter.builder.input('value', `captured.${captures.length}`, tensor.shape, dtype);
    captures.push(tensor);
    this.#inputs.set(tensor.id, node);
    return node;
  }

  #variable(variables: tf.Variable[], variable: tf.Variable, dtype: DType): number {
    const known = this.#variables.get(variable);
    if (known !== undefined) return known;
    if (variable.isDisposed) this.#readOutside(variable);
    // Two variables may share a name; the number tells them apart.
    const path = `captured.${variables.length}.${variable.name}`;
    variables.push(variable);
    const node = this.emitter.builder.input('value', path, variable.shape, dtype);
    this.#variables.set(variable, node);
    return node;
  }

  #readOutside(info: tf.TensorInfo): ArrayLike<number> {
    const where = engineAccess().state.tensorInfo.get(info.dataId);
    const shape = `[${info.shape.join(',')}]`;
    if (!where) {
      throw new TraceError(
        'capture',
        `a captured tensor of shape ${shape} has been disposed`,
        callSite().frame,
      );
    }
    if (where.backend instanceof Recorder) {
      const message = `a tensor of shape ${shape} belongs to another trace and has no value here; pass it in as an input`;
      throw new TraceError('capture', message, callSite().frame);
    }
    try {
      return where.backend.readSync(info.dataId) as ArrayLike<number>;
    } catch (cause) {
      const message = `the value of a captured tensor of shape ${shape} cannot be read from its backend at once; await its data() before, and capture tf.tensor(values) on the cpu backend`;
      throw new TraceError('capture', message, callSite().frame, { cause });
    }
  }

  /** Gives up every tensor of the trace that is still alive, so that tf.memory() is as it was. */
  finish(): void {
    const engine = engineAccess();
    for (const [dataId, entry] of [...this.#entries]) {
      // A kept tensor that outlives the trace answers later uses with tfjs's own "Tensor is disposed".
      entry.tensor?.dispose();
      while (this.#entries.has(dataId)) {
        engine.disposeTensor({ dataId, dtype: entry.dtype, size: entry.size });
      }
    }
    this.#finished = true;
    this.#captures.clear();
    this.#complexCaptures.clear();
  }

  // ---- what tfjs calls ----

  override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): object {
    const random = runningOps().find((op) => RANDOM_OPS.has(op));
    if (random) throw refuseRandomness(random);
    const known = graphDType(dtype);
    if (!known) {
      const message = `a tensor of dtype ${dtype} cannot be traced; use float32, int32 or bool`;
      throw new UnsupportedOpError('tensor', message, callSite().frame);
    }
    return this.#hold(this.emitter.constant(values as ArrayLike<number>, shape, known));
  }

  override readSync(): never {
    throw refuseRead();
  }

  override read(): Promise<never> {
    // tfjs's data() is async, so a throw here would be a rejection that nobody awaits. The promise stays open instead.
    this.pendingError ??= refuseRead();
    return new Promise(() => {});
  }

  override readToGPU(): never {
    throw refuseRead();
  }

  override disposeData(dataId: object, force = false): boolean {
    const entry = this.#entries.get(dataId);
    if (!entry) return true;
    entry.references--;
    if (entry.references > 0 && !force) return false;
    this.#entries.delete(dataId);
    if (typeof entry.content === 'object') {
      entry.content.real.dispose();
      entry.content.imag.dispose();
    }
    return true;
  }

  override incRef(dataId: object): void {
    const entry = this.#entries.get(dataId);
    if (entry) entry.references++;
  }

  override refCount(dataId: object): number {
    return this.#entries.get(dataId)?.references ?? 0;
  }

  override numDataIds(): number {
    return this.#entries.size;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: false };
  }

  override timerAvailable(): boolean {
    return false;
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override dispose(): void {}
}
