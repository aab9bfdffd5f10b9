/** What the rules of shapes and dtypes share: types of values, and checks that fail with the op, what it wanted and what came. */
import { ShapeError } from '../errors.js';
import { type DType, type Op, type Shape, sizeOf } from './graph.js';

/** Shape and dtype of a value. */
export interface ValueType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/**
 * What the op itself does not say: the shape of input, random, constant, iota, reshape, slice, broadcastTo, conv, convInputGrad, windowMax,
 * windowSum and windowSumGrad; the dtype of input, constant, iota (default int32) and cast. For any other op a hint is a claim
 * that is checked.
 */
export interface TypeHint {
  readonly shape?: Shape;
  readonly dtype?: DType;
}

export type Inputs = readonly ValueType[];
export type Rule = (op: Op, inputs: Inputs, hint: TypeHint | undefined) => ValueType;
export type OpOf<N extends Op['name']> = Extract<Op, { name: N }>;

export const NUMERIC: readonly DType[] = ['float32', 'int32'];
export const ANY: readonly DType[] = ['float32', 'int32', 'bool'];

/** `float32[2,3]`, the way types are written in messages and printed graphs. */
export function formatType(type: ValueType): string {
  return `${type.dtype}[${type.shape.join(',')}]`;
}

/** True when both shapes have the same axes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/**
 * The NumPy broadcast of any number of shapes: aligned at the last axis, an axis of 1 stretches (also to 0).
 * @throws ShapeError naming `op` when two axes differ and neither is 1
 */
export function broadcastShapes(shapes: readonly Shape[], op = 'broadcast'): Shape {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const result: number[] = new Array(rank).fill(1);
  for (const shape of shapes) {
    const offset = rank - shape.length;
    for (let i = 0; i < shape.length; i++) {
      const d = shape[i]!;
      const have = result[offset + i]!;
      if (d === have || d === 1) continue;
      if (have !== 1) {
        const list = shapes.map((s) => `[${s.join(',')}]`).join(', ');
        throw new ShapeError(
          `${op}: shapes ${list} do not broadcast: ${have} and ${d} differ and neither is 1`,
        );
      }
      result[offset + i] = d;
    }
  }
  return result;
}

/** @throws ShapeError always: `op` wanted one thing and got `inputs` */
export function fail(op: Op, wanted: string, inputs: Inputs, extra = ''): never {
  const got = inputs.length === 0 ? 'no inputs' : inputs.map(formatType).join(', ');
  throw new ShapeError(`${op.name}: wanted ${wanted}, got ${got}${extra}`);
}

/** @throws ShapeError unless there are `n` inputs */
export function arity(op: Op, inputs: Inputs, n: number): void {
  if (inputs.length !== n) fail(op, `${n} input${n === 1 ? '' : 's'}`, inputs);
}

/** The only input, of one of `dtypes`. @throws ShapeError */
export function one(op: Op, inputs: Inputs, dtypes: readonly DType[]): ValueType {
  arity(op, inputs, 1);
  const x = inputs[0]!;
  if (!dtypes.includes(x.dtype)) fail(op, dtypes.join(' or '), inputs);
  return x;
}

/** Shape and dtype that two inputs of one dtype broadcast to. @throws ShapeError */
export function pair(op: Op, inputs: Inputs, dtypes: readonly DType[]): { shape: Shape; dtype: DType } {
  arity(op, inputs, 2);
  const [a, b] = inputs as [ValueType, ValueType];
  if (!dtypes.includes(a.dtype)) fail(op, dtypes.join(' or '), inputs);
  if (a.dtype !== b.dtype) fail(op, 'two inputs of one dtype', inputs);
  return { shape: broadcastShapes([a.shape, b.shape], op.name), dtype: a.dtype };
}

/** @throws ShapeError unless `axis` is one of `rank` axes */
export function axisOf(op: Op, inputs: Inputs, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < 0 || axis >= rank) {
    fail(op, `an axis in [0, ${rank})`, inputs, ` with axis ${axis}`);
  }
  return axis;
}

/** A shape given from outside: whole numbers >= 0 that int32 can count. */
export function checkShape(shape: Shape, op: string): Shape {
  for (const d of shape) {
    if (!Number.isInteger(d) || d < 0) {
      throw new ShapeError(`${op}: wanted a shape of whole numbers >= 0, got [${shape.join(',')}]`);
    }
  }
  if (sizeOf(shape) > 0x7fffffff) {
    throw new ShapeError(`${op}: shape [${shape.join(',')}] has more than 2^31 - 1 elements`);
  }
  return shape.slice();
}

/** The shape that the hint must give. @throws ShapeError */
export function hintedShape(op: Op, inputs: Inputs, hint: TypeHint | undefined): Shape {
  if (!hint?.shape) fail(op, 'an output shape as hint', inputs);
  return checkShape(hint.shape, op.name);
}

/** The dtype that the hint must give. @throws ShapeError */
export function hintedDType(op: Op, inputs: Inputs, hint: TypeHint | undefined): DType {
  if (!hint?.dtype) fail(op, 'an output dtype as hint', inputs);
  if (!ANY.includes(hint.dtype)) fail(op, ANY.join(' or '), inputs, ` as output dtype ${hint.dtype}`);
  return hint.dtype;
}
