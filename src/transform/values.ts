/** Between a user's nested values (numbers, arrays, tensors) and the flat typed arrays that devices take. */
import * as tf from '@tensorflow/tfjs';
import type { LeafSpec } from '../device/driver.js';
import { OptionError, ShapeError } from '../errors.js';
import { type DType, type Shape, sizeOf, type TypedArray } from '../graph/graph.js';
import { describe } from '../random/philox.js';
import { flatten, joinPath } from '../trace/structure.js';
import { LeafShape, type SpecTree } from './leaf.js';

export function isLeafShape(value: unknown): value is LeafShape {
  return value instanceof LeafShape;
}

/** Typed arrays, tensors, numbers, booleans, and arrays (nested or not) of numbers and booleans. */
export function isLeafValue(value: unknown): value is number | boolean | ArrayLike<unknown> | tf.Tensor {
  if (typeof value === 'number' || typeof value === 'boolean') return true;
  if (value instanceof tf.Tensor || ArrayBuffer.isView(value)) return true;
  return (
    Array.isArray(value) &&
    value.every((item) => !ArrayBuffer.isView(item) && !(item instanceof tf.Tensor) && isLeafValue(item))
  );
}

/**
 * How the values given for a leaf look: shape when known (tensors, nested arrays), dtype when it says one.
 */
interface RawLeaf {
  readonly values: ArrayLike<number | boolean>;
  /** undefined for flat arrays, which carry no shape */
  readonly shape: Shape | undefined;
  readonly dtype: DType;
}

function nestedShape(value: unknown, at: string): number[] {
  const dims: number[] = [];
  for (let level = value; Array.isArray(level); level = level[0]) dims.push(level.length);
  const check = (item: unknown, depth: number): void => {
    if (item === undefined) throw new ShapeError(`${at} is an array with holes`);
    const wanted = dims[depth];
    if (Array.isArray(item) ? item.length !== wanted : wanted !== undefined) {
      throw new ShapeError(`${at} is a ragged array: wanted [${dims.join(', ')}] throughout`);
    }
    if (Array.isArray(item)) for (const inner of item) check(inner, depth + 1);
  };
  check(value, 0);
  return dims;
}

/**
 * Reads whatever a caller may give for a leaf. A tensor is read with `dataSync`. Throws
 * OptionError/ShapeError naming the path.
 */
export function readRaw(value: unknown, at: string): RawLeaf {
  if (typeof value === 'number') return { values: [value], shape: [], dtype: 'float32' };
  if (typeof value === 'boolean') return { values: [value], shape: [], dtype: 'bool' };
  if (value instanceof tf.Tensor) {
    if (value.isDisposed) throw new OptionError(`${at} is a tensor that has been disposed`);
    const dtype = value.dtype;
    if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool') {
      throw new ShapeError(`${at} is a ${dtype} tensor; wanted float32, int32 or bool`);
    }
    return { values: value.dataSync(), shape: value.shape, dtype };
  }
  if (value instanceof Float32Array || value instanceof Float64Array) {
    return { values: value, shape: undefined, dtype: 'float32' };
  }
  if (value instanceof Int32Array) return { values: value, shape: undefined, dtype: 'int32' };
  if (value instanceof Uint8Array) return { values: value, shape: undefined, dtype: 'bool' };
  if (Array.isArray(value) && isLeafValue(value)) {
    const shape = nestedShape(value, at);
    const values = value.flat(Number.POSITIVE_INFINITY) as (number | boolean)[];
    return {
      values,
      shape: shape.length > 1 ? shape : undefined,
      dtype: typeof values[0] === 'boolean' ? 'bool' : 'float32',
    };
  }
  throw new OptionError(
    `${at} must be a number, a Float32Array, Float64Array, Int32Array or Uint8Array, an array of numbers, or a tensor, got ${describe(value)}`,
  );
}

