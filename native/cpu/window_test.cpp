// WINDOW and WINDOW_GRAD against loops over all positions in float64.
#include "test_tile.h"

#include <limits>

using namespace unrolled;
using namespace unrolled::test;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

struct Geometry {
  int32_t batch, in[3], channels, window[3], out[3], stride[3], dilation[3], padding[3];

  Words words() const {
    Words w{batch, in[0], in[1], in[2], channels};
    for (const int32_t* triple : {window, out, stride, dilation, padding}) w = w + Words{triple[0], triple[1], triple[2]};
    return w;
  }
  int32_t inputs() const { return batch * in[0] * in[1] * in[2] * channels; }
  int32_t outputs() const { return batch * out[0] * out[1] * out[2] * channels; }
};

// Calls body(output element, input element) for all places of all windows, those of a window in row-major order.
template <class Body>
void eachPlace(const Geometry& g, Body body) {
  eachIndex({g.batch, g.out[0], g.out[1], g.out[2], g.channels, g.window[0], g.window[1], g.window[2]}, [&](const std::vector<int32_t>& i) {
    int64_t from = i[0], to = i[0];
    for (size_t d = 0; d < 3; d++) {
      const int32_t at = i[1 + d] * g.stride[d] - g.padding[d] + i[5 + d] * g.dilation[d];
      if (at < 0 || at >= g.in[d]) return;
      from = from * g.in[d] + at;
      to = to * g.out[d] + i[1 + d];
    }
    body(to * g.channels + i[4], from * g.channels + i[4]);
  });
}

Geometry someGeometry(Random& random, int lanes) {
  for (;;) {
    Geometry g{};
    g.batch = random.chance(0.03) ? 0 : 1 + random.below(2);
    g.channels = random.pick({1, 1, 2, 3, 8, 11, 16, 35});
    for (int d = 0; d < 3; d++) {
      const bool flat = d == 0 ? random.chance(0.7) : random.chance(0.2);
      g.in[d] = flat ? 1 : random.pick({2, 3, 5, 8, 13, 20});
      g.window[d] = random.chance(0.02) ? 0 : flat ? 1 : random.pick({1, 2, 3, 4});
      g.stride[d] = random.pick({1, 1, 2, 3});
      g.dilation[d] = random.pick({1, 1, 2});
      g.padding[d] = random.below(4) - 1;
      g.out[d] = random.chance(0.02) ? 0 : flat ? 1 : random.pick({1, 2, 4, 7, 12});  // some windows wholly outside
    }
    const int64_t work = int64_t{g.outputs()} * g.window[0] * g.window[1] * g.window[2];
    if ((work + g.inputs()) * lanes < 120000) return g;
  }
}

struct Trial {
  Geometry g;
  Tile tile;
  int mode, lanes;
  int32_t outSpace;

  Trial(Random& random, int tileLanes) : tile(tileLanes), lanes(tileLanes) {
    mode = random.chance(0.6);
    g = someGeometry(random, mode ? lanes : 1);
    outSpace = mode ? random.pick({int32_t{kVarying}, int32_t{kState}}) : int32_t{kUniform};
  }
  template <class Fill>
  Layout operand(Random& random, int32_t elements, Fill fill) {
    Layout layout;
    layout.space = mode && random.chance(0.7) ? random.pick({int32_t{kVarying}, int32_t{kState}, int32_t{kPrimal}}) : random.pick({int32_t{kConstant}, int32_t{kData}});
    layout.offset = tile.add(layout.space, elements, fill);
    return layout;
  }
  int32_t output(int32_t elements) {
    const int32_t offset = tile.add(outSpace, elements, [] { return 0x12345678u; });
    tile.add(outSpace, 1, [] { return 0x9abcdefu; });
    return offset;
  }
  int width() const { return mode ? lanes : 1; }
};

float read(const Tile& tile, const Layout& layout, int64_t element, int lane) { return asFloat(tile.word(layout.space, layout.offset + element, lane)); }

// Sums may be rounded otherwise than the float64 ones that stand in `want`: what is close is taken as equal.
void allow(Tile& want, const Tile& got, int32_t space, int64_t at, int lane, double sum, double magnitude) {
  uint32_t& to = want.word(space, at, lane);
  to = asWord(static_cast<float>(sum));
  const float g = asFloat(got.word(space, at, lane));
  if (std::fabs(static_cast<double>(g) - sum) <= 1e-6 * magnitude) to = asWord(g);
}

