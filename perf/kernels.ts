/** `bench -- kernels`: single kernels through the smallest program that has them, on one thread, timed by the benchmark package. */
import * as tf from '@tensorflow/tfjs';
import Benchmark from 'benchmark';
import { type Device, defineUnroll, openDevice, shape } from '../src/index.js';
import { fillNormal, fillUniform, STREAMS } from '../src/random/index.js';
import { fmaPeak } from './fma-peak.js';
import { compare, type Line, type Side } from './measure.js';

const PARTICLES = 4096;

/** A side timed by the benchmark package: `work` units per call of the asynchronous `run`. */
function timed(name: string, work: number, run: () => Promise<unknown> | undefined): Side {
  return {
    name,
    measure: () =>
      new Promise<number>((resolve, reject) => {
        const benchmark = new Benchmark(name, {
          defer: true,
          maxTime: 0.2,
          minSamples: 3,
          fn: (deferred: { resolve(): void }) => {
            Promise.resolve(run()).then(() => deferred.resolve(), reject);
          },
          onComplete: () => resolve(benchmark.hz * work),
          onError: () => reject(benchmark.error),
        });
        benchmark.run({ async: true });
      }),
  };
}

/** Runs every kernel case on one thread. */
export async function kernels(): Promise<Line[]> {
  await using device = await openDevice('cpu', { threads: 1 });
  return [...(await products(device)), ...(await draws(device)), ...(await functions(device))];
}

interface ProductCase {
  readonly name: string;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  /** Which operand differs between particles; the other one is data that all share. */
  readonly own: 'right' | 'both';
  readonly transposeLeft?: boolean;
}

/** The shapes of a training step of a 64-32-10 network with 16 rows, of a larger one, and odd ones. */
const PRODUCTS: readonly ProductCase[] = [
  { name: 'matmul-16x64x32-shared', m: 16, k: 64, n: 32, own: 'right' },
  { name: 'matmul-16x32x10', m: 16, k: 32, n: 10, own: 'both' },
  { name: 'matmul-32x16x10-transposed', m: 32, k: 16, n: 10, own: 'both', transposeLeft: true },
  { name: 'matmul-32x784x128-shared', m: 32, k: 784, n: 128, own: 'right' },
  { name: 'matmul-3x17x5', m: 3, k: 17, n: 5, own: 'both' },
];

async function products(device: Device): Promise<Line[]> {
  const lines: Line[] = [];
  for (const { name, m, k, n, own, transposeLeft = false } of PRODUCTS) {
    const left: [number, number] = transposeLeft ? [k, m] : [m, k];
    // Operands change a little at every step, or the product would be computed once and kept.
    const definition = defineUnroll({
      horizon: 1 << 20,
      theta: { unused: shape() },
      data: { left: shape(...left) },
      init: ({ rng, data }) => ({
        right: rng.normal([k, n], { share: 'particle' }),
        left: own === 'both' ? data.left.add(rng.normal([1], { share: 'particle' })) : tf.zeros([1]),
      }),
      step: ({ state, data }) => {
        const a = own === 'both' ? state.left : data.left;
        const product = tf.matMul(a as tf.Tensor2D, state.right as tf.Tensor2D, transposeLeft, false);
        const next = {
          right: state.right.mul(0.999),
          left: own === 'both' ? state.left.mul(0.999) : state.left,
        };
        return { state: next, loss: product.sum() };
      },
    });
    using program = device.compile(definition, { data: { left: values(m * k) } });
    const particles = k * n > 10_000 ? 64 : PARTICLES;
    using state = program.createState(particles);
    const work = (2 * m * k * n * particles * 10) / 1e9;
    const ours = timed('unrolled', work, () =>
      program.run({ state, theta: { unused: 0 }, steps: 10, seed: 1 }),
    );
    const peak = { name: 'fma-peak', measure: async () => fmaPeak(1) };
    lines.push(...(await compare('kernels', name, 'GFLOP/s', ours, [peak])));
  }
  return lines;
}

/** Random numbers a second, against the same Philox in TypeScript. */
async function draws(device: Device): Promise<Line[]> {
  const definition = (distribution: 'uniform' | 'normal') =>
    defineUnroll({
      horizon: 1 << 20,
      theta: { unused: shape() },
      init: () => ({ x: tf.zeros([64]) }),
      step: ({ rng }) => {
        const share = { share: 'particle' } as const;
        const x = distribution === 'uniform' ? rng.uniform([64], 0, 1, share) : rng.normal([64], share);
        return { state: { x }, loss: x.sum() };
      },
    });
  const lines: Line[] = [];
  for (const distribution of ['uniform', 'normal'] as const) {
    using program = device.compile(definition(distribution));
    using state = program.createState(PARTICLES);
    const out = new Float32Array(1 << 16);
    const counter = { seed: 1, stream: STREAMS.user, step: 0, draw: 0 };
    lines.push(
      ...(await compare(
        'kernels',
        `philox-${distribution}`,
        'numbers/s',
        timed('unrolled', 64 * PARTICLES * 10, () =>
          program.run({ state, theta: { unused: 0 }, steps: 10, seed: 1 }),
        ),
        [
          timed('typescript', out.length, () => {
            if (distribution === 'uniform') fillUniform(out, counter);
            else fillNormal(out, counter);
            return undefined;
          }),
        ],
      )),
    );
  }
  return lines;
}

type Unary = {
  readonly name: string;
  readonly op: (x: tf.Tensor) => tf.Tensor;
  readonly js: (x: number) => number;
};

const FUNCTIONS: readonly Unary[] = [
  { name: 'exp', op: (x) => tf.exp(x), js: Math.exp },
  { name: 'log', op: (x) => tf.log(x.abs().add(0.1)), js: (x) => Math.log(Math.abs(x) + 0.1) },
  { name: 'tanh', op: (x) => tf.tanh(x), js: Math.tanh },
  { name: 'sin', op: (x) => tf.sin(x), js: Math.sin },
  { name: 'softmax-16x10', op: (x) => tf.softmax(x.reshape([16, 10])).reshape([160]), js: Math.exp },
];

/** Elementary functions a second, against a plain JavaScript loop over a typed array. */
async function functions(device: Device): Promise<Line[]> {
  const lines: Line[] = [];
  const size = 160;
  for (const { name, op, js } of FUNCTIONS) {
    const definition = defineUnroll({
      horizon: 1 << 20,
      theta: { unused: shape() },
      init: ({ rng }) => ({ x: rng.normal([size], { share: 'particle' }) }),
      step: ({ state }) => {
        const y = op(state.x);
        return { state: { x: y.mul(-0.9) }, loss: tf.scalar(0) };
      },
    });
    using program = device.compile(definition);
    using state = program.createState(PARTICLES);
    const input = values(1 << 16);
    const out = new Float32Array(input.length);
    const ours = timed('unrolled', size * PARTICLES * 10, () =>
      program.run({ state, theta: { unused: 0 }, steps: 10, seed: 1 }),
    );
    const loop = timed('javascript', out.length, () => {
      for (let i = 0; i < out.length; i++) out[i] = js(input[i]);
      return undefined;
    });
    lines.push(
      ...(await compare('kernels', name, 'elements/s', ours, name.startsWith('softmax') ? [] : [loop])),
    );
  }
  return lines;
}

function values(n: number): Float32Array {
  const out = new Float32Array(n);
  fillNormal(out, { seed: 2, stream: STREAMS.user, step: 0, draw: 0 });
  return out;
}
