// MATMUL_ELEMENTWISE: blocks of the product go to scratch and through the elementwise group while they are hot, so that an update
// like w -= rate * (X^T dZ) reads and writes w once and the product never exists as a whole.
#include "elementwise.h"
#include "matmul.h"
#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

struct MatmulElementwisePlan {
  int mode;
  int32_t m, n;
  Operand a, b;
  ProductPlan product;
  ElementwisePlan* group;  // null for an update
  ProductUpdate update;
  int32_t blockRows, blockColumns;
  int64_t rowWords;
  bool splat;  // both operands are uniform and the group varies: a block is computed once, then spread over the lanes
  size_t uniformOffset, groupOffset, packOffset, scratchBytes;
};

namespace {

// What a block of the product may take of the first-level cache.
constexpr int64_t kBlockWords = 6144;
// Where everything is uniform a block is big enough to make up for copying its rows of A and columns of B together, and small
// enough for the second-level cache. It has whole rows up to this length: what the group reads and writes beside the product
// (weights and moments, say) is then one run of memory, which the hardware fetches ahead.
constexpr int32_t kUniformBlockRows = 192, kUniformBlockColumns = 512;
constexpr int32_t kNarrowBlockWords = 49152;  // narrow blocks have more rows, up to this size

size_t align(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

int32_t atLeast(int64_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : static_cast<int32_t>(x);
}

void chooseBlocks(MatmulElementwisePlan& plan) {
  if (plan.product.mode == 0) {
    plan.blockColumns = plan.n < kUniformBlockColumns ? plan.n : kUniformBlockColumns;
    const int32_t rows = plan.n > 0 ? kNarrowBlockWords / plan.n : 0;
    plan.blockRows = atLeast(rows, kUniformBlockRows < plan.m ? kUniformBlockRows : plan.m, plan.m);
    return;
  }
  const int64_t row = plan.rowWords;
  const int tile = plan.product.passes ? plan.product.pass[0].rows : 1;
  const int64_t depths = (plan.product.depth + plan.product.depthBlock - 1) / (plan.product.depthBlock ? plan.product.depthBlock : 1);
  if (plan.m == 0 || plan.n == 0) {
    plan.blockRows = plan.m;
    plan.blockColumns = plan.n;
    return;
  }
  if (depths > 1) {
    // A panel of B is worth its reading when all rows pass over it.
    const int64_t fixed = plan.product.swapped ? plan.n : plan.m;
    const int64_t width = kBlockWords / (fixed * row);
    if (plan.product.swapped) {
      plan.blockColumns = plan.n;
      plan.blockRows = atLeast(width, 4 < plan.m ? 4 : plan.m, plan.m);
    } else {
      plan.blockRows = plan.m;
      plan.blockColumns = atLeast(width, 4 < plan.n ? 4 : plan.n, plan.n);
    }
    return;
  }
  const int32_t few = tile < plan.m ? tile : plan.m;
  plan.blockColumns = plan.n * row * few <= kBlockWords ? plan.n : atLeast(kBlockWords / (2 * few * row), 1, plan.n);
  plan.blockRows = atLeast(kBlockWords / (plan.blockColumns * row) / tile * tile, few, plan.m);
}

}  // namespace

MatmulElementwisePlan* planMatmulElementwise(Reader& reader, int lanes, Arena& arena) {
  MatmulElementwisePlan* plan = arena.make<MatmulElementwisePlan>();
  if (!plan) return nullptr;
  plan->mode = reader.next();
  plan->m = reader.next();
  plan->n = reader.next();
  const int32_t k = reader.next();
  plan->a = readOperand(reader, 2, lanes);
  plan->b = readOperand(reader, 2, lanes);
  plan->splat = plan->mode == 1 && !plan->a.varying && !plan->b.varying;
  plan->rowWords = plan->mode == 0 ? 1 : lanes;
  if (plan->mode == 1 && !plan->splat && canUpdate(k) && isUpdate(reader, lanes, plan->update)) {
    planProduct(plan->product, 1, lanes, plan->m, plan->n, k, plan->a, plan->b, ProductUse::kUpdate);
    plan->product.accumulates = plan->update.adds;
    plan->packOffset = align(sizeof(float) * static_cast<size_t>(lanes));
    plan->scratchBytes = plan->packOffset + plan->product.packBytes;
    return plan;
  }
  planProduct(plan->product, plan->splat ? 0 : plan->mode, lanes, plan->m, plan->n, k, plan->a, plan->b, ProductUse::kBlocks);
  chooseBlocks(*plan);
  plan->group = planElementwise(reader, plan->mode, lanes, arena, true, plan->blockColumns);
  if (!plan->group) return nullptr;
  const size_t blockWords = static_cast<size_t>(plan->blockRows) * static_cast<size_t>(plan->blockColumns);
  plan->uniformOffset = align(sizeof(float) * blockWords * static_cast<size_t>(plan->rowWords));
  plan->groupOffset = plan->uniformOffset + (plan->splat ? align(sizeof(float) * blockWords) : 0);
  plan->packOffset = plan->groupOffset + align(elementwiseScratch(*plan->group));
  plan->scratchBytes = plan->packOffset + plan->product.packBytes;
  return plan;
}

size_t matmulElementwiseScratch(const MatmulElementwisePlan& plan) { return plan.scratchBytes; }

void runMatmulElementwise(const MatmulElementwisePlan& plan, TileContext& context) {
  char* scratch = static_cast<char*>(context.scratch);
  float* block = reinterpret_cast<float*>(scratch);
  const float* a = reinterpret_cast<const float*>((plan.product.swapped ? plan.b : plan.a).read(context));
  const float* b = reinterpret_cast<const float*>((plan.product.swapped ? plan.a : plan.b).read(context));
  if (!plan.group) {
    const ProductUpdate& update = plan.update;
    const uint32_t* rate = update.adds ? nullptr : update.rate.read(context);
    if (rate && !update.rate.varying) {
      splatWords(reinterpret_cast<uint32_t*>(scratch), *rate, plan.rowWords);
      rate = reinterpret_cast<uint32_t*>(scratch);
    }
    runProduct(plan.product, a, b, 0, plan.m, 0, plan.n, reinterpret_cast<float*>(update.w.write(context)), update.w.strides[0],
               update.w.strides[1], scratch + plan.packOffset, reinterpret_cast<const float*>(rate));
    return;
  }
  for (int32_t row = 0; row < plan.m; row += plan.blockRows) {
    const int32_t rows = plan.m - row < plan.blockRows ? plan.m - row : plan.blockRows;
    for (int32_t column = 0; column < plan.n; column += plan.blockColumns) {
      const int32_t columns = plan.n - column < plan.blockColumns ? plan.n - column : plan.blockColumns;
      if (plan.splat) {
        float* uniform = reinterpret_cast<float*>(scratch + plan.uniformOffset);
        runProduct(plan.product, a, b, row, rows, column, columns, uniform, columns, 1, scratch + plan.packOffset, nullptr);
        copyRows(reinterpret_cast<uint32_t*>(block), plan.rowWords, reinterpret_cast<uint32_t*>(uniform), 1, true,
                 int64_t{rows} * columns, plan.rowWords);
      } else {
        runProduct(plan.product, a, b, row, rows, column, columns, block, columns * plan.rowWords, plan.rowWords, scratch + plan.packOffset, nullptr);
      }
      runElementwiseBlock(*plan.group, context, scratch + plan.groupOffset, reinterpret_cast<const uint32_t*>(block), row, rows, column, columns);
    }
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
