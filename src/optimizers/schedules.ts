/**
 * Schedules: functions of the number of updates made, in tfjs ops, so that they work eagerly and inside a
 * trace, and their values may be traced outer parameters.
 */
import * as tf from '@tensorflow/tfjs';
import { OptionError } from '../errors.js';
import { checkKeys, checkPositive } from '../options.js';
import { checkScalar, type ScalarLike } from './transformation.js';

/** From the count of updates made (int32 scalar, 0 at the first) to a float32 scalar. */
export type Schedule = (count: tf.Tensor) => tf.Tensor;

/** A learning rate: a number, a scalar tensor, or a schedule. */
export type Rate = ScalarLike | Schedule;

function scalar(value: ScalarLike): tf.Tensor {
  return typeof value === 'number' ? tf.scalar(value) : value;
}

/**
 * `values[i]` from update `boundaries[i - 1]` on; `values` has one element more than `boundaries`, which
 * ascend.
 * Throws OptionError otherwise.
 */
export function piecewiseConstant(options: {
  readonly boundaries: readonly number[];
  readonly values: readonly ScalarLike[];
}): Schedule {
  checkKeys(options, ['boundaries', 'values'], 'piecewiseConstant');
  const { boundaries, values } = options;
  if (!Array.isArray(boundaries) || !Array.isArray(values)) {
    throw new OptionError('piecewiseConstant needs two arrays, boundaries and values');
  }
  if (values.length !== boundaries.length + 1) {
    throw new OptionError(
      `piecewiseConstant needs one value more than boundaries, got ${values.length} values and ${boundaries.length} boundaries`,
    );
  }
  boundaries.forEach((boundary, i) => {
    if (!Number.isInteger(boundary) || boundary < 0 || (i > 0 && boundary <= boundaries[i - 1])) {
      throw new OptionError(`boundaries must be ascending integers >= 0, got [${boundaries.join(', ')}]`);
    }
  });
  values.forEach((value, i) => {
    checkScalar(value, `values[${i}]`);
  });
  return (count) =>
    boundaries.reduce(
      (value, boundary, i) =>
        tf.where(tf.greaterEqual(count, tf.scalar(boundary, 'int32')), scalar(values[i + 1]), value),
      scalar(values[0]),
    );
}

/**
 * from (steps - t) / steps + to t / steps, and `to` after `steps` updates. Throws OptionError on a malformed
 * option.
 */
export function linearSchedule(options: {
  readonly from: ScalarLike;
  readonly to: ScalarLike;
  readonly steps: number;
}): Schedule {
  checkKeys(options, ['from', 'to', 'steps'], 'linearSchedule');
  const from = checkScalar(options.from, 'from');
  const to = checkScalar(options.to, 'to');
  const steps = checkPositive(options.steps, 'steps');
  return (count) => {
    const fraction = tf.minimum(tf.div(tf.cast(count, 'float32'), steps), 1);
    return tf.add(tf.mul(from, tf.sub(1, fraction)), tf.mul(to, fraction));
  };
}

/** initial / (1 + t / timescale)^power. Throws OptionError on a malformed option. */
export function inverseTimeSchedule(options: {
  readonly initial: ScalarLike;
  readonly power: ScalarLike;
  readonly timescale: number;
}): Schedule {
  checkKeys(options, ['initial', 'power', 'timescale'], 'inverseTimeSchedule');
  const initial = checkScalar(options.initial, 'initial');
  const power = checkScalar(options.power, 'power');
  const timescale = checkPositive(options.timescale, 'timescale');
  return (count) => {
    const base = tf.log1p(tf.div(tf.cast(count, 'float32'), timescale));
    return tf.mul(initial, tf.exp(tf.neg(tf.mul(power, base))));
  };
}

/** A rate, checked. Throws OptionError naming the option. */
export function checkRate(rate: unknown, name: string): Rate {
  return typeof rate === 'function' ? (rate as Schedule) : checkScalar(rate, name);
}

/** The value of a rate at `count`, which only schedules need. */
export function rateAt(rate: Rate, count: tf.Tensor | undefined): ScalarLike {
  return typeof rate === 'function' ? rate(count!) : rate;
}
