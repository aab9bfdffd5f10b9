// MATMUL and MATMUL_ELEMENTWISE against chains of scalar multiply-adds, which the kernels promise to match to the last bit whatever
// tiles they use, and those against float64.
#include "test_tile.h"

#include <algorithm>
#include <limits>

using namespace unrolled;
using namespace unrolled::test;

namespace {

float chain(const Tile& tile, const Layout& a, const Layout& b, std::vector<int32_t> ia, std::vector<int32_t> ib, int32_t k, int lane, bool fused,
            double* exact = nullptr, double* magnitude = nullptr) {
  float sum = 0;
  double wide = 0, size = 0;
  for (int32_t i = 0; i < k; i++) {
    ia[1] = i;
    ib[0] = i;
    const float x = asFloat(tile.word(a.space, a.at(ia), lane)), y = asFloat(tile.word(b.space, b.at(ib), lane));
    sum = fused ? std::fma(x, y, sum) : sum + x * y;
    wide += double{x} * y;
    size += std::fabs(double{x} * y);
  }
  if (exact) *exact = wide;
  if (magnitude) *magnitude = size;
  return sum;
}

// Memory order of a matrix operand: its two strides, then those of the batch.
Words matrixWords(const Layout& l) {
  Words w{l.space, l.offset};
  w.insert(w.end(), l.strides.begin(), l.strides.end());
  return w;
}

int32_t inputSpace(Random& random, int mode, double varying) {
  return mode && random.chance(varying) ? random.pick({int32_t{kVarying}, int32_t{kState}})
                                        : random.pick({int32_t{kUniform}, int32_t{kConstant}, int32_t{kData}});
}

void products() {
  for (const CpuTable* table : tables()) {
    Random random(3);
    const bool fused = fuses(*table);
    for (int trial = 0; trial < 700; trial++) {
      const int mode = random.chance(0.75);
      const int lanes = random.pick({8, 16, 24, 64, 40, 512});
      Tile tile(lanes);
      auto fill = [&] { return asWord(random.value()); };
      std::vector<int32_t> batch;
      const int q = random.chance(0.7) ? 0 : 1 + random.below(3);
      for (int d = 0; d < q; d++) batch.push_back(random.pick({1, 2, 3}));
      auto size = [&] { return random.chance(0.02) ? 0 : random.pick({1, 2, 3, 4, 5, 7, 10, 13, 16, 17, 33}); };
      int32_t m = size(), n = size(), k = random.chance(0.1) ? random.pick({129, 200, 300}) : size();
      if (mode && lanes > 64) m = std::min(m, 5), n = std::min(n, 4), k = std::min(k, 9);
      auto dimsOf = [&](int32_t rows, int32_t columns) {
        std::vector<int32_t> dims{rows, columns};
        dims.insert(dims.end(), batch.begin(), batch.end());
        return dims;
      };
      const bool plain = random.chance(0.3);
      const Layout a = tile.operand(inputSpace(random, mode, 0.6), dimsOf(m, k), random, true, plain, fill);
      const Layout b = tile.operand(inputSpace(random, mode, 0.6), dimsOf(k, n), random, true, plain, fill);
      const Layout c = tile.operand(mode ? random.pick({int32_t{kVarying}, int32_t{kState}}) : int32_t{kUniform}, dimsOf(m, n), random, false,
                                    random.chance(0.5), fill);
      Words payload{mode, q};
      payload = payload + Words(batch.begin(), batch.end()) + Words{m, n, k} + matrixWords(a) + matrixWords(b) + matrixWords(c);
      const Tile got = run(*table, tile, instruction(kMatmul, payload));
      Tile want = tile;
      eachIndex(dimsOf(m, n), [&](const std::vector<int32_t>& index) {
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) {
          double exact, magnitude;
          const float x = chain(tile, a, b, index, index, k, lane, fused, &exact, &magnitude);
          if (!(std::fabs(x - exact) <= 1e-6 * magnitude * std::max(1.0, std::sqrt(k)))) report(__FILE__, __LINE__, "the chain itself is off");
          want.word(c.space, c.at(index), lane) = asWord(x);
        }
      });
      const std::string what = difference(got, want);
      if (!what.empty()) {
        std::ostringstream text;
        text << table->name << ": trial " << trial << " mode " << mode << " lanes " << lanes << " M " << m << " N " << n << " K " << k << " A in "
             << a.space << " B in " << b.space << ": " << what;
        report(__FILE__, __LINE__, text.str());
        if (failures > 10) return;
      }
    }
  }
}

