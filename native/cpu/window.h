// WINDOW and WINDOW_GRAD: maximum or sum over windows of three spatial axes, and the way back.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct WindowPlan;
// `gradient`: WINDOW_GRAD.
WindowPlan* planWindow(Reader& reader, int lanes, bool gradient, Arena& arena);
size_t windowScratch(const WindowPlan& plan);
void runWindow(const WindowPlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
