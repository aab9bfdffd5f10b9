/** What stands in the backend's place where the native addon cannot be loaded: everything says why. */
import * as tf from '@tensorflow/tfjs';
import type { DeviceError } from '../errors.js';

/** tfjs turns errors of a backend's factory into a warning and a false; so the factory gives this, and the first kernel's set-up throws. */
export class UnavailableBackend extends tf.KernelBackend {
  constructor(readonly reason: DeviceError) {
    super();
  }

  override write(): never {
    throw this.reason;
  }

  /** tfjs asks before it runs a kernel. */
  override numDataIds(): never {
    throw this.reason;
  }

  override readSync(): never {
    throw this.reason;
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override dispose(): void {}
}
