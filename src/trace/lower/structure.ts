/** Kernels that move, select, repeat or make values: shapes, slices, gathers, fills, casts. */
import * as tf from '@tensorflow/tfjs';
import { ShapeError, UnsupportedOpError } from '../../errors.js';
import type { Shape } from '../../graph/graph.js';
import { sizeOf } from '../../graph/graph.js';
import { type Emitter, normalAxes } from '../emitter.js';
import { graphDType, type KernelAttributes, type Lowering, type LoweringTable } from './lowering.js';

/** The dtype of an output, refused when the graph has no such thing. */
function outputDType(op: string, dtype: string) {
  const known = graphDType(dtype);
  if (!known) {
    throw new UnsupportedOpError(
      op,
      `${op}: dtype '${dtype}' is not traceable; use float32, int32 or bool (a complex value as two float32 tensors)`,
    );
  }
  return known;
}

/**
 * Repeats `x` `reps[i]` times along each axis. Axes of size 1 stretch in one broadcast; another axis is split off into its
 * own broadcast of rank 3, so that ranks stay small however many axes are repeated.
 */
function tile(e: Emitter, x: number, reps: readonly number[]): number {
  let result = e.broadcastTo(
    x,
    e.shape(x).map((d, i) => (d === 1 ? reps[i]! : d)),
  );
  reps.forEach((rep, axis) => {
    const shape = e.shape(result);
    if (rep === 1 || e.shape(x)[axis] === 1) return;
    const outer = sizeOf(shape.slice(0, axis));
    const inner = sizeOf(shape.slice(axis));
    const rows = e.reshape(result, [outer, 1, inner]);
    const repeated = e.broadcastTo(rows, [outer, rep, inner]);
    result = e.reshape(
      repeated,
      shape.map((d, i) => (i === axis ? d * rep : d)),
    );
  });
  return result;
}

function concat(e: Emitter, list: readonly number[], axis: number): number {
  const inputs = e.widen(list);
  const filled = inputs.filter((x) => sizeOf(e.shape(x)) > 0);
  if (filled.length === inputs.length) return e.concat(inputs, axis);
  // Those without elements add nothing, but must fit all the same.
  const shapes = inputs.map((x) => e.shape(x));
  const whole = shapes[0]!.map((d, i) => (i === axis ? shapes.reduce((n, shape) => n + shape[i]!, 0) : d));
  const misfit = shapes.find(
    (shape) => shape.length !== whole.length || shape.some((d, i) => i !== axis && d !== whole[i]),
  );
  if (misfit)
    throw new ShapeError(
      `concat: shapes [${shapes[0]}] and [${misfit}] differ in more than axis ${axis}, along which they are put together`,
    );
  return filled.length > 0 ? e.concat(filled, axis) : e.splat(0, whole, e.dtype(inputs[0]!));
}

/** `x` with the axis `axis` taken apart into pieces of the given sizes. */
function split(e: Emitter, x: number, sizes: readonly number[], axis: number): number[] {
  let at = 0;
  return sizes.map((size) => {
    const begin = e.shape(x).map((_, i) => (i === axis ? at : 0));
    at += size;
    return e.slice(
      x,
      begin,
      e.shape(x).map((d, i) => (i === axis ? size : d)),
    );
  });
}

