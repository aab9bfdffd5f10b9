/** Ops of our own among those of tfjs: recording a core op that tfjs lacks, and ops with gradient rules of their own. */
import * as tf from '@tensorflow/tfjs';
import type { Op } from '../graph/graph.js';
import type { TypeHint } from '../graph/infer.js';
import { activeTrace } from './active.js';
import { type CustomCall, engineAccess } from './recorder.js';

/**
 * Records `op` on these tensors in the trace that is running; `hint` as in `GraphBuilder.add`. The tape knows nothing of the result: see
 * `customOp`. Throws ShapeError when the inputs do not fit, TypeError outside of a trace (see `activeTrace`).
 */
export function recordOp(op: Op, inputs: readonly tf.Tensor[], hint?: TypeHint): tf.Tensor {
  const recorder = activeTrace();
  if (!recorder) throw new TypeError(`'${op.name}' can only be recorded while a trace runs`);
  const nodes = inputs.map((x) => recorder.node(x));
  return recorder.tensor(recorder.emitter.builder.add(op, nodes, hint));
}

/**
 * Outputs of `forward`, differentiated by `backward` and by nothing else, eagerly and inside traces. `backward` may itself be differentiated:
 * it must compute with the `inputs` that it is given (not with those of the closure, which may be gone by then) and with ops whose
 * gradients are right. tf.customGrad is the same for one output.
 *
 * @param forward makes new tensors; eagerly, its intermediate ones are disposed
 * @param backward cotangents of the outputs (zeros where nothing flows) -> those of the inputs, new tensors; undefined means zero
 */
export function customOp(
  inputs: readonly tf.Tensor[],
  forward: () => tf.Tensor[],
  backward: (dys: readonly tf.Tensor[], inputs: readonly tf.Tensor[]) => readonly (tf.Tensor | undefined)[],
): tf.Tensor[] {
  const call: CustomCall = {
    inputs: Object.fromEntries(inputs.map((x, i) => [i, x])),
    forwardFunc: (_, save) => {
      save([...inputs]);
      return forward();
    },
    backwardsFunc: (dys, saved) => {
      const gradients = backward(Array.isArray(dys) ? dys : [dys], saved);
      return Object.fromEntries(
        inputs.map((x, i) => [i, () => gradients[i] ?? tf.zeros(x.shape, 'float32')]),
      );
    },
  };
  return engineAccess().runKernelFunc(call) as tf.Tensor[];
}

/** Runs `f` unseen by the tape: what it computes counts as constant when gradients are taken. */
export function untaped<T>(f: () => T): T {
  const { state } = engineAccess();
  state.kernelDepth++;
  try {
    return f();
  } finally {
    state.kernelDepth--;
  }
}
