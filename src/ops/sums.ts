/** Sums that keep what ordinary float32 sums lose: of exponentials, and of many or unlike terms. */
import * as tf from '@tensorflow/tfjs';
import { ShapeError } from '../errors.js';
import { sizeOf } from '../graph/graph.js';
import { activeTrace } from '../trace/active.js';
import { customOp, untaped } from '../trace/custom-op.js';
import { exp } from './differentiable.js';
import { floats } from './gamma.js';

/** One axis or several, negative ones from the end; all when left out. */
export type Axes = number | readonly number[];

function sortedAxes(axes: Axes | undefined, rank: number, where: string): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = typeof axes === 'number' ? [axes] : [...axes];
  const normal = list.map((axis) => {
    if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
      throw new ShapeError(
        `${where}: axes must be integers in ${-rank}..${rank - 1} for rank ${rank}, got ${axis}`,
      );
    }
    return axis < 0 ? axis + rank : axis;
  });
  if (new Set(normal).size < normal.length) {
    throw new ShapeError(`${where}: every axis may be named once, got [${list}]`);
  }
  return normal.sort((a, b) => a - b);
}

/** The shape with the reduced axes kept as 1, or left out. */
function reducedShape(shape: readonly number[], axes: readonly number[], keepDims: boolean): number[] {
  return shape.flatMap((d, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [d]));
}

/** `x` [..., with axes of 1] broadcast to `shape`: x + -0 is x. */
function stretched(x: tf.Tensor, shape: readonly number[]): tf.Tensor {
  return tf.add(x, tf.fill([...shape], -0));
}

/** The largest element, or 0 where it is not finite: there it cannot be subtracted, and need not be. Constant to the tape: nothing depends on it. */
function shiftOf(x: tf.Tensor, axes: readonly number[]): tf.Tensor {
  return untaped(() => {
    const most = tf.max(x, [...axes], true);
    return tf.where(tf.isFinite(most), most, tf.zerosLike(most));
  });
}

/** Reduced axes kept. */
function logSumExpOp(x: tf.Tensor, axes: readonly number[]): tf.Tensor {
  return customOp(
    [x],
    () => [
      tf.tidy(() => {
        const shift = shiftOf(x, axes);
        return tf.add(tf.log(tf.sum(tf.exp(tf.sub(x, shift)), [...axes], true)), shift);
      }),
    ],
    ([dy], [saved]) => {
      const powers = exp(tf.sub(saved, shiftOf(saved, axes)));
      const sums = tf.sum(powers, [...axes], true);
      const none = untaped(() => tf.equal(sums, 0));
      return [tf.mul(dy, tf.div(powers, tf.where(none, tf.onesLike(sums), sums)))];
    },
  )[0];
}

/**
 * log(sum(exp(x))) over `axes` (default: all), float32, without overflow: -Infinity for no terms or terms of -Infinity alone, Infinity
 * where one is. Its gradient is softmax (0 where everything is -Infinity). `keepDims` keeps reduced axes as 1.
 *
 * Throws ShapeError on an axis that x does not have.
 */
export function logSumExp(x: tf.Tensor | tf.TensorLike, axes?: Axes, keepDims = false): tf.Tensor {
  return tf.tidy(() => {
    const value = floats(x);
    const along = sortedAxes(axes, value.rank, 'logSumExp');
    const shape = reducedShape(value.shape, along, keepDims);
    if (value.size === 0) return tf.fill(shape, Number.NEGATIVE_INFINITY);
    if (along.length === 0) return value.clone();
    return tf.reshape(logSumExpOp(value, along), shape);
  });
}

/** The axes that are summed moved to the end, as one: [outer, n]. */
function rowsOf(x: tf.Tensor, axes: readonly number[]): tf.Tensor2D {
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const n = axes.reduce((product, axis) => product * x.shape[axis], 1);
  return tf.reshape(tf.transpose(x, [...kept, ...axes]), [x.size / n, n]);
}

/** On the host, in float64. */
function hostSum(rows: tf.Tensor2D): tf.Tensor1D {
  const [count, n] = rows.shape;
  const values = rows.dataSync();
  const sums = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let j = i * n; j < (i + 1) * n; j++) sum += values[j];
    sums[i] = sum;
  }
  return tf.tensor1d(sums);
}

/**
 * In float32 ops: pairwise, with the rounding error of every addition (Knuth's TwoSum, which is exact) summed beside it and added at the end.
 * (Ogita, Rump & Oishi 2005, "Accurate sum and dot product".)
 */
function tracedSum(rows: tf.Tensor2D): tf.Tensor1D {
  const [count] = rows.shape;
  let sums = rows;
  let errors = tf.zerosLike(rows);
  while (sums.shape[1] > 1) {
    const half = Math.ceil(sums.shape[1] / 2);
    const rest = sums.shape[1] - half;
    const halves = (x: tf.Tensor2D) => {
      const second = tf.slice(x, [0, half], [count, rest]);
      return [
        tf.slice(x, [0, 0], [count, half]),
        rest < half
          ? tf.pad(second, [
              [0, 0],
              [0, half - rest],
            ])
          : second,
      ];
    };
    const [a, b] = halves(sums);
    const [ea, eb] = halves(errors);
    const s: tf.Tensor2D = tf.add(a, b);
    const bPart = tf.sub(s, a);
    const error = tf.add(tf.sub(a, tf.sub(s, bPart)), tf.sub(b, bPart));
    // After an overflow the error is NaN, and of no use.
    const known = tf.where(tf.isFinite(s), error, tf.zerosLike(error));
    errors = tf.add(tf.add(ea, eb), known);
    sums = s;
  }
  return tf.reshape(tf.add(sums, errors), [count]);
}

/** Reduced axes kept. */
function preciseSumOp(x: tf.Tensor, axes: readonly number[]): tf.Tensor {
  return customOp(
    [x],
    () => [
      tf.tidy(() => {
        const rows = rowsOf(x, axes);
        const sums = activeTrace() ? tracedSum(rows) : hostSum(rows);
        return tf.reshape(sums, reducedShape(x.shape, axes, true));
      }),
    ],
    ([dy], [saved]) => [stretched(dy, saved.shape)],
  )[0];
}

/**
 * The sum over `axes` (default: all), float32, as if summed in about twice the precision and rounded once. With u = 2^-24 (one rounding to
 * float32), n terms and S = sum |x|, the error is at most u |sum| + (log2 n)^2 u^2 S on every device: it is the last bit of the
 * result unless the terms cancel to less than a millionth of S. Outside of traces the sum is made on the host in float64, with an error of
 * at most u |sum| + n 2^-53 S. In a trace, partial sums that overflow float32 stay infinite; an infinite or NaN term gives what an ordinary sum
 * gives. About 9 flops a term, and its gradient is that of a sum. `keepDims` keeps reduced axes as 1.
 *
 * Throws ShapeError on an axis that x does not have.
 */
export function preciseSum(x: tf.Tensor | tf.TensorLike, axes?: Axes, keepDims = false): tf.Tensor {
  return tf.tidy(() => {
    const value = floats(x);
    const along = sortedAxes(axes, value.rank, 'preciseSum');
    const shape = reducedShape(value.shape, along, keepDims);
    if (value.size === 0) return tf.zeros(shape);
    if (sizeOf(shape) === value.size) return tf.reshape(value, shape);
    return tf.reshape(preciseSumOp(value, along), shape);
  });
}
