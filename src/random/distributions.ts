/**
 * From random words to values. Every transform is a fixed sequence of IEEE float32 operations, each rounded (here by Math.fround),
 * without fused multiply-adds and without library functions, so that the C++ and CUDA versions give the same bits.
 *
 * - uniform [0, 1): (word >>> 8) * 2^-24.
 * - uniform [low, high): min(low + u * (high - low), the largest float32 below high). The minimum is there because the sum may
 *   round up to `high`; it changes only such results.
 * - integers [low, high): low + the high 32 bits of word * (high - low). A value's probability is off by at most 2^-32, which is
 *   a relative bias of at most range / 2^32.
 * - Bernoulli(p): u < p, hence p rounded up to a multiple of 2^-24.
 * - normal: see `normalFromWord`.
 */
import { OptionError } from '../errors.js';
import {
  checkUint32,
  describe,
  MAX_DRAW,
  philox4x32,
  type Seed,
  seedHigh,
  streamWord,
  toSeed,
} from './philox.js';

const fround = Math.fround;

/** Which words a bulk fill uses. Shapes: a fill writes rows; what is given per row has one element for each row. */
export interface Draw {
  /** Integer in 0..2^53-1. */
  readonly seed: Seed | number;
  /** 0..255, see STREAMS. */
  readonly stream: number;
  /** uint32: one for all rows, or one per row. */
  readonly step: number | Uint32Array;
  /** 0..2^24-1: which draw of the step. */
  readonly draw: number;
  /** uint32: the subject of row 0 (row r has subject + r), or one per row. Default 0. */
  readonly subject?: number | Uint32Array;
}

const UNIT_24 = 2 ** -24;

// log2(1 + f) = f * (L0 + L1 f + ... + L6 f^6) on [sqrt(1/2) - 1, sqrt(2) - 1], absolute error 3.0e-7.
const L0 = fround(1.4426997);
const L1 = fround(-0.7213759);
const L2 = fround(0.48046502);
const L3 = fround(-0.35896185);
const L4 = fround(0.2972626);
const L5 = fround(-0.272698);
const L6 = fround(0.17063448);
// 2^31 z / x = (N0 + ... + N5 w^5) / (D0 + ... + D4 w^4 + w^5) on [0, 31], relative error 1.2e-7; minimax fit.
const N0 = fround(0.0036165984);
const N1 = fround(0.00090469484);
const N2 = fround(0.00012450198);
const N3 = fround(1.1406586e-5);
const N4 = fround(6.6518004e-7);
const N5 = fround(1.35218015e-8);
const D0 = fround(6196838.5);
const D1 = fround(425643.03);
const D2 = fround(97256);
const D3 = fround(4700.1016);
const D4 = fround(242.7814);

const floatBits = new Float32Array(1);
const intBits = new Int32Array(floatBits.buffer);

/** float32 in [0, 1), a multiple of 2^-24. */
export function uniformFromWord(word: number): number {
  return (word >>> 8) * UNIT_24;
}

/**
 * Standard normal by inverse transform, without a branch. The top bit of the word is the sign, the other 31 are k; with the tail
 * probability p = (k + 1/2) / 2^32 and x = 1 - 2p,
 *
 *     z = sign * x * R(w),   w = -log2(4 p (1 - p)),
 *
 * R a rational function (degrees 5 and 5) fitted to z / x over the whole range. Both p and x are made from the integer, so z is
 * accurate near 0 (smallest |z| 2.9e-10) as well as in the tails (largest 6.338): the relative error is below 6e-7 for every
 * word. z(word ^ 0x80000000) = -z(word) exactly.
 */
export function normalFromWord(word: number): number {
  const k = word & 0x7fffffff;
  floatBits[0] = tailProduct(k);
  const z = normalMagnitude(k, floatBits, intBits, 0);
  return word & 0x80000000 ? -z : z;
}

/** 2^64 p (1 - p) of the 31 bits k. */
function tailProduct(k: number): number {
  const p = fround(fround(k) + 0.5);
  return fround(p * fround(0x100000000 - p));
}

/**
 * |z| of the 31 bits k; `floats[i]` holds their tailProduct and is overwritten; `ints` views the same memory. Polynomials are summed
 * as even and odd parts, in the order that is fastest in SIMD. `float - 1` and the int32 expressions are exact: no rounding there.
 */
