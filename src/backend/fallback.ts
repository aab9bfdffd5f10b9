/** Kernels that have no program run on the cpu code of tfjs, on the same arrays, and are counted. */
import * as tf from '@tensorflow/tfjs';
import { UnsupportedOpError } from '../errors.js';
import type { UnrolledBackend } from './backend.js';
import type { Data } from './data.js';
import type { KernelFunction } from './kernels.js';

/** The members of tfjs's cpu backend that its kernels use, on the data of ours. */
class CpuAdapter {
  readonly blockSize = 48;
  readonly data = {
    get: (dataId: object): Data => {
      const data = this.backend.dataOf(dataId);
      // The kernel may put the array into its result.
      data.recyclable = false;
      return data;
    },
  };

  constructor(private readonly backend: UnrolledBackend) {}

  write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    return this.backend.write(values, shape, dtype);
  }

  makeTensorInfo(
    shape: number[],
    dtype: tf.DataType,
    values?: tf.backend_util.BackendValues | string[],
  ): tf.TensorInfo {
    return this.backend.makeTensorInfo(shape, dtype, values);
  }

  readSync(dataId: object): tf.backend_util.BackendValues {
    return this.backend.readSync(dataId);
  }

  bufferSync({ dataId, shape, dtype }: tf.TensorInfo): tf.TensorBuffer<tf.Rank, tf.DataType> {
    const values = this.readSync(dataId);
    const decoded =
      dtype === 'string' ? (values as Uint8Array[]).map((bytes) => tf.util.decodeString(bytes)) : values;
    return tf.buffer(shape, dtype, decoded as never);
  }

  incRef(dataId: object): void {
    this.backend.incRef(dataId);
  }

  disposeData(dataId: object, force?: boolean): boolean {
    return this.backend.disposeData(dataId, force);
  }

  disposeIntermediateTensorInfo({ dataId }: tf.TensorInfo): void {
    this.backend.disposeData(dataId);
  }
}

const adapters = new WeakMap<UnrolledBackend, CpuAdapter>();

/** The kernel of tfjs's cpu backend; undefined where it has none. */
export function fallback(kernel: string): KernelFunction | undefined {
  if (!tf.getKernel(kernel, 'cpu')) return undefined;
  return (backend, inputs, attributes) => {
    const cpu = tf.getKernel(kernel, 'cpu');
    if (!cpu)
      throw new UnsupportedOpError(kernel, `the cpu backend of tfjs no longer has the kernel ${kernel}`);
    let adapter = adapters.get(backend);
    if (!adapter) {
      adapter = new CpuAdapter(backend);
      adapters.set(backend, adapter);
    }
    backend.countFallback(kernel);
    return cpu.kernelFunc({
      inputs: inputs as tf.NamedTensorInfoMap,
      attrs: attributes as tf.NamedAttrMap,
      backend: adapter,
    });
  };
}
