import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import { trace } from '../../src/trace/trace.js';

// Derivatives inside a trace against closed forms, where tfjs itself has none or a wrong one.

type Unary = (x: tf.Tensor) => tf.Tensor;

/** Values of a traced function of one vector (or matrix). */
function evaluate(fn: Unary, values: number[], shape = [values.length]): number[] {
  const inputs = [{ role: 'value', path: 'x', shape, dtype: 'float32' }] as const;
  const { graph } = trace(([x]) => fn(x), { inputs });
  return Array.from(evaluateGraph(graph, { x: Float32Array.from(values) }).value.values);
}

const grad =
  (fn: Unary): Unary =>
  (x) =>
    tf.grad((v) => tf.sum(fn(v)))(x);

const X = [-2, -0.5, 0.25, 3];

function expectClose(actual: number[], wanted: number[]): void {
  expect(actual.length).toBe(wanted.length);
  actual.forEach((a, i) => {
    expect(a).toBeCloseTo(wanted[i], 5);
  });
}

describe('derivatives through comparisons', () => {
  test('first derivative of where with a condition on x', () => {
    const fn: Unary = (x) => tf.where(tf.greater(x, 0), tf.square(x), tf.mul(x, 3));
    expectClose(
      evaluate(grad(fn), X),
      X.map((x) => (x > 0 ? 2 * x : 3)),
    );
  });
  test('second derivatives of clip, leakyRelu, maximum and selu', () => {
    // d/dx (f(x) f'(x)) would need f'; sum(f^3)' = 3 f^2 f', whose derivative is 6 f f'^2 where f'' = 0.
    const cubed =
      (fn: Unary): Unary =>
      (x) =>
        tf.mul(tf.square(fn(x)), fn(x));
    const second = (fn: Unary) => evaluate(grad(grad(cubed(fn))), X);
    expectClose(
      second((x) => tf.clipByValue(x, -1, 1)),
      X.map((x) => (Math.abs(x) < 1 ? 6 * x : 0)),
    );
    expectClose(
      second((x) => tf.leakyRelu(x, 0.5)),
      X.map((x) => (x > 0 ? 6 * x : 6 * 0.5 * x * 0.25)),
    );
    expectClose(
      second((x) => tf.maximum(x, tf.scalar(0.1))),
      X.map((x) => (x > 0.1 ? 6 * x : 0)),
    );
    const alpha = 1.7580993408473768;
    expectClose(
      evaluate(grad(grad(tf.selu)), X),
      X.map((x) => (x > 0 ? 0 : alpha * Math.exp(x))),
    );
  });
  test('second derivative of elu, whose gradient is a kernel of its own', () => {
    expectClose(
      evaluate(grad(grad(tf.elu)), X),
      X.map((x) => (x > 0 ? 0 : Math.exp(x))),
    );
    const third = evaluate((x) => grad(grad((v) => tf.square(tf.elu(v))))(x), X);
    // (e^x - 1)^2 has the second derivative 4 e^2x - 2 e^x; x^2 has 2.
    expectClose(
      third,
      X.map((x) => (x > 0 ? 2 : 4 * Math.exp(2 * x) - 2 * Math.exp(x))),
    );
  });
  test('second derivative of logSumExp: the diagonal of p - p p^T summed over a row is zero', () => {
    // grad of sum_i p_i^2 for p = softmax = grad logSumExp: 2 p_k (p_k - sum p^2)
    const p: Unary = (x) => tf.grad((v) => tf.logSumExp(v))(x);
    const powers = X.map(Math.exp);
    const total = powers.reduce((a, b) => a + b, 0);
    const probabilities = powers.map((e) => e / total);
    const squares = probabilities.reduce((a, q) => a + q * q, 0);
    expectClose(
      evaluate(
        grad((x) => tf.square(p(x))),
        X,
      ),
      probabilities.map((q) => 2 * q * (q - squares)),
    );
  });
});

