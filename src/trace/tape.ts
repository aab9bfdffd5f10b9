/**
 * Second derivatives that are right, while a trace runs.
 *
 * tfjs 4.22 differentiates by replaying a tape of ops. An op whose gradient needs its own output (exp, sigmoid, tanh, softmax, elu,
 * pow) saves a clone of that output, and the clone is written to the tape before the op itself. The search for what depends
 * on x goes through the tape in order, so it meets the clone before it knows that the output depends on x, and drops that
 * path: the second derivative of exp(x) is "no path from x to y", that of x exp(x) is silently short of one term. `customGrad`
 * (which tf.losses.softmaxCrossEntropy and tf.logSoftmax use) runs its forward pass without a tape, so that whatever it
 * saves counts as constant, with the same result.
 *
 * Inside a trace a clone of an output goes after its op, and a custom gradient's forward pass is taped: what it saves depends on x by the
 * ordinary rules, and the output itself by the custom one. First derivatives are what they were.
 */
import type * as tf from '@tensorflow/tfjs';
import { type KernelCall, runComplex } from './complex.js';
import { withAllInputs } from './optional-inputs.js';
import {
  type CustomCall,
  type EngineAccess,
  engineAccess,
  type Recorder,
  type TapeNode,
} from './recorder.js';

/** A kept clone, on the tape once: tfjs's clone() writes itself there, and expects to be called from inside a kernel. */
function keptClone(engine: EngineAccess, x: tf.Tensor): tf.Tensor {
  engine.state.kernelDepth++;
  try {
    return engine.keep(engine.clone(x));
  } finally {
    engine.state.kernelDepth--;
  }
}

/** Moves the clones that the last node of the tape saved of its own outputs behind it. */
function clonesAfterOutput(tape: TapeNode[], saved: number): void {
  const node = tape.pop()!;
  const outputs = new Set(node.outputs.map((t) => t.id));
  const clones = tape.splice(Math.max(0, tape.length - saved));
  const ofOutput = (clone: TapeNode) => Object.values(clone.inputs).some((t) => outputs.has(t.id));
  tape.push(...clones.filter((c) => !ofOutput(c)), node, ...clones.filter(ofOutput));
}

/** The forward pass of a custom gradient, taped, and its results as the outputs of one node with the custom rule. */
function runCustom(
  engine: EngineAccess,
  recorder: Recorder,
  call: CustomCall,
): ReturnType<CustomCall['forwardFunc']> {
  const taped = engine.isTapeOn();
  const originals: tf.Tensor[] = [];
  const saved: tf.Tensor[] = [];
  const save = (tensors: tf.Tensor[]) => {
    if (!taped) return;
    originals.push(...tensors);
    saved.push(...tensors.map((t) => keptClone(engine, t)));
  };
  const value = call.forwardFunc(recorder, save);
  if (!taped) return value;
  const values = Array.isArray(value) ? value : [value];
  // The same nodes of the graph under new tensors, which the tape knows by the custom rule only.
  const outputs = values.map((v) => recorder.tensor(recorder.node(v)));
  engine.addTapeNode('customGrad', call.inputs, outputs, call.backwardsFunc, saved, {});
  originals.forEach((t, i) => {
    const at = values.findIndex((v) => v.id === t.id);
    if (at >= 0) saved[i] = keptClone(engine, outputs[at]);
  });
  return Array.isArray(value) ? outputs : outputs[0];
}

/** Runs `f` with the engine's tape mended as above, and complex tensors in parts (complex.ts); the engine's own methods are back afterwards. */
export function withTraceTape<T>(recorder: Recorder, f: () => T): T {
  const engine = engineAccess();
  const own = engine as unknown as Record<string, unknown>;
  const before = ['addTapeNode', 'runKernelFunc'].map(
    (name) => [name, Object.getOwnPropertyDescriptor(engine, name)] as const,
  );
  const { addTapeNode, runKernelFunc } = engine;
  try {
    own.addTapeNode = (...args: Parameters<EngineAccess['addTapeNode']>) => {
      addTapeNode.apply(engine, args);
      const { activeTape } = engine.state;
      if (activeTape) clonesAfterOutput(activeTape, args[4].length);
    };
    own.runKernelFunc = (call: object) =>
      'forwardFunc' in call
        ? runCustom(engine, recorder, call as CustomCall)
        : (runComplex(engine, recorder, call as KernelCall) ??
          runKernelFunc.call(engine, engine.isTapeOn() ? withAllInputs(call as KernelCall) : call));
    return f();
  } finally {
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(engine, name, descriptor);
      else delete own[name];
    }
  }
}