// What does not compare with anything must still come through: NaN and Infinity spread to exactly their row or column, and only in their lane.
void notNumbers() {
  const float inf = std::numeric_limits<float>::infinity();
  for (const CpuTable* table : tables())
    for (int mode = 0; mode < 2; mode++) {
      Tile tile(16);
      auto one = [] { return asWord(1.0f); };
      const int32_t space = mode ? kVarying : kUniform;
      const int32_t a = tile.add(space, 7 * 5, one), b = tile.add(space, 5 * 6, one), c = tile.add(space, 7 * 6, [] { return 0u; });
      const int lane = mode ? 9 : 0;
      tile.word(space, a + 3 * 5 + 2, lane) = asWord(std::nanf(""));
      tile.word(space, b + 4 * 6 + 1, lane) = asWord(inf);
      const Tile got = run(*table, tile, instruction(kMatmul, Words{mode, 0, 7, 6, 5, space, a, 5, 1, space, b, 6, 1, space, c, 6, 1}));
      for (int i = 0; i < 7; i++)
        for (int j = 0; j < 6; j++)
          for (int l = 0; l < (mode ? 16 : 1); l++) {
            const float x = asFloat(got.word(space, c + i * 6 + j, l));
            if (l == lane && i == 3) CHECK(std::isnan(x));
            else if (l == lane && j == 1) CHECK_EQUAL(x, inf);
            else CHECK_EQUAL(x, 5.0f);
          }
    }
}

// w - rate * (A B), relu(A B + bias) and the like, with w in place.
void fusedProducts() {
  for (const CpuTable* table : tables()) {
    Random random(8);
    const bool fused = fuses(*table);
    for (int trial = 0; trial < 500; trial++) {
      const int mode = random.chance(0.8);
      const int lanes = random.pick({8, 16, 16, 24, 64, 512});
      Tile tile(lanes);
      auto fill = [&] { return asWord(random.value()); };
      auto size = [&] { return random.chance(0.02) ? 0 : random.pick({1, 2, 3, 5, 7, 10, 16, 17, 33, 65, 130}); };
      int32_t m = size(), n = size(), k = random.chance(0.15) ? random.pick({129, 200, 300}) : size();
      if (mode) n = std::min(n, 33);
      if (mode && lanes > 16) m = std::min(m, 17), n = std::min(n, 10), k = std::min(k, 17);
      if (mode && lanes > 64) m = std::min(m, 5), n = std::min(n, 4), k = std::min(k, 9);
      const bool plain = random.chance(0.6);
      const Layout a = tile.operand(inputSpace(random, mode, 0.6), {m, k}, random, true, plain, fill);
      const Layout b = tile.operand(inputSpace(random, mode, 0.7), {k, n}, random, true, plain, fill);
      const int32_t out = mode ? random.pick({int32_t{kVarying}, int32_t{kState}}) : int32_t{kUniform};
      const Layout w = tile.operand(out, {m, n}, random, false, random.chance(0.7), fill);
      Layout rate = tile.operand(inputSpace(random, mode, 0.7), {m, n}, random, true, false, fill);
      if (random.chance(0.4)) rate.strides = {0, 0};
      const Layout bias = tile.operand(inputSpace(random, mode, 0.5), {m, n}, random, true, random.chance(0.5), fill);
      const bool inPlace = random.chance(0.6);
      const Layout second = tile.operand(out, {m, n}, random, false, random.chance(0.5), fill);
      // registers: 0 product, 1 w, 2 rate, 3 bias; 4 = w - rate * product, 5 = product + bias, 6 = relu(5)
      Words ew{2, m, n, 4, -1, 0, 0, 0};
      ew = ew + w.words() + rate.words() + bias.words();
      ew = ew + Words{2, 4} + (inPlace ? w : second).words();
      const Layout third = tile.operand(out, {m, n}, random, false, random.chance(0.5), fill);
      ew = ew + Words{6} + third.words();
      ew = ew + Words{7, 3, kNegMulAddF, 4, 2, 0, 1, 0, 0, kAddF, 5, 0, 3, 0, 0, 0, kReluF, 6, 5, 0, 0, 0, 0};
      const Tile got = run(*table, tile, instruction(kMatmulElementwise, Words{mode, m, n, k} + matrixWords(a) + matrixWords(b) + ew));
      Tile want = tile;
      eachIndex({m, n}, [&](const std::vector<int32_t>& index) {
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) {
          const float p = chain(tile, a, b, index, index, k, lane, fused);
          auto value = [&](const Layout& l) { return asFloat(tile.word(l.space, l.at(index), lane)); };
          const float x = value(w), r = value(rate), s = p + value(bias);
          const Layout& to = inPlace ? w : second;
          want.word(to.space, to.at(index), lane) = asWord(fused ? std::fma(-r, p, x) : x - r * p);
          want.word(third.space, third.at(index), lane) = asWord(s < 0 ? 0.0f : s);
        }
      });
      const std::string what = difference(got, want);
      if (!what.empty()) {
        std::ostringstream text;
        text << table->name << ": trial " << trial << " mode " << mode << " lanes " << lanes << " M " << m << " N " << n << " K " << k << " A in "
             << a.space << " B in " << b.space << ": " << what;
        report(__FILE__, __LINE__, text.str());
        if (failures > 10) return;
      }
    }
  }
}

