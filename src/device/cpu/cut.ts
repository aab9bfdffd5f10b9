/**
 * Cutting one uniform instruction into independent ones along its outer dims, so that threads share it. Every element of a result is computed as
 * in the whole instruction, but for `cutReduced`, whose cut the caller fixes.
 */
import { sizeOf } from '../../graph/graph.js';
import { Opcode } from './words.js';

/** From .. to - 1 along an axis. */
type Range = readonly [from: number, to: number];

/** Pieces along a contiguous last axis are multiples of this many elements: a cache line of float32. */
const LINE = 16;
/** Rows and columns of a product are cut at multiples of these, so that register tiles stay whole. */
const TILE_ROWS = 24;
const TILE_COLUMNS = 64;
const GEOMETRY_WORDS = 20;

/** At most `parts` ranges of [0, n), cut at multiples of `multiple`, as even as that allows. */
export function ranges(n: number, parts: number, multiple = 1): Range[] {
  const blocks = Math.ceil(n / multiple);
  const count = Math.max(1, Math.min(parts, blocks));
  const result: Range[] = [];
  for (let i = 0; i < count; i++) {
    const from = Math.floor((i * blocks) / count) * multiple;
    const to = Math.min(n, Math.floor(((i + 1) * blocks) / count) * multiple);
    if (to > from || n === 0) result.push([from, to]);
  }
  return result;
}

/** The payload with other words at the given positions. */
function patched(payload: readonly number[], changes: readonly (readonly [at: number, value: number])[]) {
  const copy = payload.slice();
  for (const [at, value] of changes) copy[at] = value;
  return copy;
}

/** Along which axis strided loops are cut: the first that has enough for all, else the longest. */
function widestAxis(dims: readonly number[], parts: number): number {
  const first = dims.findIndex((d) => d >= 2 * parts);
  return first >= 0 ? first : dims.indexOf(Math.max(...dims));
}

/** Positions, in a payload, of an operand's offset and of the first of its strides. */
interface Slot {
  readonly offset: number;
  readonly strides: number;
}

function cutLoop(
  payload: readonly number[],
  dimsAt: number,
  rank: number,
  slots: readonly Slot[],
  parts: number,
  axis = widestAxis(payload.slice(dimsAt, dimsAt + rank), parts),
  multiple = axis === rank - 1 ? LINE : 1,
): number[][] {
  if (rank === 0) return [payload.slice()];
  return ranges(payload[dimsAt + axis], parts, multiple).map(([from, to]) =>
    patched(payload, [
      [dimsAt + axis, to - from],
      ...slots.map((s): [number, number] => [s.offset, payload[s.offset] + from * payload[s.strides + axis]]),
    ]),
  );
}

/** Operand positions of an ELEMENTWISE body that begins at `start`; the product of a fused one has no memory of its own. */
function elementwiseSlots(payload: readonly number[], start: number): { rank: number; slots: Slot[] } {
  const rank = payload[start];
  const slots: Slot[] = [];
  let at = start + 1 + rank;
  for (let n = payload[at++]; n > 0; n--, at += 2 + rank)
    if (payload[at] >= 0) slots.push({ offset: at + 1, strides: at + 2 });
  for (let k = payload[at++]; k > 0; k--, at += 3 + rank) slots.push({ offset: at + 2, strides: at + 3 });
  return { rank, slots };
}

/**
 * A contiguous leading dim at `dimAt`; each operand (position of its offset) moves by so many elements per index.
 */
function cutLeading(
  payload: readonly number[],
  dimAt: number,
  moves: readonly (readonly [offsetAt: number, elements: number])[],
  parts: number,
): number[][] {
  return ranges(payload[dimAt], parts).map(([from, to]) =>
    patched(payload, [
      [dimAt, to - from],
      ...moves.map(([at, elements]): [number, number] => [at, payload[at] + from * elements]),
    ]),
  );
}

