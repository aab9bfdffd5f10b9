/**
 * The arguments of a compiled function: its leaves in order, and a key that says what it has to be compiled for (structure, shapes, dtypes,
 * static values). The key is made at every call, so this file is about speed as much as about meaning.
 */
import * as tf from '@tensorflow/tfjs';
import type { LeafSpec } from '../device/driver.js';
import { OptionError, ShapeError } from '../errors.js';
import { type DType, type Shape, sizeOf, type TypedArray } from '../graph/graph.js';
import { describe } from '../random/philox.js';
import { type FlatTree, flatten, joinPath } from '../trace/structure.js';
import type { LeafShape, SpecTree } from './leaf.js';
import { isLeafShape, isLeafValue, matchValues, readRaw, specLeaves, toTyped } from './values.js';

/** What a leaf may be: see `CompiledFunction`. */
export type ArgumentLeaf = number | boolean | ArrayLike<unknown> | tf.Tensor;

/** An empty array is a structure without leaves (a list of no layers), not a tensor of no elements. */
export function isArgumentLeaf(value: unknown): value is ArgumentLeaf {
  return isLeafValue(value) && !(Array.isArray(value) && value.length === 0);
}

export interface ArgumentOptions {
  /** What the function is called in messages. */
  readonly name: string;
  /** Arguments that are taken as they are, by index. */
  readonly staticArgs: ReadonlySet<number>;
  /** Shapes of arguments, by index: typed and nested arrays are read as these. */
  readonly shapes: readonly (SpecTree | undefined)[];
}

/** Arguments as read at a call. */
export interface ReadArguments {
  readonly key: string;
  readonly leaves: readonly ArgumentLeaf[];
  readonly tensors: boolean;
  readonly arrays: boolean;
}

/** Nesting of objects and arrays at the most: what is deeper contains itself, as a rule. */
const MOST_NESTED = 256;

const DTYPE_KEY: Readonly<Record<string, string>> = { float32: 'f', int32: 'i', bool: 'b' };

class Reader {
  readonly leaves: ArgumentLeaf[] = [];
  key = '';
  tensors = false;
  arrays = false;
  #depth = 0;

  /** false where something is no legal argument: the caller then finds out what. */
  read(value: unknown): boolean {
    if (typeof value === 'number') return this.#leaf(value, 'f;');
    if (value instanceof tf.Tensor) {
      const dtype = DTYPE_KEY[value.dtype];
      if (!dtype || value.isDisposed) return false;
      this.tensors = true;
      return this.#leaf(value, `${dtype}${value.shape};`);
    }
    if (typeof value === 'boolean') return this.#leaf(value, 'b;');
    if (typeof value !== 'object' || value === null) return false;
    if (ArrayBuffer.isView(value)) return this.#array(value);
    if (this.#depth === MOST_NESTED) return false;
    if (Array.isArray(value)) return this.#list(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return false;
    this.key += '{';
    this.#depth++;
    for (const name in value) {
      // The length keeps names apart from what follows them.
      this.key += `${name.length}:${name}`;
      if (!this.read((value as Record<string, unknown>)[name])) return false;
    }
    this.#depth--;
    this.key += '}';
    return true;
  }

  /** A leaf whose shape is declared: a number fills it, a flat array needs the right length. */
  readDeclared(value: unknown, { dims, dtype }: LeafShape, at: string): void {
    if (value instanceof tf.Tensor) this.tensors = true;
    else if (ArrayBuffer.isView(value)) this.arrays = true;
    if (typeof value !== 'number' && typeof value !== 'boolean') {
      const size = sizeOf(dims as Shape);
      const { shape, values } = readRaw(value, at);
      if (shape ? `${shape}` !== `${dims}` : values.length !== size) {
        const got = shape ? `[${shape.join(', ')}]` : `${values.length} values`;
        throw new ShapeError(`${at} must have shape [${dims.join(', ')}] (${size} values), got ${got}`);
      }
    }
    this.#leaf(value as ArgumentLeaf, `${DTYPE_KEY[dtype]}${dims};`);
  }

  #leaf(value: ArgumentLeaf, key: string): true {
    this.leaves.push(value);
    this.key += key;
    return true;
  }

