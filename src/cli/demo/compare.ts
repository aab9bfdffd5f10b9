/** Many fresh training runs with given settings, to see what the settings are worth. */
import type { Device } from '../../index.js';
import type { Problem } from './problem.js';
import type { Evaluation, Settings } from './result.js';
import { estimateMean } from './statistics.js';
import { comparisonUnroll, HORIZON, toTheta, trainingData } from './training.js';

export interface CompareOptions {
  /** Training runs per setting. */
  readonly runs: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** One setting's runs: the summary, and the final loss of each run. */
export interface ComparedRuns {
  readonly evaluation: Evaluation;
  readonly finalLosses: Float64Array;
}

/**
 * Trains `runs` networks with each of the settings, on the training rows, and measures them on the validation rows. Run i begins with the same
 * weights and sees the same minibatches under each of the settings, so that the differences between them can be taken run by run.
 */
export async function compareSettings(
  device: Device,
  problem: Problem,
  settings: readonly Settings[],
  { runs, seed, signal }: CompareOptions,
): Promise<ComparedRuns[]> {
  using program = device.compile(comparisonUnroll(problem), {
    data: trainingData(problem, problem.validation),
  });
  const results: ComparedRuns[] = [];
  for (const each of settings) {
    using state = program.createState(runs);
    const { losses, metrics } = await program.run({
      state,
      theta: toTheta(each),
      steps: HORIZON,
      seed,
      record: 'perStep',
      signal,
    });
    if (!losses) throw new Error('losses per step were asked for');
    const finalLosses = Float64Array.from(losses.subarray((HORIZON - 1) * runs));
    const curve = Array.from({ length: HORIZON }, (_, t) => {
      const step = losses.slice(t * runs, (t + 1) * runs).sort();
      const quantile = (share: number) => step[Math.round(share * (runs - 1))];
      const mean = step.reduce((sum, loss) => sum + loss, 0) / runs;
      return { step: t + 1, mean, low: quantile(0.025), high: quantile(0.975) };
    });
    results.push({
      evaluation: { loss: estimateMean(finalLosses), accuracy: estimateMean(metrics.accuracy.last), curve },
      finalLosses,
    });
  }
  return results;
}
