// Rows of float64 for the factorizations, in two shapes: one number an element (`double`: a matrix by itself, its rows vectorised), or
// W / 2 lanes an element (`vd`: as many matrices side by side). An algorithm is written once, over either.
#pragma once
#include "arena.h"
#include "simd.h"

namespace unrolled::UNROLLED_LEVEL {

constexpr int kHalf = W / 2;

// What a comparison of elements yields: 0 or -1, by lane.
template <class T>
struct MaskOf {
  using Type = int64_t;
};
template <>
struct MaskOf<vd> {
  using Type = vli;
};

UNROLLED_INLINE double chosen(int64_t mask, double a, double b) { return mask ? a : b; }
UNROLLED_INLINE vd chosen(vli mask, vd a, vd b) { return select(mask, a, b); }
UNROLLED_INLINE double everywhere(double x, const double*) { return x; }
UNROLLED_INLINE vd everywhere(double x, const vd*) { return splat(x); }

UNROLLED_INLINE double rootOf(double x) { return __builtin_sqrt(x); }
UNROLLED_INLINE vd rootOf(vd x) {
  vd root;
  for (int i = 0; i < kHalf; i++) root[i] = __builtin_sqrt(x[i]);
  return root;
}
// Positive and finite; NaN is neither.
UNROLLED_INLINE int64_t isPositive(double x) { return x > 0 && x < __builtin_inf() ? -1 : 0; }
UNROLLED_INLINE vli isPositive(vd x) { return (vli)(x > 0.0) & (vli)(x < __builtin_inf()); }

static inline double sumOfProducts(const double* a, const double* b, int64_t n) {
  vd sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * kHalf <= n; i += 4 * kHalf)
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) sum[j] = fma(load(a + i + j * kHalf), load(b + i + j * kHalf), sum[j]);
  for (; i + kHalf <= n; i += kHalf) sum[0] = fma(load(a + i), load(b + i), sum[0]);
  const vd all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  double total = 0;
  for (int j = 0; j < kHalf; j++) total += all[j];
  for (; i < n; i++) total += a[i] * b[i];
  return total;
}
static inline vd sumOfProducts(const vd* a, const vd* b, int64_t n) {
  vd sum[2] = {};
  int64_t i = 0;
  for (; i + 2 <= n; i += 2) {
    sum[0] = fma(a[i], b[i], sum[0]);
    sum[1] = fma(a[i + 1], b[i + 1], sum[1]);
  }
  if (i < n) sum[0] = fma(a[i], b[i], sum[0]);
  return sum[0] + sum[1];
}

// to -= factor * x
static inline void subtractScaled(double* to, double factor, const double* x, int64_t n) {
  const vd f = splat(-factor);
  int64_t i = 0;
  for (; i + kHalf <= n; i += kHalf) store(to + i, fma(f, load(x + i), load(to + i)));
  for (; i < n; i++) to[i] -= factor * x[i];
}
static inline void subtractScaled(vd* to, vd factor, const vd* x, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = fma(-factor, x[i], to[i]);
}

// Elements of an operand as T: element i of a uniform one is word i; of a varying one `step` words apart, a lane or lanes from `words` on.
struct Elements {
  const uint32_t* words;
  int64_t step;
  bool varying;

  double at(int64_t i, const double*) const {
    float x;
    std::memcpy(&x, words + i * step, 4);
    return static_cast<double>(x);
  }
  vd at(int64_t i, const vd*) const {
    if (!varying) return splat(at(i, static_cast<const double*>(nullptr)));
    vf_half x;
    std::memcpy(&x, words + i * step, sizeof x);
    return __builtin_convertvector(x, vd);
  }
};
// Elements of matrices from word `first` (of a uniform operand) or row `first` and lane `lane` on.
static inline Elements elementsOf(const Operand& operand, const TileContext& context, int64_t first, int64_t lanes, int64_t lane) {
  const uint32_t* words = operand.read(context);
  return operand.varying ? Elements{words + first * lanes + lane, lanes, true} : Elements{words + first, 1, false};
}

UNROLLED_INLINE void storeRounded(uint32_t* to, double x) {
  const float rounded = static_cast<float>(x);
  std::memcpy(to, &rounded, 4);
}
UNROLLED_INLINE void storeRounded(uint32_t* to, vd x) {
  const vf_half rounded = __builtin_convertvector(x, vf_half);
  std::memcpy(to, &rounded, sizeof rounded);
}

}  // namespace unrolled::UNROLLED_LEVEL
