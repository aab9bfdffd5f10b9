/**
 * Discrete Fourier transforms of the last axis, on real and imaginary parts as two nodes.
 *
 * X[k] = sum_j x[j] w^(jk), w = exp(-2 pi i / n) (the inverse has +, and 1/n). A length with small factors is taken apart by
 * Cooley and Tukey (1965), mixed radix: with n = n1 n2, j = j1 n2 + j2 and k = k1 + n1 k2,
 *   X[k1 + n1 k2] = sum_j2 w_n^(j2 k1) ( sum_j1 x[j1 n2 + j2] w_n1^(j1 k1) ) w_n2^(j2 k2),
 * each sum a product with a constant matrix. A long length without small factors becomes a convolution with a chirp (Bluestein
 * 1970), for jk = (j^2 + k^2 - (k - j)^2) / 2, by transforms of a power of two. Constants are computed in float64 and rounded once.
 */
import { type Shape, sizeOf } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import { isZero } from './constants.js';
import type { Lowering, LoweringTable } from './lowering.js';

/** A complex value; no imaginary part means 0. */
interface Pair {
  readonly real: number;
  readonly imag: number | undefined;
}

/** Radices up to this are taken first: a product with a matrix costs n per element, a stage a pass through memory. */
const PREFERRED_RADIX = 16;
/** Prime factors up to this are a matrix product; the next ones go by chirps. */
const LARGEST_RADIX = 64;

/** exp(sign * 2 pi i * m / n), with m reduced first so that large arguments lose nothing. */
function root(m: number, n: number, sign: number): [number, number] {
  const angle = (2 * Math.PI * (m % n)) / n;
  return [Math.cos(angle), sign * Math.sin(angle)];
}

const perCache = new Map<string, Float32Array>();

/** Values of a constant, computed once per process while they are few: lengths come back in every trace. */
function table(key: string, make: () => Float32Array): Float32Array {
  const known = perCache.get(key);
  if (known) return known;
  const values = make();
  if (perCache.size > 256) perCache.clear();
  perCache.set(key, values);
  return values;
}

/** The real form of x -> x W for rows [xr | xi]: [[C, S], [-S, C]], or its upper half for real x. */
function dftMatrix(e: Emitter, n: number, sign: number, real: boolean, transposed: boolean): number {
  const [rows, columns] = [real ? n : 2 * n, 2 * n];
  const values = table(`dft ${n} ${sign} ${real} ${transposed}`, () => {
    const out = new Float32Array(rows * columns);
    for (let j = 0; j < n; j++) {
      for (let k = 0; k < n; k++) {
        const [c, s] = root(j * k, n, sign);
        const set = (row: number, column: number, v: number) => {
          out[transposed ? column * rows + row : row * columns + column] = v;
        };
        set(j, k, c);
        set(j, n + k, s);
        if (real) continue;
        set(n + j, k, -s);
        set(n + j, n + k, c);
      }
    }
    return out;
  });
  return e.constant(values, transposed ? [columns, rows] : [rows, columns], 'float32');
}

function both(x: Pair, f: (x: number) => number): Pair {
  return { real: f(x.real), imag: x.imag === undefined ? undefined : f(x.imag) };
}

/** Halves of an axis. */
function halves(e: Emitter, x: number, axis: number): Pair {
  const size = e.shape(x).map((d, i) => (i === axis ? d / 2 : d));
  const at = (i: number) => size.map((d, a) => (a === axis ? i * d : 0));
  return { real: e.slice(x, at(0), size), imag: e.slice(x, at(1), size) };
}

const matMul = (e: Emitter, a: number, b: number) =>
  e.add({ name: 'matMul', transposeA: false, transposeB: false }, [a, b]);

/** Rows [rows, n] by one matrix. */
function direct(e: Emitter, x: Pair, n: number, sign: number): Pair {
  const row = x.imag === undefined ? x.real : e.concat([x.real, x.imag], 1);
  return halves(e, matMul(e, row, dftMatrix(e, n, sign, x.imag === undefined, false)), 1);
}

/** (a + bi)(c + di) with constants c, d that broadcast. */
function times(e: Emitter, x: Pair, c: number, d: number): Pair {
  const mul = (a: number, b: number) => e.binary('mul', a, b);
  if (x.imag === undefined) return { real: mul(x.real, c), imag: mul(x.real, d) };
  return {
    real: e.binary('sub', mul(x.real, c), mul(x.imag, d)),
    imag: e.binary('add', mul(x.real, d), mul(x.imag, c)),
  };
}

/** exp(sign * 2 pi i * exponent / n) for each element of `shape`, as two constants. */
function roots(
  e: Emitter,
  key: string,
  shape: Shape,
  n: number,
  sign: number,
  exponent: (i: number) => number,
): [number, number] {
  const part = (which: 0 | 1) =>
    e.constant(
      table(`${key} ${which}`, () =>
        Float32Array.from({ length: sizeOf(shape) }, (_, i) => root(exponent(i), n, sign)[which]),
      ),
      shape,
      'float32',
    );
  return [part(0), part(1)];
}

/** One stage: transforms of length n1 down the columns, twiddles, transforms of length n2 along the rows. */
function cooleyTukey(e: Emitter, x: Pair, n: number, n1: number, sign: number): Pair {
  const n2 = n / n1;
  const rows = e.shape(x.real)[0]!;
  const columns = both(x, (v) => e.reshape(v, [rows, n1, n2]));
  const stacked = columns.imag === undefined ? columns.real : e.concat([columns.real, columns.imag], 1);
  const matrix = dftMatrix(e, n1, sign, columns.imag === undefined, true);
  const inner = halves(e, matMul(e, matrix, stacked), 1);
  const [c, d] = roots(
    e,
    `twiddle ${n} ${n1} ${sign}`,
    [n1, n2],
    n,
    sign,
    (i) => Math.floor(i / n2) * (i % n2),
  );
  const turned = both(times(e, inner, c, d), (v) => e.reshape(v, [rows * n1, n2]));
  const outer = transform(e, turned, n2, sign);
  return both(outer, (v) => e.reshape(e.transpose(e.reshape(v, [rows, n1, n2]), [0, 2, 1]), [rows, n]));
}

