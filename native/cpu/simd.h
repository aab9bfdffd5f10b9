// One vector vocabulary for every instruction level. Kernels are written once with these types and operations and compiled once per
// level, each into a namespace of its own (UNROLLED_LEVEL: base, avx2, avx512); nothing here has external linkage, so the linker
// cannot merge a function compiled for a newer processor into the code of an older one.
//
//   vf float32, vi int32, vu uint32: W lanes (4 on SSE2 and NEON, 8 on AVX2, 16 on AVX-512)
//   vd float64, vl uint64: W/2 lanes, as wide in bytes
//
// The compiler's vector extensions give + - * / & | ^ ~ << >> and the comparisons, which yield a vi mask of 0 and -1. `a * b + c` is
// two rounded operations (build with -ffp-contract=off); where an FMA is wanted, it is written `fma`.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifndef UNROLLED_LEVEL
#define UNROLLED_LEVEL base
#endif
#ifdef __FAST_MATH__
#error "the kernels need IEEE arithmetic: build without -ffast-math"
#endif

// UNROLLED_GENERIC_WIDTH=4|8|16 builds the portable path at that width, to test it (and the widths) on any machine.
#if defined(UNROLLED_GENERIC_WIDTH)
#define UNROLLED_WIDTH UNROLLED_GENERIC_WIDTH
#elif defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#define UNROLLED_AVX512 1
#define UNROLLED_WIDTH 16
// GCC 12 warns about its own _mm512_undefined_ps (its bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#elif defined(__AVX2__) && defined(__FMA__)
#define UNROLLED_AVX2 1
#define UNROLLED_WIDTH 8
#include <immintrin.h>
#elif defined(__SSE2__)
#define UNROLLED_SSE2 1
#define UNROLLED_WIDTH 4
#include <emmintrin.h>
#elif defined(__aarch64__)
#define UNROLLED_NEON 1
#define UNROLLED_WIDTH 4
#include <arm_neon.h>
#else
#define UNROLLED_WIDTH 4
#endif

// Vectors wider than the level's registers are passed in memory; all of these functions are inlined, so no ABI is at stake.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

#define UNROLLED_INLINE static inline __attribute__((always_inline))

namespace unrolled {
namespace UNROLLED_LEVEL {

constexpr int W = UNROLLED_WIDTH;
// True where `fma` rounds once.
#if defined(UNROLLED_AVX512) || defined(UNROLLED_AVX2) || defined(UNROLLED_NEON)
constexpr bool kHasFma = true;
#else
constexpr bool kHasFma = false;
#endif
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lane layout assumes little-endian words");

typedef float vf __attribute__((vector_size(4 * UNROLLED_WIDTH)));
typedef int32_t vi __attribute__((vector_size(4 * UNROLLED_WIDTH)));
typedef uint32_t vu __attribute__((vector_size(4 * UNROLLED_WIDTH)));
typedef double vd __attribute__((vector_size(4 * UNROLLED_WIDTH)));
typedef uint64_t vl __attribute__((vector_size(4 * UNROLLED_WIDTH)));
typedef int64_t vli __attribute__((vector_size(4 * UNROLLED_WIDTH)));

// ---- loads and stores ---------------------------------------------------------------------------------------------------

// Any alignment.
UNROLLED_INLINE vf load(const float* p) { vf v; std::memcpy(&v, p, sizeof v); return v; }
UNROLLED_INLINE vi load(const int32_t* p) { vi v; std::memcpy(&v, p, sizeof v); return v; }
UNROLLED_INLINE vu load(const uint32_t* p) { vu v; std::memcpy(&v, p, sizeof v); return v; }
UNROLLED_INLINE vd load(const double* p) { vd v; std::memcpy(&v, p, sizeof v); return v; }
UNROLLED_INLINE void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }
UNROLLED_INLINE void store(int32_t* p, vi v) { std::memcpy(p, &v, sizeof v); }
UNROLLED_INLINE void store(uint32_t* p, vu v) { std::memcpy(p, &v, sizeof v); }
UNROLLED_INLINE void store(double* p, vd v) { std::memcpy(p, &v, sizeof v); }
// p is a multiple of the vector size.
template <class T>
UNROLLED_INLINE T* aligned(T* p) { return static_cast<T*>(__builtin_assume_aligned(p, 4 * W)); }
UNROLLED_INLINE vf load_aligned(const float* p) { return load(aligned(p)); }
UNROLLED_INLINE vi load_aligned(const int32_t* p) { return load(aligned(p)); }
UNROLLED_INLINE vu load_aligned(const uint32_t* p) { return load(aligned(p)); }
UNROLLED_INLINE void store_aligned(float* p, vf v) { store(aligned(p), v); }
UNROLLED_INLINE void store_aligned(int32_t* p, vi v) { store(aligned(p), v); }
UNROLLED_INLINE void store_aligned(uint32_t* p, vu v) { store(aligned(p), v); }
// The first n lanes, 0 <= n <= W; the others load as 0 and are not stored. Memory beyond n is not touched.
// T: a 4-byte type.
UNROLLED_INLINE vi first_lanes(int n) {
  vi lane;
  for (int i = 0; i < W; i++) lane[i] = i;
  return lane < n;
}
template <class T>
UNROLLED_INLINE auto load_first(const T* p, int n) {
  typedef decltype(load(p)) V;
#if defined(UNROLLED_AVX512)
  return (V)_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p);
#elif defined(UNROLLED_AVX2)
  return (V)_mm256_maskload_epi32(reinterpret_cast<const int*>(p), (__m256i)first_lanes(n));
#else
  V v{};
  std::memcpy(&v, p, sizeof(T) * static_cast<size_t>(n));
  return v;
#endif
}
template <class T, class V>
UNROLLED_INLINE void store_first(T* p, V v, int n) {
#if defined(UNROLLED_AVX512)
  _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), (__m512i)v);