describe('second derivatives against central differences of the first', () => {
  const functions: Record<string, Unary> = {
    acos: (x) => tf.acos(tf.mul(x, 0.4)),
    acosh: (x) => tf.acosh(tf.add(x, 1.5)),
    asin: (x) => tf.asin(tf.mul(x, 0.4)),
    asinh: tf.asinh,
    atan: tf.atan,
    atanh: (x) => tf.atanh(tf.mul(x, 0.4)),
    cos: tf.cos,
    cosh: tf.cosh,
    elu: (x) => tf.elu(tf.sub(x, 1)),
    erf: tf.erf,
    exp: tf.exp,
    expm1: tf.expm1,
    fusedMatMul: (x) =>
      tf.fused.matMul({ a: tf.reshape(x, [2, 2]), b: tf.reshape(tf.sin(x), [2, 2]), activation: 'linear' }),
    log: tf.log,
    log1p: tf.log1p,
    logSigmoid: tf.logSigmoid,
    logSoftmax: tf.logSoftmax,
    logSumExp: (x) => tf.logSumExp(x),
    mean: (x) => tf.mean(tf.pow(x, 3)),
    norm: (x) => tf.norm(x),
    pow: (x) => tf.pow(x, tf.sin(x)),
    reciprocal: tf.reciprocal,
    rsqrt: tf.rsqrt,
    selu: (x) => tf.selu(tf.sub(x, 1)),
    sigmoid: tf.sigmoid,
    sin: tf.sin,
    sinh: tf.sinh,
    softmax: tf.softmax,
    softmaxCrossEntropy: (x) =>
      tf.losses.softmaxCrossEntropy(tf.tensor2d([0, 1, 1, 0], [2, 2]), tf.reshape(x, [2, 2])),
    sigmoidCrossEntropy: (x) => tf.losses.sigmoidCrossEntropy(tf.tensor1d([0, 1, 1, 0]), x),
    softplus: tf.softplus,
    sqrt: tf.sqrt,
    tan: (x) => tf.tan(tf.mul(x, 0.5)),
    tanh: tf.tanh,
    'tanh twice': (x) => tf.tanh(tf.mul(tf.tanh(x), x)),
  };
  const at = [0.4, 0.8, 1.3, 1.9];
  const weights = tf.tensor1d([1, -2, 3, 0.5]);
  for (const [name, fn] of Object.entries(functions)) {
    test(name, () => {
      // sum w f(x) x: products, so that a forgotten path shows as a missing term.
      const loss: Unary = (x) =>
        tf.sum(tf.mul(tf.mul(tf.reshape(tf.mul(fn(x), tf.onesLike(fn(x))), [-1]), weights), x));
      const first = grad(loss);
      const h = 2 ** -7;
      const direction = [1, 0.5, -1, 2];
      const along = (s: number) =>
        evaluate(
          first,
          at.map((x, i) => x + s * h * direction[i]),
        );
      const [plus, minus] = [along(1), along(-1)];
      const product = evaluate((x) => grad((y) => tf.mul(first(y), tf.tensor1d(direction)))(x), at);
      product.forEach((value, i) => {
        const wanted = (plus[i] - minus[i]) / (2 * h);
        expect(Math.abs(value - wanted)).toBeLessThan(2e-3 * Math.max(1, Math.abs(wanted)));
      });
    });
  }
  test('a custom gradient keeps its own rule, also in the second derivative', () => {
    // value x^2 with the gradient 5 y dy, y = x^2 its own output: d/dx (5 x^2) must use the custom rule again: 5 * 5 x^2.
    const custom = tf.customGrad((...args) => {
      const [x, save] = args as unknown as [tf.Tensor, (t: tf.Tensor[]) => void];
      const value = tf.square(x);
      save([value]);
      return { value, gradFunc: (dy: tf.Tensor, [y]: tf.Tensor[]) => tf.mul(dy, tf.mul(y, 5)) };
    });
    expectClose(
      evaluate(grad(custom), X),
      X.map((x) => 5 * x * x),
    );
    expectClose(
      evaluate(grad(grad(custom)), X),
      X.map((x) => 25 * x * x),
    );
  });
  test('what a custom gradient saves on the way counts as depending on x, wherever the function was made', () => {
    // value sum x^3 with the gradient 3 s dy, s = x^2 saved: the second derivative is 6 x.
    const f = (...args: unknown[]) => {
      const [x, save] = args as [tf.Tensor, (t: tf.Tensor[]) => void];
      const squared = tf.square(x);
      save([squared]);
      const value = tf.mul(squared, x);
      return { value, gradFunc: (dy: tf.Tensor, [s]: tf.Tensor[]) => tf.mul(dy, tf.mul(s, 3)) };
    };
    const before = tf.customGrad(f);
    for (const custom of [before, (x: tf.Tensor) => tf.customGrad(f)(x)]) {
      expectClose(
        evaluate(grad(grad(custom)), X),
        X.map((x) => 6 * x),
      );
    }
    expect(() => evaluate(grad(tf.customGrad((x) => ({ value: x }) as never)), X)).toThrow(/gradFunc/);
  });
});

