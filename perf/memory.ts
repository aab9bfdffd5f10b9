/** `bench -- memory`: what a thousand repeated calls leave behind in the resident set. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openDevice, pes } from '../src/index.js';
import type { Line } from './measure.js';
import { MLP_64, networkData, networkTraining } from './problems/networks.js';

const CALLS = 1000;
/** Calls before the first reading: thread pool, arenas and compiled code are there by then. */
const WARM_UP = 1000;
/** A growth below this is the allocator's own noise. */
const LIMIT_MIB = 8;

function residentMiB(collect: () => void): number {
  collect();
  return process.memoryUsage().rss / 2 ** 20;
}

/** Resident set after `CALLS` calls against that before them, both after a collection; MiB, the ratio is limit / growth. */
async function growth(name: string, call: (i: number) => Promise<void>, collect: () => void): Promise<Line> {
  for (let i = 0; i < WARM_UP; i++) await call(i);
  const before = residentMiB(collect);
  for (let i = 0; i < CALLS; i++) await call(WARM_UP + i);
  const value = Math.max(residentMiB(collect) - before, 0.01);
  const ratio = LIMIT_MIB / value;
  return { suite: 'memory', case: name, unit: 'MiB', value, peer: 'limit-8MiB', peerValue: LIMIT_MIB, ratio };
}

/** Growth of the resident set over a thousand rollouts, exports, and estimates. */
export async function memory(): Promise<Line[]> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  await using device = await openDevice('cpu');
  using program = device.compile(networkTraining(MLP_64), { data: networkData(MLP_64) });
  using state = program.createState(64);
  const theta = { logLearningRate: -4 };
  const lines = [
    await growth(
      'rollouts',
      async (i) => {
        await program.run({ state, theta, steps: 5, seed: i });
      },
      collect,
    ),
    await growth(
      'new-states',
      async () => {
        using fresh = program.createState(64);
        await program.run({ state: fresh, theta, steps: 1, seed: 1 });
        await fresh.export();
      },
      collect,
    ),
  ];
  const estimator = pes(program, { particles: 64, sigma: 0.1, truncation: 5 });
  let estimate = estimator.init(theta, { seed: 1 });
  const estimates = await growth(
    'estimates',
    async () => {
      estimate = (await estimator.step(theta, estimate)).state;
    },
    collect,
  );
  estimate.inner.dispose();
  return [...lines, estimates];
}
