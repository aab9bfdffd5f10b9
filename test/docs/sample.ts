/** A call of a tfjs op on sample arguments, and what a trace makes of it. */
import type { Fn, Input } from '../trace/inputs.js';

export interface Sample {
  readonly fn: Fn;
  readonly inputs: readonly Input[];
  /** The error of a trace, where there is one. */
  readonly refused?: 'ERR_TRACE' | 'ERR_UNSUPPORTED_OP';
}

/** A call that a trace records. Complex results as their parts. */
export const sample = (fn: Fn, ...inputs: Input[]): Sample => ({ fn, inputs });

/** A call that a trace refuses: what it asks for does not exist while tracing. */
export const refusedTrace = (fn: Fn, ...inputs: Input[]): Sample => ({ fn, inputs, refused: 'ERR_TRACE' });

/** A call that no core ops can express. */
export const unsupported = (fn: Fn, ...inputs: Input[]): Sample => ({
  fn,
  inputs,
  refused: 'ERR_UNSUPPORTED_OP',
});
