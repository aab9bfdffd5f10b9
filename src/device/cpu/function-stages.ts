/** Stages of tasks: steps that don't wait for each other share a stage; big ones are cut, small ones put together. */
import type { Step } from './function-steps.js';

/** Part `part` of `parts` of a step. */
export interface Piece {
  readonly step: Step;
  readonly part: number;
  readonly parts: number;
}

/** Tasks, each a list of pieces that run in order. */
export type Stage = readonly (readonly Piece[])[];

/** A task should last as many microseconds: handing it to another thread costs about one. */
export const TASK_MICROSECONDS = 10;
/** Steps of one depth that together last less than this many tasks are not worth a fork and a join. */
const LEAST_SHARED = 1.5;

/**
 * Gives every step its time and its stage. Steps at the same depth of the dependency graph run side by side where that pays; runs of small ones
 * become one task of one stage, in order. With one thread that is everything. A task should last `granularity` microseconds.
 */
export function arrange(steps: readonly Step[], threads: number, granularity: number): Stage[] {
  const stages: Stage[] = [];
  let time = 0;
  let serial: number[] = [];
  const flush = () => {
    if (serial.length === 0) return;
    serial.sort((a, b) => a - b);
    stages.push([
      serial.map((i) => {
        steps[i].time = time++;
        return { step: steps[i], part: 0, parts: 1 };
      }),
    ]);
    serial = [];
  };
  if (threads === 1) {
    serial = steps.map((_, i) => i);
    flush();
    return stages;
  }
  for (const level of levelsOf(steps)) {
    const tasks = sharedTasks(
      level.map((i) => steps[i]),
      threads,
      granularity,
    );
    if (tasks.length === 1) {
      for (const i of level) serial.push(i);
      continue;
    }
    flush();
    for (const i of level) steps[i].time = time;
    time++;
    stages.push(tasks);
  }
  flush();
  return stages;
}

/** Indices of the steps of each depth. */
function levelsOf(steps: readonly Step[]): number[][] {
  const levels: number[][] = [];
  const depth = new Int32Array(steps.length);
  steps.forEach(({ after }, i) => {
    for (const j of after) depth[i] = Math.max(depth[i], depth[j] + 1);
    const level = levels[depth[i]];
    if (level) level.push(i);
    else levels[depth[i]] = [i];
  });
  return levels;
}

/** Independent steps as tasks of about equal cost, at most about two for each thread; one task where sharing does not pay. */
function sharedTasks(steps: readonly Step[], threads: number, granularity: number): Piece[][] {
  const total = steps.reduce((sum, { cost }) => sum + cost, 0);
  if (total < LEAST_SHARED * granularity) return [[]];
  const target = Math.max(granularity, total / (2 * threads));
  const tasks: { pieces: Piece[]; cost: number }[] = [];
  let bundle: Piece[] = [];
  let bundled = 0;
  for (const step of steps) {
    const parts = Math.max(1, Math.round(step.cost / target));
    if (step.cost / parts >= target / 2) {
      for (let part = 0; part < parts; part++)
        tasks.push({ pieces: [{ step, part, parts }], cost: step.cost / parts });
      continue;
    }
    bundle.push({ step, part: 0, parts: 1 });
    bundled += step.cost;
    if (bundled >= target) {
      tasks.push({ pieces: bundle, cost: bundled });
      bundle = [];
      bundled = 0;
    }
  }
  if (bundle.length > 0) tasks.push({ pieces: bundle, cost: bundled });
  // The longest first: threads then finish together.
  return tasks.sort((a, b) => b.cost - a.cost).map(({ pieces }) => pieces);
}
