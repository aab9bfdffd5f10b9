// COPY, FILL, INIT_COPY, GATHER, SEGMENT_SUM and CUMSUM against scalar loops, to the bit where the order of sums is fixed, with all memory
// around the output unchanged.
#include "test_tile.h"

#include <algorithm>
#include <limits>

using namespace unrolled;
using namespace unrolled::test;

namespace {

int32_t space(Random& random, bool varying) {
  return varying ? random.pick({int32_t{kVarying}, int32_t{kState}}) : random.pick({int32_t{kUniform}, int32_t{kConstant}, int32_t{kData}});
}
int32_t target(Random& random, int mode) { return mode ? random.pick({int32_t{kVarying}, int32_t{kState}}) : int32_t{kUniform}; }
const Words dimsWords(const std::vector<int32_t>& dims) { return Words{static_cast<int32_t>(dims.size())} + dims; }

std::vector<int32_t> someDims(Random& random, int most) {
  std::vector<int32_t> dims;
  for (int d = random.below(5); d > 0; d--) {
    const int32_t n = random.chance(0.03) ? 0 : random.pick({1, 2, 3, 5, 9, 40});
    if (count(dims) * n <= most) dims.push_back(n);
  }
  return dims;
}

void compare(const CpuTable& table, const char* name, int trial, const Tile& got, const Tile& want) {
  const std::string what = difference(got, want);
  if (what.empty()) return;
  std::ostringstream text;
  text << table.name << ": " << name << ", trial " << trial << ": " << what;
  report(__FILE__, __LINE__, text.str());
}

void copies() {
  for (const CpuTable* table : tables()) {
    Random random(2);
    for (int trial = 0; trial < 800; trial++) {
      const bool init = random.chance(0.4);
      const int mode = init || random.chance(0.6);
      const int lanes = random.pick({8, 16, 24, 64, 520});
      Tile tile(lanes);
      auto fill = [&] { return random.engine(); };
      const std::vector<int32_t> dims = someDims(random, mode ? 4000 / lanes : 1000);
      const Layout from = tile.operand(space(random, mode && random.chance(0.6)), dims, random, true, random.chance(0.5), fill);
      const Layout to = tile.operand(init ? int32_t{kState} : target(random, mode), dims, random, false, random.chance(0.5), fill);
      Context context;
      context.allFresh = random.chance(0.3);
      for (int l = 0; l < lanes; l++) context.fresh.push_back(context.allFresh || random.chance(0.5) ? -1 : 0);
      const Words payload = dimsWords(dims) + from.words() + to.words();
      const Tile got = run(*table, tile, init ? instruction(kInitCopy, payload) : instruction(kCopy, Words{mode} + payload), context);
      Tile want = tile;
      eachIndex(dims, [&](const std::vector<int32_t>& index) {
        for (int lane = 0; lane < (mode ? lanes : 1); lane++)
          if (!init || context.fresh[static_cast<size_t>(lane)]) want.word(to.space, to.at(index), lane) = tile.word(from.space, from.at(index), lane);
      });
      compare(*table, init ? "init copy" : "copy", trial, got, want);
    }
  }
}

void fills() {
  for (const CpuTable* table : tables()) {
    Random random(9);
    for (int trial = 0; trial < 300; trial++) {
      const int mode = random.chance(0.6);
      const int lanes = random.pick({8, 16, 24, 64});
      Tile tile(lanes);
      const std::vector<int32_t> dims = someDims(random, 100);
      const Layout to = tile.operand(target(random, mode), dims, random, false, random.chance(0.5), [&] { return random.engine(); });
      const uint32_t word = random.engine();
      const Tile got = run(*table, tile, instruction(kFill, Words{mode} + dimsWords(dims) + to.words() + Words{static_cast<int32_t>(word)}));
      Tile want = tile;
      eachIndex(dims, [&](const std::vector<int32_t>& index) {
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) want.word(to.space, to.at(index), lane) = word;
      });
      compare(*table, "fill", trial, got, want);
    }
  }
}

void gathers() {
  for (const CpuTable* table : tables()) {
    Random random(6);
    for (int trial = 0; trial < 800; trial++) {
      const bool xVaries = random.chance(0.4), indicesVary = random.chance(0.4);
      const int mode = xVaries || indicesVary || random.chance(0.3);
      const int lanes = random.pick({8, 16, 24, 64});
      Tile tile(lanes);
      const int32_t integer = random.below(2);
      const int32_t batch = random.pick({1, 1, 2, 3}), outer = random.pick({1, 2, 3}), n = random.chance(0.04) ? 0 : random.pick({1, 3, 8, 20}),
                    inner = random.chance(0.03) ? 0 : random.pick({1, 2, 5, 20}), m = random.chance(0.03) ? 0 : random.pick({1, 2, 7});
      const Layout x = tile.operand(space(random, xVaries), {batch, outer, n, inner}, random, true, random.chance(0.5), [&] { return random.engine(); });
      const Layout indices = tile.operand(space(random, indicesVary), {batch, m}, random, true, random.chance(0.5),
                                          [&] { return static_cast<uint32_t>(random.chance(0.02) ? random.pick({INT32_MIN, INT32_MAX}) : random.below(n + 2) - 1); });
      const int32_t out = target(random, mode);
      const int32_t output = tile.add(out, int64_t{batch} * outer * m * inner, [] { return 7u; });
      tile.add(out, 1, [] { return 8u; });
      const Tile got = run(*table, tile, instruction(kGather, Words{mode, integer, batch, outer, n, inner, m} + x.words() + indices.words() + Words{out, output}));
      Tile want = tile;
      int32_t at = output;
      eachIndex({batch, outer, m, inner}, [&](const std::vector<int32_t>& i) {
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) {
          const int32_t index = static_cast<int32_t>(tile.word(indices.space, indices.at({i[0], i[2]}), lane));
          want.word(out, at, lane) = index >= 0 && index < n ? tile.word(x.space, x.at({i[0], i[1], index, i[3]}), lane) : integer ? 0 : 0x7fc00000u;
        }
        at++;
      });
      compare(*table, "gather", trial, got, want);
    }
  }
}

