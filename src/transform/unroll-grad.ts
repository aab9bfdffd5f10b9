/** Backpropagation through runs of many particles, whole or truncated. */
import { OptionError } from '../errors.js';
import { checkInteger, checkKeys } from '../options.js';
import { describe } from '../random/philox.js';
import { flatten } from '../trace/structure.js';
import type { ValuesOf } from './leaf.js';
import { type RunOptions, UnrollProgram } from './program.js';
import type { Checkpoints, UnrollGradient } from './reverse.js';

export interface UnrollGradOptions {
  /** Steps of one call, at least 1. */
  readonly steps: number;
  /** Steps that gradients flow back through: the run is cut into windows of so many. Default: all of them. */
  readonly truncation?: number;
  /** Which states are kept; see `program.gradient`. */
  readonly checkpoints?: Checkpoints;
}

/** What a call runs on. */
export type UnrollGradArguments<Theta, State> = Omit<
  RunOptions<Theta, State>,
  'steps' | 'record' | 'onProgress'
> & {
  readonly lossWeights?: ArrayLike<number>;
};

export type UnrollGradResult<Theta, State, MetricName extends string> = Pick<
  UnrollGradient<Theta, State, MetricName>,
  'meanLoss' | 'lossSums' | 'gradient' | 'gradients' | 'cost'
>;

const KEYS = ['state', 'theta', 'seed', 'antithetic', 'signal', 'lossWeights'] as const;

const isArray = (x: unknown): x is Float32Array => x instanceof Float32Array;

/**
 * A function that advances a state by `steps` steps and returns the gradient of each particle's summed losses with respect to theta: exact
 * backpropagation through time, or, with a `truncation`, the sum over windows of gradients that stop where a window begins (truncated
 * BPTT: biased, and the cheaper the shorter). Runs natively for all particles at once; see `program.gradient`.
 *
 * Throws OptionError on malformed options; the function rejects like `program.gradient`. Cost: that of its windows.
 */
export function unrollGrad<Theta, State, Metrics>(
  program: UnrollProgram<Theta, State, Metrics>,
  options: UnrollGradOptions,
): (
  args: UnrollGradArguments<Theta, State>,
) => Promise<UnrollGradResult<Theta, State, keyof Metrics & string>> {
  if (!(program instanceof UnrollProgram))
    throw new OptionError(
      `unrollGrad needs a program (device.compile(definition)), got ${describe(program)}`,
    );
  checkKeys(options, ['steps', 'truncation', 'checkpoints'], 'unrollGrad');
  const steps = checkInteger(options.steps, 'steps', 1, 0x7fffffff);
  const truncation = checkInteger(options.truncation ?? steps, 'truncation', 1, 0x7fffffff);
  const { checkpoints } = options;
  return async (args) => {
    checkKeys(args, KEYS, 'a call of unrollGrad');
    let sum: UnrollGradResult<Theta, State, keyof Metrics & string> | undefined;
    for (let done = 0; done < steps; done += truncation) {
      const window = Math.min(truncation, steps - done);
      const next = await program.gradient({ ...args, steps: window, ...(checkpoints && { checkpoints }) });
      sum = sum ? added(sum, next, done, window) : next;
    }
    const { meanLoss, lossSums, gradient, gradients, cost } = sum as NonNullable<typeof sum>;
    return { meanLoss, lossSums, gradient, gradients, cost };
  };
}

/** A leaf of a mean gradient: a number for a scalar, else its values. */
type Mean = number | Float64Array;
const isMean = (x: unknown): x is Mean => typeof x === 'number' || x instanceof Float64Array;
const plus = (a: Mean, b: Mean): Mean =>
  typeof a === 'number' ? a + (b as number) : a.map((x, i) => x + (b as Float64Array)[i]);

/** Two consecutive windows as one. */
function added<Theta, State, Metrics>(
  a: UnrollGradResult<Theta, State, keyof Metrics & string>,
  b: UnrollGradResult<Theta, State, keyof Metrics & string>,
  done: number,
  window: number,
): UnrollGradResult<Theta, State, keyof Metrics & string> {
  const [left, right] = [a.gradients, b.gradients].map((tree) => flatten(tree, isArray, 'gradients'));
  const [mean, next] = [a.gradient, b.gradient].map((tree) => flatten(tree, isMean, 'gradient'));
  return {
    meanLoss: (a.meanLoss * done + b.meanLoss * window) / (done + window),
    lossSums: a.lossSums.map((sum, i) => sum + b.lossSums[i]),
    gradient: mean.rebuild(mean.leaves.map((x, j) => plus(x, next.leaves[j]))) as ValuesOf<Theta>,
    gradients: left.rebuild(left.leaves.map((values, j) => values.map((x, i) => x + right.leaves[j][i]))),
    cost: {
      forwardSteps: a.cost.forwardSteps + b.cost.forwardSteps,
      slots: Math.max(a.cost.slots, b.cost.slots),
      keptBytes: Math.max(a.cost.keptBytes, b.cost.keptBytes),
      peakBytes: Math.max(a.cost.peakBytes, b.cost.peakBytes),
    },
  };
}
