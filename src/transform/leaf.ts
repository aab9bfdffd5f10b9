/**
 * Leaf specifications: the shape and dtype of one tensor of a nested structure, and the types that follow
 * from them. A structure is any nesting of plain objects and arrays with leaves at its ends.
 */
import type * as tf from '@tensorflow/tfjs';
import { OptionError } from '../errors.js';
import type { DType, TypedArray } from '../graph/graph.js';
import { describe } from '../random/philox.js';

/** One axis of a leaf. `null` only in data: any length, fixed when the program is compiled. */
export type Dimension = number | null;

/** Shape and dtype of one tensor, without the particle axis. Made by `shape`, `int32` or `bool`. */
export class LeafShape<D extends readonly Dimension[] = readonly Dimension[], T extends DType = DType> {
  readonly dims: D;
  readonly dtype: T;
  constructor(dims: D, dtype: T) {
    for (const dim of dims) {
      if (dim !== null && (!Number.isInteger(dim) || dim < 0)) {
        throw new OptionError(
          `a shape is made of integers >= 0 (or null for any length of a data axis), got ${describe(dim)} in [${dims.join(', ')}]`,
        );
      }
    }
    this.dims = dims;
    this.dtype = dtype;
  }
}

/**
 * A float32 leaf: `shape()` is a scalar, `shape(64, 10)` a matrix. Throws OptionError on a dimension that is
 * no integer >= 0.
 */
export function shape<const D extends readonly Dimension[]>(...dims: D): LeafShape<D, 'float32'> {
  return new LeafShape(dims, 'float32');
}

/** An int32 leaf (data only). Throws like `shape`. */
export function int32<const D extends readonly Dimension[]>(...dims: D): LeafShape<D, 'int32'> {
  return new LeafShape(dims, 'int32');
}

/** A bool leaf (data only). Throws like `shape`. */
export function bool<const D extends readonly Dimension[]>(...dims: D): LeafShape<D, 'bool'> {
  return new LeafShape(dims, 'bool');
}

/** A structure of leaf specifications. */
export type SpecTree = LeafShape | readonly SpecTree[] | { readonly [name: string]: SpecTree };

/** A structure of tensors. */
export type TensorTree = tf.Tensor | readonly TensorTree[] | { readonly [name: string]: TensorTree };

/**
 * What a caller may give for a leaf: a number for every element, a flat or nested array (row-major), or a
 * tensor.
 */
export type LeafValue = number | boolean | TypedArray | Float64Array | tf.Tensor | NestedNumbers;
export type NestedNumbers = readonly (number | boolean | NestedNumbers)[];

/** Any structure of leaf values. */
export type ValueTree = LeafValue | readonly ValueTree[] | { readonly [name: string]: ValueTree };

type TensorOf<D extends readonly Dimension[]> = D extends readonly []
  ? tf.Scalar
  : D extends readonly [Dimension]
    ? tf.Tensor1D
    : D extends readonly [Dimension, Dimension]
      ? tf.Tensor2D
      : D extends readonly [Dimension, Dimension, Dimension]
        ? tf.Tensor3D
        : tf.Tensor;

/** The tensors that stand for a structure inside `init` and `step`. */
export type TensorsOf<S> =
  S extends LeafShape<infer D> ? TensorOf<D> : { readonly [K in keyof S]: TensorsOf<S[K]> };

/** What a caller may give for a structure. */
export type InputsOf<S> = S extends LeafShape ? LeafValue : { readonly [K in keyof S]: InputsOf<S[K]> };

/** What comes back for a structure of float32 leaves: a number for a scalar, else a flat Float64Array. */
export type ValuesOf<S> =
  S extends LeafShape<infer D>
    ? D extends readonly []
      ? number
      : Float64Array
    : { readonly [K in keyof S]: ValuesOf<S[K]> };

/**
 * A structure of tensors with the rank of each tensor forgotten: a step may give a state leaf with a looser
 * static type. A part that is only known to be some structure (an optimizer's state) stays one.
 */
export type Loose<S> = [TensorTree] extends [S]
  ? TensorTree
  : S extends tf.Tensor
    ? tf.Tensor
    : { readonly [K in keyof S]: Loose<S[K]> };

/** A structure of typed arrays. */
export type ArrayTree = TypedArray | readonly ArrayTree[] | { readonly [name: string]: ArrayTree };

/** Typed arrays in place of tensors: what an exported state holds. */
export type ArraysOf<S> = [TensorTree] extends [S]
  ? ArrayTree
  : S extends tf.Tensor
    ? TypedArray
    : { readonly [K in keyof S]: ArraysOf<S[K]> };
