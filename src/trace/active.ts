/** The trace that is running, for functions that act differently inside one. */
import { engineAccess, Recorder } from './recorder.js';

/** The recorder of the innermost running trace; undefined outside of traces. */
export function activeTrace(): Recorder | undefined {
  const { backendInstance } = engineAccess();
  return backendInstance instanceof Recorder ? backendInstance : undefined;
}
