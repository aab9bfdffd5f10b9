/**
 * A compiled function under an eager gradient of tfjs (tf.grad, tf.variableGrads, optimizer.minimize): the call is one node on its tape, with a
 * compiled gradient. Without it the gradient would miss, in silence, all that flows through the call.
 */
import * as tf from '@tensorflow/tfjs';
import { engineAccess } from '../trace/recorder.js';

export interface TapedCall {
  readonly name: string;
  /** What stood at the leaves of the arguments. */
  readonly leaves: readonly unknown[];
  /** Which of them are float32. */
  readonly smooth: readonly boolean[];
  /** Captured float32 variables. */
  readonly variables: readonly tf.Variable[];
  /** The float32 results. */
  readonly outputs: readonly tf.Tensor[];
  /** Gradients by all smooth leaves, then by the variables. `kept` stands for the leaves, whose tensors may be gone by then. */
  pullback(kept: readonly unknown[], cotangents: readonly tf.Tensor[]): tf.Tensor[];
}

/** Records the call on the open tape. */
export function putOnTape({ name, leaves, smooth, variables, outputs, pullback }: TapedCall): void {
  const inputs: Record<string, tf.Tensor> = {};
  /** Place among the gradients, by input name. */
  const places = new Map<string, number>();
  let place = 0;
  leaves.forEach((leaf, i) => {
    if (!smooth[i]) return;
    if (leaf instanceof tf.Tensor) {
      inputs[`leaf${i}`] = leaf;
      places.set(`leaf${i}`, place);
    }
    place++;
  });
  variables.forEach((variable, i) => {
    inputs[`variable${i}`] = variable;
    places.set(`variable${i}`, place + i);
  });
  if (places.size === 0) return;
  // On the tape themselves, so that second derivatives find their way; tfjs disposes of what a node has saved.
  const kept = leaves.map((leaf) => (leaf instanceof tf.Tensor ? tf.keep(tf.clone(leaf)) : leaf));
  const gradient = (upstream: tf.Tensor | tf.Tensor[]) => {
    const gradients = pullback(kept, Array.isArray(upstream) ? upstream : [upstream]);
    return Object.fromEntries([...places].map(([input, at]) => [input, () => gradients[at]]));
  };
  const saved = kept.filter((leaf): leaf is tf.Tensor => leaf instanceof tf.Tensor);
  // Named so that no kernel's own gradient is found for it.
  engineAccess().addTapeNode(`compiled: ${name}`, inputs, [...outputs], gradient, saved, {});
}
