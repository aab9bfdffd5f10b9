// For the kernels' tests: a tile's memory, operands scattered through it in every layout, and one instruction run on it at every
// instruction level that this processor has.
#pragma once
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

#include "test/check.h"
#include "isa.h"
#include "test/test_program.h"

namespace unrolled::test {

inline float asFloat(uint32_t word) { return std::bit_cast<float>(word); }
inline uint32_t asWord(float value) { return std::bit_cast<uint32_t>(value); }

// Levels to test: all that run here, or the one that the test was compiled for.
inline std::vector<const CpuTable*> tables() {
  std::vector<const CpuTable*> list;
  for (const Level& level : levels()) {
#if defined(UNROLLED_LEVEL)
    if (level.table != &unrolled::UNROLLED_LEVEL::kTable) continue;
#endif
    if (level.supported) list.push_back(level.table);
  }
  return list;
}
inline bool fuses(const CpuTable& table) { return std::string(table.name) != "base"; }

// Memory that is aligned as the engine's is, exactly as long as asked for.
class Aligned {
 public:
  explicit Aligned(size_t bytes) : bytes_(bytes) {
    if (posix_memalign(&memory_, 64, bytes ? bytes : 1) != 0) std::abort();
    if (bytes) std::memset(memory_, 0, bytes);
  }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  ~Aligned() { std::free(memory_); }
  void* get() const { return memory_; }

 private:
  void* memory_ = nullptr;
  size_t bytes_;
};

struct Random {
  std::mt19937 engine;
  explicit Random(uint32_t seed) : engine(seed) {}
  int below(int n) { return static_cast<int>(engine() % static_cast<uint32_t>(n)); }
  bool chance(double p) { return static_cast<double>(engine()) * 0x1p-32 < p; }
  float value() { return static_cast<float>(static_cast<double>(engine()) * 0x1p-31 - 1.0); }
  template <class T>
  T pick(std::initializer_list<T> list) { return list.begin()[below(static_cast<int>(list.size()))]; }
};

// Where an operand's elements are: offset + sum of index * stride, in rows (varying spaces) or words.
struct Layout {
  int32_t space = 0;
  int32_t offset = 0;
  std::vector<int32_t> strides;

  Words words() const {
    Words w{space, offset};
    w.insert(w.end(), strides.begin(), strides.end());
    return w;
  }
  int64_t at(const std::vector<int32_t>& index) const {
    int64_t p = offset;
    for (size_t d = 0; d < strides.size(); d++) p += int64_t{strides[d]} * index[d];
    return p;
  }
  bool varying() const { return space == kVarying || space == kState; }
};

inline int64_t count(const std::vector<int32_t>& dims) {
  int64_t n = 1;
  for (int32_t d : dims) n *= d;
  return n;
}

// Calls body(index) for all indices in row-major order.
template <class Body>
void eachIndex(const std::vector<int32_t>& dims, Body body) {
  if (count(dims) == 0) return;
  std::vector<int32_t> index(dims.size(), 0);
  for (;;) {
    body(index);
    int d = static_cast<int>(dims.size()) - 1;
    for (; d >= 0; d--) {
      if (++index[static_cast<size_t>(d)] < dims[static_cast<size_t>(d)]) break;
      index[static_cast<size_t>(d)] = 0;
    }
    if (d < 0) return;
  }
}

struct Tile {
  int lanes;
  std::vector<uint32_t> space[kExternal];

  explicit Tile(int lanes_) : lanes(lanes_) {}
  int64_t row(int32_t s) const { return s == kVarying || s == kState || s == kPrimal ? lanes : 1; }

  // Room for `elements` rows or words at the end of a space, filled with what `fill` gives; returns the offset.
  template <class Fill>
  int32_t add(int32_t s, int64_t elements, Fill fill) {
    const int32_t offset = static_cast<int32_t>(static_cast<int64_t>(space[s].size()) / row(s));
    for (int64_t i = 0; i < elements * row(s); i++) space[s].push_back(fill());
    return offset;
  }
  uint32_t word(int32_t s, int64_t at, int lane) const {
    return row(s) == 1 ? space[s][static_cast<size_t>(at)] : space[s][static_cast<size_t>(at * lanes + lane)];
  }
  uint32_t& word(int32_t s, int64_t at, int lane) {
    return row(s) == 1 ? space[s][static_cast<size_t>(at)] : space[s][static_cast<size_t>(at * lanes + lane)];
  }

