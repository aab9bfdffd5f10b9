// Planning and running one product: which tiles, in which order, and what is copied together first.
#include "matmul.h"
#include "matmul_uniform.h"
#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

// A panel of B of this many rows of k stays in the first-level cache while all rows of A pass over it.
constexpr int64_t kDepthBlock = 128;

// Cycles for one step of k of a tile, in units of one vector operation of which two start per cycle: multiply-adds, loads, and
// the latency of a multiply-add, which few accumulators can't hide.
double tileCost(bool uniformA, int rows, int columns, int vectors) {
  const double work = rows * columns * vectors * 0.5;
  const double loads = (uniformA ? rows + columns * vectors : (rows + columns) * vectors) * 0.5;
  double cost = work > loads ? work : loads;
  if (cost < 4) cost = 4;
  return cost;
}

struct Choice {
  int rows, columns;
  double cost;
};

Choice chooseTile(bool uniformA, int span, int64_t m, int64_t n, int64_t k) {
  Choice best{1, 1, 1e300};
  const int vectors = span == kHalfVector ? 1 : 1 << span;
  for (int rows = 1; rows <= kTileRows; rows++)
    for (int columns = 1; columns <= kTileColumns; columns++) {
      if (!tileExists(uniformA, span, rows, columns) || rows > m || columns > n) continue;
      const Cut mc(m, rows), nc(n, columns);
      double cost = 0;
      for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
          const int64_t count = (i ? mc.longer : mc.pieces - mc.longer) * (j ? nc.longer : nc.pieces - nc.longer);
          const int r = static_cast<int>(mc.size) + i, c = static_cast<int>(nc.size) + j;
          // Starting a tile and writing it out.
          if (count) cost += static_cast<double>(count) * (tileCost(uniformA, r, c, vectors) * static_cast<double>(k) + 12 + r * c * vectors);
        }
      if (cost < best.cost) best = {rows, columns, cost};
    }
  return best;
}

// The cheapest way to cover the lanes with tiles of spans `span` and narrower ones.
double coverLanes(ProductPlan& plan, int span, int lanes, int64_t m, int64_t n) {
  static const int narrower[kSpans] = {kHalfVector, kOneVector, kTwoVectors, kSpans};
  plan.passes = 0;
  double cost = 0;
  int lane = 0;
  for (int s = span; lane < lanes && s != kSpans; s = narrower[s]) {
    if (!spanExists(s)) break;
    const int blocks = (lanes - lane) / spanLanes(s);
    if (blocks == 0) continue;
    const Choice choice = chooseTile(plan.uniformA, s, m, n, plan.depth);
    plan.pass[plan.passes++] = {s, lane, blocks, choice.rows, choice.columns};
    cost += choice.cost * blocks;
    lane += blocks * spanLanes(s);
  }
  return cost;
}

void swapStrides(Operand& o) {
  const int64_t t = o.strides[0];
  o.strides[0] = o.strides[1];
  o.strides[1] = t;
}

float* alignedFloats(void* p) { return static_cast<float*>(__builtin_assume_aligned(p, 64)); }

UNROLLED_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }

// One span of lanes of a block whose first row and column in B's numbering are `row0` and `column0`.
struct LaneBlock {
  const ProductPlan& plan;
  const LanePass& pass;
  const float *a, *b;  // at the block's first row and column, and at its lane
  float* c;
  int64_t cm, cn;
  float* pack;         // of this span; of the block's first column where B is packed whole
  bool packed;         // by an earlier block of rows
  const float* rate;   // of an update, at this lane; or null
  Cut rows, columns;

