// Register tiles of ordinary (uniform) products: `rows` rows of C by up to `vectors` vectors of consecutive columns. A is read one
// element at a time through a pointer a row, B by vectors. What a tile sums over is a list of steps, each a run of `depth` rows of
// B, so that one kernel makes matrix products (one step) and convolutions (a step a tap of the filter, or a position of the
// image). Every element is one chain of multiply-adds in the order of the steps: it does not depend on the tile it is in.
#pragma once
#include <cstddef>
#include <cstdint>

#include "simd.h"

namespace unrolled::UNROLLED_LEVEL {

// Enough accumulators to hide the latency of two multiply-adds a cycle (8 of 256 bits, more of others), with the fewest loads
// for them; without FMA a product needs a register as well. Packing wants no more rows than a vector has words.
#if defined(UNROLLED_AVX512)
constexpr int kUniformRows = 8, kUniformVectors = 3;
#elif defined(UNROLLED_AVX2)
constexpr int kUniformRows = 6, kUniformVectors = 2;
#elif defined(UNROLLED_NEON)
constexpr int kUniformRows = 4, kUniformVectors = 4;
#else
constexpr int kUniformRows = 4, kUniformVectors = 2;
#endif
constexpr int kUniformWidth = kUniformVectors * W;  // columns of the widest panel of B
static_assert(kUniformRows <= W && kUniformRows <= 8);

// Where a run begins: words from each row's pointer, and from `b`.
struct TileStep {
  int32_t a, b;
};

struct UniformTile {
  const float* a[kUniformRows];
  float* c[kUniformRows];
};

// All strides in words.
struct UniformTileArguments {
  const TileStep* steps;
  int64_t count;    // of steps; 0 gives zeros
  int64_t depth;    // of each
  ptrdiff_t aStep;  // from one k of a run to the next
  ptrdiff_t bStep;
  const float* b;
  int columns;      // of C: the last vector may be a part; B is read as a whole
  bool proceed;     // the chains go on from C
};

using UniformTileKernel = void (*)(const UniformTile& tile, const UniformTileArguments& arguments);

// 1 <= rows <= kUniformRows, 1 <= vectors <= kUniformVectors.
UniformTileKernel uniformTileKernel(int rows, int vectors);

}  // namespace unrolled::UNROLLED_LEVEL