  #array(value: ArrayBufferView): boolean {
    this.arrays = true;
    const array = value as unknown as ArrayLike<number>;
    if (value instanceof Float32Array || value instanceof Float64Array)
      return this.#leaf(array, `f${array.length};`);
    if (value instanceof Int32Array) return this.#leaf(array, `i${array.length};`);
    return value instanceof Uint8Array && this.#leaf(array, `b${array.length};`);
  }

  #list(value: unknown[]): boolean {
    if (value.length > 0 && isLeafValue(value)) {
      const { shape = [value.length], dtype } = readRaw(value, 'an argument');
      return this.#leaf(value, `${DTYPE_KEY[dtype]}${shape};`);
    }
    this.key += '[';
    this.#depth++;
    for (let i = 0; i < value.length; i++) if (!this.read(value[i])) return false;
    this.#depth--;
    this.key += ']';
    return true;
  }
}

function staticKey(value: unknown, index: number, name: string): string {
  if (value !== null && !['string', 'number', 'boolean', 'undefined'].includes(typeof value)) {
    throw new OptionError(
      `argument ${index} of ${name} is static and must be a string, number, boolean, null or undefined, got ${describe(value)}`,
    );
  }
  const text = Object.is(value, -0) ? '-0' : String(value);
  return `${typeof value} ${text.length}:${text}`;
}

/** Throws what is wrong with an argument that a Reader has refused. */
function refuse(value: unknown, index: number, name: string): never {
  const what = `argument ${index} of ${name}`;
  if (value === null || typeof value !== 'object') {
    throw new OptionError(
      `${what} must be a tensor, a number, an array or a structure of these, got ${describe(value)}; a plain value that changes what is computed goes into staticArgs`,
    );
  }
  const { leaves, paths } = flatten(value, isArgumentLeaf, what);
  leaves.forEach((leaf, i) => {
    readRaw(leaf, paths[i] ? `${what} at "${paths[i]}"` : what);
  });
  const deep = paths.some((path) => path.split('.').length > MOST_NESTED);
  throw new OptionError(
    deep ? `${what} is nested more than ${MOST_NESTED} deep` : `${what} cannot be used: ${describe(value)}`,
  );
}

/**
 * Reads the arguments of one call. Throws OptionError or ShapeError naming argument and path where a leaf is none. Cost: about 0.3 µs a
 * leaf.
 */
export function readArguments(args: readonly unknown[], options: ArgumentOptions): ReadArguments {
  const { name, staticArgs, shapes } = options;
  const reader = new Reader();
  for (let i = 0; i < args.length; i++) {
    const spec = shapes[i];
    if (staticArgs.has(i)) reader.key += staticKey(args[i], i, name);
    else if (spec !== undefined) {
      const declared = flatten(spec, isLeafShape, `the shapes of ${name}`).leaves;
      const what = `argument ${i} of ${name}`;
      matchValues(spec, args[i], what).forEach(({ path, value }, k) => {
        reader.readDeclared(value, declared[k], path === '' ? what : `${what} at "${path}"`);
      });
    } else if (!reader.read(args[i])) refuse(args[i], i, name);
    reader.key += '|';
  }
  return reader;
}

/** The leaves of arguments with their types, and the way back from leaves to arguments. */
export interface ArgumentLayout {
  readonly leaves: readonly LeafSpec[];
  /** Of which argument each leaf is part. */
  readonly argument: readonly number[];
  /** Arguments with these in place of the leaves; static ones as they came. */
  rebuild(leaves: readonly tf.Tensor[]): unknown[];
}

