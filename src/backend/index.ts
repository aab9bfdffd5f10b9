/**
 * `unrolled/tfjs-backend`: an eager tfjs backend on the native engine. Importing it registers the backend under the name 'unrolled', with a
 * priority below tfjs's own, and does nothing else; `await tf.setBackend('unrolled')` opens it, and rejects with a DeviceError that says why
 * where there is no native addon.
 */
import { registerUnrolledBackend } from './register.js';

export { type BackendMemory, type Fallback, UnrolledBackend } from './backend.js';
export type { ProgramCounts } from './programs.js';

registerUnrolledBackend();
