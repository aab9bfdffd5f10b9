/** Rules for the ops that only move elements. */
import { type Shape, sizeOf } from '../graph.js';
import { sameShape } from '../infer.js';
import type { Emitter } from './rewrite.js';
import type { Candidate } from './simplify.js';

/** Whether two shapes differ in axes of size 1 at most. */
function sameButOnes(a: Shape, b: Shape): boolean {
  return sameShape(
    a.filter((d) => d !== 1),
    b.filter((d) => d !== 1),
  );
}

function reshape(emitter: Emitter, x: number, shape: Shape): number {
  return emitter.add({ name: 'reshape' }, [x], { shape });
}

function broadcastTo(emitter: Emitter, x: number, shape: Shape): number {
  return emitter.add({ name: 'broadcastTo' }, [x], { shape });
}

/** The shape of `source` as an operand of rank `rank`: leading axes of 1. */
function paddedShape(source: Shape, rank: number): number[] {
  return [...new Array<number>(rank - source.length).fill(1), ...source];
}

function simplifyReshape({ inputs, shape }: Candidate, emitter: Emitter): number | undefined {
  const x = emitter.node(inputs[0]);
  if (sameShape(x.shape, shape)) return x.id;
  if (x.op.name === 'reshape') return reshape(emitter, x.inputs[0], shape);
  if (x.op.name === 'broadcastTo' && sameButOnes(x.shape, shape)) {
    // The axes other than 1 correspond one to one; each keeps its extent in the source (itself, or 1 where it is repeated).
    const source = emitter.node(x.inputs[0]);
    const extents = paddedShape(source.shape, x.shape.length).filter((_, axis) => x.shape[axis] !== 1);
    const kept = shape.map((d) => (d === 1 ? 1 : (extents.shift() as number)));
    return broadcastTo(emitter, reshape(emitter, source.id, kept), shape);
  }
  if (x.op.name === 'broadcastTo') {
    const source = emitter.node(x.inputs[0]);
    if (sizeOf(source.shape) === 1) return broadcastTo(emitter, reshape(emitter, source.id, []), shape);
  }
  return undefined;
}

function simplifyTranspose(candidate: Candidate, emitter: Emitter): number | undefined {
  const { op, inputs, shape } = candidate;
  if (op.name !== 'transpose') return undefined;
  const x = emitter.node(inputs[0]);
  const order = op.perm.filter((axis) => x.shape[axis] !== 1);
  // Axes of 1 may go anywhere: nothing moves in memory.
  if (order.every((axis, i) => i === 0 || axis > order[i - 1])) return reshape(emitter, x.id, shape);
  if (x.op.name === 'transpose') {
    const inner = x.op.perm;
    return emitter.add({ name: 'transpose', perm: op.perm.map((axis) => inner[axis]) }, x.inputs);
  }
  if (x.op.name === 'broadcastTo') {
    const source = emitter.node(x.inputs[0]);
    const padded = reshape(emitter, source.id, paddedShape(source.shape, x.shape.length));
    return broadcastTo(emitter, emitter.add(op, [padded]), shape);
  }
  return undefined;
}

function simplifySlice(candidate: Candidate, emitter: Emitter): number | undefined {
  const { op, inputs, shape } = candidate;
  if (op.name !== 'slice') return undefined;
  const x = emitter.node(inputs[0]);
  const { begin, strides } = op;
  if (sizeOf(shape) === 0) return undefined;
  // The stride of an axis of which one element is taken says nothing.
  const plain = strides.map((s, axis) => (shape[axis] === 1 ? 1 : s));
  if (sameShape(shape, x.shape) && plain.every((s) => s === 1)) return x.id;
  if (plain.some((s, axis) => s !== strides[axis])) {
    return emitter.add({ name: 'slice', begin, strides: plain }, inputs, { shape });
  }
  if (x.op.name === 'slice') {
    const inner = x.op;
    return emitter.add(
      {
        name: 'slice',
        begin: inner.begin.map((b, axis) => b + begin[axis] * inner.strides[axis]),
        strides: inner.strides.map((s, axis) => s * strides[axis]),
      },
      x.inputs,
      { shape },
    );
  }
  if (x.op.name === 'broadcastTo') {
    const source = emitter.node(x.inputs[0]);
    const extents = paddedShape(source.shape, x.shape.length);
    const padded = reshape(emitter, source.id, extents);
    const repeated = (axis: number) => extents[axis] === 1;
    const part = emitter.add(
      {
        name: 'slice',
        begin: begin.map((b, axis) => (repeated(axis) ? 0 : b)),
        strides: strides.map((s, axis) => (repeated(axis) ? 1 : s)),
      },
      [padded],
      { shape: shape.map((d, axis) => (repeated(axis) ? 1 : d)) },
    );
    return broadcastTo(emitter, part, shape);
  }
  if (x.op.name === 'concat') return sliceOfConcat(candidate, x.op.axis, x.inputs, emitter);
  if (x.op.name === 'pad') {
    const inside = x.op.paddings.map(([before]) => before);
    const source = emitter.node(x.inputs[0]);
    const from = begin.map((b, axis) => b - inside[axis]);
    const last = from.map((b, axis) => b + (shape[axis] - 1) * strides[axis]);
    const within = [...from, ...last].every((at, i) => at >= 0 && at < source.shape[i % from.length]);
    if (within) return emitter.add({ name: 'slice', begin: from, strides }, [source.id], { shape });
  }
  return undefined;
}

