/** Registration with tfjs. */
import * as tf from '@tensorflow/tfjs';
import { DeviceError } from '../errors.js';
import { LOWERINGS } from '../trace/kernels.js';
import { functionDevice } from '../transform/default-device.js';
import { BACKEND_NAME, UnrolledBackend } from './backend.js';
import { kernelFunction } from './kernels.js';
import type { Attributes, Inputs } from './programs.js';
import { UnavailableBackend } from './unavailable.js';

/** Below tfjs's own backends: it runs only when it is asked for. */
const PRIORITY = 0;

/** Kernels of tfjs's cpu backend and of the trace. */
export function backendKernels(): string[] {
  const ofCpu = tf.getKernelsForBackend('cpu').map(({ kernelName }) => kernelName);
  return [...new Set([...ofCpu, ...Object.keys(LOWERINGS)])].sort();
}

function open(): tf.KernelBackend {
  try {
    return new UnrolledBackend(functionDevice('cpu').driver);
  } catch (error) {
    if (error instanceof DeviceError) return new UnavailableBackend(error);
    throw error;
  }
}

/** tfjs runs this at the end of `tf.setBackend`, whose promise rejects with what it throws. */
function refuseUnavailable(backend: unknown): void {
  if (backend instanceof UnavailableBackend) throw backend.reason;
}

/** Registers the backend and its kernels, once. */
export function registerUnrolledBackend(): void {
  if (tf.findBackendFactory(BACKEND_NAME)) return;
  for (const kernelName of backendKernels()) {
    const run = kernelFunction(kernelName);
    tf.registerKernel({
      kernelName,
      backendName: BACKEND_NAME,
      setupFunc: kernelName === 'Identity' ? refuseUnavailable : undefined,
      kernelFunc: ({ inputs, attrs, backend }) =>
        run(backend as UnrolledBackend, inputs as Inputs, (attrs ?? {}) as Attributes),
    });
  }
  tf.registerBackend(BACKEND_NAME, open, PRIORITY);
}