/** In-place float64 transform of a power of two, for constants. */
function hostTransform(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j]!, re[i]!];
      [im[i], im[j]] = [im[j]!, im[i]!];
    }
  }
  for (let length = 2; length <= n; length *= 2) {
    for (let k = 0; k < length / 2; k++) {
      const [c, s] = root(k, length, -1);
      for (let start = 0; start < n; start += length) {
        const [p, q] = [start + k, start + k + length / 2];
        const [a, b] = [re[q]! * c - im[q]! * s, re[q]! * s + im[q]! * c];
        [re[q], im[q]] = [re[p]! - a, im[p]! - b];
        [re[p], im[p]] = [re[p]! + a, im[p]! + b];
      }
    }
  }
}

/** j^2 mod 2n without leaving the whole numbers that float64 holds. */
const squareModulo = (j: number, n: number) => Number((BigInt(j) * BigInt(j)) % BigInt(2 * n));

/** Bluestein: a convolution of length m >= 2n - 1 with the conjugate chirp. */
function chirp(e: Emitter, x: Pair, n: number, sign: number): Pair {
  let m = 1;
  while (m < 2 * n - 1) m *= 2;
  const [c, d] = roots(e, `chirp ${n} ${sign}`, [n], 2 * n, sign, (j) => squareModulo(j, n));
  const padded = both(times(e, x, c, d), (v) =>
    e.pad(
      v,
      [
        [0, 0],
        [0, m - n],
      ],
      0,
    ),
  );
  const spectrum = transform(e, padded, m, -1);
  const filter = (which: 0 | 1) =>
    e.constant(
      table(`chirp spectrum ${n} ${sign} ${which}`, () => {
        const [re, im] = [new Float64Array(m), new Float64Array(m)];
        for (let j = 0; j < n; j++) {
          const [a, b] = root(squareModulo(j, n), 2 * n, -sign);
          for (const at of [j, (m - j) % m]) [re[at], im[at]] = [a / m, b / m];
        }
        hostTransform(re, im);
        return Float32Array.from(which === 0 ? re : im);
      }),
      [m],
      'float32',
    );
  const convolved = transform(e, times(e, spectrum, filter(0), filter(1)), m, 1);
  const rows = e.shape(x.real)[0]!;
  return times(
    e,
    both(convolved, (v) => e.slice(v, [0, 0], [rows, n])),
    c,
    d,
  );
}

/** The radix to take off n: the largest divisor up to 16, else the smallest up to 64; undefined when n is done in one way or the other. */
function radixOf(n: number): number | undefined {
  for (let r = PREFERRED_RADIX; r > 1; r--) if (n % r === 0) return r;
  for (let r = PREFERRED_RADIX + 1; r <= LARGEST_RADIX && r < n; r++) if (n % r === 0) return r;
  return undefined;
}

/** The transform of rows [rows, n] with exponent sign `sign`, without scale. */
function transform(e: Emitter, x: Pair, n: number, sign: number): Pair {
  if (n === 1) return x;
  if (n <= 2 * PREFERRED_RADIX) return direct(e, x, n, sign);
  const radix = radixOf(n);
  if (radix !== undefined) return cooleyTukey(e, x, n, radix, sign);
  return n <= LARGEST_RADIX ? direct(e, x, n, sign) : chirp(e, x, n, sign);
}

const fourier =
  (inverse: boolean): Lowering =>
  (e, { real, imag }) => {
    const shape = e.shape(real);
    const n = shape.at(-1)!;
    if (sizeOf(shape) === 0) return [real, imag];
    const rows = sizeOf(shape) / n;
    const whole = { real, imag: isZero(e, imag) ? undefined : imag };
    const result = transform(
      e,
      both(whole, (v) => e.reshape(v, [rows, n])),
      n,
      inverse ? 1 : -1,
    );
    const scale = (v: number) => (inverse && n > 1 ? e.binary('mul', v, e.scalar(1 / n, 'float32')) : v);
    const finish = (v: number | undefined) =>
      v === undefined ? e.splat(0, shape, 'float32') : e.reshape(scale(v), shape);
    return [finish(result.real), finish(result.imag)];
  };

/** sqrt(a^2 + b^2), scaled by the larger of the two so that neither square overflows nor vanishes. */
const complexAbs: Lowering = (e, { real, imag }) => {
  const [a, b] = [e.unary('abs', real), e.unary('abs', imag)];
  const [large, small] = [e.binary('maximum', a, b), e.binary('minimum', a, b)];
  const usual = e.binary(
    'logicalAnd',
    e.binary('greater', large, e.scalar(0, 'float32')),
    e.unary('isFinite', large),
  );
  const one = e.scalar(1, 'float32');
  const ratio = e.binary('div', small, e.select(usual, large, one));
  const scaled = e.binary('mul', large, e.unary('sqrt', e.binary('add', e.unary('square', ratio), one)));
  return e.select(usual, scaled, large);
};

/** Kernels that take and give real and imaginary parts as tensors of their own; complex.ts leads complex64 tensors here. */
export const FOURIER: LoweringTable = {
  FFT: fourier(false),
  IFFT: fourier(true),
  ComplexAbs: complexAbs,
};
