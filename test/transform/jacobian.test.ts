/** Jacobians, and transforms of transforms. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Rng } from '../../src/trace/rng.js';
import { defineUnroll } from '../../src/transform/define.js';
import { grad } from '../../src/transform/grad.js';
import { hvp } from '../../src/transform/hvp.js';
import { jacobian } from '../../src/transform/jacobian.js';
import { jit } from '../../src/transform/jit.js';
import { jvp } from '../../src/transform/jvp.js';
import { shape } from '../../src/transform/leaf.js';
import { vmap } from '../../src/transform/vmap.js';
import { openFastest } from '../support/devices.js';
import { expectClose } from './close.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe('jacobian', () => {
  it('has the shape of the result, then that of the argument', () => {
    const w = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
    const j = jacobian((x: tf.Tensor) => tf.matMul(x as tf.Tensor2D, w));
    const result = j(tf.ones([4, 2]));
    expect(result.shape).toEqual([4, 3, 4, 2]);
    const values = result.arraySync() as number[][][][];
    for (let a = 0; a < 4; a++)
      for (let b = 0; b < 3; b++)
        for (let c = 0; c < 4; c++)
          for (let d = 0; d < 2; d++)
            expect(values[a][b][c][d]).toBe(a === c ? [1, 2, 3, 4, 5, 6][3 * d + b] : 0);
  });

  it('of a scalar is its gradient, of a gradient the Hessian', () => {
    const f = (x: tf.Tensor) => tf.sum(tf.pow(x, 3)) as tf.Scalar;
    expectClose(jacobian(f)(tf.tensor1d([1, 2])), [3, 12], 1e-5);
    expectClose(jacobian(grad(f))(tf.tensor1d([1, 2])), tf.tensor2d([6, 0, 0, 12], [2, 2]), 1e-4);
    const coupled = (x: tf.Tensor) => tf.exp(tf.prod(x)) as tf.Scalar;
    // exp(xy): y^2 e, (1 + xy) e, x^2 e
    const [x, y] = [0.5, 2];
    const hessian = jacobian(grad(coupled))(tf.tensor1d([x, y]));
    expectClose(
      hessian,
      [y * y, 1 + x * y, 1 + x * y, x * x].map((v) => v * Math.exp(x * y)),
      1e-5,
    );
  });

  it('nests the structure of the argument in that of the result', () => {
    const j = jacobian(
      (_: tf.Tensor, p: { a: tf.Tensor; n: tf.Tensor }) => ({ s: tf.square(p.a), n: p.n, c: tf.ones([2]) }),
      1,
    );
    const { s, n, c } = j(0, { a: tf.tensor1d([1, 2, 3]), n: tf.scalar(1, 'int32') });
    expectClose(s.a, tf.diag(tf.tensor1d([2, 4, 6])), 0);
    expect([s.n.shape, s.n.dtype]).toEqual([[3], 'int32']);
    expect([n.a.shape, Array.from(n.a.dataSync())]).toEqual([[3], [0, 0, 0]]);
    expectClose(c.a, tf.zeros([2, 3]), 0);
  });

  it('draws once for all of its rows', () => {
    const j = jacobian((x: tf.Tensor, rng: Rng) => tf.mul(tf.sum(x), rng.normal([4])), 0, { seed: 2 });
    const rows = j([1, 2]).arraySync() as number[][];
    for (const [a, b] of rows) expect(a).toBe(b);
    expect(new Set(rows.map(([a]) => a)).size).toBe(4);
  });

  it('of nothing is empty', () => {
    expect(jacobian((x: tf.Tensor) => tf.slice(x, [0], [0]))(tf.ones([3])).shape).toEqual([0, 3]);
  });

  it('refuses several arguments', () => {
    // @ts-expect-error: one argument
    expect(() => jacobian((x: tf.Tensor) => x, [0])).toThrow(/jacobian: argnum/);
  });
});

describe('transforms of transforms', () => {
  const loss = (w: tf.Tensor, x: tf.Tensor) =>
    tf.square(tf.sub(tf.sum(tf.mul(w, tf.tanh(x))), 1)) as tf.Scalar;
  const w = tf.tensor1d([0.5, -1, 2]);
  const xs = tf.tensor2d([1, 0, 2, -1, 0.5, 0.3], [2, 3]);
  const rows = [
    [1, 0, 2],
    [-1, 0.5, 0.3],
  ];
  const residual = (x: number[]) => [0.5, -1, 2].reduce((s, v, i) => s + v * Math.tanh(x[i]), -1);

  it('vmap of grad: a gradient for each example', () => {
    const each = jit(vmap(grad(loss), [null, 0]))(w, xs) as tf.Tensor;
    expectClose(
      each,
      rows.flatMap((x) => x.map((v) => 2 * residual(x) * Math.tanh(v))),
      1e-5,
    );
  });

  it('jit of vmap of hvp: H v for each example', () => {
    const products = jit((a: tf.Tensor, b: tf.Tensor) =>
      vmap((x: tf.Tensor) => hvp((u: tf.Tensor) => loss(u, x), [a], [1]).product[0])(b),
    )(w, xs);
    expectClose(
      products,
      rows.flatMap((x) => {
        const t = x.map(Math.tanh);
        return t.map((v) => 2 * v * (t[0] + t[1] + t[2]));
      }),
      1e-5,
    );
  });

  it('grad of vmap: the gradient of a mean over examples, by what the mapped function captures', () => {
    const mean = grad((u: tf.Tensor) => tf.mean(vmap((x: tf.Tensor) => loss(u, x))(xs)) as tf.Scalar);
    expectClose(
      mean(w),
      [0, 1, 2].map((i) => rows.reduce((s, x) => s + residual(x) * Math.tanh(x[i]), 0)),
      1e-5,
    );
  });

  it('grad of jvp, jvp of grad, and jvp of jvp agree with closed forms', () => {
    const f = (x: tf.Tensor) => tf.exp(tf.sin(x)) as tf.Scalar;
    const x = 0.7;
    const second = Math.exp(Math.sin(x)) * (Math.cos(x) ** 2 - Math.sin(x));
    const slope = grad((t: tf.Tensor) => jvp(f, [t], [1]).tangent as tf.Scalar);
    expect(slope(x).dataSync()[0]).toBeCloseTo(second, 4);
    expect(jvp(grad(f), [x], [1]).tangent.dataSync()[0]).toBeCloseTo(second, 4);
    expect(jvp((t: tf.Tensor) => jvp(f, [t], [1]).tangent, [x], [1]).tangent.dataSync()[0]).toBeCloseTo(
      second,
      4,
    );
  });

  it('grad through an inner gradient descent: the derivative by a learning rate', () => {
    const inner = grad((x: tf.Tensor) => tf.sum(tf.square(x)) as tf.Scalar);
    const outer = grad((rate: tf.Tensor) => {
      let x: tf.Tensor = tf.ones([2]);
      for (let i = 0; i < 3; i++) x = tf.sub(x, tf.mul(rate, inner(x)));
      return tf.sum(tf.square(x)) as tf.Scalar;
    });
    // 2 (1 - 2r)^6
    expect(outer(0.1).dataSync()[0]).toBeCloseTo(-24 * 0.8 ** 5, 4);
  });

  it('work in a step of an unroll', async () => {
    const device = await openFastest();
    const slope = grad((x: tf.Tensor) => tf.sum(tf.square(x)) as tf.Scalar);
    const curve = (x: tf.Tensor) => hvp((u: tf.Tensor) => tf.sum(tf.pow(u, 4)), [x], [1]).product[0];
    const program = device.compile(
      defineUnroll({
        horizon: 10,
        theta: { rate: shape() },
        init: () => ({ x: tf.tensor1d([1, 2]) }),
        step: ({ theta, state }) => ({
          state: { x: tf.sub(state.x, tf.mul(theta.rate, slope(state.x))) as tf.Tensor1D },
          loss: tf.sum(curve(state.x)),
        }),
      }),
    );
    const state = program.createState(3);
    const run = await program.run({ state, theta: { rate: 0.25 }, steps: 2, seed: 1, record: 'perStep' });
    // x halves at every step; the curvature of x^4 is 12 x^2.
    expect(Array.from(run.losses as Float32Array)).toEqual([60, 60, 60, 15, 15, 15]);
    await device.dispose();
  });
});
