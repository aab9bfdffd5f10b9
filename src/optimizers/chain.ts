/** Parts that combine into optimizers. */
import * as tf from '@tensorflow/tfjs';
import { OptionError } from '../errors.js';
import { describe } from '../random/philox.js';
import type { TensorTree } from '../transform/leaf.js';
import type { Schedule } from './schedules.js';
import {
  checkScalar,
  type GradientTransformation,
  mapTensors,
  type ScalarLike,
  tensorsOf,
  transformation,
} from './transformation.js';

/**
 * Applies transformations one after the other: each gets the updates of the one before as its gradients. Its
 * state is the list of their states. Throws OptionError when a part is no transformation.
 *
 *     const optimizer = chain(clipByGlobalNorm(1), adam({ learningRate: 1e-2 }));
 */
export function chain(...parts: readonly GradientTransformation[]): GradientTransformation {
  parts.forEach((part, i) => {
    if (typeof part?.init !== 'function' || typeof part.update !== 'function') {
      throw new OptionError(`part ${i} of chain must be a gradient transformation, got ${describe(part)}`);
    }
  });
  return transformation({
    init: (params) => parts.map((part) => part.init(params)),
    update: (grads, state, params) => {
      let updates: TensorTree = grads;
      const next = parts.map((part, i) => {
        const result = part.update(updates, (state as readonly TensorTree[])[i], params);
        updates = result.updates;
        return result.state;
      });
      return { updates, state: next };
    },
  });
}

/**
 * updates = gradient * min(1, maxNorm / |gradient|), the norm taken over all leaves. Throws OptionError
 * unless maxNorm is a scalar.
 */
export function clipByGlobalNorm(maxNorm: ScalarLike): GradientTransformation {
  const limit = checkScalar(maxNorm, 'maxNorm');
  if (typeof limit === 'number' && !(limit > 0))
    throw new OptionError(`maxNorm must be positive, got ${limit}`);
  return transformation({
    init: () => ({}),
    update: (grads, state) => {
      const leaves = tensorsOf(grads);
      if (leaves.length === 0) return { updates: grads, state };
      const norm = tf.sqrt(tf.addN(leaves.map((g) => tf.sum(tf.square(g)))));
      const factor = tf.div(limit, tf.maximum(norm, limit));
      return { updates: mapTensors((g) => tf.mul(g, factor), grads), state };
    },
  });
}

/**
 * updates = gradient * schedule(number of updates made before). State: the count. Throws OptionError unless
 * `schedule` is a function.
 */
export function scaleBySchedule(schedule: Schedule): GradientTransformation {
  if (typeof schedule !== 'function')
    throw new OptionError(`schedule must be a function, got ${describe(schedule)}`);
  return transformation({
    init: () => ({ count: tf.scalar(0, 'int32') }),
    update: (grads, state) => {
      const { count } = state as { readonly count: tf.Tensor };
      const factor = schedule(count);
      return {
        updates: mapTensors((g) => tf.mul(g, factor), grads),
        state: { count: tf.add(count, tf.scalar(1, 'int32')) },
      };
    },
  });
}
