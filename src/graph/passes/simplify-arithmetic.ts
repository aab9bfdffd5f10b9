/** Identities of arithmetic and logic that hold bit for bit, -0, NaN and infinities included. */
import type { GraphNode, Shape } from '../graph.js';
import { sameShape } from '../infer.js';
import type { Emitter } from './rewrite.js';
import type { Candidate } from './simplify.js';

type Rule = (candidate: Candidate, emitter: Emitter) => number | undefined;

/** The value of a constant of one element. */
function scalarOf(node: GraphNode): number | undefined {
  return node.op.name === 'constant' && node.op.values.length === 1 ? node.op.values[0] : undefined;
}

/** A power of two whose reciprocal is a normal float32 too, so that x / c and x * (1 / c) are the same real number, rounded alike. */
function isPowerOfTwo(c: number): boolean {
  const exponent = Math.log2(Math.abs(c));
  return Number.isInteger(exponent) && Math.abs(exponent) <= 126;
}

/** `id` under the candidate's shape (a scalar operand dropped may have stretched nothing, but it may have added axes of 1). */
function shaped(emitter: Emitter, id: number, shape: Shape): number {
  return emitter.add({ name: 'broadcastTo' }, [id], { shape });
}

function constantLike(emitter: Emitter, candidate: Candidate, value: number): number {
  const { dtype, shape } = candidate;
  const values =
    dtype === 'float32'
      ? Float32Array.of(value)
      : dtype === 'int32'
        ? Int32Array.of(value)
        : Uint8Array.of(value);
  return shaped(emitter, emitter.add({ name: 'constant', values }, [], { shape: [], dtype }), shape);
}

/** The two operands, and the constant scalar and other operand where one is such. */
function operands(candidate: Candidate, emitter: Emitter) {
  const [a, b] = candidate.inputs.map((id) => emitter.node(id));
  return { a, b, ca: scalarOf(a), cb: scalarOf(b) };
}

const mul: Rule = (candidate, emitter) => {
  const { a, b, ca, cb } = operands(candidate, emitter);
  const { shape, dtype } = candidate;
  for (const [c, x] of [
    [ca, b],
    [cb, a],
  ] as const) {
    if (c === undefined) continue;
    if (c === 1) return shaped(emitter, x.id, shape);
    if (c === -1) return shaped(emitter, emitter.add({ name: 'neg' }, [x.id]), shape);
    if (c === 0 && dtype === 'int32') return constantLike(emitter, candidate, 0);
    if (x.op.name === 'neg' && dtype === 'float32') {
      const negative = emitter.add({ name: 'constant', values: Float32Array.of(-c) }, [], { shape: [] });
      return shaped(emitter, emitter.add({ name: 'mul' }, [x.inputs[0], negative]), shape);
    }
  }
  if (a.op.name === 'neg' && b.op.name === 'neg') {
    return emitter.add({ name: 'mul' }, [a.inputs[0], b.inputs[0]]);
  }
  return undefined;
};

const div: Rule = (candidate, emitter) => {
  const { a, b, ca, cb } = operands(candidate, emitter);
  if (cb === 1) return shaped(emitter, a.id, candidate.shape);
  if (cb !== undefined && isPowerOfTwo(cb)) {
    const inverse = emitter.add({ name: 'constant', values: Float32Array.of(1 / cb) }, [], { shape: [] });
    return shaped(emitter, emitter.add({ name: 'mul' }, [a.id, inverse]), candidate.shape);
  }
  if (ca === 1) return shaped(emitter, emitter.add({ name: 'reciprocal' }, [b.id]), candidate.shape);
  return undefined;
};

/** x + (-0) is x; x + 0 is not, for x = -0. In int32 there is one zero. */
const add: Rule = (candidate, emitter) => {
  const { a, b, ca, cb } = operands(candidate, emitter);
  const isZero = (c: number | undefined) => (candidate.dtype === 'int32' ? c === 0 : Object.is(c, -0));
  if (isZero(cb)) return shaped(emitter, a.id, candidate.shape);
  if (isZero(ca)) return shaped(emitter, b.id, candidate.shape);
  if (b.op.name === 'neg') return emitter.add({ name: 'sub' }, [a.id, b.inputs[0]]);
  if (a.op.name === 'neg') return emitter.add({ name: 'sub' }, [b.id, a.inputs[0]]);
  return undefined;
};

const sub: Rule = (candidate, emitter) => {
  const { a, b, cb } = operands(candidate, emitter);
  // x - 0 is x, also for x = -0; x - (-0) is not.
  if (Object.is(cb, 0)) return shaped(emitter, a.id, candidate.shape);
  if (b.op.name === 'neg') return emitter.add({ name: 'add' }, [a.id, b.inputs[0]]);
  if (candidate.dtype === 'int32' && a.id === b.id) return constantLike(emitter, candidate, 0);
  return undefined;
};

