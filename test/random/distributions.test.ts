import { describe, expect, it } from 'vitest';
import { OptionError } from '../../src/errors.js';
import {
  fillBernoulli,
  fillIntegers,
  fillNormal,
  fillUniform,
  fillWords,
  integerFromWord,
  integerRange,
  normalFromWord,
  uniformFromWord,
  uniformInRange,
  uniformRange,
} from '../../src/random/index.js';
import { correlationError, erf, erfc, kolmogorovSmirnov, momentError, normalCdf } from './statistics.js';

const draw = { seed: 20240601, stream: 3, step: 0, draw: 0 };
const EDGE_WORDS = [0, 1, 0xff, 0x100, 0x7fffffff, 0x80000000, 0xfffffeff, 0xffffff00, 0xffffffff];

/** FNV-1a in 32-bit units over the bits of transform(word), for the words that native/cpu/random_test.cpp uses as well. */
function checksum(transform: (word: number) => number, integer = false): number {
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  let hash = 0x811c9dc5;
  const add = (first: number, count: number, stride: number) => {
    for (let i = 0; i < count; i++) {
      const value = transform((Math.imul(i, stride) + first) >>> 0);
      if (integer) bits[0] = value;
      else float[0] = value;
      hash = Math.imul(hash ^ bits[0]!, 16777619);
    }
  };
  add(0, 2 ** 20, 0x9e3779b1);
  add(0, 65536, 1);
  add(0x7fff8000, 65536, 1);
  add(0xffff0000, 65536, 1);
  return hash >>> 0;
}

describe('transforms give the bits of the native ones', () => {
  it('normal', () => {
    expect(checksum(normalFromWord)).toBe(0xe67e0cc0);
  });
  it('uniform', () => {
    expect(checksum(uniformFromWord)).toBe(0x2e528eba);
    const range = uniformRange(-1.1, 2.7);
    expect(checksum((word) => uniformInRange(word, range))).toBe(0xb932a22d);
  });
  it('integers', () => {
    expect(checksum((word) => integerFromWord(word, -1000, 1437), true)).toBe(0x4f721cce);
  });
  it('bernoulli', () => {
    const p = Math.fround(0.3);
    expect(checksum((word) => (uniformFromWord(word) < p ? 1 : 0), true)).toBe(0x9dffc02e);
  });
});

describe('normalFromWord', () => {
  /** Relative error of z as the inverse of the tail probability (k + 1/2) / 2^32, to first order in the error. */
  function relativeError(word: number): number {
    const z = Math.abs(normalFromWord(word));
    const k = word & 0x7fffffff;
    const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
    if (z > 2) return (erfc(z / Math.SQRT2) / 2 - (k + 0.5) / 2 ** 32) / (density * z);
    return (erf(z / Math.SQRT2) - (2 ** 31 - k - 0.5) / 2 ** 31) / (2 * density * z);
  }

  it('is the inverse normal within 6e-7 relative, in the centre, in the tails and between', () => {
    let worst = 0;
    for (let i = 0; i < 30_000; i++) {
      const word = (Math.imul(i, 0x9e3779b1) >>> 0) & 0x7fffffff;
      for (const w of [i, 0x7fffffff - i, word, word >>> (i % 31), 0x7fffffff - (word >>> (i % 31))]) {
        worst = Math.max(worst, Math.abs(relativeError(w)));
      }
    }
    expect(worst).toBeLessThan(6e-7);
    expect(worst).toBeGreaterThan(1e-8); // float32 cannot do better: the reference is not the function itself
  });

  it('is odd, exactly', () => {
    let different = 0;
    for (let i = 0; i < 100_000; i++) {
      const word = Math.imul(i, 0x9e3779b1) >>> 0;
      if (!Object.is(normalFromWord(word ^ 0x80000000), -normalFromWord(word))) different++;
    }
    expect(different).toBe(0);
  });

  it('has the extremes at the edge words', () => {
    expect(normalFromWord(0)).toBeCloseTo(6.337957754553789, 5);
    expect(normalFromWord(0x80000000)).toBe(-normalFromWord(0));
    // x = 2^-32 from the centre: z = x sqrt(pi / 2)
    expect(normalFromWord(0x7fffffff) / (2 ** -32 * Math.sqrt(Math.PI / 2))).toBeCloseTo(1, 6);
    expect(normalFromWord(0xffffffff)).toBe(-normalFromWord(0x7fffffff));
  });

  it('takes a word as int32 or uint32', () => {
    for (const word of EDGE_WORDS) expect(normalFromWord(word | 0)).toBe(normalFromWord(word));
  });
});

