/** The eager tfjs backend: tensors are typed arrays of this process, kernels are native functions. */
import { totalmem } from 'node:os';
import * as tf from '@tensorflow/tfjs';
import type { DeviceDriver } from '../device/driver.js';
import type { DType, TypedArray } from '../graph/graph.js';
import { graphDType } from '../trace/lower/lowering.js';
import { Data, type Values } from './data.js';
import { ArrayPool } from './pool.js';
import { KernelPrograms, type ProgramCounts } from './programs.js';

/** The name under which the backend is registered. */
export const BACKEND_NAME = 'unrolled';

const PROGRAMS = 2048;
const POOL_BYTES = Math.min(2 ** 30, totalmem() / 8);

const NOTHING = new Float32Array(0);

/** A kernel that ran on the cpu code of tfjs, and how often. */
export interface Fallback {
  readonly kernel: string;
  readonly calls: number;
}

export interface BackendMemory {
  readonly unreliable: boolean;
  /** Bytes of arrays that are kept for later tensors; no tensor holds them. */
  readonly pooledBytes: number;
}

/** Owned by tfjs's engine, which makes it at `tf.setBackend('unrolled')`; `tf.backend()` returns it. */
export class UnrolledBackend extends tf.KernelBackend {
  /** What it runs on: instruction level and threads. */
  readonly description: string;
  /** Used by the kernels only. */
  readonly programs: KernelPrograms;
  readonly #pool = new ArrayPool(POOL_BYTES);
  /** Data of tensors that another backend made. */
  readonly #foreign = new WeakMap<object, Data>();
  readonly #fallbacks = new Map<string, number>();
  #count = 0;

