import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { UnsupportedOpError } from '../../src/errors.js';
import {
  evaluateTraced,
  expectClose,
  expectSameAsEager,
  type Fn,
  floats,
  generator,
  given,
} from './compare.js';
import { expectDerivatives } from './derivatives.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** Real and imaginary parts, which is what a trace can return. */
const parts = (z: tf.Tensor) => [tf.real(z), tf.imag(z)];
const A = [floats([3, 4]), floats([3, 4], -2, 2, 5)] as const;
const B = [floats([3, 4], -2, 2, 7), floats([3, 4], -2, 2, 9)] as const;

describe('ops on complex64 tensors', () => {
  const unary: Record<string, (z: tf.Tensor) => tf.Tensor> = {
    'complex, real and imag': (z) => z,
    clone: (z) => z.clone(),
    reshape: (z) => tf.reshape(z, [2, 6]),
    flatten: (z) => z.flatten(),
    expandDims: (z) => tf.expandDims(z, 1),
    squeeze: (z) => tf.squeeze(tf.expandDims(z, 0)),
    transpose: (z) => tf.transpose(z),
    'conjugate transpose': (z) => tf.transpose(z, [1, 0], true),
    zerosLike: (z) => tf.zerosLike(z),
    onesLike: (z) => tf.onesLike(z),
    'zeros and ones': (z) => tf.add(tf.mul(tf.ones([3, 4], 'complex64'), z), tf.zeros([3, 4], 'complex64')),
    'cast to itself': (z) => tf.cast(z, 'complex64'),
    'in a tidy': (z) => tf.tidy(() => tf.mul(tf.add(z, z), z)),
  };
  for (const [name, fn] of Object.entries(unary)) {
    test(name, () => expectSameAsEager((re, im) => parts(fn(tf.complex(re, im))), A));
  }
  const binary: Record<string, (a: tf.Tensor, b: tf.Tensor) => tf.Tensor> = {
    add: tf.add,
    sub: tf.sub,
    mul: tf.mul,
    'mul, broadcast': (a, b) => tf.mul(a, tf.reshape(b, [3, 1, 4])),
    concat: (a, b) => tf.concat([a, b], 1),
    stack: (a, b) => tf.stack([a, b], 1),
  };
  for (const [name, fn] of Object.entries(binary)) {
    test(name, () =>
      expectSameAsEager((p, q, r, s) => parts(fn(tf.complex(p, q), tf.complex(r, s))), [...A, ...B], 1e-5),
    );
  }
  test('with numbers and real tensors of lower rank, which tfjs cpu gets wrong', () => {
    const row = tf.tensor1d([1, 2, 3, 4]);
    const mixed: [Fn, Fn][] = [
      [(z) => tf.add(z, 2), (re, im) => [tf.add(re, 2), im]],
      [(z) => tf.mul(3, z), (re, im) => [tf.mul(3, re), tf.mul(3, im)]],
      [(z) => tf.sub(z, row), (re, im) => [tf.sub(re, row), im]],
      [(z) => tf.sub(row, z), (re, im) => [tf.sub(row, re), tf.neg(im)]],
      [(z) => tf.mul(z, row), (re, im) => [tf.mul(re, row), tf.mul(im, row)]],
    ];
    for (const [complex, real] of mixed) {
      const actual = evaluateTraced((re, im) => parts(complex(tf.complex(re, im)) as tf.Tensor), A).results;
      const wanted = evaluateTraced(real, A).results;
      for (const part of [0, 1]) expectClose(actual[part].values, wanted[part].values);
    }
  });
  test('cast to real takes the real part, cast to complex adds none', () => {
    expectSameAsEager((re, im) => tf.cast(tf.complex(re, im), 'float32'), A);
    expectSameAsEager((re, im) => tf.cast(tf.complex(re, im), 'int32'), A);
    expectSameAsEager((x) => parts(tf.cast(x, 'complex64')), [A[0]]);
  });
  test('abs, of large and small numbers too', () => {
    expectSameAsEager((re, im) => tf.abs(tf.complex(re, im)), A);
    const [re, im] = [
      given([3e30, 0, 1e-30, -4, Infinity, 0, 5]),
      given([4e30, 0, 1e-30, 3, 1, -Infinity, 0]),
    ];
    expectSameAsEager((a, b) => tf.abs(tf.complex(a, b)), [re, im]);
  });
  test('captured from outside, and used twice', () => {
    const z = tf.complex([1, 2], [3, -4]);
    const fn: Fn = (x) => [...parts(tf.mul(z, x)), tf.abs(z)];
    expectSameAsEager(fn, [floats([2])]);
    const before = tf.memory().numTensors;
    evaluateTraced(fn, [floats([2])]);
    expect(tf.memory().numTensors).toBe(before);
    expect(Array.from(z.dataSync())).toEqual([1, 3, 2, -4]);
  });
  test('a trace leaves tf.memory() as it was', () => {
    const before = tf.memory();
    evaluateTraced((re, im) => {
      const z = tf.keep(tf.complex(re, im));
      tf.tidy(() => tf.fft(z));
      return tf.abs(tf.ifft(z));
    }, A);
    const { numTensors, numDataBuffers, numBytes } = tf.memory();
    expect([numTensors, numDataBuffers, numBytes]).toEqual([
      before.numTensors,
      before.numDataBuffers,
      before.numBytes,
    ]);
  });
  test('what tfjs cannot do with them either is refused, and so are complex results', () => {
    const refused: Fn[] = [
      (re, im) => tf.neg(tf.complex(re, im)),
      (re, im) => tf.slice(tf.complex(re, im), 0, 1),
      (re, im) => tf.sum(tf.complex(re, im)),
      (re, im) => tf.addN([tf.complex(re, im), tf.complex(re, im)]),
      (re, im) => tf.matMul(tf.complex(re, im), tf.complex(re, im), false, true),
      (re, im) => tf.complex(re, im),
    ];
    for (const fn of refused) expect(() => evaluateTraced(fn, A)).toThrow(UnsupportedOpError);
  });
});