function typeOf(value: ArgumentLeaf, at: string): { readonly shape: Shape; readonly dtype: DType } {
  if (value instanceof tf.Tensor) return { shape: value.shape.slice(), dtype: value.dtype as DType };
  const raw = readRaw(value, at);
  return { shape: raw.shape ?? [raw.values.length], dtype: raw.dtype };
}

/** Only for arguments that `readArguments` has taken. */
export function layoutOf(args: readonly unknown[], options: ArgumentOptions): ArgumentLayout {
  const leaves: LeafSpec[] = [];
  const argument: number[] = [];
  const trees: (FlatTree<unknown> | undefined)[] = args.map((arg, i) => {
    if (options.staticArgs.has(i)) return undefined;
    const spec = options.shapes[i];
    const what = `argument ${i} of ${options.name}`;
    const tree: FlatTree<unknown> = spec
      ? flatten(spec, isLeafShape, what)
      : flatten(arg, isArgumentLeaf, what);
    const types = spec
      ? specLeaves(spec, what)
      : tree.leaves.map((leaf) => typeOf(leaf as ArgumentLeaf, what));
    tree.paths.forEach((path, k) => {
      const { shape, dtype } = types[k];
      leaves.push({ path: path === '' ? String(i) : joinPath(String(i), path), shape, dtype });
      argument.push(i);
    });
    return tree;
  });
  return {
    leaves,
    argument,
    rebuild: (tensors) => {
      let at = 0;
      return trees.map((tree, i) => {
        if (!tree) return args[i];
        at += tree.leaves.length;
        return tree.rebuild(tensors.slice(at - tree.leaves.length, at));
      });
    },
  };
}

/** How a leaf is called in messages: its path begins with the number of its argument. */
export function leafName(path: string, name: string): string {
  const [index, ...rest] = path.split('.');
  return rest.length === 0
    ? `argument ${index} of ${name}`
    : `argument ${index} of ${name} at "${rest.join('.')}"`;
}

function isBits(values: Uint8Array): boolean {
  for (let i = 0; i < values.length; i++) if (values[i] > 1) return false;
  return true;
}

/** The values of a leaf in the array type of its dtype: the very array that was given, or lies behind the tensor, wherever it is of that type. */
export function valuesOf(value: ArgumentLeaf, { shape, dtype, path }: LeafSpec, name: string): TypedArray {
  if (typeof value === 'number' || typeof value === 'boolean') {
    if (shape.length === 0 && dtype === 'float32') return Float32Array.of(Number(value));
    return toTyped(new Array(sizeOf(shape)).fill(value), dtype, leafName(path, name));
  }
  const given: unknown = value instanceof tf.Tensor ? value.dataSync() : value;
  if (dtype === 'float32' && given instanceof Float32Array) return given;
  if (dtype === 'int32' && given instanceof Int32Array) return given;
  if (dtype === 'bool' && given instanceof Uint8Array && isBits(given)) return given;
  const at = leafName(path, name);
  return toTyped(readRaw(given, at).values, dtype, at);
}

/** A leaf as a tensor of the active backend. Throws OptionError, ShapeError naming `what`. */
export function asTensor(value: unknown, what: string): tf.Tensor {
  if (value instanceof tf.Tensor) return value;
  const { values, shape, dtype } = readRaw(value, what);
  return tf.tensor(toTyped(values, dtype, what), (shape ?? [values.length]).slice(), dtype);
}

/** Arguments as the compiled function would see them: tensors for numbers and arrays. */
export function tensorsIn(args: readonly unknown[], options: ArgumentOptions): unknown[] {
  const { leaves } = readArguments(args, options);
  const layout = layoutOf(args, options);
  const tensors = leaves.map((leaf, i) => {
    if (leaf instanceof tf.Tensor) return leaf;
    const { shape, dtype } = layout.leaves[i];
    return tf.tensor(valuesOf(leaf, layout.leaves[i], options.name), shape.slice(), dtype);
  });
  return layout.rebuild(tensors);
}
