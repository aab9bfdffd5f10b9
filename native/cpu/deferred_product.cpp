// A sum of outer products over steps reads and writes all of W at every step. Kept back for some steps, the operands make one product over
// steps, which passes over W once.
#include "deferred_product.h"

#include "matmul.h"
#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

struct DeferredProductPlan {
  int32_t m, n, k, capacity;
  int64_t rowWords;
  Operand a, b, w, ringA, ringB;
  ProductPlan product;
};

DeferredProductPlan* planDeferredProduct(Reader& reader, int lanes, Arena& arena) {
  DeferredProductPlan* plan = arena.make<DeferredProductPlan>();
  if (!plan) return nullptr;
  plan->m = reader.next();
  plan->n = reader.next();
  plan->k = reader.next();
  plan->capacity = reader.next();
  plan->a = readOperand(reader, 2, lanes);
  plan->b = readOperand(reader, 2, lanes);
  plan->w = readOperand(reader, 2, lanes);
  const int64_t ring = reader.next();
  plan->rowWords = lanes;
  // Slot after slot: A as [k][m] rows, and behind all of A's, B as [k][n].
  const auto part = [&](int64_t row, int64_t stride0, int64_t stride1) {
    Operand operand;
    operand.space = kVarying;
    operand.varying = true;
    operand.offset = row * lanes;
    operand.strides[0] = stride0 * lanes;
    operand.strides[1] = stride1 * lanes;
    return operand;
  };
  plan->ringA = part(ring, 1, plan->m);
  plan->ringB = part(ring + int64_t{plan->capacity} * plan->k * plan->m, plan->n, 1);
  planProduct(plan->product, 1, lanes, plan->m, plan->n, plan->capacity * plan->k, plan->ringA, plan->ringB, ProductUse::kUpdate);
  plan->product.accumulates = true;
  return plan;
}

size_t deferredProductScratch(const DeferredProductPlan& plan) { return plan.product.packBytes; }

void runDeferredProduct(const DeferredProductPlan& plan, TileContext& context) {
  const int64_t row = plan.rowWords;
  const int32_t slot = static_cast<int32_t>(context.waiting % static_cast<uint32_t>(plan.capacity));
  uint32_t* const ringA = plan.ringA.write(context);
  uint32_t* const ringB = plan.ringB.write(context);
  for (int32_t k = 0; k < plan.k; k++) {
    const int64_t at = int64_t{slot} * plan.k + k;
    copyRows(ringA + at * plan.m * row, row, plan.a.read(context) + k * plan.a.strides[1], plan.a.strides[0], false, plan.m, row);
    copyRows(ringB + at * plan.n * row, row, plan.b.read(context) + k * plan.b.strides[0], plan.b.strides[1], false, plan.n, row);
  }
  if (context.hold && slot + 1 < plan.capacity) return;
  const int64_t filled = int64_t{slot + 1} * plan.k, left = int64_t{plan.capacity} * plan.k - filled;
  splatWords(ringA + filled * plan.m * row, 0, left * plan.m * row);
  splatWords(ringB + filled * plan.n * row, 0, left * plan.n * row);
  const float* a = reinterpret_cast<const float*>(plan.product.swapped ? ringB : ringA);
  const float* b = reinterpret_cast<const float*>(plan.product.swapped ? ringA : ringB);
  runProduct(plan.product, a, b, 0, plan.m, 0, plan.n, reinterpret_cast<float*>(plan.w.write(context)), plan.w.strides[0], plan.w.strides[1],
             context.scratch, nullptr);
}

}  // namespace unrolled::UNROLLED_LEVEL
