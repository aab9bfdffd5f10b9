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

// Uniform runs one word wide: four at a time, because each addition waits for the one before it in its run.
template <class Word, int kRuns>
void runWords(const CumsumPlan& plan, const uint32_t* x, int64_t between, int64_t step, uint32_t* out, int64_t outBetween, int64_t outStep) {
  Word sum[kRuns] = {};
  if (plan.reverse) {
    x += (plan.n - 1) * step;
    out += (plan.n - 1) * outStep;
    step = -step;
    outStep = -outStep;
  }
  for (int32_t i = 0; i < plan.n; i++, x += step, out += outStep)
#pragma GCC unroll 4
    for (int r = 0; r < kRuns; r++) {
      Word value;
      std::memcpy(&value, x + r * between, 4);
      const Word before = sum[r];
      sum[r] += value;
      const Word result = plan.exclusive ? before : sum[r];
      std::memcpy(out + r * outBetween, &result, 4);
    }
}
template <class Word>
void runUniform(const CumsumPlan& plan, const uint32_t* x, uint32_t* out) {
  const int64_t* s = plan.x.strides;
  for (int64_t i = 0; i < plan.inner; i++) {
    const int64_t run = int64_t{plan.n} * plan.inner;
    int64_t o = 0;
    for (; o + 4 <= plan.outer; o += 4)
      runWords<Word, 4>(plan, x + o * s[0] + i * s[2], s[0], s[1], out + o * run + i, run, plan.inner);
    for (; o < plan.outer; o++) runWords<Word, 1>(plan, x + o * s[0] + i * s[2], 0, s[1], out + o * run + i, 0, plan.inner);
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
  if (plan.n == 0) return;
  const uint32_t* x = plan.x.read(context);
  uint32_t* output = plan.output.write(context);
  if (plan.rowWords == 1 && (plan.width == 1 || plan.inner == 1)) {
    return plan.integer ? runUniform<uint32_t>(plan, x, output) : runUniform<float>(plan, x, output);
  }
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
