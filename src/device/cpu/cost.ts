/**
 * Rough running times of units on one core, to decide what is worth a task of its own. Results never depend on them; measured on AVX2 cores
 * of about 3 GHz, good to a factor of two.
 */
import { type Graph, type GraphNode, sizeOf } from '../../graph/graph.js';
import type { Unit } from './units.js';

/** What an instruction costs before it does anything, in microseconds. */
const DISPATCH = 0.05;

/** Nanoseconds per element. */
const PER_OPERAND = 0.1;
const PER_MICRO = 0.1;
const PER_TRANSCENDENTAL = 1;
const PER_MOVED = 0.3;
const PER_GATHERED = 0.5;
const PER_DRAWN = 3;
const PER_COMPARED = 4;
/** Nanoseconds per floating point operation. */
const PER_PRODUCT_FLOP = 0.025;
const PER_CONV_FLOP = 0.05;
const PER_WINDOW_ELEMENT = 0.4;
const PER_FACTOR_FLOP = 0.5;

const CHEAP: ReadonlySet<string> = new Set([
  'abs',
  'add',
  'bitwiseAnd',
  'cast',
  'ceil',
  'clip',
  'div',
  'equal',
  'floor',
  'greater',
  'greaterEqual',
  'less',
  'lessEqual',
  'logicalAnd',
  'logicalNot',
  'logicalOr',
  'maximum',
  'minimum',
  'mul',
  'neg',
  'notEqual',
  'reciprocal',
  'relu',
  'round',
  'select',
  'sign',
  'sqrt',
  'square',
  'squaredDifference',
  'step',
  'sub',
]);

/** Microseconds of moving `elements` elements. */
export function copyCost(elements: number): number {
  return DISPATCH + (elements * PER_MOVED) / 1000;
}

/** Microseconds of a unit; `operands` is how many values it reads and writes. */
export function unitCost(graph: Graph, unit: Unit, operands: number): number {
  const { nodes } = graph;
  let nanoseconds = 0;
  if (unit.kind === 'group') {
    const elements = sizeOf(nodes[unit.nodes[0]].shape);
    let each = operands * PER_OPERAND;
    for (const m of unit.nodes)
      if (m !== unit.product) each += CHEAP.has(nodes[m].op.name) ? PER_MICRO : PER_TRANSCENDENTAL;
    nanoseconds = elements * each;
    if (unit.product !== undefined) nanoseconds += kernelCost(graph, nodes[unit.product]);
  } else nanoseconds = kernelCost(graph, nodes[unit.nodes[0]]);
  return DISPATCH + nanoseconds / 1000;
}

function kernelCost(graph: Graph, node: GraphNode): number {
  const inputs = node.inputs.map((x) => graph.nodes[x]);
  const size = sizeOf(node.shape);
  const { op } = node;
  switch (op.name) {
    case 'matMul': {
      const [a] = inputs;
      const k = a.shape[a.shape.length - (op.transposeA ? 2 : 1)];
      return 2 * size * k * PER_PRODUCT_FLOP;
    }
    case 'conv':
    case 'convInputGrad':
    case 'convFilterGrad': {
      const filter = op.name === 'convFilterGrad' ? node : inputs[1];
      const y = op.name === 'conv' ? node : op.name === 'convInputGrad' ? inputs[0] : inputs[1];
      return 2 * sizeOf(y.shape.slice(0, 4)) * sizeOf(filter.shape) * PER_CONV_FLOP;
    }
    case 'windowMax':
    case 'windowSum':
      return size * sizeOf(op.window.size) * PER_WINDOW_ELEMENT;
    case 'windowMaxGrad':
    case 'windowSumGrad':
      return sizeOf(inputs[inputs.length - 1].shape) * sizeOf(op.window.size) * PER_WINDOW_ELEMENT;
    case 'cholesky':
      return (size * node.shape[node.shape.length - 1] * PER_FACTOR_FLOP) / 3;
    case 'symmetricEigen':
      return size * node.shape[node.shape.length - 1] * PER_FACTOR_FLOP * 9;
    case 'triangularSolve':
      return size * node.shape[node.shape.length - 2] * PER_FACTOR_FLOP;
    case 'argSort':
      return size * Math.log2(node.shape[node.shape.length - 1] + 1) * PER_COMPARED;
    case 'random':
      return size * PER_DRAWN;
    case 'gather':
      return size * PER_GATHERED;
    default:
      return Math.max(size, ...inputs.map((x) => sizeOf(x.shape))) * PER_MOVED;
  }
}
