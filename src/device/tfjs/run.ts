/** One run: particles in chunks, each chunk through all steps, with losses and metrics collected on the host. */
import type { MetricRecord, RunResult } from '../driver.js';
import { Chunk, Levels, type RunSetup } from './chunk.js';

/** The arrays of a run's results, zeroed. */
export function emptyResult({ spec, request }: RunSetup): RunResult {
  const { steps, record } = request;
  const { particles } = request.state;
  const every = () => (record === 'perStep' ? new Float32Array(steps * particles) : undefined);
  const metrics: Record<string, MetricRecord> = {};
  for (const name of spec.metrics) {
    metrics[name] = {
      sums: new Float64Array(particles),
      last: new Float32Array(particles),
      perStep: every(),
    };
  }
  return {
    lossSums: new Float64Array(2 * particles),
    firstSteps: new Int32Array(particles),
    losses: every(),
    metrics,
  };
}

/** Runs all chunks. Called inside a stretch and ends inside one, also when it throws after AbortedError. No tensor outlives it. */
export async function runChunks(setup: RunSetup): Promise<RunResult> {
  const result = emptyResult(setup);
  const { particles } = setup.request.state;
  const call = new Levels();
  try {
    for (let first = 0; first < particles; first += setup.chunk) {
      const chunk = new Chunk(setup, result, call, {
        first,
        count: Math.min(setup.chunk, particles - first),
        pairs: setup.request.antithetic ? particles / 2 : 0,
      });
      try {
        await chunk.run();
      } finally {
        chunk.dispose();
      }
    }
    return result;
  } finally {
    call.dispose();
  }
}