  // An operand of these dims in a random layout: dims permuted, rows of padding, reversed axes, and (for inputs) broadcast axes.
  template <class Fill>
  Layout operand(int32_t s, const std::vector<int32_t>& dims, Random& random, bool input, bool plain, Fill fill) {
    Layout layout;
    layout.space = s;
    layout.strides.assign(dims.size(), 0);
    std::vector<size_t> order(dims.size());
    for (size_t d = 0; d < order.size(); d++) order[d] = d;
    if (!plain) std::shuffle(order.begin(), order.end(), random.engine);
    int64_t stride = 1, start = 0;
    for (size_t i = order.size(); i-- > 0;) {
      const size_t d = order[i];
      if (input && !plain && random.chance(0.3)) continue;  // broadcast
      const bool reversed = !plain && random.chance(0.15);
      layout.strides[d] = static_cast<int32_t>(reversed ? -stride : stride);
      if (reversed && dims[d] > 0) start += stride * (dims[d] - 1);
      stride *= dims[d];
      if (!plain && random.chance(0.2)) stride += 1;
    }
    layout.offset = static_cast<int32_t>(add(s, stride + 1, fill) + start);
    return layout;
  }
};

struct Context {
  uint32_t key0 = 1, key1 = 2, step = 3, particle0 = 0, pairs = 0;
  std::vector<int32_t> fresh;
  bool allFresh = false;
};

// Runs the instructions on a copy of the tile's memory and returns that copy.
inline Tile run(const CpuTable& table, const Tile& tile, const Words& words, const Context& with = {}) {
  Tile after = tile;
  TileContext context{};
  uint32_t* spaces[kExternal];
  context.space = spaces;
  std::vector<std::unique_ptr<Aligned>> memory;
  for (int s = 0; s < kExternal; s++) {
    memory.push_back(std::make_unique<Aligned>(tile.space[s].size() * 4));
    spaces[s] = static_cast<uint32_t*>(memory.back()->get());
    if (!tile.space[s].empty()) std::memcpy(spaces[s], tile.space[s].data(), tile.space[s].size() * 4);
  }
  context.lanes = tile.lanes;
  context.key0 = with.key0;
  context.key1 = with.key1;
  context.step = with.step;
  context.particle0 = with.particle0;
  context.pairs = with.pairs;
  context.fresh = with.fresh.data();
  context.allFresh = with.allFresh;
  size_t scratchBytes = 0;
  void* prepared = table.prepare(words.data(), words.size(), tile.lanes, &scratchBytes);
  if (!prepared) std::abort();
  Aligned scratch(scratchBytes);
  if (scratchBytes) std::memset(scratch.get(), 0xff, scratchBytes);  // NaN: nothing may be read before it is written
  context.scratch = scratch.get();
  table.run(prepared, context);
  table.release(prepared);
  for (int s = 0; s < 5; s++)
    if (!tile.space[s].empty()) std::memcpy(after.space[s].data(), context.space[s], tile.space[s].size() * 4);
  return after;
}

// The first word of all memory in which two tiles differ, as text; empty when they agree. NaNs are all equal.
inline std::string difference(const Tile& got, const Tile& expected) {
  for (int s = 0; s < 5; s++)
    for (size_t i = 0; i < got.space[s].size(); i++) {
      const uint32_t a = got.space[s][i], b = expected.space[s][i];
      if (a == b || (std::isnan(asFloat(a)) && std::isnan(asFloat(b)))) continue;
      std::ostringstream text;
      text.precision(9);
      const int64_t row = got.row(s);
      text << "space " << s << " row " << static_cast<int64_t>(i) / row << " lane " << static_cast<int64_t>(i) % row << ": " << asFloat(a) << " (0x" << std::hex << a
           << "), expected " << asFloat(b) << " (0x" << b << ")";
      return text.str();
    }
  return {};
}

}  // namespace unrolled::test
