// REDUCE against scalar loops in float64, over random dims, layouts and kinds.
#include "test_tile.h"

#include <algorithm>
#include <limits>

using namespace unrolled;
using namespace unrolled::test;

namespace {

const float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

struct Problem {
  int kind;
  std::vector<int32_t> out, reduced;
  Layout input;  // strides of out dims, then of reduced dims
};

// The result of one element and whether it is exact; float sums and products may differ by rounding.
uint32_t reduceOne(const Tile& tile, const Problem& p, const std::vector<int32_t>& index, int lane, double& magnitude) {
  double sum = 0, product = 1, best = 0;
  uint32_t isum = 0, iproduct = 1;
  int64_t position = 0, at = 0;
  bool nan = false, first = true;
  const bool max = p.kind == 4 || p.kind == 5 || p.kind == 8 || p.kind == 9, isFloat = p.kind % 2 == 0, arg = p.kind >= 8;
  magnitude = 0;
  eachIndex(p.reduced, [&](const std::vector<int32_t>& r) {
    std::vector<int32_t> all = index;
    all.insert(all.end(), r.begin(), r.end());
    const uint32_t w = tile.word(p.input.space, p.input.at(all), lane);
    const double x = isFloat ? asFloat(w) : static_cast<int32_t>(w);
    sum += x;
    magnitude += std::fabs(x);
    product *= x;
    isum += w;
    iproduct *= w;
    nan = nan || std::isnan(x);
    if (first || (max ? x > best : x < best)) best = x, position = at;
    first = false;
    at++;
  });
  if (p.kind == 0) return asWord(static_cast<float>(sum));
  if (p.kind == 1) return isum;
  if (p.kind == 2) return magnitude = std::fabs(product), asWord(static_cast<float>(product));
  if (p.kind == 3) return iproduct;
  if (arg) return static_cast<uint32_t>(position);
  if (first) return isFloat ? asWord(max ? -kInf : kInf) : static_cast<uint32_t>(max ? INT32_MIN : INT32_MAX);
  if (isFloat) return asWord(nan ? kNan : static_cast<float>(best));
  return static_cast<uint32_t>(static_cast<int32_t>(best));
}

void kindsAndLayouts() {
  for (const CpuTable* table : tables()) {
    Random random(17);
    for (int trial = 0; trial < 1500; trial++) {
      Problem p;
      p.kind = random.below(12);
      const int lanes = random.pick({8, 16, 24, 40, 64, 520});
      const int form = random.below(5);  // mostly all varying or all uniform
      const int mode = form < 4 ? form % 2 : 1;
      Tile tile(lanes);
      const bool isFloat = p.kind % 2 == 0;
      const bool special = random.chance(0.3);
      auto fill = [&] {
        if (!isFloat) return static_cast<uint32_t>(random.below(7) - 3);
        if (special && random.chance(0.1)) return asWord(random.pick({kNan, kInf, -kInf, 0.0f}));
        return asWord(random.chance(0.3) ? std::round(random.value() * 4) : random.value());
      };
      auto some = [&](int rank) {
        std::vector<int32_t> dims;
        for (int d = 0; d < rank; d++) dims.push_back(random.chance(0.04) ? 0 : random.pick({1, 2, 3, 4, 5, 9, 17}));
        return dims;
      };
      p.out = some(random.below(4));
      p.reduced = some(1 + random.below(3));
      if (!mode && random.chance(0.3)) p.reduced = {random.pick({31, 64, 100, 257})};
      while (count(p.out) * count(p.reduced) * (mode ? lanes : 1) > 60000) (p.out.empty() ? p.reduced : p.out).pop_back();
      std::vector<int32_t> all = p.out;
      all.insert(all.end(), p.reduced.begin(), p.reduced.end());
      const int32_t space = mode && form < 4 ? random.pick({int32_t{kVarying}, int32_t{kState}}) : random.pick({int32_t{kUniform}, int32_t{kConstant}, int32_t{kData}});
      p.input = tile.operand(space, all, random, true, random.chance(0.5), fill);
      const int32_t outSpace = mode ? kVarying : kUniform;
      const int32_t output = tile.add(outSpace, count(p.out), [] { return 0x12345678u; });
      tile.add(outSpace, 1, [] { return 0x9abcdefu; });
      Words w{mode, p.kind, static_cast<int32_t>(p.out.size())};
      w = w + p.out + Words{static_cast<int32_t>(p.reduced.size())} + p.reduced + p.input.words() + Words{outSpace, output};
      const Tile got = run(*table, tile, instruction(kReduce, w));
      Tile want = tile;
      int32_t at = output;
      bool close = true;
      eachIndex(p.out, [&](const std::vector<int32_t>& index) {
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) {
          double magnitude;
          const uint32_t x = reduceOne(tile, p, index, lane, magnitude);
          const uint32_t g = got.word(outSpace, at, lane);
          uint32_t& to = want.word(outSpace, at, lane);
          to = x;
          if (p.kind == 0 || p.kind == 2) {
            // Overflow of intermediate results apart, which these values don't reach, only rounding may differ.
            if (std::fabs(asFloat(x) - asFloat(g)) <= 2e-6 * magnitude + 1e-43) to = g;
            else if (asFloat(x) != asFloat(g) && !(std::isnan(asFloat(x)) && std::isnan(asFloat(g)))) close = false;
          }
          if (p.kind < 8 && isFloat && asFloat(x) == asFloat(g)) to = g;  // zeros of either sign
        }
        at++;
      });
      const std::string what = difference(got, want);
      if (!what.empty() || !close) {
        std::ostringstream text;
        text << table->name << ": trial " << trial << " kind " << p.kind << " mode " << mode << " lanes " << lanes << ": " << what;
        report(__FILE__, __LINE__, text.str());
        if (failures > 10) return;
      }
    }
  }
}

