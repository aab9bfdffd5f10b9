#include "reduce.h"

#include "program.h"
#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

// The loops of one kind over one output, chosen at planning.
struct ReduceDims;
using ReduceKernel = void (*)(const ReduceDims& dims, const uint32_t* in, uint32_t* out);

struct ReduceDims {
  int outerRank;  // reduced dims but the last, row-major
  int32_t outer[kMaxRank];
  int64_t outerStride[kMaxRank];
  int32_t run;  // the last reduced dim
  int64_t runStride;
  int64_t width;  // words that are reduced side by side: lanes, or neighbouring outputs of a uniform reduction
  bool empty;
};

struct ReducePlan {
  int outRank;
  int32_t out[kMaxRank];
  int64_t outStride[kMaxRank];
  int64_t outputs;     // kernel calls
  Operand input, output;
  ReduceDims dims;
  ReduceKernel kernel;
  bool splat;          // a uniform input and a varying output
  int64_t words;       // of the output before splatting
  int lanes;
};

namespace {

// ---- kinds --------------------------------------------------------------------------------------------------------------

#define UNROLLED_REDUCTION(name, type, identity, body)                        \
  struct name {                                                               \
    using T = type;                                                           \
    static constexpr uint32_t kIdentity = identity;                           \
    UNROLLED_INLINE T combine(T sum, T x) { return body; }                    \
  };
UNROLLED_REDUCTION(SumF, vf, 0, sum + x)
UNROLLED_REDUCTION(SumI, vu, 0, sum + x)
UNROLLED_REDUCTION(ProdF, vf, 0x3f800000, sum * x)
UNROLLED_REDUCTION(ProdI, vu, 1, sum * x)
// NaN is taken when met, and nothing compares with it afterwards.
UNROLLED_REDUCTION(MaxF, vf, 0xff800000, select((x > sum) | (x != x), x, sum))
UNROLLED_REDUCTION(MinF, vf, 0x7f800000, select((x < sum) | (x != x), x, sum))
UNROLLED_REDUCTION(MaxI, vi, 0x80000000, max(sum, x))
UNROLLED_REDUCTION(MinI, vi, 0x7fffffff, min(sum, x))
#undef UNROLLED_REDUCTION

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

// Four sums a word: element i of a run belongs to sum i mod 4, and they are joined as (0 + 1) + (2 + 3). The order depends on the
// dims alone, never on how many words stand side by side.
template <class Op, int kVectors>
UNROLLED_INLINE void reduceBlock(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
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
void reducePart(const ReduceDims& dims, const uint32_t* in, uint32_t* out, int64_t n) {
  using T = typename Op::T;
  T sum[4];
  for (int j = 0; j < 4; j++) sum[j] = (T)splat(Op::kIdentity);
  eachRun(dims, in, [&](const uint32_t* p) __attribute__((always_inline)) {
    for (int32_t i = 0; i < dims.run; i++, p += dims.runStride) sum[i & 3] = Op::combine(sum[i & 3], (T)loadPart(p, n));
  });
  storePart(out, (vu)Op::combine(Op::combine(sum[0], sum[1]), Op::combine(sum[2], sum[3])), n);
}

template <class Op>
void reduceSideBySide(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
  int64_t i = 0;
  for (; i + 2 * W <= dims.width; i += 2 * W) reduceBlock<Op, 2>(dims, in + i, out + i);
  if (i + W <= dims.width) {
    reduceBlock<Op, 1>(dims, in + i, out + i);
    i += W;
  }
  if (i < dims.width) reducePart<Op>(dims, in + i, out + i, dims.width - i);
}

// One word from consecutive words.
template <class Op>
void reduceConsecutive(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
  using T = typename Op::T;
  T sum[4];
  for (int j = 0; j < 4; j++) sum[j] = (T)splat(Op::kIdentity);
  eachRun(dims, in, [&](const uint32_t* p) __attribute__((always_inline)) {
    int64_t i = 0;
    for (; i + 4 * W <= dims.run; i += 4 * W)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) sum[j] = Op::combine(sum[j], (T)load(p + i + j * W));
    for (; i + W <= dims.run; i += W) sum[0] = Op::combine(sum[0], (T)load(p + i));
    if (i < dims.run) {
      const vi inside = iota(0) < static_cast<int32_t>(dims.run - i);
      sum[1] = Op::combine(sum[1], (T)select(inside, loadPart(p + i, dims.run - i), splat(Op::kIdentity)));
    }
  });
  uint32_t words[2 * W] = {};
  store(words, (vu)Op::combine(Op::combine(sum[0], sum[1]), Op::combine(sum[2], sum[3])));
  for (int n = W / 2; n > 0; n /= 2) store(words, (vu)Op::combine((T)load(words), (T)load(words + n)));
  *out = words[0];
}

// ---- positions ----------------------------------------------------------------------------------------------------------

// The first element is the best so far, whatever it is, and only something strictly better replaces it: the first of equals, and
// as in tfjs, NaN beats and loses to nothing.
template <class T, bool kMax>
UNROLLED_INLINE void positionBlock(const ReduceDims& dims, const uint32_t* in, uint32_t* out, int64_t n) {
  auto read = [&](const uint32_t* p) __attribute__((always_inline)) { return (T)(n >= W ? load(p) : loadPart(p, n)); };
  T best = read(in);
  vi position = {}, at = {};
  eachRun(dims, in, [&](const uint32_t* p) __attribute__((always_inline)) {
    for (int32_t i = 0; i < dims.run; i++, p += dims.runStride) {
      const T x = read(p);
      const vi better = kMax ? (vi)(x > best) : (vi)(x < best);
      best = select(better, x, best);
      position = select(better, at, position);
      at += 1;
    }
  });
  if (n >= W) store(out, (vu)position);
  else storePart(out, (vu)position, n);
}
template <class T, bool kMax>
void positions(const ReduceDims& dims, const uint32_t* in, uint32_t* out) {
  if (dims.empty) return splatWords(out, 0, dims.width);
  int64_t i = 0;
  for (; i + W <= dims.width; i += W) positionBlock<T, kMax>(dims, in + i, out + i, W);
  if (i < dims.width) positionBlock<T, kMax>(dims, in + i, out + i, dims.width - i);
}

// ---- planning -----------------------------------------------------------------------------------------------------------

template <class Op>
ReduceKernel kernelOf(bool consecutive) { return consecutive ? reduceConsecutive<Op> : reduceSideBySide<Op>; }

ReduceKernel chooseKernel(int32_t kind, bool consecutive) {
  switch (kind) {
    case 0: return kernelOf<SumF>(consecutive);
    case 1: return kernelOf<SumI>(consecutive);
    case 2: return kernelOf<ProdF>(consecutive);
    case 3: return kernelOf<ProdI>(consecutive);
    case 4: return kernelOf<MaxF>(consecutive);
    case 5: return kernelOf<MaxI>(consecutive);
    case 6: return kernelOf<MinF>(consecutive);
    case 7: return kernelOf<MinI>(consecutive);
    case 8: return positions<vf, true>;
    case 9: return positions<vi, true>;
    case 10: return positions<vf, false>;
    default: return positions<vi, false>;
  }
}

// Drops dims of 1 and joins those that are stepped through evenly; returns the new rank.
int joinDims(int rank, int32_t* dims, int64_t* strides) {
  int n = 0;
  for (int d = 0; d < rank; d++) {
    if (dims[d] == 1) continue;
    if (n > 0 && strides[n - 1] == strides[d] * dims[d]) {
      dims[n - 1] *= dims[d];
      strides[n - 1] = strides[d];
    } else {
      dims[n] = dims[d];
      strides[n++] = strides[d];
    }
  }
  return n;
}

}  // namespace

