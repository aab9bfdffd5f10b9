import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { adam } from '../../src/optimizers/adam.js';
import { chain, clipByGlobalNorm, scaleBySchedule } from '../../src/optimizers/chain.js';
import { momentum } from '../../src/optimizers/momentum.js';
import { inverseTimeSchedule, linearSchedule, piecewiseConstant } from '../../src/optimizers/schedules.js';
import { sgd } from '../../src/optimizers/sgd.js';
import { applyUpdates, type GradientTransformation } from '../../src/optimizers/transformation.js';

/** 25 steps of ours and of tfjs's optimizer on the same function, from the same point. */
function compare(ours: GradientTransformation, theirs: tf.Optimizer): void {
  const f = (x: tf.Tensor) => tf.sum(tf.square(tf.sub(tf.square(x), [1, 2, 3]))) as tf.Scalar;
  const variable = tf.variable(tf.tensor1d([0.5, -1, 2]));
  let params = [Float32Array.of(0.5, -1, 2)];
  let state = ours.init(params);
  for (let i = 0; i < 25; i++) {
    theirs.minimize(() => f(variable), false, [variable]);
    const gradient = tf.tidy(() => tf.grad(f)(tf.tensor1d(params[0])).dataSync() as Float32Array);
    const result = ours.update([Float32Array.from(gradient)], state, params);
    params = applyUpdates(params, result.updates);
    state = result.state;
    const wanted = variable.dataSync();
    params[0].forEach((value, j) => {
      expect(Math.abs(value - wanted[j]), `step ${i}`).toBeLessThan(2e-5 * Math.max(1, Math.abs(wanted[j])));
    });
  }
  variable.dispose();
  theirs.dispose();
}

describe('tfjs’s optimizers, where the definitions agree', () => {
  it('sgd', () => compare(sgd({ learningRate: 0.01 }), tf.train.sgd(0.01)));
  it('momentum', () =>
    compare(momentum({ learningRate: 0.01, momentum: 0.8 }), tf.train.momentum(0.01, 0.8)));
  it('nesterov momentum', () =>
    compare(
      momentum({ learningRate: 0.01, momentum: 0.8, nesterov: true }),
      tf.train.momentum(0.01, 0.8, true),
    ));
  it('adam', () =>
    compare(adam({ learningRate: 0.05, epsilon: 1e-7 }), tf.train.adam(0.05, 0.9, 0.999, 1e-7)));
});

describe('hyperparameters that are tensors', () => {
  it('have gradients through an update', () => {
    const updated = (rate: tf.Tensor) => {
      const { updates } = momentum({ learningRate: rate }).update([tf.scalar(3)], {
        velocity: [tf.scalar(1)],
      });
      return tf.sum(updates[0]) as tf.Scalar;
    };
    expect(tf.grad(updated)(tf.scalar(0.1)).dataSync()[0]).toBeCloseTo(-3.9, 6);
  });

  it('keep a finite derivative at a zero gradient when adam has an epsilon inside the root', () => {
    const through = (epsilonRoot: number) => (g: tf.Tensor) => {
      const { updates } = adam({ epsilonRoot }).update([g], adam().init([g]));
      return tf.sum(updates[0]) as tf.Scalar;
    };
    expect(Number.isFinite(tf.grad(through(1e-8))(tf.scalar(0)).dataSync()[0])).toBe(true);
    expect(Number.isFinite(tf.grad(through(0))(tf.scalar(0)).dataSync()[0])).toBe(false);
  });
});