/** The transform by its definition, in float64. */
function dft(re: ArrayLike<number>, im: ArrayLike<number>, n: number, sign: number): [number[], number[]] {
  const out: [number[], number[]] = [[], []];
  for (let row = 0; row < re.length; row += n) {
    for (let k = 0; k < n; k++) {
      let [a, b] = [0, 0];
      for (let j = 0; j < n; j++) {
        const angle = (sign * 2 * Math.PI * ((j * k) % n)) / n;
        a += re[row + j] * Math.cos(angle) - im[row + j] * Math.sin(angle);
        b += re[row + j] * Math.sin(angle) + im[row + j] * Math.cos(angle);
      }
      out[0].push(sign > 0 ? a / n : a);
      out[1].push(sign > 0 ? b / n : b);
    }
  }
  return out;
}

/** Norm of the difference over the norm of what is wanted. */
function relativeError(actual: ArrayLike<number>[], wanted: number[][]): number {
  let [difference, size] = [0, 0];
  wanted.forEach((part, which) => {
    part.forEach((w, i) => {
      difference += (actual[which][i] - w) ** 2;
      size += w ** 2;
    });
  });
  return Math.sqrt(difference / size);
}

describe('Fourier transforms', () => {
  // Powers of two, products of small factors, larger primes, a product of them, and primes that go by chirps.
  const lengths = [
    1, 2, 3, 4, 7, 16, 30, 32, 33, 36, 53, 60, 64, 67, 97, 100, 128, 134, 289, 360, 509, 512, 1009,
  ];
  test.each(lengths)('fft and ifft of length %i, by the definition', (n) => {
    const rows = n < 100 ? 3 : 1;
    const inputs = [floats([rows, n]), floats([rows, n], -2, 2, 7)];
    for (const [op, sign] of [
      [tf.fft, -1],
      [tf.ifft, 1],
    ] as const) {
      const { results } = evaluateTraced((re, im) => parts(op(tf.complex(re, im))), inputs);
      const wanted = dft(inputs[0].values, inputs[1].values, n, sign);
      expect(relativeError([results[0].values, results[1].values], wanted)).toBeLessThan(6e-7);
    }
  });
  test('as eager tfjs, of any rank', () => {
    for (const shape of [[8], [5], [2, 6], [2, 3, 4], [2, 1, 5], [0, 4]]) {
      const inputs = [floats(shape), floats(shape, -2, 2, 7)];
      if (shape[0] > 0) expectSameAsEager((re, im) => parts(tf.fft(tf.complex(re, im))), inputs, 1e-5);
      if (shape[0] > 0) expectSameAsEager((re, im) => parts(tf.ifft(tf.complex(re, im))), inputs, 1e-5);
      const { results } = evaluateTraced((re, im) => parts(tf.fft(tf.complex(re, im))), inputs);
      expect(results[0].shape).toEqual(shape);
    }
  });
  test('rfft, cropped and padded, irfft, and stft', () => {
    for (const shape of [[9], [2, 12], [2, 2, 5], [64]]) {
      for (const length of [undefined, 4, 16]) {
        expectSameAsEager((x) => parts(tf.spectral.rfft(x, length)), [floats(shape)], 1e-5);
      }
    }
    for (const shape of [
      [1, 1],
      [1, 2],
      [2, 5],
      [2, 3, 9],
    ]) {
      const inputs = [floats(shape), floats(shape, -2, 2, 7)];
      expectSameAsEager((re, im) => tf.spectral.irfft(tf.complex(re, im)), inputs, 1e-5);
    }
    expectSameAsEager((x) => parts(tf.signal.stft(x, 8, 4)), [floats([30])], 1e-5);
    expectSameAsEager(
      (x) => parts(tf.signal.stft(x, 6, 2, 10, tf.signal.hammingWindow)),
      [floats([30])],
      1e-5,
    );
  });
  test('a real signal costs half the products', () => {
    const count = (fn: Fn) =>
      evaluateTraced(fn, [floats([64])]).traced.graph.nodes.filter(({ op }) => op.name === 'matMul').length;
    expect(count((x) => parts(tf.spectral.rfft(x)))).toBe(2);
  });
  test('forth and back is where it began', () => {
    const next = generator(77);
    for (let i = 0; i < 12; i++) {
      const n = 1 + Math.floor(200 * next());
      const x = floats([2, n]);
      const { results } = evaluateTraced(
        (t) => tf.real(tf.ifft(tf.fft(tf.complex(t, tf.zerosLike(t))))),
        [x],
      );
      expectClose(results.value.values, x.values, 2e-6);
    }
  });
});

