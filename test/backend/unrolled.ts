/** The backend under test, registered by this import. */
import * as tf from '@tensorflow/tfjs';
import { UnrolledBackend } from '../../src/backend/index.js';

/** Makes it the active one. */
export async function useUnrolled(): Promise<UnrolledBackend> {
  await tf.setBackend('unrolled');
  const backend = tf.backend();
  if (!(backend instanceof UnrolledBackend)) throw new TypeError('the active backend is another one');
  return backend;
}