ReducePlan* planReduce(Reader& reader, int lanes, Arena& arena) {
  ReducePlan* plan = arena.make<ReducePlan>();
  if (!plan) return nullptr;
  const int mode = reader.next();
  const int32_t kind = reader.next();
  plan->lanes = lanes;
  plan->outRank = reader.next();
  reader.next(plan->out, plan->outRank);
  const int reducedRank = reader.next();
  int32_t reduced[kMaxRank];
  int64_t reducedStride[kMaxRank];
  reader.next(reduced, reducedRank);
  plan->input = readOperand(reader, plan->outRank, lanes);
  const bool rows = plan->input.varying;
  for (int d = 0; d < reducedRank; d++) reducedStride[d] = int64_t{reader.next()} * (rows ? lanes : 1);
  for (int d = 0; d < plan->outRank; d++) plan->outStride[d] = plan->input.strides[d];
  plan->output = readOperand(reader, 0, lanes);
  plan->splat = mode == 1 && !rows;
  plan->words = product(plan->out, plan->outRank) * (rows ? lanes : 1);

  ReduceDims& dims = plan->dims;
  dims.empty = product(reduced, reducedRank) == 0;
  int n = joinDims(reducedRank, reduced, reducedStride);
  if (dims.empty) n = 0;
  dims.run = dims.empty ? 0 : n ? reduced[n - 1] : 1;
  dims.runStride = n ? reducedStride[n - 1] : 0;
  dims.outerRank = n > 1 ? n - 1 : 0;
  for (int d = 0; d < dims.outerRank; d++) {
    dims.outer[d] = reduced[d];
    dims.outerStride[d] = reducedStride[d];
  }
  plan->outRank = joinDims(plan->outRank, plan->out, plan->outStride);
  dims.width = rows ? lanes : 1;
  bool consecutive = false;
  if (!rows) {
    // Neighbouring outputs from neighbouring words go side by side; else consecutive words of one output do.
    const int last = plan->outRank - 1;
    if (last >= 0 && plan->outStride[last] == 1) {
      dims.width = plan->out[last];
      plan->outRank--;
    } else {
      consecutive = kind < 8 && dims.runStride == 1;
    }
  }
  plan->outputs = product(plan->out, plan->outRank);
  if (plan->words == 0) plan->outputs = 0;
  plan->kernel = chooseKernel(kind, consecutive);
  return plan;
}

size_t reduceScratch(const ReducePlan& plan) { return plan.splat ? static_cast<size_t>(plan.words) * 4 : 0; }

void runReduce(const ReducePlan& plan, TileContext& context) {
  const uint32_t* in = plan.input.read(context);
  uint32_t* out = plan.splat ? static_cast<uint32_t*>(context.scratch) : plan.output.write(context);
  int32_t index[kMaxRank] = {};
  for (int64_t i = 0; i < plan.outputs; i++) {
    plan.kernel(plan.dims, in, out);
    out += plan.dims.width;
    for (int d = plan.outRank - 1; d >= 0; d--) {
      in += plan.outStride[d];
      if (++index[d] < plan.out[d]) break;
      in -= plan.outStride[d] * plan.out[d];
      index[d] = 0;
    }
  }
  if (plan.splat)
    copyRows(plan.output.write(context), plan.lanes, static_cast<const uint32_t*>(context.scratch), 1, true, plan.words, plan.lanes);
}

}  // namespace unrolled::UNROLLED_LEVEL
