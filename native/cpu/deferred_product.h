// DEFERRED_PRODUCT: products of few columns that are added to a big value, several steps at a time.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct DeferredProductPlan;
DeferredProductPlan* planDeferredProduct(Reader& reader, int lanes, Arena& arena);
size_t deferredProductScratch(const DeferredProductPlan& plan);
void runDeferredProduct(const DeferredProductPlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
