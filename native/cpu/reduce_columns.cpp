// Reductions whose outputs stand side by side: lanes of a varying value, or neighbouring words of a uniform one.
#include "reduce_kernels.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

UNROLLED_INLINE vu loadSome(const uint32_t* p, int64_t n) { return n >= W ? load(p) : loadPart(p, n); }
UNROLLED_INLINE void storeSome(uint32_t* p, vu v, int64_t n) {
  if (n >= W) store(p, v);
  else storePart(p, v, n);
}

// ---- few elements -------------------------------------------------------------------------------------------------------

// Four sums a word: element i of a run belongs to sum i mod 4, and they are joined as (0 + 1) + (2 + 3). The order depends on the
// dims alone, never on how many words stand side by side.
template <class Op, int kVectors>
UNROLLED_INLINE void fewBlock(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
  using T = typename Op::T;
  T sum[4][kVectors];
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) sum[j][v] = (T)splat(Op::kIdentity);
  const int64_t stride = dims.runStride;
  eachRun(dims, in, [&](const uint32_t* p) __attribute__((always_inline)) {
    int32_t i = dims.run;
    for (; i >= 4; i -= 4, p += 4 * stride) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++)
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; v++) sum[j][v] = Op::combine(sum[j][v], (T)load(p + j * stride + v * W));
    }
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
      if (j < i) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; v++) sum[j][v] = Op::combine(sum[j][v], (T)load(p + j * stride + v * W));
      }
  });
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; v++)
    store(out + v * W, (vu)Op::combine(Op::combine(sum[0][v], sum[1][v]), Op::combine(sum[2][v], sum[3][v])));
}

template <class Op>
void fewPart(const ReduceDims& dims, const uint32_t* in, uint32_t* out, int64_t n) {
  using T = typename Op::T;
  T sum[4];
  for (int j = 0; j < 4; j++) sum[j] = (T)splat(Op::kIdentity);
  eachRun(dims, in, [&](const uint32_t* p) __attribute__((always_inline)) {
    for (int32_t i = 0; i < dims.run; i++, p += dims.runStride) sum[i & 3] = Op::combine(sum[i & 3], (T)loadPart(p, n));
  });
  storePart(out, (vu)Op::combine(Op::combine(sum[0], sum[1]), Op::combine(sum[2], sum[3])), n);
}

template <class Op>
struct FewColumns {
  static void run(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
    for (int32_t row = 0; row < dims.rows; row++, in += dims.rowStride, out += dims.width) {
      int64_t i = 0;
      for (; i + 2 * W <= dims.width; i += 2 * W) fewBlock<Op, 2>(dims, in + i, out + i);
      if (i + W <= dims.width) {
        fewBlock<Op, 1>(dims, in + i, out + i);
        i += W;
      }
      if (i < dims.width) fewPart<Op>(dims, in + i, out + i, dims.width - i);
    }
  }
};

// ---- many elements ------------------------------------------------------------------------------------------------------

// Eight rows at a time are combined pairwise, then added to the total: again an order that depends on the dims alone.
constexpr int kGroup = 8;
template <class Op>
UNROLLED_INLINE void addGroup(Total<Op>& total, const uint32_t* p, int64_t stride, int64_t n) {
  using T = typename Op::T;
  if constexpr (Op::kWide) {
    for (int j = 0; j < kGroup; j++) total.add((T)loadSome(p + j * stride, n));
  } else {
    auto pair = [&](int j) __attribute__((always_inline)) { return Op::combine((T)loadSome(p + j * stride, n), (T)loadSome(p + (j + 1) * stride, n)); };
    total.add(Op::combine(Op::combine(pair(0), pair(2)), Op::combine(pair(4), pair(6))));
  }
}
template <class Op>
UNROLLED_INLINE void addRest(Total<Op>& total, const uint32_t* p, int64_t stride, int32_t rows, int64_t n) {
  using T = typename Op::T;
  T sum = (T)loadSome(p, n);
  for (int32_t j = 1; j < rows; j++) {
    const T x = (T)loadSome(p + j * stride, n);
    if constexpr (Op::kWide) {
      total.add(sum);
      sum = x;
    } else {
      sum = Op::combine(sum, x);
    }
  }
  total.add(sum);
}

