#include "micro_ops.h"

#include "program.h"
#include "rows.h"
#include "vector_math.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

// ---- loops --------------------------------------------------------------------------------------------------------------
// An operation has the type T of its operands and `apply`; results of any vector type are stored as words.

template <class Op>
UNROLLED_INLINE vu word(vu a, const vu* bits) {
  using T = typename Op::T;
  if constexpr (Op::kBits) return (vu)Op::apply((T)a, (T)bits[0], (T)bits[1]);
  else return (vu)Op::apply((T)a);
}

template <class Op>
void unary(uint32_t* d, const uint32_t* a, const uint32_t*, const uint32_t*, int64_t n, const uint32_t* bits) {
  const vu parameters[2] = {splat(bits[0]), splat(bits[1])};
  int64_t i = 0;
  if constexpr (Op::kLight) {
#pragma GCC unroll 4
    for (; i + W <= n; i += W) store(d + i, word<Op>(load(a + i), parameters));
  } else {
    for (; i + W <= n; i += W) store(d + i, word<Op>(load(a + i), parameters));
  }
  if (i < n) storePart(d + i, word<Op>(loadPart(a + i, n - i), parameters), n - i);
}

template <class Op, bool kScalarA, bool kScalarB>
void binary(uint32_t* d, const uint32_t* a, const uint32_t* b, const uint32_t*, int64_t n, const uint32_t*) {
  using T = typename Op::T;
  const vu a0 = kScalarA ? splat(*a) : vu{}, b0 = kScalarB ? splat(*b) : vu{};
  int64_t i = 0;
#pragma GCC unroll 4
  for (; i + W <= n; i += W) {
    const vu x = kScalarA ? a0 : load(a + i), y = kScalarB ? b0 : load(b + i);
    store(d + i, (vu)Op::apply((T)x, (T)y));
  }
  if (i < n) {
    const vu x = kScalarA ? a0 : loadPart(a + i, n - i), y = kScalarB ? b0 : loadPart(b + i, n - i);
    storePart(d + i, (vu)Op::apply((T)x, (T)y), n - i);
  }
}

template <class Op, bool kScalarA, bool kScalarB, bool kScalarC>
void ternary(uint32_t* d, const uint32_t* a, const uint32_t* b, const uint32_t* c, int64_t n, const uint32_t*) {
  using T = typename Op::T;
  const vu a0 = kScalarA ? splat(*a) : vu{}, b0 = kScalarB ? splat(*b) : vu{}, c0 = kScalarC ? splat(*c) : vu{};
  int64_t i = 0;
#pragma GCC unroll 4
  for (; i + W <= n; i += W) {
    const vu x = kScalarA ? a0 : load(a + i), y = kScalarB ? b0 : load(b + i), z = kScalarC ? c0 : load(c + i);
    store(d + i, (vu)Op::apply((T)x, (T)y, (T)z));
  }
  if (i < n) {
    const vu x = kScalarA ? a0 : loadPart(a + i, n - i), y = kScalarB ? b0 : loadPart(b + i, n - i),
             z = kScalarC ? c0 : loadPart(c + i, n - i);
    storePart(d + i, (vu)Op::apply((T)x, (T)y, (T)z), n - i);
  }
}

// ---- operations ---------------------------------------------------------------------------------------------------------

#define UNROLLED_UNARY(name, type, light, body)              \
  struct name {                                              \
    using T = type;                                          \
    static constexpr bool kBits = false, kLight = light;     \
    UNROLLED_INLINE auto apply(T a) { return body; }         \
  };
#define UNROLLED_UNARY_BITS(name, type, body)                \
  struct name {                                              \
    using T = type;                                          \
    static constexpr bool kBits = true, kLight = true;       \
    UNROLLED_INLINE auto apply(T a, T p, [[maybe_unused]] T q) { return body; } \
  };
#define UNROLLED_BINARY(name, type, body)                    \
  struct name {                                              \
    using T = type;                                          \
    UNROLLED_INLINE auto apply(T a, T b) { return body; }    \
  };