test('gradient of cumsum along the first axis of a square matrix', () => {
  // sum_ij c_ij cumsum(x)_ij with c = [[1, 2], [3, 4]]: dx_0j = c_0j + c_1j, dx_1j = c_1j.
  const fn: Unary = (x) => tf.mul(tf.cumsum(x, 0), tf.tensor2d([1, 2, 3, 4], [2, 2]));
  expectClose(evaluate(grad(fn), [1, 1, 1, 1], [2, 2]), [4, 6, 3, 4]);
});

test('gradients towards a broadcast operand are summed', () => {
  const matrix = tf.tensor2d([1, 5, 2, 0, -1, 4], [3, 2]);
  expectClose(
    evaluate(
      grad((x) => tf.maximum(x, matrix)),
      [1.5, 3],
    ),
    [2, 1],
  );
  expectClose(
    evaluate(
      grad((x) => tf.minimum(matrix, x)),
      [1.5, 3],
    ),
    [1, 2],
  );
  expectClose(
    evaluate(
      grad((x) => tf.squaredDifference(matrix, x)),
      [1, 3],
    ),
    [2 * (0 - 1 + 2), 2 * (-2 + 3 - 1)],
  );
});

describe('gradients that must not grow with the tensors', () => {
  test('tile and broadcastTo, any rank', () => {
    const size = (fn: Unary, shape: number[]) =>
      trace(([x]) => grad(fn)(x), { inputs: [{ role: 'value', path: 'x', shape, dtype: 'float32' }] }).graph
        .nodes.length;
    const weights = tf.range(0, 24).reshape([4, 6]);
    expectClose(
      evaluate(
        grad((x) => tf.mul(tf.tile(x, [2, 3]), weights)),
        [1, 1, 1, 1],
        [2, 2],
      ),
      // rows 0 and 2, columns 0, 2, 4 of the weights, and so on
      [0, 1, 6, 7].map((first) => [0, 2, 4, 12, 14, 16].reduce((sum, k) => sum + first + k, 0)),
    );
    expectClose(
      evaluate(
        grad((x) => tf.mul(tf.broadcastTo(x, [4, 6]), weights)),
        [1, 1, 1, 1],
        [4, 1],
      ),
      [0, 1, 2, 3].map((row) => 6 * 6 * row + 15),
    );
    expect(size((x) => tf.broadcastTo(x, [1000, 3]), [1, 3])).toBeLessThan(12);
    expect(size((x) => tf.tile(x, [50, 1, 2, 1, 7]), [2, 1, 3, 1, 2])).toBeLessThan(30);
    expect(size((x) => tf.tile(x, [0, 2]), [2, 3])).toBeLessThan(24);
  });
  test('gather with batch dims', () => {
    const indices = tf.tensor3d([0, 2, 2, 1, 1, 1, 0, 0], [2, 2, 2], 'int32');
    const weights = tf.tensor3d([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]);
    expectClose(
      evaluate(
        grad((x) => tf.mul(tf.gather(x, indices, 2, 2), weights)),
        new Array(12).fill(1),
        [2, 2, 3],
      ),
      [1, 0, 2, 0, 4, 3, 0, 11, 0, 15, 0, 0],
    );
    const { graph } = trace(([x, i]) => grad((v) => tf.square(tf.gather(v, i as tf.Tensor1D, 1, 1)))(x), {
      inputs: [
        { role: 'value', path: 'x', shape: [500, 3, 2], dtype: 'float32' },
        { role: 'value', path: 'i', shape: [500, 4], dtype: 'int32' },
      ],
    });
    expect(graph.nodes.length).toBeLessThan(40);
  });
});

test('a gradient through two SGD steps of a quadratic', () => {
  // w' = w - r * 2 (w - 1), twice: loss (w'' - 1)^2 = (w - 1)^2 (1 - 2r)^4; d/dr = -8 (w - 1)^2 (1 - 2r)^3.
  const loss = (w: tf.Tensor) => tf.sum(tf.square(tf.sub(w, 1))) as tf.Scalar;
  const outer: Unary = (r) => {
    let w: tf.Tensor = tf.scalar(3);
    for (let i = 0; i < 2; i++) w = tf.sub(w, tf.mul(r, tf.grad(loss)(w)));
    return loss(w);
  };
  expectClose(
    evaluate((r) => tf.grad(outer)(r), [0.1], []),
    [-8 * 4 * 0.8 ** 3],
  );
});

