// Reductions of consecutive words to one, and positions of extrema.
#include "reduce_kernels.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

// The last n words of a run, with the identity behind them.
template <class Op>
UNROLLED_INLINE typename Op::T tail(const uint32_t* p, int64_t n) {
  using T = typename Op::T;
  if constexpr (Op::kIdentity == 0) return (T)loadPart(p, n);
  else return (T)select(iota(0) < static_cast<int32_t>(n), loadPart(p, n), splat(Op::kIdentity));
}

// Rows of up to four vectors, one after the other without anything between.
template <class Op, int kWhole>
UNROLLED_INLINE void shortRows(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
  using T = typename Op::T;
  const int64_t rest = dims.run - kWhole * W;
  for (int32_t row = 0; row < dims.rows; row++, in += dims.rowStride) {
    T sum = rest > 0 ? tail<Op>(in + kWhole * W, rest) : (T)splat(Op::kIdentity);
#pragma GCC unroll 4
    for (int v = 0; v < kWhole; v++) sum = Op::combine(sum, (T)load(in + v * W));
    out[row] = ((vu)fold<Op>(sum))[0];
  }
}

template <class Op>
struct Rows {
  using T = typename Op::T;
  static constexpr int kBlock = 128 * W;  // words added in float32 before the total takes them

  static void run(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
    if (dims.outerRank == 0 && dims.run < 4 * W) {
      switch (dims.run / W) {
        case 0: return shortRows<Op, 0>(dims, in, out);
        case 1: return shortRows<Op, 1>(dims, in, out);
        case 2: return shortRows<Op, 2>(dims, in, out);
        default: return shortRows<Op, 3>(dims, in, out);
      }
    }
    for (int32_t row = 0; row < dims.rows; row++, in += dims.rowStride) out[row] = one(dims, in);
  }

  static uint32_t one(const ReduceDims& dims, const uint32_t* in) {
    Total<Op> total;
    total.clear();
    eachRun(dims, in, [&](const uint32_t* p) __attribute__((always_inline)) {
      if constexpr (Op::kWide) {
        for (int64_t left = dims.run; left > 0; left -= W, p += W) total.add(left < W ? tail<Op>(p, left) : (T)load(p));
      } else {
        for (int64_t left = dims.run; left > 0; left -= kBlock, p += kBlock) total.add(block(p, left < kBlock ? left : kBlock));
      }
    });
    return finish(total);
  }
  static T block(const uint32_t* p, int64_t n) {
    T sum[4];
    for (int j = 0; j < 4; j++) sum[j] = (T)splat(Op::kIdentity);
    int64_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) sum[j] = Op::combine(sum[j], (T)load(p + i + j * W));
    for (; i + W <= n; i += W) sum[0] = Op::combine(sum[0], (T)load(p + i));
    if (i < n) sum[1] = Op::combine(sum[1], tail<Op>(p + i, n - i));
    return Op::combine(Op::combine(sum[0], sum[1]), Op::combine(sum[2], sum[3]));
  }
  template <class Any>
  static uint32_t finish(const Total<Any>& total) { return ((vu)fold<Op>(total.value))[0]; }
  static uint32_t finish(const Total<SumF>& total) {
    double sum = 0;
    const vd both = total.value.low + total.value.high;
    for (int i = 0; i < W / 2; i++) sum += both[i];
    return wordOf(sum);
  }
  static uint32_t finish(const Total<ProdF>& total) {
    double product = 1;
    const vd both = total.value.low * total.value.high;
    for (int i = 0; i < W / 2; i++) product *= both[i];
    return wordOf(product);
  }
  static uint32_t wordOf(double x) {
    const float rounded = static_cast<float>(x);
    uint32_t word;
    std::memcpy(&word, &rounded, 4);
    return word;
  }
};

// ---- positions ----------------------------------------------------------------------------------------------------------

// The first element is the best so far, whatever it is, and only something strictly better replaces it: the first of equals, and
// as in tfjs, NaN beats and loses to nothing.
template <class T, bool kMax>
struct Positions {
  UNROLLED_INLINE vi better(T x, T best) { return kMax ? (vi)(x > best) : (vi)(x < best); }

  UNROLLED_INLINE void block(const ReduceDims& dims, const uint32_t* in, uint32_t* out, int64_t n) {
    auto read = [&](const uint32_t* p) __attribute__((always_inline)) { return (T)(n >= W ? load(p) : loadPart(p, n)); };
    T best = read(in);
    vi position = {}, at = {};
    eachRun(dims, in, [&](const uint32_t* p) __attribute__((always_inline)) {
      for (int32_t i = 0; i < dims.run; i++, p += dims.runStride) {
        const T x = read(p);
        const vi replaces = better(x, best);
        best = select(replaces, x, best);
        position = select(replaces, at, position);
        at += 1;
      }
    });
    if (n >= W) store(out, (vu)position);
    else storePart(out, (vu)position, n);
  }
  static void columns(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
    for (int32_t row = 0; row < dims.rows; row++, in += dims.rowStride, out += dims.width) {
      if (dims.count == 0) {
        splatWords(out, 0, dims.width);
        continue;
      }
      int64_t i = 0;
      for (; i + W <= dims.width; i += W) block(dims, in + i, out + i, W);
      if (i < dims.width) block(dims, in + i, out + i, dims.width - i);
    }
  }

  // Consecutive words: the best value first, then where it stands. A NaN in front stays the best.
  static void rows(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
    for (int32_t row = 0; row < dims.rows; row++, in += dims.rowStride) out[row] = dims.run == 0 ? 0 : one(in, dims.run);
  }
  static uint32_t one(const uint32_t* p, int64_t n) {
    const T first = (T)splat(p[0]);
    if (any(first != first)) return 0;
    T best[2] = {first, first};
    int64_t i = 0;
    for (; i + 2 * W <= n; i += 2 * W)
#pragma GCC unroll 2
      for (int j = 0; j < 2; j++) {
        const T x = (T)load(p + i + j * W);
        best[j] = select(better(x, best[j]), x, best[j]);
      }
    for (; i < n; i += W) {
      const T x = n - i >= W ? (T)load(p + i) : (T)select(iota(0) < static_cast<int32_t>(n - i), loadPart(p + i, n - i), (vu)first);
      best[0] = select(better(x, best[0]), x, best[0]);
    }
    T most = select(better(best[1], best[0]), best[1], best[0]);
    most = widest(most);
    for (i = 0; i + W <= n; i += W)
      if (any((T)load(p + i) == most)) break;
    for (; i < n; i++)
      if (any((T)splat(p[i]) == most)) return static_cast<uint32_t>(i);
    return 0;
  }
  template <int kDistance = W / 2>
  UNROLLED_INLINE T widest(T v) {
    const T other = (T)exchange<kDistance>((vu)v), both = select(better(other, v), other, v);
    if constexpr (kDistance > 1) return widest<kDistance / 2>(both);
    else return both;
  }
};
template <class T, bool kMax>
ReduceKernel positionKernel(bool rows) { return rows ? Positions<T, kMax>::rows : Positions<T, kMax>::columns; }

}  // namespace

ReduceKernel rowReduction(int32_t kind) { return kernelOfKind<Rows>(kind); }
ReduceKernel positionReduction(int32_t kind, bool rows) {
  switch (kind) {
    case 8: return positionKernel<vf, true>(rows);
    case 9: return positionKernel<vi, true>(rows);
    case 10: return positionKernel<vf, false>(rows);
    default: return positionKernel<vi, false>(rows);
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