  // `count` tiles of one size, along a row of them or down a column. `first`: no tile above has packed their panels.
  void run(bool alongColumns, int64_t count, int64_t row, int64_t height, int64_t column, int64_t width, int64_t k0, int64_t k, bool first) const {
    if (count == 0) return;
    const int lanes = spanLanes(pass.span);
    TileArguments arguments{plan.a.strides[0], plan.a.strides[1], plan.b.strides[0], plan.b.strides[1], cm, cn, pack, rate, count, 0, 0, 0};
    const float* panel = b + k0 * arguments.bk + column * arguments.bn;
    const bool packs = plan.packing != Packing::kNone;
    if (plan.packing == Packing::kWhole) arguments.pack += column * plan.depth * lanes;
    const bool write = packs && first && !packed;
    if (packs && !write) {
      panel = arguments.pack;
      arguments.bk = width * lanes;
      arguments.bn = lanes;
    }
    if (alongColumns) {
      arguments.bStep = packs && !write ? width * plan.depth * lanes : width * arguments.bn;
      arguments.cStep = width * cn;
    } else {
      arguments.aStep = height * arguments.am;
      arguments.cStep = height * cm;
    }
    const Finish finish = rate ? Finish::kUpdate : k0 > 0 || plan.accumulates ? Finish::kContinue : Finish::kStore;
    tileKernel(plan.uniformA, finish, write, pass.span, static_cast<int>(height), static_cast<int>(width))(
        a + row * arguments.am + k0 * arguments.ak, panel, c + row * cm + column * cn, arguments, k);
  }

  void run() const {
    for (int64_t k0 = 0; k0 == 0 || k0 < plan.depth; k0 += plan.depthBlock) {
      const int64_t k = plan.depth - k0 < plan.depthBlock ? plan.depth - k0 : plan.depthBlock;
      if (plan.rowsOutside) {
        const int64_t wide = columns.longer * (columns.size + 1);
        for (int64_t i = 0, row = 0; i < rows.pieces; row += rows.length(i++)) {
          run(true, columns.longer, row, rows.length(i), 0, columns.size + 1, k0, k, i == 0);
          run(true, columns.pieces - columns.longer, row, rows.length(i), wide, columns.size, k0, k, i == 0);
        }
        continue;
      }
      for (int64_t j = 0, column = 0; j < columns.pieces; column += columns.length(j++)) {
        const int64_t width = columns.length(j);
        if (plan.packing == Packing::kNone) {
          run(false, rows.longer, 0, rows.size + 1, column, width, k0, k, false);
          run(false, rows.pieces - rows.longer, rows.longer * (rows.size + 1), rows.size, column, width, k0, k, false);
          continue;
        }
        for (int64_t i = 0, row = 0; i < rows.pieces; row += rows.length(i++)) {
          run(false, 1, row, rows.length(i), column, width, k0, k, i == 0);
          if (plan.packing == Packing::kPanel && j + 1 < columns.pieces) fetchPanel(column + width, columns.length(j + 1), k0, k, i);
        }
      }
    }
  }
  // B's next panel is read with a stride that no hardware prefetcher follows: a share of it after every tile.
  void fetchPanel(int64_t column, int64_t width, int64_t k0, int64_t k, int64_t tileRow) const {
    const int64_t share = (k + rows.pieces - 1) / rows.pieces, from = tileRow * share, to = from + share < k ? from + share : k;
    const int64_t words = width * plan.b.strides[1];
    const float* p = b + (k0 + from) * plan.b.strides[0] + column * plan.b.strides[1];
    for (int64_t i = from; i < to; i++, p += plan.b.strides[0])
      for (int64_t w = 0; w < words; w += plan.b.strides[1]) prefetch(p + w);
  }
};

// Rows of lanes: B varies.
void runLanes(const ProductPlan& plan, const float* a, const float* b, int64_t row0, int64_t m, int64_t column0, int64_t n, float* c,
              int64_t cm, int64_t cn, float* pack, const float* rate) {
  a += row0 * plan.a.strides[0];
  b += column0 * plan.b.strides[1];
  for (int p = 0; p < plan.passes; p++) {
    const LanePass& pass = plan.pass[p];
    const int lanes = spanLanes(pass.span);
    for (int block = 0; block < pass.blocks; block++) {
      const int64_t lane = pass.lane + int64_t{block} * lanes;
      float* blockPack = plan.packing == Packing::kWhole ? pack + int64_t{plan.depth} * (lane * plan.columns + column0 * lanes) : pack;
      LaneBlock{plan, pass, plan.uniformA ? a : a + lane, b + lane, c + lane, cm, cn, blockPack,
                plan.packing == Packing::kWhole && row0 > 0, rate ? rate + lane : nullptr, Cut(m, pass.rows), Cut(n, pass.columns)}
          .run();
    }
  }
}

