/** Random well-typed graphs over all core ops, made from a tape of choices so that fast-check can shrink them. */
import fc from 'fast-check';
import { GraphBuilder } from '../../src/graph/builder.js';
import {
  BINARY_OPS,
  COMPARE_OPS,
  type DType,
  FLOAT_UNARY_OPS,
  type Graph,
  type GraphNode,
  LOGICAL_OPS,
  NUMERIC_UNARY_OPS,
  type Op,
  REDUCE_OPS,
  type Shape,
  sizeOf,
  TEST_UNARY_OPS,
  type TypedArray,
  type Window,
} from '../../src/graph/graph.js';
import { broadcastShapes } from '../../src/graph/infer.js';

export interface RandomProgram {
  readonly graph: Graph;
  readonly inputs: Record<string, TypedArray>;
  /** Other values for the same inputs; particle 0 has `inputs`. */
  inputsOf(particle: number): Record<string, TypedArray>;
}

/** Reads whole numbers below a bound off the tape, zeros beyond its end. */
class Tape {
  #at = 0;
  readonly #words: readonly number[];
  constructor(words: readonly number[]) {
    this.#words = words;
  }
  get done(): boolean {
    return this.#at >= this.#words.length;
  }
  below(n: number): number {
    return (this.#words[this.#at++] ?? 0) % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

const SPECIAL = [0, -0, 1, -1, 2, 0.5, NaN, Infinity, -Infinity, 1e-40, 3e38, -2.5, 1.5, 0.1, -0.3, 7];
const SHAPES: readonly Shape[] = [
  [],
  [1],
  [3],
  [2, 3],
  [1, 3],
  [2, 1],
  [3, 2],
  [2, 1, 3],
  [0],
  [0, 3],
  [1, 1],
];

/** Values from one word of the tape, so that the rest of it is left for the ops. */
function randomValues(
  word: number,
  shape: Shape,
  dtype: DType,
  floats: readonly number[] = SPECIAL,
): TypedArray {
  const size = sizeOf(shape);
  let seed = word;
  const below = (n: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
    return (seed >>> 16) % n;
  };
  if (dtype === 'bool') return Uint8Array.from({ length: size }, () => below(2));
  if (dtype === 'int32') return Int32Array.from({ length: size }, () => below(9) - 4);
  // One array in three has equal elements, which passes see through.
  const repeats = below(3) === 0;
  let last = floats[below(floats.length)];
  return Float32Array.from({ length: size }, () => {
    if (!repeats) last = floats[below(floats.length)];
    return last;
  });
}

function tryBroadcast(shapes: readonly Shape[]): boolean {
  try {
    return sizeOf(broadcastShapes(shapes)) <= 64;
  } catch {
    return false;
  }
}

const STRUCTURE = [
  'broadcastTo',
  'cast',
  'clip',
  'concat',
  'cumsum',
  'gather',
  'matMul',
  'pad',
  'reduce',
  'argReduce',
  'reshape',
  'segmentSum',
  'select',
  'slice',
  'step',
  'transpose',
  'window',
  'argSort',
] as const;

/** One more node on `builder`, or none when the choices do not fit together. */
function grow(builder: GraphBuilder, tape: Tape, floats: readonly number[]): void {
  const nodes = Array.from({ length: builder.size }, (_, id) => builder.node(id));
  const of = (...dtypes: DType[]) => nodes.filter((n) => dtypes.includes(n.dtype));
  // Chains of ops are what passes look for: half of the picks are among the newest.
  const back = (n: number) => tape.below(tape.below(2) === 0 ? Math.min(3, n) : n);
  const any = (): GraphNode => nodes[nodes.length - 1 - back(nodes.length)];
  const choose = (list: readonly GraphNode[]): GraphNode | undefined =>
    list.length > 0 ? list[list.length - 1 - back(list.length)] : undefined;
  const elementwise = (name: Op['name'], first: GraphNode | undefined, partners: readonly GraphNode[]) => {
    if (!first) return;
    const second = choose(
      partners.filter((n) => n.dtype === first.dtype && tryBroadcast([n.shape, first.shape])),
    );
    if (second) builder.add({ name } as Op, [first.id, second.id]);
  };
  const kind = tape.below(11);
  if (kind === 0) {
    const x = choose(of('float32'));
    if (x) builder.add({ name: tape.pick([...FLOAT_UNARY_OPS, ...TEST_UNARY_OPS]) }, [x.id]);
  } else if (kind === 1) {
    const x = choose(of('float32', 'int32'));
    if (x) builder.add({ name: tape.pick(NUMERIC_UNARY_OPS) }, [x.id]);
  } else if (kind <= 4) {
    const floatOnly = ['atan2', 'div'];
    const first = choose(of('float32', 'int32'));
    const names = BINARY_OPS.filter((name) => first?.dtype === 'float32' || !floatOnly.includes(name));
    elementwise(tape.pick(names), first, nodes);
  } else if (kind === 5) {
    elementwise(tape.pick(COMPARE_OPS), choose(of('float32', 'int32')), nodes);
  } else if (kind === 6) {
    if (tape.below(3) === 0) {
      const x = choose(of('bool'));
      if (x) builder.add({ name: 'logicalNot' }, [x.id]);
    } else elementwise(tape.pick(LOGICAL_OPS), choose(of('bool')), nodes);
  } else growStructure(builder, tape, { any, choose, of, nodes, floats });
}

interface Pool {
  any(): GraphNode;
  choose(list: readonly GraphNode[]): GraphNode | undefined;
  of(...dtypes: DType[]): GraphNode[];
  readonly nodes: readonly GraphNode[];
  readonly floats: readonly number[];
}

function growStructure(builder: GraphBuilder, tape: Tape, { any, choose, of, nodes, floats }: Pool): void {
  const last = builder.node(builder.size - 1).op.name;
  // Again the op of the last node, half of the time: slices of slices, reshapes of reshapes.
  const again = STRUCTURE.filter((op) => op === last);
  const name = tape.below(2) === 0 && again.length > 0 ? again[0] : tape.pick(STRUCTURE);
  const x = any();
  const rank = x.shape.length;
  const axis = rank > 0 ? tape.below(rank) : -1;
  switch (name) {
    case 'broadcastTo': {
      const target = [...Array.from({ length: tape.below(2) }, () => tape.below(3) + 1), ...x.shape];
      const shape = target.map((d) => (d === 1 ? tape.below(4) : d));
      if (sizeOf(shape) <= 64) builder.add({ name }, [x.id], { shape });
      break;
    }
    case 'cast': {
      // A float32 outside int32 has no promised cast, so only small-valued casts are drawn.
      const dtype = tape.pick(['float32', 'bool'] as const);
      builder.add({ name }, [x.id], { dtype });
      break;
    }
    case 'clip':
      if (x.dtype !== 'bool') builder.add({ name, min: -1, max: tape.below(3) }, [x.id]);
      break;
    case 'step': {
      const float = choose(of('float32'));
      if (float) builder.add({ name, alpha: tape.pick([0, 0.2, -1]) }, [float.id]);
      break;
    }
    case 'concat': {
      if (rank === 0) break;
      const fits = nodes.filter(
        (n) =>
          n.dtype === x.dtype &&
          n.shape.length === rank &&
          n.shape.every((d, i) => i === axis || d === x.shape[i]),
      );
      const inputs = Array.from({ length: 1 + tape.below(3) }, () => (choose(fits) as GraphNode).id);
      builder.add({ name, axis }, inputs);
      break;
    }
    case 'cumsum':
      if (rank > 0 && x.dtype !== 'bool') {
        builder.add({ name, axis, exclusive: tape.below(2) === 1, reverse: tape.below(2) === 1 }, [x.id]);
      }
      break;
    case 'gather': {
      const indices = choose(of('int32'));
      if (rank > 0 && indices && indices.shape.length < 3) {
        builder.add({ name, axis, batchDims: 0 }, [x.id, indices.id]);
      }
      break;
    }
    case 'matMul': {
      const matrices = of('float32').filter((n) => n.shape.length >= 2);
      const a = choose(matrices);
      if (!a) break;
      const transposeA = tape.below(2) === 1;
      const transposeB = tape.below(2) === 1;
      const k = a.shape.at(transposeA ? -2 : -1);
      const fits = matrices.filter(
        (n) =>
          n.shape.at(transposeB ? -1 : -2) === k &&
          tryBroadcast([a.shape.slice(0, -2), n.shape.slice(0, -2)]),
      );
      const b = choose(fits);
      if (b) builder.add({ name, transposeA, transposeB }, [a.id, b.id]);
      break;
    }
    case 'pad': {
      const paddings = x.shape.map(() => [tape.below(2), tape.below(2)] as const);
      if (sizeOf(x.shape) <= 16) builder.add({ name, paddings, value: tape.below(2) }, [x.id]);
      break;
    }
    case 'reduce': {
      const axes = x.shape.map((_, i) => i).filter(() => tape.below(2) === 1);
      const names = REDUCE_OPS.filter((op) => (op === 'all' || op === 'any') === (x.dtype === 'bool'));
      builder.add({ name: tape.pick(names), axes, keepDims: tape.below(2) === 1 }, [x.id]);
      break;
    }
    case 'argReduce':
      if (rank > 0 && x.dtype !== 'bool')
        builder.add({ name: tape.pick(['argMax', 'argMin'] as const), axis }, [x.id]);
      break;
    case 'reshape': {
      const size = sizeOf(x.shape);
      const shapes = [[size], [1, size], [size, 1], [...x.shape, 1], [1, ...x.shape]];
      if (size % 2 === 0) shapes.push([2, size / 2]);
      if (size % 3 === 0) shapes.push([size / 3, 3]);
      if (size === 1) shapes.push([]);
      builder.add({ name }, [x.id], { shape: tape.pick(shapes) });
      break;
    }
    case 'segmentSum': {
      const ids = choose(of('int32').filter((n) => n.shape.length === 1));
      const rows = choose(of('float32', 'int32').filter((n) => n.shape[0] === ids?.shape[0]));
      if (ids && rows) builder.add({ name, numSegments: tape.below(4) }, [rows.id, ids.id]);
      break;
    }
    case 'select': {
      const condition = choose(of('bool'));
      const b = choose(nodes.filter((n) => n.dtype === x.dtype));
      if (condition && b && tryBroadcast([condition.shape, x.shape, b.shape])) {
        builder.add({ name }, [condition.id, x.id, b.id]);
      }
      break;
    }
    case 'slice': {
      const size = x.shape.map((d) => tape.below(d + 1));
      const strides = x.shape.map((d, i) => (size[i] > 0 && (size[i] - 1) * 2 < d && tape.below(2) ? 2 : 1));
      const begin = x.shape.map((d, i) => {
        const span = size[i] === 0 ? 0 : (size[i] - 1) * strides[i] + 1;
        return tape.below(d - span + 1);
      });
      const flip = tape.below(3) === 0;
      const from = flip ? begin.map((b, i) => (size[i] > 0 ? b + (size[i] - 1) * strides[i] : b)) : begin;
      builder.add(
        { name, begin: from, strides: flip ? strides.map((s, i) => (size[i] > 0 ? -s : s)) : strides },
        [x.id],
        { shape: size },
      );
      break;
    }
    case 'argSort': {
      const sortable = choose(of('float32', 'int32').filter((n) => n.shape.length > 0));
      if (sortable) builder.add({ name, descending: tape.below(2) === 1 }, [sortable.id]);
      break;
    }
    case 'window':
      growWindow(builder, tape, choose(of('float32').filter((n) => sizeOf(n.shape) <= 24)), floats);
      break;
    case 'transpose': {
      const perm = x.shape.map((_, i) => i);
      for (let i = rank - 1; i > 0; i--) {
        const j = tape.below(i + 1);
        [perm[i], perm[j]] = [perm[j], perm[i]];
      }
      builder.add({ name, perm }, [x.id]);
      break;
    }
  }
}

/** A convolution or a pooling of `x`, seen as an image, or the gradient of one. */
function growWindow(
  builder: GraphBuilder,
  tape: Tape,
  x: GraphNode | undefined,
  floats: readonly number[],
): void {
  if (!x || sizeOf(x.shape) === 0) return;
  const size = sizeOf(x.shape);
  const channels = tape.pick([1, 2, 3].filter((c) => size % c === 0));
  const rows = tape.pick([1, 2, 3].filter((h) => (size / channels) % h === 0));
  const shape = [1, 1, rows, size / channels / rows, channels];
  const image = builder.add({ name: 'reshape' }, [x.id], { shape });
  const window = {
    size: [1, 1 + tape.below(2), 1 + tape.below(3)],
    strides: [1, 1, 1 + tape.below(2)],
    dilations: [1, 1 + tape.below(2), 1],
    padBefore: [0, tape.below(2), tape.below(3) - 1],
  } as const satisfies Window;
  const out = [1, 1, 1 + tape.below(3), 1 + tape.below(4)];
  const values = (of: Shape) =>
    builder.constant(randomValues(tape.below(5040), of, 'float32', floats), of, 'float32');
  const kind = tape.below(7);
  if (kind < 3) {
    const depthwise = tape.below(2) === 1;
    const filters = 1 + tape.below(2);
    const filter = [...window.size, channels, filters];
    const y = [...out, depthwise ? channels * filters : filters];
    if (kind === 0) builder.add({ name: 'conv', window, depthwise }, [image, values(filter)], { shape: y });
    else if (kind === 1)
      builder.add({ name: 'convInputGrad', window, depthwise }, [values(y), values(filter)], { shape });
    else builder.add({ name: 'convFilterGrad', window, depthwise }, [image, values(y)]);
    return;
  }
  const y = [...out, channels];
  if (kind === 3) builder.add({ name: 'windowMax', window }, [image], { shape: y });
  else if (kind === 4) builder.add({ name: 'windowSum', window }, [image], { shape: y });
  else if (kind === 5) builder.add({ name: 'windowMaxGrad', window }, [image, values(y)]);
  else builder.add({ name: 'windowSumGrad', window }, [values(y)], { shape });
}

/**
 * A program of a few inputs, constants and up to about 25 ops; its last nodes are outputs. `floats`: what float32 values are drawn from, default
 * among others NaN, infinities, and the largest and smallest numbers.
 */
export function programFromTape(
  words: readonly number[],
  floats: readonly number[] = SPECIAL,
): RandomProgram {
  const tape = new Tape(words);
  const builder = new GraphBuilder();
  const leaves: { path: string; word: number; shape: Shape; dtype: DType }[] = [];
  const dtypes: readonly DType[] = ['float32', 'float32', 'int32', 'bool', 'float32'];
  dtypes.forEach((dtype, i) => {
    const shape = tape.pick(SHAPES);
    builder.input('value', `x${i}`, shape, dtype);
    leaves.push({ path: `x${i}`, word: tape.below(5040), shape, dtype });
    const constantShape = tape.pick(SHAPES);
    builder.constant(randomValues(tape.below(5040), constantShape, dtype, floats), constantShape, dtype);
  });
  builder.add({ name: 'iota', start: tape.below(3) - 1, step: tape.pick([1, -1, 2]) }, [], { shape: [3] });
  const start = builder.size;
  while (!tape.done && builder.size < start + 30) grow(builder, tape, floats);
  const outputs = Array.from({ length: Math.min(3, builder.size) }, (_, i) => ({
    path: `y${i}`,
    node: builder.size - 1 - i,
  }));
  const inputsOf = (particle: number) =>
    Object.fromEntries(
      leaves.map(({ path, word, shape, dtype }) => [
        path,
        randomValues(word + 7919 * particle, shape, dtype, floats),
      ]),
    );
  return { graph: builder.build(outputs), inputs: inputsOf(0), inputsOf };
}

/** Random programs, shrinking to fewer and simpler choices. */
export const randomPrograms: fc.Arbitrary<RandomProgram> = fc
  .array(fc.nat({ max: 5039 }), { minLength: 60, maxLength: 220, size: 'max' })
  .map(programFromTape);
