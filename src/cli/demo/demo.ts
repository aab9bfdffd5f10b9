/** `unrolled demo`: tune the training of a classifier on a table, compare with the defaults, write the report. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { AbortedError, foldIn, openDevice } from '../../index.js';
import { compareSettings } from './compare.js';
import type { Problem } from './problem.js';
import { startProgress } from './progress.js';
import { reportHtml } from './report.js';
import { type DemoResult, number, type Settings, verdict } from './result.js';
import { estimateMean } from './statistics.js';
import { DEFAULTS, HORIZON } from './training.js';
import { TRUNCATION, tune } from './tune.js';

export interface DemoOptions {
  readonly problem: Problem;
  readonly device: 'auto' | 'cpu' | 'tfjs';
  readonly particles?: number;
  /** Updates of the hyperparameters. */
  readonly steps?: number;
  readonly seed: number;
  readonly json: boolean;
  readonly report: string;
  readonly signal: AbortSignal;
}

/** What the demo does on each device when it is not told: enough for a clear result in well under a minute on two cores. */
const EFFORT = {
  native: { particles: 2048, updates: 400, runs: 512 },
  tfjs: { particles: 48, updates: 80, runs: 64 },
} as const;

/**
 * Runs the demo. Text goes to stdout, or to stderr when `json` keeps stdout for the result; progress goes to stderr.
 * Rejects with DeviceError when the device does not open, AbortedError when the signal fires.
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const began = performance.now();
  tf.enableProdMode(); // otherwise tfjs advertises its other backends on stderr
  const { seed, signal } = options;
  const say = (text: string) => (options.json ? process.stderr : process.stdout).write(`${text}\n`);
  const { problem } = options;
  const { summary } = problem;
  say(
    `${summary.source}: ${summary.rows} rows (${summary.dropped} with missing values dropped), ${summary.features.length} features, ` +
      `${summary.classes.length} classes; ${summary.train} rows to train, ${summary.tuning} to tune, ${summary.validation} to validate`,
  );
  for (const note of summary.notes) say(`note: ${note}`);

  await using device = await openDevice(options.device);
  const notes = [...device.notes];
  const effort = device.kind === 'tfjs' ? EFFORT.tfjs : EFFORT.native;
  const particles = options.particles ?? scaled(effort.particles, problem, 32);
  const runs = scaled(effort.runs, problem, Math.min(effort.runs, 128));
  const updates = options.steps ?? effort.updates;
  if (device.kind === 'tfjs') {
    notes.push(
      `the tfjs device is much slower than the native one: ${particles} particles, ${updates} updates and ${runs} runs to compare instead of ` +
        `${EFFORT.native.particles}, ${EFFORT.native.updates} and ${EFFORT.native.runs}`,
    );
  } else if (runs < effort.runs) {
    notes.push(
      `a step on this table costs more than on the penguins: ${particles} particles and ${runs} runs to compare instead of ` +
        `${effort.particles} and ${effort.runs}`,
    );
  }
  say(`device ${device.kind}: ${device.description}`);
  for (const note of notes) say(`note: ${note}`);

  const progress = startProgress(process.stderr, 'tuning', updates);
  const tuning = await tune(device, problem, {
    particles,
    updates,
    seed,
    start: DEFAULTS,
    signal,
    onUpdate: ({ update, meanLoss }, rate) =>
      progress.update(update, `tuning loss ${number(meanLoss)}, ${number(rate / 1e6)} M particle-steps/s`),
  }).finally(() => progress.stop());
  if (tuning.droppedPairs > 0) {
    notes.push(
      `${tuning.droppedPairs} of ${(particles / 2) * updates} pairs diverged and were left out of their estimates`,
    );
  }

  say(`comparing on ${runs} fresh seeds each`);
  const [before, after] = await compareSettings(device, problem, [DEFAULTS, tuning.tuned], {
    runs,
    seed: foldIn(seed, 2),
    signal,
  });
  const diverged = before.evaluation.loss.nonFinite + after.evaluation.loss.nonFinite;
  if (diverged > 0) notes.push(`${diverged} of ${2 * runs} compared runs diverged and are not in the means`);

  const result: DemoResult = {
    table: summary,
    device: device.kind,
    deviceDescription: device.description,
    particles,
    updates,
    horizon: HORIZON,
    truncation: TRUNCATION,
    seed,
    runs,
    defaults: DEFAULTS,
    tuned: tuning.tuned,
    history: tuning.history,
    defaultEvaluation: before.evaluation,
    tunedEvaluation: after.evaluation,
    difference: estimateMean(after.finalLosses.map((loss, i) => loss - before.finalLosses[i])),
    particleSteps: tuning.particleSteps,
    particleStepsPerSecond: tuning.particleStepsPerSecond,
    seconds: (performance.now() - began) / 1000,
    notes,
  };
  const html = await reportHtml(result);
  if (signal.aborted) throw new AbortedError(signal.reason);
  writeFileSync(options.report, html);
  const finished = { ...result, seconds: (performance.now() - began) / 1000 };
  for (const line of summaryLines(finished, options.report)) say(line);
  if (options.json) process.stdout.write(`${JSON.stringify(jsonResult(finished, options.report))}\n`);
  return finished;
}

/** Costlier steps (wide tables, many classes) get less, even and at least `least`, by a rule that depends on the shapes alone. */
function scaled(amount: number, { features, classes }: Problem, least: number): number {
  const penguins = 9 + 3;
  const share = Math.min(1, penguins / (features + classes));
  return Math.max(least, 2 * Math.round((amount * share) / 2));
}

