// Convolutions over rows of lanes: tiles of a few rows and columns of the output, a vector of lanes each.
#include "conv_plan.h"
#include "matmul_vectors.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

constexpr int kRows = 4, kColumns = kHasFma ? 3 : 2;
constexpr int kHalf = W == 16 ? 8 : W;  // lanes are a multiple of 8
static_assert(kRows <= kUniformRows);

size_t align(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

struct Arguments {
  const float* a[kRows];  // at their lanes, where they vary
  float* c[kRows];
  const float* b;
  const TileStep* steps;
  int64_t count, depth;
  int64_t aWords, bWords;  // of an element: lanes, or 1
  int64_t bStep, bColumn;  // words
  int64_t lanes;           // words from one column of C to the next
  bool proceed;
};
using Kernel = void (*)(const Arguments& arguments);

template <int kLanes, bool kUniformA, bool kUniformB, int kTall, int kWide>
void tile(const Arguments& g) {
  using V = typename VectorOf<kLanes>::type;
  V sum[kTall][kWide];
  const float* a[kTall];
#pragma GCC unroll 4
  for (int i = 0; i < kTall; i++) {
    a[i] = g.a[i];
#pragma GCC unroll 3
    for (int j = 0; j < kWide; j++) sum[i][j] = g.proceed ? loadVector<V>(g.c[i] + j * g.lanes) : V{};
  }
  const int64_t aWords = g.aWords, bStep = g.bStep, bColumn = g.bColumn, depth = g.depth;
  for (const TileStep *step = g.steps, *end = step + g.count; step != end; step++) {
    ptrdiff_t index = step->a * aWords;
    const float* b = g.b + step->b * g.bWords;
    for (int64_t k = depth; k > 0; k--, index += aWords, b += bStep) {
      V right[kWide];
#pragma GCC unroll 3
      for (int j = 0; j < kWide; j++) right[j] = kUniformB ? splatVector<V>(b + j * bColumn) : loadVector<V>(b + j * bColumn);
#pragma GCC unroll 4
      for (int i = 0; i < kTall; i++) {
        const V left = kUniformA ? splatVector<V>(a[i] + index) : loadVector<V>(a[i] + index);
#pragma GCC unroll 3
        for (int j = 0; j < kWide; j++) sum[i][j] = multiplyAdd<V>(left, right[j], sum[i][j]);
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kTall; i++)
#pragma GCC unroll 3
    for (int j = 0; j < kWide; j++) std::memcpy(g.c[i] + j * g.lanes, &sum[i][j], sizeof(V));
}

struct Table {
  Kernel kernel[kRows][kColumns];
};
template <int kLanes, bool kUniformA, bool kUniformB, int kTall, int kWide>
constexpr void fill(Table& table) {
  table.kernel[kTall - 1][kWide - 1] = tile<kLanes, kUniformA, kUniformB, kTall, kWide>;
  if constexpr (kWide > 1) fill<kLanes, kUniformA, kUniformB, kTall, kWide - 1>(table);
  else if constexpr (kTall > 1) fill<kLanes, kUniformA, kUniformB, kTall - 1, kColumns>(table);
}
template <int kLanes, bool kUniformA, bool kUniformB>
constexpr Table makeTable() {
  Table table{};
  fill<kLanes, kUniformA, kUniformB, kRows, kColumns>(table);
  return table;
}
template <int kLanes>
constexpr Table kTables[3] = {makeTable<kLanes, false, false>(), makeTable<kLanes, true, false>(), makeTable<kLanes, false, true>()};

// A tile's rows, and the columns that it makes of them.
struct Columns {
  int64_t count;
  int64_t bStep, bColumn;  // rows or words of B
};

struct Runner {
  const LanesConv& plan;
  const ConvMemory& memory;

  // a, b: elements from the operands' beginnings; c: rows of lanes.
  void run(const int64_t* a, const int64_t* c, int rows, int64_t b, const TileStep* steps, int64_t count, int64_t depth, const Columns& columns,
           bool proceed) const {
    const int64_t lanes = plan.lanes, aWords = plan.uniformA ? 1 : lanes, bWords = plan.uniformB ? 1 : lanes;
    Arguments arguments{{}, {}, nullptr, steps, count, depth, aWords, bWords, columns.bStep * bWords, columns.bColumn * bWords, lanes, proceed};
    const int which = plan.uniformA ? 1 : plan.uniformB ? 2 : 0;
    const Cut cut(columns.count, kColumns);
    for (int64_t lane = 0; lane < lanes;) {
      const bool half = lanes - lane < W;
      const Table& table = half ? kTables<kHalf>[which] : kTables<W>[which];
      for (int64_t i = 0, column = 0; i < cut.pieces; column += cut.length(i++)) {
        for (int r = 0; r < rows; r++) {
          arguments.a[r] = memory.a + a[r] * aWords + (plan.uniformA ? 0 : lane);
          arguments.c[r] = memory.c + (c[r] + column) * lanes + lane;
        }
        arguments.b = memory.b + (b + column * columns.bColumn) * bWords + (plan.uniformB ? 0 : lane);
        table.kernel[rows - 1][cut.length(i) - 1](arguments);
      }
      lane += half ? kHalf : W;
    }
  }
};

// A depthwise convolution is one of a channel and M outputs, for every channel.
struct Channels {
  int64_t count, aStep, bStep, cStep;
};

void runPositions(const ConvGeometry& g, const LanesConv& plan, const Runner& runner) {
  const bool forward = g.kind == kForward;
  const int64_t f = g.filters, rowColumns = forward ? g.yChannels : g.xChannels;
  const Channels channels = g.depthwise ? Channels{g.channels, forward ? 1 : f, f, forward ? f : 1} : Channels{1, 0, 0, 0};
  const Columns columns = forward ? Columns{f, g.depthwise ? 0 : f, 1} : Columns{g.depthwise ? 1 : g.channels, 1, f};
  const int64_t depth = !forward ? f : g.depthwise ? 1 : g.channels;
  PositionTiles source(g, plan.classes, kRows, runner.memory.from, runner.memory.to, runner.memory.scratch);
  const PositionTile* tiles;
  while (const int count = source.next(tiles))
    for (int64_t channel = 0; channel < channels.count; channel++)
      for (const PositionTile* at = tiles; at != tiles + count; at++) {
        int64_t a[kRows], c[kRows];
        for (int r = 0; r < at->rows; r++) {
          a[r] = at->a[r] + channel * channels.aStep;
          c[r] = at->c[r] * rowColumns + channel * channels.cStep;
        }
        const int64_t first = plan.classes.first[at->classIndex], last = plan.classes.first[at->classIndex + 1];
        runner.run(a, c, at->rows, channel * channels.bStep, plan.classes.steps + first, last - first, depth, columns, false);
      }
}

// Rows of the filter's gradient, [tap][channel]. Those of a depthwise one read different columns of dy, channel by channel.
void runFilter(const ConvGeometry& g, const LanesConv& plan, const Runner& runner) {
  const ConvMemory& memory = runner.memory;
  TileStep* steps = reinterpret_cast<TileStep*>(static_cast<char*>(memory.scratch) + plan.stepsOffset);
  const Columns columns{g.filters, 0, 1};
  auto part = [&](int64_t channel, int64_t stride, int64_t first, int64_t count) {
    // Row i is [tap][channel] number (first + i) * stride + channel.
    int64_t origin = 0;
    auto at = [&](int64_t row) { return (first + row) * stride + channel; };
    eachFilterTile(g, count, kRows, g.depthwise || g.channels < kRows, g.yChannels, steps, [&](int64_t row) { return at(row) / g.channels; },
                   [&](int64_t position, int64_t) { origin = position * g.yChannels; },
                   [&](const TileStep* list, int64_t entries, int64_t row, int rows, bool proceed) {
                     int64_t a[kRows], c[kRows];
                     for (int r = 0; r < rows; r++) {
                       a[r] = tapDistance(g, at(row + r) / g.channels) + at(row + r) % g.channels;
                       c[r] = at(row + r) * g.filters;
                     }
                     const int64_t b = origin + (g.depthwise ? channel * g.filters : 0);
                     runner.run(a, c, rows, b, list, entries, 1, columns, proceed);
                   });
  };
  if (!g.depthwise) return part(0, 1, memory.from, memory.to - memory.from);
  for (int64_t channel = 0; channel < g.channels; channel++) {
    // The taps whose row of this channel is among from .. to - 1.
    const int64_t first = (memory.from - channel + g.channels - 1) / g.channels, end = (memory.to - channel + g.channels - 1) / g.channels;
    if (end > first) part(channel, g.channels, first, end - first);
  }
}

}  // namespace

void planLanesConv(const ConvGeometry& g, int lanes, bool uniformA, bool uniformB, LanesConv& plan, Arena& arena) {
  plan.lanes = lanes;
  plan.uniformA = uniformA;
  plan.uniformB = uniformB;
  if (g.kind == kFilterGradient) {
    plan.scratchBytes = sizeof(TileStep) * kPositionBlock;
    return;
  }
  classifyPositions(g, int64_t{g.channels} * g.filters, 1, 0, plan.classes, arena);
  plan.scratchBytes = align(PositionTiles::scratchBytes(plan.classes));
}

void runLanesConv(const ConvGeometry& g, const LanesConv& plan, const ConvMemory& memory) {
  if (memory.from >= memory.to) return;
  const Runner runner{plan, memory};
  if (g.kind == kFilterGradient) runFilter(g, plan, runner);
  else runPositions(g, plan, runner);
}

}  // namespace unrolled::UNROLLED_LEVEL
