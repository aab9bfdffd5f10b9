/** A function loaded into the native engine. */
import { AbortedError, DisposedError, OptionError, ShapeError } from '../../errors.js';
import { type DType, sizeOf, type TypedArray } from '../../graph/graph.js';
import { describe } from '../../random/philox.js';
import type { FunctionCall, FunctionPlan, FunctionSpec, LeafSpec, LoadedFunction } from '../driver.js';
import { checkAlone, stepOf } from '../function-checks.js';
import { key, native, translated } from './calls.js';
import type { EngineHandle, FunctionHandle, NativeAddon, RunHandle } from './native.js';
import type { CpuFunctionPlan } from './plan-function.js';

type ArrayType = Float32ArrayConstructor | Int32ArrayConstructor | Uint8ArrayConstructor;
const ARRAYS: Readonly<Record<DType, ArrayType>> = {
  float32: Float32Array,
  int32: Int32Array,
  bool: Uint8Array,
};

/** What a call needs to know of one input or output, worked out once. */
interface Slot {
  readonly leaf: LeafSpec;
  readonly array: ArrayType;
  readonly size: number;
}

const slotsOf = (leaves: readonly LeafSpec[]): Slot[] =>
  leaves.map((leaf) => ({ leaf, array: ARRAYS[leaf.dtype], size: sizeOf(leaf.shape) }));

const NO_KEY = { key0: 0, key1: 0 };

export class CpuFunction implements LoadedFunction {
  readonly #inputs: readonly Slot[];
  readonly #outputs: readonly Slot[];
  /** Inputs that an output may be written over. */
  readonly #donated: readonly boolean[];
  #handle: FunctionHandle | null;

  constructor(
    private readonly addon: NativeAddon,
    engine: EngineHandle,
    readonly spec: FunctionSpec,
    private readonly planned: CpuFunctionPlan,
    private readonly onDispose: (fn: CpuFunction) => void,
  ) {
    this.#inputs = slotsOf(spec.inputs);
    this.#outputs = slotsOf(spec.outputs);
    const donated = spec.inputs.map(() => false);
    for (const [input] of spec.donations ?? []) donated[input] = true;
    this.#donated = donated;
    const own = spec.outputs.filter((_, o) => planned.writtenOver[o] < 0);
    const bools = Uint8Array.from([...spec.inputs, ...own], ({ dtype }) => Number(dtype === 'bool'));
    this.#handle = native(() => addon.loadFunction(engine, planned.words, planned.constants, bools));
  }

  callSync(call: FunctionCall): TypedArray[] {
    const handle = this.#use();
    const externals = this.#checkedInputs(call.inputs);
    const outputs = this.#outputArrays(call, externals);
    const { key0, key1 } = call.seed === undefined ? NO_KEY : key(call.seed);
    try {
      this.addon.callFunction(handle, externals, key0, key1, stepOf(call));
    } catch (error) {
      throw translated(error);
    }
    return this.#finished(call, outputs);
  }

  async call(call: FunctionCall, signal?: AbortSignal): Promise<TypedArray[]> {
    const handle = this.#use();
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw new OptionError(`signal must be an AbortSignal, got ${describe(signal)}`);
    const given = this.#checkedInputs(call.inputs);
    if (signal?.aborted) throw new AbortedError(signal.reason, false);
    const inputs = given.map((array, i) => (this.#donated[i] ? array : array.slice()));
    const externals = inputs.slice();
    const outputs = this.#outputArrays({ ...call, inputs }, externals);
    const { key0, key1 } = call.seed === undefined ? NO_KEY : key(call.seed);
    const run = native(() => this.addon.callFunctionAsync(handle, externals, key0, key1, stepOf(call)));
    try {
      await this.#settled(run, signal);
    } catch (error) {
      if ((error as { code?: string }).code === 'ERR_ABORTED')
        throw new AbortedError(
          signal?.reason,
          'the call was aborted by its signal; donated inputs and arrays for outputs may be partly written',
        );
      throw translated(error);
    }
    return this.#finished({ ...call, inputs }, outputs);
  }

  plan(): FunctionPlan {
    this.#use();
    const { text, buffers, arenaWords, flops } = this.planned;
    return { device: 'cpu', text, buffers, arenaBytes: 4 * arenaWords, flops };
  }

  dispose(): void {
    if (this.#handle === null) return;
    this.addon.dispose(this.#handle);
    this.#handle = null;
    this.onDispose(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #use(): FunctionHandle {
    if (this.#handle === null) throw new DisposedError('this function');
    return this.#handle;
  }

  async #settled(
    run: { readonly handle: RunHandle; readonly promise: Promise<void> },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const cancel = () => this.addon.cancel(run.handle);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      await run.promise;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** A new list of the inputs, each of the right kind and length. */
  #checkedInputs(inputs: readonly TypedArray[]): TypedArray[] {
    const slots = this.#inputs;
    if (!Array.isArray(inputs) || inputs.length !== slots.length)
      throw new ShapeError(`the function has ${slots.length} inputs, got ${describeList(inputs)}`);
    const list: TypedArray[] = [];
    for (let i = 0; i < slots.length; i++) {
      const array = inputs[i] as TypedArray;
      check('input', slots[i], array);
      list.push(array);
    }
    return list;
  }

  /** The arrays that outputs go to; those with an external of their own are appended to `externals`, which holds the inputs. */
  #outputArrays(call: FunctionCall, externals: TypedArray[]): TypedArray[] {
    const slots = this.#outputs;
    const { into } = call;
    const outputs: TypedArray[] = [];
    for (let o = 0; o < slots.length; o++) {
      const slot = slots[o];
      const given = into?.[o];
      if (given !== undefined) {
        check('into', slot, given);
        checkAlone(this.spec, call, o);
      }
      const over = this.planned.writtenOver[o];
      const array = over >= 0 ? call.inputs[over] : (given ?? new slot.array(slot.size));
      outputs.push(array);
      if (over >= 0) continue;
      // A donated input that the plan could not write over, given as the output's array all the same: written apart, copied in the end.
      const isInput = given !== undefined && call.inputs.includes(given);
      if (isInput) outputs[o] = new slot.array(slot.size);
      externals.push(outputs[o]);
    }
    return outputs;
  }

  /** Moves what was computed elsewhere to the arrays that the caller gave. */
  #finished(call: FunctionCall, outputs: TypedArray[]): TypedArray[] {
    const { into } = call;
    if (into === undefined) return outputs;
    for (let o = 0; o < outputs.length; o++) {
      const given = into[o];
      if (given === undefined || given === outputs[o]) continue;
      given.set(outputs[o]);
      outputs[o] = given;
    }
    return outputs;
  }
}

function check(what: string, { leaf, array, size }: Slot, value: TypedArray) {
  if (!(value instanceof array))
    throw new OptionError(
      `${what} "${leaf.path}" must be a ${array.name} (${leaf.dtype}), got ${describe(value)}`,
    );
  if (value.length !== size)
    throw new ShapeError(
      `${what} "${leaf.path}" must hold ${size} elements ([${leaf.shape}]), got ${value.length}`,
    );
}

function describeList(value: unknown): string {
  return Array.isArray(value) ? String(value.length) : describe(value);
}