#define UNROLLED_TERNARY(name, type, body)                   \
  struct name {                                              \
    using T = type;                                          \
    UNROLLED_INLINE auto apply(T a, T b, T c) { return body; } \
  };

UNROLLED_UNARY(AbsF, vf, true, abs(a))
UNROLLED_UNARY(NegF, vf, true, -a)
UNROLLED_UNARY(SquareF, vf, true, a * a)
// NaN is neither below nor above 0 and has to come out as it is.
UNROLLED_UNARY(SignF, vf, true, select(a > 0.0f, splat(1.0f), select(a < 0.0f, splat(-1.0f), select(a == a, splat(0.0f), a))))
UNROLLED_UNARY(ReluF, vf, true, select(a < 0.0f, splat(0.0f), a))
UNROLLED_UNARY(Exp, vf, false, exp(a))
UNROLLED_UNARY(Expm1, vf, false, expm1(a))
UNROLLED_UNARY(Log, vf, false, log(a))
UNROLLED_UNARY(Log1p, vf, false, log1p(a))
UNROLLED_UNARY(Sqrt, vf, true, sqrt(a))
UNROLLED_UNARY(Rsqrt, vf, true, 1.0f / sqrt(a))
UNROLLED_UNARY(Reciprocal, vf, true, 1.0f / a)
UNROLLED_UNARY(Floor, vf, true, floor(a))
UNROLLED_UNARY(Ceil, vf, true, ceil(a))
UNROLLED_UNARY(Round, vf, true, round_even(a))
UNROLLED_UNARY(Sin, vf, false, sin(a))
UNROLLED_UNARY(Cos, vf, false, cos(a))
UNROLLED_UNARY(Tan, vf, false, tan(a))
UNROLLED_UNARY(Asin, vf, false, asin(a))
UNROLLED_UNARY(Acos, vf, false, acos(a))
UNROLLED_UNARY(Atan, vf, false, atan(a))
UNROLLED_UNARY(Sinh, vf, false, sinh(a))
UNROLLED_UNARY(Cosh, vf, false, cosh(a))
UNROLLED_UNARY(Tanh, vf, false, tanh(a))
UNROLLED_UNARY(Asinh, vf, false, asinh(a))
UNROLLED_UNARY(Acosh, vf, false, acosh(a))
UNROLLED_UNARY(Atanh, vf, false, atanh(a))
UNROLLED_UNARY(Erf, vf, false, erf(a))
UNROLLED_UNARY(Sigmoid, vf, false, sigmoid(a))
UNROLLED_UNARY(Softplus, vf, false, softplus(a))
// The comparisons fail for NaN, which stays.
UNROLLED_UNARY_BITS(ClipF, vf, select(a < p, p, select(a > q, q, a)))
UNROLLED_UNARY_BITS(Step, vf, select(a > 0.0f, splat(1.0f), select(a <= 0.0f, p, a)))

UNROLLED_UNARY(NegI, vu, true, -a)
UNROLLED_UNARY(AbsI, vi, true, (a < 0) ? (vi)(-(vu)a) : a)
UNROLLED_UNARY(SquareI, vu, true, a * a)
UNROLLED_UNARY(SignI, vi, true, (a < 0) - (a > 0))
UNROLLED_UNARY(ReluI, vi, true, max(a, vi{}))
UNROLLED_UNARY_BITS(ClipI, vi, min(max(a, p), q))
UNROLLED_UNARY(LogicalNot, vi, true, (a == 0) & 1)

UNROLLED_UNARY(IsNan, vf, true, (a != a) & 1)
UNROLLED_UNARY(IsInf, vi, true, ((a & 0x7fffffff) == 0x7f800000) & 1)
UNROLLED_UNARY(IsFinite, vi, true, ((a & 0x7f800000) != 0x7f800000) & 1)
UNROLLED_UNARY(FloatToInt, vf, true, to_int(a))
UNROLLED_UNARY(IntToFloat, vi, true, to_float(a))
UNROLLED_UNARY(FloatToBool, vf, true, (a != 0.0f) & 1)
UNROLLED_UNARY(IntToBool, vi, true, (a != 0) & 1)

