#include "gather.h"

#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

struct GatherPlan {
  int mode;
  uint32_t missing;  // what an index outside yields
  int32_t batch, outer, n, inner, m;
  Operand x, indices, output;  // x: batch outer n inner; indices: batch m
  int64_t lanes;
};

namespace {

// Index rows of a tile as positions in words, and whether each is inside.
void resolve(const GatherPlan& plan, const uint32_t* indices, int32_t* position, int32_t* inside) {
  // x's rows are `lanes` words when it varies, and lane l reads word l of a row.
  const int32_t stride = static_cast<int32_t>(plan.x.strides[2]);
  for (int64_t l = 0; l < plan.lanes; l++) {
    const int32_t i = static_cast<int32_t>(indices[l]);
    const bool valid = i >= 0 && i < plan.n;
    inside[l] = valid ? -1 : 0;
    position[l] = valid ? i * stride + (plan.x.varying ? static_cast<int32_t>(l) : 0) : 0;
  }
}

// to[l] = x[position[l]]
void gatherRow(uint32_t* to, const uint32_t* x, const int32_t* position, const int32_t* inside, uint32_t missing, int64_t lanes) {
  int64_t l = 0;
#if defined(UNROLLED_AVX512) || defined(UNROLLED_AVX2)
  for (; l + W <= lanes; l += W) {
#if defined(UNROLLED_AVX512)
    const vu v = (vu)_mm512_i32gather_epi32((__m512i)load(position + l), x, 4);
#else
    const vu v = (vu)_mm256_i32gather_epi32(reinterpret_cast<const int*>(x), (__m256i)load(position + l), 4);
#endif
    store(to + l, select(load(inside + l), v, splat(missing)));
  }
#endif
  for (; l < lanes; l++) to[l] = inside[l] ? x[position[l]] : missing;
}

}  // namespace

GatherPlan* planGather(Reader& reader, int lanes, Arena& arena) {
  GatherPlan* plan = arena.make<GatherPlan>();
  if (!plan) return nullptr;
  plan->mode = reader.next();
  plan->missing = reader.next() ? 0 : 0x7fc00000;
  plan->batch = reader.next();
  plan->outer = reader.next();
  plan->n = reader.next();
  plan->inner = reader.next();
  plan->m = reader.next();
  plan->x = readOperand(reader, 4, lanes);
  plan->indices = readOperand(reader, 2, lanes);
  plan->output = readOperand(reader, 0, lanes);
  plan->lanes = lanes;
  return plan;
}

size_t gatherScratch(const GatherPlan& plan) { return plan.indices.varying ? static_cast<size_t>(plan.lanes) * 8 : 0; }

// Single words of a uniform x by uniform indices: nothing but the look-up in the loop.
static void gatherWords(const GatherPlan& plan, const uint32_t* x, const uint32_t* indices, uint32_t* output) {
  const int64_t n = plan.n, step = plan.x.strides[2], indexStep = plan.indices.strides[1];
  for (int64_t b = 0; b < plan.batch; b++)
    for (int64_t o = 0; o < plan.outer; o++, output += plan.m) {
      const uint32_t* from = x + b * plan.x.strides[0] + o * plan.x.strides[1];
      const uint32_t* index = indices + b * plan.indices.strides[0];
      for (int64_t j = 0; j < plan.m; j++) {
        const int64_t row = static_cast<int32_t>(index[j * indexStep]);
        output[j] = row >= 0 && row < n ? from[row * step] : plan.missing;
      }
    }
}

void runGather(const GatherPlan& plan, TileContext& context) {
  const uint32_t* x = plan.x.read(context);
  const uint32_t* indices = plan.indices.read(context);
  uint32_t* output = plan.output.write(context);
  if (plan.mode == 0 && plan.inner == 1) return gatherWords(plan, x, indices, output);
  const int64_t rowWords = plan.mode == 0 ? 1 : plan.lanes;
  const int64_t* sx = plan.x.strides;
  int32_t* position = static_cast<int32_t*>(context.scratch);
  int32_t* inside = position + plan.lanes;
  for (int64_t b = 0; b < plan.batch; b++)
    for (int64_t j = 0; j < plan.m; j++) {
      const uint32_t* index = indices + b * plan.indices.strides[0] + j * plan.indices.strides[1];
      const uint32_t* from = x + b * sx[0];
      if (plan.indices.varying) {
        if (plan.n == 0) {
          for (int64_t l = 0; l < plan.lanes; l++) inside[l] = position[l] = 0;
        } else {
          resolve(plan, index, position, inside);
        }
      }
      const int64_t row = static_cast<int32_t>(*index);
      for (int64_t o = 0; o < plan.outer; o++) {
        uint32_t* to = output + ((b * plan.outer + o) * plan.m + j) * plan.inner * rowWords;
        if (plan.indices.varying) {
          for (int64_t i = 0; i < plan.inner; i++) {
            // An empty x has no word that a masked lane could read.
            if (plan.n == 0) splatWords(to + i * rowWords, plan.missing, rowWords);
            else gatherRow(to + i * rowWords, from + o * sx[1] + i * sx[3], position, inside, plan.missing, plan.lanes);
          }
        } else if (row < 0 || row >= plan.n) {
          splatWords(to, plan.missing, plan.inner * rowWords);
        } else {
          copyRows(to, rowWords, from + o * sx[1] + row * sx[2], sx[3], plan.mode == 1 && !plan.x.varying, plan.inner, rowWords);
        }
      }
    }
}

}  // namespace unrolled::UNROLLED_LEVEL
