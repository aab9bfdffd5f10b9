// Copying parts of matrices together for the tiles of uniform products.
#pragma once
#include <cstdint>

#include "simd.h"

namespace unrolled::UNROLLED_LEVEL {

// to[k * width + j] = from[j * lineStride + k * depthStride] for j < lines; what stands at j >= lines is unspecified. `width` is at most W
// or a multiple of it. Writes up to W - 1 words beyond depth * width.
void packPanel(float* to, int64_t width, const float* from, int64_t lineStride, int64_t depthStride, int64_t lines, int64_t depth);

// W lines of W words each become W rows, row k holding word k of every line.
UNROLLED_INLINE void transpose(vf (&v)[W]) {
#if defined(__clang__)
  vf t[W];
  for (int i = 0; i < W; i++)
    for (int j = 0; j < W; j++) t[i][j] = v[j][i];
  for (int i = 0; i < W; i++) v[i] = t[i];
#else
  // Squares of 4 x 4 within 128 bits: pairs of words, then pairs of pairs.
  vi low, high, even, odd;
  for (int i = 0; i < W; i++) {
    const int within = i % 4, lane = i - within, from = i % 2 * W;
    low[i] = lane + within / 2 + from;
    high[i] = lane + 2 + within / 2 + from;
    even[i] = lane + within % 2 + (within / 2) * W;
    odd[i] = lane + 2 + within % 2 + (within / 2) * W;
  }
#pragma GCC unroll 4
  for (int q = 0; q < W; q += 4) {
    const vf a = __builtin_shuffle(v[q], v[q + 1], low), b = __builtin_shuffle(v[q], v[q + 1], high);
    const vf c = __builtin_shuffle(v[q + 2], v[q + 3], low), d = __builtin_shuffle(v[q + 2], v[q + 3], high);
    v[q] = __builtin_shuffle(a, c, even);
    v[q + 1] = __builtin_shuffle(a, c, odd);
    v[q + 2] = __builtin_shuffle(b, d, even);
    v[q + 3] = __builtin_shuffle(b, d, odd);
  }
  // Then the squares among each other.
#pragma GCC unroll 2
  for (int h = 4; h < W; h *= 2) {
    [[maybe_unused]] vi first, second;
    for (int i = 0; i < W; i++) {
      const bool upper = i & h;
      first[i] = upper ? W + i - h : i;
      second[i] = upper ? W + i : i + h;
    }
    for (int pair = 0; pair < W / 2; pair++) {
      const int i = pair / h * 2 * h + pair % h;
      const vf a = v[i], b = v[i + h];
#if defined(UNROLLED_AVX2)  // the compiler makes two permutations by variable of each
      v[i] = (vf)_mm256_permute2f128_ps((__m256)a, (__m256)b, 0x20);
      v[i + h] = (vf)_mm256_permute2f128_ps((__m256)a, (__m256)b, 0x31);
#else
      v[i] = __builtin_shuffle(a, b, first);
      v[i + h] = __builtin_shuffle(a, b, second);
#endif
    }
  }
#endif
}

}  // namespace unrolled::UNROLLED_LEVEL
