/**
 * A graph as text, one line a node, the same text for the same graph: what pass tests compare and what people read.
 *
 *     %0 = input {theta "w"} : float32[64,10]
 *     %1 = constant {0.5} : float32[]
 *     %2 = mul(%0, %1) : float32[64,10]
 *     return loss = %2
 */
import type { Graph, GraphNode, Op, Triple, TypedArray, Window } from './graph.js';
import { formatType } from './infer.js';

/** Constants of at most this many elements are printed by value, longer ones by hash. */
const MAX_PRINTED_VALUES = 8;

/** Shortest decimal that reads back as the same float32 (or the integer itself); `-0`, `NaN`, `Infinity` by name. */
export function formatFloat(x: number): string {
  if (Object.is(x, -0)) return '-0';
  // int32 values are exact; a larger whole number is a float32 like any other.
  if (!Number.isFinite(x) || (Number.isInteger(x) && Math.abs(x) <= 2 ** 31)) return String(x);
  const target = Math.fround(x);
  // An attribute that is no float32 (a double from the user's code) is printed in full.
  if (target !== x) return String(x);
  for (let digits = 1; digits <= 9; digits++) {
    const text = x.toPrecision(digits);
    if (Math.fround(Number(text)) === target) return String(Number(text));
  }
  return String(x);
}

/** FNV-1a over the bytes, as eight hex digits. */
export function hashValues(values: TypedArray): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let h = 0x811c9dc5;
  for (const byte of bytes) h = Math.imul(h ^ byte, 0x01000193);
  return (h >>> 0).toString(16).padStart(8, '0');
}

function list(values: readonly number[]): string {
  return `[${values.join(',')}]`;
}

function formatValues(values: TypedArray): string {
  if (values.length > MAX_PRINTED_VALUES) return `hash ${hashValues(values)}`;
  if (values instanceof Uint8Array) return Array.from(values, (v) => (v ? 'true' : 'false')).join(', ');
  return Array.from(values, formatFloat).join(', ');
}

/** A window's size, and what is not 1 (strides, dilations) or 0 (padding). */
function formatWindow({ size, strides, dilations, padBefore }: Window): string[] {
  const unless = (usual: number, name: string, triple: Triple) =>
    triple.every((n) => n === usual) ? [] : [`${name} ${list(triple)}`];
  return [
    `size ${list(size)}`,
    ...unless(1, 'strides', strides),
    ...unless(1, 'dilations', dilations),
    ...unless(0, 'padBefore', padBefore),
  ];
}

/** The attributes of an op, without its name; empty when it has none (flags that are false are left out). */
export function formatAttributes(op: Op): string {
  const flags = (entries: Record<string, boolean>) =>
    Object.entries(entries)
      .filter(([, on]) => on)
      .map(([name]) => name);
  switch (op.name) {
    case 'input':
      return `${op.role} ${JSON.stringify(op.path)}`;
    case 'constant':
      return formatValues(op.values);
    case 'random': {
      const { distribution, ...parameters } = op.kind;
      const shown = Object.entries(parameters).map(([name, value]) => `${name} ${formatFloat(value)}`);
      return [distribution, ...shown, `share ${op.share}`, `draw ${op.draw}`].join(', ');
    }
    case 'iota':
      return `start ${formatFloat(op.start)}, step ${formatFloat(op.step)}`;
    case 'clip':
      return `${formatFloat(op.min)}, ${formatFloat(op.max)}`;
    case 'step':
      return `alpha ${formatFloat(op.alpha)}`;
    case 'matMul':
      return flags({ transposeA: op.transposeA, transposeB: op.transposeB }).join(', ');
    case 'all':
    case 'any':
    case 'max':
    case 'min':
    case 'prod':
    case 'sum':
      return [`axes ${list(op.axes)}`, ...flags({ keepDims: op.keepDims })].join(', ');
    case 'argMax':
    case 'argMin':
    case 'concat':
      return `axis ${op.axis}`;
    case 'transpose':
      return `perm ${list(op.perm)}`;
    case 'slice': {
      const plain = op.strides.every((s) => s === 1);
      return `begin ${list(op.begin)}${plain ? '' : `, strides ${list(op.strides)}`}`;
    }
    case 'pad':
      return `${op.paddings.map(([before, after]) => `[${before},${after}]`).join(' ')} value ${formatFloat(op.value)}`.trim();
    case 'gather':
      return `axis ${op.axis}${op.batchDims ? `, batchDims ${op.batchDims}` : ''}`;
    case 'segmentSum':
      return `numSegments ${op.numSegments}`;
    case 'conv':
    case 'convInputGrad':
    case 'convFilterGrad':
      return [...formatWindow(op.window), ...flags({ depthwise: op.depthwise })].join(', ');
    case 'windowMax':
    case 'windowSum':
    case 'windowMaxGrad':
    case 'windowSumGrad':
      return formatWindow(op.window).join(', ');
    case 'argSort':
      return flags({ descending: op.descending }).join(', ');
    case 'triangularSolve':
      return [op.lower ? 'lower' : 'upper', ...flags({ transpose: op.transpose })].join(', ');
    case 'cumsum':
      return [`axis ${op.axis}`, ...flags({ exclusive: op.exclusive, reverse: op.reverse })].join(', ');
    default:
      return '';
  }
}

/** One line of `printGraph`. */
export function printNode(node: GraphNode): string {
  const inputs = node.inputs.length > 0 ? `(${node.inputs.map((id) => `%${id}`).join(', ')})` : '';
  const attributes = formatAttributes(node.op);
  const braces = attributes ? ` {${attributes}}` : '';
  return `%${node.id} = ${node.op.name}${inputs}${braces} : ${formatType(node)}`;
}

/** The whole graph: its nodes in order, then one `return` line per output. No trailing newline. */
export function printGraph(graph: Graph): string {
  const returns = graph.outputs.map(({ path, node }) => `return ${path} = %${node}`);
  return [...graph.nodes.map(printNode), ...returns].join('\n');
}