describe('schedules', () => {
  const at = (schedule: (count: tf.Tensor) => tf.Tensor, count: number) =>
    tf.tidy(() => schedule(tf.scalar(count, 'int32')).dataSync()[0]);

  it('piecewise constants change at their boundaries', () => {
    const schedule = piecewiseConstant({ boundaries: [2, 5], values: [1, 0.5, 0.25] });
    expect([0, 1, 2, 4, 5, 100].map((n) => at(schedule, n))).toEqual([1, 1, 0.5, 0.5, 0.25, 0.25]);
  });

  it('a linear one ends where it should and stays there', () => {
    const schedule = linearSchedule({ from: 2, to: 1, steps: 4 });
    expect([0, 1, 2, 4, 9].map((n) => at(schedule, n))).toEqual([2, 1.75, 1.5, 1, 1]);
  });

  it('inverse-time decay is v0 / (1 + t / timescale)^power', () => {
    const schedule = inverseTimeSchedule({ initial: 3, power: 1.5, timescale: 10 });
    for (const n of [0, 1, 10, 1000]) expect(at(schedule, n)).toBeCloseTo(3 / (1 + n / 10) ** 1.5, 5);
  });
});

describe('refusals', () => {
  it('names misspelt and malformed options', () => {
    expect(() => adam({ learningrate: 1 } as never)).toThrow(/misspelt "learningRate"/);
    expect(() => sgd({ learningRate: Number.NaN })).toThrow(/learningRate must be a finite number/);
    expect(() => momentum({ nesterov: 1 as never })).toThrow(/nesterov must be true or false/);
    expect(() => clipByGlobalNorm(0)).toThrow(/maxNorm must be positive/);
    expect(() => chain(adam(), undefined as never)).toThrow(/part 1 of chain/);
    expect(() => scaleBySchedule(0.5 as never)).toThrow(/schedule must be a function/);
    expect(() => piecewiseConstant({ boundaries: [5, 2], values: [1, 2, 3] })).toThrow(/ascending/);
    expect(() => piecewiseConstant({ boundaries: [5], values: [1] })).toThrow(/one value more/);
    expect(() => piecewiseConstant({} as never)).toThrow(/two arrays, boundaries and values/);
  });

  it('names where structures differ', () => {
    const optimizer = momentum();
    const state = optimizer.init({ a: 1, b: 2 });
    expect(() => optimizer.update({ a: 1, c: 2 }, state)).toThrow(/differ at "c"/);
    expect(() => optimizer.update({ a: 1, b: tf.scalar(2) }, state as never)).toThrow(/mixes tensors/);
    expect(() => applyUpdates({ a: 1 }, { b: 1 })).toThrow(/one structure/);
    expect(() => applyUpdates({ a: Float32Array.of(1, 2) }, { a: Float32Array.of(1) })).toThrow(
      /2 values, got 1/,
    );
    expect(() => applyUpdates({ a: 1 }, { a: Float32Array.of(1, 2) })).toThrow(/must be a number, got 2/);
    expect(() => applyUpdates({ a: 1 }, { a: 1, b: 1 })).toThrow(/differ at "b"/);
  });

  it('names where shapes differ, instead of broadcasting', () => {
    tf.tidy(() => {
      const state = momentum().init({ a: tf.zeros([3]) });
      expect(() => momentum().update({ a: tf.ones([1]) }, state)).toThrow(/at "a" there are \[1\] and \[3\]/);
      expect(() => applyUpdates({ a: tf.zeros([3]) }, { a: tf.ones([1, 3]) })).toThrow(/one shape/);
    });
    const arrays = adam().init({ a: new Float32Array(3) });
    expect(() => adam().update({ a: new Float32Array(2) }, arrays)).toThrow(/one shape/);
  });
});

describe('structures', () => {
  it('are the same whatever the order of their keys', () => {
    const optimizer = momentum({ learningRate: 1, momentum: 0.5 });
    const first = optimizer.update({ a: 1, b: 2 }, optimizer.init({ b: 0, a: 0 }));
    const { updates } = optimizer.update({ b: 10, a: 20 }, first.state);
    expect(updates).toEqual({ a: -20.5, b: -11 });
    expect(applyUpdates({ a: 1, b: 2 }, updates)).toEqual({ a: -19.5, b: -9 });
  });
});
