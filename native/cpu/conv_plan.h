// The parts of CONV: each is planned once and run on memory that the caller has found.
#pragma once
#include "conv_geometry.h"
#include "matmul_uniform.h"

namespace unrolled::UNROLLED_LEVEL {

// Everything uniform. a, b and c point to the whole operands and the whole output, of which rows from .. to - 1 are written.
struct ConvMemory {
  const float *a, *b;
  float* c;
  int64_t from, to;
  void* scratch;  // aligned to 64 bytes
};

// Dense: tiles of a product, the patches being found by distances instead of copied.
struct UniformConv {
  bool product;             // one tap that meets every position: a matrix product and nothing else
  bool mergesTaps;          // kind 2 with few channels: a tile's rows belong to several taps
  int64_t depth, columns;   // kinds 0 and 1: elements of a step; and of a row of the output
  int64_t depthBlock;       // the depth is cut into blocks of at most this, all taps of one after those of another
  int64_t columnBlock;      // a multiple of the widest panel
  ConvClasses classes;
  size_t tilesOffset, stepsOffset, scratchBytes;  // panels come first
};
void planUniformConv(const ConvGeometry& geometry, int64_t from, int64_t to, UniformConv& plan, Arena& arena);
void runUniformConv(const ConvGeometry& geometry, const UniformConv& plan, const ConvMemory& memory);

// Depthwise: vectors of channels.
struct DepthwiseConv {
  ConvClasses classes;
  size_t filterOffset, stepsOffset, scratchBytes;  // tiles come first
};
void planDepthwiseConv(const ConvGeometry& geometry, DepthwiseConv& plan, Arena& arena);
void runDepthwiseConv(const ConvGeometry& geometry, const DepthwiseConv& plan, const ConvMemory& memory);

// Rows of lanes; a and b each uniform or varying, not both uniform.
struct LanesConv {
  int lanes;
  bool uniformA, uniformB;
  ConvClasses classes;
  size_t stepsOffset, scratchBytes;
};
void planLanesConv(const ConvGeometry& geometry, int lanes, bool uniformA, bool uniformB, LanesConv& plan, Arena& arena);
void runLanesConv(const ConvGeometry& geometry, const LanesConv& plan, const ConvMemory& memory);

// Kind 2, of all parts: `rows` rows in tiles of up to `height`, for one block of positions after another. Row i belongs to tap(i); equal ones
// are neighbours. Calls begin(first position, positions) for each block, then run(steps, count, first row, rows, proceed) for its
// tiles. Where taps are merged, the positions at which all taps lie inside are summed first, in tiles of any rows.
template <class Tap, class Begin, class Run>
void eachFilterTile(const ConvGeometry& g, int64_t rows, int height, bool mergesTaps, int64_t bStride, TileStep* steps, Tap tap, Begin begin,
                    Run run) {
  const int64_t positions = g.batch * g.outPositions;
  for (int64_t from = 0; from == 0 || from < positions; from += kPositionBlock) {
    const int64_t to = positions - from < kPositionBlock ? positions : from + kPositionBlock;
    begin(from, to - from);
    const bool proceed = from > 0;
    auto tiles = [&](int64_t count, int64_t first, int64_t end, bool goesOn) {
      const Cut cut(end - first, height);
      for (int64_t i = 0; i < cut.pieces; first += cut.length(i++)) run(steps, count, first, static_cast<int>(cut.length(i)), goesOn);
    };
    if (mergesTaps) tiles(to > from ? listPositions(g, Taking::kAllTaps, 0, from, to, bStride, steps) : 0, 0, rows, proceed);
    for (int64_t first = 0; first < rows;) {
      int64_t end = first + 1;
      while (end < rows && tap(end) == tap(first)) end++;
      const int64_t count = to > from ? listPositions(g, mergesTaps ? Taking::kTapOnly : Taking::kTap, tap(first), from, to, bStride, steps) : 0;
      if (count > 0 || (!mergesTaps && !proceed)) tiles(count, first, end, mergesTaps || proceed);
      first = end;
    }
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
