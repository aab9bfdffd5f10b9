/** Shape rules of the ops that move elements. */

import { type Op, sizeOf } from './graph.js';
import {
  ANY,
  arity,
  axisOf,
  checkShape,
  fail,
  hintedShape,
  type Inputs,
  NUMERIC,
  type OpOf,
  one,
  sameShape,
  type TypeHint,
  type ValueType,
} from './infer-checks.js';

export function inferTranspose(op: Op, inputs: Inputs): ValueType {
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

export function inferSlice(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
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

export function inferConcat(op: Op, inputs: Inputs): ValueType {
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

export function inferPad(op: Op, inputs: Inputs): ValueType {
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

export function inferGather(op: Op, inputs: Inputs): ValueType {
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

export function inferSegmentSum(op: Op, inputs: Inputs): ValueType {
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

export function inferReshape(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  const x = one(op, inputs, ANY);
  const shape = hintedShape(op, inputs, hint);
  if (sizeOf(shape) !== sizeOf(x.shape))
    fail(op, `${sizeOf(shape)} elements for [${shape.join(',')}]`, inputs);
  return { shape, dtype: x.dtype };
}

export function inferBroadcastTo(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  const x = one(op, inputs, ANY);
  const shape = hintedShape(op, inputs, hint);
  const offset = shape.length - x.shape.length;
  if (offset < 0 || x.shape.some((d, i) => d !== 1 && d !== shape[offset + i])) {
    fail(op, `a shape that broadcasts to [${shape.join(',')}]`, inputs);
  }
  return { shape, dtype: x.dtype };
}
