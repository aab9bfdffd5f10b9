/**
 * Picking positions along an axis, and adding up to positions: what resizing, rotating and mirroring are made of. Positions that form a
 * pattern become the slice or broadcast that they are; the rest is a gather, or a sum over segments.
 */
import { sizeOf } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';

/** How often each position stands in a row of 0, 0, .. 0, 1, 1, .. 1, ..., n - 1, when every one does so equally often. */
function repeats(positions: readonly number[], n: number): number | undefined {
  const times = positions.length / n;
  if (!Number.isInteger(times) || times < 1) return undefined;
  return positions.every((p, i) => p === Math.floor(i / times)) ? times : undefined;
}

/** The common difference of positions, if they have one that is not 0. */
function stride(positions: readonly number[]): number | undefined {
  if (positions.length === 1) return 1;
  const step = positions[1]! - positions[0]!;
  return step !== 0 && positions.every((p, i) => p === positions[0]! + i * step) ? step : undefined;
}

/** y[.., i, ..] = x[.., positions[i], ..] along `axis`; every position lies inside x. */
export function pick(e: Emitter, x: number, axis: number, positions: readonly number[]): number {
  const shape = e.shape(x);
  const size = shape.map((d, i) => (i === axis ? positions.length : d));
  if (sizeOf(size) === 0) return e.splat(0, size, e.dtype(x));
  const n = shape[axis]!;
  const step = stride(positions);
  if (step !== undefined) {
    const begin = shape.map((_, i) => (i === axis ? positions[0]! : 0));
    const strides = shape.map((_, i) => (i === axis ? step : 1));
    return e.slice(x, begin, size, step === 1 ? undefined : strides);
  }
  const times = repeats(positions, n);
  if (times !== undefined) {
    const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))];
    const rows = e.reshape(x, [outer * n, 1, inner]);
    return e.reshape(e.broadcastTo(rows, [outer * n, times, inner]), size);
  }
  const indices = e.constant(positions, [positions.length], 'int32');
  return e.add({ name: 'gather', axis, batchDims: 0 }, [x, indices]);
}

/** The transpose of `pick`: y[.., positions[i], ..] += x[.., i, ..] into `n` positions along `axis`. */
export function scatter(
  e: Emitter,
  x: number,
  axis: number,
  positions: readonly number[],
  n: number,
): number {
  const shape = e.shape(x);
  const size = shape.map((d, i) => (i === axis ? n : d));
  if (sizeOf(shape) === 0 || n === 0) return e.splat(0, size, e.dtype(x));
  if (positions.length === n && positions.every((p, i) => p === i)) return x;
  const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))];
  const times = repeats(positions, n);
  if (times !== undefined) {
    const copies = e.reshape(x, [outer * n, times, inner]);
    return e.reshape(e.reduce('sum', copies, [1], false), size);
  }
  // Sums over segments run along the first axis.
  const rows = e.transpose(e.reshape(x, [outer, positions.length, inner]), [1, 0, 2]);
  const ids = e.constant(positions, [positions.length], 'int32');
  const sums = e.add({ name: 'segmentSum', numSegments: n }, [rows, ids]);
  return e.reshape(e.transpose(sums, [1, 0, 2]), size);
}