  constructor(driver: DeviceDriver) {
    super();
    this.description = driver.description;
    this.programs = new KernelPrograms(driver, this.#pool, PROGRAMS);
  }

  /** Kernels that ran on tfjs's own cpu code since the start (or since `clearFallbacks`), the most frequent first. */
  fallbacks(): Fallback[] {
    return [...this.#fallbacks]
      .map(([kernel, calls]) => ({ kernel, calls }))
      .sort((a, b) => b.calls - a.calls || (a.kernel < b.kernel ? -1 : 1));
  }

  clearFallbacks(): void {
    this.#fallbacks.clear();
  }

  /** Compiled programs: one for each kernel, attributes, input shapes and dtypes. */
  compiled(): ProgramCounts {
    return this.programs.counts;
  }

  // ---- for the kernels ----

  countFallback(kernel: string): void {
    this.#fallbacks.set(kernel, (this.#fallbacks.get(kernel) ?? 0) + 1);
  }

  /** The data of a tensor, moved here if it lies on another backend. */
  dataOf(dataId: object): Data {
    if (dataId instanceof Data && dataId.references > 0) return dataId;
    const known = this.#foreign.get(dataId);
    if (known) return known;
    (tf.engine() as unknown as tf.DataMover).moveData(this, dataId);
    return this.#local(dataId) as Data;
  }

  /** The numbers of a tensor of the graph's dtypes. */
  valuesOf(dataId: object): TypedArray {
    return this.dataOf(dataId).values as TypedArray;
  }

  /** A tensor of numbers, on an array that nobody else holds. */
  own(values: TypedArray, shape: number[], dtype: DType): tf.TensorInfo {
    this.#count++;
    return { dataId: new Data(values, dtype, true), shape, dtype };
  }

  /** An array for `own`, with any contents. */
  take(dtype: DType, size: number): TypedArray {
    return this.#pool.take(dtype, size);
  }

  /** Another tensor of the same data. */
  share({ dataId, dtype }: tf.TensorInfo, shape: number[]): tf.TensorInfo {
    this.dataOf(dataId).references++;
    return { dataId, shape, dtype };
  }

  /** A complex64 tensor, which takes over one reference to each part. */
  complex(real: tf.TensorInfo, imag: tf.TensorInfo): tf.TensorInfo {
    this.#count++;
    const data = new Data(NOTHING, 'complex64', false);
    data.complexTensorInfos = { real, imag };
    return { dataId: data, shape: real.shape, dtype: 'complex64' };
  }

  /** A tensor of values that somebody else may hold, in any form that tfjs's cpu kernels give. */
  makeTensorInfo(
    shape: number[],
    dtype: tf.DataType,
    values?: tf.backend_util.BackendValues | string[],
  ): tf.TensorInfo {
    return { dataId: this.write(values as tf.backend_util.BackendValues, shape, dtype), shape, dtype };
  }

  // ---- what tfjs calls ----

  override write(values: tf.backend_util.BackendValues, _: number[], dtype: tf.DataType): object {
    this.#count++;
    return new Data(storedValues(values, dtype), dtype, false);
  }

  override move(
    dataId: object,
    values: tf.backend_util.BackendValues,
    shape: number[],
    dtype: tf.DataType,
    references: number,
  ): void {
    const data = dataId instanceof Data ? dataId : new Data(NOTHING, dtype, false);
    data.dtype = dtype;
    data.references = references;
    data.recyclable = false;
    data.complexTensorInfos = undefined;
    if (dtype === 'complex64') {
      const { real, imag } = tf.backend_util.splitRealAndImagArrays(values as Float32Array);
      data.complexTensorInfos = {
        real: this.own(real, shape, 'float32'),
        imag: this.own(imag, shape, 'float32'),
      };
    } else data.values = storedValues(values, dtype);
    if (data !== dataId) this.#foreign.set(dataId, data);
    this.#count++;
  }

  /** The array of the tensor itself: it is not used again when the tensor is gone. For complex64, real and imaginary parts in turn. */
  override readSync(dataId: object): tf.backend_util.BackendValues {
    const data = this.dataOf(dataId);
    if (data.complexTensorInfos) {
      const { real, imag } = data.complexTensorInfos;
      const parts = [real, imag].map((part) => this.valuesOf(part.dataId) as Float32Array);
      return tf.backend_util.mergeRealAndImagArrays(parts[0], parts[1]);
    }
    data.recyclable = false;
    return data.values as tf.backend_util.BackendValues;
  }

  override async read(dataId: object): Promise<tf.backend_util.BackendValues> {
    return this.readSync(dataId);
  }

  override disposeData(dataId: object, force = false): boolean {
    const data = this.#local(dataId);
    if (!data) return true;
    data.references--;
    if (data.references > 0 && !force) return false;
    data.references = 0;
    this.#count--;
    if (data !== dataId) this.#foreign.delete(dataId);
    const parts = data.complexTensorInfos;
    if (parts) {
      this.disposeData(parts.real.dataId);
      this.disposeData(parts.imag.dataId);
    } else if (data.recyclable) this.#pool.give(data.dtype as DType, data.values as TypedArray);
    data.values = NOTHING;
    data.recyclable = false;
    return true;
  }

  override incRef(dataId: object): void {
    this.dataOf(dataId).references++;
  }

  decRef(dataId: object): void {
    const data = this.#local(dataId);
    if (data) data.references--;
  }

  override refCount(dataId: object): number {
    return this.#local(dataId)?.references ?? 0;
  }

  override numDataIds(): number {
    return this.#count;
  }

  override memory(): BackendMemory {
    return { unreliable: false, pooledBytes: this.#pool.bytes };
  }

  override async time(f: () => void): Promise<{ kernelMs: number }> {
    const begun = performance.now();
    f();
    return { kernelMs: performance.now() - begun };
  }

  override timerAvailable(): boolean {
    return true;
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override dispose(): void {
    this.programs.dispose();
    this.#pool.clear();
  }

  /** The data of a tensor that lies here. */
  #local(dataId: object): Data | undefined {
    if (dataId instanceof Data) return dataId.references > 0 ? dataId : undefined;
    return this.#foreign.get(dataId);
  }
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;

/** Values in the form in which they are held: the array of the dtype, the same one where it is one already. */
function storedValues(values: tf.backend_util.BackendValues | string[], dtype: tf.DataType): Values {
  const known = graphDType(dtype);
  if (!known) {
    if (dtype !== 'string') return NOTHING;
    const strings = values as (string | Uint8Array)[];
    return strings.map((text) => (typeof text === 'string' ? tf.util.encodeString(text) : text));
  }
  const array = ARRAYS[known];
  if (values instanceof array) return values;
  return array.from(Array.from(values as unknown as ArrayLike<number>, Number));
}