#elif defined(UNROLLED_AVX2)
  _mm256_maskstore_epi32(reinterpret_cast<int*>(p), (__m256i)first_lanes(n), (__m256i)v);
#else
  std::memcpy(p, &v, sizeof(T) * static_cast<size_t>(n));
#endif
}

// ---- making and reading as other types ----------------------------------------------------------------------------------

// x - 0 is x, also for -0 (x + 0 is not).
UNROLLED_INLINE vf splat(float x) { return x - vf{}; }
UNROLLED_INLINE vi splat(int32_t x) { return vi{} + x; }
UNROLLED_INLINE vu splat(uint32_t x) { return vu{} + x; }
UNROLLED_INLINE vd splat(double x) { return x - vd{}; }
UNROLLED_INLINE vl splat(uint64_t x) { return vl{} + x; }
// first, first + 1, ...
UNROLLED_INLINE vi iota(int32_t first) {
  vi v;
  for (int i = 0; i < W; i++) v[i] = i;
  return v + first;
}
UNROLLED_INLINE vi as_int(vf v) { return (vi)v; }
UNROLLED_INLINE vi as_int(vu v) { return (vi)v; }
UNROLLED_INLINE vu as_uint(vf v) { return (vu)v; }
UNROLLED_INLINE vu as_uint(vi v) { return (vu)v; }
UNROLLED_INLINE vf as_float(vi v) { return (vf)v; }
UNROLLED_INLINE vf as_float(vu v) { return (vf)v; }
UNROLLED_INLINE vf to_float(vi v) { return __builtin_convertvector(v, vf); }
// Truncation; the result for NaN and beyond int32 is unspecified (no trap, no undefined behaviour on any level).
UNROLLED_INLINE vi truncate_to_int(vf v) {
#if defined(UNROLLED_AVX512)
  return (vi)_mm512_cvttps_epi32((__m512)v);
#elif defined(UNROLLED_AVX2)
  return (vi)_mm256_cvttps_epi32((__m256)v);
#elif defined(UNROLLED_SSE2)
  return (vi)_mm_cvttps_epi32((__m128)v);
#elif defined(UNROLLED_NEON)
  return (vi)vcvtq_s32_f32((float32x4_t)v);
#else
  vi r;
  for (int i = 0; i < W; i++) r[i] = v[i] >= -2147483648.0f && v[i] < 2147483648.0f ? static_cast<int32_t>(v[i]) : INT32_MIN;
  return r;
#endif
}

// ---- masks --------------------------------------------------------------------------------------------------------------

UNROLLED_INLINE vf select(vi mask, vf a, vf b) { return mask ? a : b; }
UNROLLED_INLINE vi select(vi mask, vi a, vi b) { return mask ? a : b; }
UNROLLED_INLINE vu select(vi mask, vu a, vu b) { return mask ? a : b; }
// Whether any lane of a mask is set.
UNROLLED_INLINE bool any(vi mask) {
#if defined(UNROLLED_AVX512)
  return _mm512_movepi32_mask((__m512i)mask) != 0;
#elif defined(UNROLLED_AVX2)
  return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(UNROLLED_SSE2)
  return _mm_movemask_ps((__m128)mask) != 0;
#elif defined(UNROLLED_NEON)
  return vmaxvq_u32((uint32x4_t)mask) != 0;
#else
  int32_t all = 0;
  for (int i = 0; i < W; i++) all |= mask[i];
  return all != 0;
#endif
}

