// CONV: convolutions and their gradients (see program.h).
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct ConvPlan;
ConvPlan* planConv(Reader& reader, int lanes, Arena& arena);
size_t convScratch(const ConvPlan& plan);
void runConv(const ConvPlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