describe('uniforms and integers at the edges', () => {
  it.each([
    [0, 1],
    [1, 2],
    [-1, 0],
    [100, 100.00001],
    [-3e38, 3e37],
    [0, 1e-45],
    [-1e-45, 0],
    [16777216, 16777220],
  ])('a uniform of [%d, %d) stays inside', (low, high) => {
    const range = uniformRange(low, high);
    for (const word of EDGE_WORDS) {
      const value = uniformInRange(word, range);
      expect(value).toBeGreaterThanOrEqual(Math.fround(low));
      expect(value).toBeLessThan(Math.fround(high));
      expect(Math.fround(value)).toBe(value);
    }
  });

  it('cuts the sum that would round up to high, to the number below', () => {
    expect(Math.fround(1 + (1 - 2 ** -24))).toBe(2);
    expect(uniformInRange(0xffffffff, uniformRange(1, 2))).toBe(2 - 2 ** -23);
  });

  it('integers are low + floor(word * range / 2^32), whatever the range', () => {
    for (const word of EDGE_WORDS) {
      for (const [low, high] of [
        [0, 1],
        [-5, 10],
        [-(2 ** 31), 2 ** 31 - 1],
        [0, 2 ** 31 - 1],
        [2 ** 31 - 2, 2 ** 31 - 1],
      ] as const) {
        const range = integerRange(low, high);
        const want = low + Number((BigInt(word) * BigInt(range)) >> 32n);
        expect(integerFromWord(word, low, range)).toBe(want);
      }
    }
  });

  it('bernoulli is certain at 0 and 1', () => {
    const out = new Uint8Array(10_000);
    fillBernoulli(out, draw, 1);
    expect(out.every((b) => b === 1)).toBe(true);
    fillBernoulli(out, draw, 0);
    expect(out.every((b) => b === 0)).toBe(true);
  });

  it.each([
    () => uniformRange(1, 1),
    () => uniformRange(2, 1),
    () => uniformRange(0, Infinity),
    () => uniformRange(Number.NaN, 1),
    () => uniformRange(-3e38, 3e38),
    () => uniformRange(1, 1 + 1e-12),
    () => integerRange(0, 0),
    () => integerRange(0.5, 3),
    () => integerRange(0, 2 ** 31),
    () => fillBernoulli(new Uint8Array(1), draw, 1.1),
    () => fillBernoulli(new Uint8Array(1), draw, Number.NaN),
  ])('refuses bounds that mean nothing (%#)', (call) => {
    expect(call).toThrow(OptionError);
  });
});

describe('bulk fills', () => {
  it('give the single transforms of the words, into views at any offset', () => {
    const n = 1003;
    const words = new Uint32Array(n);
    fillWords(words, { ...draw, subject: 4 }, 17);
    const memory = new Float32Array(n + 3);
    fillNormal(memory.subarray(3), { ...draw, subject: 4 }, 17);
    const uniforms = new Float32Array(n);
    fillUniform(uniforms, { ...draw, subject: 4 }, -2, 5, 17);
    const integers = new Int32Array(n);
    fillIntegers(integers, { ...draw, subject: 4 }, -2, 5, 17);
    const coins = new Uint8Array(n);
    fillBernoulli(coins, { ...draw, subject: 4 }, 0.25, 17);
    const range = uniformRange(-2, 5);
    for (let i = 0; i < n; i++) {
      expect(memory[i + 3]).toBe(normalFromWord(words[i]!));
      expect(uniforms[i]).toBe(uniformInRange(words[i]!, range));
      expect(integers[i]).toBe(integerFromWord(words[i]!, -2, 7));
      expect(coins[i]).toBe(uniformFromWord(words[i]!) < 0.25 ? 1 : 0);
    }
    expect([...memory.subarray(0, 3)]).toEqual([0, 0, 0]);
  });
});