// Long reductions of uniform values in every form, against float64: sums to a millionth of the sum of magnitudes, extrema and positions exactly.
void longOnes() {
  struct Form {
    std::vector<int32_t> out, reduced, strides;
  };
  const std::vector<Form> forms = {
      {{}, {1000003}, {1}},                           // all
      {{3}, {6001}, {6001, 1}},                     // rows
      {{3}, {6001}, {1, 3}},                         // fewer columns than lanes
      {{37}, {803}, {1, 37}},                        // columns
      {{1100}, {91}, {1, 1100}},                     // more columns than a panel
      {{1100}, {9}, {1, 1100}},
      {{2, 19}, {30, 21}, {30 * 21 * 19, 1, 21 * 19, 19}},  // images to channels
      {{7}, {40, 33}, {33, 7 * 33, 1}},               // rows in pieces
      {{13}, {10}, {10, 1}},
      {{13}, {29}, {29, 1}},
      {{}, {501}, {-2}},
  };
  for (const CpuTable* table : tables()) {
    Random random(18);
    for (const Form& form : forms)
      for (const int32_t kind : {0, 1, 2, 4, 5, 6, 8, 9, 10}) {
        if (kind > 0 && count(form.reduced) > 100000) continue;
        std::vector<int32_t> all = form.out;
        all.insert(all.end(), form.reduced.begin(), form.reduced.end());
        Tile tile(8);
        const int32_t x = tile.add(kData, count(all) + 1000, [&] { return kind % 2 ? static_cast<uint32_t>(random.below(2001) - 1000) : asWord(kind == 2 ? std::exp2(random.value() * 4) : random.value() + 0.125f); });
        const int32_t outputs = static_cast<int32_t>(count(form.out)), out = tile.add(kUniform, outputs, [] { return 0u; });
        Problem p;
        p.kind = kind;
        p.out = form.out;
        p.reduced = form.reduced;
        p.input.space = kData;
        p.input.offset = x + (form.strides[0] < 0 ? 1000 : 0);
        p.input.strides = form.strides;
        const Tile got = run(*table, tile, instruction(kReduce, Words{0, kind, static_cast<int32_t>(form.out.size())} + form.out +
                                                                    Words{static_cast<int32_t>(form.reduced.size())} + form.reduced + p.input.words() + Words{kUniform, out}));
        int32_t at = out;
        eachIndex(p.out, [&](const std::vector<int32_t>& index) {
          double magnitude;
          const uint32_t want = reduceOne(tile, p, index, 0, magnitude), word = got.word(kUniform, at++, 0);
          if (kind == 0 || kind == 2) CHECK(word == want || std::fabs(asFloat(word) - asFloat(want)) <= 1e-6 * magnitude);
          else CHECK_EQUAL(word, want);
        });
      }
  }
}

// A particle's sum has the same bits in tiles of any width.
void lanesDoNotMatter() {
  for (const CpuTable* table : tables()) {
    uint32_t first = 0;
    for (const int n : {61, 357})
    for (int lanes : {8, 16, 24, 64, 512, 1032}) {
      Tile tile(lanes);
      Random random(4);
      std::vector<uint32_t> values;
      for (int i = 0; i < n; i++) values.push_back(asWord(random.value()));
      int i = 0;
      const int32_t x = tile.add(kVarying, n, [&] { return values[static_cast<size_t>(i++ / lanes)]; });
      const int32_t out = tile.add(kVarying, 1, [] { return 0u; });
      const Tile got = run(*table, tile, instruction(kReduce, Words{1, 0, 0, 1, n, kVarying, x, 1, kVarying, out}));
      if (lanes == 8) first = got.word(kVarying, out, 0);
      for (int lane = 0; lane < lanes; lane++) CHECK_EQUAL(got.word(kVarying, out, lane), first);
    }
  }
}

}  // namespace

int main() { return runAll({{"kinds and layouts", kindsAndLayouts}, {"long ones", longOnes}, {"lanes do not matter", lanesDoNotMatter}}); }