function normalMagnitude(k: number, floats: Float32Array, ints: Int32Array, i: number): number {
  const bits = ints[i]!;
  const exponent = (bits - 0x3f3504f3) >> 23;
  ints[i] = bits - (exponent << 23);
  const f = floats[i]! - 1;
  const f2 = fround(f * f);
  const high = fround(fround(L4 + fround(L5 * f)) + fround(L6 * f2));
  const middle = fround(fround(L2 + fround(L3 * f)) + fround(high * f2));
  const q = fround(fround(L0 + fround(L1 * f)) + fround(middle * f2));
  const w = fround(62 - exponent - fround(q * f));
  const w2 = fround(w * w);
  const nEven = fround(fround(fround(fround(N4 * w2) + N2) * w2) + N0);
  const nOdd = fround(fround(fround(fround(N5 * w2) + N3) * w2) + N1);
  const dEven = fround(fround(fround(fround(D4 * w2) + D2) * w2) + D0);
  const dOdd = fround(fround(fround(w2 + D3) * w2) + D1);
  const n = fround(fround(nOdd * w) + nEven);
  const d = fround(fround(dOdd * w) + dEven);
  const x = fround(fround(k ^ 0x7fffffff) + 0.5);
  return fround(x * fround(n / d));
}

/** The high 32 bits of the 64-bit product of two uint32, as an int32. */
function multiplyHigh(a: number, b: number): number {
  const la = a & 0xffff;
  const ha = a >>> 16;
  const lb = b & 0xffff;
  const hb = b >>> 16;
  const m = (Math.imul(ha, lb) + (Math.imul(la, lb) >>> 16)) | 0;
  const n = (Math.imul(la, hb) + (m & 0xffff)) | 0;
  return (Math.imul(ha, hb) + (m >>> 16) + (n >>> 16)) | 0;
}

/** int32 in [low, low + range), `range` in 1..2^32-1; not checked. */
export function integerFromWord(word: number, low: number, range: number): number {
  return (low + multiplyHigh(word, range)) | 0;
}

/** Bounds of a uniform, checked and rounded: `top` is the largest float32 below `high`. */
export interface UniformRange {
  readonly low: number;
  readonly span: number;
  readonly top: number;
}

/**
 * Rounds [low, high) to float32. Throws OptionError unless both are finite, low < high after rounding, and the difference
 * is a finite float32.
 */
export function uniformRange(low: number, high: number): UniformRange {
  const lo = fround(low);
  const hi = fround(high);
  const span = fround(hi - lo);
  if (!Number.isFinite(lo) || !Number.isFinite(hi) || !Number.isFinite(span) || !(lo < hi)) {
    throw new OptionError(
      `uniform bounds must be finite float32 numbers with low < high and a finite difference, got low ${describe(low)}, ` +
        `high ${describe(high)}`,
    );
  }
  return { low: lo, span, top: nextBelow(hi) };
}

/** The largest float32 below the finite float32 `x`. */
function nextBelow(x: number): number {
  floatBits[0] = x;
  if (x === 0)
    intBits[0] = -0x7fffffff; // the negative number nearest to zero
  else intBits[0] = intBits[0]! + (x > 0 ? -1 : 1);
  return floatBits[0]!;
}

/** float32 in [low, high) of `range`. */
export function uniformInRange(word: number, range: UniformRange): number {
  const value = fround(range.low + fround(uniformFromWord(word) * range.span));
  return Math.min(value, range.top);
}

/** Size of [low, high): checks int32 bounds. Throws OptionError unless both are int32 and low < high. */
export function integerRange(low: number, high: number): number {
  if ((low | 0) !== low || (high | 0) !== high || low >= high) {
    throw new OptionError(
      `integer bounds must be int32 with low < high, got low ${describe(low)}, high ${describe(high)}`,
    );
  }
  return high - low;
}

/** Checks a probability and rounds it to float32. Throws OptionError outside [0, 1]. */
export function probability(p: number): number {
  if (typeof p !== 'number' || !(p >= 0 && p <= 1)) {
    throw new OptionError(`p must be a probability in [0, 1], got ${describe(p)}`);
  }
  return fround(p);
}