// What one span reads of B should stay below this to be left where it is.
constexpr int64_t kSmallB = 16384;
// Below this depth writing C out is a large part of a tile's work.
constexpr int32_t kShallow = 64;
// A whole B may be packed if it leaves half of the second-level cache to the rest.
constexpr int64_t kLargeB = 384 * 1024;

void choosePacking(ProductPlan& plan, int lanes, ProductUse use) {
  const LanePass& pass = plan.pass[0];
  const int64_t spanBytes = int64_t{4} * plan.depth * plan.columns * spanLanes(pass.span);
  const bool oneDepth = plan.depthBlock >= plan.depth;
  const bool whole = oneDepth && spanBytes <= kLargeB;
  // What reads and writes C as much as it computes should pass over it in its own order.
  plan.rowsOutside = whole && (!plan.uniformA || ((use == ProductUse::kUpdate || plan.depth <= kShallow) && !plan.swapped));
  if (plan.rows <= pass.rows || spanBytes <= kSmallB) return;
  if (whole && (plan.rowsOutside || (use == ProductUse::kBlocks && !plan.swapped))) {
    plan.packing = Packing::kWhole;
    plan.packBytes = size_t{4} * static_cast<size_t>(plan.depth) * static_cast<size_t>(plan.columns) * static_cast<size_t>(lanes);
    return;
  }
  plan.packing = Packing::kPanel;
  for (int p = 0; p < plan.passes; p++) {
    const size_t bytes = static_cast<size_t>(plan.depthBlock) * static_cast<size_t>(plan.pass[p].columns * spanLanes(plan.pass[p].span)) * sizeof(float);
    if (bytes > plan.packBytes) plan.packBytes = bytes;
  }
}

}  // namespace

bool canUpdate(int32_t k) { return k < kDepthBlock + kDepthBlock / 2; }

void planProduct(ProductPlan& plan, int mode, int lanes, int32_t m, int32_t n, int32_t k, const Operand& a, const Operand& b,
                 ProductUse use) {
  plan.mode = mode;
  plan.rowWords = mode == 0 ? 1 : lanes;
  // B has to vary if one of them does.
  plan.swapped = mode != 0 && a.varying && !b.varying;
  plan.a = plan.swapped ? b : a;
  plan.b = plan.swapped ? a : b;
  if (plan.swapped) {
    swapStrides(plan.a);
    swapStrides(plan.b);
  }
  plan.rows = plan.swapped ? n : m;
  plan.columns = plan.swapped ? m : n;
  plan.depth = k;
  plan.uniformA = mode == 0 || !plan.a.varying;
  plan.packBytes = 0;
  plan.accumulates = false;
  plan.packing = Packing::kNone;
  plan.rowsOutside = false;
  plan.passes = 0;
  if (m == 0 || n == 0) return;
  if (mode == 0) {
    plan.packBytes = uniformProductScratch(m, n, k);
    return;
  }
  ProductPlan best = plan;
  double cheapest = 1e300;
  for (int span : (const int[]){kFourVectors, kTwoVectors, kOneVector}) {
    const double cost = coverLanes(plan, span, lanes, plan.rows, plan.columns);
    if (cost < cheapest) {
      cheapest = cost;
      best = plan;
    }
  }
  plan = best;
  plan.depthBlock = canUpdate(k) ? (k ? k : 1) : kDepthBlock;
  choosePacking(plan, lanes, use);
}

void runProduct(const ProductPlan& plan, const float* a, const float* b, int32_t m0, int32_t m, int32_t n0, int32_t n, float* c,
                int64_t cm, int64_t cn, void* pack, const float* rate) {
  if (m == 0 || n == 0) return;
  float* packed = alignedFloats(pack);
  if (plan.mode == 0) {
    const int64_t am = plan.a.strides[0], bn = plan.b.strides[1];
    runUniformProduct({a + m0 * am, b + n0 * bn, c, am, plan.a.strides[1], plan.b.strides[0], bn, cm, cn, m, n, plan.depth}, packed);
  } else if (plan.swapped) {
    runLanes(plan, a, b, n0, n, m0, m, c, cn, cm, packed, rate);
  } else {
    runLanes(plan, a, b, m0, m, n0, n, c, cm, cn, packed, rate);
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
