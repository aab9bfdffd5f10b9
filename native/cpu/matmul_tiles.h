// Register tiles of matrix products over rows of lanes: `rows` x `columns` elements, each `vectors` vectors of consecutive lanes,
// summed over k in registers. Every element is one chain of multiply-adds in the order of k, so a result depends neither on
// the tile that computed it nor on its lane.
#pragma once
#include <cstddef>
#include <cstdint>

#include "simd.h"

namespace unrolled::UNROLLED_LEVEL {

// All strides are in words. A uniform: one word an element; B and C (and A when varying) are `vectors` vectors an element.
struct TileArguments {
  ptrdiff_t am, ak, bk, bn, cm, cn;
  float* pack;        // a packing tile also writes what it reads of B there, [k][columns][lanes], for the tiles below it
  const float* rate;  // of an updating tile: one row of lanes
  // Several tiles of one size in a row: how many, and how far apart. Packs follow each other.
  int64_t tiles;
  ptrdiff_t aStep, bStep, cStep;
};
// What becomes of the sums.
enum class Finish : int {
  kStore,     // C = A B
  kContinue,  // C = C + A B, the chain going on from C
  kUpdate,    // C = C - rate * (A B)
};
using TileKernel = void (*)(const float* a, const float* b, float* c, const TileArguments& arguments, int64_t k);

constexpr int kTileRows = 8, kTileColumns = 4;

// How many lanes a tile spans: 1, 2 or 4 vectors, or half a vector (8 lanes, where W is 16).
enum TileSpan : int { kOneVector = 0, kTwoVectors = 1, kFourVectors = 2, kHalfVector = 3, kSpans = 4 };
constexpr int spanLanes(int span) { return span == kHalfVector ? 8 : W << span; }
constexpr bool spanExists(int span) { return span != kHalfVector || W == 16; }

// Whether the level has registers for such a tile.
bool tileExists(bool uniformA, int span, int rows, int columns);
// A tile that exists.
TileKernel tileKernel(bool uniformA, Finish finish, bool packing, int span, int rows, int columns);

}  // namespace unrolled::UNROLLED_LEVEL
