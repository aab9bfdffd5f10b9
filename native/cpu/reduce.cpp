#include "reduce.h"

#include "program.h"
#include "reduce_kernels.h"

namespace unrolled::UNROLLED_LEVEL {

struct ReducePlan {
  int outRank;  // out dims but those that a kernel call covers
  int32_t out[kMaxRank];
  int64_t outStride[kMaxRank];
  int64_t calls;
  Operand input, output;
  ReduceDims dims;
  ReduceKernel kernel;
  bool splat;     // a uniform input and a varying output
  int64_t words;  // of the output before splatting
  int lanes;
};

namespace {

// Up to this many elements an output of side-by-side sums is added in float32 throughout.
constexpr int64_t kFew = 64;

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

ReduceKernel chooseKernel(int32_t kind, const ReduceDims& dims, bool uniform) {
  const bool consecutive = uniform && dims.width == 1 && (dims.runStride == 1 || dims.run <= 1);
  if (kind >= 8) return positionReduction(kind, consecutive && dims.outerRank == 0);
  if (consecutive) return rowReduction(kind);
  if (uniform && dims.width > 1 && dims.width < W && dims.runStride == dims.width) return interleavedReduction(kind);
  return columnReduction(kind, dims.count <= kFew);
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
  const bool varying = plan->input.varying;
  for (int d = 0; d < reducedRank; d++) reducedStride[d] = int64_t{reader.next()} * (varying ? lanes : 1);
  for (int d = 0; d < plan->outRank; d++) plan->outStride[d] = plan->input.strides[d];
  plan->output = readOperand(reader, 0, lanes);
  plan->splat = mode == 1 && !varying;
  plan->words = product(plan->out, plan->outRank) * (varying ? lanes : 1);

  ReduceDims& dims = plan->dims;
  dims.count = product(reduced, reducedRank);
  const int n = dims.count == 0 ? 0 : joinDims(reducedRank, reduced, reducedStride);
  dims.run = dims.count == 0 ? 0 : n ? reduced[n - 1] : 1;
  dims.runStride = n ? reducedStride[n - 1] : 0;
  dims.outerRank = n > 1 ? n - 1 : 0;
  for (int d = 0; d < dims.outerRank; d++) {
    dims.outer[d] = reduced[d];
    dims.outerStride[d] = reducedStride[d];
  }
  plan->outRank = joinDims(plan->outRank, plan->out, plan->outStride);
  // Neighbouring outputs from neighbouring words go side by side; else consecutive words of one output do.
  dims.width = varying ? lanes : 1;
  if (!varying && plan->outRank > 0 && plan->outStride[plan->outRank - 1] == 1) dims.width = plan->out[--plan->outRank];
  dims.rows = 1;
  if (plan->outRank > 0) {
    plan->outRank--;
    dims.rows = plan->out[plan->outRank];
    dims.rowStride = plan->outStride[plan->outRank];
  }
  plan->calls = plan->words == 0 ? 0 : product(plan->out, plan->outRank);
  plan->kernel = chooseKernel(kind, dims, !varying);
  return plan;
}

size_t reduceScratch(const ReducePlan& plan) { return plan.splat ? static_cast<size_t>(plan.words) * 4 : 0; }

void runReduce(const ReducePlan& plan, TileContext& context) {
  const uint32_t* in = plan.input.read(context);
  uint32_t* out = plan.splat ? static_cast<uint32_t*>(context.scratch) : plan.output.write(context);
  int32_t index[kMaxRank] = {};
  for (int64_t i = 0; i < plan.calls; i++) {
    plan.kernel(plan.dims, in, out);
    out += plan.dims.width * plan.dims.rows;
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