// ---- arithmetic ---------------------------------------------------------------------------------------------------------

// a * b + c, rounded once where the level has FMA, twice where not.
UNROLLED_INLINE vf fma(vf a, vf b, vf c) {
#if defined(UNROLLED_AVX512)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(UNROLLED_AVX2)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(UNROLLED_NEON)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}
UNROLLED_INLINE vd fma(vd a, vd b, vd c) {
#if defined(UNROLLED_AVX512)
  return (vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(UNROLLED_AVX2)
  return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(UNROLLED_NEON)
  return (vd)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
}
UNROLLED_INLINE vf fma(vf a, vf b, float c) { return fma(a, b, splat(c)); }
UNROLLED_INLINE vf fma(vf a, float b, vf c) { return fma(a, splat(b), c); }
UNROLLED_INLINE vf fma(vf a, float b, float c) { return fma(a, splat(b), splat(c)); }
// c - a * b
UNROLLED_INLINE vf fnma(vf a, vf b, vf c) {
#if defined(UNROLLED_AVX512)
  return (vf)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(UNROLLED_AVX2)
  return (vf)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(UNROLLED_NEON)
  return (vf)vfmsq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return c - a * b;
#endif
}
UNROLLED_INLINE vf fnma(vf a, float b, vf c) { return fnma(a, splat(b), c); }

// a < b ? a : b, so b where either is NaN (and for zeros of either sign). One instruction on x86.
UNROLLED_INLINE vf min_fast(vf a, vf b) { return a < b ? a : b; }
UNROLLED_INLINE vf max_fast(vf a, vf b) { return a > b ? a : b; }
// JS: NaN where either is NaN; -0 is below +0.
UNROLLED_INLINE vf min(vf a, vf b) {
  vf r = as_float(as_int(min_fast(a, b)) | as_int(min_fast(b, a)));
  return select((a == a) & (b == b), r, a + b);
}
UNROLLED_INLINE vf max(vf a, vf b) {
  vf r = as_float(as_int(max_fast(a, b)) & as_int(max_fast(b, a)));
  return select((a == a) & (b == b), r, a + b);
}
// Modulo 2^32 (signed overflow is undefined, also in vectors).
UNROLLED_INLINE vi add_wrapping(vi a, int32_t b) { return as_int(as_uint(a) + static_cast<uint32_t>(b)); }
UNROLLED_INLINE vi min(vi a, vi b) { return a < b ? a : b; }
UNROLLED_INLINE vi max(vi a, vi b) { return a > b ? a : b; }

UNROLLED_INLINE vi sign_bit(vf v) { return as_int(v) & INT32_MIN; }
UNROLLED_INLINE vf abs(vf v) { return as_float(as_int(v) & 0x7fffffff); }
UNROLLED_INLINE vf copysign(vf magnitude, vf sign) { return as_float((as_int(magnitude) & 0x7fffffff) | sign_bit(sign)); }

// IEEE square root.
UNROLLED_INLINE vf sqrt(vf v) {
#if defined(UNROLLED_AVX512)
  return (vf)_mm512_sqrt_ps((__m512)v);
#elif defined(UNROLLED_AVX2)
  return (vf)_mm256_sqrt_ps((__m256)v);
#elif defined(UNROLLED_SSE2)
  return (vf)_mm_sqrt_ps((__m128)v);
#elif defined(UNROLLED_NEON)
  return (vf)vsqrtq_f32((float32x4_t)v);
#else
  vf r;
  for (int i = 0; i < W; i++) r[i] = __builtin_sqrtf(v[i]);
  return r;
#endif
}

// To the nearest integer, halves to even; keeps -0, infinities and NaN.
UNROLLED_INLINE vf round_even(vf v) {
#if defined(UNROLLED_AVX512)
  return (vf)_mm512_roundscale_ps((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(UNROLLED_AVX2)
  return (vf)_mm256_round_ps((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(UNROLLED_NEON)
  return (vf)vrndnq_f32((float32x4_t)v);
#else
  // Adding 2^23 leaves no room for a fraction; larger numbers are integers already.
  vf magic = splat(8388608.0f);
  vf magnitude = abs(v);
  vf r = copysign((magnitude + magic) - magic, v);
  return select(magnitude < magic, r, v);
#endif
}
UNROLLED_INLINE vf floor(vf v) {
#if defined(UNROLLED_AVX512)
  return (vf)_mm512_roundscale_ps((__m512)v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(UNROLLED_AVX2)
  return (vf)_mm256_round_ps((__m256)v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(UNROLLED_NEON)
  return (vf)vrndmq_f32((float32x4_t)v);
#else
  vf r = round_even(v);
  return select(r > v, r - 1.0f, r);
#endif
}
UNROLLED_INLINE vf ceil(vf v) {
#if defined(UNROLLED_AVX512)
  return (vf)_mm512_roundscale_ps((__m512)v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
#elif defined(UNROLLED_AVX2)
  return (vf)_mm256_round_ps((__m256)v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
#elif defined(UNROLLED_NEON)
  return (vf)vrndpq_f32((float32x4_t)v);
#else
  return -floor(-v);
#endif
}
// The nearest integer as int32; beyond int32 and NaN unspecified.
UNROLLED_INLINE vi round_to_int(vf v) {
#if defined(UNROLLED_AVX512)
  return (vi)_mm512_cvtps_epi32((__m512)v);
#elif defined(UNROLLED_AVX2)
  return (vi)_mm256_cvtps_epi32((__m256)v);
#elif defined(UNROLLED_SSE2)
  return (vi)_mm_cvtps_epi32((__m128)v);
#elif defined(UNROLLED_NEON)
  return (vi)vcvtnq_s32_f32((float32x4_t)v);
#else
  return truncate_to_int(round_even(v));
#endif
}
// JS-like cast: truncation, NaN -> 0.
UNROLLED_INLINE vi to_int(vf v) { return truncate_to_int(v) & (v == v); }

// Lanes i and i ^ kDistance change places.
template <int kDistance>
UNROLLED_INLINE vu exchange(vu v) {
#if defined(__clang__)
  vu r;
  for (int i = 0; i < W; i++) r[i] = v[i ^ kDistance];
  return r;
#else
  vu lanes;
  for (int i = 0; i < W; i++) lanes[i] = static_cast<uint32_t>(i ^ kDistance);
  return __builtin_shuffle(v, lanes);
#endif
}
// Of a and b, the lanes whose numbers lack bit kDistance, b's moved up by it: a[i], then b[i - kDistance]; and those that have it, a's moved
// down: a[i + kDistance], then b[i]. What a transposition is made of.
template <int kDistance>
UNROLLED_INLINE void interleave(vu& a, vu& b) {
#if defined(__clang__)
  const vu x = a, y = b;
  for (int i = 0; i < W; i++) {
    a[i] = i & kDistance ? y[i ^ kDistance] : x[i];
    b[i] = i & kDistance ? y[i] : x[i ^ kDistance];
  }
#else
  vu low, high;
  for (int i = 0; i < W; i++) {
    low[i] = static_cast<uint32_t>(i & kDistance ? W + (i ^ kDistance) : i);
    high[i] = static_cast<uint32_t>(i & kDistance ? W + i : i ^ kDistance);
  }
  const vu x = a;
  a = __builtin_shuffle(x, b, low);
  b = __builtin_shuffle(x, b, high);
#endif
}

// Sum of the lanes, pairwise: ((0 + 1) + (2 + 3)) + ...
UNROLLED_INLINE float sum_lanes(vf v) {
  float a[W];
  store(a, v);
  for (int n = W / 2; n > 0; n /= 2)
    for (int i = 0; i < n; i++) a[i] = a[2 * i] + a[2 * i + 1];
  return a[0];
}

// ---- float64 halves: for what float32 cannot carry ------------------------------------------------------------------------

typedef float vf_half __attribute__((vector_size(2 * UNROLLED_WIDTH)));
typedef int32_t vi_half __attribute__((vector_size(2 * UNROLLED_WIDTH)));
struct doubles {
  vd low, high;  // lanes 0..W/2-1 and W/2..W-1
};
UNROLLED_INLINE doubles to_double(vf v) {
#if defined(UNROLLED_AVX512)
  __m512 x = (__m512)v;
  return {(vd)_mm512_cvtps_pd(_mm512_castps512_ps256(x)), (vd)_mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))};
#elif defined(UNROLLED_AVX2)
  __m256 x = (__m256)v;
  return {(vd)_mm256_cvtps_pd(_mm256_castps256_ps128(x)), (vd)_mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
#elif defined(UNROLLED_SSE2)
  __m128 x = (__m128)v;
  return {(vd)_mm_cvtps_pd(x), (vd)_mm_cvtps_pd(_mm_movehl_ps(x, x))};
#elif defined(UNROLLED_NEON)
  float32x4_t x = (float32x4_t)v;
  return {(vd)vcvt_f64_f32(vget_low_f32(x)), (vd)vcvt_high_f64_f32(x)};
#else
  vf_half h[2];
  std::memcpy(h, &v, sizeof v);
  return {__builtin_convertvector(h[0], vd), __builtin_convertvector(h[1], vd)};
#endif
}
UNROLLED_INLINE doubles to_double(vi v) {
#if defined(UNROLLED_AVX512)
  __m512i x = (__m512i)v;
  return {(vd)_mm512_cvtepi32_pd(_mm512_castsi512_si256(x)), (vd)_mm512_cvtepi32_pd(_mm512_extracti32x8_epi32(x, 1))};
#elif defined(UNROLLED_AVX2)
  __m256i x = (__m256i)v;
  return {(vd)_mm256_cvtepi32_pd(_mm256_castsi256_si128(x)), (vd)_mm256_cvtepi32_pd(_mm256_extracti128_si256(x, 1))};
#elif defined(UNROLLED_SSE2)
  __m128i x = (__m128i)v;
  return {(vd)_mm_cvtepi32_pd(x), (vd)_mm_cvtepi32_pd(_mm_unpackhi_epi64(x, x))};
#else
  vi_half h[2];
  std::memcpy(h, &v, sizeof v);
  return {__builtin_convertvector(h[0], vd), __builtin_convertvector(h[1], vd)};
#endif
}
UNROLLED_INLINE vf to_float(doubles d) {
#if defined(UNROLLED_AVX512)
  return (vf)_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)d.low)), _mm512_cvtpd_ps((__m512d)d.high), 1);
#elif defined(UNROLLED_AVX2)
  return (vf)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)d.high), _mm256_cvtpd_ps((__m256d)d.low));
#elif defined(UNROLLED_SSE2)
  return (vf)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)d.low), _mm_cvtpd_ps((__m128d)d.high));
