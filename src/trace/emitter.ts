/**
 * What kernel lowerings write with: a graph builder that skips what would change nothing (a reshape to the same shape, a cast
 * to the same dtype), writes splat constants as a broadcast scalar, and settles dtypes the way tfjs does.
 */
import { ShapeError } from '../errors.js';
import { GraphBuilder, typedValues } from '../graph/builder.js';
import type {
  BinaryOp,
  CompareOp,
  DType,
  LogicalOp,
  Op,
  ReduceOp,
  Shape,
  TypedArray,
  UnaryOp,
} from '../graph/graph.js';
import { sizeOf } from '../graph/graph.js';
import { sameShape } from '../graph/infer.js';

const RANKING: readonly DType[] = ['bool', 'int32', 'float32'];

/** The wider of two dtypes: bool < int32 < float32. */
export function widerDType(a: DType, b: DType): DType {
  return RANKING.indexOf(a) >= RANKING.indexOf(b) ? a : b;
}

/** Negative axes count from the end; undefined or null means all. Ascending, without repeats. Throws ShapeError for an axis that is not there. */
export function normalAxes(axis: number | readonly number[] | null | undefined, rank: number): number[] {
  if (axis === undefined || axis === null) return Array.from({ length: rank }, (_, i) => i);
  const list = typeof axis === 'number' ? [axis] : axis;
  const missing = list.find((a) => !(Number.isInteger(a) && a >= -rank && a < rank));
  if (missing !== undefined)
    throw new ShapeError(`axis ${missing} must be an integer in [${-rank}, ${rank})`);
  return [...new Set(list.map((a) => (a < 0 ? a + rank : a)))].sort((a, b) => a - b);
}

export class Emitter {
  readonly builder = new GraphBuilder();
  readonly #scalars = new Map<string, number>();

  shape(x: number): Shape {
    return this.builder.node(x).shape;
  }

  rank(x: number): number {
    return this.shape(x).length;
  }

  dtype(x: number): DType {
    return this.builder.node(x).dtype;
  }

  /** A scalar constant; equal scalars of one dtype are one node. */
  scalar(value: number, dtype: DType): number {
    const rounded = typedValues([value], dtype)[0]!;
    const key = `${dtype} ${Object.is(rounded, -0) ? '-0' : rounded}`;
    const known = this.#scalars.get(key);
    if (known !== undefined) return known;
    const id = this.builder.constant([rounded], [], dtype);
    this.#scalars.set(key, id);
    return id;
  }

  /** A tensor whose elements are all `value`. */
  splat(value: number, shape: Shape, dtype: DType): number {
    return this.broadcastTo(this.scalar(value, dtype), shape);
  }

  /** A constant; one whose elements are all the same bits becomes a splat, which costs no memory. */
  constant(values: ArrayLike<number>, shape: Shape, dtype: DType): number {
    const typed: TypedArray = typedValues(values, dtype);
    const first = typed[0];
    if (first !== undefined && typed.every((v) => Object.is(v, first)))
      return this.splat(first, shape, dtype);
    return this.builder.constant(typed, shape, dtype);
  }

  /** int32 0..n-1 */
  iota(n: number): number {
    return this.builder.add({ name: 'iota', start: 0, step: 1 }, [], { shape: [n], dtype: 'int32' });
  }

  add(op: Op, inputs: readonly number[], shape?: Shape): number {
    return this.builder.add(op, inputs, shape && { shape });
  }

  unary(name: UnaryOp, x: number): number {
    return this.builder.add({ name }, [x]);
  }

  /** Inputs as they are: the dtypes must fit already. */
  binary(name: BinaryOp | CompareOp | LogicalOp, a: number, b: number): number {
    return this.builder.add({ name }, [a, b]);
  }

  cast(x: number, dtype: DType): number {
    return this.dtype(x) === dtype ? x : this.builder.add({ name: 'cast' }, [x], { dtype });
  }

  /** bool becomes int32; the rest stays. */
  numeric(x: number): number {
    return this.dtype(x) === 'bool' ? this.cast(x, 'int32') : x;
  }

  /** All inputs in the widest of their dtypes. */
  widen(inputs: readonly number[]): number[] {
    const dtype = inputs.map((x) => this.dtype(x)).reduce(widerDType);
    return inputs.map((x) => this.cast(x, dtype));
  }

  select(condition: number, a: number, b: number): number {
    const [x, y] = this.widen([a, b]) as [number, number];
    return this.builder.add({ name: 'select' }, [this.cast(condition, 'bool'), x, y]);
  }

  /** A reshape of a reshape is one of the first, or nothing. */
  reshape(x: number, shape: Shape): number {
    const { op, inputs } = this.builder.node(x);
    const source = op.name === 'reshape' ? inputs[0] : x;
    return sameShape(this.shape(source), shape)
      ? source
      : this.builder.add({ name: 'reshape' }, [source], { shape });
  }

  broadcastTo(x: number, shape: Shape): number {
    return sameShape(this.shape(x), shape) ? x : this.builder.add({ name: 'broadcastTo' }, [x], { shape });
  }

  transpose(x: number, perm: readonly number[]): number {
    return perm.every((p, i) => p === i) ? x : this.builder.add({ name: 'transpose', perm }, [x]);
  }

  slice(x: number, begin: readonly number[], size: Shape, strides?: readonly number[]): number {
    const whole = sameShape(size, this.shape(x)) && begin.every((b) => b === 0) && !strides;
    if (whole) return x;
    const steps = strides ?? begin.map(() => 1);
    // Where nothing is taken, the begin (which may lie one past the end) says nothing.
    const from = sizeOf(size) === 0 ? begin.map(() => 0) : begin;
    return this.builder.add({ name: 'slice', begin: from, strides: steps }, [x], { shape: size });
  }

  concat(inputs: readonly number[], axis: number): number {
    return inputs.length === 1 ? inputs[0]! : this.builder.add({ name: 'concat', axis }, inputs);
  }

  pad(x: number, paddings: readonly (readonly [number, number])[], value: number): number {
    if (paddings.every(([before, after]) => before === 0 && after === 0)) return x;
    return this.builder.add({ name: 'pad', paddings, value }, [x]);
  }

  reduce(name: ReduceOp, x: number, axes: readonly number[], keepDims: boolean): number {
    return axes.length === 0 ? x : this.builder.add({ name, axes, keepDims }, [x]);
  }

  /** A float32 function applied to any dtype: computed in float32, then back in the dtype that came, as tfjs stores it. */
  viaFloat(x: number, f: (x: number) => number): number {
    const dtype = this.dtype(x);
    return this.cast(f(this.cast(x, 'float32')), dtype);
  }
}
