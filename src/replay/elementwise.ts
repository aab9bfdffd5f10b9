/** Elementwise ops in tfjs. Where backends disagree at the edges (NaN, infinities, division by zero), the op is put together from others. */
import * as tf from '@tensorflow/tfjs';
import type { GraphNode } from '../graph/graph.js';
import { broadcastShapes } from '../graph/infer.js';
import { aligned, broadcast, broadcasting, type OpContext, type Operand, scalarOf } from './operand.js';

type Unary = (x: tf.Tensor, backend: string) => tf.Tensor;
type Binary = (
  a: tf.Tensor,
  b: tf.Tensor,
  context: OpContext,
  nodes: readonly [GraphNode, GraphNode],
) => tf.Tensor;

/** Where the ops are those of JavaScript at the edges: tfjs's cpu backend, and a trace, which records them as core ops. */
const exact = (backend: string) => backend === 'cpu' || backend === 'trace';

/** `y`, but NaN stays NaN. */
function keepNaN(x: tf.Tensor, y: tf.Tensor): tf.Tensor {
  return x.dtype === 'float32' ? tf.where(tf.isNaN(x), x, y) : y;
}

/** tfjs gives 0 for the sign of NaN, some backends also for that of a subnormal number. */
function sign(x: tf.Tensor, backend: string): tf.Tensor {
  if (exact(backend) || x.dtype === 'int32') return keepNaN(x, tf.sign(x));
  const zero = tf.scalar(0);
  return keepNaN(x, tf.sub(tf.cast(tf.greater(x, zero), 'float32'), tf.cast(tf.less(x, zero), 'float32')));
}

const UNARY: Readonly<Record<string, Unary>> = {
  abs: (x) => tf.abs(x),
  acos: (x) => tf.acos(x),
  acosh: (x) => tf.acosh(x),
  asin: (x) => tf.asin(x),
  asinh: (x) => tf.asinh(x),
  atan: (x) => tf.atan(x),
  atanh: (x) => tf.atanh(x),
  ceil: (x) => tf.ceil(x),
  cos: (x) => tf.cos(x),
  cosh: (x) => tf.cosh(x),
  erf: (x) => tf.erf(x),
  exp: (x) => tf.exp(x),
  expm1: (x) => tf.expm1(x),
  floor: (x) => tf.floor(x),
  isFinite: (x) => tf.isFinite(x),
  isInf: (x) => tf.isInf(x),
  isNan: (x) => tf.isNaN(x),
  log: (x) => tf.log(x),
  log1p: (x) => tf.log1p(x),
  logicalNot: (x) => tf.logicalNot(x),
  neg: (x) => tf.neg(x),
  reciprocal: (x) => tf.reciprocal(x),
  relu: (x, backend) => (exact(backend) ? tf.relu(x) : keepNaN(x, tf.relu(x))),
  round: (x) => tf.round(x),
  rsqrt: (x) => tf.rsqrt(x),
  sigmoid: (x) => tf.sigmoid(x),
  sign,
  sin: (x) => tf.sin(x),
  sinh: (x) => tf.sinh(x),
  softplus: (x) => tf.softplus(x),
  sqrt: (x) => tf.sqrt(x),
  square: (x) => tf.square(x),
  tan: (x) => tf.tan(x),
  tanh: (x) => tf.tanh(x),
};

