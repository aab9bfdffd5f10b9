// ELEMENTWISE: a group of micro-ops over equally shaped operands, run chunk by chunk so that whatever lies between the inputs
// and the outputs stays in the first-level cache.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

struct ElementwisePlan;

// Reads EW (see program.h). `mode` as in the instruction. With `product`, input 0 is a block of a product, dims are [M, N], and
// the group is run on rectangles of it that are `blockColumns` wide except at the right edge.
ElementwisePlan* planElementwise(Reader& reader, int mode, int lanes, Arena& arena, bool product = false, int32_t blockColumns = 0);

// Whether a product group (mode 1) is `w = w - rate * product`, `rate` equal for all elements, or `w = w + product`, with w in place: then a
// tile can finish the work by itself. Reads EW without moving the reader.
struct ProductUpdate {
  Operand w, rate;
  bool adds;  // no rate
};
bool isUpdate(Reader reader, int lanes, ProductUpdate& update);

// Bytes of scratch that running takes.
size_t elementwiseScratch(const ElementwisePlan& plan);

// Runs the whole group. `scratch` is aligned to 64 bytes.
void runElementwise(const ElementwisePlan& plan, TileContext& context, void* scratch);

// Runs rows [row, row + rows) x columns [column, column + columns) of a group with a product; `block` holds that rectangle of the
// product, row-major and contiguous.
void runElementwiseBlock(const ElementwisePlan& plan, TileContext& context, void* scratch, const uint32_t* block, int32_t row,
                         int32_t rows, int32_t column, int32_t columns);

}  // namespace unrolled::UNROLLED_LEVEL
