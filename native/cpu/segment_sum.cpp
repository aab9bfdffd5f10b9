#include "gather.h"
#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

struct SegmentSumPlan {
  int mode;
  bool integer;
  int32_t n, inner, segments;
  Operand x, ids, output;  // x: n inner
  int64_t lanes;
};

namespace {

struct AddFloats {
  static vu vectors(vu a, vu b) { return (vu)((vf)a + (vf)b); }
  static uint32_t words(uint32_t a, uint32_t b) {
    float x, y;
    std::memcpy(&x, &a, 4);
    std::memcpy(&y, &b, 4);
    x += y;
    std::memcpy(&a, &x, 4);
    return a;
  }
};
struct AddIntegers {
  static vu vectors(vu a, vu b) { return a + b; }
  static uint32_t words(uint32_t a, uint32_t b) { return a + b; }
};

// to[i] += x[i], or += *x where it is one word for all
template <class Add>
void addWords(uint32_t* to, const uint32_t* x, bool splatSource, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(to + i, Add::vectors(load(to + i), splatSource ? splat(*x) : load(x + i)));
  for (; i < n; i++) to[i] = Add::words(to[i], splatSource ? *x : x[i]);
}

// One element of x to the segment of its id; elements come in order, so each sum has the order of n.
template <class Add>
void addElements(const SegmentSumPlan& plan, const uint32_t* x, const uint32_t* ids, uint32_t* output) {
  if (plan.mode == 0 && plan.inner == 1) {
    for (int64_t e = 0; e < plan.n; e++) {
      const int64_t segment = static_cast<int32_t>(ids[e * plan.ids.strides[0]]);
      if (segment >= 0 && segment < plan.segments) output[segment] = Add::words(output[segment], x[e * plan.x.strides[0]]);
    }
    return;
  }
  const int64_t rowWords = plan.mode == 0 ? 1 : plan.lanes;
  const bool splatSource = plan.mode == 1 && !plan.x.varying;
  for (int64_t e = 0; e < plan.n; e++) {
    const uint32_t* id = ids + e * plan.ids.strides[0];
    const uint32_t* from = x + e * plan.x.strides[0];
    if (!plan.ids.varying) {
      const int64_t segment = static_cast<int32_t>(*id);
      if (segment < 0 || segment >= plan.segments) continue;
      uint32_t* to = output + segment * plan.inner * rowWords;
      if (!splatSource && plan.x.strides[1] == rowWords) {
        addWords<Add>(to, from, false, plan.inner * rowWords);
      } else {
        for (int64_t i = 0; i < plan.inner; i++)
          addWords<Add>(to + i * rowWords, from + i * plan.x.strides[1], splatSource, rowWords);
      }
    } else {
      for (int64_t l = 0; l < plan.lanes; l++) {
        const int64_t segment = static_cast<int32_t>(id[l]);
        if (segment < 0 || segment >= plan.segments) continue;
        uint32_t* to = output + segment * plan.inner * plan.lanes + l;
        const uint32_t* lane = splatSource ? from : from + l;
        for (int64_t i = 0; i < plan.inner; i++) to[i * plan.lanes] = Add::words(to[i * plan.lanes], lane[i * plan.x.strides[1]]);
      }
    }
  }
}

}  // namespace

SegmentSumPlan* planSegmentSum(Reader& reader, int lanes, Arena& arena) {
  SegmentSumPlan* plan = arena.make<SegmentSumPlan>();
  if (!plan) return nullptr;
  plan->mode = reader.next();
  plan->integer = reader.next() != 0;
  plan->n = reader.next();
  plan->inner = reader.next();
  plan->segments = reader.next();
  plan->x = readOperand(reader, 2, lanes);
  plan->ids = readOperand(reader, 1, lanes);
  plan->output = readOperand(reader, 0, lanes);
  plan->lanes = lanes;
  return plan;
}

void runSegmentSum(const SegmentSumPlan& plan, TileContext& context) {
  uint32_t* output = plan.output.write(context);
  const int64_t rowWords = plan.mode == 0 ? 1 : plan.lanes;
  splatWords(output, 0, int64_t{plan.segments} * plan.inner * rowWords);
  const uint32_t* x = plan.x.read(context);
  const uint32_t* ids = plan.ids.read(context);
  if (plan.integer) addElements<AddIntegers>(plan, x, ids, output);
  else addElements<AddFloats>(plan, x, ids, output);
}

}  // namespace unrolled::UNROLLED_LEVEL
