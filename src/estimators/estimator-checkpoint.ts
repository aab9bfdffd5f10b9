/** Estimator states as bytes: the inner states and the estimator's own arrays in one checkpoint. */
import { CheckpointError } from '../errors.js';
import {
  type CheckpointArray,
  decodeCheckpoint,
  encodeCheckpoint,
  snapshotArrays,
} from '../transform/checkpoint.js';
import type { EstimatorState } from './estimator.js';
import { checkUsable, type ProgramOf } from './runs.js';

/**
 * The bytes of a state. `name` is the estimator's; `settings` are what must be the same to go on (a changed
 * truncation would read accumulators wrongly); `particles` counts the inner states; `arrays` are the
 * estimator's own.
 */
export async function saveEstimator<Theta, S>(
  program: ProgramOf<Theta, S>,
  name: string,
  settings: string,
  particles: number,
  state: EstimatorState,
  arrays: Readonly<Record<string, CheckpointArray>>,
): Promise<Uint8Array> {
  checkUsable(program, particles, state);
  const own = Object.entries({ t: state.t, ...arrays }).map(([key, values]) => [`estimator.${key}`, values]);
  return encodeCheckpoint({
    kind: name,
    fingerprint: program.fingerprint,
    numbers: { seed: state.seed, update: state.update, step: state.step, settings },
    arrays: {
      ...snapshotArrays(program.loaded.spec.state, await state.inner.driver.export()),
      ...Object.fromEntries(own),
    },
  });
}

/**
 * The inverse: the common part of a state, and the estimator's own arrays by name. Rejects with
 * CheckpointError.
 */
export async function restoreEstimator<Theta, S>(
  program: ProgramOf<Theta, S>,
  name: string,
  settings: string,
  bytes: Uint8Array,
  lengths: Readonly<Record<string, number>>,
): Promise<{ state: EstimatorState<S>; own: Record<string, CheckpointArray> }> {
  const { numbers, arrays } = decodeCheckpoint(bytes, name, program.fingerprint);
  if (numbers.settings !== settings) {
    throw new CheckpointError(
      `the checkpoint was made with ${numbers.settings}, this estimator has ${settings}`,
    );
  }
  const own: Record<string, CheckpointArray> = {};
  for (const [key, length] of Object.entries(lengths)) {
    const values = arrays[`estimator.${key}`];
    if (values?.length !== length) {
      throw new CheckpointError(
        `the checkpoint is damaged: "${key}" has ${values?.length ?? 'no'} elements, wanted ${length}`,
      );
    }
    own[key] = values;
  }
  const { seed, update, step } = numbers as Record<string, number>;
  const inner = await program.restoreState(arrays, step);
  return { state: { inner, seed, update, step, t: own.t as Int32Array }, own };
}