// Up to two vectors of columns, whose totals stay in registers; n: words of the last vector.
template <class Op, int kVectors>
UNROLLED_INLINE void narrow(const ReduceDims& dims, const uint32_t* in, uint32_t* out, int64_t n) {
  Total<Op> total[kVectors];
  for (int v = 0; v < kVectors; v++) total[v].clear();
  const int64_t stride = dims.runStride;
  eachRun(dims, in, [&](const uint32_t* p) __attribute__((always_inline)) {
    int32_t i = dims.run;
    for (; i >= kGroup; i -= kGroup, p += kGroup * stride)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) addGroup<Op>(total[v], p + v * W, stride, n);
    if (i > 0)
      for (int v = 0; v < kVectors; v++) addRest<Op>(total[v], p + v * W, stride, i, n);
  });
  for (int v = 0; v < kVectors; v++) storeSome(out + v * W, total[v].result(), n);
}

// A panel of columns: whole stretches of rows are read, for the sake of the prefetcher and the page tables, and the totals stay in the
// first-level cache.
constexpr int kPanelVectors = 512 / W;
template <class Op>
void panel(const ReduceDims& dims, const uint32_t* in, uint32_t* out, int vectors) {
  Total<Op> total[kPanelVectors];
  for (int v = 0; v < vectors; v++) total[v].clear();
  const int64_t stride = dims.runStride;
  eachRun(dims, in, [&](const uint32_t* p) __attribute__((always_inline)) {
    int32_t i = dims.run;
    for (; i >= kGroup; i -= kGroup, p += kGroup * stride)
      for (int v = 0; v < vectors; v++) addGroup<Op>(total[v], p + v * W, stride, W);
    if (i > 0)
      for (int v = 0; v < vectors; v++) addRest<Op>(total[v], p + v * W, stride, i, W);
  });
  for (int v = 0; v < vectors; v++) store(out + v * W, total[v].result());
}

template <class Op>
struct ManyColumns {
  static void run(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
    for (int32_t row = 0; row < dims.rows; row++, in += dims.rowStride, out += dims.width) {
      int64_t i = 0;
      while (dims.width - i > 2 * W) {
        const int64_t vectors = (dims.width - i) / W;
        const int taken = static_cast<int>(vectors < kPanelVectors ? vectors : kPanelVectors);
        panel<Op>(dims, in + i, out + i, taken);
        i += int64_t{taken} * W;
      }
      if (i + 2 * W == dims.width) {
        narrow<Op, 2>(dims, in + i, out + i, W);
        continue;
      }
      if (i + W <= dims.width) {
        narrow<Op, 1>(dims, in + i, out + i, W);
        i += W;
      }
      if (i < dims.width) narrow<Op, 1>(dims, in + i, out + i, dims.width - i);
    }
  }
};

// ---- fewer columns than a vector has lanes --------------------------------------------------------------------------------

// Rows of `width` words without a gap: W rows are `width` vectors, whose lane l of vector v belongs to column (v W + l) mod width.
template <class Op>
struct Interleaved {
  using T = typename Op::T;
  static constexpr int kPeriods = Op::kWide ? 1 : 32;  // added in float32 before the totals take them

  static void run(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
    const int width = static_cast<int>(dims.width);
    for (int32_t row = 0; row < dims.rows; row++, in += dims.rowStride, out += width) {
      Total<Op> total[W];  // every lane the same
      for (int c = 0; c < width; c++) total[c].clear();
      eachRun(dims, in, [&](const uint32_t* p) {
        int64_t periods = dims.run / W;
        while (periods > 0) {
          const int64_t n = periods < kPeriods ? periods : kPeriods;
          block(p, n, width, total);
          p += n * width * W;
          periods -= n;
        }
        for (int32_t i = 0; i < dims.run % W; i++, p += width)
          for (int c = 0; c < width; c++) total[c].add((T)splat(p[c]));
      });
      for (int c = 0; c < width; c++) out[c] = total[c].result()[0];
    }
  }
  static void block(const uint32_t* p, int64_t periods, int width, Total<Op>* total) {
    T sum[W];
    for (int v = 0; v < width; v++) sum[v] = (T)load(p + v * W);
    for (int64_t i = 1; i < periods; i++) {
      p += width * W;
      for (int v = 0; v < width; v++) sum[v] = Op::combine(sum[v], (T)load(p + v * W));
    }
    uint32_t words[W * W];
    for (int v = 0; v < width; v++) store(words + v * W, (vu)sum[v]);
    for (int i = 0; i < W; i++)
      for (int c = 0; c < width; c++) total[c].add((T)splat(words[i * width + c]));
  }
};

}  // namespace

ReduceKernel columnReduction(int32_t kind, bool few) { return few ? kernelOfKind<FewColumns>(kind) : kernelOfKind<ManyColumns>(kind); }
ReduceKernel interleavedReduction(int32_t kind) { return kernelOfKind<Interleaved>(kind); }

}  // namespace unrolled::UNROLLED_LEVEL
