/** Shape rules of the ops that take nothing: constants, draws, counters. */

import { type DType, type Op, sizeOf } from './graph.js';
import {
  arity,
  fail,
  hintedShape,
  type Inputs,
  type OpOf,
  type TypeHint,
  type ValueType,
} from './infer-checks.js';

/** dtype of a typed array as a graph constant. */
function dtypeOfValues(values: unknown): DType | undefined {
  if (values instanceof Float32Array) return 'float32';
  if (values instanceof Int32Array) return 'int32';
  return values instanceof Uint8Array ? 'bool' : undefined;
}

export function inferConstant(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
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

export function inferRandom(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
  const { kind } = op as OpOf<'random'>;
  arity(op, inputs, 0);
  const dtypes = { normal: 'float32', uniform: 'float32', integers: 'int32', bernoulli: 'bool' } as const;
  return { shape: hintedShape(op, inputs, hint), dtype: dtypes[kind.distribution] };
}

export function inferIota(op: Op, inputs: Inputs, hint: TypeHint | undefined): ValueType {
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
