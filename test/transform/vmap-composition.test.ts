import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OptionError, ShapeError, TraceError } from '../../src/errors.js';
import { trace } from '../../src/trace/trace.js';
import { grad } from '../../src/transform/grad.js';
import { jit } from '../../src/transform/jit.js';
import { vmap } from '../../src/transform/vmap.js';

let before: number;
beforeEach(() => {
  before = tf.memory().numTensors;
  tf.engine().startScope();
});
afterEach(() => {
  tf.engine().endScope();
  expect(tf.memory().numTensors).toBe(before);
});

const XS = [
  [1, 2, 3],
  [4, 5, 6],
];
const array = (x: tf.Tensor) => x.arraySync();

describe('structures', () => {
  it('takes and gives nested objects and arrays, with an axis for each leaf', () => {
    const f = vmap(
      ({ a, list }: { a: tf.Tensor; list: [tf.Tensor, tf.Tensor] }, scale: tf.Tensor) => ({
        sum: tf.add(a, list[0]),
        parts: [tf.mul(list[1], scale), 7],
      }),
      [{ a: 0, list: [1, null] }, null],
      { sum: 1, parts: 0 },
    );
    const { sum, parts } = f(
      {
        a: tf.tensor2d(XS),
        list: [
          tf.tensor2d([
            [10, 20],
            [30, 40],
            [50, 60],
          ]),
          tf.scalar(2),
        ],
      },
      tf.scalar(3),
    );
    expect(array(sum)).toEqual([
      [11, 24],
      [32, 45],
      [53, 66],
    ]);
    expect(parts.map(array)).toEqual([
      [6, 6],
      [7, 7],
    ]);
  });

  it('takes typed arrays, nested arrays and numbers', () => {
    const f = vmap((x: tf.Tensor, y: tf.Tensor, z: tf.Tensor) => tf.add(tf.mul(x, y), z), [0, 0, null]);
    expect(array(f(Float32Array.of(1, 2, 3), [[1], [2], [3]], 10))).toEqual([[11], [14], [19]]);
  });

  it('results that are the same for all come without batch axis where outAxes is null', () => {
    const f = vmap((x: tf.Tensor, w: tf.Tensor) => [tf.mul(x, w), tf.square(w)], [0, null], [0, null]);
    const [y, w] = f(tf.tensor1d([1, 2]), tf.tensor1d([3, 4]));
    expect(array(y)).toEqual([
      [3, 4],
      [6, 8],
    ]);
    expect(array(w)).toEqual([9, 16]);
  });

  it('an empty batch gives empty results of the right shapes', () => {
    const y = vmap((x: tf.Tensor) => tf.matMul(x, x, false, true))(tf.zeros([0, 2, 3]));
    expect(y.shape).toEqual([0, 2, 2]);
  });

  it('ranks up to tfjs’s own inside the function', () => {
    const f = (x: tf.Tensor) => {
      const six = tf.reshape(x, [1, 2, 1, 3, 2, 1]);
      const moved = tf.transpose(
        tf.add(six, tf.reshape(tf.range(0, 4), [1, 1, 2, 1, 1, 2])),
        [5, 2, 4, 0, 3, 1],
      );
      return tf.sum(
        tf.cumsum(tf.mul(moved, tf.tile(six.reshape([1, 1, 2, 1, 3, 2]), [2, 2, 1, 1, 1, 1])), 2),
        [1, 4],
      );
    };
    const x = tf.reshape(tf.range(0, 24), [2, 12]);
    const wanted = tf.stack(tf.unstack(x).map(f));
    expect(array(vmap(f)(x))).toEqual(array(wanted));
  });
});

