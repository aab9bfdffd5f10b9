/** Gradients of compiled functions. */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OptionError, ShapeError } from '../../src/errors.js';
import type { Rng } from '../../src/trace/rng.js';
import type { Device } from '../../src/transform/device.js';
import { grad, valueAndGrad } from '../../src/transform/grad.js';
import { jit } from '../../src/transform/jit.js';
import { openFastest } from '../support/devices.js';
import { expectClose } from './close.js';

let device: Device;
beforeAll(async () => {
  await tf.setBackend('cpu');
  device = await openFastest();
});
afterAll(() => device.dispose());

const sum = (x: tf.Tensor) => tf.sum(x) as tf.Scalar;

describe('derivatives of any order', () => {
  // Each with its first three derivatives, elementwise.
  const CASES: readonly [string, (x: tf.Tensor) => tf.Tensor, ((x: number) => number)[]][] = [
    ['exp', tf.exp, [Math.exp, Math.exp, Math.exp]],
    ['sin', tf.sin, [Math.cos, (x) => -Math.sin(x), (x) => -Math.cos(x)]],
    [
      'tanh',
      tf.tanh,
      [
        (x) => 1 - Math.tanh(x) ** 2,
        (x) => -2 * Math.tanh(x) * (1 - Math.tanh(x) ** 2),
        (x) => (1 - Math.tanh(x) ** 2) * (6 * Math.tanh(x) ** 2 - 2),
      ],
    ],
    ['log', tf.log, [(x) => 1 / x, (x) => -1 / x ** 2, (x) => 2 / x ** 3]],
    [
      'x^4',
      (x) => tf.mul(tf.square(x), tf.square(x)),
      [(x) => 4 * x ** 3, (x) => 12 * x ** 2, (x) => 24 * x],
    ],
    [
      'x^2.5',
      (x) => tf.pow(x, 2.5),
      [(x) => 2.5 * x ** 1.5, (x) => 3.75 * x ** 0.5, (x) => 1.875 / x ** 0.5],
    ],
    [
      'sigmoid',
      tf.sigmoid,
      [
        (x) => sigma(x) * (1 - sigma(x)),
        (x) => sigma(x) * (1 - sigma(x)) * (1 - 2 * sigma(x)),
        (x) => sigma(x) * (1 - sigma(x)) * (1 - 6 * sigma(x) + 6 * sigma(x) ** 2),
      ],
    ],
    ['1 / x', (x) => tf.div(1, x), [(x) => -1 / x ** 2, (x) => 2 / x ** 3, (x) => -6 / x ** 4]],
  ];
  const sigma = (x: number) => 1 / (1 + Math.exp(-x));

  it.each(CASES)('%s', (_, f, derivatives) => {
    const x = [0.3, 0.9, 1.7];
    const orders = [
      grad((t: tf.Tensor) => sum(f(t)), 0, { device }),
      grad((t: tf.Tensor) => sum(grad((u: tf.Tensor) => sum(f(u)))(t)), 0, { device }),
      grad((t: tf.Tensor) => sum(grad((u: tf.Tensor) => sum(grad((v: tf.Tensor) => sum(f(v)))(u)))(t)), 0, {
        device,
      }),
    ];
    orders.forEach((g, order) => {
      expectClose(g(tf.tensor1d(x)), x.map(derivatives[order]), 1e-5);
      g.dispose();
    });
  });

  it('sees what flows through a function that is captured, and only that', () => {
    // d/dx [x * d/dy (x * y^2)] at y = x: the inner derivative is by y alone.
    const outer = grad(
      (x: tf.Tensor) =>
        tf.mul(x, grad((y: tf.Tensor) => tf.mul(x, tf.square(y)) as tf.Scalar)(x)) as tf.Scalar,
      0,
      { device },
    );
    // x * 2 x x = 2 x^3
    expect(outer(1.5).dataSync()[0]).toBeCloseTo(6 * 1.5 ** 2, 4);
    outer.dispose();
  });

  it('goes through jit', () => {
    const f = jit((x: tf.Tensor) => tf.exp(tf.mul(x, x)));
    const g = grad((x: tf.Tensor) => sum(f(x)), 0, { device });
    expectClose(g([0.5, 1]), [2 * 0.5 * Math.exp(0.25), 2 * Math.E], 1e-5);
    g.dispose();
  });
});

describe('structures', () => {
  const loss = (p: { w: tf.Tensor; n: tf.Tensor; unused: tf.Tensor[] }, x: tf.Tensor) =>
    tf.sum(tf.mul(tf.square(p.w), x)) as tf.Scalar;
  const p = () => ({ w: tf.tensor1d([1, 2]), n: tf.tensor1d([7], 'int32'), unused: [tf.ones([2, 2])] });

  it('come back as they came, with zeros for what is not used or not float32', () => {
    const g = grad(loss, 0, { device })(p(), [3, 5]);
    expectClose(g.w, [6, 20], 1e-6);
    expect([g.n.dtype, Array.from(g.n.dataSync())]).toEqual(['int32', [0]]);
    expectClose(g.unused[0], tf.zeros([2, 2]), 0);
  });

  it('are differentiated by one argument, or by several', () => {
    expectClose(grad(loss, 1, { device })(p(), [3, 5]), [1, 4], 1e-6);
    const [first, second] = grad(loss, [1, 0], { device })(p(), [3, 5]);
    expectClose(first, [1, 4], 1e-6);
    expectClose(second.w, [6, 20], 1e-6);
  });

  it('keep apart two arguments that are one tensor', () => {
    const f = grad((a: tf.Tensor, b: tf.Tensor) => tf.mul(tf.square(a), b) as tf.Scalar, [0, 1], { device });
    const outer = jit((x: tf.Tensor) => f(x, x), { device });
    const [a, b] = outer(3);
    expect([a.dataSync()[0], b.dataSync()[0]]).toEqual([18, 9]);
  });

  it('take typed arrays, and give them', () => {
    const g = grad((x: tf.Tensor) => sum(tf.square(x)), 0, { device });
    expect(g(Float32Array.of(1, 2))).toEqual(Float32Array.of(2, 4));
  });

  it('may hold a constant loss', () => {
    expectClose(grad((_: tf.Tensor) => tf.scalar(3), 0, { device })([1, 2]), [0, 0], 0);
    expectClose(grad((x: tf.Tensor) => x, 0, { device })(4), [1], 0);
  });
});