/**
 * Raw words: `out` is [rows, rowSize] flat (default: one row), row r drawn for its own subject and step. About 20 ns a word.
 * Throws OptionError for a malformed `draw`, or a length that is no multiple of `rowSize`.
 */
export function fillWords(out: Uint32Array, draw: Draw, rowSize = out.length): void {
  const seed = toSeed(draw.seed);
  const c3 = streamWord(checkUint32(draw.stream, 'stream', 255), checkUint32(draw.draw, 'draw', MAX_DRAW));
  if (!Number.isInteger(rowSize) || rowSize < 0 || (rowSize === 0 ? out.length > 0 : out.length % rowSize)) {
    throw new OptionError(`rowSize must divide the ${out.length} elements of out, got ${describe(rowSize)}`);
  }
  if (out.length === 0) return;
  const rows = out.length / rowSize;
  const subject = draw.subject ?? 0;
  checkPerRow(draw.step, 'step', rows);
  checkPerRow(subject, 'subject', rows);
  const k0 = seed >>> 0;
  const k1 = seedHigh(seed);
  const whole = rowSize & ~3;
  for (let row = 0; row < rows; row++) {
    const c1 = typeof subject === 'number' ? subject + row : subject[row]!;
    const c2 = typeof draw.step === 'number' ? draw.step : draw.step[row]!;
    const start = row * rowSize;
    for (let j = 0; j < whole; j += 4) philox4x32(j >>> 2, c1, c2, c3, k0, k1, out, start + j);
    if (whole < rowSize) {
      philox4x32(whole >>> 2, c1, c2, c3, k0, k1, lastBlock, 0);
      for (let j = whole; j < rowSize; j++) out[start + j] = lastBlock[j & 3]!;
    }
  }
}

const lastBlock = new Uint32Array(4);

function checkPerRow(value: number | Uint32Array, name: string, rows: number): void {
  if (!(value instanceof Uint32Array)) checkUint32(value, name);
  else if (value.length !== rows) {
    throw new OptionError(`${name} must have one element per row (${rows}), got ${value.length}`);
  }
}

/** The words of a draw in the memory of `out`, where they are then transformed in place. */
function drawnWords(out: Float32Array | Int32Array, draw: Draw, rowSize: number): Uint32Array {
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
  fillWords(words, draw, rowSize);
  return words;
}

/** float32 uniforms in [low, high), default [0, 1). Shapes and errors as `fillWords` and `uniformRange`. */
export function fillUniform(out: Float32Array, draw: Draw, low = 0, high = 1, rowSize = out.length): void {
  const { low: lo, span, top } = uniformRange(low, high);
  const words = drawnWords(out, draw, rowSize);
  for (let i = 0; i < out.length; i++) {
    const value = fround(lo + fround(fround((words[i]! >>> 8) * UNIT_24) * span));
    out[i] = Math.min(value, top);
  }
}

/** int32 in [low, high). Shapes and errors as `fillWords` and `integerRange`. */
export function fillIntegers(
  out: Int32Array,
  draw: Draw,
  low: number,
  high: number,
  rowSize = out.length,
): void {
  const range = integerRange(low, high);
  const words = drawnWords(out, draw, rowSize);
  for (let i = 0; i < out.length; i++) out[i] = low + multiplyHigh(words[i]!, range);
}

/** 0 or 1, 1 with probability p. Shapes and errors as `fillWords` and `probability`. */
export function fillBernoulli(out: Uint8Array, draw: Draw, p: number, rowSize = out.length): void {
  const limit = probability(p);
  const words = new Uint32Array(out.length);
  fillWords(words, draw, rowSize);
  for (let i = 0; i < out.length; i++) out[i] = (words[i]! >>> 8) * UNIT_24 < limit ? 1 : 0;
}

/** float32 N(0, 1). Shapes and errors as `fillWords`. About 100 ns an element: engines round to float32 by two conversions. */
export function fillNormal(out: Float32Array, draw: Draw, rowSize = out.length): void {
  const words = drawnWords(out, draw, rowSize);
  const ints = new Int32Array(words.buffer, words.byteOffset, words.length);
  for (let i = 0; i < out.length; i++) {
    const word = ints[i]!;
    const k = word & 0x7fffffff;
    out[i] = tailProduct(k);
    const z = normalMagnitude(k, out, ints, i);
    out[i] = word < 0 ? -z : z;
  }
}
