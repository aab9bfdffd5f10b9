/**
 * Shape and dtype rules of the graph: what each op makes of its inputs, and the errors when they do not fit.
 *
 * Every pass and every front end builds nodes through these rules (by way of `GraphBuilder`), so a graph that exists is well
 * typed and devices need not check it again.
 */
import { ShapeError } from '../errors.js';
import {
  ARG_REDUCE_OPS,
  type ArgReduceOp,
  BINARY_OPS,
  BITWISE_OPS,
  COMPARE_OPS,
  type DType,
  FLOAT_UNARY_OPS,
  LOGICAL_OPS,
  NUMERIC_UNARY_OPS,
  type Op,
  REDUCE_OPS,
  type Shape,
  sizeOf,
  TEST_UNARY_OPS,
} from './graph.js';

/** Shape and dtype of a value. */
export interface ValueType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** What the op itself does not say: the shape of input, random, constant, iota, reshape, slice, broadcastTo; the dtype of
 * input, constant, iota (default int32) and cast. For any other op a hint is a claim that is checked. */
export interface TypeHint {
  readonly shape?: Shape;
  readonly dtype?: DType;
}

type Inputs = readonly ValueType[];

const NUMERIC: readonly DType[] = ['float32', 'int32'];
const ANY: readonly DType[] = ['float32', 'int32', 'bool'];

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

function fail(op: Op, wanted: string, inputs: Inputs, extra = ''): never {
  const got = inputs.length === 0 ? 'no inputs' : inputs.map(formatType).join(', ');
  throw new ShapeError(`${op.name}: wanted ${wanted}, got ${got}${extra}`);
}

function arity(op: Op, inputs: Inputs, n: number): void {
  if (inputs.length !== n) fail(op, `${n} input${n === 1 ? '' : 's'}`, inputs);
}

function one(op: Op, inputs: Inputs, dtypes: readonly DType[]): ValueType {
  arity(op, inputs, 1);
  const x = inputs[0]!;
  if (!dtypes.includes(x.dtype)) fail(op, dtypes.join(' or '), inputs);
  return x;
}

function pair(op: Op, inputs: Inputs, dtypes: readonly DType[]): { shape: Shape; dtype: DType } {
  arity(op, inputs, 2);
  const [a, b] = inputs as [ValueType, ValueType];
  if (!dtypes.includes(a.dtype)) fail(op, dtypes.join(' or '), inputs);
  if (a.dtype !== b.dtype) fail(op, 'two inputs of one dtype', inputs);
  return { shape: broadcastShapes([a.shape, b.shape], op.name), dtype: a.dtype };
}