describe('composition', () => {
  const loss = (w: tf.Tensor, x: tf.Tensor) => tf.sum(tf.square(tf.tanh(tf.mul(w, x)))) as tf.Scalar;
  const W = [0.3, -0.2, 0.5];
  const t = (x: number) => Math.tanh(x);
  /** d loss / d w_j for one example. */
  const slope = (w: number, x: number) => 2 * t(w * x) * (1 - t(w * x) ** 2) * x;
  const expectSlopes = (got: number[][]) => {
    for (const [b, row] of got.entries())
      for (const [j, g] of row.entries()) expect(g).toBeCloseTo(slope(W[j], XS[b][j]), 5);
  };

  it('vmap of grad: gradients of every example', () => {
    const perExample = vmap(
      (w: tf.Tensor, x: tf.Tensor) => tf.grad((v: tf.Tensor) => loss(v, x))(w),
      [null, 0],
    );
    const got = array(perExample(tf.tensor1d(W), tf.tensor2d(XS))) as number[][];
    expectSlopes(got);
  });

  it('vmap of the library’s grad, and its grad of vmap', () => {
    const perExample = vmap(grad(loss), [null, 0]);
    expectSlopes(array(perExample(tf.tensor1d(W), tf.tensor2d(XS))) as number[][]);
    const total = grad((w: tf.Tensor, xs: tf.Tensor) => tf.sum(vmap(loss, [null, 0])(w, xs)));
    const sums = array(total(tf.tensor1d(W), tf.tensor2d(XS))) as number[];
    for (const [j, g] of sums.entries())
      expect(g).toBeCloseTo(slope(W[j], XS[0][j]) + slope(W[j], XS[1][j]), 5);
  });

  it('vmap of vmap: every pair', () => {
    const pairs = vmap(
      vmap((x: tf.Tensor, y: tf.Tensor) => tf.sum(tf.mul(x, y)), [null, 0]),
      [0, null],
    );
    expect(
      array(
        pairs(
          tf.tensor2d(XS),
          tf.tensor2d([
            [1, 0, 0],
            [0, 1, 0],
            [1, 1, 1],
          ]),
        ),
      ),
    ).toEqual([
      [1, 2, 6],
      [4, 5, 15],
    ]);
  });

  it('grad of vmap of vmap, by what the functions capture, too', () => {
    const gradient = tf.grad((w: tf.Tensor) => {
      const c = tf.square(w);
      const table = vmap((x: tf.Tensor) =>
        vmap((y: tf.Tensor) => tf.mul(tf.mul(x, y), c))(tf.tensor1d([1, 2])),
      );
      return tf.sum(table(tf.tensor1d([3, 4])));
    });
    // sum_ij x_i y_j w^2 = 21 w^2
    expect(array(gradient(tf.scalar(5)))).toBe(210);
    expect(array(tf.grad((w: tf.Tensor) => gradient(w))(tf.scalar(5)))).toBe(42);
  });

  it('jit of vmap of grad, captures of the outer trace included', () => {
    using compiled = jit((w: tf.Tensor, xs: tf.Tensor) =>
      vmap((x: tf.Tensor) => tf.grad((v: tf.Tensor) => loss(v, x))(w))(xs),
    );
    const got = array(compiled(tf.tensor1d(W), tf.tensor2d(XS))) as number[][];
    expectSlopes(got);
  });

  it('vmap of jit', () => {
    using compiled = jit((x: tf.Tensor) => tf.square(x));
    expect(array(vmap((x: tf.Tensor) => compiled(x))(tf.tensor2d(XS)))).toEqual([
      [1, 4, 9],
      [16, 25, 36],
    ]);
  });

  it('gradients by captured variables and tensors, whose values are those of each call', () => {
    const w = tf.variable(tf.scalar(2));
    const f = vmap((x: tf.Tensor) => tf.mul(tf.square(w), x));
    const xs = tf.tensor1d([1, 2, 3]);
    for (const value of [2, 3]) {
      w.assign(tf.scalar(value));
      expect(array(f(xs))).toEqual([1, 2, 3].map((x) => value * value * x));
      const { grads } = tf.variableGrads(() => tf.sum(f(xs)), [w]);
      expect(array(grads[w.name])).toBe(2 * value * 6);
    }
    w.dispose();
  });

  it('custom gradients inside the function count', () => {
    // Straight-through rounding: the gradient is that of the identity.
    const round = tf.customGrad((x) => ({
      value: tf.round(x as tf.Tensor),
      gradFunc: (dy: tf.Tensor) => dy.clone(),
    }));
    const gradient = tf.grad((xs: tf.Tensor) => tf.sum(vmap((x: tf.Tensor) => tf.square(round(x)))(xs)));
    expect(array(gradient(tf.tensor1d([0.6, 2.2])))).toEqual([2, 4]);
  });

  it('second derivatives are right eagerly, where tfjs’s own are not', () => {
    const second = tf.grad((x: tf.Tensor) =>
      tf.sum(tf.grad((y: tf.Tensor) => tf.sum(vmap((z: tf.Tensor) => tf.exp(z))(y)))(x)),
    );
    const got = array(second(tf.tensor1d([0, 1]))) as number[];
    expect(got[0]).toBeCloseTo(1, 6);
    expect(got[1]).toBeCloseTo(Math.E, 5);
  });
});