#elif defined(UNROLLED_NEON)
  return (vf)vcvt_high_f32_f64(vcvt_f32_f64((float64x2_t)d.low), (float64x2_t)d.high);
#else
  vf_half h[2] = {__builtin_convertvector(d.low, vf_half), __builtin_convertvector(d.high, vf_half)};
  vf v;
  std::memcpy(&v, h, sizeof v);
  return v;
#endif
}
UNROLLED_INLINE vd select(vli mask, vd a, vd b) { return mask ? a : b; }
// To the nearest integer, halves to even, for |v| < 2^51.
UNROLLED_INLINE vd round_even_small(vd v) {
  vd magic = splat(6755399441055744.0);  // 1.5 * 2^52
  return (v + magic) - magic;
}
UNROLLED_INLINE vd floor_small(vd v) {
  vd r = round_even_small(v);
  return select(r > v, r - 1.0, r);
}

// ---- 32 x 32 -> 64 bits, for counters ---------------------------------------------------------------------------------------

// Products of the low halves of the 64-bit lanes; the high halves are ignored.
UNROLLED_INLINE vl multiply_low_halves(vl a, vl b) {
#if defined(UNROLLED_AVX512)
  return (vl)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(UNROLLED_AVX2)
  return (vl)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(UNROLLED_SSE2)
  return (vl)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif defined(UNROLLED_NEON)
  return (vl)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}
// Low halves of `even` to the even 32-bit lanes, low halves of `odd` to the odd ones.
UNROLLED_INLINE vu interleave_low_halves(vl even, vl odd) {
#if defined(UNROLLED_AVX512)
  return (vu)_mm512_mask_shuffle_epi32((__m512i)even, 0xaaaa, (__m512i)odd, (_MM_PERM_ENUM)0xa0);
#elif defined(UNROLLED_AVX2)
  return (vu)_mm256_blend_epi32((__m256i)even, _mm256_slli_epi64((__m256i)odd, 32), 0xaa);
#else
  return (vu)((even & 0xffffffffu) | (odd << 32));
#endif
}
// Odd 32-bit lanes as the low halves of 64-bit lanes.
UNROLLED_INLINE vl odd_lanes(vu v) { return (vl)v >> 32; }
// High 32 bits of the products of 32-bit lanes.
UNROLLED_INLINE vu multiply_high(vu a, vu b) {
  vl even = multiply_low_halves((vl)a, (vl)b);
  vl odd = multiply_low_halves(odd_lanes(a), odd_lanes(b));
  return interleave_low_halves(even >> 32, odd >> 32);
}

}  // namespace UNROLLED_LEVEL
}  // namespace unrolled
