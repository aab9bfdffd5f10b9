#include "conv_plan.h"
#include "matmul_panels.h"
#include "matmul_uniform.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

// What a panel of the filter may take: half of the second-level cache, the other half being for what it meets.
constexpr int64_t kPanelWords = 32768;
// What all panels of a block of columns may take, a panel at least.
constexpr int64_t kFilterWords = 512 * 1024;

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
size_t align(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

bool isProduct(const ConvGeometry& g) {
  if (g.taps != 1) return false;
  for (const ConvAxis& axis : g.axis)
    if (axis.stride != 1 || axis.pad != 0 || axis.in != axis.out) return false;
  return true;
}

UniformProduct asProduct(const ConvGeometry& g, const ConvMemory& memory) {
  const int64_t c = g.channels, f = g.filters, rows = memory.to - memory.from;
  switch (g.kind) {
    case kForward:
      return {memory.a + memory.from * c, memory.b, memory.c + memory.from * f, c, 1, f, 1, f, 1, rows, f, c};
    case kInputGradient:
      return {memory.a + memory.from * f, memory.b, memory.c + memory.from * c, f, 1, 1, f, c, 1, rows, c, f};
    default:
      return {memory.a + memory.from, memory.b, memory.c + memory.from * f, 1, c, f, 1, f, 1, rows, f, g.batch * g.outPositions};
  }
}

// Panels of B for one block of columns. Taps are a fixed distance apart, whatever the width of a panel and the depth of a block, because
// the distance is part of the steps.
struct FilterPanels {
  int64_t taps, depthBlock, panels;
  int64_t tapStride() const { return depthBlock * kUniformWidth; }
  float* at(float* memory, int64_t block, int64_t panel) const { return memory + (block * panels + panel) * taps * tapStride(); }
};

void runPositions(const ConvGeometry& g, const UniformConv& plan, const ConvMemory& memory) {
  char* scratch = static_cast<char*>(memory.scratch);
  float* packed = reinterpret_cast<float*>(scratch);
  const bool forward = g.kind == kForward;
  const int64_t bk = forward ? g.filters : 1, bn = forward ? 1 : g.filters, tapWords = int64_t{g.channels} * g.filters;
  const Cut depths(plan.depth, plan.depthBlock);
  for (int64_t column0 = 0; column0 < plan.columns; column0 += plan.columnBlock) {
    const int64_t columns = least(plan.columnBlock, plan.columns - column0);
    const Cut widths((columns + W - 1) / W, kUniformVectors);
    const FilterPanels panels{g.taps, plan.depthBlock, widths.pieces};
    for (int64_t block = 0, k0 = 0; block < depths.pieces; k0 += depths.length(block++))
      for (int64_t i = 0, column = 0; i < widths.pieces; column += W * widths.length(i++)) {
        float* to = panels.at(packed, block, i);
        for (int64_t tap = 0; tap < g.taps; tap++)
          packPanel(to + tap * panels.tapStride(), W * widths.length(i), memory.b + tap * tapWords + k0 * bk + (column0 + column) * bn, bn, bk,
                    least(W * widths.length(i), columns - column), depths.length(block));
      }
    PositionTiles source(g, plan.classes, kUniformRows, memory.from, memory.to, scratch + plan.tilesOffset);
    const PositionTile* tiles;
    while (const int count = source.next(tiles))
      for (int64_t block = 0, k0 = 0; block == 0 || block < depths.pieces; block++) {
        const int64_t depth = depths.pieces ? depths.length(block) : 0;
        for (int64_t i = 0, column = 0; i < widths.pieces; column += W * widths.length(i++)) {
          const int vectors = static_cast<int>(widths.length(i));
          UniformTileArguments arguments{nullptr, 0, depth, 1, vectors * W, panels.at(packed, block, i),
                                         static_cast<int>(least(vectors * W, columns - column)), block > 0};
          for (const PositionTile* at = tiles; at != tiles + count; at++) {
            UniformTile tile;
            for (int r = 0; r < at->rows; r++) {
              tile.a[r] = memory.a + k0 + at->a[r];
              tile.c[r] = memory.c + at->c[r] * plan.columns + column0 + column;
            }
            arguments.steps = plan.classes.steps + plan.classes.first[at->classIndex];
            arguments.count = plan.classes.first[at->classIndex + 1] - plan.classes.first[at->classIndex];
            uniformTileKernel(at->rows, vectors)(tile, arguments);
          }
        }
        k0 += depth;
      }
  }
}

void runFilter(const ConvGeometry& g, const UniformConv& plan, const ConvMemory& memory) {
  char* scratch = static_cast<char*>(memory.scratch);
  float* packed = reinterpret_cast<float*>(scratch);
  TileStep* steps = reinterpret_cast<TileStep*>(scratch + plan.stepsOffset);
  for (int64_t column0 = 0; column0 < plan.columns; column0 += plan.columnBlock) {
    const int64_t columns = least(plan.columnBlock, plan.columns - column0);
    const Cut widths((columns + W - 1) / W, kUniformVectors);
    auto begin = [&](int64_t first, int64_t positions) {
      for (int64_t i = 0, column = 0; i < widths.pieces; column += W * widths.length(i++))
        packPanel(packed + i * kPositionBlock * kUniformWidth, kUniformWidth, memory.b + first * g.filters + column0 + column, 1, g.filters,
                  least(W * widths.length(i), columns - column), positions);
    };
    auto run = [&](const TileStep* list, int64_t count, int64_t row, int rows, bool proceed) {
      UniformTile tile;
      for (int r = 0; r < rows; r++) {
        const int64_t at = memory.from + row + r;
        tile.a[r] = memory.a + tapDistance(g, at / g.channels) + at % g.channels;
        tile.c[r] = memory.c + at * plan.columns + column0;
      }
      for (int64_t i = 0, column = 0; i < widths.pieces; i++) {
        const int vectors = static_cast<int>(widths.length(i));
        const UniformTileArguments arguments{list, count, 1, 1, 1, packed + i * kPositionBlock * kUniformWidth,
                                             static_cast<int>(least(vectors * W, columns - column)), proceed};
        uniformTileKernel(rows, vectors)(tile, arguments);
        for (int r = 0; r < rows; r++) tile.c[r] += vectors * W;
        column += vectors * W;
      }
    };
    eachFilterTile(g, memory.to - memory.from, kUniformRows, plan.mergesTaps, kUniformWidth, steps,
                   [&](int64_t row) { return (memory.from + row) / g.channels; }, begin, run);
  }
}

}  // namespace

