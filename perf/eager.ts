/** The other side of a rollout benchmark: the very same step, run eagerly by a tfjs backend for one particle at a time. */
import * as tf from '@tensorflow/tfjs';
import { fillBernoulli, fillIntegers, fillNormal, fillUniform, STREAMS } from '../src/random/index.js';
import type { Rng } from '../src/trace/rng.js';

/** Draws with numbers in them; `next` moves on to the next step. */
export function eagerRng(seed: number): Rng & { next(): void } {
  let step = 0;
  let draw = 0;
  const count = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);
  const counter = () => ({ seed, stream: STREAMS.step, step, draw: draw++ });
  return {
    normal(shape) {
      const values = new Float32Array(count(shape));
      fillNormal(values, counter());
      return tf.tensor(values, [...shape]);
    },
    uniform(shape, low = 0, high = 1) {
      const values = new Float32Array(count(shape));
      fillUniform(values, counter(), low, high);
      return tf.tensor(values, [...shape]);
    },
    integers(shape, low, high) {
      const values = new Int32Array(count(shape));
      fillIntegers(values, counter(), low, high);
      return tf.tensor(values, [...shape], 'int32');
    },
    bernoulli(shape, p) {
      const values = new Uint8Array(count(shape));
      fillBernoulli(values, counter(), p);
      return tf.tensor(values, [...shape], 'bool');
    },
    next() {
      step++;
      draw = 0;
    },
  };
}

type Tensors = { readonly [name: string]: tf.Tensor };

export interface EagerDefinition {
  readonly horizon: number;
  // biome-ignore lint/suspicious/noExplicitAny: any definition whose structures are flat objects can be run here.
  readonly init: (context: any) => Tensors;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly step: (context: any) => { readonly state: Tensors; readonly loss: tf.Tensor };
}

/**
 * Runs steps one after the other on the backend `name` for about `budget` seconds and returns steps per second. The loss of every step is
 * computed and its last value is read, so that nothing is left undone.
 */
export async function eagerRate(
  name: 'cpu' | 'wasm',
  definition: EagerDefinition,
  theta: Readonly<Record<string, number>>,
  data: Readonly<Record<string, { readonly values: Float32Array; readonly shape: readonly number[] }>>,
  budget: number,
): Promise<number> {
  await useBackend(name);
  const before = tf.memory().numTensors;
  const rng = eagerRng(1);
  const tensors = (entries: [string, tf.Tensor][]) => Object.fromEntries(entries);
  const context = {
    theta: tensors(Object.entries(theta).map(([key, value]) => [key, tf.scalar(value)])),
    data: tensors(
      Object.entries(data).map(([key, { values, shape }]) => [key, tf.tensor(values, [...shape])]),
    ),
    particle: tf.scalar(0, 'int32'),
    rng,
  };
  let state = tf.tidy(() => definition.init(context));
  let steps = 0;
  const began = performance.now();
  let elapsed = 0;
  while (elapsed < budget) {
    const t = steps % definition.horizon;
    rng.next();
    const result = tf.tidy(() => {
      const { state: next, loss } = definition.step({ ...context, state, t: tf.scalar(t, 'int32') });
      return { next, loss };
    });
    tf.dispose(state);
    state = result.next;
    steps++;
    if (steps % 16 === 0) elapsed = (performance.now() - began) / 1000;
    if (elapsed >= budget) result.loss.dataSync();
    result.loss.dispose();
  }
  elapsed = (performance.now() - began) / 1000;
  tf.dispose([state, context.theta, context.data, context.particle]);
  if (tf.memory().numTensors !== before) throw new Error('the eager run leaked tensors');
  return steps / elapsed;
}

/** Makes a tfjs backend the active one. */
export async function useBackend(name: 'cpu' | 'wasm'): Promise<void> {
  tf.env().set('PROD', true); // no advice about other backends on the console
  if (name === 'wasm') await import('@tensorflow/tfjs-backend-wasm');
  if (!(await tf.setBackend(name))) throw new Error(`the tfjs backend ${name} did not start`);
}