function cutMatmul(payload: readonly number[], parts: number): number[][] {
  const q = payload[1];
  const [m, n] = [2 + q, 3 + q];
  const a = 5 + q;
  const [b, c] = [a + 4 + q, a + 8 + 2 * q];
  if (q > 0 && payload[2] >= parts) {
    const slots = [a, b, c].map((at) => ({ offset: at + 1, strides: at + 4 }));
    return cutLoop(payload, 2, q, slots, parts, 0, 1);
  }
  const rows = payload[m] >= payload[n];
  return ranges(payload[rows ? m : n], parts, rows ? TILE_ROWS : TILE_COLUMNS).map(([from, to]) =>
    patched(payload, [
      [rows ? m : n, to - from],
      rows
        ? [a + 1, payload[a + 1] + from * payload[a + 2]]
        : [b + 1, payload[b + 1] + from * payload[b + 3]],
      [c + 1, payload[c + 1] + from * payload[rows ? c + 2 : c + 3]],
    ]),
  );
}

function cutMatmulElementwise(payload: readonly number[], parts: number): number[][] {
  const { rank, slots } = elementwiseSlots(payload, 12);
  const rows = payload[1] >= payload[2];
  const axis = rows ? 0 : 1;
  const multiple = rows ? TILE_ROWS : TILE_COLUMNS;
  return cutLoop(payload, 13, rank, slots, parts, axis, multiple).map((piece, i) => {
    const [from, to] = ranges(payload[rows ? 1 : 2], parts, multiple)[i];
    return patched(piece, [
      [rows ? 1 : 2, to - from],
      rows ? [5, payload[5] + from * payload[6]] : [9, payload[9] + from * payload[11]],
    ]);
  });
}

/** REDUCE: where its parts are. */
function reduceSlots(payload: readonly number[]) {
  const p = payload[2];
  const q = payload[3 + p];
  const input = 4 + p + q;
  return { p, q, outDims: 3, redDims: 4 + p, input, output: input + 2 + p + q };
}

/** The output is contiguous, so that only its first axis of more than one element may be cut; pieces of it are cut further. */
function cutReduce(payload: readonly number[], parts: number): number[][] {
  const { p, outDims, input, output } = reduceSlots(payload);
  const axis = payload.slice(outDims, outDims + p).findIndex((d) => d > 1);
  if (axis < 0) return [payload.slice()];
  const inner = sizeOf(payload.slice(outDims + axis + 1, outDims + p));
  const pieces = ranges(payload[outDims + axis], parts, inner === 1 ? LINE : 1).map(([from, to]) =>
    patched(payload, [
      [outDims + axis, to - from],
      [input + 1, payload[input + 1] + from * payload[input + 2 + axis]],
      [output + 1, payload[output + 1] + from * inner],
    ]),
  );
  const share = Math.floor(parts / pieces.length);
  const single = pieces.every((piece) => piece[outDims + axis] === 1);
  return share > 1 && single && inner > 1 ? pieces.flatMap((piece) => cutReduce(piece, share)) : pieces;
}

/**
 * A REDUCE as `blocks` ones over parts of its longest reduced axis, which write their results one after the other: [blocks, outputs]. Returns
 * fewer where the axis is shorter.
 */
export function cutReduced(payload: readonly number[], blocks: number): number[][] {
  const { p, q, outDims, redDims, input, output } = reduceSlots(payload);
  const dims = payload.slice(redDims, redDims + q);
  const axis = dims.indexOf(Math.max(...dims));
  const outputs = sizeOf(payload.slice(outDims, outDims + p));
  return ranges(dims[axis], blocks).map(([from, to], i) =>
    patched(payload, [
      [redDims + axis, to - from],
      [input + 1, payload[input + 1] + from * payload[input + 2 + p + axis]],
      [output + 1, payload[output + 1] + i * outputs],
    ]),
  );
}

