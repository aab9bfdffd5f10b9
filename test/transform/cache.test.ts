import { describe, expect, it } from 'vitest';
import { OptionError } from '../../src/errors.js';
import { LruCache } from '../../src/transform/cache.js';

function recorded(capacity: number) {
  const evicted: [string, number][] = [];
  return {
    evicted,
    cache: new LruCache<string, number>(capacity, (value, key) => evicted.push([key, value])),
  };
}

describe('LruCache', () => {
  it('drops the entry that was used longest ago, reads included', () => {
    const { cache, evicted } = recorded(2);
    cache.set('a', 1);
    cache.set('b', 2);
    expect(cache.get('a')).toBe(1);
    cache.set('c', 3);
    expect(evicted).toEqual([['b', 2]]);
    expect(cache.get('b')).toBeUndefined();
    expect([cache.get('a'), cache.get('c'), cache.size]).toEqual([1, 3, 2]);
  });

  it('hands over a value that another replaces, and none that is set again', () => {
    const { cache, evicted } = recorded(2);
    cache.set('a', 1);
    cache.set('a', 1);
    expect(evicted).toEqual([]);
    cache.set('a', 2);
    expect(evicted).toEqual([['a', 1]]);
    expect(cache.size).toBe(1);
  });

  it('hands over everything when cleared', () => {
    const { cache, evicted } = recorded(3);
    cache.set('a', 1);
    cache.set('b', 2);
    cache.clear();
    expect(evicted).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
    expect(cache.size).toBe(0);
  });

  it('refuses a capacity below 1', () => {
    expect(() => new LruCache(0)).toThrow(OptionError);
  });
});
