// Vectors of a chosen number of lanes: the level's own, or half of one (8 lanes where W is 16).
#pragma once
#include "simd.h"

namespace unrolled::UNROLLED_LEVEL {

// The first n words of v, 0 < n <= W. Not masked: that takes dozens of cycles on processors that split such a store into words.
UNROLLED_INLINE void storePiece(float* p, vf v, int n) {
#if defined(UNROLLED_AVX512)
  store_first(p, v, n);
#else
  if (n == W) return store(p, v);
  float words[W];
  store(words, v);
  int i = 0;
  if (W > 8 && (n & 8)) std::memcpy(p, words, 32), i = 8;
  if (W > 4 && (n & 4)) std::memcpy(p + i, words + i, 16), i += 4;
  if (n & 2) std::memcpy(p + i, words + i, 8), i += 2;
  if (n & 1) std::memcpy(p + i, words + i, 4);
#endif
}

template <int kLanes>
struct VectorOf {
  typedef float type __attribute__((vector_size(4 * kLanes)));
};
template <class V>
UNROLLED_INLINE V multiplyAdd(V a, V b, V c) {
  if constexpr (sizeof(V) == sizeof(vf)) return (V)fma((vf)a, (vf)b, (vf)c);
#if defined(UNROLLED_AVX512)
  else return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  else return a * b + c;
#endif
}
// c - a * b
template <class V>
UNROLLED_INLINE V subtractProduct(V a, V b, V c) {
  if constexpr (sizeof(V) == sizeof(vf)) return (V)fnma((vf)a, (vf)b, (vf)c);
#if defined(UNROLLED_AVX512)
  else return (V)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  else return c - a * b;
#endif
}
template <class V>
UNROLLED_INLINE V loadVector(const float* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
UNROLLED_INLINE V splatVector(const float* p) {
  typedef uint32_t Words __attribute__((vector_size(sizeof(V))));
  uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return (V)(Words{} + word);  // as an integer: 0 + x is not always x
}

}  // namespace unrolled::UNROLLED_LEVEL
