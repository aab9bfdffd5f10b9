/** The pool of constants (space C): 32-bit words, equal constants stored once. */
import { type GraphNode, sizeOf } from '../../graph/graph.js';
import { alignUp } from './arena.js';

const ALIGN = 16;

/** Raw words of a constant or iota node; bool becomes int32 0/1. */
export function constantWords(node: GraphNode): Int32Array {
  const { op } = node;
  if (op.name === 'constant') {
    if (op.values instanceof Float32Array) return new Int32Array(Float32Array.from(op.values).buffer);
    return Int32Array.from(op.values);
  }
  if (op.name !== 'iota') throw new Error(`${op.name} is not a constant`);
  const n = sizeOf(node.shape);
  const at = (i: number) => op.start + i * op.step;
  if (node.dtype === 'float32')
    return new Int32Array(Float32Array.from({ length: n }, (_, i) => at(i)).buffer);
  return Int32Array.from({ length: n }, (_, i) => at(i));
}

export class ConstantPool {
  readonly #chunks: { offset: number; words: Int32Array }[] = [];
  readonly #offsets = new Map<string, number>();
  readonly #byNode = new Map<GraphNode, number>();
  #size = 0;

  /** Offset of the node's words. */
  add(node: GraphNode): number {
    const known = this.#byNode.get(node);
    if (known !== undefined) return known;
    const words = constantWords(node);
    const key = `${words.length}:${Buffer.from(words.buffer, words.byteOffset, words.byteLength).toString('base64')}`;
    let offset = this.#offsets.get(key);
    if (offset === undefined) {
      offset = words.length < ALIGN ? this.#size : alignUp(this.#size, ALIGN);
      this.#size = offset + words.length;
      this.#chunks.push({ offset, words });
      this.#offsets.set(key, offset);
    }
    this.#byNode.set(node, offset);
    return offset;
  }

  words(): Int32Array {
    const all = new Int32Array(this.#size);
    for (const { offset, words } of this.#chunks) all.set(words, offset);
    return all;
  }
}
