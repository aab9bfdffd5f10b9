/** The outer loop: PES estimates the gradient of the mean tuning loss, Adam follows it. */
import { adam, type Device, foldIn, pes } from '../../index.js';
import type { Problem } from './problem.js';
import type { Settings, UpdateRecord } from './result.js';
import { toSettings, toTheta, trainingData, trainingUnroll } from './training.js';

/** Inner steps between updates. */
export const TRUNCATION = 10;
/** Standard deviation of the perturbations, in the unconstrained units of theta. */
export const SIGMA = 0.1;

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
 * Tunes the settings. The step of the outer optimizer falls linearly to a tenth, and the result is the mean of theta over the last fifth of
 * the updates: both take the noise of single estimates out of it.
 */
export async function tune(device: Device, problem: Problem, options: TuneOptions): Promise<Tuning> {
  const { particles, updates, signal } = options;
  using program = device.compile(trainingUnroll(problem, 'tuning'), {
    data: trainingData(problem, 'tuning'),
  });
  const estimator = pes(program, { particles, sigma: SIGMA, truncation: TRUNCATION });

  const theta = toTheta(options.start);
  let estimate = estimator.init(theta, { seed: foldIn(options.seed, 1) });
  const history: UpdateRecord[] = [];
  let particleSteps = 0;
  let droppedPairs = 0;
  const began = performance.now();
  try {
    for (let update = 1; update <= updates; update++) {
      const { gradient, meanLoss, state, info } = await estimator.step(theta, estimate, { signal });
      estimate = state;
      particleSteps += info.particleSteps;
      droppedPairs += info.droppedPairs;
      history.push({ update, meanLoss, settings: toSettings(theta) });
      options.onUpdate(history[history.length - 1], (1000 * particleSteps) / (performance.now() - began));
    }
  } finally {
    estimate.inner.dispose();
  }
  return {
    tuned: toSettings(theta),
    history,
    particleSteps,
    particleStepsPerSecond: (1000 * particleSteps) / (performance.now() - began),
    droppedPairs,
  };
}
