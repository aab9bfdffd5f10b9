// Moving whole rows: the loops under every instruction that only carries words from one place to another.
#pragma once
#include "arena.h"
#include "simd.h"

namespace unrolled::UNROLLED_LEVEL {

// The first n words (0 < n < W) of a vector; memory beyond n is not touched. A masked move where the level has one, because a
// copy through the stack stalls the load that follows.
UNROLLED_INLINE vu loadPart(const uint32_t* p, int64_t n) {
#if defined(UNROLLED_AVX512)
  return (vu)_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p);
#elif defined(UNROLLED_AVX2)
  return (vu)_mm256_maskload_epi32(reinterpret_cast<const int*>(p), (__m256i)(iota(0) < static_cast<int32_t>(n)));
#else
  return load_first(p, static_cast<int>(n));
#endif
}
UNROLLED_INLINE void storePart(uint32_t* p, vu v, int64_t n) {
#if defined(UNROLLED_AVX512)
  _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), (__m512i)v);
#elif defined(UNROLLED_AVX2)
  _mm256_maskstore_epi32(reinterpret_cast<int*>(p), (__m256i)(iota(0) < static_cast<int32_t>(n)), (__m256i)v);
#else
  store_first(p, v, static_cast<int>(n));
#endif
}

UNROLLED_INLINE void splatWords(uint32_t* to, uint32_t word, int64_t n) {
  const vu v = splat(word);
  int64_t i = 0;
  for (; i + W <= n; i += W) store(to + i, v);
  if (i < n) storePart(to + i, v, n - i);
}
UNROLLED_INLINE void copyWords(uint32_t* to, const uint32_t* from, int64_t n) {
  if (n > 256) {
    std::memcpy(to, from, static_cast<size_t>(n) * 4);
    return;
  }
  int64_t i = 0;
  for (; i + W <= n; i += W) store(to + i, load(from + i));
  if (i < n) storePart(to + i, loadPart(from + i, n - i), n - i);
}

// `rows` rows of kVectors vectors, strides in words. kFrom: how a row of the source is found.
enum class RowSource { kRows, kSameRow, kWords };
template <int kVectors, RowSource kFrom>
UNROLLED_INLINE void copyShortRows(uint32_t* to, int64_t toStride, const uint32_t* from, int64_t fromStride, int64_t rows) {
  vu row[kVectors];
  if constexpr (kFrom == RowSource::kSameRow)
    for (int v = 0; v < kVectors; v++) row[v] = load(from + v * W);
  for (int64_t i = 0; i < rows; i++, to += toStride, from += fromStride)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++)
      store(to + v * W, kFrom == RowSource::kRows ? load(from + v * W) : kFrom == RowSource::kWords ? splat(*from) : row[v]);
}
template <RowSource kFrom>
UNROLLED_INLINE bool copyIfShort(uint32_t* to, int64_t toStride, const uint32_t* from, int64_t fromStride, int64_t rows, int64_t rowWords) {
  if (rowWords == W) copyShortRows<1, kFrom>(to, toStride, from, fromStride, rows);
  else if (rowWords == 2 * W) copyShortRows<2, kFrom>(to, toStride, from, fromStride, rows);
  else return false;
  return true;
}

// `rows` rows of `rowWords` words, strides in words. `splatSource`: the source has one word a row, which fills it.
static inline void copyRows(uint32_t* to, int64_t toStride, const uint32_t* from, int64_t fromStride, bool splatSource, int64_t rows,
                            int64_t rowWords) {
  if (rowWords == 1) {
    if (toStride == 1 && fromStride == 1) return copyWords(to, from, rows);
    if (toStride == 1 && fromStride == 0) return splatWords(to, *from, rows);
    for (int64_t i = 0; i < rows; i++) to[i * toStride] = from[i * fromStride];
  } else if (splatSource) {
    if (copyIfShort<RowSource::kWords>(to, toStride, from, fromStride, rows, rowWords)) return;
    for (int64_t i = 0; i < rows; i++) splatWords(to + i * toStride, from[i * fromStride], rowWords);
  } else if (toStride == rowWords && fromStride == rowWords) {
    copyWords(to, from, rows * rowWords);
  } else if (fromStride == 0) {
    if (copyIfShort<RowSource::kSameRow>(to, toStride, from, 0, rows, rowWords)) return;
    for (int64_t i = 0; i < rows; i++) copyWords(to + i * toStride, from, rowWords);
  } else {
    if (copyIfShort<RowSource::kRows>(to, toStride, from, fromStride, rows, rowWords)) return;
    for (int64_t i = 0; i < rows; i++) copyWords(to + i * toStride, from + i * fromStride, rowWords);
  }
}

// One row `rows` times over, contiguously.
static inline void repeatRow(uint32_t* to, const uint32_t* row, int64_t rows, int64_t rowWords) {
  copyRows(to, rowWords, row, 0, false, rows, rowWords);
}

}  // namespace unrolled::UNROLLED_LEVEL