void planUniformConv(const ConvGeometry& g, int64_t from, int64_t to, UniformConv& plan, Arena& arena) {
  plan.depth = g.kind == kForward ? g.channels : g.filters;
  plan.columns = g.kind == kInputGradient ? g.channels : g.filters;
  plan.product = isProduct(g);
  if (plan.product) {
    plan.scratchBytes = uniformProductScratch(to - from, plan.columns, g.kind == kFilterGradient ? g.batch * g.outPositions : plan.depth);
    return;
  }
  const int64_t width = (plan.columns + kUniformWidth - 1) / kUniformWidth * kUniformWidth;
  if (g.kind == kFilterGradient) {
    plan.mergesTaps = g.channels < kUniformRows;
    plan.columnBlock = most(kUniformWidth, least(width, kPanelWords / 2 / kPositionBlock / kUniformWidth * kUniformWidth));
    plan.stepsOffset = align(sizeof(float) * static_cast<size_t>(plan.columnBlock) * kPositionBlock);
    plan.scratchBytes = plan.stepsOffset + sizeof(TileStep) * kPositionBlock;
    return;
  }
  const int64_t tapWords = most(1, g.taps) * kUniformWidth;
  const int64_t longest = Cut(plan.depth, most(1, kPanelWords / tapWords)).length(0);
  plan.depthBlock = most(1, longest);
  const int64_t blocks = (plan.depth + plan.depthBlock - 1) / plan.depthBlock;
  const int64_t panelWords = most(1, blocks) * plan.depthBlock * tapWords;
  const int64_t panels = least(width / kUniformWidth, most(1, kFilterWords / panelWords));
  plan.columnBlock = most(1, panels) * kUniformWidth;
  classifyPositions(g, FilterPanels{g.taps, plan.depthBlock, 0}.tapStride(), 1, 0, plan.classes, arena);
  plan.tilesOffset = align(sizeof(float) * static_cast<size_t>(panelWords * most(1, panels)));
  plan.scratchBytes = plan.tilesOffset + PositionTiles::scratchBytes(plan.classes);
}

void runUniformConv(const ConvGeometry& g, const UniformConv& plan, const ConvMemory& memory) {
  if (memory.from >= memory.to) return;
  if (plan.product) return runUniformProduct(asProduct(g, memory), memory.scratch);
  if (g.kind == kFilterGradient) runFilter(g, plan, memory);
  else runPositions(g, plan, memory);
}

}  // namespace unrolled::UNROLLED_LEVEL
