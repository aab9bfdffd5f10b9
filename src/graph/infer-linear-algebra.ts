/** Shape rules of products, factorisations and solves. */

import type { Op } from './graph.js';
import {
  arity,
  broadcastShapes,
  fail,
  type Inputs,
  type OpOf,
  one,
  sameShape,
  type ValueType,
} from './infer-checks.js';

export function inferMatMul(op: Op, inputs: Inputs): ValueType {
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

/** The input `x` as square float32 matrices [..., n, n]. */
function square(op: Op, inputs: Inputs, x: ValueType | undefined): ValueType {
  const [rows, columns] = x?.shape.slice(-2) ?? [];
  if (x?.dtype !== 'float32' || columns === undefined || rows !== columns)
    fail(op, 'float32 matrices [..., n, n]', inputs);
  return x;
}

export function inferCholesky(op: Op, inputs: Inputs): ValueType {
  return { shape: square(op, inputs, one(op, inputs, ['float32'])).shape, dtype: 'float32' };
}

export function inferSymmetricEigen(op: Op, inputs: Inputs): ValueType {
  const { shape } = square(op, inputs, one(op, inputs, ['float32']));
  const n = shape[shape.length - 1]!;
  return { shape: [...shape.slice(0, -2), n + 1, n], dtype: 'float32' };
}

export function inferTriangularSolve(op: Op, inputs: Inputs): ValueType {
  arity(op, inputs, 2);
  const a = square(op, inputs, inputs[0]);
  const b = inputs[1]!;
  const fits =
    b.dtype === 'float32' &&
    b.shape.length === a.shape.length &&
    sameShape(a.shape.slice(0, -1), b.shape.slice(0, -1));
  if (!fits) fail(op, 'float32 a [..., n, n] and b [..., n, m] of the same leading axes', inputs);
  return { shape: b.shape, dtype: 'float32' };
}
