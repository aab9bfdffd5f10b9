import { describe, expect, it } from 'vitest';
import { OptionError } from '../../src/errors.js';
import {
  fillWords,
  foldIn,
  MAX_DRAW,
  philox4x32,
  STREAMS,
  seedHigh,
  streamWord,
  toSeed,
} from '../../src/random/index.js';

/** The definition, in BigInt. */
function reference(counter: readonly number[], key: readonly number[]): number[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0;
    const p2 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p2 >> 32n) ^ c1 ^ k0, p2 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [c0, c1, c2, c3].map(Number);
}

function block(counter: readonly number[], key: readonly number[]): number[] {
  const out = new Uint32Array(4);
  philox4x32(counter[0]!, counter[1]!, counter[2]!, counter[3]!, key[0]!, key[1]!, out);
  return [...out];
}

describe('philox4x32', () => {
  // kat_vectors of Random123, philox4x32 with 10 rounds
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('gives the published answer for counter %j, key %j', (counter, key, words) => {
    expect(block(counter, key)).toEqual(words);
    expect(reference(counter, key)).toEqual(words);
  });

  it('equals the BigInt definition on 2,000 counters', () => {
    for (let i = 0; i < 2000; i++) {
      const c = [i, Math.imul(i, 0x9e3779b1) >>> 0, ~i >>> 0, Math.imul(i * i, 0x85ebca6b) >>> 0];
      const k = [Math.imul(i, 0xc2b2ae35) >>> 0, (i << 20) >>> 0];
      expect(block(c, k)).toEqual(reference(c, k));
    }
  });

  it('writes four words at the offset and no others', () => {
    const out = new Uint32Array(8).fill(7);
    philox4x32(0, 0, 0, 0, 0, 0, out, 3);
    expect([...out]).toEqual([7, 7, 7, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8, 7]);
  });
});

describe('the counter convention', () => {
  it('puts seed, block, subject, step, stream and draw where the table says', () => {
    const seed = 2 ** 53 - 12345;
    const out = new Uint32Array(3 * 11);
    const step = Uint32Array.from([4, 0xffffffff, 9]);
    fillWords(out, { seed, stream: 3, step, draw: MAX_DRAW, subject: 0xfffffffe }, 11);
    const key = [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
    for (let row = 0; row < 3; row++) {
      const subject = (0xfffffffe + row) % 2 ** 32;
      for (let j = 0; j < 11; j++) {
        const words = reference([j >> 2, subject, step[row]!, 0x03ffffff], key);
        expect(out[row * 11 + j]).toBe(words[j & 3]);
      }
    }
  });

  it('takes subjects one per row', () => {
    const rows = new Uint32Array(12);
    fillWords(rows, { seed: 1, stream: 0, step: 5, draw: 2, subject: Uint32Array.from([8, 3, 8]) }, 4);
    expect(rows.subarray(0, 4)).toEqual(rows.subarray(8, 12));
    const single = new Uint32Array(4);
    fillWords(single, { seed: 1, stream: 0, step: 5, draw: 2, subject: 3 });
    expect(rows.subarray(4, 8)).toEqual(single);
  });

  it('handles empty draws', () => {
    fillWords(new Uint32Array(0), { seed: 1, stream: 0, step: 0, draw: 0 });
    fillWords(new Uint32Array(0), { seed: 1, stream: 0, step: new Uint32Array(0), draw: 0 }, 3);
  });

  it('keeps streams apart', () => {
    expect(new Set(Object.values(STREAMS)).size).toBe(Object.keys(STREAMS).length);
    expect(streamWord(255, MAX_DRAW)).toBe(0xffffffff);
    expect(streamWord(1, 2)).toBe(0x01000002);
  });

  it.each([
    [{ seed: 1, stream: 256, step: 0, draw: 0 }, 'stream'],
    [{ seed: 1, stream: 0, step: -1, draw: 0 }, 'step'],
    [{ seed: 1, stream: 0, step: 2 ** 32, draw: 0 }, 'step'],
    [{ seed: 1, stream: 0, step: 0, draw: 2 ** 24 }, 'draw'],
    [{ seed: 1, stream: 0, step: 0, draw: 0, subject: 0.5 }, 'subject'],
    [{ seed: 1, stream: 0, step: new Uint32Array(2), draw: 0 }, 'step'],
    [{ seed: 1.5, stream: 0, step: 0, draw: 0 }, 'seed'],
  ])('refuses %j, naming %s', (draw, name) => {
    expect(() => fillWords(new Uint32Array(4), draw)).toThrow(OptionError);
    expect(() => fillWords(new Uint32Array(4), draw)).toThrow(name);
  });

  it('refuses rows that do not divide the output', () => {
    const draw = { seed: 1, stream: 0, step: 0, draw: 0 };
    for (const size of [3, 0, -4, 1.5, Number.NaN]) {
      expect(() => fillWords(new Uint32Array(4), draw, size)).toThrow(/rowSize/);
    }
  });
});

describe('seeds', () => {
  it('accepts 0 and 2^53 - 1, and splits them into 32 and 21 bits', () => {
    expect(toSeed(0)).toBe(0);
    expect(Object.is(toSeed(-0), 0)).toBe(true);
    expect(seedHigh(toSeed(Number.MAX_SAFE_INTEGER))).toBe(0x1fffff);
    expect(seedHigh(toSeed(2 ** 32))).toBe(1);
  });

  it.each([[-1], [0.5], [2 ** 53], [Number.NaN], [Infinity], ['7'], [7n], [undefined], [null]])(
    'refuses %s',
    (value) => {
      expect(() => toSeed(value)).toThrow(OptionError);
    },
  );

  it('derives seeds by one Philox block on stream 255', () => {
    const seed = 2 ** 40 + 17;
    const number = 2 ** 33 + 5;
    const words = reference([5, 2, 0, 0xff000000], [17, 2 ** 8]);
    expect(foldIn(seed, number)).toBe(words[0]! + (words[1]! % 2 ** 21) * 2 ** 32);
  });

  it('derives different seeds from different numbers and different paths', () => {
    const seeds = new Set<number>();
    for (let seed = 0; seed < 50; seed++) for (let n = 0; n < 50; n++) seeds.add(foldIn(seed, n));
    expect(seeds.size).toBe(2500);
    expect(foldIn(foldIn(1, 2), 3)).not.toBe(foldIn(foldIn(1, 3), 2));
    for (const s of seeds) expect(Number.isSafeInteger(s) && s >= 0).toBe(true);
    expect(() => foldIn(1, -1)).toThrow(/number/);
  });
});