/** A slice that lies within one of the concatenated pieces is a slice of that piece. */
function sliceOfConcat(candidate: Candidate, axis: number, pieces: readonly number[], emitter: Emitter) {
  const { op, shape } = candidate;
  if (op.name !== 'slice') return undefined;
  const ends = [op.begin[axis], op.begin[axis] + (shape[axis] - 1) * op.strides[axis]];
  let start = 0;
  for (const piece of pieces) {
    const extent = emitter.node(piece).shape[axis];
    const offset = start;
    if (ends.every((at) => at >= offset && at < offset + extent)) {
      const begin = op.begin.map((b, i) => (i === axis ? b - offset : b));
      return emitter.add({ name: 'slice', begin, strides: op.strides }, [piece], { shape });
    }
    start += extent;
  }
  return undefined;
}

function simplifyBroadcastTo({ inputs, shape }: Candidate, emitter: Emitter): number | undefined {
  const x = emitter.node(inputs[0]);
  if (sameShape(x.shape, shape)) return x.id;
  if (sizeOf(shape) === sizeOf(x.shape)) return reshape(emitter, x.id, shape);
  if (x.op.name === 'broadcastTo') return broadcastTo(emitter, x.inputs[0], shape);
  return undefined;
}

function simplifyConcat({ op, inputs, dtype }: Candidate, emitter: Emitter): number | undefined {
  if (op.name !== 'concat') return undefined;
  if (inputs.length === 1) return inputs[0];
  const filled = inputs.filter((id) => emitter.node(id).shape[op.axis] > 0);
  if (filled.length > 0 && filled.length < inputs.length) return emitter.add(op, filled);
  const flat = inputs.flatMap((id) => {
    const x = emitter.node(id);
    return x.op.name === 'concat' && x.op.axis === op.axis ? x.inputs : [id];
  });
  return flat.length > inputs.length ? emitter.add(op, flat, { dtype }) : undefined;
}

/** Casts between bool, int32 and float32 that can be undone, or done in one. */
function simplifyCast({ inputs, dtype }: Candidate, emitter: Emitter): number | undefined {
  const x = emitter.node(inputs[0]);
  if (x.dtype === dtype) return x.id;
  if (x.op.name !== 'cast') return undefined;
  const source = emitter.node(x.inputs[0]);
  // 0 and 1 survive every dtype; no other value is safe to carry past the one in the middle (int32 has more digits than float32).
  return source.dtype === 'bool' ? emitter.add({ name: 'cast' }, [source.id], { dtype }) : undefined;
}

/** Swapping the last two axes of an operand is what matMul's own flags are for; repeated batch axes it broadcasts itself. */
function simplifyMatMul({ op, inputs, shape }: Candidate, emitter: Emitter): number | undefined {
  if (op.name !== 'matMul') return undefined;
  for (const side of [0, 1] as const) {
    const x = emitter.node(inputs[side]);
    const rank = x.shape.length;
    if (x.op.name === 'transpose') {
      const swap = x.op.perm.every(
        (axis, i) => axis === (i === rank - 1 ? rank - 2 : i === rank - 2 ? rank - 1 : i),
      );
      if (swap) {
        const operands = side === 0 ? [x.inputs[0], inputs[1]] : [inputs[0], x.inputs[0]];
        const flags = side === 0 ? { transposeA: !op.transposeA } : { transposeB: !op.transposeB };
        return emitter.add({ ...op, ...flags }, operands);
      }
    }
    if (x.op.name === 'broadcastTo') {
      const source = emitter.node(x.inputs[0]);
      const other = emitter.node(inputs[1 - side]);
      const matrix = source.shape.length >= 2 && sameShape(source.shape.slice(-2), x.shape.slice(-2));
      // The other operand must bring all batch axes, or the result would shrink.
      if (matrix && sameShape(other.shape.slice(0, -2), shape.slice(0, -2))) {
        return emitter.add(op, side === 0 ? [source.id, inputs[1]] : [inputs[0], source.id]);
      }
    }
  }
  return undefined;
}

export function simplifyStructure(candidate: Candidate, emitter: Emitter): number | undefined {
  switch (candidate.op.name) {
    case 'reshape':
      return simplifyReshape(candidate, emitter);
    case 'transpose':
      return simplifyTranspose(candidate, emitter);
    case 'slice':
      return simplifySlice(candidate, emitter);
    case 'broadcastTo':
      return simplifyBroadcastTo(candidate, emitter);
    case 'pad':
      return candidate.op.paddings.every(([before, after]) => before + after === 0)
        ? candidate.inputs[0]
        : undefined;
    case 'concat':
      return simplifyConcat(candidate, emitter);
    case 'cast':
      return simplifyCast(candidate, emitter);
    case 'matMul':
      return simplifyMatMul(candidate, emitter);
    default:
      return undefined;
  }
}
