/** The list of all optimizers: adding one adds one line, and it runs through the whole battery. */

import * as tf from '@tensorflow/tfjs';
import { adam } from '../../src/optimizers/adam.js';
import { chain, clipByGlobalNorm, scaleBySchedule } from '../../src/optimizers/chain.js';
import { momentum } from '../../src/optimizers/momentum.js';
import { linearSchedule, piecewiseConstant } from '../../src/optimizers/schedules.js';
import { sgd } from '../../src/optimizers/sgd.js';
import type { GradientTransformation } from '../../src/optimizers/transformation.js';

/** One update by hand in float64: gradient [n] -> update [n]. */
export type HandOptimizer = () => (gradient: readonly number[]) => number[];

export interface ListedOptimizer {
  readonly name: string;
  readonly optimizer: GradientTransformation;
  readonly hand: HandOptimizer;
  /** Steps to the minima of the battery. */
  readonly parabolaSteps: number;
  readonly rosenbrockSteps: number;
}

const handSgd =
  (rate: (n: number) => number): HandOptimizer =>
  () => {
    let n = 0;
    return (g) => {
      const factor = -rate(n++);
      return g.map((x) => factor * x);
    };
  };

const handMomentum =
  (rate: number, mu: number, nesterov: boolean): HandOptimizer =>
  () => {
    let v: number[] = [];
    return (g) => {
      v = g.map((x, i) => mu * (v[i] ?? 0) + x);
      return v.map((x, i) => -rate * (nesterov ? g[i] + mu * x : x));
    };
  };

const handAdam =
  (rate: number, b1: number, b2: number, epsilon: number, root: number): HandOptimizer =>
  () => {
    let n = 0;
    let m: number[] = [];
    let v: number[] = [];
    return (g) => {
      n++;
      m = g.map((x, i) => b1 * (m[i] ?? 0) + (1 - b1) * x);
      v = g.map((x, i) => b2 * (v[i] ?? 0) + (1 - b2) * x * x);
      return m.map(
        (x, i) => (-rate * (x / (1 - b1 ** n))) / (Math.sqrt(v[i] / (1 - b2 ** n) + root) + epsilon),
      );
    };
  };

const handClipped =
  (limit: number, inner: HandOptimizer): HandOptimizer =>
  () => {
    const step = inner();
    return (g) => {
      const norm = Math.hypot(...g);
      return step(norm > limit ? g.map((x) => (x * limit) / norm) : [...g]);
    };
  };

export const OPTIMIZERS: readonly ListedOptimizer[] = [
  {
    name: 'sgd',
    optimizer: sgd({ learningRate: 1e-3 }),
    hand: handSgd(() => 1e-3),
    parabolaSteps: 2600,
    rosenbrockSteps: 2500,
  },
  {
    name: 'sgd with a linear schedule',
    optimizer: sgd({ learningRate: linearSchedule({ from: 5e-4, to: 1e-3, steps: 10 }) }),
    hand: handSgd((n) => 5e-4 + (1e-3 - 5e-4) * Math.min(n / 10, 1)),
    parabolaSteps: 2600,
    rosenbrockSteps: 2500,
  },
  {
    name: 'momentum',
    optimizer: momentum({ learningRate: 5e-4, momentum: 0.9 }),
    hand: handMomentum(5e-4, 0.9, false),
    parabolaSteps: 900,
    rosenbrockSteps: 700,
  },
  {
    name: 'nesterov momentum',
    optimizer: momentum({ learningRate: 5e-4, momentum: 0.9, nesterov: true }),
    hand: handMomentum(5e-4, 0.9, true),
    parabolaSteps: 900,
    rosenbrockSteps: 700,
  },
  {
    name: 'adam',
    optimizer: adam({ learningRate: 0.02 }),
    hand: handAdam(0.02, 0.9, 0.999, 1e-8, 0),
    parabolaSteps: 900,
    rosenbrockSteps: 700,
  },
  {
    name: 'adam with both epsilons',
    optimizer: adam({ learningRate: 0.02, beta1: 0.8, beta2: 0.99, epsilon: 1e-3, epsilonRoot: 1e-4 }),
    hand: handAdam(0.02, 0.8, 0.99, 1e-3, 1e-4),
    parabolaSteps: 900,
    rosenbrockSteps: 700,
  },
  {
    name: 'clipping before momentum',
    optimizer: chain(clipByGlobalNorm(5), momentum({ learningRate: 5e-4 })),
    hand: handClipped(5, handMomentum(5e-4, 0.9, false)),
    parabolaSteps: 900,
    rosenbrockSteps: 700,
  },
  {
    name: 'adam scaled by steps',
    optimizer: chain(
      adam({ learningRate: 1 }),
      scaleBySchedule(piecewiseConstant({ boundaries: [3, 600], values: [0.01, 0.02, 0.005] })),
      scaleBySchedule(() => tf.scalar(1)),
    ),
    hand: () => {
      const inner = handAdam(1, 0.9, 0.999, 1e-8, 0)();
      let n = 0;
      return (g) => {
        const factor = n < 3 ? 0.01 : n < 600 ? 0.02 : 0.005;
        n++;
        return inner(g).map((x) => factor * x);
      };
    },
    parabolaSteps: 900,
    rosenbrockSteps: 700,
  },
];
