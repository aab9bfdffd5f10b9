// Every function of vector_math.h against the library's float64 one, in units in the last place over dense ranges, and at the values where
// JavaScript's Math has something special to say. Run at each instruction level.
#include "vector_math.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

namespace level = unrolled::UNROLLED_LEVEL;
using level::vf;
using level::vi;
using level::W;

static int failures = 0;
static int checks = 0;

static const float inf = std::numeric_limits<float>::infinity();
static const float nan_ = std::numeric_limits<float>::quiet_NaN();

static float from_bits(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}
static uint32_t to_bits(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, sizeof bits);
  return bits;
}
// Error of `got` in units in the last place of float32 at `exact`.
static double ulps(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : HUGE_VAL;
  const float rounded = static_cast<float>(exact);
  if (std::isinf(rounded) || std::isinf(got)) return got == rounded ? 0 : HUGE_VAL;
  int exponent;
  std::frexp(exact, &exponent);
  return std::fabs(got - exact) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

struct Unary {
  const char* name;
  vf (*function)(vf);
  double (*exact)(double);
  double bound;   // ulp
  float low, high;  // range of |x| tried densely, both signs
};

static double sigmoid_exact(double x) { return 1 / (1 + std::exp(-x)); }
static double softplus_exact(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
static double rsqrt_exact(double x) { return 1 / std::sqrt(x); }
static double round_exact(double x) { return std::nearbyint(x); }
static double sign_exact(double x) { return std::isnan(x) ? x : x > 0 ? 1 : x < 0 ? -1 : 0; }

#define FUNCTION(f) [](vf x) { return level::f(x); }
static const Unary unary[] = {
    {"exp", FUNCTION(exp), std::exp, 1.5, 0, 110},
    {"expm1", FUNCTION(expm1), std::expm1, 2.5, 0, 110},
    {"log", FUNCTION(log), std::log, 1.5, 0, 3.4e38f},
    {"log1p", FUNCTION(log1p), std::log1p, 3, 0, 3.4e38f},
    {"sin", FUNCTION(sin), std::sin, 1.5, 0, 3.4e38f},
    {"cos", FUNCTION(cos), std::cos, 1.5, 0, 3.4e38f},
    {"tan", FUNCTION(tan), std::tan, 3, 0, 3.4e38f},
    {"asin", FUNCTION(asin), std::asin, 2.5, 0, 1},
    {"acos", FUNCTION(acos), std::acos, 2, 0, 1},
    {"atan", FUNCTION(atan), std::atan, 2.5, 0, 3.4e38f},
    {"sinh", FUNCTION(sinh), std::sinh, 3, 0, 95},
    {"cosh", FUNCTION(cosh), std::cosh, 2.5, 0, 95},
    {"tanh", FUNCTION(tanh), std::tanh, 3, 0, 12},
    {"asinh", FUNCTION(asinh), std::asinh, 4, 0, 3.4e38f},
    {"acosh", FUNCTION(acosh), std::acosh, 4, 0, 3.4e38f},
    {"atanh", FUNCTION(atanh), std::atanh, 4, 0, 1},
    {"erf", FUNCTION(erf), std::erf, 2, 0, 6},
    {"sigmoid", FUNCTION(sigmoid), sigmoid_exact, 3, 0, 110},
    {"softplus", FUNCTION(softplus), softplus_exact, 4, 0, 110},
    {"rsqrt", FUNCTION(rsqrt), rsqrt_exact, 1.5, 0, 3.4e38f},
    {"sqrt", FUNCTION(sqrt), std::sqrt, 0.5, 0, 3.4e38f},
    {"round_even", FUNCTION(round_even), round_exact, 0, 0, 3.4e38f},
    {"floor", FUNCTION(floor), std::floor, 0, 0, 3.4e38f},
    {"ceil", FUNCTION(ceil), std::ceil, 0, 0, 3.4e38f},
    {"sign", FUNCTION(sign), sign_exact, 0, 0, 3.4e38f},
};

static void check_ulps(const Unary& u) {
  double worst = 0;
  float at = 0;
  const uint32_t last = to_bits(u.high), stride = (last - to_bits(u.low)) / 600011 + 1;
  for (int negative = 0; negative < 2; negative++) {
    for (uint32_t bits = to_bits(u.low); bits <= last; bits += stride * W) {
      float x[W], y[W];
      for (int i = 0; i < W; i++) {
        x[i] = from_bits(std::min(bits + stride * static_cast<uint32_t>(i), last));
        if (negative) x[i] = -x[i];
      }
      level::store(y, u.function(level::load(x)));
      for (int i = 0; i < W; i++) {
        const double error = ulps(y[i], u.exact(x[i]));
        if (!(error <= worst)) worst = error, at = x[i];
      }
    }
  }
  checks++;
  const bool ok = worst <= u.bound;
  std::printf("%-11s worst %.3f ulp at %.9g%s\n", u.name, worst, at, ok ? "" : "   ABOVE ITS BOUND");
  if (!ok) failures++;
}

// Same number, same sign of zero, or both NaN.
static bool same(float a, float b) { return (std::isnan(a) && std::isnan(b)) || to_bits(a) == to_bits(b); }

static void expect(const char* name, float x, float got, float want) {
  checks++;
  if (!same(got, want)) {
    failures++;
    std::printf("%s(%.9g) = %.9g, expected %.9g\n", name, x, got, want);
  }
}
static void expect2(const char* name, float x, float y, float got, float want) {
  checks++;
  if (!same(got, want)) {
    failures++;
    std::printf("%s(%.9g, %.9g) = %.9g, expected %.9g\n", name, x, y, got, want);
  }
}

struct Special {
  const char* name;
  float x, want;
};
static const Special specials[] = {
    {"exp", 0.0f, 1}, {"exp", -0.0f, 1}, {"exp", inf, inf}, {"exp", -inf, 0}, {"exp", 89, inf}, {"exp", -104, 0},
    {"exp", -103, from_bits(1)}, {"exp", 1e30f, inf}, {"exp", -1e30f, 0},
    {"expm1", -0.0f, -0.0f}, {"expm1", 0, 0}, {"expm1", inf, inf}, {"expm1", -inf, -1}, {"expm1", from_bits(3), from_bits(3)},
    {"expm1", 88.75f, inf}, {"expm1", -50, -1},
    {"log", 0, -inf}, {"log", -0.0f, -inf}, {"log", -1, nan_}, {"log", inf, inf}, {"log", -inf, nan_}, {"log", 1, 0},
    {"log", -from_bits(1), nan_},
    {"log1p", -0.0f, -0.0f}, {"log1p", 0, 0}, {"log1p", -1, -inf}, {"log1p", -1.5f, nan_}, {"log1p", inf, inf}, {"log1p", -inf, nan_},
    {"log1p", from_bits(5), from_bits(5)},
    {"sin", -0.0f, -0.0f}, {"sin", 0, 0}, {"sin", inf, nan_}, {"sin", -inf, nan_}, {"cos", -0.0f, 1}, {"cos", inf, nan_},
    {"tan", -0.0f, -0.0f}, {"tan", inf, nan_}, {"sin", from_bits(7), from_bits(7)}, {"tan", -from_bits(7), -from_bits(7)},
    {"asin", -0.0f, -0.0f}, {"asin", 1.0000001f, nan_}, {"asin", -2, nan_}, {"asin", from_bits(9), from_bits(9)}, {"asin", inf, nan_},
    {"acos", 1, 0}, {"acos", -1.0000001f, nan_}, {"acos", inf, nan_}, {"acos", -1, 3.14159274f},
    {"atan", -0.0f, -0.0f}, {"atan", inf, 1.57079637f}, {"atan", -inf, -1.57079637f}, {"atan", from_bits(2), from_bits(2)},
    {"sinh", -0.0f, -0.0f}, {"sinh", inf, inf}, {"sinh", -inf, -inf}, {"sinh", from_bits(2), from_bits(2)}, {"sinh", -100, -inf},
    {"cosh", 0, 1}, {"cosh", inf, inf}, {"cosh", -inf, inf}, {"cosh", 100, inf},
    {"tanh", -0.0f, -0.0f}, {"tanh", inf, 1}, {"tanh", -inf, -1}, {"tanh", 1e30f, 1}, {"tanh", from_bits(2), from_bits(2)},
    {"asinh", -0.0f, -0.0f}, {"asinh", inf, inf}, {"asinh", -inf, -inf}, {"asinh", from_bits(2), from_bits(2)},
    {"acosh", 1, 0}, {"acosh", 0.99999994f, nan_}, {"acosh", -5, nan_}, {"acosh", inf, inf}, {"acosh", -inf, nan_},
    {"atanh", -0.0f, -0.0f}, {"atanh", 1, inf}, {"atanh", -1, -inf}, {"atanh", 1.0000001f, nan_}, {"atanh", inf, nan_},
    {"erf", -0.0f, -0.0f}, {"erf", inf, 1}, {"erf", -inf, -1}, {"erf", 10, 1},
    {"sigmoid", 0, 0.5f}, {"sigmoid", inf, 1}, {"sigmoid", -inf, 0}, {"sigmoid", 200, 1}, {"sigmoid", -200, 0},
    {"softplus", inf, inf}, {"softplus", -inf, 0}, {"softplus", 100, 100}, {"softplus", -200, 0},
    {"rsqrt", 0, inf}, {"rsqrt", -0.0f, -inf}, {"rsqrt", inf, 0}, {"rsqrt", -1, nan_}, {"rsqrt", 4, 0.5f},
    {"round_even", 0.5f, 0}, {"round_even", 1.5f, 2}, {"round_even", 2.5f, 2}, {"round_even", -0.5f, -0.0f}, {"round_even", -1.5f, -2},
    {"round_even", 0.49999997f, 0}, {"round_even", 8388609, 8388609}, {"round_even", inf, inf}, {"round_even", -0.0f, -0.0f},
    {"floor", -0.0f, -0.0f}, {"floor", -0.5f, -1}, {"floor", inf, inf}, {"floor", 2.75f, 2}, {"floor", -2147483904.0f, -2147483904.0f},
    {"ceil", -0.5f, -0.0f}, {"ceil", 0.5f, 1}, {"ceil", -inf, -inf},
    {"sign", 0, 0}, {"sign", -3, -1}, {"sign", inf, 1}, {"sign", -inf, -1},
};

static void check_specials() {
  for (const Special& s : specials)
    for (const Unary& u : unary)
      if (std::strcmp(u.name, s.name) == 0) {
        const vf y = u.function(level::splat(s.x));
        expect(s.name, s.x, y[0], s.want);
        expect(s.name, s.x, y[W - 1], s.want);
      }
  for (const Unary& u : unary) expect(u.name, nan_, u.function(level::splat(nan_))[0], nan_);
}

// Math.pow where it differs from C: NaN for a base of 1 or -1 with an infinite exponent, and for base 1 with exponent NaN.
static double pow_js(double x, double y) {
  if (std::isnan(y) || (std::fabs(x) == 1 && std::isinf(y))) return std::nan("");
  return std::pow(x, y);
}
static double mod_js(double a, double b) {
  const double r = std::fmod(a, b);
  if ((a < 0 && b < 0) || (a >= 0 && b >= 0)) return r;
  return std::fmod(r + b, b);
}
static double floor_div_js(double a, double b) { return std::floor(a / b); }
static double min_js(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::nan("");
  return a == b ? (std::signbit(a) ? a : b) : std::min(a, b);
}
static double max_js(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::nan("");
  return a == b ? (std::signbit(a) ? b : a) : std::max(a, b);
}

struct Binary {
  const char* name;
  vf (*function)(vf, vf);
  double (*exact)(double, double);
  double bound;
};
#define FUNCTION2(f) [](vf x, vf y) { return level::f(x, y); }
static const Binary binary[] = {
    {"pow", FUNCTION2(pow), pow_js, 1.5},   {"atan2", FUNCTION2(atan2), std::atan2, 3}, {"mod", FUNCTION2(mod), mod_js, 0.5},
    {"floor_div", FUNCTION2(floor_div), floor_div_js, 0.5}, {"min", FUNCTION2(min), min_js, 0}, {"max", FUNCTION2(max), max_js, 0},
};

// A counter-based generator independent of the code under test.
static uint32_t mix(uint64_t& state) {
  state += 0x9e3779b97f4a7c15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<uint32_t>((z ^ (z >> 31)) >> 32);
}

static void check_binary(const Binary& b) {
  const float special[] = {0.0f, -0.0f, 1, -1, 2, -2, 3, -3, 0.5f, -0.5f, 1.5f, 16777216, -16777217.0f, 1e30f, -1e30f, 3.4e38f, 1e-30f,
                           from_bits(1), -from_bits(1), from_bits(0x007fffff), inf, -inf, nan_, 4, -4, 0.1f, -7, 1e9f, -1e9f};
  for (float x : special)
    for (float y : special) {
      const float want = static_cast<float>(b.exact(x, y)), got = b.function(level::splat(x), level::splat(y))[0];
      checks++;
      // Zeros, infinities and NaN exactly; other numbers to the bound.
      const bool exact = want == 0 || std::isinf(want) || std::isnan(want);
      if (exact ? !same(got, want) : ulps(got, b.exact(x, y)) > b.bound) expect2(b.name, x, y, got, want);
    }
  double worst = 0;
  float at[2] = {};
  uint64_t state = 7;
  for (int n = 0; n < 400000; n++) {
    float x[W], y[W], z[W];
    for (int i = 0; i < W; i++) {
      const uint32_t u = mix(state), v = mix(state);
      switch (n & 3) {
        case 0:  // any bits
          x[i] = from_bits(u), y[i] = from_bits(v);
          break;
        case 1:  // small integers and halves
          x[i] = static_cast<float>(static_cast<int32_t>(u % 401) - 200) * 0.5f, y[i] = static_cast<float>(static_cast<int32_t>(v % 41) - 20);
          break;
        case 2:  // moderate numbers
          x[i] = static_cast<float>(u) * 0x1p-28f, y[i] = static_cast<float>(static_cast<int32_t>(v)) * 0x1p-25f;
          break;
        default:  // bases near 1, large exponents
          x[i] = 1 + static_cast<float>(static_cast<int32_t>(u)) * 0x1p-36f, y[i] = static_cast<float>(static_cast<int32_t>(v)) * 0x1p-18f;
      }
    }
    level::store(z, b.function(level::load(x), level::load(y)));
    for (int i = 0; i < W; i++) {
      const double error = ulps(z[i], b.exact(x[i], y[i]));
      if (!(error <= worst)) worst = error, at[0] = x[i], at[1] = y[i];
    }
  }
  checks++;
  const bool ok = worst <= b.bound;
  std::printf("%-11s worst %.3f ulp at %.9g, %.9g%s\n", b.name, worst, at[0], at[1], ok ? "" : "   ABOVE ITS BOUND");
  if (!ok) failures++;
}

static void check_integers() {
  const int32_t values[] = {0, 1, -1, 2, -2, 3, -3, 7, -7, 10, 100, -100, 65536, INT32_MAX, INT32_MIN, INT32_MIN + 1};
  auto to_int32 = [](double v) -> int32_t {  // ECMAScript ToInt32
    if (!std::isfinite(v)) return 0;
    double m = std::fmod(std::trunc(v), 4294967296.0);
    if (m < 0) m += 4294967296.0;
    return static_cast<int32_t>(static_cast<uint32_t>(m));
  };
  for (int32_t a : values)
    for (int32_t b : values) {
      const vi x = level::splat(a), y = level::splat(b);
      const int32_t got[3] = {level::floor_div(x, y)[0], level::mod(x, y)[0], level::pow(x, y)[W - 1]};
      const int32_t want[3] = {to_int32(floor_div_js(a, b)), to_int32(mod_js(a, b)), to_int32(pow_js(a, b))};
      const char* names[3] = {"floor_div", "mod", "pow"};
      for (int i = 0; i < 3; i++) {
        checks++;
        if (got[i] != want[i]) {
          failures++;
          std::printf("integer %s(%d, %d) = %d, expected %d\n", names[i], a, b, got[i], want[i]);
        }
      }
    }
}

static void check_conversions() {
  const float x[] = {0, 0.9f, -0.9f, 1.5f, -1.5f, 2147483520.0f, -2147483648.0f, nan_, 16777217.0f};
  const int32_t want[] = {0, 0, 0, 1, -1, 2147483520, INT32_MIN, 0, 16777216};
  for (int i = 0; i < 9; i++) {
    checks++;
    const int32_t got = level::to_int(level::splat(x[i]))[W - 1];
    if (got != want[i]) {
      failures++;
      std::printf("to_int(%.9g) = %d, expected %d\n", x[i], got, want[i]);
    }
  }
  // Partial loads and stores leave the rest alone.
  float memory[W + 1];
  for (int n = 0; n <= W; n++) {
    for (float& m : memory) m = -1;
    level::store_first(memory, level::to_float(level::iota(1)), n);
    const vf back = level::load_first(memory, n);
    for (int i = 0; i < W; i++) {
      checks++;
      if (memory[i] != (i < n ? static_cast<float>(i + 1) : -1.0f) || back[i] != (i < n ? static_cast<float>(i + 1) : 0.0f)) {
        failures++;
        std::printf("partial load or store of %d lanes: lane %d\n", n, i);
      }
    }
  }
  // Wide products and lanes in order.
  const level::vu a = level::as_uint(level::iota(0)) * 0x9e3779b9u + 0xfffffff0u, b = level::as_uint(level::iota(3)) * 0x85ebca6bu;
  const level::vu high = level::multiply_high(a, b);
  const level::doubles halves = level::to_double(level::to_float(level::iota(0)));
  for (int i = 0; i < W; i++) {
    checks += 2;
    if (high[i] != static_cast<uint32_t>((uint64_t{a[i]} * b[i]) >> 32)) failures++, std::printf("multiply_high, lane %d\n", i);
    if ((i < W / 2 ? halves.low[i] : halves.high[i - W / 2]) != i) failures++, std::printf("to_double, lane %d\n", i);
  }
}

int main() {
#if defined(UNROLLED_AVX512)
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq")) return std::puts("skipped: no AVX-512 here"), 77;
#elif defined(UNROLLED_AVX2)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return std::puts("skipped: no AVX2 here"), 77;
#endif
  std::printf("%d lanes\n", W);
  for (const Unary& u : unary) check_ulps(u);
  check_specials();
  for (const Binary& b : binary) check_binary(b);
  check_integers();
  check_conversions();
  std::printf("%d checks, %d failures\n", checks, failures);
  return failures ? 1 : 0;
}
