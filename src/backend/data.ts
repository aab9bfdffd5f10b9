/** What stands behind a tensor of this backend. */
import type * as tf from '@tensorflow/tfjs';
import type { TypedArray } from '../graph/graph.js';

/** The tensors that a complex64 tensor consists of: float32, each holding one reference to its data. */
export interface ComplexParts {
  readonly real: tf.TensorInfo;
  readonly imag: tf.TensorInfo;
}

/** Numbers, or the UTF-8 bytes of strings. */
export type Values = TypedArray | Uint8Array[];

/** The data of one or more tensors; it is its own handle (`dataId`). */
export class Data {
  /** Tensors (and complex tensors) that share it; at 0 it is gone. */
  references = 1;
  /** Set for complex64 only; the name is that of tfjs's own backends, whose kernels look for it. */
  complexTensorInfos: ComplexParts | undefined = undefined;

  constructor(
    /** Of a complex64 tensor: empty. */
    public values: Values,
    public dtype: tf.DataType,
    /** Whether the array is ours alone, so that it may be used again when this is gone. */
    public recyclable: boolean,
  ) {}
}