UNROLLED_BINARY(AddF, vf, a + b)
UNROLLED_BINARY(SubF, vf, a - b)
UNROLLED_BINARY(MulF, vf, a * b)
UNROLLED_BINARY(DivF, vf, a / b)
UNROLLED_BINARY(FloorDivF, vf, floor_div(a, b))
UNROLLED_BINARY(ModF, vf, mod(a, b))
UNROLLED_BINARY(PowF, vf, pow(a, b))
UNROLLED_BINARY(Atan2, vf, atan2(a, b))
UNROLLED_BINARY(MinF, vf, min(a, b))
UNROLLED_BINARY(MaxF, vf, max(a, b))
UNROLLED_BINARY(SquaredDifferenceF, vf, (a - b) * (a - b))

UNROLLED_BINARY(AddI, vu, a + b)
UNROLLED_BINARY(SubI, vu, a - b)
UNROLLED_BINARY(MulI, vu, a * b)
UNROLLED_BINARY(SquaredDifferenceI, vu, (a - b) * (a - b))
UNROLLED_BINARY(MinI, vi, min(a, b))
UNROLLED_BINARY(MaxI, vi, max(a, b))
UNROLLED_BINARY(AndI, vi, a & b)

UNROLLED_BINARY(FloorDivI, vi, floor_div(a, b))
UNROLLED_BINARY(ModI, vi, mod(a, b))
UNROLLED_BINARY(PowI, vi, pow(a, b))

UNROLLED_BINARY(EqF, vf, (a == b) & 1)
UNROLLED_BINARY(NeF, vf, (a != b) & 1)
UNROLLED_BINARY(LtF, vf, (a < b) & 1)
UNROLLED_BINARY(LeF, vf, (a <= b) & 1)
UNROLLED_BINARY(GtF, vf, (a > b) & 1)
UNROLLED_BINARY(GeF, vf, (a >= b) & 1)
UNROLLED_BINARY(EqI, vi, (a == b) & 1)
UNROLLED_BINARY(NeI, vi, (a != b) & 1)
UNROLLED_BINARY(LtI, vi, (a < b) & 1)
UNROLLED_BINARY(LeI, vi, (a <= b) & 1)
UNROLLED_BINARY(GtI, vi, (a > b) & 1)
UNROLLED_BINARY(GeI, vi, (a >= b) & 1)
UNROLLED_BINARY(LogicalAnd, vi, (a != 0) & (b != 0) & 1)
UNROLLED_BINARY(LogicalOr, vi, ((a | b) != 0) & 1)

UNROLLED_TERNARY(Select, vi, (a != 0) ? b : c)
UNROLLED_TERNARY(MulAddF, vf, fma(a, b, c))
UNROLLED_TERNARY(MulSubF, vf, fma(a, b, -c))
UNROLLED_TERNARY(NegMulAddF, vf, fnma(a, b, c))

// ---- lookup -------------------------------------------------------------------------------------------------------------

template <class Op>
MicroKernel binaryKernel(unsigned scalars) {
  switch (scalars) {
    case 1: return binary<Op, true, false>;
    case 2: return binary<Op, false, true>;
    default: return binary<Op, false, false>;
  }
}
template <class Op>
MicroKernel ternaryKernel(unsigned scalars) {
  switch (scalars) {
    case 1: return ternary<Op, true, false, false>;
    case 2: return ternary<Op, false, true, false>;
    case 3: return ternary<Op, true, true, false>;
    case 4: return ternary<Op, false, false, true>;
    case 5: return ternary<Op, true, false, true>;
    case 6: return ternary<Op, false, true, true>;
    default: return ternary<Op, false, false, false>;
  }
}

}  // namespace

int microOperands(int32_t micro) {
  if ((micro >= kAbsF && micro <= kStep) || (micro >= kAbsI && micro <= kLogicalNot) || (micro >= kIsNan && micro <= kIsFinite) ||
      (micro >= kFloatToInt && micro <= kIntToBool))
    return 1;
  if ((micro >= kAddF && micro <= kSquaredDifferenceF) || (micro >= kAddI && micro <= kAndI) || (micro >= kEqF && micro <= kLogicalOr))
    return 2;
  if (micro == kSelect || (micro >= kMulAddF && micro <= kNegMulAddF)) return 3;
  return micro == kConst ? 0 : -1;
}

