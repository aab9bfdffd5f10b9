#include "matmul.h"

#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

struct MatmulPlan {
  int batchRank;
  int32_t batch[kMaxRank];
  int32_t m, n;
  int64_t batches;
  Operand a, b, c;  // batch strides only; offsets
  int64_t cm, cn;
  bool splat;  // both operands uniform, output varying
  int lanes;
  ProductPlan product;
  size_t resultOffset;  // of a uniform result that is splat afterwards
  size_t scratchBytes;
};

namespace {

// space, offset, two strides of the matrix, strides of the batch.
void readMatrix(Reader& reader, int batchRank, int lanes, Operand& matrix, int64_t* batchStrides) {
  matrix = readOperand(reader, 2, lanes);
  const int64_t row = matrix.varying ? lanes : 1;
  for (int d = 0; d < batchRank; d++) batchStrides[d] = int64_t{reader.next()} * row;
}

}  // namespace

MatmulPlan* planMatmul(Reader& reader, int lanes, Arena& arena) {
  MatmulPlan* plan = arena.make<MatmulPlan>();
  if (!plan) return nullptr;
  const int mode = reader.next();
  plan->batchRank = reader.next();
  reader.next(plan->batch, plan->batchRank);
  plan->batches = product(plan->batch, plan->batchRank);
  plan->m = reader.next();
  plan->n = reader.next();
  const int32_t k = reader.next();
  plan->lanes = lanes;
  Operand a, b, c;
  readMatrix(reader, plan->batchRank, lanes, a, plan->a.strides);
  readMatrix(reader, plan->batchRank, lanes, b, plan->b.strides);
  readMatrix(reader, plan->batchRank, lanes, c, plan->c.strides);
  plan->a.space = a.space, plan->a.offset = a.offset;
  plan->b.space = b.space, plan->b.offset = b.offset;
  plan->c.space = c.space, plan->c.offset = c.offset;
  plan->cm = c.strides[0];
  plan->cn = c.strides[1];
  plan->splat = mode == 1 && !a.varying && !b.varying;
  planProduct(plan->product, plan->splat ? 0 : mode, lanes, plan->m, plan->n, k, a, b, ProductUse::kOnce);
  plan->resultOffset = (plan->product.packBytes + 63) & ~size_t{63};
  plan->scratchBytes = plan->resultOffset + (plan->splat ? size_t{4} * static_cast<size_t>(plan->m) * static_cast<size_t>(plan->n) : 0);
  return plan;
}

size_t matmulScratch(const MatmulPlan& plan) { return plan.scratchBytes; }

void runMatmul(const MatmulPlan& plan, TileContext& context) {
  if (plan.m == 0 || plan.n == 0) return;
  // Turning a product exchanges its operands, not their batch strides.
  const uint32_t* a = plan.a.read(context);
  const uint32_t* b = plan.b.read(context);
  uint32_t* c = plan.c.write(context);
  uint32_t* result = reinterpret_cast<uint32_t*>(static_cast<char*>(context.scratch) + plan.resultOffset);
  int32_t index[kMaxRank] = {};
  for (int64_t i = 0; i < plan.batches; i++) {
    const float* left = reinterpret_cast<const float*>(plan.product.swapped ? b : a);
    const float* right = reinterpret_cast<const float*>(plan.product.swapped ? a : b);
    float* to = reinterpret_cast<float*>(plan.splat ? result : c);
    runProduct(plan.product, left, right, 0, plan.m, 0, plan.n, to, plan.splat ? plan.n : plan.cm, plan.splat ? 1 : plan.cn, context.scratch,
               nullptr);
    if (plan.splat)
      for (int64_t row = 0; row < plan.m; row++)
        copyRows(c + row * plan.cm, plan.cn, result + row * plan.n, 1, true, plan.n, plan.lanes);
    for (int d = plan.batchRank - 1; d >= 0; d--) {
      const bool carry = ++index[d] == plan.batch[d];
      const int64_t count = carry ? 1 - int64_t{plan.batch[d]} : 1;
      a += count * plan.a.strides[d];
      b += count * plan.b.strides[d];
      c += count * plan.c.strides[d];
      if (!carry) break;
      index[d] = 0;
    }
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
