/**
 * Signatures of kernel calls as rows of numbers, and a bounded table of what was made for each.
 *
 * This is on the way of every op, so nothing is turned into text: a call is written to one scratch row, hashed, and compared with the rows of
 * the same hash. About 0.2 microseconds for two inputs and two attributes.
 */

/** Before each part of a signature, so that no two calls have the same row. */
const Tag = { undefined: 0, null: 1, false: 2, true: 3, number: 4, string: 5, list: 6, input: 7 } as const;

const DTYPES: Readonly<Record<string, number>> = { float32: 0, int32: 1, bool: 2 };

export class Signature {
  #row = new Float64Array(256);
  #words = new Int32Array(this.#row.buffer);
  #length = 0;
  /** Names of inputs, attributes and kernels, and text attributes. */
  readonly #texts = new Map<string, number>();

  /** The row so far, as 32-bit words: two for each number. */
  get words(): Int32Array {
    return this.#words;
  }

  get wordCount(): number {
    return 2 * this.#length;
  }

  begin(kernel: number): void {
    this.#length = 0;
    this.#put(kernel);
  }

  /** Returns false for a dtype that the graph has not. */
  input(name: string, shape: readonly number[], dtype: string): boolean {
    const code = DTYPES[dtype];
    if (code === undefined) return false;
    this.#put(Tag.input);
    this.#put(this.#text(name));
    this.#put(code);
    this.#put(shape.length);
    for (let i = 0; i < shape.length; i++) this.#put(shape[i]);
    return true;
  }

  attribute(name: string, value: unknown): void {
    this.#put(this.#text(name));
    this.#value(value);
  }

  hash(): number {
    const words = this.#words;
    const count = this.wordCount;
    let hash = count;
    for (let i = 0; i < count; i++) {
      hash = Math.imul(hash ^ words[i], 0x5bd1e995);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  #value(value: unknown): void {
    if (typeof value === 'number') {
      this.#put(Tag.number);
      this.#put(value);
    } else if (typeof value === 'string') {
      this.#put(Tag.string);
      this.#put(this.#text(value));
    } else if (typeof value === 'boolean') this.#put(value ? Tag.true : Tag.false);
    else if (value === undefined) this.#put(Tag.undefined);
    else if (value === null) this.#put(Tag.null);
    else if (Array.isArray(value) || ArrayBuffer.isView(value)) {
      const list = value as unknown as ArrayLike<unknown>;
      this.#put(Tag.list);
      this.#put(list.length);
      for (let i = 0; i < list.length; i++) this.#value(list[i]);
    } else this.#value(Object.entries(value as object));
  }

  #text(text: string): number {
    let number = this.#texts.get(text);
    if (number === undefined) {
      number = this.#texts.size;
      this.#texts.set(text, number);
    }
    return number;
  }

  #put(number: number): void {
    if (this.#length === this.#row.length) this.#grow();
    this.#row[this.#length++] = number;
  }

  #grow(): void {
    const row = new Float64Array(2 * this.#row.length);
    row.set(this.#row);
    this.#row = row;
    this.#words = new Int32Array(row.buffer);
  }
}

interface Entry<V> {
  readonly value: V;
  readonly hash: number;
  readonly words: Int32Array;
  next: Entry<V> | undefined;
  used: number;
}

/** At most `capacity` values by signature; one more drops the sixteenth of them that was used longest ago. */
export class SignatureTable<V> {
  readonly #byHash = new Map<number, Entry<V>>();
  #size = 0;
  #clock = 0;

  constructor(
    readonly capacity: number,
    private readonly onEvict: (value: V) => void,
  ) {}

  get size(): number {
    return this.#size;
  }

  find(signature: Signature): V | undefined {
    const { words, wordCount } = signature;
    let entry = this.#byHash.get(signature.hash());
    while (entry) {
      if (same(entry.words, words, wordCount)) {
        entry.used = ++this.#clock;
        return entry.value;
      }
      entry = entry.next;
    }
    return undefined;
  }

  /** Adds a value for a signature that is not there. */
  add(words: Int32Array, hash: number, value: V): void {
    if (this.#size >= this.capacity) this.#evict();
    this.#byHash.set(hash, { value, hash, words, next: this.#byHash.get(hash), used: ++this.#clock });
    this.#size++;
  }

  clear(): void {
    this.#remove([...this.#entries()]);
  }

  #evict(): void {
    const oldest = [...this.#entries()].sort((a, b) => a.used - b.used);
    this.#remove(oldest.slice(0, Math.ceil(this.capacity / 16)));
  }

  *#entries(): Generator<Entry<V>> {
    for (const first of this.#byHash.values())
      for (let entry: Entry<V> | undefined = first; entry; entry = entry.next) yield entry;
  }

  #remove(entries: readonly Entry<V>[]): void {
    for (const gone of entries) {
      const first = this.#byHash.get(gone.hash);
      if (first === gone) {
        if (gone.next) this.#byHash.set(gone.hash, gone.next);
        else this.#byHash.delete(gone.hash);
      } else
        for (let entry = first; entry; entry = entry.next)
          if (entry.next === gone) {
            entry.next = gone.next;
            break;
          }
      this.#size--;
      this.onEvict(gone.value);
    }
  }
}

function same(row: Int32Array, words: Int32Array, count: number): boolean {
  if (row.length !== count) return false;
  for (let i = 0; i < count; i++) if (row[i] !== words[i]) return false;
  return true;
}