function axisOf(op: Op, inputs: Inputs, axis: number, rank: number): number {
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

function hintedShape(op: Op, inputs: Inputs, hint: TypeHint | undefined): Shape {
  if (!hint?.shape) fail(op, 'an output shape as hint', inputs);
  return checkShape(hint.shape, op.name);
}

function hintedDType(op: Op, inputs: Inputs, hint: TypeHint | undefined): DType {
  if (!hint?.dtype) fail(op, 'an output dtype as hint', inputs);
  if (!ANY.includes(hint.dtype)) fail(op, ANY.join(' or '), inputs, ` as output dtype ${hint.dtype}`);
  return hint.dtype;
}

type Rule = (op: Op, inputs: Inputs, hint: TypeHint | undefined) => ValueType;
type OpOf<N extends Op['name']> = Extract<Op, { name: N }>;

const unary =
  (dtypes: readonly DType[], result?: DType): Rule =>
  (op, inputs) => {
    const x = one(op, inputs, dtypes);
    return { shape: x.shape, dtype: result ?? x.dtype };
  };
const binary =
  (dtypes: readonly DType[], result?: DType): Rule =>
  (op, inputs) => {
    const { shape, dtype } = pair(op, inputs, dtypes);
    return { shape, dtype: result ?? dtype };
  };

const FLOAT_ONLY_BINARY: readonly string[] = ['div', 'atan2'];

function inferMatMul(op: Op, inputs: Inputs): ValueType {
  const { transposeA, transposeB } = op as OpOf<'matMul'>;
  arity(op, inputs, 2);
  if (inputs.some((x) => x.dtype !== 'float32')) fail(op, 'two float32 inputs', inputs);
  const [a, b] = inputs as [ValueType, ValueType];
  if (a.shape.length < 2 || b.shape.length < 2) fail(op, 'two inputs of rank 2 or more', inputs);
  const [a0, a1] = a.shape.slice(-2) as [number, number];
  const [b0, b1] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [a1, a0] : [a0, a1];
  const [k2, n] = transposeB ? [b1, b0] : [b0, b1];
  if (k !== k2) {
    fail(
      op,
      'equal inner dimensions',
      inputs,
      ` with transposeA ${transposeA}, transposeB ${transposeB} (${k}, ${k2})`,
    );
  }
  return {
    shape: [...broadcastShapes([a.shape.slice(0, -2), b.shape.slice(0, -2)], 'matMul batch'), m, n],
    dtype: 'float32',
  };
}

function inferReduce(op: Op, inputs: Inputs): ValueType {
  const { axes, keepDims, name } = op as Extract<Op, { readonly keepDims: boolean }>;
  const logical = name === 'all' || name === 'any';
  const x = one(op, inputs, logical ? ['bool'] : NUMERIC);
  axes.forEach((axis, i) => {
    axisOf(op, inputs, axis, x.shape.length);
    if (i > 0 && axis <= axes[i - 1]!)
      fail(op, 'ascending axes without repeats', inputs, ` with axes [${axes.join(',')}]`);
  });
  const shape = keepDims
    ? x.shape.map((d, i) => (axes.includes(i) ? 1 : d))
    : x.shape.filter((_, i) => !axes.includes(i));
  return { shape, dtype: x.dtype };
}

function inferTranspose(op: Op, inputs: Inputs): ValueType {
  const { perm } = op as OpOf<'transpose'>;
  const x = one(op, inputs, ANY);
  const rank = x.shape.length;
  if (
    perm.length !== rank ||
    perm
      .slice()
      .sort((a, b) => a - b)
      .some((p, i) => p !== i)
  ) {
    fail(op, `a permutation of ${rank} axes`, inputs, ` with perm [${perm.join(',')}]`);
  }
  return { shape: perm.map((p) => x.shape[p]!), dtype: x.dtype };
}

function inferSlice(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  const { begin, strides } = op as OpOf<'slice'>;
  const x = one(op, inputs, ANY);
  const shape = hintedShape(op, inputs, hint);
  const rank = x.shape.length;
  const detail = ` with begin [${begin.join(',')}], strides [${strides.join(',')}], size [${shape.join(',')}]`;
  if (begin.length !== rank || strides.length !== rank || shape.length !== rank) {
    fail(op, `begin, strides and size of rank ${rank}`, inputs, detail);
  }
  for (let i = 0; i < rank; i++) {
    if (!Number.isInteger(begin[i]) || !Number.isInteger(strides[i]) || strides[i] === 0) {
      fail(op, 'whole begins and whole strides other than 0', inputs, detail);
    }
    if (shape[i] === 0) continue;
    const last = begin[i]! + (shape[i]! - 1) * strides[i]!;
    for (const at of [begin[i]!, last]) {
      if (at < 0 || at >= x.shape[i]!)
        fail(op, `a range inside axis ${i} of size ${x.shape[i]}`, inputs, detail);
    }
  }
  return { shape, dtype: x.dtype };
}

function inferConcat(op: Op, inputs: Inputs): ValueType {
  const { axis } = op as OpOf<'concat'>;
  const first = inputs[0];
  if (!first) fail(op, 'at least one input', inputs);
  axisOf(op, inputs, axis, first.shape.length);
  let total = 0;
  for (const x of inputs) {
    const fits =
      x.shape.length === first.shape.length && x.shape.every((d, i) => i === axis || d === first.shape[i]);
    if (!fits) fail(op, `inputs that differ in axis ${axis} only`, inputs);
    if (x.dtype !== first.dtype) fail(op, 'inputs of one dtype', inputs);
    total += x.shape[axis]!;
  }
  return { shape: first.shape.map((d, i) => (i === axis ? total : d)), dtype: first.dtype };
}

function inferPad(op: Op, inputs: Inputs): ValueType {
  const { paddings } = op as OpOf<'pad'>;
  const x = one(op, inputs, ANY);
  const valid =
    paddings.length === x.shape.length &&
    paddings.every((p) => p.length === 2 && p.every((n) => Number.isInteger(n) && n >= 0));
  if (!valid) {
    fail(op, `one [before, after] >= 0 per axis`, inputs, ` with paddings ${JSON.stringify(paddings)}`);
  }
  return { shape: x.shape.map((d, i) => d + paddings[i]![0] + paddings[i]![1]), dtype: x.dtype };
}

function inferGather(op: Op, inputs: Inputs): ValueType {
  const { axis, batchDims } = op as OpOf<'gather'>;
  arity(op, inputs, 2);
  const [x, indices] = inputs as [ValueType, ValueType];
  if (indices.dtype !== 'int32') fail(op, 'int32 indices', inputs);
  axisOf(op, inputs, axis, x.shape.length);
  const valid =
    Number.isInteger(batchDims) &&
    batchDims >= 0 &&
    batchDims <= axis &&
    batchDims <= indices.shape.length &&
    sameShape(x.shape.slice(0, batchDims), indices.shape.slice(0, batchDims));
  if (!valid) {
    fail(
      op,
      'batchDims leading axes shared by x and indices, batchDims <= axis',
      inputs,
      ` with axis ${axis}, batchDims ${batchDims}`,
    );
  }
  const shape = [...x.shape.slice(0, axis), ...indices.shape.slice(batchDims), ...x.shape.slice(axis + 1)];
  return { shape, dtype: x.dtype };
}

function inferSegmentSum(op: Op, inputs: Inputs): ValueType {
  const { numSegments } = op as OpOf<'segmentSum'>;
  arity(op, inputs, 2);
  const [x, ids] = inputs as [ValueType, ValueType];
  if (!NUMERIC.includes(x.dtype)) fail(op, 'float32 or int32', inputs);
  if (ids.dtype !== 'int32') fail(op, 'int32 segment ids', inputs);
  if (x.shape.length < 1 || !sameShape(ids.shape, x.shape.slice(0, 1)))
    fail(op, 'x [n, ...] and ids [n]', inputs);
  checkShape([numSegments], 'segmentSum');
  return { shape: [numSegments, ...x.shape.slice(1)], dtype: x.dtype };
}

/** dtype of a typed array as a graph constant. */
function dtypeOfValues(values: unknown): DType | undefined {
  if (values instanceof Float32Array) return 'float32';
  if (values instanceof Int32Array) return 'int32';
  return values instanceof Uint8Array ? 'bool' : undefined;
}

function inferConstant(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  const { values } = op as OpOf<'constant'>;
  arity(op, inputs, 0);
  const shape = hintedShape(op, inputs, hint);
  const dtype = dtypeOfValues(values);
  if (!dtype) fail(op, 'values as Float32Array, Int32Array or Uint8Array', inputs);
  if (values.length !== sizeOf(shape)) {
    fail(
      op,
      `${sizeOf(shape)} values for shape [${shape.join(',')}]`,
      inputs,
      ` and ${values.length} values`,
    );
  }
  return { shape, dtype };
}

function inferRandom(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  const { kind } = op as OpOf<'random'>;
  arity(op, inputs, 0);
  const dtypes = { normal: 'float32', uniform: 'float32', integers: 'int32', bernoulli: 'bool' } as const;
  return { shape: hintedShape(op, inputs, hint), dtype: dtypes[kind.distribution] };
}

function inferIota(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  const { start, step } = op as OpOf<'iota'>;
  arity(op, inputs, 0);
  const shape = hintedShape(op, inputs, hint);
  const dtype = hint?.dtype ?? 'int32';
  if (shape.length !== 1) fail(op, 'a shape of one axis', inputs, ` with shape [${shape.join(',')}]`);
  if (dtype === 'bool') fail(op, 'float32 or int32 as output dtype', inputs, ' with bool');
  if (dtype === 'int32' && !(Number.isInteger(start) && Number.isInteger(step))) {
    fail(op, 'whole start and step for int32', inputs, ` with start ${start}, step ${step}`);
  }
  return { shape, dtype };
}

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...FLOAT_UNARY_OPS.map((name) => [name, unary(['float32'])] as const),
  ...NUMERIC_UNARY_OPS.map((name) => [name, unary(NUMERIC)] as const),
  ...TEST_UNARY_OPS.map((name) => [name, unary(['float32'], 'bool')] as const),
  ...BINARY_OPS.map(
    (name) => [name, binary(FLOAT_ONLY_BINARY.includes(name) ? ['float32'] : NUMERIC)] as const,
  ),
  ...COMPARE_OPS.map((name) => [name, binary(NUMERIC, 'bool')] as const),
  ...LOGICAL_OPS.map((name) => [name, binary(['bool'])] as const),
  ...BITWISE_OPS.map((name) => [name, binary(['int32'])] as const),
  ...REDUCE_OPS.map((name) => [name, inferReduce] as const),
  ...ARG_REDUCE_OPS.map((name): [string, Rule] => [
    name,
    (op, inputs) => {
      const x = one(op, inputs, NUMERIC);
      const axis = axisOf(
        op,
        inputs,
        (op as Extract<Op, { readonly name: ArgReduceOp }>).axis,
        x.shape.length,
      );
      return { shape: x.shape.filter((_, i) => i !== axis), dtype: 'int32' };
    },
  ]),
  ['logicalNot', unary(['bool'])],
  ['clip', unary(NUMERIC)],
  ['step', unary(['float32'])],
  [
    'input',
    (op, inputs, hint) => {
      arity(op, inputs, 0);
      return { shape: hintedShape(op, inputs, hint), dtype: hintedDType(op, inputs, hint) };
    },
  ],
  ['constant', inferConstant],
  ['random', inferRandom],
  ['iota', inferIota],
  [
    'cast',
    (op, inputs, hint) => ({ shape: one(op, inputs, ANY).shape, dtype: hintedDType(op, inputs, hint) }),
  ],
  [
    'select',
    (op, inputs) => {
      arity(op, inputs, 3);
      const [condition, a, b] = inputs as [ValueType, ValueType, ValueType];
      if (condition.dtype !== 'bool') fail(op, 'a bool condition', inputs);
      if (a.dtype !== b.dtype) fail(op, 'two branches of one dtype', inputs);
      return { shape: broadcastShapes([condition.shape, a.shape, b.shape], 'select'), dtype: a.dtype };
    },
  ],
  ['matMul', inferMatMul],
  [
    'reshape',
    (op, inputs, hint) => {
      const x = one(op, inputs, ANY);
      const shape = hintedShape(op, inputs, hint);
      if (sizeOf(shape) !== sizeOf(x.shape))
        fail(op, `${sizeOf(shape)} elements for [${shape.join(',')}]`, inputs);
      return { shape, dtype: x.dtype };
    },
  ],
  ['transpose', inferTranspose],
  ['slice', inferSlice],
  [
    'broadcastTo',
    (op, inputs, hint) => {
      const x = one(op, inputs, ANY);
      const shape = hintedShape(op, inputs, hint);
      const offset = shape.length - x.shape.length;
      if (offset < 0 || x.shape.some((d, i) => d !== 1 && d !== shape[offset + i])) {
        fail(op, `a shape that broadcasts to [${shape.join(',')}]`, inputs);
      }
      return { shape, dtype: x.dtype };
    },
  ],
  ['concat', inferConcat],
  ['pad', inferPad],
  ['gather', inferGather],
  ['segmentSum', inferSegmentSum],
  [
    'cumsum',
    (op, inputs) => {
      const x = one(op, inputs, NUMERIC);
      axisOf(op, inputs, (op as OpOf<'cumsum'>).axis, x.shape.length);
      return { shape: x.shape, dtype: x.dtype };
    },
  ],
]);

/**
 * Shape and dtype of the node that `op` makes of `inputs`.
 *
 * @param hint what the op leaves open (see `TypeHint`); checked against the rule's result everywhere else
 * @throws ShapeError naming the op, what it wanted and what came
 */
export function inferNode(op: Op, inputs: readonly ValueType[], hint?: TypeHint): ValueType {
  const rule = RULES.get(op.name);
  if (!rule) throw new ShapeError(`${op.name}: no such op`);
  const result = rule(op, inputs, hint);
  if (hint?.shape && !sameShape(hint.shape, result.shape)) {
    fail(
      op,
      `the shape [${hint.shape.join(',')}] that was claimed`,
      inputs,
      `, which give ${formatType(result)}`,
    );
  }
  if (hint?.dtype && hint.dtype !== result.dtype) {
    fail(op, `the dtype ${hint.dtype} that was claimed`, inputs, `, which give ${formatType(result)}`);
  }
  return { shape: result.shape.slice(), dtype: result.dtype };
}
