// Depthwise convolutions, everything uniform: channels take the place of a product's columns, and a tile multiplies vectors of one operand by
// vectors of the other. Where a channel has several outputs (M > 1), they are made one after another from a filter (or, for its
// gradient, from a dy) that has been taken apart.
#include "conv_plan.h"
#include "matmul_vectors.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

size_t align(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

struct Arguments {
  const TileStep* steps;
  int64_t count;
  const float* b;
  int64_t columns;
  int64_t aLane, cLane;  // words from one column to the next, of A and of C
  bool proceed;
};
using Kernel = void (*)(const UniformTile& tile, const Arguments& arguments);

// The first n columns of a vector, `stride` words apart.
UNROLLED_INLINE vf readPart(const float* p, int n, int64_t stride) {
  if (stride == 1) return n == W ? load(p) : load_first(p, n);
  vf v{};
  for (int i = 0; i < n; i++) v[i] = p[i * stride];
  return v;
}

// kWhole: columns of A are neighbours, and fill whole vectors.
template <int kRows, bool kWhole>
void tile(const UniformTile& at, const Arguments& g) {
  const float* a[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++) a[i] = at.a[i];
  const float* b = g.b;
  for (int64_t column = 0; column < g.columns; column += W, b += W) {
    const int n = kWhole || g.columns - column >= W ? W : static_cast<int>(g.columns - column);
    vf sum[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++) sum[i] = g.proceed ? readPart(at.c[i] + column * g.cLane, n, g.cLane) : vf{};
    for (const TileStep *step = g.steps, *end = step + g.count; step != end; step++) {
      const ptrdiff_t index = step->a;
      const vf right = kWhole ? load(b + step->b) : readPart(b + step->b, n, 1);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; i++) sum[i] = fma(kWhole ? load(a[i] + index) : readPart(a[i] + index, n, g.aLane), right, sum[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++) {
      float* c = at.c[i] + column * g.cLane;
      if (g.cLane == 1) storePiece(c, sum[i], n);
      else
        for (int j = 0; j < n; j++) c[j * g.cLane] = sum[i][j];
      a[i] += W * g.aLane;
    }
  }
}

struct Table {
  Kernel kernel[kUniformRows][2];
};
template <int kRows>
constexpr void fill(Table& table) {
  table.kernel[kRows - 1][0] = tile<kRows, false>;
  table.kernel[kRows - 1][1] = tile<kRows, true>;
  if constexpr (kRows > 1) fill<kRows - 1>(table);
}
constexpr Table makeTable() {
  Table table{};
  fill<kUniformRows>(table);
  return table;
}
constexpr Table kTable = makeTable();

// Whole vectors of columns first, then what is left.
void run(const UniformTile& at, int rows, const Arguments& arguments) {
  const int64_t whole = arguments.aLane == 1 ? arguments.columns / W * W : 0;
  if (whole == arguments.columns) return kTable.kernel[rows - 1][1](at, arguments);
  if (whole == 0) return kTable.kernel[rows - 1][0](at, arguments);
  Arguments part = arguments;
  part.columns = whole;
  kTable.kernel[rows - 1][1](at, part);
  UniformTile rest = at;
  for (int i = 0; i < rows; i++) rest.a[i] += whole, rest.c[i] += whole * arguments.cLane;
  part.columns = arguments.columns - whole;
  part.b += whole;
  kTable.kernel[rows - 1][0](rest, part);
}

// [rows][channels * M] becomes [M][rows][channels].
void takeApart(float* to, const float* from, int64_t rows, int64_t channels, int64_t multiples) {
  for (int64_t m = 0; m < multiples; m++)
    for (int64_t i = 0; i < rows * channels; i++) *to++ = from[i * multiples + m];
}

void runPositions(const ConvGeometry& g, const DepthwiseConv& plan, const ConvMemory& memory) {
  char* scratch = static_cast<char*>(memory.scratch);
  const int64_t channels = g.channels, multiples = g.filters;
  const bool forward = g.kind == kForward;
  const float* filter = memory.b;
  if (multiples > 1) {
    float* apart = reinterpret_cast<float*>(scratch + plan.filterOffset);
    takeApart(apart, memory.b, g.taps, channels, multiples);
    filter = apart;
  }
  // For the input's gradient the multiples are summed over: they are steps.
  const int64_t outputs = forward ? multiples : 1, aLane = forward ? 1 : multiples;
  const int64_t rowWords = forward ? g.yChannels : g.xChannels;
  PositionTiles source(g, plan.classes, kUniformRows, memory.from, memory.to, scratch);
  const PositionTile* tiles;
  while (const int count = source.next(tiles))
    for (const PositionTile* at = tiles; at != tiles + count; at++) {
      Arguments arguments{plan.classes.steps + plan.classes.first[at->classIndex],
                          plan.classes.first[at->classIndex + 1] - plan.classes.first[at->classIndex], filter, channels, aLane, outputs, false};
      for (int64_t m = 0; m < outputs; m++, arguments.b += g.taps * channels) {
        UniformTile tile;
        for (int r = 0; r < at->rows; r++) {
          tile.a[r] = memory.a + at->a[r];
          tile.c[r] = memory.c + at->c[r] * rowWords + m;
        }
        run(tile, at->rows, arguments);
      }
    }
}

// The gradient of taps first .. first + taps - 1 and channels low .. high - 1 of each.
void runFilterPart(const ConvGeometry& g, const DepthwiseConv& plan, const ConvMemory& memory, int64_t firstTap, int64_t taps, int64_t low,
                   int64_t high) {
  if (taps <= 0 || low >= high) return;
  char* scratch = static_cast<char*>(memory.scratch);
  float* apart = reinterpret_cast<float*>(scratch + plan.filterOffset);
  TileStep* steps = reinterpret_cast<TileStep*>(scratch + plan.stepsOffset);
  const int64_t channels = g.channels, multiples = g.filters;
  const float* dy = nullptr;
  auto begin = [&](int64_t first, int64_t positions) {
    dy = memory.b + first * g.yChannels;
    if (multiples == 1) return;
    takeApart(apart, dy, positions, channels, multiples);
    dy = apart;
  };
  int64_t blockPositions = 0;
  auto sum = [&](const TileStep* list, int64_t count, int64_t row, int rows, bool proceed) {
    Arguments arguments{list, count, dy + low, high - low, 1, multiples, proceed};
    for (int64_t m = 0; m < multiples; m++, arguments.b += blockPositions * channels) {
      UniformTile tile;
      for (int r = 0; r < rows; r++) {
        const int64_t tap = firstTap + row + r;
        tile.a[r] = memory.a + tapDistance(g, tap) + low;
        tile.c[r] = memory.c + (tap * channels + low) * multiples + m;
      }
      run(tile, rows, arguments);
    }
  };
  eachFilterTile(g, taps, kUniformRows, true, channels, steps, [&](int64_t row) { return firstTap + row; },
                 [&](int64_t first, int64_t positions) {
                   blockPositions = positions;
                   begin(first, positions);
                 },
                 sum);
}

}  // namespace

void planDepthwiseConv(const ConvGeometry& g, DepthwiseConv& plan, Arena& arena) {
  const size_t channels = static_cast<size_t>(g.channels), multiples = static_cast<size_t>(g.filters);
  if (g.kind == kFilterGradient) {
    plan.stepsOffset = align(sizeof(float) * (multiples > 1 ? channels * multiples * kPositionBlock : 0));
    plan.scratchBytes = plan.stepsOffset + sizeof(TileStep) * kPositionBlock;
    return;
  }
  const bool forward = g.kind == kForward;
  classifyPositions(g, g.channels, forward ? 1 : g.filters, forward ? 0 : g.taps * g.channels, plan.classes, arena);
  plan.filterOffset = align(PositionTiles::scratchBytes(plan.classes));
  plan.scratchBytes = plan.filterOffset + (multiples > 1 ? sizeof(float) * static_cast<size_t>(g.taps) * channels * multiples : 0);
}

void runDepthwiseConv(const ConvGeometry& g, const DepthwiseConv& plan, const ConvMemory& memory) {
  if (memory.from >= memory.to || g.channels == 0 || g.filters == 0) {
    // Without a multiple, nothing is summed into the input's gradient.
    if (g.kind == kInputGradient && memory.from < memory.to)
      std::memset(memory.c + memory.from * g.xChannels, 0, sizeof(float) * static_cast<size_t>((memory.to - memory.from) * g.xChannels));
    return;
  }
  if (g.kind != kFilterGradient) return runPositions(g, plan, memory);
  const int64_t c = g.channels, first = memory.from / c, last = (memory.to - 1) / c;
  if (first == last) return runFilterPart(g, plan, memory, first, 1, memory.from % c, (memory.to - 1) % c + 1);
  const int64_t whole = memory.from % c == 0 ? first : first + 1, end = memory.to % c == 0 ? last + 1 : last;
  if (whole > first) runFilterPart(g, plan, memory, first, 1, memory.from % c, c);
  runFilterPart(g, plan, memory, whole, end - whole, 0, c);
  if (end <= last) runFilterPart(g, plan, memory, last, 1, 0, memory.to % c);
}

}  // namespace unrolled::UNROLLED_LEVEL