/** Strides of `count` named dims stand from `at` on. */
function cutGather(payload: readonly number[], parts: number): number[][] {
  const [batch, outer, , inner, m] = payload.slice(2, 7);
  // x: space 7, offset 8, strides 9..12; indices: space 13, offset 14, strides 15, 16; output: space 17, offset 18.
  if (batch >= parts || (outer === 1 && m === 1)) {
    const moves = [
      [8, payload[9]],
      [14, payload[15]],
      [18, outer * m * inner],
    ] as const;
    return cutLeading(payload, 2, moves, parts);
  }
  if (batch > 1) return [payload.slice()];
  if (outer >= parts || m === 1)
    return cutLeading(
      payload,
      3,
      [
        [8, payload[10]],
        [18, m * inner],
      ],
      parts,
    );
  if (outer > 1) return [payload.slice()];
  return cutLeading(
    payload,
    6,
    [
      [14, payload[16]],
      [18, inner],
    ],
    parts,
  );
}

/** Windows are cut by images: elements of one image and of one image's windows. */
function windowSizes(payload: readonly number[], geometry: number): { image: number; windows: number } {
  const [, d, h, w, c, , , , od, oh, ow] = payload.slice(geometry, geometry + 11);
  return { image: d * h * w * c, windows: od * oh * ow * c };
}

/**
 * `payload` as at most `parts` payloads of the same opcode that together do its work, in any order; one where it cannot be cut.
 */
export function cutInstruction(opcode: number, payload: readonly number[], parts: number): number[][] {
  if (parts <= 1) return [payload.slice()];
  switch (opcode) {
    case Opcode.elementwise: {
      const { rank, slots } = elementwiseSlots(payload, 1);
      return cutLoop(payload, 2, rank, slots, parts);
    }
    case Opcode.matmul:
      return cutMatmul(payload, parts);
    case Opcode.matmulElementwise:
      return cutMatmulElementwise(payload, parts);
    case Opcode.reduce:
      return cutReduce(payload, parts);
    case Opcode.copy:
    case Opcode.fill: {
      const rank = payload[1];
      const slots = [{ offset: 3 + rank, strides: 4 + rank }];
      if (opcode === Opcode.copy) slots.push({ offset: 5 + 2 * rank, strides: 6 + 2 * rank });
      return cutLoop(payload, 2, rank, slots, parts);
    }
    case Opcode.gather:
      return cutGather(payload, parts);
    case Opcode.cumsum: {
      const [n, inner] = payload.slice(5, 7);
      return cutLeading(
        payload,
        4,
        [
          [8, payload[9]],
          [13, n * inner],
        ],
        parts,
      );
    }
    case Opcode.conv: {
      const to = payload.length - 1;
      return ranges(payload[to], parts).map((range) =>
        patched(payload, [
          [to - 1, range[0]],
          [to, range[1]],
        ]),
      );
    }
    case Opcode.window: {
      const { image, windows } = windowSizes(payload, 2);
      const operands = 2 + GEOMETRY_WORDS;
      const moves = [
        [operands + 1, image],
        [operands + 3, windows],
      ] as const;
      return cutLeading(payload, 2, moves, parts);
    }
    case Opcode.windowGrad: {
      const { image, windows } = windowSizes(payload, 2);
      const operands = 2 + GEOMETRY_WORDS;
      // Of a sum, x is given as dy and never read: it moves along with it.
      const moves = [
        [operands + 1, payload[1] === 1 ? windows : image],
        [operands + 3, windows],
        [operands + 5, image],
      ] as const;
      return cutLeading(payload, 2, moves, parts);
    }
    case Opcode.argSort:
      return cutLeading(
        payload,
        3,
        [
          [6, payload[4]],
          [8, payload[4]],
        ],
        parts,
      );
    case Opcode.cholesky: {
      const size = payload[2] * payload[2];
      return cutLeading(
        payload,
        1,
        [
          [4, size],
          [6, size],
        ],
        parts,
      );
    }
    case Opcode.symmetricEigen: {
      const n = payload[2];
      return cutLeading(
        payload,
        1,
        [
          [4, n * n],
          [6, n * (n + 1)],
        ],
        parts,
      );
    }
    case Opcode.triangularSolve: {
      const [n, m] = payload.slice(4, 6);
      return cutLeading(
        payload,
        3,
        [
          [7, n * n],
          [9, n * m],
          [11, n * m],
        ],
        parts,
      );
    }
    default:
      return [payload.slice()];
  }
}
