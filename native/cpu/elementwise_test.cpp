// ELEMENTWISE against scalar references: every micro-op on values that hurt, and random groups in random layouts, whose results
// (and all memory around them) have to be right to the last bit.
#include "test_tile.h"

#include <algorithm>
#include <limits>
#include <memory>

using namespace unrolled;
using namespace unrolled::test;

namespace {

const float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

struct MicroOp {
  int32_t micro, to, a, b, c;
  uint32_t bits0, bits1;
};

int32_t asInt(uint32_t w) { return static_cast<int32_t>(w); }
uint32_t asWord(int64_t x) { return static_cast<uint32_t>(x); }
uint32_t asWord(bool x) { return x ? 1 : 0; }
double mathMod(double a, double b) {
  const double r = std::fmod(a, b);
  if ((a < 0 && b < 0) || (a >= 0 && b >= 0)) return r;
  return std::fmod(r + b, b);
}
double mathPow(double x, double y) {
  if (y == 0) return 1;
  if (std::isnan(y) || (std::fabs(x) == 1 && std::isinf(y))) return kNan;
  return std::pow(x, y);
}
// A number as JS stores it into an Int32Array.
uint32_t toInt32(double x) {
  if (!std::isfinite(x)) return 0;
  return static_cast<uint32_t>(static_cast<int64_t>(std::fmod(std::trunc(x), 4294967296.0)));
}

// One element of a micro-op. `exact` says whether the result has to agree to the bit.
uint32_t evaluate(const MicroOp& op, uint32_t wa, uint32_t wb, uint32_t wc, bool fused, bool& exact) {
  const float a = asFloat(wa), b = asFloat(wb), c = asFloat(wc), p = asFloat(op.bits0), q = asFloat(op.bits1);
  const int32_t ia = asInt(wa), ib = asInt(wb);
  const double da = a, db = b;
  exact = true;
  auto f = [](float x) { return test::asWord(x); };
  auto near = [&](double x) {
    exact = false;
    return test::asWord(static_cast<float>(x));
  };
  switch (op.micro) {
    case kAbsF: return f(std::fabs(a));
    case kNegF: return f(-a);
    case kSignF: return f(a > 0 ? 1.0f : a < 0 ? -1.0f : a == 0 ? 0.0f : a);
    case kSquareF: return f(a * a);
    case kReluF: return f(a < 0 ? 0.0f : a);
    case kExp: return near(std::exp(da));
    case kExpm1: return near(std::expm1(da));
    case kLog: return near(std::log(da));
    case kLog1p: return near(std::log1p(da));
    case kSqrt: return near(std::sqrt(da));
    case kRsqrt: return near(1 / std::sqrt(da));
    case kReciprocal: return near(1 / da);
    case kFloor: return f(std::floor(a));
    case kCeil: return f(std::ceil(a));
    case kRound: return f(std::nearbyint(a));
    case kSin: return near(std::sin(da));
    case kCos: return near(std::cos(da));
    case kTan: return near(std::tan(da));
    case kAsin: return near(std::asin(da));
    case kAcos: return near(std::acos(da));
    case kAtan: return near(std::atan(da));
    case kSinh: return near(std::sinh(da));
    case kCosh: return near(std::cosh(da));
    case kTanh: return near(std::tanh(da));
    case kAsinh: return near(std::asinh(da));
    case kAcosh: return near(std::acosh(da));
    case kAtanh: return near(std::atanh(da));
    case kErf: return near(std::erf(da));
    case kSigmoid: return near(1 / (1 + std::exp(-da)));
    case kSoftplus: return near(da > 0 ? da + std::log1p(std::exp(-da)) : std::log1p(std::exp(da)));
    case kClipF: return f(a < p ? p : a > q ? q : a);
    case kStep: return f(a > 0 ? 1.0f : a <= 0 ? p : a);
    case kAbsI: return asWord(std::abs(int64_t{ia}));
    case kNegI: return asWord(-int64_t{ia});
    case kSignI: return asWord(int64_t{(ia > 0) - (ia < 0)});
    case kSquareI: return asWord(int64_t{ia} * ia);
    case kReluI: return asWord(int64_t{ia < 0 ? 0 : ia});
    case kClipI: return asWord(int64_t{std::min(std::max(ia, asInt(op.bits0)), asInt(op.bits1))});
    case kLogicalNot: return asWord(ia == 0);
    case kIsNan: return asWord(std::isnan(a));
    case kIsInf: return asWord(std::isinf(a));
    case kIsFinite: return asWord(std::isfinite(a));
    case kAddF: return f(a + b);
    case kSubF: return f(a - b);
    case kMulF: return f(a * b);
    case kDivF: return f(a / b);
    case kFloorDivF: return near(std::floor(da / db));
    case kModF: return near(mathMod(da, db));
    case kPowF: return near(mathPow(da, db));
    case kAtan2: return near(std::atan2(da, db));
    case kMinF: return f(std::isnan(a) || std::isnan(b) ? kNan : a == 0 && b == 0 ? (std::signbit(a) ? a : b) : std::min(a, b));
    case kMaxF: return f(std::isnan(a) || std::isnan(b) ? kNan : a == 0 && b == 0 ? (std::signbit(a) ? b : a) : std::max(a, b));
    case kSquaredDifferenceF: return f((a - b) * (a - b));
    case kAddI: return asWord(int64_t{ia} + ib);
    case kSubI: return asWord(int64_t{ia} - ib);
    case kMulI: return asWord(int64_t{ia} * ib);
    case kFloorDivI: return toInt32(std::floor(static_cast<double>(ia) / ib));
    case kModI: return toInt32(mathMod(ia, ib));
    case kPowI: return toInt32(std::pow(static_cast<double>(ia), ib));
    case kMinI: return asWord(int64_t{std::min(ia, ib)});
    case kMaxI: return asWord(int64_t{std::max(ia, ib)});
    case kSquaredDifferenceI: {
      const uint32_t d = wa - wb;
      return d * d;
    }
    case kAndI: return wa & wb;
    case kEqF: return asWord(a == b);
    case kNeF: return asWord(a != b);
    case kLtF: return asWord(a < b);
    case kLeF: return asWord(a <= b);
    case kGtF: return asWord(a > b);
    case kGeF: return asWord(a >= b);
    case kEqI: return asWord(ia == ib);
    case kNeI: return asWord(ia != ib);
    case kLtI: return asWord(ia < ib);
    case kLeI: return asWord(ia <= ib);
    case kGtI: return asWord(ia > ib);
    case kGeI: return asWord(ia >= ib);
    case kLogicalAnd: return asWord(ia != 0 && ib != 0);
    case kLogicalOr: return asWord(ia != 0 || ib != 0);
    case kSelect: return ia != 0 ? wb : wc;
    case kFloatToInt: return std::isnan(a) ? 0 : asWord(static_cast<int64_t>(a));
    case kIntToFloat: return f(static_cast<float>(ia));
    case kFloatToBool: return asWord(a != 0);
    case kIntToBool: return asWord(ia != 0);
    case kMulAddF: return f(fused ? std::fma(a, b, c) : a * b + c);
    case kMulSubF: return f(fused ? std::fma(a, b, -c) : a * b - c);
    case kNegMulAddF: return f(fused ? std::fma(-a, b, c) : c - a * b);
    case kConst: return op.bits0;
    default: std::abort();
  }
}

bool isFloatInput(int32_t micro) {
  return micro < 40 || (micro >= 50 && micro < 80) || (micro >= 100 && micro <= 105) || micro == kFloatToInt || micro == kFloatToBool || micro >= 130;
}
bool isFloatResult(int32_t micro) {
  return micro < 40 || (micro >= 60 && micro < 80) || micro == kIntToFloat || (micro >= 130 && micro < 140);
}

std::vector<int32_t> allMicros() {
  std::vector<int32_t> list;
  auto range = [&](int32_t from, int32_t to) {
    for (int32_t m = from; m <= to; m++) list.push_back(m);
  };
  range(kAbsF, kStep);
  range(kAbsI, kLogicalNot);
  range(kIsNan, kIsFinite);
  range(kAddF, kSquaredDifferenceF);
  range(kAddI, kAndI);
  range(kEqF, kLogicalOr);
  range(kSelect, kIntToBool);
  range(kMulAddF, kNegMulAddF);
  return list;
}

Words group(const std::vector<int32_t>& dims, const std::vector<Layout>& inputs, const std::vector<std::pair<int, Layout>>& outputs,
            int registers, const std::vector<MicroOp>& micros) {
  Words w{static_cast<int32_t>(dims.size())};
  w = w + Words(dims.begin(), dims.end());
  w.push_back(static_cast<int32_t>(inputs.size()));
  for (const Layout& l : inputs) w = w + l.words();
  w.push_back(static_cast<int32_t>(outputs.size()));
  for (const auto& [reg, l] : outputs) w = w + Words{reg} + l.words();
  w = w + Words{registers, static_cast<int32_t>(micros.size())};
  for (const MicroOp& m : micros)
    w = w + Words{m.micro, m.to, m.a, m.b, m.c, static_cast<int32_t>(m.bits0), static_cast<int32_t>(m.bits1)};
  return w;
}

// What memory should hold afterwards: every output computed from memory as it was before.
Tile expected(const Tile& before, int mode, const std::vector<int32_t>& dims, const std::vector<Layout>& inputs,
              const std::vector<std::pair<int, Layout>>& outputs, int registers, const std::vector<MicroOp>& micros, bool fused) {
  Tile after = before;
  std::vector<uint32_t> reg(static_cast<size_t>(registers));
  eachIndex(dims, [&](const std::vector<int32_t>& index) {
    for (int lane = 0; lane < (mode ? before.lanes : 1); lane++) {
      for (size_t i = 0; i < inputs.size(); i++) reg[i] = before.word(inputs[i].space, inputs[i].at(index), lane);
      bool exact;
      for (const MicroOp& m : micros)
        reg[static_cast<size_t>(m.to)] = evaluate(m, reg[static_cast<size_t>(m.a)], reg[static_cast<size_t>(m.b)],
                                                  reg[static_cast<size_t>(m.c)], fused, exact);
      for (const auto& [r, l] : outputs) after.word(l.space, l.at(index), lane) = reg[static_cast<size_t>(r)];
    }
  });
  return after;
}

void everyMicroOp() {
  const std::vector<float> floats{0.0f, -0.0f, 1, -1, 0.5f, -0.5f, 1.5f, 2.5f, -2.5f, 3.75f, -7.25f, 1e-3f, 100.7f, 88, -88, 1e10f, -1e10f, 1e-30f,
                                  1e38f, kInf, -kInf, kNan, 0.1f, 2, 3, -3, 0.999f, 1.0001f};
  const std::vector<int32_t> ints{0, 1, -1, 2, -2, 3, -3, 7, -7, 10, 31, 46341, 65536, -65537, 123456789, INT32_MAX, INT32_MIN};
  for (const CpuTable* table : tables())
    for (int32_t micro : allMicros()) {
      const bool isFloat = isFloatInput(micro);
      const int values = static_cast<int>(isFloat ? floats.size() : ints.size());
      // All pairs, and a third operand that goes along.
      Tile tile(16);
      int i = 0;
      const int elements = (values * values + 15) / 16;
      auto at = [&](int k) {
        if (micro == kSelect) return static_cast<uint32_t>(k);
        return isFloat ? test::asWord(floats[static_cast<size_t>(k % values)]) : static_cast<uint32_t>(ints[static_cast<size_t>(k % values)]);
      };
      const int32_t a = tile.add(kVarying, elements, [&] { return micro == kSelect ? static_cast<uint32_t>(i++ % 3 == 0) : at(i++); });
      i = 0;
      const int32_t b = tile.add(kVarying, elements, [&] { return at(i++ / values); });
      i = 0;
      const int32_t c = tile.add(kVarying, elements, [&] { return at(i++ * 7 + 3); });
      const int32_t out = tile.add(kVarying, elements, [] { return 0u; });
      const uint32_t bits0 = micro == kClipI ? static_cast<uint32_t>(-3) : test::asWord(-0.75f), bits1 = micro == kClipI ? 1000 : test::asWord(2.0f);
      const MicroOp op{micro, 3, 0, 1, 2, bits0, bits1};
      const std::vector<int32_t> dims{elements};
      const std::vector<Layout> inputs{{kVarying, a, {1}}, {kVarying, b, {1}}, {kVarying, c, {1}}};
      const Tile got = run(*table, tile, instruction(kElementwise, Words{1} + group(dims, inputs, {{3, {kVarying, out, {1}}}}, 4, {op})));
      for (int e = 0; e < elements * 16; e++) {
        const uint32_t wa = tile.word(kVarying, a + e / 16, e % 16), wb = tile.word(kVarying, b + e / 16, e % 16),
                       wc = tile.word(kVarying, c + e / 16, e % 16), g = got.word(kVarying, out + e / 16, e % 16);
        // Casting what int32 can't hold isn't promised.
        if (micro == kFloatToInt && std::fabs(asFloat(wa)) >= 2147483648.0f) continue;
        bool exact;
        const uint32_t want = evaluate(op, wa, wb, wc, fuses(*table), exact);
        bool ok = g == want || (isFloatResult(micro) && std::isnan(asFloat(g)) && std::isnan(asFloat(want)));
        if (!ok && isFloatResult(micro)) {
          const float x = asFloat(g), y = asFloat(want);
          ok = exact ? x == y : std::fabs(x - y) <= 1e-6f * std::fabs(y) || (std::fabs(y) < 1e-37f && std::fabs(x - y) < 1e-37f);
        }
        if (!ok) {
          std::ostringstream text;
          text.precision(9);
          text << table->name << ": micro-op " << micro << " of " << asFloat(wa) << " (" << asInt(wa) << "), " << asFloat(wb) << " (" << asInt(wb)
               << "), " << asFloat(wc) << " is " << asFloat(g) << " (" << asInt(g) << "), expected " << asFloat(want) << " (" << asInt(want) << ")";
          report(__FILE__, __LINE__, text.str());
          break;
        }
      }
    }
}

// Groups of micro-ops whose results are defined to the bit.
void randomGroups() {
  const std::vector<int32_t> unaryF{kAbsF, kNegF, kSquareF, kReluF, kSqrt, kFloor, kSignF, kClipF, kStep}, binaryF{kAddF, kSubF, kMulF, kDivF, kMinF, kMaxF},
      compare{kLtF, kGeF, kEqF}, ternary{kMulAddF, kMulSubF, kNegMulAddF};
  for (const CpuTable* table : tables()) {
    Random random(11);
    for (int trial = 0; trial < 1500; trial++) {
      const int mode = random.chance(0.7);
      const int lanes = random.pick({8, 16, 24, 64, 512, 1000, 1024, 4096});
      Tile tile(lanes);
      std::vector<int32_t> dims;
      const int rank = random.below(5);
      const int64_t most = mode ? std::max(2, 6000 / lanes) : 4000;
      for (int d = 0; d < rank; d++) {
        const int32_t n = random.chance(0.02) ? 0 : random.pick({1, 2, 3, 4, 5, 7, 17, 33, 100});
        if (count(dims) * n <= most) dims.push_back(n);
        else dims.push_back(1);
      }
      auto fill = [&] { return random.chance(0.03) ? test::asWord(random.pick({kNan, kInf, -kInf, 0.0f, -0.0f})) : test::asWord(random.value()); };
      std::vector<Layout> inputs;
      const int n = 1 + random.below(5);
      for (int i = 0; i < n; i++) {
        const int32_t space = mode && random.chance(0.65) ? random.pick({int32_t{kVarying}, int32_t{kState}})
                                                           : random.pick({int32_t{kUniform}, int32_t{kConstant}, int32_t{kData}});
        const bool plain = random.chance(0.5);
        Layout l = tile.operand(space, dims, random, true, plain, fill);
        if (random.chance(0.2)) l.strides.assign(dims.size(), 0);
        inputs.push_back(l);
      }
      // Registers: floats, and bools for select.
      std::vector<int> floats, bools;
      for (int i = 0; i < n; i++) floats.push_back(i);
      std::vector<MicroOp> micros;
      int registers = n;
      const int u = random.below(12);
      auto any = [&](const std::vector<int>& list) { return list[static_cast<size_t>(random.below(static_cast<int>(list.size())))]; };
      for (int i = 0; i < u; i++) {
        MicroOp m{0, registers++, any(floats), any(floats), any(floats), test::asWord(-0.25f), test::asWord(0.5f)};
        const int kind = random.below(6);
        if (kind == 0) m.micro = any(unaryF);
        else if (kind == 1) m.micro = any(ternary);
        else if (kind == 2) m.micro = any(compare);
        else if (kind == 3 && !bools.empty()) m.micro = kSelect, m.a = any(bools);
        else if (kind == 4 && random.chance(0.5)) m = {kConst, m.to, 0, 0, 0, test::asWord(random.value()), 0};
        else m.micro = any(binaryF);
        (kind == 2 ? bools : floats).push_back(m.to);
        micros.push_back(m);
      }
      std::vector<std::pair<int, Layout>> outputs;
      const int k = 1 + random.below(3);
      std::vector<bool> aliased(static_cast<size_t>(n), false);
      for (int i = 0; i < k; i++) {
        const int reg = random.below(registers);
        const int source = random.below(n);
        const Layout& l = inputs[static_cast<size_t>(source)];
        bool whole = !aliased[static_cast<size_t>(source)];
        for (size_t d = 0; d < dims.size(); d++) whole = whole && (l.strides[d] != 0 || dims[d] == 1);
        const bool writable = mode ? l.varying() : l.space == kUniform;
        if (random.chance(0.5) && whole && writable) {
          aliased[static_cast<size_t>(source)] = true;
          outputs.push_back({reg, l});
        } else {
          const int32_t space = mode ? random.pick({int32_t{kVarying}, int32_t{kState}}) : int32_t{kUniform};
          outputs.push_back({reg, tile.operand(space, dims, random, false, random.chance(0.6), fill)});
        }
      }
      const Words words = instruction(kElementwise, Words{mode} + group(dims, inputs, outputs, registers, micros));
      const Tile got = run(*table, tile, words);
      const std::string what = difference(got, expected(tile, mode, dims, inputs, outputs, registers, micros, fuses(*table)));
      if (!what.empty()) {
        std::ostringstream text;
        text << table->name << ": trial " << trial << " mode " << mode << " lanes " << lanes << " dims";
        for (int32_t d : dims) text << ' ' << d;
        report(__FILE__, __LINE__, text.str() + ": " + what);
        if (failures > 10) return;
      }
    }
  }
}

// x -> y and y -> x in place, and an output that overwrites an input which a later micro-op still reads.
void hazards() {
  for (const CpuTable* table : tables())
    for (int mode = 0; mode < 2; mode++)
      for (int rows : {1, 3, 200})
        for (int lanes : {8, 16, 1024}) {
          Tile tile(lanes);
          Random random(5);
          const int32_t space = mode ? kVarying : kUniform;
          auto fill = [&] { return test::asWord(random.value()); };
          const std::vector<int32_t> dims{rows};
          const Layout x = tile.operand(space, dims, random, true, true, fill), y = tile.operand(space, dims, random, true, true, fill);
          auto check = [&](const std::vector<std::pair<int, Layout>>& outputs, int registers, const std::vector<MicroOp>& micros) {
            const Words words = instruction(kElementwise, Words{mode} + group(dims, {x, y}, outputs, registers, micros));
            const std::string what = difference(run(*table, tile, words), expected(tile, mode, dims, {x, y}, outputs, registers, micros, fuses(*table)));
            if (!what.empty()) report(__FILE__, __LINE__, what);
          };
          check({{1, x}, {0, y}}, 2, {});
          check({{2, x}, {3, y}}, 4, {{kAddF, 2, 0, 1, 0, 0, 0}, {kSubF, 3, 0, 1, 0, 0, 0}});
          check({{2, x}}, 4, {{kAddF, 2, 0, 1, 0, 0, 0}, {kMulF, 3, 0, 2, 0, 0, 0}});
          check({{2, x}, {0, y}}, 3, {{kMulAddF, 2, 0, 0, 0, 0, 0}});
          check({{3, x}, {2, y}}, 4, {{kAddF, 2, 0, 1, 0, 0, 0}, {kMulF, 3, 2, 2, 0, 0, 0}});
        }
}

// The same particle gives the same bits in a tile of any width and at any lane.
void lanesDoNotMatter() {
  for (const CpuTable* table : tables()) {
    std::vector<uint32_t> first;
    for (int lanes : {8, 16, 24, 512}) {
      Tile tile(lanes);
      int i = 0;
      const int32_t x = tile.add(kVarying, 3, [&] { return test::asWord(0.37f * static_cast<float>(i++ / lanes) - 0.4f); });
      const int32_t out = tile.add(kVarying, 3, [] { return 0u; });
      const std::vector<MicroOp> micros{{kExp, 1, 0, 0, 0, 0, 0}, {kTanh, 2, 1, 0, 0, 0, 0}, {kPowF, 3, 1, 2, 0, 0, 0}, {kSoftplus, 4, 3, 0, 0, 0, 0}};
      const Tile got = run(*table, tile, instruction(kElementwise, Words{1} + group({3}, {{kVarying, x, {1}}}, {{4, {kVarying, out, {1}}}}, 5, micros)));
      for (int row = 0; row < 3; row++)
        for (int lane = 0; lane < lanes; lane++) {
          const uint32_t word = got.word(kVarying, out + row, lane);
          if (static_cast<int>(first.size()) == row) first.push_back(word);
          CHECK_EQUAL(word, first[static_cast<size_t>(row)]);
        }
    }
  }
}

}  // namespace

int main() {
  return runAll({{"every micro-op", everyMicroOp}, {"random groups", randomGroups}, {"hazards", hazards}, {"lanes do not matter", lanesDoNotMatter}});
}
