/** Reference arithmetic of sorting. */
import type { Value } from './evaluate-value.js';
import type { GraphNode, TypedArray } from './graph.js';

/**
 * The stable order of `values` [n]: positions, smallest value first (largest when `descending`). NaN comes last either way, and -0 equals 0.
 * Cost: O(n log n).
 */
export function stableOrder(values: TypedArray, descending: boolean): Int32Array {
  const sign = descending ? -1 : 1;
  return Int32Array.from(values, (_, i) => i).sort((i, j) => {
    const a = values[i]!;
    const b = values[j]!;
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b)) || i - j;
    return a === b ? i - j : a < b ? -sign : sign;
  });
}

export function evaluateArgSort(node: GraphNode, descending: boolean, x: Value): Value {
  const n = node.shape[node.shape.length - 1]!;
  const result = new Int32Array(x.values.length);
  for (let start = 0; start < result.length; start += n)
    result.set(stableOrder(x.values.subarray(start, start + n), descending), start);
  return { shape: node.shape, dtype: 'int32', values: result };
}
