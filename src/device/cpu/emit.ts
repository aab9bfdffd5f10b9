/** The items of an unroll's blocks as instruction words. */
import type { Ring } from './deferred.js';
import { UnitEmitter } from './emit-unit.js';
import { type BlockWriter, type Operand, writeCopy, writeInitCopy } from './instructions.js';
import type { GraphLayout } from './layout.js';
import type { Item } from './schedule.js';
import type { Level, Unit } from './units.js';
import { contiguousStrides } from './views.js';
import { Space } from './words.js';

/** Writes the items of one planned graph; `stream` is the Philox stream of its draws, `stateRows` the first row of each state leaf. */
export class Emitter {
  readonly #units: UnitEmitter;

  constructor(
    private readonly layout: GraphLayout,
    private readonly stateRows: readonly number[],
    stream: number,
    /** Products that are put off, where the program may. */
    private readonly rings: ReadonlyMap<Unit, Ring> = new Map(),
  ) {
    this.#units = new UnitEmitter(layout, stream);
  }

  /** Appends the instructions of `item`. */
  emit(item: Item, level: Level, out: BlockWriter) {
    if (item.kind === 'unit') {
      this.#units.copies(item.unit, out);
      const ring = this.rings.get(item.unit);
      if (ring) this.#units.deferred(item.unit, ring, out);
      else this.#units.unit(item.unit, out);
      return;
    }
    const { shape } = this.layout.graph.nodes[item.node];
    const strides = contiguousStrides(shape);
    if (item.kind === 'save') {
      const place = this.layout.saved(item.node);
      writeCopy(out, 1, shape, this.#units.view(item.node), { ...place, strides }, 'save');
      return;
    }
    const destination = { space: Space.state, offset: this.stateRows[item.leaf], strides };
    const source = this.operandOf(item.node);
    if (level === 'init') writeInitCopy(out, shape, source, destination);
    else writeCopy(out, 1, shape, source, destination, 'commit');
  }

  /** A node's memory as the engine reads it after the step: from its saved copy when there is one. */
  operandOf(node: number): Operand {
    if (!this.layout.planned.schedule.saved.has(node)) return this.#units.view(node);
    const { shape } = this.layout.graph.nodes[node];
    return { ...this.layout.saved(node), strides: contiguousStrides(shape) };
  }
}