/** A copy as float32. Typed arrays are copied by the engine, about ten times as fast as element by element. */
export function toFloat32(values: ArrayLike<number | boolean>): Float32Array {
  return ArrayBuffer.isView(values)
    ? new Float32Array(values as Float32Array)
    : Float32Array.from(values as ArrayLike<number>, Number);
}

/** Copies values into the typed array of a dtype: float to int32 must be whole, bool is 0 or 1. */
export function toTyped(values: ArrayLike<number | boolean>, dtype: DType, at: string): TypedArray {
  const n = values.length;
  if (dtype === 'float32') return toFloat32(values);
  const result = dtype === 'int32' ? new Int32Array(n) : new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    const value = Number(values[i]);
    if (dtype === 'int32' ? value !== (value | 0) : value !== 0 && value !== 1) {
      throw new ShapeError(
        `${at} must hold ${dtype === 'int32' ? 'int32 values' : 'booleans'}, element ${i} is ${value}`,
      );
    }
    result[i] = value;
  }
  return result;
}

function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** The leaves of a specification. Throws OptionError when an axis is null. */
export function specLeaves(spec: SpecTree, what: string): LeafSpec[] {
  const { paths, leaves } = flatten(spec, isLeafShape, what);
  return leaves.map(({ dims, dtype }, i) => {
    if (dims.includes(null)) {
      throw new OptionError(`${what} at "${paths[i]}" must have fixed dimensions, got [${dims.join(', ')}]`);
    }
    return { path: paths[i], shape: dims as Shape, dtype };
  });
}

/**
 * Values given for one leaf, checked against it. A number fills the leaf. Throws ShapeError naming the path,
 * wanted and got.
 */
export function readLeaf(value: unknown, leaf: LeafSpec, what: string): TypedArray {
  const at = leaf.path === '' ? what : `${what} at "${leaf.path}"`;
  const size = sizeOf(leaf.shape);
  if (typeof value === 'number' || typeof value === 'boolean') {
    return toTyped(new Array(size).fill(value), leaf.dtype, at);
  }
  const raw = readRaw(value, at);
  const fits = raw.shape ? formatShape(raw.shape) === formatShape(leaf.shape) : raw.values.length === size;
  if (!fits) {
    const got = raw.shape ? formatShape(raw.shape) : `${raw.values.length} values`;
    throw new ShapeError(`${at} must have shape ${formatShape(leaf.shape)} (${size} values), got ${got}`);
  }
  return toTyped(raw.values, leaf.dtype, at);
}

/** What was given for the leaf at a path. */
export interface PathValue {
  readonly path: string;
  readonly value: unknown;
}

/**
 * Pairs the leaves of a specification with the values at the same paths. Throws OptionError naming a missing
 * or an unknown path.
 */
export function matchValues(spec: SpecTree, tree: unknown, what: string): PathValue[] {
  const walk = (node: SpecTree, value: unknown, path: string): PathValue[] => {
    if (isLeafShape(node)) return [{ path, value }];
    const at = path === '' ? what : `${what} at "${path}"`;
    const keys = Object.keys(node);
    if (typeof value !== 'object' || value === null || Array.isArray(value) !== Array.isArray(node)) {
      const wanted = Array.isArray(node)
        ? `an array of ${keys.length}`
        : `an object with ${keys.join(', ') || 'no keys'}`;
      throw new OptionError(`${at} must be ${wanted}, got ${describe(value)}`);
    }
    const unknown = Object.keys(value).find((key) => !keys.includes(key));
    if (unknown !== undefined)
      throw new OptionError(`${at} has no "${unknown}"; it has ${keys.join(', ') || 'no keys'}`);
    return keys.flatMap((key) => {
      if (!(key in value)) throw new OptionError(`${at} lacks "${key}"`);
      return walk(
        (node as Record<string, SpecTree>)[key],
        (value as Record<string, unknown>)[key],
        joinPath(path, key),
      );
    });
  };
  return walk(spec, tree, '');
}
