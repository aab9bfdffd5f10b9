/**
 * Arena planning: which buffers share memory. A buffer lives over an interval of the program's timeline (call, tile, step, init
 * items in this order; bounds inclusive); buffers whose intervals overlap get disjoint ranges.
 */

export interface BufferRequest {
  /** Elements: rows in the varying arena, words in the uniform one. */
  readonly size: number;
  readonly start: number;
  /** Infinity for a value that every later step needs. */
  end: number;
  /** Set by `placeBuffers`. */
  offset: number;
}

/**
 * Assigns offsets, the largest buffers first, each at the lowest free place; returns the arena's size. `origin` is the first free
 * element, `align` the multiple that offsets keep. Cost: quadratic in the number of buffers.
 */
export function placeBuffers(buffers: readonly BufferRequest[], origin: number, align: number): number {
  const placed: BufferRequest[] = [];
  let top = origin;
  for (const buffer of [...buffers].sort((a, b) => b.size - a.size || a.start - b.start)) {
    const rivals = placed
      .filter((p) => p.size > 0 && p.start <= buffer.end && buffer.start <= p.end)
      .sort((a, b) => a.offset - b.offset);
    let offset = alignUp(origin, align);
    for (const rival of rivals) {
      if (offset + buffer.size <= rival.offset) break;
      offset = Math.max(offset, alignUp(rival.offset + rival.size, align));
    }
    buffer.offset = offset;
    placed.push(buffer);
    top = Math.max(top, offset + buffer.size);
  }
  return top;
}

export function alignUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}
