#include "cumsum.h"

#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

struct CumsumPlan {
  bool integer, exclusive, reverse, splat;
  int32_t outer, n, inner;
  Operand x, output;  // x: outer n inner
  int64_t rowWords;
  int64_t width;  // words that run side by side: lanes, or neighbouring inner elements of a uniform value
};

namespace {

// One run of `n` steps for up to W words.
template <class T>
void runColumn(const CumsumPlan& plan, const uint32_t* x, int64_t step, uint32_t* out, int64_t outStep, int64_t words) {
  T sum{};
  if (plan.reverse) {
    x += (plan.n - 1) * step;
    out += (plan.n - 1) * outStep;
    step = -step;
    outStep = -outStep;
  }
  for (int32_t i = 0; i < plan.n; i++, x += step, out += outStep) {
    const T value = (T)(plan.splat ? splat(*x) : words >= W ? load(x) : loadPart(x, words));
    const T before = sum;
    sum += value;
    const vu result = (vu)(plan.exclusive ? before : sum);
    if (words >= W) store(out, result);
    else storePart(out, result, words);
  }
}

}  // namespace

CumsumPlan* planCumsum(Reader& reader, int lanes, Arena& arena) {
  CumsumPlan* plan = arena.make<CumsumPlan>();
  if (!plan) return nullptr;
  const int mode = reader.next();
  plan->integer = reader.next() != 0;
  plan->exclusive = reader.next() != 0;
  plan->reverse = reader.next() != 0;
  plan->outer = reader.next();
  plan->n = reader.next();
  plan->inner = reader.next();
  plan->x = readOperand(reader, 3, lanes);
  plan->output = readOperand(reader, 0, lanes);
  plan->splat = mode == 1 && !plan->x.varying;
  plan->rowWords = mode == 0 ? 1 : lanes;
  plan->width = mode == 0 && plan->x.strides[2] == 1 ? plan->inner : plan->rowWords;
  return plan;
}

void runCumsum(const CumsumPlan& plan, TileContext& context) {
  const uint32_t* x = plan.x.read(context);
  uint32_t* output = plan.output.write(context);
  const int64_t outStep = plan.inner * plan.rowWords;
  const int64_t columns = plan.width == plan.rowWords ? plan.inner : 1;
  for (int64_t o = 0; o < plan.outer; o++)
    for (int64_t i = 0; i < columns; i++) {
      const uint32_t* from = x + o * plan.x.strides[0] + i * plan.x.strides[2];
      uint32_t* to = output + (o * plan.n * plan.inner + i) * plan.rowWords;
      for (int64_t w = 0; w < plan.width; w += W) {
        const uint32_t* start = plan.splat ? from : from + w;
        if (plan.integer) runColumn<vu>(plan, start, plan.x.strides[1], to + w, outStep, plan.width - w);
        else runColumn<vf>(plan, start, plan.x.strides[1], to + w, outStep, plan.width - w);
      }
    }
}

}  // namespace unrolled::UNROLLED_LEVEL