describe('traces are kept by signature', () => {
  it('whatever the batch size; not where tensors are captured', () => {
    let calls = 0;
    const f = vmap((x: tf.Tensor) => {
      calls++;
      return tf.square(x);
    });
    f(tf.tensor2d(XS));
    const first = calls;
    f(tf.ones([5, 3]));
    expect(calls).toBe(first);
    f(tf.ones([5, 4]));
    expect(calls).toBe(2 * first);
  });
});

describe('refusals', () => {
  const add = vmap(function add(x: tf.Tensor, y: tf.Tensor) {
    return tf.add(x, y);
  });
  it.each([
    [
      'batch sizes that differ, by leaf',
      () => add(tf.ones([2]), tf.ones([3])),
      ShapeError,
      /argument 0 of vmap of add has 2 .* argument 1 of vmap of add has 3/,
    ],
    [
      'an axis that is not there',
      () => vmap((x: tf.Tensor) => x, 2)(tf.ones([2, 3])),
      OptionError,
      /no axis 2; -2..1/,
    ],
    [
      'an axis of a scalar',
      () => add(tf.ones([2]), 1),
      OptionError,
      /argument 1 of vmap of add has no axis 0; it is a scalar: give it null/,
    ],
    [
      'null everywhere',
      () => vmap((x: tf.Tensor) => x, null)(tf.ones([2])),
      OptionError,
      /no argument has a batch axis/,
    ],
    [
      'axes for another number of arguments',
      () => vmap((x: tf.Tensor, y: tf.Tensor) => tf.add(x, y), [0])(tf.ones([2]), tf.ones([2])),
      OptionError,
      /array of 2/,
    ],
    [
      'axes of another structure',
      () => vmap(({ a }: { a: tf.Tensor }) => a, { b: 0 })({ a: tf.ones([2]) }),
      OptionError,
      /"b" does not match/,
    ],
    [
      'outAxes null for what differs',
      () => vmap((x: tf.Tensor) => x, 0, null)(tf.ones([2])),
      OptionError,
      /differs between members/,
    ],
    [
      'outAxes out of range',
      () => vmap((x: tf.Tensor) => x, 0, 2)(tf.ones([2, 3])),
      OptionError,
      /no axis 2/,
    ],
    [
      'tensors that were disposed',
      () => {
        const x = tf.ones([2]);
        x.dispose();
        add(x, x);
      },
      OptionError,
      /disposed/,
    ],
    ['no function', () => vmap(3 as never), OptionError, /not a function/],
    [
      'reading a value',
      () => vmap((x: tf.Tensor) => tf.scalar(x.dataSync()[0]))(tf.ones([2])),
      TraceError,
      /dataSync while tracing/,
    ],
    [
      'unseeded randomness',
      () => vmap((x: tf.Tensor) => tf.add(x, tf.randomNormal([1])))(tf.ones([2])),
      TraceError,
      /randomNormal/,
    ],
  ])('%s', (_, call, type, message) => {
    expect(call).toThrow(type);
    expect(call).toThrow(message);
  });

  it('the rng of a trace around it', () => {
    expect(() =>
      trace(([x], rng) => vmap((row: tf.Tensor) => tf.add(row, rng.normal([3])))(x), {
        inputs: [{ role: 'value', path: 'x', shape: [2, 3], dtype: 'float32' }],
      }),
    ).toThrow(/rng inside a function that is traced by itself/);
  });
});
