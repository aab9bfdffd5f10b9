// to[i * toStride + j] = from[j * fromStride + i]: a matrix of words, transposed on the way, in blocks of W x W that are turned in registers.
#pragma once
#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

template <int kDistance = W / 2>
UNROLLED_INLINE void transposeRegisters(vu* row) {
  for (int i = 0; i < W; i++)
    if (!(i & kDistance)) interleave<kDistance>(row[i], row[i | kDistance]);
  if constexpr (kDistance > 1) transposeRegisters<kDistance / 2>(row);
}

UNROLLED_INLINE void transposeBlock(uint32_t* to, int64_t toStride, const uint32_t* from, int64_t fromStride) {
  vu row[W];
#pragma GCC unroll 16
  for (int j = 0; j < W; j++) row[j] = load(from + j * fromStride);
  transposeRegisters(row);
#pragma GCC unroll 16
  for (int i = 0; i < W; i++) store(to + i * toStride, row[i]);
}

// i < rows, j < columns. Tiles of whole cache lines on both sides: what is fetched for one block serves the three beside it.
static inline void transposeWords(uint32_t* to, int64_t toStride, const uint32_t* from, int64_t fromStride, int64_t rows, int64_t columns) {
  constexpr int64_t kTile = W > 16 ? W : 16;
  const int64_t wholeRows = rows / W * W, wholeColumns = columns / W * W;
  for (int64_t i = 0; i < wholeRows; i += kTile) {
    const int64_t iEnd = i + kTile < wholeRows ? i + kTile : wholeRows;
    for (int64_t j = 0; j < wholeColumns; j += kTile) {
      const int64_t jEnd = j + kTile < wholeColumns ? j + kTile : wholeColumns;
      for (int64_t y = j; y < jEnd; y += W)
        for (int64_t x = i; x < iEnd; x += W) transposeBlock(to + x * toStride + y, toStride, from + y * fromStride + x, fromStride);
    }
    for (int64_t x = i; x < iEnd; x++)
      for (int64_t j = wholeColumns; j < columns; j++) to[x * toStride + j] = from[j * fromStride + x];
  }
  for (int64_t j = 0; j < columns; j++)
    for (int64_t x = wholeRows; x < rows; x++) to[x * toStride + j] = from[j * fromStride + x];
}

}  // namespace unrolled::UNROLLED_LEVEL