/** Squares of float32 numbers are exact in float64, so the power is the square, rounded once. */
const pow: Rule = (candidate, emitter) => {
  const { a, cb } = operands(candidate, emitter);
  if (cb === 1) return shaped(emitter, a.id, candidate.shape);
  if (cb === 0) return constantLike(emitter, candidate, 1);
  if (cb === 2 && candidate.dtype === 'float32')
    return shaped(emitter, emitter.add({ name: 'square' }, [a.id]), candidate.shape);
  return undefined;
};

const idempotentBinary: Rule = ({ inputs }) => (inputs[0] === inputs[1] ? inputs[0] : undefined);

/** Ops that undo themselves. */
const involution: Rule = ({ op, inputs }, emitter) => {
  const x = emitter.node(inputs[0]);
  return x.op.name === op.name ? x.inputs[0] : undefined;
};

/** Ops of which a second application does nothing. */
const idempotent: Rule = ({ op, inputs }, emitter) => {
  const x = emitter.node(inputs[0]);
  return x.op.name === op.name ? x.id : undefined;
};

/** Ops that do not see the sign; `abs` neither sees a second abs. */
const even: Rule = ({ op, inputs }, emitter) => {
  const x = emitter.node(inputs[0]);
  if (x.op.name === 'neg' || x.op.name === 'abs') return emitter.add(op, x.inputs);
  return undefined;
};

const neg: Rule = (candidate, emitter) => {
  const x = emitter.node(candidate.inputs[0]);
  if (x.op.name === 'neg') return x.inputs[0];
  if (x.op.name === 'mul' && x.dtype === 'float32') {
    for (const side of [0, 1] as const) {
      const c = scalarOf(emitter.node(x.inputs[side]));
      if (c === undefined) continue;
      const negative = emitter.add({ name: 'constant', values: Float32Array.of(-c) }, [], { shape: [] });
      return shaped(emitter, emitter.add({ name: 'mul' }, [x.inputs[1 - side], negative]), candidate.shape);
    }
  }
  return undefined;
};

const logicalAnd: Rule = (candidate, emitter) => {
  const { a, b, ca, cb } = operands(candidate, emitter);
  if (a.id === b.id) return a.id;
  if (ca === 0 || cb === 0) return constantLike(emitter, candidate, 0);
  if (ca === 1) return shaped(emitter, b.id, candidate.shape);
  return cb === 1 ? shaped(emitter, a.id, candidate.shape) : undefined;
};

const logicalOr: Rule = (candidate, emitter) => {
  const { a, b, ca, cb } = operands(candidate, emitter);
  if (a.id === b.id) return a.id;
  if (ca === 1 || cb === 1) return constantLike(emitter, candidate, 1);
  if (ca === 0) return shaped(emitter, b.id, candidate.shape);
  return cb === 0 ? shaped(emitter, a.id, candidate.shape) : undefined;
};

const select: Rule = ({ inputs, shape }, emitter) => {
  const [condition, a, b] = inputs.map((id) => emitter.node(id));
  const constant = scalarOf(condition);
  if (constant !== undefined) return shaped(emitter, constant ? a.id : b.id, shape);
  if (a.id === b.id) return shaped(emitter, a.id, shape);
  if (condition.op.name === 'logicalNot') {
    return emitter.add({ name: 'select' }, [condition.inputs[0], b.id, a.id]);
  }
  return undefined;
};

/** A clip that can do nothing. */
const clip: Rule = ({ op, inputs }) =>
  op.name === 'clip' && op.min === Number.NEGATIVE_INFINITY && op.max === Number.POSITIVE_INFINITY
    ? inputs[0]
    : undefined;

const ARITHMETIC: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['abs', even],
  ['add', add],
  ['bitwiseAnd', idempotentBinary],
  ['ceil', idempotent],
  ['clip', clip],
  ['div', div],
  ['floor', idempotent],
  ['logicalAnd', logicalAnd],
  ['logicalNot', involution],
  ['logicalOr', logicalOr],
  ['maximum', idempotentBinary],
  ['minimum', idempotentBinary],
  ['mul', mul],
  ['neg', neg],
  ['pow', pow],
  ['relu', idempotent],
  ['round', idempotent],
  ['select', select],
  ['sign', idempotent],
  ['square', even],
  ['sub', sub],
]);

export function simplifyArithmetic(candidate: Candidate, emitter: Emitter): number | undefined {
  const id = ARITHMETIC.get(candidate.op.name)?.(candidate, emitter);
  if (id === undefined) return undefined;
  // An operand that was dropped may have brought the shape.
  return sameShape(emitter.node(id).shape, candidate.shape) ? id : shaped(emitter, id, candidate.shape);
}
