import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { afterAll, describe, expect, it } from 'vitest';
import '@tensorflow/tfjs-backend-wasm';
import { ShapeError } from '../../src/errors.js';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import { optimize } from '../../src/graph/passes/index.js';
import { digamma, erfinv, lgamma, logSumExp, preciseSum, trigamma } from '../../src/ops/special.js';
import { trace } from '../../src/trace/trace.js';
import { distance, eagerDerivatives, finiteDifferences, tracedDerivatives } from './derivatives.js';

const TABLE = JSON.parse(readFileSync(new URL('fixtures/special-values.json', import.meta.url), 'utf8')) as {
  readonly gamma: readonly (readonly number[])[];
  readonly erfinv: readonly (readonly number[])[];
};
/** Column of the table, and the magnitude below which an error is absolute. */
const FUNCTIONS: readonly {
  name: string;
  special: (x: tf.Tensor) => tf.Tensor;
  rows: readonly (readonly number[])[];
  column: number;
  floor: number;
}[] = [
  { name: 'lgamma', special: lgamma, rows: TABLE.gamma, column: 1, floor: 1 },
  { name: 'digamma', special: digamma, rows: TABLE.gamma, column: 2, floor: 1 },
  { name: 'trigamma', special: trigamma, rows: TABLE.gamma, column: 3, floor: 0 },
  { name: 'erfinv', special: erfinv, rows: TABLE.erfinv, column: 1, floor: 0 },
];

/** Largest error; equal float32 (infinities of overflow among them) count as none. */
function worst(got: ArrayLike<number>, wanted: readonly number[], floor: number): number {
  return wanted.reduce((most, w, i) => {
    if (Object.is(Math.fround(w), got[i])) return most;
    const error = Math.abs(got[i] - w) / Math.max(floor, Math.abs(w));
    return Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(most, error);
  }, 0);
}

function traced(
  f: (x: tf.Tensor) => tf.Tensor,
  x: Float32Array,
  shape: readonly number[] = [x.length],
): ArrayLike<number> {
  const { graph } = trace(([input]) => f(input), {
    inputs: [{ role: 'value', path: 'x', shape, dtype: 'float32' }],
  });
  return evaluateGraph(optimize(graph), { x }).value.values;
}

describe('values agree with a 40-digit table, relative to 1e-6', () => {
  describe.each(['cpu', 'wasm'])('on backend %s', (backend) => {
    afterAll(() => tf.setBackend('cpu'));
    it.each(FUNCTIONS)('$name', async ({ special, rows, column, floor }) => {
      await tf.setBackend(backend);
      const x = Float32Array.from(rows, (row) => row[0]);
      const got = tf.tidy(() => special(tf.tensor1d(x)).dataSync());
      expect(
        worst(
          got,
          rows.map((row) => row[column]),
          floor,
        ),
      ).toBeLessThan(1e-6);
    });
  });

  it.each(FUNCTIONS)('$name in a trace', ({ special, rows, column, floor }) => {
    const x = Float32Array.from(rows, (row) => row[0]);
    const got = traced((input) => special(input), x);
    expect(
      worst(
        got,
        rows.map((row) => row[column]),
        floor,
      ),
    ).toBeLessThan(1e-6);
  });
});

describe('edges', () => {
  const X = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -1, -2, -20000000, 1e38];
  const inf = Number.POSITIVE_INFINITY;
  const nan = Number.NaN;
  it.each([
    ['lgamma', lgamma, [nan, inf, inf, inf, inf, inf, inf, inf]],
    ['digamma', digamma, [nan, inf, nan, -inf, nan, nan, nan, 87.49823]],
    ['trigamma', trigamma, [nan, 0, nan, inf, inf, inf, inf, 1e-38]],
  ] as const)('%s at NaN, infinities and poles', (_, special, wanted) => {
    const eager = tf.tidy(() => [...special(tf.tensor1d(X)).dataSync()]);
    const inTrace = [...Array.from(traced((x) => special(x), Float32Array.from(X)))];
    for (const got of [eager, inTrace]) {
      expect(got.slice(0, 7)).toEqual(wanted.slice(0, 7));
      expect(got[7] / wanted[7] || 1).toBeCloseTo(1, 5);
    }
  });

  it('erfinv at and beyond its ends', () => {
    const got = tf.tidy(() => [...erfinv([1, -1, 1.5, -2, Number.NaN, 0]).dataSync()]);
    expect(got).toEqual([inf, -inf, nan, nan, nan, 0]);
  });

  it('exact zeros of lgamma', () => {
    expect(tf.tidy(() => [...lgamma([1, 2]).dataSync()].map(Math.abs))).toEqual([0, 0]);
  });
});

