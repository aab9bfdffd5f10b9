// Elementary functions of float32 vectors, accurate to a few units in the last place on every level (native/cpu/vector_math_test.cpp holds
// each to its bound), with the special values of JavaScript's Math. No library call but for what the comments say.
// Polynomials are minimax fits made for these ranges; |r|, |f|, ... are the reduced arguments.
#pragma once
#include <cmath>  // in float64, for arguments beyond the vector paths

#include "simd.h"

namespace unrolled {
namespace UNROLLED_LEVEL {

constexpr float kInfinity = __builtin_inff();
constexpr float kNan = __builtin_nanf("");

// ---- exponentials ---------------------------------------------------------------------------------------------------------

// x = n ln 2 + r, |r| <= ln 2 / 2
struct ExpParts {
  vi n;
  vf r;
};
UNROLLED_INLINE ExpParts split_exp(vf x) {
  vf n = round_even(x * 1.44269504f);
  // ln 2 in two parts; n times the first is exact.
  vf r = fnma(n, 0x1.63p-1f, x);
  return {truncate_to_int(n), fnma(n, -0x1.bd0106p-13f, r)};
}
// e^r - 1
UNROLLED_INLINE vf expm1_reduced(vf r) {
  vf r2 = r * r;
  vf low = fma(r, 0.16666545f, 0.49999997f);
  vf high = fma(r, 0.00836645067f, 0.0416674428f);
  vf p = fma(fma(r2, 0.00138702034f, high), r2, low);
  return fma(p, r2, r);
}
// 2^n for n in -126..127
UNROLLED_INLINE vf power_of_two(vi n) { return as_float(as_uint(add_wrapping(n, 127)) << 23); }
// v 2^n in two steps, so that n may reach beyond the exponents and denormal results are rounded right; |n| <= 252
UNROLLED_INLINE vf scale(vf v, vi n) {
  vi half = n >> 1;
  return v * power_of_two(half) * power_of_two(n - half);
}
// e^x 2^shift, shift in -1..0. Beyond the clamp the result is 0 or Infinity anyway; NaN passes through min_fast and max_fast.
UNROLLED_INLINE vf exp_shifted(vf x, int shift) {
  x = min_fast(splat(90.0f), max_fast(splat(-105.0f), x));
  ExpParts parts = split_exp(x);
  return scale(expm1_reduced(parts.r) + 1.0f, add_wrapping(parts.n, shift));
}
UNROLLED_INLINE vf exp(vf x) { return exp_shifted(x, 0); }

UNROLLED_INLINE vf expm1(vf x) {
  vf clamped = min_fast(splat(88.8f), max_fast(splat(-20.0f), x));  // e^88.8 overflows; n <= 128
  ExpParts parts = split_exp(clamped);
  vf q = expm1_reduced(parts.r);
  // 2^n q + (2^n - 1), at half the size because 2^128 is no float
  vf half_power = power_of_two(add_wrapping(parts.n, -1));
  vf result = fma(half_power, q, half_power - 0.5f) * 2.0f;
  return select(parts.n == 0, copysign(q, x), result);  // n = 0: keeps denormals and -0
}

// ---- logarithms -----------------------------------------------------------------------------------------------------------

// log(m 2^e), m in [sqrt(1/2), sqrt(2)), with -Infinity at 0 and NaN below
UNROLLED_INLINE vf log(vf x) {
  vi small = x < 0x1p-126f;  // denormals: 23 binary places up
  vf y = select(small, x * 0x1p23f, x);
  vi bits = as_int(y);
  vi exponent = add_wrapping(bits, -0x3f3504f3) >> 23;
  vf f = as_float(as_uint(bits) - (as_uint(exponent) << 23)) - 1.0f;
  vf e = to_float(exponent + (small & -23));
  vf f2 = f * f;
  vf a = fma(f, -0.250008196f, 0.333333313f);
  vf b = fma(f, -0.166234091f, 0.200012416f);
  vf c = fma(f, -0.131596103f, 0.1420158f);
  vf d = fma(f, -0.0763643607f, 0.127622157f);
  vf p = fma(fma(fma(d, f2, c), f2, b), f2, a);
  // e ln 2 = e (0x1.63p-1 - 2.12e-4), the first product exact
  vf tail = fma(e, -0x1.bd0106p-13f, p * f * f2);
  vf result = fma(e, 0x1.63p-1f, f + fma(f2, -0.5f, tail));
  result = select(x < kInfinity, result, x);                // Infinity and NaN as they are
  result = select(x == 0.0f, splat(-kInfinity), result);
  return select(x < 0.0f, splat(kNan), result);
}

// log(u) x / (u - 1) with u = 1 + x rounded: the rounding error of u cancels (Goldberg 1991, theorem 4).
UNROLLED_INLINE vf log1p(vf x) {
  vf u = x + 1.0f;
  vf d = u - 1.0f;
  vf result = log(u) * (x / d);
  result = select(d == 0.0f, x, result);
  return select(u == kInfinity, u, result);
}

// ---- circular functions -----------------------------------------------------------------------------------------------------

// Beyond this the reduction would need more bits of pi: lanes are redone one by one with the library's float64 function.
constexpr float kCircularLimit = 100000.0f;

// |x| = n pi/2 + r, |r| <= pi/4, for |x| <= kCircularLimit
struct CircularParts {
  vi n;
  vf r;
};
UNROLLED_INLINE CircularParts split_circular(vf magnitude) {
  vf n = round_even(magnitude * 0.636619772f);
  if constexpr (kHasFma) {
    vf r = fnma(n, 0x1.921fb6p0f, magnitude);
    r = fnma(n, -0x1.777a5cp-25f, r);
    return {truncate_to_int(n), fnma(n, -0x1.ee59dap-50f, r)};
  } else {
    // Without FMA the products would be rounded; in float64 they are exact (33-bit part of pi/2 times 17-bit n).
    doubles m = to_double(magnitude), k = to_double(n);
    m.low = (m.low - k.low * 0x1.921fb544p0) - k.low * 0x1.0b4611a626331p-34;
    m.high = (m.high - k.high * 0x1.921fb544p0) - k.high * 0x1.0b4611a626331p-34;
    return {truncate_to_int(n), to_float(m)};
  }
}
UNROLLED_INLINE vf sin_reduced(vf r, vf r2) {
  vf p = fma(fma(r2, -0.000195178945f, 0.00833218731f), r2, splat(-0.166666552f));
  return fma(p * r2, r, r);
}
UNROLLED_INLINE vf cos_reduced(vf r2) {
  vf p = fma(fma(r2, 2.44323292e-05f, -0.00138873095f), r2, splat(0.0416666456f));
  return fma(p, r2 * r2, fma(r2, -0.5f, 1.0f));
}
template <class F>
UNROLLED_INLINE vf redo_large(vf x, vf result, F function) {
  vi large = (abs(x) > kCircularLimit) & (abs(x) < kInfinity);  // infinities have become NaN
  if (__builtin_expect(any(large), 0)) {
    for (int i = 0; i < W; i++)
      if (large[i]) result[i] = static_cast<float>(function(static_cast<double>(x[i])));
  }
  return result;
}

UNROLLED_INLINE vf sin(vf x) {
  CircularParts parts = split_circular(abs(x));
  vf r2 = parts.r * parts.r;
  vf value = select((parts.n & 1) != 0, cos_reduced(r2), sin_reduced(parts.r, r2));
  vf result = as_float(as_int(value) ^ ((parts.n & 2) << 30) ^ sign_bit(x));
  return redo_large(x, result, [](double v) { return std::sin(v); });
}
UNROLLED_INLINE vf cos(vf x) {
  CircularParts parts = split_circular(abs(x));
  vf r2 = parts.r * parts.r;
  vf value = select((parts.n & 1) != 0, sin_reduced(parts.r, r2), cos_reduced(r2));
  vf result = as_float(as_int(value) ^ (((parts.n + 1) & 2) << 30));
  return redo_large(x, result, [](double v) { return std::cos(v); });
}
UNROLLED_INLINE vf tan(vf x) {
  CircularParts parts = split_circular(abs(x));
  vf r2 = parts.r * parts.r;
  vf s = sin_reduced(parts.r, r2), c = cos_reduced(r2);
  vi odd = (parts.n & 1) != 0;
  vf value = select(odd, c, s) / select(odd, s, c);
  vf result = as_float(as_int(value) ^ (odd & INT32_MIN) ^ sign_bit(x));
  return redo_large(x, result, [](double v) { return std::tan(v); });
}

// asin(a) = a + a^3 P(a^2) on [0, 1/2]
UNROLLED_INLINE vf asin_reduced(vf a, vf a2) {
  vf p = fma(a2, 0.0421582982f, 0.0241847802f);
  p = fma(fma(fma(p, a2, splat(0.0454691499f)), a2, splat(0.0749530941f)), a2, splat(0.166667521f));
  return fma(p * a2, a, a);
}
constexpr float kHalfPi = 1.57079633f, kHalfPiLow = -4.37113883e-8f;  // together pi/2 to 48 bits

UNROLLED_INLINE vf asin(vf x) {
  vf a = abs(x);
  vi large = a > 0.5f;
  // asin(a) = pi/2 - 2 asin(sqrt((1 - a) / 2)); the square root of a negative number makes the NaN beyond 1.
  vf half = (1.0f - a) * 0.5f;
  vf s = select(large, sqrt(half), a), s2 = select(large, half, a * a);
  vf q = asin_reduced(s, s2);
  vf result = select(large, kHalfPi - (2.0f * q - kHalfPiLow), q);
  return as_float(as_int(result) ^ sign_bit(x));
}
UNROLLED_INLINE vf acos(vf x) {
  vf a = abs(x);
  vi large = a > 0.5f;
  vf half = (1.0f - a) * 0.5f;
  vf s = select(large, sqrt(half), a), s2 = select(large, half, a * a);
  vf q = asin_reduced(s, s2);
  vf signed_q = as_float(as_int(q) ^ sign_bit(x));
  vf middle = kHalfPi - (signed_q - kHalfPiLow);
  vf outer = select(x < 0.0f, 2.0f * (kHalfPi - (q - kHalfPiLow)), 2.0f * q);
  return select(large, outer, middle);
}

// atan(t) = t + t^3 P(t^2) for |t| <= tan(pi/8)
UNROLLED_INLINE vf atan_reduced(vf t) {
  vf t2 = t * t;
  vf p = fma(fma(fma(t2, 0.08053606f, -0.138777167f), t2, splat(0.199777231f)), t2, splat(-0.333329499f));
  return fma(p * t2, t, t);
}
constexpr float kTanEighth = 0.414213562f, kTanThreeEighths = 2.41421356f;

UNROLLED_INLINE vf atan(vf x) {
  vf a = abs(x);
  vi large = a > kTanThreeEighths, middle = a > kTanEighth;
  // atan a = pi/4 + atan((a - 1) / (a + 1)) = pi/2 - atan(1 / a)
  vf numerator = select(large, splat(-1.0f), select(middle, a - 1.0f, a));
  vf denominator = select(large, a, select(middle, a + 1.0f, splat(1.0f)));
  vf base = select(large, splat(kHalfPi), select(middle, splat(kHalfPi * 0.5f), vf{}));
  vf low = select(large, splat(kHalfPiLow), select(middle, splat(kHalfPiLow * 0.5f), vf{}));
  vf result = base + (atan_reduced(numerator / denominator) + low);
  return as_float(as_int(result) ^ sign_bit(x));
}
// The angle of (x, y), with the quadrants and signed zeros of Math.atan2.
UNROLLED_INLINE vf atan2(vf y, vf x) {
  vf ay = abs(y), ax = abs(x);
  vi steep = ay > ax;
  vf smaller = select(steep, ax, ay), larger = select(steep, ay, ax);
  vf t = smaller / larger;
  t = select(larger == 0.0f, vf{}, t);
  t = select(smaller == kInfinity, splat(1.0f), t);
  vi middle = t > kTanEighth;
  vf u = atan_reduced(select(middle, (t - 1.0f) / (t + 1.0f), t));
  vf angle = select(middle, kHalfPi * 0.5f + (u + kHalfPiLow * 0.5f), u);
  angle = select(steep, kHalfPi - (angle - kHalfPiLow), angle);
  angle = select(as_int(x) < 0, 2.0f * kHalfPi - (angle - 2.0f * kHalfPiLow), angle);
  angle = as_float(as_int(angle) | sign_bit(y));
  return select((x == x) & (y == y), angle, splat(kNan));
}

// ---- hyperbolic functions ---------------------------------------------------------------------------------------------------

UNROLLED_INLINE vf sinh(vf x) {
  vf a = abs(x), a2 = x * x;
  vf p = fma(fma(fma(a2, 2.78221319e-06f, 0.000198428956f), a2, splat(0.00833331048f)), a2, splat(0.166666672f));
  vf small = fma(p * a2, x, x);
  vf h = exp_shifted(a, -1);  // e^a / 2
  vf large = copysign(h - 0.25f / h, x);
  return select(a < 1.0f, small, large);
}
UNROLLED_INLINE vf cosh(vf x) {
  vf h = exp_shifted(abs(x), -1);
  return h + 0.25f / h;
}
// tanh a = t / (t + 2), t = e^(2a) - 1; 1 to the last bit from a = 9.02 on
UNROLLED_INLINE vf tanh(vf x) {
  vf a = min_fast(splat(9.5f), abs(x));
  ExpParts parts = split_exp(a + a);
  vf q = expm1_reduced(parts.r);
  vf power = power_of_two(parts.n);
  vf t = fma(power, q, power - 1.0f);
  vf result = t / (t + 2.0f);
  return as_float(as_int(result) | sign_bit(x));
}
// log1p(a + a^2 / (1 + sqrt(a^2 + 1))); log(2a) where the square would overflow
UNROLLED_INLINE vf asinh(vf x) {
  vf a = abs(x);
  vi large = a > 1e9f;
  vf b = select(large, vf{}, a), b2 = b * b;
  vf argument = select(large, a, b + b2 / (sqrt(b2 + 1.0f) + 1.0f));
  vf result = log1p(argument) + select(large, splat(0.693147181f), vf{});
  return copysign(result, x);
}
UNROLLED_INLINE vf acosh(vf x) {
  vi large = x > 1e9f;
  vf t = select(large, vf{}, x - 1.0f);
  vf argument = select(large, x, t + sqrt(t * (t + 2.0f)));
  vf result = log1p(argument) + select(large, splat(0.693147181f), vf{});
  return select(x < 1.0f, splat(kNan), result);
}
UNROLLED_INLINE vf atanh(vf x) {
  vf a = abs(x);
  vf result = 0.5f * log1p(2.0f * a / (1.0f - a));
  return copysign(result, x);
}

// ---- functions of machine learning ------------------------------------------------------------------------------------------

// Both sides keep e^-|x|, so the lower tail has full relative accuracy down to denormals.
UNROLLED_INLINE vf sigmoid(vf x) {
  vf e = exp(-abs(x));
  return select(x < 0.0f, e, splat(1.0f)) / (e + 1.0f);
}
// log(1 + e^x)
UNROLLED_INLINE vf softplus(vf x) {
  return max_fast(vf{}, x) + log1p(exp(-abs(x)));
}
// x + x P(x^2) below 1, 1 - exp(-Q(|x|)) above: 1.5 ulp, where tfjs has the 1.5e-7 absolute of Abramowitz and Stegun 7.1.26.
UNROLLED_INLINE vf erf(vf x) {
  vf a = abs(x), a2 = a * a;
  vf p = fma(a2, 7.80690389e-05f, -0.00079978531f);
  p = fma(fma(p, a2, splat(0.0051871622f)), a2, splat(-0.0268533472f));
  p = fma(fma(fma(p, a2, splat(0.112835787f)), a2, splat(-0.37612626f)), a2, splat(0.128379166f));
  vf small = fma(p, a, a);
  vf b = min_fast(splat(4.0f), a);
  vf q = fma(b, -0.00018637997f, 0.0029476597f);
  q = fma(fma(fma(q, b, splat(-0.0218380503f)), b, splat(0.1031067f)), b, splat(0.63814491f));
  q = fma(fma(q, b, splat(1.12708914f)), b, splat(0.000341533218f));
  vf large = 1.0f - exp(-q);
  return copysign(select(a < 1.0f, small, large), x);
}
UNROLLED_INLINE vf rsqrt(vf x) { return 1.0f / sqrt(x); }
// -1, 0 (of either sign), 1, NaN
UNROLLED_INLINE vf sign(vf x) {
  vf one = as_float(as_int(splat(1.0f)) | sign_bit(x));
  return select(x == 0.0f, vf{}, select(x == x, one, x));
}

// ---- powers and remainders ----------------------------------------------------------------------------------------------------

// log2 of half a vector of positive float32 in float64: e + s P(s^2), s = (m - 1) / (m + 1), error 1e-12 absolute
UNROLLED_INLINE vd log2_double(vd m, vd e) {
  vd s = (m - 1.0) / (m + 1.0), s2 = s * s;
  vd p = fma(s2, splat(0.28293330915775417), splat(0.31990347602620239));
  p = fma(fma(p, s2, splat(0.41220930413722706)), s2, splat(0.57707794187559014));
  p = fma(fma(p, s2, splat(0.96179669411496027)), s2, splat(2.8853900817778491));
  return fma(s, p, e);
}
// Math.pow: 1 for y = 0 whatever x; NaN for x = 1 or -1 with y infinite, and for x < 0 with y no integer; signed zeros and infinities
// for odd y. The logarithm and its product with y are float64: y log2 x needs up to 7 digits before the point.
UNROLLED_INLINE vf pow(vf x, vf y) {
  vf a = abs(x);
  vi tiny = a < 0x1p-126f;
  vi bits = as_int(select(tiny, a * 0x1p23f, a));
  vi exponent = (bits - 0x3f3504f3) >> 23;
  doubles m = to_double(as_float(bits - (exponent << 23)));
  doubles e = to_double(exponent + (tiny & -23));
  doubles l = {log2_double(m.low, e.low), log2_double(m.high, e.high)};
  doubles yd = to_double(y);
  // |x| of 0 or Infinity has the logarithm of its limit; y may be infinite, and 0 * Infinity is NaN as it should be
  doubles ad = to_double(a);
  l.low = select((vli)(ad.low == 0.0), splat(-__builtin_inf()), select((vli)(ad.low <= 0x1.fffffep127), l.low, ad.low));
  l.high = select((vli)(ad.high == 0.0), splat(-__builtin_inf()), select((vli)(ad.high <= 0x1.fffffep127), l.high, ad.high));
  auto bounded = [](vd v) {
    v = select((vli)(v > 160.0), splat(160.0), v);
    return select((vli)(v < -160.0), splat(-160.0), v);
  };
  vd t_low = bounded(yd.low * l.low), t_high = bounded(yd.high * l.high);
  vd n_low = round_even_small(t_low), n_high = round_even_small(t_high);
  vf fraction = to_float(doubles{t_low - n_low, t_high - n_high});
  vi n = truncate_to_int(to_float(doubles{n_low, n_high}));
  vf magnitude = scale(expm1_reduced(fraction * 0.693147181f) + 1.0f, n);

  vf half = y * 0.5f;
  vi integer = floor(y) == y, odd = integer & (floor(half) != half);
  vf result = as_float(as_int(magnitude) | (odd & sign_bit(x)));
  result = select((x < 0.0f) & ~integer & (a != kInfinity), splat(kNan), result);
  return select(y == 0.0f, splat(1.0f), result);
}

// Math.floor(a / b) with the quotient in float64, as tfjs computes it: no quotient that is just below an integer rounds up to it.
UNROLLED_INLINE vf floor_div(vf a, vf b) {
  doubles x = to_double(a), y = to_double(b);
  vd low = x.low / y.low, high = x.high / y.high;
  // float64 beyond 2^51 is no longer rounded by floor_small, nor has it a fraction that float32 could see
  auto floored = [](vd v) { return select((vli)((v < 0x1p51) & (v > -0x1p51)), floor_small(v), v); };
  vf result = to_float(doubles{floored(low), floored(high)});
  // A quotient of -0 stays -0.
  return as_float(as_int(result) | ((result == 0.0f) & (sign_bit(a) ^ sign_bit(b))));
}

// tfjs mod, one lane: the remainder of a / b, moved to the sign of b
// (float64 arguments throughout: the library's overloads for other types are inline functions that the linker could merge
// across levels)
static inline float mod_scalar(double a, double b) {
  double remainder = std::fmod(a, b);
  if (!((a < 0 && b < 0) || (a >= 0 && b >= 0))) remainder = std::fmod(remainder + b, b);
  return static_cast<float>(remainder);
}
UNROLLED_INLINE vd mod_double(vd a, vd b) {
  vd q = a / b;
  vd t = round_even_small(q);
  // towards zero
  t = select((vli)(t > q) & (vli)(q > 0.0), t - 1.0, t);
  t = select((vli)(t < q) & (vli)(q < 0.0), t + 1.0, t);
  vd r = a - t * b;
  vd moved = r + b;
  moved = select((vli)(moved == b), b * 0.0, moved);
  vli same = ((vli)(a < 0.0) & (vli)(b < 0.0)) | ((vli)(a >= 0.0) & (vli)(b >= 0.0));
  // r = 0 takes the sign of a, like %
  r = select((vli)(r == 0.0), a * 0.0, r);
  return select(same, r, moved);
}
// tfjs mod: exact. A quotient beyond 2^28, where t * b is no longer exact in float64, or an operand that is not finite (or b = 0)
// is left to the library, lane by lane.
UNROLLED_INLINE vf mod(vf a, vf b) {
  doubles x = to_double(a), y = to_double(b);
  vf result = to_float(doubles{mod_double(x.low, y.low), mod_double(x.high, y.high)});
  vi hard = ~((abs(a / b) < 0x1p28f) & (abs(b) < kInfinity));
  if (__builtin_expect(any(hard), 0)) {
    for (int i = 0; i < W; i++)
      if (hard[i]) result[i] = mod_scalar(a[i], b[i]);
  }
  return result;
}

// ---- int32, as tfjs computes them: in float64, then to int32 modulo 2^32 with 0 for NaN and infinities --------------------------

static inline int32_t floor_div_scalar(int32_t a, int32_t b) {
  if (b == 0) return 0;
  const int64_t x = a, y = b, q = x / y;
  return static_cast<int32_t>(static_cast<uint32_t>(q - (x % y != 0 && (x < 0) != (y < 0))));
}
static inline int32_t mod_scalar(int32_t a, int32_t b) {
  if (b == 0) return 0;
  const int64_t r = int64_t{a} % b;
  return static_cast<int32_t>(r != 0 && (r < 0) != (b < 0) ? r + b : r);
}
static inline int32_t pow_scalar(int32_t a, int32_t b) {
  const double p = std::pow(static_cast<double>(a), static_cast<double>(b));
  if (!(p - p == 0)) return 0;
  const double wrapped = std::fmod(std::trunc(p), 4294967296.0);
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<int64_t>(wrapped)));
}
UNROLLED_INLINE vi floor_div(vi a, vi b) {
  vi r;
  for (int i = 0; i < W; i++) r[i] = floor_div_scalar(a[i], b[i]);
  return r;
}
UNROLLED_INLINE vi mod(vi a, vi b) {
  vi r;
  for (int i = 0; i < W; i++) r[i] = mod_scalar(a[i], b[i]);
  return r;
}
UNROLLED_INLINE vi pow(vi a, vi b) {
  vi r;
  for (int i = 0; i < W; i++) r[i] = pow_scalar(a[i], b[i]);
  return r;
}

}  // namespace UNROLLED_LEVEL
}  // namespace unrolled