MicroKernel microKernel(int32_t micro, unsigned scalars) {
  switch (micro) {
#define UNROLLED_CASE(name) case k##name: return unary<name>;
    UNROLLED_CASE(AbsF) UNROLLED_CASE(NegF) UNROLLED_CASE(SignF) UNROLLED_CASE(SquareF) UNROLLED_CASE(ReluF)
    UNROLLED_CASE(Exp) UNROLLED_CASE(Expm1) UNROLLED_CASE(Log) UNROLLED_CASE(Log1p) UNROLLED_CASE(Sqrt) UNROLLED_CASE(Rsqrt)
    UNROLLED_CASE(Reciprocal) UNROLLED_CASE(Floor) UNROLLED_CASE(Ceil) UNROLLED_CASE(Round) UNROLLED_CASE(Sin) UNROLLED_CASE(Cos)
    UNROLLED_CASE(Tan) UNROLLED_CASE(Asin) UNROLLED_CASE(Acos) UNROLLED_CASE(Atan) UNROLLED_CASE(Sinh) UNROLLED_CASE(Cosh)
    UNROLLED_CASE(Tanh) UNROLLED_CASE(Asinh) UNROLLED_CASE(Acosh) UNROLLED_CASE(Atanh) UNROLLED_CASE(Erf) UNROLLED_CASE(Sigmoid)
    UNROLLED_CASE(Softplus) UNROLLED_CASE(ClipF) UNROLLED_CASE(Step)
    UNROLLED_CASE(AbsI) UNROLLED_CASE(NegI) UNROLLED_CASE(SignI) UNROLLED_CASE(SquareI) UNROLLED_CASE(ReluI) UNROLLED_CASE(ClipI)
    UNROLLED_CASE(LogicalNot) UNROLLED_CASE(IsNan) UNROLLED_CASE(IsInf) UNROLLED_CASE(IsFinite)
    UNROLLED_CASE(FloatToInt) UNROLLED_CASE(IntToFloat) UNROLLED_CASE(FloatToBool) UNROLLED_CASE(IntToBool)
#undef UNROLLED_CASE
#define UNROLLED_CASE(name) case k##name: return binaryKernel<name>(scalars);
    UNROLLED_CASE(AddF) UNROLLED_CASE(SubF) UNROLLED_CASE(MulF) UNROLLED_CASE(DivF) UNROLLED_CASE(FloorDivF) UNROLLED_CASE(ModF)
    UNROLLED_CASE(PowF) UNROLLED_CASE(Atan2) UNROLLED_CASE(MinF) UNROLLED_CASE(MaxF) UNROLLED_CASE(SquaredDifferenceF)
    UNROLLED_CASE(AddI) UNROLLED_CASE(SubI) UNROLLED_CASE(MulI) UNROLLED_CASE(FloorDivI) UNROLLED_CASE(ModI) UNROLLED_CASE(PowI)
    UNROLLED_CASE(MinI) UNROLLED_CASE(MaxI) UNROLLED_CASE(SquaredDifferenceI) UNROLLED_CASE(AndI)
    UNROLLED_CASE(EqF) UNROLLED_CASE(NeF) UNROLLED_CASE(LtF) UNROLLED_CASE(LeF) UNROLLED_CASE(GtF) UNROLLED_CASE(GeF)
    UNROLLED_CASE(EqI) UNROLLED_CASE(NeI) UNROLLED_CASE(LtI) UNROLLED_CASE(LeI) UNROLLED_CASE(GtI) UNROLLED_CASE(GeI)
    UNROLLED_CASE(LogicalAnd) UNROLLED_CASE(LogicalOr)
#undef UNROLLED_CASE
#define UNROLLED_CASE(name) case k##name: return ternaryKernel<name>(scalars);
    UNROLLED_CASE(Select) UNROLLED_CASE(MulAddF) UNROLLED_CASE(MulSubF) UNROLLED_CASE(NegMulAddF)
#undef UNROLLED_CASE
    default: return nullptr;
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
