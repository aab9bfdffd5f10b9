// REDUCE: sums, products, extrema and their positions over any dims.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct ReducePlan;
ReducePlan* planReduce(Reader& reader, int lanes, Arena& arena);
size_t reduceScratch(const ReducePlan& plan);
void runReduce(const ReducePlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
