// GATHER and SEGMENT_SUM: reading by index, and its gradient.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct GatherPlan;
GatherPlan* planGather(Reader& reader, int lanes, Arena& arena);
size_t gatherScratch(const GatherPlan& plan);
void runGather(const GatherPlan& plan, TileContext& context);

struct SegmentSumPlan;
SegmentSumPlan* planSegmentSum(Reader& reader, int lanes, Arena& arena);
void runSegmentSum(const SegmentSumPlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