describe('derivatives', () => {
  const ZETA_3 = 1.2020569031595942;
  // psi' (1) = pi^2 / 6, psi''(1) = -2 zeta(3), psi'''(1) = pi^4 / 15; at 1/2: pi^2 / 2, -14 zeta(3), pi^4.
  it.each([
    [1, Math.PI ** 2 / 6, -2 * ZETA_3, Math.PI ** 4 / 15],
    [0.5, Math.PI ** 2 / 2, -14 * ZETA_3, Math.PI ** 4],
    // By psi^(n)(1/2) = psi^(n)(-1/2) + (-1)^n n! / (-1/2)^(n + 1).
    [-0.5, Math.PI ** 2 / 2 + 4, -14 * ZETA_3 + 16, Math.PI ** 4 + 96],
  ])('digamma at %s: three orders of published values', (x, first, second, third) => {
    const one = [1];
    const close = (got: number, wanted: number) =>
      expect(Math.abs(got - wanted) / (1 + Math.abs(wanted))).toBeLessThan(1e-5);
    for (const derivatives of [eagerDerivatives, tracedDerivatives]) {
      const got = derivatives((t) => digamma(t), [x], [], one, one);
      close(got.first, first);
      close(got.second, second);
      close(derivatives((t) => trigamma(t), [x], [], one, one).second, third);
      close(derivatives((t) => lgamma(t), [x], [], one, one).second, first);
    }
  });

  it('erfinv: y = sqrt(pi)/2 e^(y^2), y" = 2 y y"^2', () => {
    for (const [x, y] of TABLE.erfinv
      .filter(([at]) => Math.abs(at) > 0.01 && Math.abs(at) < 0.999)
      .slice(0, 20)) {
      const slope = (Math.sqrt(Math.PI) / 2) * Math.exp(y * y);
      for (const derivatives of [eagerDerivatives, tracedDerivatives]) {
        const got = derivatives((t) => erfinv(t), [x], [], [1], [1]);
        expect(got.first / slope).toBeCloseTo(1, 4);
        expect(got.second / (2 * y * slope * slope)).toBeCloseTo(1, 4);
      }
    }
  });

  const X = [0.3, -1.2, 2.5, 0.9, -0.4, 1.1];
  const U = [1, -0.5, 0.3, 0.8, -1.2, 0.1];
  const V = [0.2, 0.7, -0.9, 0.4, 0.6, -0.3];
  it('logSumExp over an axis, squared', () => {
    const f = (x: tf.Tensor) => tf.sum(tf.square(logSumExp(x, 0)));
    const f64 = (x: readonly number[]) =>
      [0, 1, 2].reduce((sum, j) => sum + Math.log(Math.exp(x[j]) + Math.exp(x[3 + j])) ** 2, 0);
    const wanted = finiteDifferences(f64, X, U, V);
    expect(distance(eagerDerivatives(f, X, [2, 3], U, V), wanted)).toBeLessThan(2e-6);
    expect(distance(tracedDerivatives(f, X, [2, 3], U, V), wanted)).toBeLessThan(2e-6);
  });

  it('preciseSum over an axis, cubed', () => {
    const f = (x: tf.Tensor) => {
      const s = preciseSum(x, 1);
      return tf.sum(tf.mul(tf.square(s), s));
    };
    const f64 = (x: readonly number[]) => (x[0] + x[1] + x[2]) ** 3 + (x[3] + x[4] + x[5]) ** 3;
    const wanted = finiteDifferences(f64, X, U, V);
    expect(distance(eagerDerivatives(f, X, [2, 3], U, V), wanted)).toBeLessThan(2e-6);
    expect(distance(tracedDerivatives(f, X, [2, 3], U, V), wanted)).toBeLessThan(2e-6);
  });
});

