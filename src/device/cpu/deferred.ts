/**
 * Products that may be put off: in a program that goes back through steps, an accumulator that grows by a product of few columns at every
 * step and is read only at the end. Its operands are kept for some steps and multiplied together, so that the accumulator is passed over
 * once for all of them.
 */
import type { PlannedGraph } from './layout.js';
import type { Unit } from './units.js';
import { isWhole } from './values.js';

/** Where the operands of a product wait. */
export interface Ring {
  /** Steps that it holds. */
  readonly capacity: number;
  /** Its first row of the varying arena; it takes capacity * K * (M + N). */
  readonly row: number;
}

/** Columns of products that are put off together. */
const COLUMNS = 8;

/** The units of a step that may be put off, with their rings from `firstRow` on, and the first row after them. */
export function deferredProducts(
  planned: PlannedGraph,
  firstRow: number,
): { readonly rings: ReadonlyMap<Unit, Ring>; readonly end: number } {
  const { graph, values, uniform, unitGraph, schedule } = planned;
  const { nodes } = graph;
  const readers = new Map<number, number>();
  for (const node of nodes)
    for (const x of node.inputs) readers.set(values[x].base, (readers.get(values[x].base) ?? 0) + 1);
  const outputs = new Set(
    graph.outputs.filter(({ path }) => !path.startsWith('state.')).map(({ node }) => values[node].base),
  );
  const rings = new Map<Unit, Ring>();
  let row = firstRow;
  for (const unit of unitGraph.units) {
    const { product } = unit;
    if (product === undefined || unit.level !== 'step' || unit.uniform || unit.nodes.length !== 2) continue;
    const [first, sum] = unit.nodes;
    const { op, inputs, shape } = nodes[sum];
    if (first !== product || op.name !== 'add' || shape.length !== 2 || !schedule.inPlace.has(sum)) continue;
    const old = inputs.find((x) => values[x].base !== product);
    if (old === undefined || nodes[values[old].base].op.name !== 'input') continue;
    const { base } = values[old];
    // The accumulator is the leaf's own old value, and nobody else looks at old or new.
    const leaf = nodes[base].op;
    const target = graph.outputs.find(({ node }) => values[node].base === sum)?.path;
    const alone =
      readers.get(base) === 1 && readers.get(sum) === undefined && !outputs.has(sum) && !outputs.has(base);
    if (leaf.name !== 'input' || leaf.role !== 'state' || target !== `state.${leaf.path}` || !alone) continue;
    if (!isWhole(values[old], nodes[old], nodes[base])) continue;
    const matmul = nodes[product];
    if (matmul.op.name !== 'matMul' || matmul.inputs.some((x) => uniform[values[x].base])) continue;
    const [m, n] = shape;
    const k = nodes[matmul.inputs[0]].shape.at(matmul.op.transposeA ? -2 : -1) as number;
    const capacity = Math.floor(COLUMNS / k);
    // Keeping and reading operands must cost little beside a pass over the accumulator.
    if (k === 0 || capacity < 2 || m * n < 4 * k * (m + n)) continue;
    rings.set(unit, { capacity, row });
    row += capacity * k * (m + n);
  }
  return { rings, end: row };
}
