/** Long loops over the rows of a matrix, in slices between which the event loop turns. */

/** Elements handled between two turns: 1 to 2 ms of work. */
const SLICE_ELEMENTS = 1 << 19;

/** Calls `work` for rows 0..rows-1 of `dim` elements each, in order. */
export async function forRows(rows: number, dim: number, work: (row: number) => void): Promise<void> {
  const rowsPerSlice = Math.max(1, Math.floor(SLICE_ELEMENTS / Math.max(1, dim)));
  for (let first = 0; first < rows; first += rowsPerSlice) {
    if (first > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    const end = Math.min(rows, first + rowsPerSlice);
    for (let row = first; row < end; row++) work(row);
  }
}
