/** Rules for reductions. */
import { ARG_REDUCE_OPS, type GraphNode, REDUCE_OPS, sizeOf } from '../graph.js';
import type { Emitter } from './rewrite.js';
import type { Candidate } from './simplify.js';

/** Reductions that equal elements do not change. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['all', 'any', 'max', 'min']);
const REDUCTIONS: ReadonlySet<string> = new Set<string>(REDUCE_OPS);
const ARG_REDUCTIONS: ReadonlySet<string> = new Set<string>(ARG_REDUCE_OPS);

/** What a node repeats, to the end. */
function bottom(emitter: Emitter, x: GraphNode): GraphNode {
  let node = x;
  while (node.op.name === 'broadcastTo') node = emitter.node(node.inputs[0]);
  return node;
}

/** A repeated 0 (not -0, of which an even number may be summed to 0 or not, as the order has it). */
function isBroadcastZero(emitter: Emitter, x: GraphNode): boolean {
  if (x.op.name !== 'broadcastTo' || sizeOf(x.shape) === 0) return false;
  const { op, shape } = bottom(emitter, x);
  return op.name === 'constant' && shape.length === 0 && Object.is(op.values[0], 0);
}

/**
 * A reduction over axes of 1 (a sum of one number is that number) is a reshape. One of a broadcast is done on the source: along the axes
 * that are not repeated always, along repeated ones where equal elements don't matter. (A sum of n equal numbers is not n times the
 * number: it rounds n - 1 times.)
 */
export function simplifyReduction(candidate: Candidate, emitter: Emitter): number | undefined {
  const { op, inputs, shape } = candidate;
  if (ARG_REDUCTIONS.has(op.name)) return undefined;
  if (!REDUCTIONS.has(op.name) || !('axes' in op)) return undefined;
  const x = emitter.node(inputs[0]);
  if (op.axes.every((axis) => x.shape[axis] === 1)) {
    return emitter.add({ name: 'reshape' }, [x.id], { shape });
  }
  if (op.name === 'sum' && isBroadcastZero(emitter, x)) {
    return emitter.add({ name: 'broadcastTo' }, [bottom(emitter, x).id], { shape });
  }
  const real = op.axes.filter((axis) => x.shape[axis] !== 1);
  if (x.op.name === 'broadcastTo' && sizeOf(x.shape) > 0) {
    const source = emitter.node(x.inputs[0]);
    const lead = x.shape.length - source.shape.length;
    const extents = x.shape.map((_, axis) => (axis < lead ? 1 : source.shape[axis - lead]));
    const repeats = (axis: number) => extents[axis] !== x.shape[axis];
    if (IDEMPOTENT.has(op.name) || !real.some(repeats)) {
      const padded = emitter.add({ name: 'reshape' }, [source.id], { shape: extents });
      const reduced = emitter.add({ ...op, axes: real, keepDims: true }, [padded]);
      const kept = x.shape.map((d, axis) => (op.axes.includes(axis) ? 1 : d));
      const wide = emitter.add({ name: 'broadcastTo' }, [reduced], { shape: kept });
      return emitter.add({ name: 'reshape' }, [wide], { shape });
    }
  }
  return undefined;
}
