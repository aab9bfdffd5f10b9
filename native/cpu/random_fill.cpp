#include "random_fill.h"

#include "random.h"

namespace unrolled::UNROLLED_LEVEL {

struct RandomPlan {
  int32_t distribution, share;
  uint32_t streamDraw, count;
  uint32_t bits[2];
  Operand output;
  int lanes;
};

namespace {

float asFloat(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

template <class T, class Transform>
void draw(const RandomPlan& plan, TileContext& context, Transform transform) {
  T* out = reinterpret_cast<T*>(plan.output.write(context));
  const DrawKey key{context.step, plan.streamDraw, context.key0, context.key1};
  if (plan.share == 0) draw_rows(out, 1, plan.count, 0, key, nullptr, transform);
  else draw_lanes(out, plan.lanes, plan.count, context.particle0, plan.share == 1 ? context.pairs : 0, key, transform);
}

}  // namespace

RandomPlan* planRandom(Reader& reader, int lanes, Arena& arena) {
  RandomPlan* plan = arena.make<RandomPlan>();
  if (!plan) return nullptr;
  reader.next();  // mode: said by share
  plan->distribution = reader.next();
  plan->share = reader.next();
  const uint32_t stream = static_cast<uint32_t>(reader.next());
  const uint32_t drawNumber = static_cast<uint32_t>(reader.next());
  plan->streamDraw = stream_word(stream, drawNumber);
  plan->count = static_cast<uint32_t>(reader.next());
  plan->bits[0] = static_cast<uint32_t>(reader.next());
  plan->bits[1] = static_cast<uint32_t>(reader.next());
  plan->output = readOperand(reader, 0, lanes);
  plan->lanes = lanes;
  return plan;
}

void runRandom(const RandomPlan& plan, TileContext& context) {
  switch (plan.distribution) {
    case 0:
      return draw<float>(plan, context, [](auto word) { return normal_from_word(word); });
    case 1: {
      const UniformRange range = UniformRange::between(asFloat(plan.bits[0]), asFloat(plan.bits[1]));
      return draw<float>(plan, context, [=](vu word) { return uniform_in_range(word, range); });
    }
    case 2: {
      const int32_t low = static_cast<int32_t>(plan.bits[0]);
      const uint32_t range = plan.bits[1];
      return draw<int32_t>(plan, context, [=](vu word) { return integer_from_word(word, low, range); });
    }
    default: {
      const float p = asFloat(plan.bits[0]);
      return draw<int32_t>(plan, context, [=](vu word) { return bernoulli_from_word(word, splat(p)) & 1; });
    }
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