function settingsText({ learningRate, momentum, weightDecay, decayExponent }: Settings): string {
  return `learning rate ${number(learningRate)}, momentum ${number(momentum)}, weight decay ${number(weightDecay)}, decay exponent ${number(decayExponent)}`;
}

function summaryLines(result: DemoResult, report: string): string[] {
  const row = (name: string, evaluation: DemoResult['defaultEvaluation']) => {
    const { mean, interval } = evaluation.loss;
    return `  ${name}  validation loss ${number(mean)}, 95 % interval [${number(interval[0])}, ${number(interval[1])}], accuracy ${number(100 * evaluation.accuracy.mean)} %`;
  };
  return [
    `default: ${settingsText(result.defaults)}`,
    `tuned:   ${settingsText(result.tuned)}`,
    `mean of ${result.runs} training runs each, on fresh seeds and rows that were never trained or tuned on:`,
    row('default', result.defaultEvaluation),
    row('tuned  ', result.tunedEvaluation),
    verdict(result),
    `${number(result.particleSteps / 1e6)} M particle-steps at ${number(result.particleStepsPerSecond / 1e6)} M a second on ${result.deviceDescription}; ${result.seconds.toFixed(1)} s in all`,
    `report: ${resolve(report)}`,
  ];
}

/** The object that --json prints. Numbers that are not finite become null, as JSON has none. */
function jsonResult(result: DemoResult, report: string) {
  const { table, defaultEvaluation, tunedEvaluation, difference } = result;
  return {
    defaultLoss: defaultEvaluation.loss.mean,
    tunedLoss: tunedEvaluation.loss.mean,
    defaultInterval: defaultEvaluation.loss.interval,
    tunedInterval: tunedEvaluation.loss.interval,
    difference: difference.mean,
    differenceInterval: difference.interval,
    defaultAccuracy: defaultEvaluation.accuracy.mean,
    tunedAccuracy: tunedEvaluation.accuracy.mean,
    particleStepsPerSecond: result.particleStepsPerSecond,
    particleSteps: result.particleSteps,
    device: result.device,
    deviceDescription: result.deviceDescription,
    seconds: result.seconds,
    particles: result.particles,
    steps: result.updates,
    seed: result.seed,
    runs: result.runs,
    defaultSettings: result.defaults,
    tunedSettings: result.tuned,
    table: {
      source: table.source,
      label: table.label,
      classes: table.classes,
      features: table.features.length,
      rows: table.rows,
      dropped: table.dropped,
      train: table.train,
      tuning: table.tuning,
      validation: table.validation,
    },
    notes: [...table.notes, ...result.notes],
    report: resolve(report),
  };
}
