/** A bounded cache that forgets what was used longest ago. */
import { checkInteger } from '../options.js';

/**
 * At most `capacity` entries; setting one more drops the least recently read or written and hands it to `onEvict`, which is where the
 * dropped value is disposed. Reads and writes are O(1). Throws OptionError for a capacity that is no integer >= 1.
 */
export class LruCache<K, V> {
  readonly #entries = new Map<K, V>();

  constructor(
    readonly capacity: number,
    private readonly onEvict: (value: V, key: K) => void = () => {},
  ) {
    checkInteger(capacity, 'the capacity of a cache', 1);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value of a key, which becomes the most recently used one. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined && !this.#entries.has(key)) return undefined;
    // A Map keeps the order of insertion.
    this.#entries.delete(key);
    this.#entries.set(key, value as V);
    return value;
  }

  /** Puts a value in. One that was there under the same key is handed to `onEvict`, unless it is the same. */
  set(key: K, value: V): void {
    const replaced = this.#entries.has(key);
    const old = this.#entries.get(key);
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (replaced && old !== value) this.onEvict(old as V, key);
    if (this.#entries.size <= this.capacity) return;
    const [oldest, dropped] = this.#entries.entries().next().value as [K, V];
    this.#entries.delete(oldest);
    this.onEvict(dropped, oldest);
  }

  /** Drops everything. */
  clear(): void {
    const entries = [...this.#entries];
    this.#entries.clear();
    for (const [key, value] of entries) this.onEvict(value, key);
  }
}
