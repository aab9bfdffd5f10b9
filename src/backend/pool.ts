/** Arrays of tensors that are gone, kept for the next ones of the same length: fresh memory costs page faults, more than most ops. */
import type { DType, TypedArray } from '../graph/graph.js';

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;

interface LengthClass {
  readonly arrays: TypedArray[];
  /** When an array was last taken or given. */
  used: number;
}

export class ArrayPool {
  readonly #classes: Readonly<Record<DType, Map<number, LengthClass>>> = {
    float32: new Map(),
    int32: new Map(),
    bool: new Map(),
  };
  #bytes = 0;
  #clock = 0;

  /** `limit`: bytes kept at most; beyond it, the lengths used longest ago are let go. */
  constructor(readonly limit: number) {}

  /** Bytes held for later use. */
  get bytes(): number {
    return this.#bytes;
  }

  /** An array of exactly `length` elements with any contents. */
  take(dtype: DType, length: number): TypedArray {
    const found = this.#classes[dtype].get(length);
    const array = found?.arrays.pop();
    if (!found || !array) return new ARRAYS[dtype](length);
    found.used = ++this.#clock;
    this.#bytes -= array.byteLength;
    return array;
  }

  /** Takes an array that nobody else holds. */
  give(dtype: DType, array: TypedArray): void {
    const { byteLength, length } = array;
    if (byteLength === 0 || byteLength > this.limit) return;
    const classes = this.#classes[dtype];
    let found = classes.get(length);
    if (!found) {
      found = { arrays: [], used: 0 };
      classes.set(length, found);
    }
    found.used = ++this.#clock;
    found.arrays.push(array);
    this.#bytes += byteLength;
    if (this.#bytes > this.limit) this.#shrink();
  }

  clear(): void {
    for (const classes of Object.values(this.#classes)) classes.clear();
    this.#bytes = 0;
  }

  /** To three quarters, so that a working set at the limit doesn't come here every time. */
  #shrink(): void {
    const all = Object.values(this.#classes).flatMap((classes) =>
      [...classes].map(([length, entry]) => ({ classes, length, entry })),
    );
    all.sort((a, b) => a.entry.used - b.entry.used);
    for (const { classes, length, entry } of all) {
      while (entry.arrays.length > 0 && this.#bytes > 0.75 * this.limit)
        this.#bytes -= (entry.arrays.pop() as TypedArray).byteLength;
      if (entry.arrays.length > 0) return;
      classes.delete(length);
    }
  }
}
