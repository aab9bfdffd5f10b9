/** How a structure of outer parameters lies in one flat vector. */
import type { LeafSpec } from '../device/driver.js';
import { OptionError, ShapeError } from '../errors.js';
import { sizeOf, type TypedArray } from '../graph/graph.js';
import { flatten } from '../trace/structure.js';
import type { InputsOf, SpecTree, ValuesOf } from './leaf.js';
import { isLeafShape, matchValues, readLeaf, readRaw, specLeaves, toFloat32 } from './values.js';

/** Shorter rows are copied in a loop: a view for each would cost more. */
const SHORT = 24;

/** Copies `rows` rows of `size` elements; strides are those from one row to the next. */
export function copyRows(
  to: Float32Array,
  toStart: number,
  toStride: number,
  from: TypedArray,
  fromStart: number,
  fromStride: number,
  rows: number,
  size: number,
): void {
  for (let i = 0, t = toStart, f = fromStart; i < rows; i++, t += toStride, f += fromStride) {
    if (size > SHORT) to.set(from.subarray(f, f + size), t);
    else for (let j = 0; j < size; j++) to[t + j] = from[f + j];
  }
}

/**
 * The flat form of theta: its leaves in the order of their keys, each row-major, one after the other: `size`
 * float32 in all.
 * Throws OptionError when a leaf is not float32 or has an open dimension.
 */
export class ThetaLayout<S = SpecTree> {
  readonly leaves: readonly LeafSpec[];
  /** P, the number of outer parameters. */
  readonly size: number;
  readonly #spec: SpecTree;

  constructor(spec: S) {
    this.#spec = spec as SpecTree;
    this.leaves = specLeaves(this.#spec, 'theta');
    for (const { path, dtype } of this.leaves) {
      if (dtype !== 'float32')
        throw new OptionError(`theta at "${path}" must be float32 (shape(...)), got ${dtype}`);
    }
    this.size = this.leaves.reduce((sum, leaf) => sum + sizeOf(leaf.shape), 0);
  }

  /**
   * A theta as float32 [P]. A number stands for every element of its leaf. Throws OptionError or ShapeError
   * naming the path.
   */
  pack(theta: InputsOf<S>, what = 'theta'): Float32Array {
    const flat = new Float32Array(this.size);
    let offset = 0;
    matchValues(this.#spec, theta, what).forEach(({ value }, i) => {
      const values = readLeaf(value, this.leaves[i], what);
      flat.set(values, offset);
      offset += values.length;
    });
    return flat;
  }

  /**
   * Thetas of all particles as float32 [particles, P], or [P] when no leaf differs between particles. A leaf
   * is either given once for all particles, or with a leading axis of `particles`; the two may be mixed.
   * Throws like `pack`.
   */
  packParticles(
    theta: InputsOf<S>,
    particles: number,
  ): { readonly perParticle: boolean; readonly values: Float32Array } {
    const columns = matchValues(this.#spec, theta, 'theta').map(({ path, value }, i) => {
      const leaf = this.leaves[i];
      const at = `theta at "${path}"`;
      const size = sizeOf(leaf.shape);
      if (typeof value === 'number')
        return { size, perParticle: false, values: readLeaf(value, leaf, 'theta') };
      const raw = readRaw(value, at);
      const wide = [particles, ...leaf.shape].join();
      const perParticle = raw.shape
        ? raw.shape.join() === wide && raw.shape.length > leaf.shape.length
        : raw.values.length === particles * size && particles > 1;
      if (!perParticle) {
        const fits = raw.shape ? raw.shape.join() === leaf.shape.join() : raw.values.length === size;
        if (!fits) {
          const got = raw.shape ? `[${raw.shape.join(', ')}]` : `${raw.values.length} values`;
          throw new ShapeError(
            `${at} must have shape [${leaf.shape.join(', ')}], or [${[particles, ...leaf.shape].join(', ')}] to differ between particles; got ${got}`,
          );
        }
      }
      return { size, perParticle, values: toFloat32(raw.values) };
    });
    if (!columns.some((column) => column.perParticle)) {
      const values = new Float32Array(this.size);
      let offset = 0;
      for (const column of columns) {
        values.set(column.values, offset);
        offset += column.size;
      }
      return { perParticle: false, values };
    }
    const values = new Float32Array(particles * this.size);
    let offset = 0;
    for (const column of columns) {
      const { size, values: own } = column;
      copyRows(values, offset, this.size, own, 0, column.perParticle ? size : 0, particles, size);
      offset += size;
    }
    return { perParticle: true, values };
  }

  /**
   * The structure of a flat vector: a number for a scalar leaf, else a Float64Array. Throws ShapeError unless
   * it has P elements.
   */
  unpack(flat: ArrayLike<number>): ValuesOf<S> {
    if (flat.length !== this.size) throw new ShapeError(`theta has ${this.size} values, got ${flat.length}`);
    let offset = 0;
    const values = this.leaves.map((leaf) => {
      const size = sizeOf(leaf.shape);
      const part = Float64Array.from({ length: size }, (_, i) => flat[offset + i]);
      offset += size;
      return leaf.shape.length === 0 ? part[0] : part;
    });
    return flatten(this.#spec, isLeafShape, 'theta').rebuild(values) as ValuesOf<S>;
  }
}

/**
 * Sigma as float32 [P]: one number for all, or a structure like theta. Throws OptionError when an element is
 * not positive and finite.
 */
export function packSigma<Theta>(layout: ThetaLayout<Theta>, sigma: number | InputsOf<Theta>): Float32Array {
  const flat =
    typeof sigma === 'number' ? new Float32Array(layout.size).fill(sigma) : layout.pack(sigma, 'sigma');
  const wrong = flat.findIndex((value) => !(value > 0) || !Number.isFinite(value));
  if (wrong >= 0)
    throw new OptionError(`sigma must be positive and finite, element ${wrong} is ${flat[wrong]}`);
  return flat;
}
