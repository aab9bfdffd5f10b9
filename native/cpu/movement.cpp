#include "movement.h"

#include "rows.h"
#include "transpose.h"

namespace unrolled::UNROLLED_LEVEL {

// Dims after dropping those of 1 and joining; the last one is `run`.
struct CopyPlan {
  Operand from, to;
  int outerRank;
  int32_t outer[kMaxRank];
  int32_t run;
  int64_t fromRun, toRun;
  int64_t rowWords;
  bool empty, splat, init;
  // Of a uniform copy: the last outer dim is consecutive in the source as the run is in the destination.
  bool transposed;
  int32_t rows;
  int64_t toRow;
};

struct FillPlan {
  Operand to;
  int outerRank;
  int32_t outer[kMaxRank];
  int32_t run;
  int64_t toRun;
  int64_t rowWords;
  bool empty;
  uint32_t word;
};

namespace {

// Splits joined dims into outer ones and a run; returns the outer rank. `b` may be null.
int splitDims(int rank, int32_t* dims, int64_t* a, int64_t* b, int32_t& run, int64_t& aRun, int64_t& bRun) {
  int n = 0;
  for (int d = 0; d < rank; d++) {
    if (dims[d] == 1) continue;
    if (n > 0 && a[n - 1] == a[d] * dims[d] && (!b || b[n - 1] == b[d] * dims[d])) {
      dims[n - 1] *= dims[d];
      a[n - 1] = a[d];
      if (b) b[n - 1] = b[d];
    } else {
      dims[n] = dims[d];
      a[n] = a[d];
      if (b) b[n] = b[d];
      n++;
    }
  }
  run = n ? dims[n - 1] : 1;
  aRun = n ? a[n - 1] : 0;
  bRun = n && b ? b[n - 1] : 0;
  return n ? n - 1 : 0;
}

bool anyZero(const int32_t* dims, int rank) {
  for (int d = 0; d < rank; d++)
    if (dims[d] == 0) return true;
  return false;
}

void swapDims(CopyPlan& plan, int a, int b) {
  const int32_t dim = plan.outer[a];
  plan.outer[a] = plan.outer[b];
  plan.outer[b] = dim;
  Operand* const operands[2] = {&plan.from, &plan.to};
  for (Operand* o : operands) {
    const int64_t stride = o->strides[a];
    o->strides[a] = o->strides[b];
    o->strides[b] = stride;
  }
}
int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

// The destination's densest dim last, so that the run writes neighbouring words whatever the order the dims were given in.
void orderDims(CopyPlan& plan, int rank) {
  for (int i = 1; i < rank; i++)
    for (int d = i; d > 0 && magnitude(plan.to.strides[d - 1]) < magnitude(plan.to.strides[d]); d--) swapDims(plan, d - 1, d);
}

// Takes the outer dim that is consecutive in the source out of the outer ones.
void chooseTransposition(CopyPlan& plan) {
  if (plan.toRun != 1 || plan.fromRun == 1 || plan.run < W / 2) return;
  for (int d = plan.outerRank - 1; d >= 0; d--) {
    if (plan.from.strides[d] != 1 || plan.outer[d] < W / 2) continue;
    for (int e = d; e + 1 < plan.outerRank; e++) swapDims(plan, e, e + 1);
    plan.outerRank--;
    plan.rows = plan.outer[plan.outerRank];
    plan.toRow = plan.to.strides[plan.outerRank];
    plan.transposed = true;
    return;
  }
}

// Only where `fresh` is set; `from` is one row, or one word for all lanes.
void blendRow(uint32_t* to, const uint32_t* from, bool splatSource, const int32_t* fresh, int64_t lanes) {
  for (int64_t i = 0; i < lanes; i += W) {
    const int64_t n = lanes - i;
    if (n >= W) {
      const vu x = splatSource ? splat(*from) : load(from + i);
      store(to + i, select(load(fresh + i), x, load(to + i)));
    } else {
      const vu x = splatSource ? splat(*from) : loadPart(from + i, n);
      const vi mask = (vi)loadPart(reinterpret_cast<const uint32_t*>(fresh) + i, n);
      storePart(to + i, select(mask, x, loadPart(to + i, n)), n);
    }
  }
}

}  // namespace

CopyPlan* planCopy(Reader& reader, int lanes, bool init, Arena& arena) {
  CopyPlan* plan = arena.make<CopyPlan>();
  if (!plan) return nullptr;
  const int mode = init ? 1 : reader.next();
  const int rank = reader.next();
  reader.next(plan->outer, rank);
  plan->from = readOperand(reader, rank, lanes);
  plan->to = readOperand(reader, rank, lanes);
  plan->rowWords = mode == 0 ? 1 : lanes;
  plan->splat = mode == 1 && !plan->from.varying;
  plan->init = init;
  plan->empty = anyZero(plan->outer, rank);
  if (mode == 0) orderDims(*plan, rank);
  plan->outerRank = splitDims(rank, plan->outer, plan->from.strides, plan->to.strides, plan->run, plan->fromRun, plan->toRun);
  if (mode == 0) chooseTransposition(*plan);
  return plan;
}

void runCopy(const CopyPlan& plan, TileContext& context) {
  if (plan.empty) return;
  const uint32_t* from = plan.from.read(context);
  uint32_t* to = plan.to.write(context);
  const bool blend = plan.init && !context.allFresh;
  int32_t index[kMaxRank] = {};
  for (;;) {
    if (blend) {
      for (int64_t i = 0; i < plan.run; i++)
        blendRow(to + i * plan.toRun, from + i * plan.fromRun, plan.splat, context.fresh, plan.rowWords);
    } else if (plan.transposed) {
      transposeWords(to, plan.toRow, from, plan.fromRun, plan.rows, plan.run);
    } else {
      copyRows(to, plan.toRun, from, plan.fromRun, plan.splat, plan.run, plan.rowWords);
    }
    int d = plan.outerRank - 1;
    for (; d >= 0; d--) {
      from += plan.from.strides[d];
      to += plan.to.strides[d];
      if (++index[d] < plan.outer[d]) break;
      from -= plan.from.strides[d] * plan.outer[d];
      to -= plan.to.strides[d] * plan.outer[d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

FillPlan* planFill(Reader& reader, int lanes, Arena& arena) {
  FillPlan* plan = arena.make<FillPlan>();
  if (!plan) return nullptr;
  const int mode = reader.next();
  const int rank = reader.next();
  reader.next(plan->outer, rank);
  plan->to = readOperand(reader, rank, lanes);
  plan->word = static_cast<uint32_t>(reader.next());
  plan->rowWords = mode == 0 ? 1 : lanes;
  plan->empty = anyZero(plan->outer, rank);
  int64_t none;
  plan->outerRank = splitDims(rank, plan->outer, plan->to.strides, nullptr, plan->run, plan->toRun, none);
  return plan;
}

void runFill(const FillPlan& plan, TileContext& context) {
  if (plan.empty) return;
  uint32_t* to = plan.to.write(context);
  int32_t index[kMaxRank] = {};
  for (;;) {
    if (plan.toRun == plan.rowWords || plan.run == 1) splatWords(to, plan.word, plan.run * plan.rowWords);
    else
      for (int64_t i = 0; i < plan.run; i++) splatWords(to + i * plan.toRun, plan.word, plan.rowWords);
    int d = plan.outerRank - 1;
    for (; d >= 0; d--) {
      to += plan.to.strides[d];
      if (++index[d] < plan.outer[d]) break;
      to -= plan.to.strides[d] * plan.outer[d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