/** Backends compute in C, where a NaN on one side of min and max is lost. */
function extreme(f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Binary {
  return (a, b, { backend }, [aNode, bNode]) => {
    if (exact(backend) || a.dtype !== 'float32') return f(a, b);
    // A NaN on the left survives; so a number known not to be one belongs on the right.
    const number = (node: GraphNode) => {
      const value = scalarOf(node);
      return value !== undefined && !Number.isNaN(value);
    };
    if (number(bNode)) return keepNaN(a, f(a, b));
    if (number(aNode)) return keepNaN(b, f(b, a));
    return keepNaN(a, keepNaN(b, f(a, b)));
  };
}

/** Divisor 0 gives 0 in int32; integer division by zero traps in C. */
function guardedInteger(
  f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
): (a: tf.Tensor, b: tf.Tensor) => tf.Tensor {
  return (a, b) => {
    const zero = tf.equal(b, tf.scalar(0, 'int32'));
    const safe = tf.where(zero, tf.scalar(1, 'int32'), b);
    return tf.where(zero, tf.scalar(0, 'int32'), f(a, safe));
  };
}

const pow: Binary = (a, b, { backend }, [, bNode]) => {
  if (exact(backend)) return tf.pow(a, b);
  if (a.dtype === 'int32') {
    // 0 ^ -1 is Infinity, which is 0 in int32.
    const zero = tf.scalar(0, 'int32');
    const pole = tf.logicalAnd(tf.equal(a, zero), tf.less(b, zero));
    return tf.where(pole, zero, tf.pow(tf.where(pole, tf.scalar(1, 'int32'), a), b));
  }
  const exponent = scalarOf(bNode);
  if (exponent !== undefined && Number.isFinite(exponent)) return tf.pow(a, b);
  // JavaScript's power is NaN for a NaN exponent and for (+-1) ^ (+-Infinity), where C has 1.
  const one = tf.equal(tf.abs(a), tf.scalar(1));
  const undefinedPower = tf.logicalOr(tf.isNaN(b), tf.logicalAnd(one, tf.isInf(b)));
  return tf.where(undefinedPower, tf.scalar(Number.NaN), tf.pow(a, b));
};

/**
 * Floor of the exact quotient: a float32 quotient may have been rounded up to the next integer. (a - remainder) / b is an integer but for
 * rounding. tfjs's own floorDiv makes int32 of everything.
 */
function floorDiv(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const remainder = tf.mod(a, b);
  const exact = tf.round(tf.div(tf.sub(a, remainder), b));
  const quotient = tf.div(a, b);
  const floor = tf.floor(quotient);
  return tf.where(tf.logicalAnd(tf.equal(quotient, floor), tf.isFinite(exact)), exact, floor);
}

const BINARY: Readonly<Record<string, Binary>> = {
  add: (a, b) => tf.add(a, b),
  atan2: (a, b) => tf.atan2(a, b),
  // This one does not broadcast.
  bitwiseAnd: (a, b) => {
    const shape = [...broadcastShapes([a.shape, b.shape])];
    return tf.bitwiseAnd(broadcast(a, shape), broadcast(b, shape));
  },
  div: (a, b) => tf.div(a, b),
  equal: (a, b) => tf.equal(a, b),
  floorDiv: (a, b) =>
    a.dtype === 'int32' ? guardedInteger((x, y) => tf.floorDiv(x, y))(a, b) : floorDiv(a, b),
  greater: (a, b) => tf.greater(a, b),
  greaterEqual: (a, b) => tf.greaterEqual(a, b),
  less: (a, b) => tf.less(a, b),
  lessEqual: (a, b) => tf.lessEqual(a, b),
  logicalAnd: (a, b) => tf.logicalAnd(a, b),
  logicalOr: (a, b) => tf.logicalOr(a, b),
  maximum: extreme((a, b) => tf.maximum(a, b)),
  minimum: extreme((a, b) => tf.minimum(a, b)),
  mod: (a, b) => (a.dtype === 'int32' ? guardedInteger((x, y) => tf.mod(x, y))(a, b) : tf.mod(a, b)),
  mul: (a, b) => tf.mul(a, b),
  notEqual: (a, b) => tf.notEqual(a, b),
  pow,
  squaredDifference: (a, b) => tf.squaredDifference(a, b),
  sub: (a, b) => tf.sub(a, b),
};

/** condition ? a : b, of any dtype; all three broadcast. */
export function select(condition: tf.Tensor, a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  if (a.dtype !== 'bool') return tf.where(condition, a, b);
  // The wasm backend's select moves four bytes an element, bools have one.
  return tf.logicalOr(tf.logicalAnd(condition, a), tf.logicalAnd(tf.logicalNot(condition), b));
}

function cast(x: tf.Tensor, dtype: GraphNode['dtype']): tf.Tensor {
  if (x.dtype === dtype) return x.clone();
  // Backends that copy numbers into bytes would make 0.5 false and 256 too.
  if (dtype === 'bool') return tf.notEqual(x, tf.scalar(0, x.dtype as 'int32'));
  if (x.dtype === 'float32') return tf.cast(tf.where(tf.isNaN(x), tf.scalar(0), x), 'int32');
  return tf.cast(x, dtype);
}

/** Evaluates an elementwise op; undefined for any other. */
export function evaluateElementwise(
  node: GraphNode,
  inputs: readonly Operand[],
  context: OpContext,
): tf.Tensor | undefined {
  const { op } = node;
  const rank = node.shape.length;
  switch (op.name) {
    case 'clip': {
      const x = inputs[0].tensor;
      if (x.dtype === 'int32') {
        const low = Math.max(op.min, -(2 ** 31));
        const high = Math.min(op.max, 2 ** 31 - 1);
        return tf.minimum(tf.maximum(x, tf.scalar(low, 'int32')), tf.scalar(high, 'int32'));
      }
      const clipped = tf.minimum(tf.maximum(x, tf.scalar(op.min)), tf.scalar(op.max));
      return exact(context.backend) ? clipped : keepNaN(x, clipped);
    }
    case 'step':
      return tf.step(inputs[0].tensor, op.alpha);
    case 'cast':
      return cast(inputs[0].tensor, node.dtype);
    case 'select': {
      return broadcasting(
        select,
        inputs.map((x) => aligned(x, rank, context)),
      );
    }
  }
  if (inputs.length === 1 && Object.hasOwn(UNARY, op.name))
    return UNARY[op.name](inputs[0].tensor, context.backend);
  if (inputs.length === 2 && Object.hasOwn(BINARY, op.name)) {
    const nodes = [inputs[0].node, inputs[1].node] as const;
    return broadcasting(
      (a, b) => BINARY[op.name](a, b, context, nodes),
      inputs.map((x) => aligned(x, rank, context)),
    );
  }
  return undefined;
}
