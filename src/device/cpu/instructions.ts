/** Writers of single instructions (native/engine/program.h), and where a block's words are gathered. */
import { type GraphNode, sizeOf } from '../../graph/graph.js';
import { floatBits } from './elementwise.js';
import { collapseTogether, contiguousStrides } from './views.js';
import { Distribution, Opcode, Reduce, ShareCode, Space } from './words.js';

/** A space and the first element in it. */
export interface Place {
  readonly space: number;
  readonly offset: number;
}

/** Where a block's words and its readable listing are gathered. */
export class BlockWriter {
  readonly words: number[] = [];
  readonly lines: string[] = [];
  /** Floating point operations of varying instructions, per particle. */
  flops = 0;
  /** Floating point operations of uniform instructions. */
  uniformFlops = 0;

  /** Adds operations of an instruction of this mode. */
  count(mode: number, flops: number) {
    if (mode === 0) this.uniformFlops += flops;
    else this.flops += flops;
  }

  instruction(opcode: number, payload: readonly number[], text: string) {
    this.words.push(opcode, payload.length + 2, ...payload);
    this.lines.push(text);
  }
}

/** Memory under strides. */
export interface Operand extends Place {
  readonly strides: readonly number[];
}

const spaceName = ['V', 'U', 'C', 'D', 'S', 'P'];
/** A place as listings name it: V12; X3 is external 3, X3+12 its element 12. */
export function show({ space, offset }: Place): string {
  if (space < Space.external) return `${spaceName[space]}${offset}`;
  return `X${space - Space.external}${offset === 0 ? '' : `+${offset}`}`;
}

/** Words of a copy: the axes that both sides walk as one, then both sides. */
function copyWords(shape: readonly number[], from: Operand, to: Operand): number[] {
  const { dims, strides } = collapseTogether(shape, [from.strides, to.strides]);
  return [dims.length, ...dims, from.space, from.offset, ...strides[0], to.space, to.offset, ...strides[1]];
}

/** COPY of a value of `shape`; `why` is for the listing. */
export function writeCopy(
  out: BlockWriter,
  mode: number,
  shape: readonly number[],
  from: Operand,
  to: Operand,
  why: string,
) {
  out.instruction(
    Opcode.copy,
    [mode, ...copyWords(shape, from, to)],
    `${show(to)} = copy[${shape}] ${show(from)} (${why})`,
  );
}

/** INIT_COPY: the fresh lanes of a state leaf. */
export function writeInitCopy(out: BlockWriter, shape: readonly number[], from: Operand, to: Operand) {
  out.instruction(
    Opcode.initCopy,
    copyWords(shape, from, to),
    `${show(to)} = fresh lanes of [${shape}] ${show(from)}`,
  );
}

/** FILL with one word. */
export function writeFill(
  out: BlockWriter,
  mode: number,
  shape: readonly number[],
  to: Operand,
  bits: number,
) {
  const walk = collapseTogether(shape, [to.strides]);
  out.instruction(
    Opcode.fill,
    [mode, walk.dims.length, ...walk.dims, to.space, to.offset, ...walk.strides[0], bits],
    `${show(to)} = fill[${shape}]`,
  );
}

/** RANDOM: the draws of a random node; `stream` is their Philox stream. */
export function writeRandom(
  out: BlockWriter,
  mode: number,
  node: GraphNode,
  stream: number,
  result: Operand,
) {
  if (node.op.name !== 'random') throw new Error('no draw');
  const { kind, share, draw } = node.op;
  const bits =
    kind.distribution === 'uniform'
      ? [floatBits(kind.low), floatBits(kind.high)]
      : kind.distribution === 'integers'
        ? [kind.low | 0, (kind.high - kind.low) | 0]
        : [kind.distribution === 'bernoulli' ? floatBits(kind.p) : 0, 0];
  const count = sizeOf(node.shape);
  const code = [mode, Distribution[kind.distribution], ShareCode[share], stream, draw, count, ...bits];
  out.instruction(
    Opcode.random,
    [...code, result.space, result.offset],
    `${show(result)} = ${kind.distribution}[${node.shape}] per ${share}`,
  );
  out.count(mode, count);
}

/** REDUCE of `source`, seen as `view`; FILL with the identity where there is nothing to reduce. */
export function writeReduce(
  out: BlockWriter,
  mode: number,
  node: GraphNode,
  source: GraphNode,
  view: Operand,
  result: Operand,
) {
  const { op } = node;
  const isInt = source.dtype === 'float32' ? 0 : 1;
  let kind: readonly number[];
  let axes: readonly number[];
  switch (op.name) {
    case 'argMax':
    case 'argMin':
      kind = Reduce[op.name];
      axes = [op.axis];
      break;
    case 'sum':
    case 'prod':
    case 'max':
    case 'min':
      kind = Reduce[op.name];
      axes = op.axes;
      break;
    case 'any':
    case 'all':
      kind = op.name === 'any' ? Reduce.max : Reduce.min;
      axes = op.axes;
      break;
    default:
      throw new Error(`the cpu planner has no instruction for ${op.name}`);
  }
  const kept = source.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  if (axes.some((i) => source.shape[i] === 0)) {
    writeFill(out, mode, node.shape, result, emptyReduction(op.name, isInt));
    return;
  }
  const pick = (list: readonly number[]) => [
    list.map((i) => source.shape[i]),
    list.map((i) => view.strides[i]),
  ];
  const [outDims, outStrides] = pick(kept);
  const [redDims, redStrides] = pick(axes);
  const outer = collapseTogether(outDims, [outStrides, contiguousStrides(outDims)]);
  const reduced = collapseTogether(redDims, [redStrides]);
  out.instruction(
    Opcode.reduce,
    [
      mode,
      kind[isInt],
      outer.dims.length,
      ...outer.dims,
      reduced.dims.length,
      ...reduced.dims,
      view.space,
      view.offset,
      ...outer.strides[0],
      ...reduced.strides[0],
      result.space,
      result.offset,
    ],
    `${show(result)} = ${op.name}[${source.shape}] over [${axes}] ${show(view)}`,
  );
  out.count(mode, sizeOf(source.shape));
}

/** What a reduction over no elements gives, as bits. */
function emptyReduction(name: string, isInt: number): number {
  const infinity = (sign: number) =>
    isInt ? (sign < 0 ? -(2 ** 31) : 2 ** 31 - 1) : floatBits(sign * Number.POSITIVE_INFINITY);
  switch (name) {
    case 'prod':
      return isInt ? 1 : floatBits(1);
    case 'max':
      return infinity(-1);
    case 'min':
      return infinity(1);
    case 'all':
      return 1;
    default:
      return 0;
  }
}
