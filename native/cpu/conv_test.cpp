// CONV against its definition, summed in float64; and any cut of it against the whole, to the last bit.
#include "test_tile.h"

#include <algorithm>
#include <limits>

using namespace unrolled;
using namespace unrolled::test;

namespace {

struct Case {
  int32_t kind, n, c, f;
  bool depthwise;
  int32_t in[3], taps[3], out[3], stride[3], dilation[3], pad[3];

  int64_t inCount() const { return int64_t{n} * in[0] * in[1] * in[2]; }
  int64_t outCount() const { return int64_t{n} * out[0] * out[1] * out[2]; }
  int64_t tapCount() const { return int64_t{taps[0]} * taps[1] * taps[2]; }
  int64_t yChannels() const { return depthwise ? int64_t{c} * f : f; }
  // Elements of x, filter and y.
  int64_t size(int which) const {
    return which == 0 ? inCount() * c : which == 1 ? tapCount() * c * f : outCount() * yChannels();
  }
  // Which of those are A, B and the output.
  int operand(int which) const { return (const int[3][3]){{0, 1, 2}, {2, 1, 0}, {0, 2, 1}}[kind][which]; }
  int32_t rows() const { return static_cast<int32_t>(kind == 0 ? outCount() : kind == 1 ? inCount() : tapCount() * c); }
  int64_t columns() const { return kind == 0 ? yChannels() : kind == 1 ? c : f; }