const stridedSlice: Lowering = (e, { x }, attributes) => {
  const shape = e.shape(x).slice();
  const { begin, end, strides, beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = attributes;
  const info = tf.slice_util.sliceInfo(
    shape,
    begin as number[],
    end,
    strides,
    beginMask,
    endMask,
    ellipsisMask,
    newAxisMask,
    shrinkAxisMask,
  );
  if (info.isIdentity) return e.reshape(x, info.finalShape);
  const size =
    info.sliceDim0 || info.isSimpleSlice
      ? tf.slice_util.computeOutShape(info.begin, info.end, info.strides)
      : info.finalShapeSparse;
  const plain = info.strides.every((s) => s === 1);
  const taken = e.slice(x, info.begin, size, plain ? undefined : info.strides);
  return e.reshape(taken, info.finalShape);
};

const slice: Lowering = (e, { x }, attributes) => {
  const shape = e.shape(x).slice();
  const [begin, size] = tf.slice_util.parseSliceParams(
    { shape } as tf.Tensor,
    attributes.begin,
    attributes.size,
  );
  return e.slice(x, begin, size);
};

const reverse: Lowering = (e, { x }, { dims }) => {
  const axes = normalAxes(dims, e.rank(x));
  const shape = e.shape(x);
  if (axes.length === 0 || sizeOf(shape) === 0) return x;
  return e.slice(
    x,
    shape.map((d, i) => (axes.includes(i) ? d - 1 : 0)),
    shape,
    shape.map((_, i) => (axes.includes(i) ? -1 : 1)),
  );
};

function oneHot(e: Emitter, indices: number, attributes: KernelAttributes): number {
  const { depth, onValue, offValue } = attributes;
  const dtype = outputDType('oneHot', attributes.dtype ?? 'int32');
  const ids = e.reshape(e.cast(indices, 'int32'), [...e.shape(indices), 1]);
  const hit = e.binary('equal', ids, e.iota(depth));
  if (dtype === 'bool') return onValue && !offValue ? hit : select01(e, hit, onValue, offValue, 'bool');
  if (onValue === 1 && offValue === 0) return e.cast(hit, dtype);
  return select01(e, hit, onValue, offValue, dtype);
}

function select01(
  e: Emitter,
  hit: number,
  on: number,
  off: number,
  dtype: 'float32' | 'int32' | 'bool',
): number {
  return e.select(hit, e.scalar(on, dtype), e.scalar(off, dtype));
}

/** tfjs makes a range by adding up in the array's own precision; so does this, where an exact iota is not the same. */
function range(e: Emitter, { start, stop, step, dtype: wanted }: KernelAttributes): number {
  const dtype = outputDType('range', wanted ?? 'float32');
  const empty = start === stop || (start < stop && step < 0) || (stop < start && step > 1);
  const n = empty ? 0 : Math.abs(Math.ceil((stop - start) / step));
  const by = stop < start && step === 1 ? -1 : step;
  const exact =
    Number.isInteger(start) && Number.isInteger(by) && Math.abs(start) + n * Math.abs(by) < 2 ** 24;
  if (exact && dtype !== 'bool') {
    return e.builder.add({ name: 'iota', start, step: by }, [], { shape: [n], dtype });
  }
  const values = dtype === 'int32' ? new Int32Array(n) : new Float32Array(n);
  if (n > 0) values[0] = start;
  for (let i = 1; i < n; i++) values[i] = values[i - 1]! + by;
  return e.constant(values, [n], dtype);
}

function linspace(e: Emitter, { start, stop, num }: KernelAttributes): number {
  const step = (stop - start) / (num - 1);
  const values = new Float32Array(num);
  values[0] = start;
  for (let i = 1; i < num; i++) values[i] = values[i - 1]! + step;
  return e.constant(values, [num], 'float32');
}

const gather: Lowering = (e, { x, indices }, { axis, batchDims }) => {
  const shared = batchDims ?? 0;
  const op = {
    name: 'gather',
    axis: normalAxes(axis, e.rank(x))[0]!,
    batchDims: shared < 0 ? shared + e.rank(indices) : shared,
  } as const;
  return e.add(op, [x, e.cast(indices, 'int32')]);
};

/** [n...] to [n..., n...] with x on the diagonal and 0 elsewhere. */
const diag: Lowering = (e, { x }) => {
  const n = sizeOf(e.shape(x));
  const rows = e.iota(n);
  const onDiagonal = e.binary('equal', e.reshape(rows, [n, 1]), e.reshape(rows, [1, n]));
  const square = e.select(onDiagonal, e.reshape(x, [1, n]), e.scalar(0, e.dtype(x)));
  return e.reshape(square, [...e.shape(x), ...e.shape(x)]);
};

function reshape(e: Emitter, x: number, shape: Shape): number {
  return e.reshape(x, tf.util.inferFromImplicitShape(shape.slice(), sizeOf(e.shape(x))));
}

export const STRUCTURE: LoweringTable = {
  Identity: (_, { x }) => x,
  Cast: (e, { x }, { dtype }) => e.cast(x, outputDType('cast', dtype)),
  Reshape: (e, { x }, { shape }) => reshape(e, x, shape),
  ExpandDims: (e, { input }, { dim }) => {
    const shape = e.shape(input).slice() as number[];
    shape.splice(dim < 0 ? dim + shape.length + 1 : dim, 0, 1);
    return e.reshape(input, shape);
  },
  Transpose: (e, { x }, { perm }) => e.transpose(x, perm),
  BroadcastTo: (e, { x }, { shape }) => e.broadcastTo(x, shape),
  Tile: (e, { x }, { reps }) => tile(e, x, reps),
  Concat: (e, { list }, { axis }) => concat(e, list, normalAxes(axis, e.rank(list[0]!))[0]!),
  Pack: (e, { list }, { axis }) => {
    const along = normalAxes(axis, e.rank(list[0]!) + 1)[0]!;
    const other = list.find((x) => e.dtype(x) !== e.dtype(list[0]!));
    if (other !== undefined)
      throw new ShapeError(
        `stack: all tensors must have one dtype, got ${e.dtype(list[0]!)} and ${e.dtype(other)}; tf.cast one of them`,
      );
    const rows = list.map((x) => e.reshape(x, e.shape(x).toSpliced(along, 0, 1)));
    return concat(e, rows, along);
  },
  Unpack: (e, { value }, { axis }) => {
    const along = normalAxes(axis, e.rank(value))[0]!;
    const sizes = new Array<number>(e.shape(value)[along]!).fill(1);
    return split(e, value, sizes, along).map((x) => e.reshape(x, e.shape(x).toSpliced(along, 1)));
  },
  SplitV: (e, { x }, { axis, numOrSizeSplits }) => {
    const along = normalAxes(axis, e.rank(x))[0]!;
    const shape = e.shape(x).slice();
    return split(
      e,
      x,
      tf.backend_util.prepareSplitSize({ shape } as tf.Tensor, numOrSizeSplits, along),
      along,
    );
  },
  Slice: slice,
  StridedSlice: stridedSlice,
  Reverse: reverse,
  PadV2: (e, { x }, { paddings, constantValue }) => e.pad(x, paddings, constantValue),
  GatherV2: gather,
  OneHot: (e, { indices }, attributes) => oneHot(e, indices, attributes),
  Diag: diag,
  Fill: (e, _, { shape, value, dtype }) =>
    e.splat(
      Number(value),
      shape,
      outputDType('fill', dtype ?? (typeof value === 'string' ? 'string' : 'float32')),
    ),
  ZerosLike: (e, { x }) => e.splat(0, e.shape(x), e.dtype(x)),
  OnesLike: (e, { x }) => e.splat(1, e.shape(x), e.dtype(x)),
  Range: (e, _, attributes) => range(e, attributes),
  LinSpace: (e, _, attributes) => linspace(e, attributes),
};
