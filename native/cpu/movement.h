// COPY, FILL and INIT_COPY: rows from place to place.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct CopyPlan;
// `init`: INIT_COPY, which has no mode word and writes the fresh lanes only.
CopyPlan* planCopy(Reader& reader, int lanes, bool init, Arena& arena);
void runCopy(const CopyPlan& plan, TileContext& context);

struct FillPlan;
FillPlan* planFill(Reader& reader, int lanes, Arena& arena);
void runFill(const FillPlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
