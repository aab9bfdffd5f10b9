/** `bench -- rollout`: particle-steps a second of whole unrolls, against the same step run eagerly. */
import { availableParallelism } from 'node:os';
import { openDevice, type UnrollProgram } from '../src/index.js';
import { type EagerDefinition, eagerRate } from './eager.js';
import { fmaPeak } from './fma-peak.js';
import { compare, type Line, type Side, seconds } from './measure.js';
import { pythonPeers } from './peers.js';
import { MLP_64, MLP_784, networkData, networkFlops, networkTraining } from './problems/networks.js';
import { sevenOps, toyRegression } from './problems/small.js';

const UNIT = 'particle-steps/s';
/** Seconds of one round of an eager peer. */
const EAGER_SECONDS = 0.4;

export const ROLLOUT_CASES = ['mlp-sgd', 'toy-2d', 'vm', 'mlp-784'] as const;
export type RolloutCase = (typeof ROLLOUT_CASES)[number];

/** Runs one case; the lines of its comparisons. */
export function rollout(name: RolloutCase): Promise<Line[]> {
  switch (name) {
    case 'mlp-sgd':
      return mlpSgd();
    case 'toy-2d':
      return toy2d();
    case 'vm':
      return vm();
    case 'mlp-784':
      return mlp784();
  }
}

// biome-ignore lint/suspicious/noExplicitAny: any program can be timed.
type AnyProgram = UnrollProgram<any, any, any>;

/** A side that runs `steps` steps of all particles and returns a rate: particle-steps a second, times `work`. */
export function programSide(
  name: string,
  program: AnyProgram,
  theta: Readonly<Record<string, number | Float32Array>>,
  particles: number,
  steps: number,
  work = 1,
): Side {
  const state = program.createState(particles);
  return {
    name,
    measure: async () => {
      const began = performance.now();
      await program.run({ state, theta, steps, seed: 1 });
      return (1000 * work * particles * steps) / (performance.now() - began);
    },
  };
}

function eagerSides(
  definition: EagerDefinition,
  theta: Readonly<Record<string, number>>,
  data: Parameters<typeof eagerRate>[3] = {},
): Side[] {
  return (['cpu', 'wasm'] as const).map((backend) => ({
    name: `tfjs-${backend}`,
    measure: () => eagerRate(backend, definition, theta, data, EAGER_SECONDS),
  }));
}

/** One value per particle, spread evenly between two ends. */
function spread(particles: number, low: number, high: number): Float32Array {
  return Float32Array.from({ length: particles }, (_, i) => low + ((high - low) * i) / particles);
}

async function mlpSgd(): Promise<Line[]> {
  await using device = await openDevice('cpu');
  const definition = networkTraining(MLP_64);
  const data = networkData(MLP_64);
  const compileSeconds = await seconds(() => device.compile(definition, { data }).dispose());
  using program = device.compile(definition, { data });
  const particles = 4096;
  const theta = { logLearningRate: spread(particles, -6, -2) };
  const eager = eagerSides(
    definition as unknown as EagerDefinition,
    { logLearningRate: -4 },
    {
      x: { values: data.x, shape: [MLP_64.rows, MLP_64.inputs] },
      y: { values: data.y, shape: [MLP_64.rows, MLP_64.outputs] },
    },
  );
  const side = { ...programSide('unrolled', program, theta, particles, 50), compileSeconds };
  return await compare('rollout', 'mlp-sgd', UNIT, side, [
    ...eager,
    ...(await pythonPeers('rollout/mlp-sgd')),
  ]);
}

async function toy2d(): Promise<Line[]> {
  await using device = await openDevice('cpu');
  const definition = toyRegression();
  using program = device.compile(definition);
  const particles = 65_536;
  const theta = { logFirst: spread(particles, -4, 2), logLast: spread(particles, 2, -4) };
  const eager = eagerSides(definition as unknown as EagerDefinition, { logFirst: -4, logLast: -4 });
  const side = programSide('unrolled', program, theta, particles, 100);
  return await compare('rollout', 'toy-2d', UNIT, side, [...eager, ...(await pythonPeers('rollout/toy-2d'))]);
}

/** All threads against the eager peers, and one thread by itself: the rate of a core. */
async function vm(): Promise<Line[]> {
  const definition = sevenOps();
  const particles = 65_536;
  const theta = { start: spread(particles, 0, 1) };
  await using device = await openDevice('cpu');
  using program = device.compile(definition);
  const lines = await compare(
    'rollout',
    'vm',
    UNIT,
    programSide('unrolled', program, theta, particles, 1000),
    eagerSides(definition as unknown as EagerDefinition, { start: 0.5 }),
  );
  await using oneThread = await openDevice('cpu', { threads: 1 });
  using single = oneThread.compile(definition);
  const side = programSide('unrolled', single, theta, particles, 1000);
  return [...lines, ...(await compare('rollout', 'vm-1-thread', UNIT, side, []))];
}

/** GFLOP/s of the matrix products against the measured multiply-add limit: all threads, then one. */
async function mlp784(): Promise<Line[]> {
  const definition = networkTraining(MLP_784);
  const data = networkData(MLP_784);
  const particles = 64;
  const theta = { logLearningRate: spread(particles, -8, -4) };
  const gigaflops = networkFlops(MLP_784) / 1e9;
  const lines: Line[] = [];
  for (const threads of new Set([availableParallelism(), 1])) {
    await using device = await openDevice('cpu', { threads });
    using program = device.compile(definition, { data });
    const side = programSide('unrolled', program, theta, particles, 8, gigaflops);
    const peak = { name: 'fma-peak', measure: async () => fmaPeak(threads) };
    const name = threads === 1 ? 'mlp-784-1-thread' : 'mlp-784';
    const peers = threads === 1 ? [] : await pythonPeers('rollout/mlp-784');
    lines.push(...(await compare('rollout', name, 'GFLOP/s', side, [peak, ...peers])));
  }
  return lines;
}
