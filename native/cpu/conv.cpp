#include "conv.h"

#include "conv_plan.h"
#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

struct ConvPlan {
  ConvGeometry geometry;
  Operand a, b, c;
  int64_t from, to;
  int64_t rowElements;  // of the output
  bool lanesVary;       // an operand varies
  bool splat;           // none does, but the output: it is computed once and spread over the lanes
  int lanes;
  UniformConv uniform;
  DepthwiseConv depthwise;
  LanesConv varying;
  size_t partOffset, scratchBytes;  // a result to be spread comes first
};

ConvPlan* planConv(Reader& reader, int lanes, Arena& arena) {
  ConvPlan* plan = arena.make<ConvPlan>();
  if (!plan) return nullptr;
  const int mode = reader.next();
  ConvGeometry& g = plan->geometry;
  readConvGeometry(reader, g, arena);
  plan->a = readOperand(reader, 0, lanes);
  plan->b = readOperand(reader, 0, lanes);
  plan->c = readOperand(reader, 0, lanes);
  plan->from = reader.next();
  plan->to = reader.next();
  if (arena.failed) return nullptr;
  plan->lanes = lanes;
  plan->rowElements = g.kind == kForward ? g.yChannels : g.kind == kInputGradient ? g.xChannels : g.filters;
  plan->lanesVary = plan->a.varying || plan->b.varying;
  plan->splat = mode == 1 && !plan->lanesVary;
  if (plan->splat) plan->partOffset = (sizeof(float) * static_cast<size_t>((plan->to - plan->from) * plan->rowElements) + 63) & ~size_t{63};
  size_t part;
  if (plan->lanesVary) {
    planLanesConv(g, lanes, !plan->a.varying, !plan->b.varying, plan->varying, arena);
    part = plan->varying.scratchBytes;
  } else if (g.depthwise) {
    planDepthwiseConv(g, plan->depthwise, arena);
    part = plan->depthwise.scratchBytes;
  } else {
    planUniformConv(g, plan->from, plan->to, plan->uniform, arena);
    part = plan->uniform.scratchBytes;
  }
  plan->scratchBytes = plan->partOffset + part;
  return arena.failed ? nullptr : plan;
}

size_t convScratch(const ConvPlan& plan) { return plan.scratchBytes; }

void runConv(const ConvPlan& plan, TileContext& context) {
  const ConvGeometry& g = plan.geometry;
  const int64_t rows = plan.to - plan.from;
  if (rows <= 0 || plan.rowElements == 0) return;
  char* scratch = static_cast<char*>(context.scratch);
  uint32_t* c = plan.c.write(context);
  ConvMemory memory{reinterpret_cast<const float*>(plan.a.read(context)), reinterpret_cast<const float*>(plan.b.read(context)),
                    reinterpret_cast<float*>(c), plan.from, plan.to, scratch + plan.partOffset};
  // So that the rows that are made come to stand at the scratch's beginning.
  if (plan.splat) memory.c = reinterpret_cast<float*>(scratch) - plan.from * plan.rowElements;
  if (plan.lanesVary) runLanesConv(g, plan.varying, memory);
  else if (g.depthwise) runDepthwiseConv(g, plan.depthwise, memory);
  else runUniformConv(g, plan.uniform, memory);
  if (plan.splat)
    copyRows(c + plan.from * plan.rowElements * plan.lanes, plan.lanes, reinterpret_cast<uint32_t*>(scratch), 1, true, rows * plan.rowElements, plan.lanes);
}

}  // namespace unrolled::UNROLLED_LEVEL
