/**
 * How many particles a tile holds. A tile's working set should stay in the first-level cache while that still leaves full
 * vectors; tiny programs take more lanes, which spreads the cost of dispatching an instruction. Results do not depend on it.
 */

/** Working bytes that a tile may take of the first-level cache (32 KB on the smallest machines we care for). */
const TILE_BYTES = 24 * 1024;
const MOST_LANES = 1024;
/** Tiles that a run should have at least, so that threads share the work evenly. */
const LEAST_TILES = 8;

interface WorkingSet {
  readonly stateRows: number;
  readonly varyingRows: number;
}

/** Lanes of the narrowest tile: one vector, at least the 8 that the engine takes. */
function leastLanes(vectorWidth: number): number {
  return Math.max(8, vectorWidth);
}

/** The widest tile that suits the program on vectors of `vectorWidth` floats, a power of two. */
export function widestLanes(plan: WorkingSet, vectorWidth: number): number {
  const rows = Math.max(1, plan.stateRows + plan.varyingRows);
  let lanes = leastLanes(vectorWidth);
  while (lanes < MOST_LANES && 2 * lanes * rows * 4 <= TILE_BYTES) lanes *= 2;
  return lanes;
}

/** Lanes for a state of `particles`: at most the widest, fewer when that would leave too few tiles. */
export function lanesFor(plan: WorkingSet, particles: number, vectorWidth: number): number {
  let lanes = widestLanes(plan, vectorWidth);
  const least = leastLanes(vectorWidth);
  while (lanes > least && particles < lanes * LEAST_TILES) lanes /= 2;
  return lanes;
}
