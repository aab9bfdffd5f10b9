import { describe, expect, it } from 'vitest';
import { ArrayPool } from '../../src/backend/pool.js';
import { Signature, SignatureTable } from '../../src/backend/signature.js';

describe('the pool of arrays', () => {
  it('gives arrays of the very length and dtype back, once', () => {
    const pool = new ArrayPool(1000);
    const a = pool.take('float32', 10);
    expect(a).toHaveLength(10);
    pool.give('float32', a);
    expect(pool.bytes).toBe(40);
    expect(pool.take('int32', 10)).toBeInstanceOf(Int32Array);
    expect(pool.take('float32', 11)).not.toBe(a);
    expect(pool.take('float32', 10)).toBe(a);
    expect(pool.take('float32', 10)).not.toBe(a);
    expect(pool.bytes).toBe(0);
  });

  it('stays below its limit, and lets the lengths go that were used longest ago', () => {
    const pool = new ArrayPool(400);
    const old = new Float32Array(50);
    pool.give('float32', old);
    const recent = new Float32Array(40);
    pool.give('float32', recent);
    pool.give('bool', new Uint8Array(60));
    expect(pool.bytes).toBeLessThanOrEqual(400);
    expect(pool.take('float32', 40)).toBe(recent);
    expect(pool.take('float32', 50)).not.toBe(old);
    pool.give('float32', new Float32Array(1000));
    expect(pool.bytes).toBe(60);
  });
});

type Part = readonly [name: string, value: unknown];

/** Writes a call to a signature. */
function write(signature: Signature, kernel: number, shape: number[], attributes: readonly Part[]): void {
  signature.begin(kernel);
  signature.input('x', shape, 'float32');
  for (const [name, value] of attributes) signature.attribute(name, value);
}

describe('signatures', () => {
  it('are the same for the same call only', () => {
    const calls: [number, number[], Part[]][] = [
      [0, [2, 3], []],
      [1, [2, 3], []],
      [0, [3, 2], []],
      [0, [2, 3, 1], []],
      [0, [2, 3], [['axis', 1]]],
      [0, [2, 3], [['axis', [1]]]],
      [0, [2, 3], [['axis', [[1]]]]],
      [0, [2, 3], [['axis', null]]],
      [0, [2, 3], [['axis', undefined]]],
      [0, [2, 3], [['axis', '1']]],
      [0, [2, 3], [['axis', 0.1]]],
      [0, [2, 3], [['axis', 0]]],
      [0, [2, 3], [['axis', -0]]],
      [0, [2, 3], [['axis', true]]],
      [0, [2, 3], [['dim', 1]]],
      [0, [2, 3], [['axis', Array.from({ length: 300 }, (_, i) => i)]]],
      [0, [2, 3], [['axis', Array.from({ length: 300 }, (_, i) => i + Number(i === 299))]]],
    ];
    const signature = new Signature();
    const table = new SignatureTable<number>(100, () => {});
    calls.forEach((call, i) => {
      write(signature, ...call);
      expect(table.find(signature)).toBeUndefined();
      table.add(signature.words.slice(0, signature.wordCount), signature.hash(), i);
    });
    calls.forEach((call, i) => {
      write(signature, ...call);
      expect(table.find(signature)).toBe(i);
    });
  });

  it('tell dtypes that no program has', () => {
    const signature = new Signature();
    signature.begin(0);
    expect(signature.input('x', [1], 'bool')).toBe(true);
    expect(signature.input('x', [1], 'string')).toBe(false);
    expect(signature.input('x', [1], 'complex64')).toBe(false);
  });

  it('drop the least recently used', () => {
    const gone: number[] = [];
    const table = new SignatureTable<number>(32, (value) => gone.push(value));
    const signature = new Signature();
    const at = (i: number) => write(signature, i, [], []);
    for (let i = 0; i < 32; i++) {
      at(i);
      table.add(signature.words.slice(0, signature.wordCount), signature.hash(), i);
    }
    at(0);
    expect(table.find(signature)).toBe(0);
    at(99);
    table.add(signature.words.slice(0, signature.wordCount), signature.hash(), 99);
    expect(gone.sort()).toEqual([1, 2]);
    expect(table.size).toBe(31);
    at(1);
    expect(table.find(signature)).toBeUndefined();
    table.clear();
    expect(table.size).toBe(0);
    expect(gone).toHaveLength(33);
  });
});