test('a Jacobian-vector product by the double-vjp trick', () => {
  // f(x) = sin(x) x: f' = cos(x) x + sin(x); jvp with v elementwise.
  const f: Unary = (x) => tf.mul(tf.sin(x), x);
  const tangent = [1, -2, 0.5, 3];
  const jvp: Unary = (x) => {
    const pullback = (u: tf.Tensor) => tf.grad(f)(x, u);
    return tf.grad((u) => tf.sum(tf.mul(pullback(u), tf.tensor1d(tangent))))(tf.onesLike(x));
  };
  expectClose(
    evaluate(jvp, X),
    X.map((x, i) => (Math.cos(x) * x + Math.sin(x)) * tangent[i]),
  );
});

test('a Hessian-vector product of an MLP loss matches finite differences of its gradient', () => {
  const inputs = tf.tensor2d([0.1, -0.4, 0.7, 0.2, 0.9, -0.3], [3, 2]);
  const labels = tf.tensor2d([1, 0, 0, 1, 1, 0], [3, 2]);
  const loss = (w: tf.Tensor) => {
    const hidden = tf.tanh(tf.matMul(inputs, tf.reshape(tf.slice(w, 0, 6), [2, 3])));
    const logits = tf.matMul(hidden, tf.reshape(tf.slice(w, 6, 6), [3, 2])) as tf.Tensor2D;
    return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
  };
  const w = Array.from({ length: 12 }, (_, i) => Math.sin(3 * i + 1));
  const v = Array.from({ length: 12 }, (_, i) => Math.cos(2 * i));
  const product = evaluate((x) => tf.grad((y) => tf.sum(tf.mul(tf.grad(loss)(y), tf.tensor1d(v))))(x), w);
  const h = 1e-2;
  const gradient = (s: number) =>
    evaluate(
      tf.grad(loss),
      w.map((x, i) => x + s * h * v[i]),
    );
  const [plus, minus] = [gradient(1), gradient(-1)];
  product.forEach((value, i) => {
    expect(value).toBeCloseTo((plus[i] - minus[i]) / (2 * h), 3);
  });
});

test('the gradients of tfjs itself are registered as before', () => {
  const names = ['Equal', 'Greater', 'LogicalAnd', 'EluGrad', 'Cumsum', 'Maximum', 'Tile'];
  const before = names.map((name) => tf.getGradient(name));
  evaluate(grad(tf.elu), X);
  expect(() => trace(() => tf.scalar(Math.random()), { inputs: [] })).toThrow();
  names.forEach((name, i) => {
    expect(tf.getGradient(name)).toBe(before[i]);
  });
  expect(before[4]).toBeDefined();
});

test('an op without a gradient is refused by name where one is asked of it, and only there', () => {
  const kernel = (x: tf.Tensor) => tf.broadcastTo(tf.linspace(0, 1, x.size), x.shape);
  expectClose(
    evaluate(
      grad((x) => tf.mul(x, kernel(x))),
      X,
    ),
    Array.from(tf.linspace(0, 1, 4).dataSync()),
  );
  const band = (input: tf.Tensor) => {
    const limit = tf.scalar(0, 'int32');
    return tf.engine().runKernel('MatrixBandPart', { input, numLower: limit, numUpper: limit }) as tf.Tensor;
  };
  expect(evaluate(band, [1, 2, 3, 4], [2, 2])).toEqual([1, 0, 0, 4]);
  expect(() => evaluate(grad(band), [1, 2, 3, 4], [2, 2])).toThrow(
    /MatrixBandPart has no gradient.*gradients\.test/,
  );
  expect(tf.getGradient('MatrixBandPart')).toBeUndefined();
});

test('conditions made of all and any have derivatives', () => {
  const fn: Unary = (x) =>
    tf.where(tf.all(tf.greater(x, -5)), tf.square(x), tf.where(tf.any(tf.less(x, 0)), x, 0));
  expectClose(
    evaluate(grad(fn), X),
    X.map((x) => 2 * x),
  );
});
