/** `bench -- event-loop`: for how long the event loop stands still while a rollout keeps every core busy. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openDevice } from '../src/index.js';
import { interleaved, type Line } from './measure.js';
import { MLP_64, networkData, networkTraining } from './problems/networks.js';

const SECONDS = 5;
const LIMIT_MS = 10;

/** Runs `work` and returns the longest stall in milliseconds: the larger of what a 1 ms timer saw and what Node's own monitor saw. */
async function longestStall(work: () => Promise<unknown>): Promise<number> {
  const monitor = monitorEventLoopDelay({ resolution: 1 });
  let last = performance.now();
  let longest = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 1);
    last = now;
  }, 1);
  monitor.enable();
  try {
    await work();
  } finally {
    monitor.disable();
    clearInterval(timer);
  }
  return Math.max(longest, monitor.max / 1e6 - 1);
}

/**
 * The longest stall during a rollout of about five seconds (one call, with progress events), against the limit that it must keep and
 * against an idle loop, which shows what the machine itself adds. The ratios are peer / ours: higher is better.
 */
export async function eventLoop(): Promise<Line[]> {
  await using device = await openDevice('cpu');
  const definition = networkTraining(MLP_64);
  using program = device.compile(definition, { data: networkData(MLP_64) });
  const particles = 4096;
  using state = program.createState(particles);
  const run = (steps: number) =>
    program.run({ state, theta: { logLearningRate: -4 }, steps, seed: 1, onProgress: () => {} });
  const began = performance.now();
  await run(50);
  const steps = Math.max(50, Math.round((50 * SECONDS * 1000) / (performance.now() - began)));

  let worst = 0;
  const [stall, idle] = await interleaved([
    {
      name: 'unrolled',
      measure: async () => {
        const longest = await longestStall(() => run(steps));
        worst = Math.max(worst, longest);
        return longest;
      },
    },
    { name: 'idle', measure: () => longestStall(() => new Promise((resolve) => setTimeout(resolve, 1000))) },
  ]);
  const line = (name: string, value: number, peer: string, peerValue: number): Line => ({
    suite: 'event-loop',
    case: name,
    unit: 'ms',
    value,
    peer,
    peerValue,
    ratio: peerValue / value,
  });
  return [
    line('longest-stall', stall, 'limit-10ms', LIMIT_MS),
    line('longest-stall', stall, 'idle', idle),
    line('longest-stall-of-all-rounds', worst, 'limit-10ms', LIMIT_MS),
  ];
}
