// CUMSUM: running sums along one axis.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct CumsumPlan;
CumsumPlan* planCumsum(Reader& reader, int lanes, Arena& arena);
void runCumsum(const CumsumPlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
