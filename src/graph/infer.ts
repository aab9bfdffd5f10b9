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
  TEST_UNARY_OPS,
} from './graph.js';
import {
  ANY,
  arity,
  axisOf,
  broadcastShapes,
  fail,
  formatType,
  hintedDType,
  hintedShape,
  type Inputs,
  NUMERIC,
  type OpOf,
  one,
  pair,
  type Rule,
  sameShape,
  type TypeHint,
  type ValueType,
} from './infer-checks.js';
import {
  inferCholesky,
  inferMatMul,
  inferSymmetricEigen,
  inferTriangularSolve,
} from './infer-linear-algebra.js';
import { inferConstant, inferIota, inferRandom } from './infer-sources.js';
import {
  inferBroadcastTo,
  inferConcat,
  inferGather,
  inferPad,
  inferReshape,
  inferSegmentSum,
  inferSlice,
  inferTranspose,
} from './infer-structure.js';
import { WINDOW_RULES } from './infer-window.js';

export {
  broadcastShapes,
  checkShape,
  formatType,
  sameShape,
  type TypeHint,
  type ValueType,
} from './infer-checks.js';

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
  ['reshape', inferReshape],
  ['transpose', inferTranspose],
  ['slice', inferSlice],
  ['broadcastTo', inferBroadcastTo],
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
  [
    'argSort',
    (op, inputs) => {
      const x = one(op, inputs, NUMERIC);
      if (x.shape.length === 0) fail(op, 'an input of rank 1 or more', inputs);
      return { shape: x.shape, dtype: 'int32' };
    },
  ],
  ['cholesky', inferCholesky],
  ['triangularSolve', inferTriangularSolve],
  ['symmetricEigen', inferSymmetricEigen],
  ...WINDOW_RULES,
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