describe('logSumExp', () => {
  const inf = Number.POSITIVE_INFINITY;
  it('neither overflows nor loses the small, keeps infinities, and knows empty sums', () => {
    tf.tidy(() => {
      const x = tf.tensor2d([
        [1000, 1000, 1000],
        [-2000, -2000, -2000],
        [-inf, -inf, -inf],
        [-inf, 0, inf],
        [0, Number.NaN, 0],
      ]);
      const wanted = [1000 + Math.log(3), -2000 + Math.log(3), -inf, inf, Number.NaN].map(Math.fround);
      expect([...logSumExp(x, -1).dataSync()]).toEqual(wanted);
      expect(logSumExp(x, 1, true).shape).toEqual([5, 1]);
      expect([...logSumExp(tf.zeros([2, 0]), 1).dataSync()]).toEqual([-inf, -inf]);
      const gradient = tf.grad((t: tf.Tensor) => tf.sum(logSumExp(t, 1)))(tf.slice(x, [0, 0], [3, 3]));
      const rows = gradient.arraySync() as number[][];
      expect(rows[2]).toEqual([0, 0, 0]);
      for (const row of rows.slice(0, 2)) for (const p of row) expect(p).toBeCloseTo(1 / 3, 6);
    });
  });

  it('refuses axes that are not there', () => {
    expect(() => logSumExp([1, 2], 1)).toThrow(ShapeError);
    expect(() => logSumExp([[1, 2]], [0, -2])).toThrow('once');
  });
});

describe('preciseSum', () => {
  /** Terms of very different magnitude that cancel: S / |sum| is about 10^6. */
  const TERMS = Float32Array.from({ length: 1001 }, (_, i) =>
    i === 1000 ? 1 : (i % 2 === 0 ? 1 : -1) * Math.fround(1000 + Math.floor(i / 2) * 0.7),
  );
  const EXACT = TERMS.reduce((sum, x) => sum + x, 0);

  it('rounds the exact sum, eagerly and in the float32 ops of a trace, where an ordinary sum does not', () => {
    const eager = tf.tidy(() => preciseSum(TERMS).dataSync()[0]);
    const inTrace = traced((x) => preciseSum(x), TERMS)[0];
    expect([eager, inTrace]).toEqual([Math.fround(EXACT), Math.fround(EXACT)]);
    const large = Float32Array.from({ length: 100_000 }, (_, i) => 1 + (i % 7) / 8 + 2 ** -20);
    const exact = Math.fround(large.reduce((sum, x) => sum + x, 0));
    expect(traced((x) => preciseSum(x), large)[0]).toBe(exact);
    // What the trace records is float32 arithmetic; one running sum in it goes wrong here.
    expect(large.reduce((sum, x) => Math.fround(sum + x), 0)).not.toBe(exact);
  });

  it('sums the axes named', () => {
    const x = Float32Array.from({ length: 24 }, (_, i) => i * 1.25);
    const eager = tf.tidy(() => preciseSum(tf.tensor(x, [2, 3, 4]), [0, -1], true));
    expect(eager.shape).toEqual([1, 3, 1]);
    const wanted = [0, 1, 2].map((j) =>
      x.reduce((sum, v, i) => sum + (Math.floor(i / 4) % 3 === j ? v : 0), 0),
    );
    expect([...eager.dataSync()]).toEqual(wanted);
    expect([...Array.from(traced((t) => preciseSum(t, [0, 2]), x, [2, 3, 4]))]).toEqual(wanted);
    eager.dispose();
  });

  it('keeps infinities and NaN', () => {
    const sum = (x: number[]) => traced((t) => preciseSum(t), Float32Array.from(x))[0];
    expect(sum([1, Number.POSITIVE_INFINITY, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(sum([1, Number.NaN, 2])).toBe(Number.NaN);
    expect(sum([3e38, 3e38])).toBe(Number.POSITIVE_INFINITY);
  });
});
