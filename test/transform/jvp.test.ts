/** Products with Jacobians and Hessians: vjp, jvp, hvp. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { OptionError, ShapeError } from '../../src/errors.js';
import { grad } from '../../src/transform/grad.js';
import { hvp } from '../../src/transform/hvp.js';
import { jit } from '../../src/transform/jit.js';
import { jvp } from '../../src/transform/jvp.js';
import { vjp } from '../../src/transform/vjp.js';
import { expectClose } from './close.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const wave = (...dims: number[]) =>
  tf.tensor(
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1.3 * i + dims[0])),
    dims,
  );

describe('jvp', () => {
  const product = (x: tf.Tensor, y: tf.Tensor) => tf.mul(tf.sin(x), y);

  it('is the derivative along the tangents', () => {
    const { value, tangent } = jvp(product, [3, 5], [2, 7]);
    expect(value.dataSync()[0]).toBeCloseTo(5 * Math.sin(3), 5);
    expect(tangent.dataSync()[0]).toBeCloseTo(2 * 5 * Math.cos(3) + 7 * Math.sin(3), 5);
  });

  it('takes null for zeros, and a number for a whole tensor', () => {
    const x = tf.tensor1d([0, 1]);
    expectClose(jvp(product, [x, 5], [1, null]).tangent, [5, 5 * Math.cos(1)], 1e-5);
    expectClose(jvp(product, [x, 5], [null, 1]).tangent, [0, Math.sin(1)], 1e-5);
    expectClose(jvp(product, [x, 5], []).tangent, [0, 0], 0);
  });

  it('keeps structures, with zeros for what does not depend on the arguments or is not float32', () => {
    const f = (p: { a: tf.Tensor; n: tf.Tensor }) => ({
      square: tf.square(p.a),
      next: [tf.add(p.n, tf.scalar(1, 'int32')), tf.ones([2])] as [tf.Tensor, tf.Tensor],
    });
    const p = { a: tf.tensor1d([1, 2, 3]), n: tf.scalar(4, 'int32') };
    const { value, tangent } = jvp(f, [p], [{ a: [1, 0, 1] }]);
    expectClose(value.square, [1, 4, 9], 0);
    expectClose(tangent.square, [2, 0, 6], 0);
    expect([value.next[0].dataSync()[0], tangent.next[0].dataSync()[0]]).toEqual([5, 0]);
    expect(tangent.next[0].dtype).toBe('int32');
    expectClose(tangent.next[1], [0, 0], 0);
  });

  it('passes through the ops of a network, against finite differences in float64', () => {
    const [w, b, x] = [wave(4, 3), wave(3), wave(5, 4)];
    const f = (u: tf.Tensor, v: tf.Tensor) =>
      tf.logSoftmax(tf.elu(tf.add(tf.matMul(x as tf.Tensor2D, u as tf.Tensor2D), v)));
    const [dw, db] = [wave(4, 3).cos(), wave(3).cos()];
    const { tangent } = jvp(f, [w, b], [dw, db]);
    const elu = (z: number) => (z > 0 ? z : Math.expm1(z));
    const at = (h: number) => {
      const [W, B, X, DW, DB] = [w, b, x, dw, db].map((t) => Array.from(t.dataSync()));
      return Array.from({ length: 5 }, (_, n) => {
        const z = [0, 1, 2].map((k) =>
          elu(
            [0, 1, 2, 3].reduce(
              (s, i) => s + X[4 * n + i] * (W[3 * i + k] + h * DW[3 * i + k]),
              B[k] + h * DB[k],
            ),
          ),
        );
        const total = Math.log(z.reduce((s, each) => s + Math.exp(each), 0));
        return z.map((each) => each - total);
      }).flat();
    };
    const [up, down] = [at(1e-5), at(-1e-5)];
    expectClose(
      tangent,
      up.map((v, i) => (v - down[i]) / 2e-5),
      2e-5,
    );
  });

  it('costs at most three times the arithmetic of a network, and leaves nothing of the transpositions', () => {
    const sizes = [784, 512, 256, 10];
    const layers = sizes.slice(1).map((n, i) => ({ w: tf.zeros([sizes[i], n]), b: tf.zeros([n]) }));
    const x = tf.zeros([32, 784]);
    const network = (p: typeof layers, input: tf.Tensor) => {
      let y = input;
      p.forEach(({ w, b }, i) => {
        const z = tf.add(tf.matMul(y as tf.Tensor2D, w as tf.Tensor2D), b);
        y = i < 2 ? tf.relu(z) : z;
      });
      return y;
    };
    const primal = jit(network).lower(layers, x);
    const pushed = jit((p: typeof layers, t: typeof layers, input: tf.Tensor) =>
      jvp((q: typeof layers) => network(q, input), [p], [t]),
    ).lower(layers, layers, x);
    // A product for the value of each layer; for the tangent one with the weight's, and but for the first one with the layer's below.
    expect(primal.after.match(/matMul/g)).toHaveLength(3);
    expect(pushed.after.match(/matMul/g)).toHaveLength(3 + 3 + 2);
    expect(pushed.plan.flops).toBeLessThanOrEqual(3 * primal.plan.flops);
    const nodes = (text: string) =>
      text.split('\n').filter((line) => / = (?!input|constant)/.test(line)).length;
    expect(nodes(pushed.after)).toBeLessThanOrEqual(3 * nodes(primal.after));
  });

  it('refuses what the primals have no place for, by name', () => {
    function f(p: { a: tf.Tensor }) {
      return tf.square(p.a);
    }
    const p = { a: tf.ones([2, 3]) };
    // @ts-expect-error: one primal
    expect(() => jvp(f, [p], [p, p])).toThrow(/jvp\(f\) was given 2 tangents for 1 primals/);
    expect(() => jvp(f, [p], [{ b: 1 }])).toThrow(/no place for "b"/);
    expect(() => jvp(f, [p], [{ a: [1, 2, 3] }])).toThrow(
      /tangent at "0.a" of jvp\(f\) must have shape \[2, 3\], got \[3\]/,
    );
    expect(() => jvp(f, [p], [{ a: [1, 2, 3] }])).toThrow(ShapeError);
    expect(() => jvp(f, [p], [{ a: 'x' }] as never)).toThrow(OptionError);
    expect(() => jvp(f, p as never, [p])).toThrow(/takes its primals as an array/);
  });

  it('compiles once for one function', () => {
    let traces = 0;
    const f = (x: tf.Tensor) => {
      traces++;
      return tf.exp(x);
    };
    jvp(f, [1], [1]);
    const first = traces;
    jvp(f, [2], [3]);
    expect(traces).toBe(first);
    jvp(f, [tf.ones([2])], [3]);
    expect(traces).toBe(2 * first);
  });
});

describe('vjp', () => {
  it('gives the value, and gradients for any cotangent', () => {
    const f = (x: tf.Tensor, y: tf.Tensor) => ({ p: tf.mul(x, y), s: tf.sum(x), n: tf.argMax(x) });
    const { value, pullback } = vjp(f, tf.tensor1d([1, 2]), tf.tensor1d([3, 4]));
    expectClose(value.p, [3, 8], 0);
    expect(value.n.dataSync()[0]).toBe(1);
    const [x, y] = pullback({ p: [1, 10], s: 100 });
    expectClose(x, [103, 140], 0);
    expectClose(y, [1, 20], 0);
    const [alone] = pullback({ s: 2 });
    expectClose(alone, [2, 2], 0);
    expectClose(pullback(null)[1], [0, 0], 0);
    expect(() => pullback({ q: 1 })).toThrow(/no place for "q"/);
    expect(() => pullback({ p: [1, 2, 3] })).toThrow(/cotangent at "p" of vjp\(f\) must have shape \[2\]/);
  });

  it('is recorded inside a trace', () => {
    const f = jit((x: tf.Tensor) => {
      const { value, pullback } = vjp((t: tf.Tensor) => tf.exp(t), x);
      return [value, pullback(1)[0], pullback(2)[0]];
    });
    const [value, one, two] = f([0, 1]);
    expectClose(value, [1, Math.E], 1e-6);
    expectClose(one, [1, Math.E], 1e-6);
    expectClose(two, [2, 2 * Math.E], 1e-6);
    expect(f.lower([0, 1]).after.match(/exp\(/g)).toHaveLength(1);
  });

  it('takes typed arrays, and gives them', () => {
    const { value, pullback } = vjp((x: tf.Tensor) => tf.square(x), Float32Array.of(1, 2));
    expect(value).toEqual(Float32Array.of(1, 4));
    expect(pullback(Float32Array.of(1, 1))[0]).toEqual(Float32Array.of(2, 4));
  });

  it('is the transpose of jvp: <u, J t> = <J^T u, t>', () => {
    const f = (x: tf.Tensor) => tf.softmax(tf.matMul(tf.reshape(x, [3, 2]), wave(2, 4) as tf.Tensor2D));
    const [x, t, u] = [wave(6), wave(6).cos(), wave(3, 4)];
    const forward = tf.sum(tf.mul(u, jvp(f, [x], [t]).tangent)).dataSync()[0];
    const { pullback } = vjp(f, x);
    const backward = tf.sum(tf.mul(pullback(u)[0], t)).dataSync()[0];
    expect(forward).toBeCloseTo(backward, 5);
  });
});

describe('hvp', () => {
  it('is the Hessian times the tangents', () => {
    const cubes = (x: tf.Tensor) => tf.sum(tf.pow(x, 3));
    const { gradient, product } = hvp(cubes, [tf.tensor1d([1, 2])], [[1, 10]]);
    expectClose(gradient[0], [3, 12], 1e-5);
    expectClose(product[0], [6, 120], 1e-4);
  });

  it('couples arguments, and leaves what is not float32', () => {
    const f = (p: { a: tf.Tensor; n: tf.Tensor }, b: tf.Tensor) =>
      tf.mul(tf.square(p.a), tf.mul(b, tf.cast(p.n, 'float32')));
    const { gradient, product } = hvp(f, [{ a: 3, n: tf.scalar(2, 'int32') }, 5], [{ a: 1 }, null]);
    // f = 2 a^2 b: gradient (4ab, 2a^2), Hessian times (1, 0): (4b, 4a).
    expect(gradient[0].a.dataSync()[0]).toBe(60);
    expect(gradient[1].dataSync()[0]).toBe(18);
    expect(product[0].a.dataSync()[0]).toBe(20);
    expect(product[1].dataSync()[0]).toBe(12);
    expect(product[0].n.dtype).toBe('int32');
  });

  it('agrees with finite differences of the gradient, for a network', () => {
    const x = wave(6, 3);
    const loss = (w: tf.Tensor, v: tf.Tensor) =>
      tf.mean(
        tf.square(
          tf.matMul(tf.tanh(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D)) as tf.Tensor2D, v as tf.Tensor2D),
        ),
      ) as tf.Scalar;
    const [w, v, dw, dv] = [wave(3, 4), wave(4, 1), wave(3, 4).cos(), wave(4, 1).cos()];
    const { product } = hvp(loss, [w, v], [dw, dv]);
    const h = 0.01;
    const both = grad(loss, [0, 1]);
    const at = (s: number) => both(tf.add(w, tf.mul(dw, s)), tf.add(v, tf.mul(dv, s)));
    const [up, down] = [at(h), at(-h)];
    [0, 1].forEach((i) => {
      expectClose(product[i], tf.div(tf.sub(up[i], down[i]), 2 * h), 2e-3);
    });
  });

  it('needs a scalar', () => {
    expect(() => hvp((x: tf.Tensor) => tf.mul(x, 2), [tf.ones([2])], [1])).toThrow(/hvp.*float32 scalar/);
  });
});
