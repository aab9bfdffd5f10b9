/** A fused group of elementwise nodes as the micro-ops of an ELEMENTWISE instruction. */
import { type Graph, type GraphNode, type Op, sizeOf } from '../../graph/graph.js';
import type { Value } from './values.js';
import {
  FLOAT_BINARY,
  FLOAT_COMPARE,
  FLOAT_UNARY,
  INT_BINARY,
  INT_COMPARE,
  INT_UNARY,
  Micro,
} from './words.js';

/** An external operand of a group, a register of the instruction: node `node` read as its view says. */
export interface GroupInput {
  readonly node: number;
  readonly product: boolean;
}

export interface GroupProgram {
  readonly inputs: readonly GroupInput[];
  readonly registers: number;
  /** Each: micro, dst, a, b, c, bits0, bits1. */
  readonly micros: readonly (readonly number[])[];
  /** Register of a member (or of the product). */
  register(node: number): number;
  readonly flopsPerElement: number;
}

const scratch = new DataView(new ArrayBuffer(4));
/** The bits of a float32 as an int32. */
export function floatBits(value: number): number {
  scratch.setFloat32(0, value, true);
  return scratch.getInt32(0, true);
}

/** Translates the members; `outputs` are those whose values leave the group. */
export function groupProgram(
  graph: Graph,
  values: readonly Value[],
  members: readonly number[],
  product: number | undefined,
  outputs: readonly number[],
): GroupProgram {
  const { nodes } = graph;
  const inside = new Set(members);
  const registers = new Map<number, number>();
  const inputs: GroupInput[] = [];
  const inputRegister = new Map<string, number>();
  if (product !== undefined) {
    inputs.push({ node: product, product: true });
    registers.set(product, 0);
  }
  const computed = members.filter((m) => m !== product);

  const external = (x: number): number => {
    const v = values[x];
    const key = `${v.base}:${v.offset}:${v.strides.join(',')}:${nodes[x].shape.join(',')}`;
    let register = inputRegister.get(key);
    if (register === undefined) {
      register = inputs.length;
      inputs.push({ node: x, product: false });
      inputRegister.set(key, register);
    }
    return register;
  };
  const isMember = (x: number) => inside.has(values[x].base);
  for (const m of computed) for (const x of nodes[m].inputs) if (!isMember(x)) external(x);

  // A product read by one sum only is fused with it.
  const readers = new Map<number, number>();
  for (const m of computed)
    for (const x of nodes[m].inputs) readers.set(values[x].base, (readers.get(values[x].base) ?? 0) + 1);
  const fusable = (x: number): GraphNode | undefined => {
    const node = nodes[values[x].base];
    const alone =
      isMember(x) && node.id !== product && readers.get(node.id) === 1 && !outputs.includes(node.id);
    return alone && node.op.name === 'mul' && node.dtype === 'float32' ? node : undefined;
  };
  const absorbed = new Set<number>();
  const fusions = new Map<number, { micro: number; mul: GraphNode; other: number }>();
  for (const m of computed) {
    const node = nodes[m];
    if (node.dtype !== 'float32' || (node.op.name !== 'add' && node.op.name !== 'sub')) continue;
    const [a, b] = node.inputs;
    const right = fusable(b);
    const left = right ? undefined : fusable(a);
    const mul = right ?? left;
    if (!mul || values[a].base === values[b].base) continue;
    const micro = node.op.name === 'add' ? Micro.mulAdd : left ? Micro.mulSub : Micro.negMulAdd;
    fusions.set(m, { micro, mul, other: right ? a : b });
    absorbed.add(mul.id);
  }

  let next = inputs.length;
  const micros: number[][] = [];
  const read = (x: number): number => (isMember(x) ? (registers.get(values[x].base) as number) : external(x));
  let flops = 0;
  for (const m of computed) {
    if (absorbed.has(m)) continue;
    const node = nodes[m];
    const dst = next++;
    registers.set(m, dst);
    const fusion = fusions.get(m);
    if (fusion) {
      const [a, b] = fusion.mul.inputs;
      micros.push([fusion.micro, dst, read(a), read(b), read(fusion.other), 0, 0]);
      flops += 2;
      continue;
    }
    const [a = 0, b = 0, c = 0] = node.inputs.map(read);
    const { code, bits0, bits1 } = microOf(node, nodes[node.inputs[0]]);
    micros.push([code, dst, a, b, c, bits0, bits1]);
    flops += 1;
  }
  return {
    inputs,
    registers: next,
    micros,
    register: (node) => registers.get(node) as number,
    flopsPerElement: flops,
  };
}

function microOf(node: GraphNode, first: GraphNode): { code: number; bits0: number; bits1: number } {
  const { op } = node;
  const isFloat = first.dtype === 'float32';
  const plain = (code: number) => ({ code, bits0: 0, bits1: 0 });
  switch (op.name) {
    case 'clip':
      return isFloat
        ? { code: Micro.clipF, bits0: floatBits(op.min), bits1: floatBits(op.max) }
        : { code: Micro.clipI, bits0: intBound(op.min, Math.ceil), bits1: intBound(op.max, Math.floor) };
    case 'step':
      return { code: Micro.step, bits0: floatBits(op.alpha), bits1: 0 };
    case 'cast':
      return plain(castMicro(node, first));
    case 'isNan':
      return plain(Micro.isNan);
    case 'isInf':
      return plain(Micro.isInf);
    case 'isFinite':
      return plain(Micro.isFinite);
    case 'logicalNot':
      return plain(Micro.logicalNot);
    case 'logicalAnd':
      return plain(Micro.logicalAnd);
    case 'logicalOr':
      return plain(Micro.logicalOr);
    case 'bitwiseAnd':
      return plain(Micro.bitwiseAnd);
    case 'select':
      return plain(Micro.select);
    default:
      return plain(tableMicro(op, isFloat));
  }
}

/** Bounds of an int32 clip may be infinite or fractional. */
function intBound(bound: number, round: (x: number) => number): number {
  return Math.min(Math.max(round(bound), -(2 ** 31)), 2 ** 31 - 1);
}

function castMicro(node: GraphNode, from: GraphNode): number {
  if (node.dtype === 'float32') return Micro.intToFloat;
  if (node.dtype === 'int32') return Micro.floatToInt;
  return from.dtype === 'float32' ? Micro.floatToBool : Micro.intToBool;
}

function tableMicro(op: Op, isFloat: boolean): number {
  const tables: readonly Readonly<Record<string, number>>[] = isFloat
    ? [FLOAT_UNARY, FLOAT_BINARY, FLOAT_COMPARE]
    : [INT_UNARY, INT_BINARY, INT_COMPARE];
  for (const table of tables) if (op.name in table) return table[op.name];
  throw new Error(`no micro-op for ${op.name} of ${isFloat ? 'float32' : 'int32 or bool'}`);
}

/** Elements that a group's instruction walks. */
export function groupSize(graph: Graph, members: readonly number[]): number {
  return sizeOf(graph.nodes[members[0]].shape);
}