describe('derivatives through complex tensors', () => {
  const z = [floats([2, 5], 0.5, 2), floats([2, 5], -2, -0.5, 3)] as const;
  const cases: Record<string, Fn> = {
    'real and imag': (re, im) => [tf.mul(tf.real(tf.complex(re, im)), 2), tf.imag(tf.complex(re, im))],
    product: (re, im) => parts(tf.mul(tf.complex(re, im), tf.complex(im, re))),
    square: (re, im) => {
      const c = tf.complex(re, im);
      return parts(tf.mul(c, c));
    },
    abs: (re, im) => tf.abs(tf.complex(re, im)),
    concat: (re, im) => parts(tf.concat([tf.complex(re, im), tf.complex(im, im)], 1)),
    fft: (re, im) => parts(tf.fft(tf.complex(re, im))),
    ifft: (re, im) => parts(tf.ifft(tf.complex(re, im))),
    'power spectrum': (re, im) => tf.abs(tf.fft(tf.complex(re, im))),
    rfft: (re) => parts(tf.spectral.rfft(re)),
    irfft: (re, im) => tf.spectral.irfft(tf.complex(re, im)),
    'a filter in frequency': (re) => {
      const spectrum = tf.fft(tf.complex(re, tf.zerosLike(re)));
      return tf.real(tf.ifft(tf.mul(spectrum, tf.complex([1, 0.5, 0.2, 0.2, 0.5], [0, 0.1, 0, 0, -0.1]))));
    },
  };
  test.each(Object.entries(cases))('%s', (name, fn) => {
    expectDerivatives(fn, name.startsWith('rfft') || name.startsWith('a filter') ? [z[0]] : z);
  });
  test('abs at 0 has the gradient 0', () => {
    const { results } = evaluateTraced(
      (re, im) => tf.grads((a, b) => tf.sum(tf.abs(tf.complex(a, b))))([re, im]),
      [given([0, 3]), given([0, 4])],
    );
    expectClose(results[0].values, [0, 0.6]);
    expectClose(results[1].values, [0, 0.8]);
  });
});