describe('valueAndGrad', () => {
  it('gives both at once', () => {
    const { value, gradient } = valueAndGrad((x: tf.Tensor) => sum(tf.square(x)), 0, { device })([1, 2]);
    expect(value.dataSync()[0]).toBe(5);
    expectClose(gradient, [2, 4], 0);
  });

  it('hands through what else the function gives', () => {
    const f = valueAndGrad(
      (x: tf.Tensor) => {
        const y = tf.square(x);
        return { value: sum(y), aux: { y, parts: [tf.argMax(y), 0.5] as [tf.Tensor, number] } };
      },
      0,
      { hasAux: true, device },
    );
    const { value, gradient, aux } = f([1, 2]);
    expect(value.dataSync()[0]).toBe(5);
    expectClose(gradient, [2, 4], 0);
    expectClose(aux.y, [1, 4], 0);
    expect([aux.parts[0].dataSync()[0], aux.parts[1].dataSync()[0]]).toEqual([1, 0.5]);
    f.dispose();
  });

  it('makes one set of draws for the value and the gradient', () => {
    const f = valueAndGrad((x: tf.Tensor, rng: Rng) => sum(tf.mul(x, rng.normal([3]))), 0, {
      device,
      seed: 3,
    });
    const { value, gradient } = f(tf.ones([3]));
    const again = f(tf.ones([3]));
    expect(gradient.sum().dataSync()[0]).toBeCloseTo(value.dataSync()[0], 5);
    expect(again.value.dataSync()[0]).not.toBe(value.dataSync()[0]);
    f.dispose();
  });

  it('costs no more products than the network and its gradient have', () => {
    const params = [
      { w: tf.ones([8, 6]), b: tf.zeros([6]) },
      { w: tf.ones([6, 3]), b: tf.zeros([3]) },
    ];
    const f = valueAndGrad((layers: typeof params, x: tf.Tensor) => {
      let y = x;
      for (const { w, b } of layers) y = tf.relu(tf.add(tf.matMul(y as tf.Tensor2D, w as tf.Tensor2D), b));
      return tf.mean(tf.square(y)) as tf.Scalar;
    });
    // Forward 2; backward one for each weight, and one for the hidden layer.
    expect(f.lower(params, tf.ones([4, 8])).after.match(/matMul/g)).toHaveLength(5);
  });
});

describe('errors', () => {
  it.each<[string, (x: tf.Tensor) => unknown, RegExp]>([
    ['a vector', (x) => tf.mul(x, 2), /got float32 \[2\]; reduce it with tf.sum/],
    ['an integer', (x) => tf.argMax(x), /got int32 \[\]/],
    ['a structure', (x) => ({ a: sum(x) }), /got a structure with "a"/],
  ])('%s has no gradient', (_, fn, message) => {
    function named(x: tf.Tensor) {
      return fn(x);
    }
    expect(() => grad(named, 0, { device })(tf.ones([2]))).toThrow(ShapeError);
    expect(() => grad(named, 0, { device })(tf.ones([2]))).toThrow(/^grad\(named\) needs/);
    expect(() => grad(named, 0, { device })(tf.ones([2]))).toThrow(message);
  });

  it('name the argument that holds nothing to differentiate by, or is not there', () => {
    const f = (x: tf.Tensor, n: tf.Tensor) => sum(tf.mul(x, tf.cast(n, 'float32')));
    expect(() => grad(f, 1, { device })(tf.ones([2]), tf.tensor1d([1, 2], 'int32'))).toThrow(
      /grad\(f\) differentiates by argument 1, which holds no float32 tensor/,
    );
    expect(() => grad(f, 2, { device })(1, 1)).toThrow(/by argument 2, but was given 2/);
  });

  it.each([[-1], [1.5], [[]], [[0, 0]], ['x']])('argnums %j are refused', (argnums) => {
    expect(() => grad((x: tf.Tensor) => sum(x), argnums as never)).toThrow(OptionError);
  });

  it('name options', () => {
    const f = (x: tf.Tensor) => sum(x);
    // @ts-expect-error: grad has no hasAux
    expect(() => grad(f, 0, { hasAux: true })).toThrow(/no option "hasAux"/);
    expect(() => grad(f, 0, { staticArgs: [0] })).toThrow(/argument 0 is static/);
    expect(() => valueAndGrad(f, 0, { hasAux: true } as never)(1)).toThrow(/\{ value, aux \}/);
    // @ts-expect-error: no function
    expect(() => grad(undefined)).toThrow(/grad expects a function/);
  });
});

it('leaves no tensors but the gradients', () => {
  const f = grad((x: tf.Tensor) => sum(tf.softmax(tf.mul(x, x))), 0, { device });
  const x = tf.ones([3, 4]);
  f(x).dispose();
  const { numTensors } = tf.memory();
  f(x).dispose();
  f.clear();
  f(x).dispose();
  expect(tf.memory().numTensors).toBe(numTensors);
});