void compare(const CpuTable& table, const char* name, int number, const Trial& trial, const Tile& got, const Tile& want) {
  const std::string what = difference(got, want);
  if (what.empty()) return;
  std::ostringstream text;
  text << table.name << ": " << name << ", trial " << number << " mode " << trial.mode << " lanes " << trial.lanes << " geometry";
  for (int32_t word : trial.g.words()) text << ' ' << word;
  report(__FILE__, __LINE__, text.str() + ": " + what);
}

uint32_t someValue(Random& random) {
  if (random.chance(0.03)) return asWord(random.pick({kNan, kInf, -kInf, -0.0f}));
  return asWord(random.chance(0.5) ? std::round(random.value() * 3) : random.value());
}

void forward() {
  for (const CpuTable* table : tables()) {
    Random random(31);
    for (int number = 0; number < 500; number++) {
      Trial trial(random, random.pick({8, 16, 24, 40}));
      const Geometry& g = trial.g;
      const bool sum = random.chance(0.5);
      const Layout x = trial.operand(random, g.inputs(), [&] { return sum ? asWord(random.value()) : someValue(random); });
      const int32_t y = trial.output(g.outputs());
      const Tile got = run(*table, trial.tile, instruction(kWindow, Words{trial.mode, sum} + g.words() + x.words() + Words{trial.outSpace, y}));
      Tile want = trial.tile;
      for (int lane = 0; lane < trial.width(); lane++) {
        std::vector<double> result(static_cast<size_t>(g.outputs()), sum ? 0.0 : -static_cast<double>(kInf)), magnitude(result.size(), 0.0);
        eachPlace(g, [&](int64_t o, int64_t i) {
          const double value = read(trial.tile, x, i, lane);
          double& to = result[static_cast<size_t>(o)];
          if (sum) to += value;
          else if (std::isnan(value) || value > to) to = std::isnan(to) ? to : value;
          magnitude[static_cast<size_t>(o)] += std::fabs(value);
        });
        for (int32_t o = 0; o < g.outputs(); o++) {
          const size_t s = static_cast<size_t>(o);
          allow(want, got, trial.outSpace, y + o, lane, result[s], sum ? magnitude[s] : 0);
          if (!sum && result[s] == 0 && asFloat(got.word(trial.outSpace, y + o, lane)) == 0) want.word(trial.outSpace, y + o, lane) = got.word(trial.outSpace, y + o, lane);
        }
      }
      compare(*table, sum ? "sum" : "max", number, trial, got, want);
      if (failures > 5) return;
    }
  }
}

void backward() {
  for (const CpuTable* table : tables()) {
    Random random(32);
    for (int number = 0; number < 500; number++) {
      Trial trial(random, random.pick({8, 16, 24, 40}));
      const Geometry& g = trial.g;
      const bool sum = random.chance(0.4);
      const Layout dy = trial.operand(random, g.outputs(), [&] { return asWord(random.value()); });
      const Layout x = sum ? dy : trial.operand(random, g.inputs(), [&] { return someValue(random); });
      const int32_t dx = trial.output(g.inputs());
      const Tile got = run(*table, trial.tile, instruction(kWindowGrad, Words{trial.mode, sum} + g.words() + x.words() + dy.words() + Words{trial.outSpace, dx}));
      Tile want = trial.tile;
      for (int lane = 0; lane < trial.width(); lane++) {
        std::vector<double> result(static_cast<size_t>(g.inputs()), 0.0), magnitude(result.size(), 0.0);
        std::vector<int64_t> winner(static_cast<size_t>(g.outputs()), -1);
        const auto give = [&](int64_t o, int64_t i) {
          const double value = read(trial.tile, dy, o, lane);
          result[static_cast<size_t>(i)] += value;
          magnitude[static_cast<size_t>(i)] += std::fabs(value);
        };
        eachPlace(g, [&](int64_t o, int64_t i) {
          if (sum) return give(o, i);
          int64_t& best = winner[static_cast<size_t>(o)];
          const float value = read(trial.tile, x, i, lane), old = best < 0 ? 0 : read(trial.tile, x, best, lane);
          if (best < 0 || (!std::isnan(old) && (std::isnan(value) || value > old))) best = i;
        });
        for (size_t o = 0; o < winner.size(); o++)
          if (winner[o] >= 0) give(static_cast<int64_t>(o), winner[o]);
        for (int32_t i = 0; i < g.inputs(); i++) allow(want, got, trial.outSpace, dx + i, lane, result[static_cast<size_t>(i)], magnitude[static_cast<size_t>(i)]);
      }
      compare(*table, sum ? "gradient of sum" : "gradient of max", number, trial, got, want);
      if (failures > 5) return;
    }
  }
}

}  // namespace

int main() { return runAll({{"maxima and sums", forward}, {"gradients", backward}}); }
