// The loops of REDUCE, by how an output's elements lie in memory. Each is chosen once, at planning, and then runs over one output, or over
// outputs that stand side by side or in rows.
#pragma once
#include "arena.h"
#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

struct ReduceDims {
  int outerRank;  // reduced dims but the last, row-major
  int32_t outer[kMaxRank];
  int64_t outerStride[kMaxRank];
  int32_t run;  // the last reduced dim
  int64_t runStride;
  int64_t count;  // elements of one output
  int64_t width;  // outputs reduced side by side: lanes, or neighbouring outputs of a uniform reduction
  int32_t rows;   // outputs one after the other, each `width` wide
  int64_t rowStride;
};
using ReduceKernel = void (*)(const ReduceDims& dims, const uint32_t* in, uint32_t* out);

// kind: as in the instruction. Columns: any strides. Rows: width 1, run stride 1. Interleaved: width below a vector, run stride `width`.
ReduceKernel columnReduction(int32_t kind, bool few);
ReduceKernel rowReduction(int32_t kind);
ReduceKernel interleavedReduction(int32_t kind);  // null where there is none: positions
ReduceKernel positionReduction(int32_t kind, bool rows);

// kWide: partial results go to float64 one by one, for products, whose parts may leave float32's range where the whole does not.
#define UNROLLED_REDUCTION(name, type, identity, wide, body)                  \
  struct name {                                                               \
    using T = type;                                                           \
    static constexpr uint32_t kIdentity = identity;                           \
    static constexpr bool kWide = wide;                                       \
    UNROLLED_INLINE T combine(T sum, T x) { return body; }                    \
  };
UNROLLED_REDUCTION(SumF, vf, 0, false, sum + x)
UNROLLED_REDUCTION(SumI, vu, 0, false, sum + x)
UNROLLED_REDUCTION(ProdF, vf, 0x3f800000, true, sum * x)
UNROLLED_REDUCTION(ProdI, vu, 1, false, sum * x)
// NaN is taken when met, and nothing compares with it afterwards.
UNROLLED_REDUCTION(MaxF, vf, 0xff800000, false, select((x > sum) | (x != x), x, sum))
UNROLLED_REDUCTION(MinF, vf, 0x7f800000, false, select((x < sum) | (x != x), x, sum))
UNROLLED_REDUCTION(MaxI, vi, 0x80000000, false, max(sum, x))
UNROLLED_REDUCTION(MinI, vi, 0x7fffffff, false, min(sum, x))
#undef UNROLLED_REDUCTION

// Where partial results are gathered: sums of float32 in float64, so that the error does not grow with the number of elements (Higham 2002,
// section 4.2: blocked summation); all else in its own type.
template <class Op>
struct Total {
  typename Op::T value;
  void clear() { value = (typename Op::T)splat(Op::kIdentity); }
  void add(typename Op::T x) { value = Op::combine(value, x); }
  vu result() const { return (vu)value; }
};
template <>
struct Total<SumF> {
  doubles value;
  void clear() { value = {vd{}, vd{}}; }
  void add(vf x) {
    const doubles wide = to_double(x);
    value.low += wide.low;
    value.high += wide.high;
  }
  vu result() const { return (vu)to_float(value); }
};
template <>
struct Total<ProdF> {
  doubles value;
  void clear() { value = {splat(1.0), splat(1.0)}; }
  void add(vf x) {
    const doubles wide = to_double(x);
    value.low *= wide.low;
    value.high *= wide.high;
  }
  vu result() const { return (vu)to_float(value); }
};

// All lanes of a vector combined, in every lane.
template <class Op, int kDistance = W / 2>
UNROLLED_INLINE typename Op::T fold(typename Op::T v) {
  const typename Op::T both = Op::combine(v, (typename Op::T)exchange<kDistance>((vu)v));
  if constexpr (kDistance > 1) return fold<Op, kDistance / 2>(both);
  else return both;
}

// Calls body(start of a run) for every run of the reduced dims, in row-major order.
template <class Body>
UNROLLED_INLINE void eachRun(const ReduceDims& dims, const uint32_t* in, Body body) {
  if (dims.outerRank == 0) return body(in);
  int32_t index[kMaxRank] = {};
  for (;;) {
    body(in);
    int d = dims.outerRank - 1;
    for (; d >= 0; d--) {
      in += dims.outerStride[d];
      if (++index[d] < dims.outer[d]) break;
      in -= dims.outerStride[d] * dims.outer[d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

template <template <class> class Kernels>
ReduceKernel kernelOfKind(int32_t kind) {
  switch (kind) {
    case 0: return Kernels<SumF>::run;
    case 1: return Kernels<SumI>::run;
    case 2: return Kernels<ProdF>::run;
    case 3: return Kernels<ProdI>::run;
    case 4: return Kernels<MaxF>::run;
    case 5: return Kernels<MaxI>::run;
    case 6: return Kernels<MinF>::run;
    case 7: return Kernels<MinI>::run;
    default: return nullptr;
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
