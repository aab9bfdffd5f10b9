// ARGSORT: the stable order of the last axis.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct ArgSortPlan;
ArgSortPlan* planArgSort(Reader& reader, int lanes, Arena& arena);
size_t argSortScratch(const ArgSortPlan& plan);
void runArgSort(const ArgSortPlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