// w = w - rate * (A B) with w in place, which tiles finish by themselves.
void updates() {
  for (const CpuTable* table : tables()) {
    Random random(14);
    const bool fused = fuses(*table);
    for (int trial = 0; trial < 500; trial++) {
      const int lanes = random.pick({8, 16, 16, 24, 64, 512});
      Tile tile(lanes);
      auto fill = [&] { return asWord(random.value()); };
      auto size = [&] { return random.chance(0.02) ? 0 : random.pick({1, 2, 3, 5, 7, 10, 16, 17, 33, 65, 130}); };
      int32_t m = size(), n = size(), k = random.chance(0.15) ? random.pick({129, 191, 192, 300}) : size();
      n = std::min(n, 65);
      if (lanes > 16) m = std::min(m, 17), n = std::min(n, 10), k = std::min(k, 17);
      if (lanes > 64) m = std::min(m, 5), n = std::min(n, 4), k = std::min(k, 9);
      const bool plain = random.chance(0.6);
      const Layout a = tile.operand(inputSpace(random, 1, 0.5), {m, k}, random, true, plain, fill);
      const Layout b = tile.operand(inputSpace(random, 1, 0.7), {k, n}, random, true, plain, fill);
      const Layout w = tile.operand(random.pick({int32_t{kVarying}, int32_t{kState}}), {m, n}, random, false, random.chance(0.7), fill);
      Layout rate = tile.operand(inputSpace(random, 1, 0.7), {1, 1}, random, true, true, fill);
      rate.strides = {0, 0};
      // The product may be either factor, and the inputs stand in either order.
      const bool rateFirst = random.chance(0.5), wFirst = random.chance(0.5);
      const int rw = wFirst ? 1 : 2, rr = wFirst ? 2 : 1;
      Words ew{2, m, n, 3, -1, 0, 0, 0};
      ew = ew + (wFirst ? w.words() + rate.words() : rate.words() + w.words()) + Words{1, 3} + w.words();
      ew = ew + Words{4, 1, kNegMulAddF, 3, rateFirst ? rr : 0, rateFirst ? 0 : rr, rw, 0, 0};
      const Tile got = run(*table, tile, instruction(kMatmulElementwise, Words{1, m, n, k} + matrixWords(a) + matrixWords(b) + ew));
      Tile want = tile;
      eachIndex({m, n}, [&](const std::vector<int32_t>& index) {
        for (int lane = 0; lane < lanes; lane++) {
          const float p = chain(tile, a, b, index, index, k, lane, fused), r = asFloat(tile.word(rate.space, rate.offset, lane));
          const float x = asFloat(tile.word(w.space, w.at(index), lane));
          want.word(w.space, w.at(index), lane) = asWord(fused ? std::fma(-r, p, x) : x - r * p);
        }
      });
      const std::string what = difference(got, want);
      if (!what.empty()) {
        std::ostringstream text;
        text << table->name << ": trial " << trial << " lanes " << lanes << " M " << m << " N " << n << " K " << k << " A in " << a.space << " B in "
             << b.space << ": " << what;
        report(__FILE__, __LINE__, text.str());
        if (failures > 10) return;
      }
    }
  }
}

// One particle's product has the same bits in tiles of any width.
void lanesDoNotMatter() {
  for (const CpuTable* table : tables()) {
    std::vector<uint32_t> first;
    for (int lanes : {8, 16, 24, 64, 1024}) {
      Tile tile(lanes);
      Random random(21);
      std::vector<uint32_t> values;
      for (int i = 0; i < 9 * 140 + 140 * 5; i++) values.push_back(asWord(random.value()));
      int i = 0;
      const int32_t a = tile.add(kVarying, 9 * 140 + 140 * 5, [&] { return values[static_cast<size_t>(i++ / lanes)]; });
      const int32_t c = tile.add(kVarying, 9 * 5, [] { return 0u; });
      const Tile got = run(*table, tile, instruction(kMatmul, Words{1, 0, 9, 5, 140, kVarying, a, 140, 1, kVarying, a + 9 * 140, 5, 1, kVarying, c, 5, 1}));
      for (int row = 0; row < 45; row++)
        for (int lane = 0; lane < lanes; lane++) {
          const uint32_t word = got.word(kVarying, c + row, lane);
          if (static_cast<int>(first.size()) == row) first.push_back(word);
          CHECK_EQUAL(word, first[static_cast<size_t>(row)]);
        }
    }
  }
}

}  // namespace

int main() {
  return runAll({{"products", products}, {"not numbers", notNumbers}, {"fused products", fusedProducts}, {"updates", updates}, {"lanes do not matter", lanesDoNotMatter}});
}