void segmentSums() {
  for (const CpuTable* table : tables()) {
    Random random(12);
    for (int trial = 0; trial < 600; trial++) {
      const bool xVaries = random.chance(0.5), idsVary = random.chance(0.4);
      const int mode = xVaries || idsVary || random.chance(0.3);
      const int lanes = random.pick({8, 16, 24, 64});
      Tile tile(lanes);
      const int32_t integer = random.below(2);
      const int32_t n = random.chance(0.04) ? 0 : random.pick({1, 3, 8, 20}), inner = random.chance(0.03) ? 0 : random.pick({1, 2, 5, 20}),
                    segments = random.chance(0.03) ? 0 : random.pick({1, 2, 7});
      const Layout x = tile.operand(space(random, xVaries), {n, inner}, random, true, random.chance(0.5),
                                    [&] { return integer ? random.engine() : asWord(random.value()); });
      const Layout ids = tile.operand(space(random, idsVary), {n}, random, true, random.chance(0.5),
                                      [&] { return static_cast<uint32_t>(random.below(segments + 2) - 1); });
      const int32_t out = target(random, mode);
      const int32_t output = tile.add(out, int64_t{segments} * inner, [] { return 7u; });
      tile.add(out, 1, [] { return 8u; });
      const Tile got = run(*table, tile, instruction(kSegmentSum, Words{mode, integer, n, inner, segments} + x.words() + ids.words() + Words{out, output}));
      Tile want = tile;
      for (int64_t i = 0; i < int64_t{segments} * inner; i++)
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) want.word(out, output + i, lane) = 0;
      eachIndex({n, inner}, [&](const std::vector<int32_t>& i) {
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) {
          const int32_t id = static_cast<int32_t>(tile.word(ids.space, ids.at({i[0]}), lane));
          if (id < 0 || id >= segments) continue;
          uint32_t& sum = want.word(out, output + int64_t{id} * inner + i[1], lane);
          const uint32_t w = tile.word(x.space, x.at(i), lane);
          sum = integer ? sum + w : asWord(asFloat(sum) + asFloat(w));
        }
      });
      compare(*table, "segment sum", trial, got, want);
    }
  }
}

void cumulativeSums() {
  for (const CpuTable* table : tables()) {
    Random random(13);
    for (int trial = 0; trial < 600; trial++) {
      const int mode = random.chance(0.6);
      const bool varies = mode && random.chance(0.7);
      const int lanes = random.pick({8, 16, 24, 64});
      Tile tile(lanes);
      const int32_t integer = random.below(2), exclusive = random.below(2), reverse = random.below(2);
      const int32_t outer = random.pick({1, 2, 3}), n = random.chance(0.05) ? 0 : random.pick({1, 2, 7, 30}), inner = random.chance(0.04) ? 0 : random.pick({1, 2, 9, 20});
      const Layout x = tile.operand(space(random, varies), {outer, n, inner}, random, true, random.chance(0.5),
                                    [&] { return integer ? random.engine() : asWord(random.value()); });
      const int32_t out = target(random, mode);
      const int32_t output = tile.add(out, int64_t{outer} * n * inner, [] { return 7u; });
      tile.add(out, 1, [] { return 8u; });
      const Tile got = run(*table, tile, instruction(kCumsum, Words{mode, integer, exclusive, reverse, outer, n, inner} + x.words() + Words{out, output}));
      Tile want = tile;
      eachIndex({outer, inner}, [&](const std::vector<int32_t>& i) {
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) {
          uint32_t sum = 0;
          for (int32_t j = 0; j < n; j++) {
            const int32_t p = reverse ? n - 1 - j : j;
            const uint32_t w = tile.word(x.space, x.at({i[0], p, i[1]}), lane), before = sum;
            sum = integer ? sum + w : asWord(asFloat(sum) + asFloat(w));
            want.word(out, output + (int64_t{i[0]} * n + p) * inner + i[1], lane) = exclusive ? before : sum;
          }
        }
      });
      compare(*table, "cumsum", trial, got, want);
    }
  }
}

}  // namespace

int main() {
  return runAll({{"copy and init copy", copies}, {"fill", fills}, {"gather", gathers}, {"segment sum", segmentSums}, {"cumsum", cumulativeSums}});
}
