/**
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): a bijection of 128-bit counters
 * under a 64-bit key whose outputs pass BigCrush. There is no state: whoever knows a counter can make its words, on any device,
 * in any order.
 *
 * The counter convention, the same on every device. One block yields four words; element j of a drawn tensor (flat, row-major)
 * uses word `j & 3` of block `j >> 2`:
 *
 * | word | holds |
 * |---|---|
 * | key 0, key 1 | seed, low 32 bits and high 21 bits |
 * | c0 | index of the block inside the drawn tensor |
 * | c1 | subject: 0 for a draw shared by all particles, the pair for one shared by an antithetic pair, else the particle |
 * | c2 | step: the run's global step number (uint32) |
 * | c3 | stream << 24 \| draw, stream in 0..255, draw (which of the draws of a step) in 0..2^24-1 |
 */
import { OptionError } from '../errors.js';

declare const seedBrand: unique symbol;

/** A checked seed: an integer in 0..2^53-1. Any other number is not a key. */
export type Seed = number & { readonly [seedBrand]: true };

/** The uses of the counter space that can never meet: the top byte of c3. */
export const STREAMS = {
  /** draws inside `step` */
  step: 0,
  /** draws inside `init` */
  init: 1,
  /** perturbations of theta */
  theta: 2,
  /** whatever a user draws with the functions of this folder */
  user: 3,
  /** derivation of seeds from seeds (`foldIn`) */
  fold: 255,
} as const;

/** Largest draw number of a stream: c3 has 24 bits for it. */
export const MAX_DRAW = 0xffffff;

/** High half of the key, beside `seed >>> 0`, its low half. */
export function seedHigh(seed: Seed): number {
  return Math.floor(seed / 0x100000000);
}

/**
 * Checks a seed. `name` is what the message calls it.
 * Throws OptionError unless `value` is an integer in 0..2^53-1.
 */
export function toSeed(value: unknown, name = 'seed'): Seed {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new OptionError(
      `${name} must be an integer in 0..${Number.MAX_SAFE_INTEGER}, got ${describe(value)}`,
    );
  }
  return ((value as number) + 0) as Seed;
}

/** Checks a uint32 part of a counter. Throws OptionError naming it. */
export function checkUint32(value: unknown, name: string, max = 0xffffffff): number {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > max) {
    throw new OptionError(`${name} must be an integer in 0..${max}, got ${describe(value)}`);
  }
  return value as number;
}

/** How a refused value appears in a message. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'object' && value !== null)
    return `an object (${value.constructor?.name ?? 'no prototype'})`;
  return String(value);
}

/** The fourth counter word. Arguments are not checked. */
export function streamWord(stream: number, draw: number): number {
  return ((stream << 24) | draw) >>> 0;
}

/**
 * One block: counter (c0, c1, c2, c3), key (k0, k1) -> four uint32 words in `out[offset .. offset + 3]`. Arguments are taken modulo
 * 2^32 and not checked. About 70 ns. The 64-bit products are put together from 16-bit halves, so that everything stays in
 * int32 arithmetic, which engines compile to machine integers.
 */
export function philox4x32(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
  out: Uint32Array,
  offset = 0,
): void {
  let x0 = c0 | 0;
  let x1 = c1 | 0;
  let x2 = c2 | 0;
  let x3 = c3 | 0;
  let a = k0 | 0;
  let b = k1 | 0;
  for (let round = 0; round < 10; round++) {
    // 0xd2511f53 * x0 and 0xcd9e8d57 * x2
    const l0 = x0 & 0xffff;
    const h0 = x0 >>> 16;
    const m0 = (Math.imul(0xd251, l0) + (Math.imul(0x1f53, l0) >>> 16)) | 0;
    const n0 = (Math.imul(0x1f53, h0) + (m0 & 0xffff)) | 0;
    const high0 = (Math.imul(0xd251, h0) + (m0 >>> 16) + (n0 >>> 16)) | 0;
    const low0 = Math.imul(0xd2511f53, x0);
    const l2 = x2 & 0xffff;
    const h2 = x2 >>> 16;
    const m2 = (Math.imul(0xcd9e, l2) + (Math.imul(0x8d57, l2) >>> 16)) | 0;
    const n2 = (Math.imul(0x8d57, h2) + (m2 & 0xffff)) | 0;
    const high2 = (Math.imul(0xcd9e, h2) + (m2 >>> 16) + (n2 >>> 16)) | 0;
    const low2 = Math.imul(0xcd9e8d57, x2);
    x0 = high2 ^ x1 ^ a;
    x1 = low2;
    x2 = high0 ^ x3 ^ b;
    x3 = low0;
    a = (a + 0x9e3779b9) | 0;
    b = (b + 0xbb67ae85) | 0;
  }
  out[offset] = x0;
  out[offset + 1] = x1;
  out[offset + 2] = x2;
  out[offset + 3] = x3;
}

const folded = new Uint32Array(4);

/**
 * A new seed from a seed and a number, by one Philox block on a stream of its own: different numbers give unrelated seeds, and the
 * result does not depend on the order in which seeds are derived. `foldIn(foldIn(seed, a), b)` is a path.
 * `seed`, `number`: integers in 0..2^53-1. Throws OptionError otherwise.
 */
export function foldIn(seed: number, number: number): Seed {
  const key = toSeed(seed);
  const data = toSeed(number, 'number');
  philox4x32(data, seedHigh(data), 0, streamWord(STREAMS.fold, 0), key, seedHigh(key), folded);
  return (folded[0]! + (folded[1]! & 0x1fffff) * 0x100000000) as Seed;
}
