// RANDOM: draws inside a program.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct RandomPlan;
RandomPlan* planRandom(Reader& reader, int lanes, Arena& arena);
void runRandom(const RandomPlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