describe('samples', () => {
  const n = 2 ** 20;
  const normals = new Float32Array(n);
  fillNormal(normals, draw, 64);
  const uniforms = new Float32Array(n);
  fillUniform(uniforms, { ...draw, draw: 1 }, 0, 1, 64);

  it('normals have the moments of N(0, 1) within 4 standard errors', () => {
    // variance of x^k is E x^2k - (E x^k)^2, with E x^2k = (2k - 1)!!
    expect(Math.abs(momentError(normals, 1, 0, 1))).toBeLessThan(4);
    expect(Math.abs(momentError(normals, 2, 1, 2))).toBeLessThan(4);
    expect(Math.abs(momentError(normals, 3, 0, 15))).toBeLessThan(4);
    expect(Math.abs(momentError(normals, 4, 3, 105 - 9))).toBeLessThan(4);
  });

  it('normals follow the normal distribution (Kolmogorov-Smirnov)', () => {
    expect(kolmogorovSmirnov(normals, normalCdf)).toBeLessThan(2.28);
  });

  it('normals reach the tails as often as they should', () => {
    for (const limit of [2, 3, 4, 4.5]) {
      let count = 0;
      for (const z of normals) if (Math.abs(z) > limit) count++;
      const expected = n * 2 * normalCdf(-limit);
      expect(Math.abs(count - expected)).toBeLessThan(4 * Math.sqrt(expected) + 1);
    }
  });

  it('uniforms have the moments and the distribution of U[0, 1)', () => {
    for (let k = 1; k <= 4; k++) {
      const mean = 1 / (k + 1);
      expect(Math.abs(momentError(uniforms, k, mean, 1 / (2 * k + 1) - mean * mean))).toBeLessThan(4);
    }
    expect(kolmogorovSmirnov(uniforms, (x) => x)).toBeLessThan(2.28);
  });

  it('integers are equally likely (chi-square)', () => {
    for (const range of [2, 10, 97]) {
      const integers = new Int32Array(n);
      fillIntegers(integers, { ...draw, draw: 2 }, -3, range - 3, 64);
      const counts = new Float64Array(range);
      for (const i of integers) counts[i + 3]!++;
      let chiSquare = 0;
      for (const c of counts) chiSquare += (c - n / range) ** 2 / (n / range);
      // Wilson-Hilferty: (chi^2 / f)^(1/3) is nearly normal
      const f = range - 1;
      const z = (Math.cbrt(chiSquare / f) - (1 - 2 / (9 * f))) / Math.sqrt(2 / (9 * f));
      expect(Math.abs(z)).toBeLessThan(4);
    }
  });

  it('bernoulli draws are true with probability p', () => {
    const coins = new Uint8Array(n);
    for (const p of [0.001, 0.3, 0.5, 0.97]) {
      fillBernoulli(coins, { ...draw, draw: 3 }, p, 64);
      const count = coins.reduce((sum, c) => sum + c, 0);
      expect(Math.abs(count - n * p)).toBeLessThan(4 * Math.sqrt(n * p * (1 - p)));
    }
  });

  it.each([
    ['subjects', { ...draw, subject: 1 }],
    ['steps', { ...draw, step: 1 }],
    ['streams', { ...draw, stream: 2 }],
    ['draws', { ...draw, draw: 9 }],
    ['seeds', { ...draw, seed: draw.seed + 1 }],
    ['seeds that differ in the high bits', { ...draw, seed: draw.seed + 2 ** 40 }],
  ])('neighbouring %s are independent', (_, other) => {
    const a = new Float32Array(n);
    const b = new Float32Array(n);
    fillNormal(a, draw);
    fillNormal(b, other);
    expect(Math.abs(correlationError(a, b))).toBeLessThan(4);
    // and in size: (z^2 - 1) / sqrt(2) has mean 0 and variance 1
    const square = (z: number) => (z * z - 1) / Math.SQRT2;
    expect(Math.abs(correlationError(a.map(square), b.map(square)))).toBeLessThan(4);
  });

  it('consecutive elements are independent', () => {
    const a = new Float32Array(n);
    fillNormal(a, draw);
    for (const lag of [1, 2, 3, 4, 8]) {
      expect(Math.abs(correlationError(a.subarray(0, n - lag), a.subarray(lag)))).toBeLessThan(4);
    }
  });
});
