// ARGSORT against the standard library's stable sort.
#include "test_tile.h"

#include <algorithm>
#include <limits>
#include <numeric>

using namespace unrolled;
using namespace unrolled::test;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<uint32_t> expected(const std::vector<uint32_t>& row, bool integer, bool descending) {
  std::vector<uint32_t> order(row.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (integer) {
      const int32_t x = static_cast<int32_t>(row[a]), y = static_cast<int32_t>(row[b]);
      return descending ? x > y : x < y;
    }
    const float x = asFloat(row[a]), y = asFloat(row[b]);
    if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
    return descending ? x > y : x < y;
  });
  return order;
}

uint32_t someWord(Random& random, bool integer, int values) {
  if (integer) return values ? static_cast<uint32_t>(random.below(values) - values / 2) : random.engine();
  if (random.chance(0.1)) return random.pick({asWord(kNan), 0xffc00001u, 0x7fc12345u, asWord(kInf), asWord(-kInf), asWord(0.0f), asWord(-0.0f), asWord(1e-42f), asWord(-1e-42f)});
  if (values) return asWord(static_cast<float>(random.below(values) - values / 2) * 0.25f);
  return asWord(random.value());
}

void orders() {
  for (const CpuTable* table : tables()) {
    Random random(41);
    for (int trial = 0; trial < 400; trial++) {
      const int mode = random.chance(0.6), lanes = random.pick({8, 16, 24, 40});
      const bool integer = random.chance(0.4), descending = random.chance(0.5);
      const int values = random.pick({0, 2, 5, 1000});
      const int32_t n = random.pick({0, 1, 2, 3, 7, 10, 31, 40, 41, 63, 64, 65, 130, mode ? 200 : 3000});
      const int32_t outer = random.chance(0.05) ? 0 : 1 + random.below(3);
      Tile tile(lanes);
      const int32_t space = mode && random.chance(0.8) ? random.pick({int32_t{kVarying}, int32_t{kState}, int32_t{kPrimal}}) : random.pick({int32_t{kConstant}, int32_t{kData}});
      const int32_t x = tile.add(space, int64_t{outer} * n, [&] { return someWord(random, integer, values); });
      const int32_t outSpace = mode ? kVarying : kUniform;
      const int32_t out = tile.add(outSpace, int64_t{outer} * n, [] { return 0x12345678u; });
      tile.add(outSpace, 1, [] { return 0x9abcdefu; });
      const Tile got = run(*table, tile, instruction(kArgSort, {mode, integer, descending, outer, n, space, x, outSpace, out}));
      Tile want = tile;
      for (int32_t o = 0; o < outer; o++)
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) {
          std::vector<uint32_t> row;
          for (int32_t i = 0; i < n; i++) row.push_back(tile.word(space, x + o * n + i, lane));
          const std::vector<uint32_t> order = expected(row, integer, descending);
          for (int32_t i = 0; i < n; i++) want.word(outSpace, out + o * n + i, lane) = order[static_cast<size_t>(i)];
        }
      const std::string what = difference(got, want);
      if (what.empty()) continue;
      std::ostringstream text;
      text << table->name << ": trial " << trial << " mode " << mode << " lanes " << lanes << " n " << n << " outer " << outer << ": " << what;
      report(__FILE__, __LINE__, text.str());
      if (failures > 5) return;
    }
  }
}

void longRows() {
  for (const CpuTable* table : tables()) {
    for (const bool descending : {false, true}) {
      Random random(42);
      Tile tile(8);
      const int32_t n = 200000;
      const int32_t x = tile.add(kData, n, [&] { return asWord(random.chance(0.5) ? std::round(random.value() * 50) : random.value() * 1e-3f); });
      const int32_t out = tile.add(kUniform, n, [] { return 0u; });
      const Tile got = run(*table, tile, instruction(kArgSort, {0, 0, descending, 1, n, kData, x, kUniform, out}));
      CHECK(got.space[kUniform] == expected(tile.space[kData], false, descending));
    }
  }
}

}  // namespace

int main() { return runAll({{"orders", orders}, {"long rows", longRows}}); }