  Words words(int mode, const Layout& a, const Layout& b, const Layout& to, int32_t first, int32_t last) const {
    Words w{mode, kind, depthwise, n, in[0], in[1], in[2], c};
    for (const int32_t* three : {taps, out, stride, dilation, pad}) w.insert(w.end(), three, three + 3);
    return w + Words{f} + a.words() + b.words() + to.words() + Words{first, last};
  }
  std::string text() const {
    std::ostringstream s;
    s << "kind " << kind << (depthwise ? " depthwise" : "") << " N " << n << " C " << c << " F " << f;
    const char* names[] = {" in", " taps", " out", " strides", " dilations", " pads"};
    int i = 0;
    for (const int32_t* three : {in, taps, out, stride, dilation, pad}) s << names[i++] << ' ' << three[0] << ',' << three[1] << ',' << three[2];
    return s.str();
  }
  // Calls body(element of x, of the filter, of y) for every product of the convolution.
  template <class Body>
  void eachProduct(Body body) const {
    eachIndex({n, out[0], out[1], out[2], taps[0], taps[1], taps[2]}, [&](const std::vector<int32_t>& at) {
      int64_t x = at[0], y = at[0], w = 0;
      for (size_t d = 0; d < 3; d++) {
        const int32_t i = at[d + 1] * stride[d] - pad[d] + at[d + 4] * dilation[d];
        if (i < 0 || i >= in[d]) return;
        x = x * in[d] + i;
        y = y * out[d] + at[d + 1];
        w = w * taps[d] + at[d + 4];
      }
      for (int32_t i = 0; i < c; i++)
        for (int32_t j = 0; j < f; j++) body(x * c + i, (w * c + i) * f + j, y * yChannels() + (depthwise ? i * f + j : j));
    });
  }
};

Case randomCase(Random& random, bool small) {
  Case g{};
  g.kind = random.below(3);
  g.depthwise = random.chance(0.3);
  g.n = random.chance(0.02) ? 0 : 1 + random.below(3);
  g.c = random.chance(0.02) ? 0 : small ? random.pick({1, 2, 3, 5}) : random.pick({1, 1, 2, 3, 5, 7, 8, 16, 17});
  g.f = random.chance(0.02) ? 0 : small ? random.pick({1, 2, 4}) : random.pick({1, 2, 3, 8, 10, 16, 24, 33, 50});
  if (g.depthwise) g.f = random.chance(0.6) ? 1 : std::min(g.f, 3);
  const int rank = random.pick({1, 2, 2, 2, 3});
  for (int d = 0; d < 3; d++) {
    g.in[d] = g.taps[d] = g.stride[d] = g.dilation[d] = 1;
    int32_t after = 0;
    if (d >= 3 - rank) {
      g.in[d] = 1 + random.below(small ? 5 : rank == 3 ? 5 : 11);
      g.taps[d] = random.chance(0.02) ? 0 : 1 + random.below(rank == 3 ? 3 : 4);
      g.stride[d] = random.pick({1, 1, 1, 2, 3});
      g.dilation[d] = random.pick({1, 1, 1, 2, 3});
      g.pad[d] = random.pick({0, 0, 1, 1, 2, 3, -1, -2});
      after = random.pick({0, 0, 1, 1, 2, -1});
    }
    const int32_t room = g.in[d] + g.pad[d] + after - (g.taps[d] - 1) * g.dilation[d] - 1;
    g.out[d] = room < 0 ? 0 : room / g.stride[d] + 1;
  }
  return g;
}

// Runs a case in memory of its own at one level, and compares. `varying`: of A and B.
void check(const CpuTable& table, const Case& g, int mode, const bool (&varying)[2], int lanes, Random& random, bool infinite) {
  Tile tile(lanes);
  int extreme = infinite ? 5 + random.below(40) : -1;
  auto fill = [&] { return asWord(extreme-- == 0 ? std::numeric_limits<float>::infinity() : random.value()); };
  Layout layout[3];
  for (int i = 0; i < 3; i++) {
    const bool varies = mode && (i == 2 || varying[i]);
    layout[i].space = varies ? random.pick({int32_t{kVarying}, int32_t{kState}})
                      : i == 2 ? int32_t{kUniform} : random.pick({int32_t{kUniform}, int32_t{kConstant}, int32_t{kData}});
    tile.add(layout[i].space, random.below(3), fill);
    layout[i].offset = tile.add(layout[i].space, g.size(g.operand(i)), fill);
  }
  const int used = mode ? lanes : 1;
  const size_t elements = static_cast<size_t>(g.size(g.operand(2)));
  std::vector<double> exact(elements * static_cast<size_t>(used)), magnitude(exact.size());
  std::vector<int> terms(elements);
  g.eachProduct([&](int64_t x, int64_t w, int64_t y) {
    const int64_t at[3] = {x, w, y};
    const size_t to = static_cast<size_t>(at[g.operand(2)]);
    terms[to]++;
    for (int lane = 0; lane < used; lane++) {
      auto value = [&](int i) { return double{asFloat(tile.word(layout[i].space, layout[i].offset + at[g.operand(i)], lane))}; };
      const double product = value(0) * value(1);
      exact[to * static_cast<size_t>(used) + static_cast<size_t>(lane)] += product;
      magnitude[to * static_cast<size_t>(used) + static_cast<size_t>(lane)] += std::fabs(product);
    }
  });
  std::ostringstream where;
  where << table.name << ": " << g.text() << " mode " << mode << " lanes " << lanes << " varying " << varying[0] << varying[1] << ": ";
  const Tile whole = run(table, tile, instruction(kConv, g.words(mode, layout[0], layout[1], layout[2], 0, g.rows())));
  for (size_t i = 0; i < elements; i++)
    for (int lane = 0; lane < used; lane++) {
      const float got = asFloat(whole.word(layout[2].space, layout[2].offset + static_cast<int64_t>(i), lane));
      const size_t at = i * static_cast<size_t>(used) + static_cast<size_t>(lane);
      const bool same = std::isfinite(exact[at]) ? std::fabs(got - exact[at]) <= 1.2e-7 * (terms[i] + 1) * magnitude[at]
                                                 : std::isnan(exact[at]) ? std::isnan(got) : got == exact[at];
      if (same) continue;
      std::ostringstream text;
      text << where.str() << "element " << i << " lane " << lane << ": " << got << ", expected " << exact[at];
      return report(__FILE__, __LINE__, text.str());
    }
  // Nothing else was written, and neither is anything by pieces, which give the very same bits.
  Tile pieces = tile;
  for (int32_t from = 0; from < g.rows();) {
    const int32_t to = std::min(g.rows(), from + 1 + random.below(random.chance(0.5) ? 8 : g.rows()));
    const Tile before = pieces;
    pieces = run(table, pieces, instruction(kConv, g.words(mode, layout[0], layout[1], layout[2], from, to)));
    for (int64_t i = 0; i < g.rows() * g.columns(); i++) {
      if (i >= from * g.columns() && i < to * g.columns()) continue;
      for (int lane = 0; lane < used; lane++) {
        const int64_t at = layout[2].offset + i;
        if (pieces.word(layout[2].space, at, lane) != before.word(layout[2].space, at, lane))
          return report(__FILE__, __LINE__, where.str() + "a row outside from .. to was written");
      }
    }
    from = to;
  }
  const std::string what = difference(pieces, whole);
  if (!what.empty()) report(__FILE__, __LINE__, where.str() + "in pieces: " + what);
  Tile untouched = whole;
  for (int64_t i = 0; i < g.rows() * g.columns(); i++)
    for (int lane = 0; lane < used; lane++) untouched.word(layout[2].space, layout[2].offset + i, lane) = tile.word(layout[2].space, layout[2].offset + i, lane);
  const std::string beside = difference(untouched, tile);
  if (!beside.empty()) report(__FILE__, __LINE__, where.str() + "beside the output: " + beside);
}

void uniform() {
  for (const CpuTable* table : tables()) {
    Random random(31);
    for (int trial = 0; trial < 700 && failures < 10; trial++) check(*table, randomCase(random, false), 0, {false, false}, 8, random, random.chance(0.1));
  }
}

void lanes() {
  for (const CpuTable* table : tables()) {
    Random random(32);
    for (int trial = 0; trial < 400 && failures < 10; trial++) {
      const bool a = random.chance(0.7), b = random.chance(0.6);
      check(*table, randomCase(random, true), 1, {a, b}, random.pick({8, 8, 16, 24, 40}), random, random.chance(0.1));
    }
  }
}

// Depths, widths and numbers of positions that are cut into blocks.
void big() {
  const Case cases[] = {
      {0, 1, 300, 200, false, {1, 4, 5}, {1, 3, 3}, {1, 4, 5}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
      {1, 1, 200, 300, false, {1, 4, 5}, {1, 3, 3}, {1, 2, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}},
      {2, 3, 9, 130, false, {1, 12, 12}, {1, 3, 3}, {1, 12, 12}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
      {2, 3, 1, 20, false, {1, 28, 28}, {1, 5, 5}, {1, 14, 14}, {1, 2, 2}, {1, 1, 1}, {0, 2, 2}},
      {2, 2, 20, 1, true, {1, 20, 20}, {1, 3, 3}, {1, 20, 20}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}},
      {2, 2, 7, 2, true, {3, 9, 20}, {3, 3, 3}, {3, 9, 20}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
      {0, 2, 64, 96, false, {1, 20, 20}, {1, 1, 1}, {1, 20, 20}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
      {1, 2, 96, 64, false, {1, 20, 20}, {1, 1, 1}, {1, 20, 20}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
      {2, 2, 64, 96, false, {1, 20, 20}, {1, 1, 1}, {1, 20, 20}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}},
      {0, 2, 3, 20, false, {1, 9, 40}, {1, 9, 31}, {1, 9, 40}, {1, 1, 1}, {1, 1, 1}, {0, 4, 15}},
  };
  for (const CpuTable* table : tables()) {
    Random random(33);
    for (const Case& g : cases) check(*table, g, 0, {false, false}, 8, random, false);
    for (const Case& g : {cases[3], cases[5]}) check(*table, g, 1, {true, true}, 8, random, false);
  }
}

}  // namespace

int main() { return runAll({{"uniform", uniform}, {"lanes", lanes}, {"big", big}}); }
