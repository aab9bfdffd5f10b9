#include "prepare.h"

#include "arena.h"
#include "conv.h"
#include "argsort.h"
#include "cumsum.h"
#include "deferred_product.h"
#include "elementwise.h"
#include "gather.h"
#include "linear_algebra.h"
#include "matmul.h"
#include "movement.h"
#include "random_fill.h"
#include "reduce.h"
#include "window.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

struct Instruction {
  void (*run)(const void* plan, TileContext& context);
  const void* plan;
};

struct Prepared {
  Arena arena;
  size_t count;
  Instruction* instruction;
};

template <class Plan, void (*kRun)(const Plan&, TileContext&)>
void runPlan(const void* plan, TileContext& context) {
  kRun(*static_cast<const Plan*>(plan), context);
}
void runElementwiseInScratch(const ElementwisePlan& plan, TileContext& context) { runElementwise(plan, context, context.scratch); }

template <class Plan, void (*kRun)(const Plan&, TileContext&)>
void set(Instruction& instruction, const Plan* plan) {
  instruction = {runPlan<Plan, kRun>, plan};
}

void decode(Instruction& to, int32_t opcode, Reader reader, int lanes, Arena& arena, size_t& scratch) {
  scratch = 0;
  switch (opcode) {
    case kElementwise: {
      const int mode = reader.next();
      const ElementwisePlan* plan = planElementwise(reader, mode, lanes, arena);
      if (plan) scratch = elementwiseScratch(*plan);
      return set<ElementwisePlan, runElementwiseInScratch>(to, plan);
    }
    case kMatmul: {
      const MatmulPlan* plan = planMatmul(reader, lanes, arena);
      if (plan) scratch = matmulScratch(*plan);
      return set<MatmulPlan, runMatmul>(to, plan);
    }
    case kMatmulElementwise: {
      const MatmulElementwisePlan* plan = planMatmulElementwise(reader, lanes, arena);
      if (plan) scratch = matmulElementwiseScratch(*plan);
      return set<MatmulElementwisePlan, runMatmulElementwise>(to, plan);
    }
    case kConv: {
      const ConvPlan* plan = planConv(reader, lanes, arena);
      if (plan) scratch = convScratch(*plan);
      return set<ConvPlan, runConv>(to, plan);
    }
    case kDeferredProduct: {
      const DeferredProductPlan* plan = planDeferredProduct(reader, lanes, arena);
      if (plan) scratch = deferredProductScratch(*plan);
      return set<DeferredProductPlan, runDeferredProduct>(to, plan);
    }
    case kReduce: {
      const ReducePlan* plan = planReduce(reader, lanes, arena);
      if (plan) scratch = reduceScratch(*plan);
      return set<ReducePlan, runReduce>(to, plan);
    }
    case kGather: {
      const GatherPlan* plan = planGather(reader, lanes, arena);
      if (plan) scratch = gatherScratch(*plan);
      return set<GatherPlan, runGather>(to, plan);
    }
    case kCopy:
    case kInitCopy:
      return set<CopyPlan, runCopy>(to, planCopy(reader, lanes, opcode == kInitCopy, arena));
    case kFill:
      return set<FillPlan, runFill>(to, planFill(reader, lanes, arena));
    case kSegmentSum:
      return set<SegmentSumPlan, runSegmentSum>(to, planSegmentSum(reader, lanes, arena));
    case kCumsum:
      return set<CumsumPlan, runCumsum>(to, planCumsum(reader, lanes, arena));
    case kWindow:
    case kWindowGrad: {
      const WindowPlan* plan = planWindow(reader, lanes, opcode == kWindowGrad, arena);
      if (plan) scratch = windowScratch(*plan);
      return set<WindowPlan, runWindow>(to, plan);
    }
    case kArgSort: {
      const ArgSortPlan* plan = planArgSort(reader, lanes, arena);
      if (plan) scratch = argSortScratch(*plan);
      return set<ArgSortPlan, runArgSort>(to, plan);
    }
    case kCholesky: {
      const CholeskyPlan* plan = planCholesky(reader, lanes, arena);
      if (plan) scratch = choleskyScratch(*plan);
      return set<CholeskyPlan, runCholesky>(to, plan);
    }
    case kTriangularSolve: {
      const TriangularSolvePlan* plan = planTriangularSolve(reader, lanes, arena);
      if (plan) scratch = triangularSolveScratch(*plan);
      return set<TriangularSolvePlan, runTriangularSolve>(to, plan);
    }
    case kSymmetricEigen: {
      const SymmetricEigenPlan* plan = planSymmetricEigen(reader, lanes, arena);
      if (plan) scratch = symmetricEigenScratch(*plan);
      return set<SymmetricEigenPlan, runSymmetricEigen>(to, plan);
    }
    case kRandom:
      return set<RandomPlan, runRandom>(to, planRandom(reader, lanes, arena));
    default:
      arena.failed = true;  // validated words have no other opcode
  }
}

}  // namespace

void* prepareBlock(const int32_t* words, size_t count, int lanes, size_t* scratchBytes) {
  Arena arena;
  Prepared* prepared = arena.make<Prepared>();
  size_t instructions = 0;
  for (size_t at = 0; at < count; at += static_cast<size_t>(words[at + 1])) instructions++;
  Instruction* list = prepared ? arena.make<Instruction>(instructions) : nullptr;
  if (list) {
    size_t at = 0;
    for (size_t i = 0; i < instructions && !arena.failed; i++, at += static_cast<size_t>(words[at + 1])) {
      size_t scratch;
      decode(list[i], words[at], Reader{words + at + 2}, lanes, arena, scratch);
      if (scratch > *scratchBytes) *scratchBytes = scratch;
    }
  }
  if (arena.failed) {
    arena.release();
    return nullptr;
  }
  // The arena's own record lives in the memory that it owns.
  prepared->arena = arena;
  prepared->count = instructions;
  prepared->instruction = list;
  return prepared;
}

void runBlock(const void* prepared, TileContext& context) {
  const Prepared& block = *static_cast<const Prepared*>(prepared);
  for (size_t i = 0; i < block.count; i++) block.instruction[i].run(block.instruction[i].plan, context);
}

void releaseBlock(void* prepared) {
  if (!prepared) return;
  Arena arena = static_cast<Prepared*>(prepared)->arena;
  arena.release();
}

}  // namespace unrolled::UNROLLED_LEVEL
