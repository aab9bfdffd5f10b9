/** `bench -- jit`: one copy at training size, compiled; and what a call of a tiny compiled function costs. */

import { availableParallelism } from 'node:os';
import * as tf from '@tensorflow/tfjs';
import { jit } from '../src/index.js';
import { useBackend } from './eager.js';
import { fmaPeak } from './fma-peak.js';
import { compare, type Line, type Side, seconds } from './measure.js';
import { pythonPeers } from './peers.js';
import {
  batchOf,
  CNN_BATCH,
  cnnState,
  cnnStep,
  MLP_BATCH,
  MLP_FLOPS,
  mlpState,
  mlpStep,
  twentyOps,
} from './problems/training.js';

export const JIT_CASES = ['mlp-train', 'cnn-train', 'dispatch'] as const;
export type JitCase = (typeof JIT_CASES)[number];

/** Seconds of one round. */
const ROUND_SECONDS = 0.4;

/** Runs one case; the lines of its comparisons. */
export async function jitCase(name: JitCase): Promise<Line[]> {
  await useBackend('cpu');
  switch (name) {
    case 'mlp-train':
      return mlpTrain();
    case 'cnn-train':
      return cnnTrain();
    case 'dispatch':
      return dispatch();
  }
}

/** Repeats `work`, each time worth so much, for a round; work a second. */
function rate(name: string, worth: number, work: () => void, compileSeconds?: number): Side {
  return {
    name,
    compileSeconds,
    measure: async () => {
      const began = performance.now();
      let done = 0;
      let elapsed = 0;
      while (elapsed < ROUND_SECONDS) {
        work();
        done++;
        elapsed = (performance.now() - began) / 1000;
      }
      return (done * worth) / elapsed;
    },
  };
}

interface Step<S> {
  readonly state: S;
  readonly loss: tf.Scalar;
}

/** The same training step compiled, its state given up to its results, and eagerly on tfjs cpu. */
async function training<S extends tf.TensorContainer>(
  step: (state: S, x: tf.Tensor, y: tf.Tensor) => Step<S>,
  state: () => S,
  { x, y }: { readonly x: tf.Tensor; readonly y: tf.Tensor },
  worth: number,
): Promise<[Side, Side]> {
  const compiled = jit(step as (...args: unknown[]) => unknown, { donate: [0] }) as unknown as typeof step;
  let mine = state();
  const run = () => {
    const { state: next, loss } = compiled(mine, x, y);
    mine = next;
    loss.dispose();
  };
  const first = await seconds(run);
  const again = await seconds(run);
  let theirs = state();
  const eager = () => {
    const { state: next, loss } = tf.tidy(() => step(theirs, x, y) as never) as Step<S>;
    tf.dispose(theirs);
    theirs = next;
    loss.dispose();
  };
  return [rate('unrolled', worth, run, first - again), rate('tfjs-cpu', worth, eager)];
}

async function mlpTrain(): Promise<Line[]> {
  const [mine, eager] = await training(
    mlpStep as never,
    mlpState as never,
    batchOf(MLP_BATCH, [784], 10),
    MLP_FLOPS / 1e9,
  );
  const threads = availableParallelism();
  const peak = { name: 'fma-peak', measure: async () => fmaPeak(threads) };
  return compare('jit', 'mlp-train', 'GFLOP/s', mine, [eager, peak, ...(await pythonPeers('jit/mlp-train'))]);
}

async function cnnTrain(): Promise<Line[]> {
  // A step takes tfjs cpu half a minute: one round of it.
  const [mine, slow] = await training(
    cnnStep as never,
    cnnState as never,
    batchOf(CNN_BATCH, [28, 28, 1], 10),
    1,
  );
  const eager = { ...slow, rounds: 1 };
  return compare('jit', 'cnn-train', 'steps/s', mine, [eager, ...(await pythonPeers('jit/cnn-train'))]);
}

async function dispatch(): Promise<Line[]> {
  const compiled = jit(twentyOps);
  const x = tf.scalar(0.5);
  const mine = rate('unrolled', 1, () => compiled(x).dispose());
  const eager = rate('tfjs-cpu', 1, () => tf.tidy(() => twentyOps(x).dispose()));
  const calls = await compare('jit', 'dispatch', 'calls/s', mine, [
    eager,
    ...(await pythonPeers('jit/dispatch')),
  ]);
  const [{ value }] = calls;
  return [
    ...calls,
    {
      suite: 'jit',
      case: 'dispatch-time',
      unit: 'us a call',
      value: 1e6 / value,
      peer: 'mark',
      peerValue: 15,
      ratio: 15 / (1e6 / value),
    },
  ];
}
