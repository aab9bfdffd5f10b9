/** Random compositions of tfjs ops with well-behaved values, made from a tape of choices so that fast-check can shrink them. */
import * as tf from '@tensorflow/tfjs';
import type { Fn } from './compare.js';

class Tape {
  #at = 0;
  readonly #words: readonly number[];
  constructor(words: readonly number[]) {
    this.#words = words;
  }
  get done(): boolean {
    return this.#at >= this.#words.length;
  }
  below(n: number): number {
    return (this.#words[this.#at++] ?? 0) % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

type Unary = (x: tf.Tensor) => tf.Tensor;

/** Smooth, or kinked where random values do not lie, and of moderate size for moderate inputs. */
const UNARY: readonly Unary[] = [
  tf.tanh,
  tf.sigmoid,
  tf.sin,
  tf.cos,
  tf.erf,
  tf.atan,
  tf.asinh,
  tf.softplus,
  tf.relu,
  tf.abs,
  tf.neg,
  (x) => tf.elu(x),
  (x) => tf.exp(tf.tanh(x)),
  (x) => tf.expm1(tf.tanh(x)),
  (x) => tf.log1p(tf.square(x)),
  (x) => tf.sqrt(tf.add(tf.square(x), 1)),
  (x) => tf.rsqrt(tf.add(tf.square(x), 0.5)),
  (x) => tf.reciprocal(tf.add(tf.square(x), 1)),
  (x) => tf.clipByValue(x, -0.6, 0.7),
  (x) => tf.pow(tf.add(tf.square(x), 0.5), 1.5),
  (x) => tf.leakyRelu(x, 0.2),
];

/** tfjs's gradients of max, min and squaredDifference do not undo broadcasting. */
function alike(f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): (a: tf.Tensor, b: tf.Tensor) => tf.Tensor {
  return (a, b) => {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
    return f(tf.broadcastTo(a, shape), tf.broadcastTo(b, shape));
  };
}

const BINARY: readonly ((a: tf.Tensor, b: tf.Tensor) => tf.Tensor)[] = [
  tf.add,
  tf.sub,
  tf.mul,
  alike(tf.maximum),
  alike(tf.minimum),
  alike(tf.squaredDifference),
  (a, b) => tf.div(a, tf.add(tf.square(b), 1)),
  (a, b) => tf.atan2(a, tf.add(tf.square(b), 0.5)),
  // tfjs has no gradients of comparisons, so conditions must not depend on what is differentiated.
  (a, b) => {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const places = tf.range(0, shape.at(-1) ?? 1, 1, 'int32');
    const even = tf.equal(tf.mod(places, tf.scalar(2, 'int32')), tf.scalar(0, 'int32'));
    return tf.where(shape.length > 0 ? even : tf.squeeze(even), tf.mul(a, 2), b);
  },
  (a, b) => tf.mul(tf.step(tf.sub(a, b)), tf.add(a, b)),
];

function axisOf(x: tf.Tensor, tape: Tape): number {
  return tape.below(x.rank);
}

/** Ops on one tensor that change its shape. Each gets tensors of rank 1 or more. */
const SHAPING: readonly ((x: tf.Tensor, tape: Tape) => tf.Tensor)[] = [
  (x, tape) => tf.sum(x, axisOf(x, tape), tape.below(2) === 1),
  (x, tape) => tf.mean(x, axisOf(x, tape), tape.below(2) === 1),
  (x, tape) => tf.max(x, axisOf(x, tape)),
  (x, tape) => tf.logSumExp(x, axisOf(x, tape)),
  // Along the last axis: elsewhere tfjs's gradient transposes its result wrongly.
  (x, tape) => tf.cumsum(x, x.rank - 1, tape.below(2) === 1, tape.below(2) === 1),
  (x) => tf.softmax(x),
  (x) => tf.logSoftmax(x),
  (x) => tf.transpose(x),
  (x) => tf.reshape(x, [-1]),
  (x, tape) => tf.expandDims(x, tape.below(x.rank + 1)),
  (x, tape) => {
    const axis = axisOf(x, tape);
    const begin = x.shape.map((d, i) => (i === axis && d > 1 ? 1 : 0));
    return tf.slice(x, begin);
  },
  (x, tape) => {
    const axis = axisOf(x, tape);
    return tf.pad(
      x,
      x.shape.map((_, i) => (i === axis ? [1, tape.below(2)] : [0, 0])),
      0.5,
    );
  },
  (x, tape) => {
    const axis = axisOf(x, tape);
    return tf.tile(
      x,
      x.shape.map((_, i) => (i === axis ? 2 : 1)),
    );
  },
  (x, tape) => tf.concat([x, tf.mul(x, 0.5)], axisOf(x, tape)),
  // tfjs has no gradient of unstacking into a single piece.
  (x, tape) => (x.shape[0] === 1 ? x : tf.stack(tf.unstack(x, 0).reverse(), tape.below(x.rank))),
  (x, tape) => {
    const axis = axisOf(x, tape);
    const n = x.shape[axis];
    return tf.gather(x, [n - 1, 0, tape.below(n)], axis);
  },
  (x) => tf.reverse(x),
];

/**
 * A function of (x [3], w [3, 4], v [2, 3], i int32 [2] in 0..2) to one scalar: up to twelve random ops, all values summed up. Which ops they
 * are depends on the tape only, so the function is the same whether it runs or is traced.
 */
export function randomFunction(words: readonly number[]): Fn {
  return (x: tf.Tensor, w: tf.Tensor, v: tf.Tensor, i: tf.Tensor) => {
    const tape = new Tape(words);
    const values: tf.Tensor[] = [x, w, v];
    const push = (y: tf.Tensor) => {
      if (y.size <= 200 && y.rank <= 4) values.push(y);
    };
    const recent = () => values[values.length - 1 - tape.below(Math.min(4, values.length))];
    for (let n = 0; n < 12 && !tape.done; n++) {
      const a = recent();
      switch (tape.below(6)) {
        case 0:
        case 1:
          push(tape.pick(UNARY)(a));
          break;
        case 2: {
          const fits = values.filter((b) => {
            try {
              return tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape).length <= 4;
            } catch {
              return false;
            }
          });
          push(tape.pick(BINARY)(a, tape.pick(fits)));
          break;
        }
        case 3: {
          // Two axes only: tfjs's gradient of a product does not undo broadcasting.
          const matrix =
            a.rank >= 2 ? tf.reshape(a, [-1, a.shape[a.rank - 1] as number]) : tf.reshape(a, [-1, 1]);
          const k = matrix.shape[matrix.rank - 1];
          const fits = values.filter((b) => b.rank === 2 && b.shape[0] === k);
          // Tall products are kept in range, so that later ops do not saturate.
          push(
            tf.tanh(fits.length > 0 ? tf.matMul(matrix, tape.pick(fits)) : tf.matMul(matrix, matrix, true)),
          );
          break;
        }
        case 4:
          push(tape.pick(SHAPING)(a.rank > 0 ? a : tf.reshape(a, [1]), tape));
          break;
        default: {
          const rows = a.rank > 0 && a.shape[0] === 3 ? a : w;
          push(tape.below(2) === 0 ? tf.gather(rows, i) : tf.mul(tf.oneHot(i, 3), tf.mean(a)));
        }
      }
    }
    // The inputs are always in it: a gradient with respect to something unused is an error in tfjs.
    return tf.addN([...values.slice(-4), x, w, v].map((y, n) => tf.mul(tf.mean(y), 1 + n)));
  };
}
