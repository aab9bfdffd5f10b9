/** The outer loop: PES estimates the gradient of the mean tuning loss, Adam follows it. */
import { adam, applyUpdates, type Device, foldIn, linearSchedule, pes } from '../../index.js';
import type { Problem } from './problem.js';
import type { Settings, UpdateRecord } from './result.js';
import { type Theta, toSettings, toTheta, trainingData, tuningUnroll } from './training.js';

/** Inner steps between updates. */
export const TRUNCATION = 10;
/** Standard deviation of the perturbations, in the unconstrained units of theta. */
export const SIGMA = 0.1;
/** Step of Adam at the first update; it falls linearly to a tenth. */
const OUTER_RATE = 0.1;
/** Limit of a pair's difference in mean loss: a run on the verge of divergence must not outvote all others. */
const CLIP = 0.5;
/** Share of the updates at the end over which theta is averaged. */
const AVERAGED = 0.2;

export interface TuneOptions {
  readonly particles: number;
  readonly updates: number;
  readonly seed: number;
  readonly start: Settings;
  readonly signal: AbortSignal;
  /** Called after every update. */
  readonly onUpdate: (record: UpdateRecord, particleStepsPerSecond: number) => void;
}

export interface Tuning {
  readonly tuned: Settings;
  readonly history: readonly UpdateRecord[];
  readonly particleSteps: number;
  /** Of the whole outer loop: estimates and updates. */
  readonly particleStepsPerSecond: number;
  /** Pairs whose loss was not finite, over all updates. */
  readonly droppedPairs: number;
}

/**
 * Tunes the settings. The step of the outer optimizer falls, and the result is the mean of theta over the last updates: both take the noise of
 * single estimates out of it. Rejects with AbortedError when the signal fires.
 */
export async function tune(device: Device, problem: Problem, options: TuneOptions): Promise<Tuning> {
  const { particles, updates, signal } = options;
  using program = device.compile(tuningUnroll(problem), { data: trainingData(problem, problem.tuning) });
  const estimator = pes(program, {
    particles,
    sigma: SIGMA,
    truncation: TRUNCATION,
    normalisation: 'mean',
    difference: { clip: CLIP },
  });
  const optimizer = adam({
    learningRate: linearSchedule({ from: OUTER_RATE, to: OUTER_RATE / 10, steps: updates }),
    // A memory of 100 updates: the gradients of the first ones, far from the optimum, are much larger than the later ones.
    beta2: 0.99,
  });

  let theta = toTheta(options.start);
  let estimate = estimator.init(theta, { seed: foldIn(options.seed, 1) });
  let memory = optimizer.init(theta);
  const history: UpdateRecord[] = [];
  const last: Theta[] = [];
  let particleSteps = 0;
  let droppedPairs = 0;
  const began = performance.now();
  const rate = () => (1000 * particleSteps) / (performance.now() - began);
  try {
    for (let update = 1; update <= updates; update++) {
      const { gradient, meanLoss, state, info } = await estimator.step(theta, estimate, { signal });
      estimate = state;
      particleSteps += info.particleSteps;
      droppedPairs += info.droppedPairs;
      history.push({ update, meanLoss, settings: toSettings(theta) });

      const next = optimizer.update(gradient, memory, theta);
      memory = next.state;
      theta = applyUpdates(theta, next.updates);
      if (update > updates * (1 - AVERAGED)) last.push(theta);
      options.onUpdate(history[history.length - 1], rate());
    }
  } finally {
    estimate.inner.dispose();
  }
  return {
    tuned: toSettings(meanTheta(last)),
    history,
    particleSteps,
    particleStepsPerSecond: rate(),
    droppedPairs,
  };
}

function meanTheta(thetas: readonly Theta[]): Theta {
  const mean = (key: keyof Theta) => thetas.reduce((sum, theta) => sum + theta[key], 0) / thetas.length;
  return {
    logLearningRate: mean('logLearningRate'),
    logitMomentum: mean('logitMomentum'),
    logWeightDecay: mean('logWeightDecay'),
    decayExponent: mean('decayExponent'),
  };
}
