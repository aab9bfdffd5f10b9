/**
 * The length of one trace: the recorder is tfjs's active backend, hidden sources of randomness and side effects are refused, and
 * afterwards, also after a throw, everything is as it was.
 */
import * as tf from '@tensorflow/tfjs';
import { TraceError } from '../errors.js';
import { callSite } from './frames.js';
import { withTraceGradients } from './gradients.js';
import { recordingBackendName } from './kernels.js';
import { engineAccess, Recorder, runningOps } from './recorder.js';
import { RANDOM_OPS, refuseRandomness } from './refusals.js';
import { withTraceTape } from './tape.js';

function refuseSideEffect(op: string): never {
  const what =
    op === 'assign'
      ? 'assigning to a variable while tracing: the trace runs once and the variable would never change again; return the new value as state instead'
      : 'creating a variable while tracing: a trace has no variables of its own; create models and variables before and capture them, or return the value as state';
  throw new TraceError(op, what, callSite().frame);
}

function refuseMathRandom(): never {
  const op = runningOps().find((name) => RANDOM_OPS.has(name));
  throw refuseRandomness(op ?? 'Math.random');
}

/** Refuses Math.random, variable.assign and new variables while `f` runs. tfjs keeps its own code: properties are set and set back. */
function withGuards<T>(f: () => T): T {
  const engine = engineAccess();
  const prototype = tf.Variable.prototype as { assign: unknown };
  const { assign } = prototype;
  const ownMakeVariable = Object.getOwnPropertyDescriptor(engine, 'makeVariable');
  const { random } = Math;
  try {
    Math.random = refuseMathRandom;
    prototype.assign = () => refuseSideEffect('assign');
    engine.makeVariable = () => refuseSideEffect('variable');
    return f();
  } finally {
    Math.random = random;
    prototype.assign = assign;
    if (ownMakeVariable) Object.defineProperty(engine, 'makeVariable', ownMakeVariable);
    else delete (engine as { makeVariable?: unknown }).makeVariable;
  }
}

/** Runs `f` with a fresh recorder as the active backend, outside any tape or scope that is open around it. */
function withRecorder<T>(f: (recorder: Recorder) => T): T {
  const name = recordingBackendName();
  const engine = engineAccess();
  const { backendName, backendInstance, pendingBackendInit, state } = engine;
  const { scopeStack, activeScope, gradientDepth, activeTape, kernelDepth, profiling } = state;
  // In debug mode tfjs reads the result of every kernel.
  const { flags } = tf.env() as unknown as { flags: Record<string, unknown> };
  const debug = Object.getOwnPropertyDescriptor(flags, 'DEBUG');
  const recorder = new Recorder();
  try {
    flags.DEBUG = false;
    Object.assign(state, {
      scopeStack: [],
      activeScope: undefined,
      gradientDepth: 0,
      activeTape: undefined,
      kernelDepth: 0,
      profiling: false,
    });
    engine.backendName = name;
    engine.backendInstance = recorder;
    engine.pendingBackendInit = null;
    engine.startScope('trace');
    return f(recorder);
  } finally {
    Object.assign(state, { scopeStack, activeScope, gradientDepth, activeTape, kernelDepth, profiling });
    engine.backendName = backendName;
    engine.backendInstance = backendInstance;
    engine.pendingBackendInit = pendingBackendInit;
    recorder.finish();
    if (debug) Object.defineProperty(flags, 'DEBUG', debug);
    else delete flags.DEBUG;
  }
}

/** Runs `f` as a trace. `f` must be synchronous; what it leaves alive on the recorder is disposed. */
export function withTrace<T>(f: (recorder: Recorder) => T): T {
  return withRecorder((recorder) =>
    withGuards(() => withTraceGradients(() => withTraceTape(recorder, () => f(recorder)))),
  );
}
