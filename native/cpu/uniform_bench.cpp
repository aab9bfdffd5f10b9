// Speed of uniform instructions (mode 0) on tensors of training size, beside plain loops over the same memory in the same run. Built on
// request only:
//   c++ -std=gnu++20 -O3 -march=... native/cpu/uniform_bench.cpp <the kernel objects of that level>
// prints microseconds a run and GB/s of memory read and written; "loop" is what a plain loop reaches on as much memory.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "arena.h"
#include "simd.h"

using namespace unrolled;
using namespace unrolled::UNROLLED_LEVEL;

namespace unrolled::UNROLLED_LEVEL {
extern const CpuTable kTable;
}

namespace {

using Words = std::vector<int32_t>;

Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Seconds of one call: the best of rounds short enough to fit between other processes' turns.
template <class Body>
double best(Body body) {
  int repeats = 1;
  for (;;) {
    const double start = now();
    for (int i = 0; i < repeats; i++) body();
    if (now() - start > 0.0002) break;
    repeats *= 2;
  }
  double least = 1e9, total = 0;
  for (int round = 0; round < 200 && total < 0.15; round++) {
    const double start = now();
    for (int i = 0; i < repeats; i++) body();
    const double t = now() - start;
    total += t;
    if (t / repeats < least) least = t / repeats;
  }
  return least;
}

constexpr size_t kWords = size_t{14} << 20;  // of each space

struct Memory {
  std::unique_ptr<uint32_t, void (*)(void*)> space[2];
  TileContext context{};
  uint32_t* spaces[kExternal] = {};

  static uint32_t* allocate() { return static_cast<uint32_t*>(std::aligned_alloc(4096, kWords * 4)); }
  Memory() : space{{allocate(), std::free}, {allocate(), std::free}} {
    for (size_t i = 0; i < kWords; i++) {
      const float x = static_cast<float>((i * 2654435761u) >> 8 & 0xffff) * 0x1p-17f + 0.25f;
      std::memcpy(space[0].get() + i, &x, 4);
      space[1].get()[i] = 0;
    }
    context.lanes = 8;
    context.space = spaces;
    spaces[kData] = space[0].get();
    spaces[kUniform] = space[1].get();
  }
  double seconds(int32_t opcode, const Words& payload) {
    const Words words = Words{opcode, static_cast<int32_t>(payload.size() + 2)} + payload;
    size_t bytes = 0;
    void* prepared = kTable.prepare(words.data(), words.size(), context.lanes, &bytes);
    std::unique_ptr<void, void (*)(void*)> room(std::aligned_alloc(64, (bytes + 127) & ~size_t{63}), std::free);
    context.scratch = room.get();
    const double t = best([&] { kTable.run(prepared, context); });
    kTable.release(prepared);
    return t;
  }
};

Memory* memory;
void print(const char* name, double seconds, double bytes) { std::printf("%-56s %10.2f us %8.1f GB/s\n", name, seconds * 1e6, bytes / seconds * 1e-9); }
void report(const char* name, int32_t opcode, const Words& payload, double words) { print(name, memory->seconds(opcode, payload), words * 4); }

// A plain loop over `inputs` streams and one output of n words.
void loop(int inputs, int64_t n) {
  const float* a = reinterpret_cast<const float*>(memory->space[0].get());
  const float* b = inputs > 1 ? a + n : a;
  float* c = reinterpret_cast<float*>(memory->space[1].get());
  const double t = best([&] {
    for (int64_t i = 0; i < n; i += W) store(c + i, inputs > 1 ? load(a + i) + load(b + i) : load(a + i) * 1.5f);
    asm volatile("" ::: "memory");
  });
  char name[80];
  std::snprintf(name, sizeof name, "loop: %d inputs, %lld words", inputs, static_cast<long long>(n));
  print(name, t, static_cast<double>(n) * 4 * (inputs + 1));
}
void readLoop(int64_t n) {
  const float* a = reinterpret_cast<const float*>(memory->space[0].get());
  const double t = best([&] {
    vf sum[8] = {};
    for (int64_t i = 0; i < n; i += 8 * W)
      for (int j = 0; j < 8; j++) sum[j] += load(a + i + j * W);
    for (int j = 0; j < 8; j++) asm volatile("" : "+x"(sum[j]));
  });
  char name[80];
  std::snprintf(name, sizeof name, "loop: read %lld words", static_cast<long long>(n));
  print(name, t, static_cast<double>(n) * 4);
}

// dims [rows, columns]; the second operand has the strides given.
Words binary(int32_t rows, int32_t columns, int32_t strideRow, int32_t strideColumn, int32_t micro = kAddF) {
  return {0, 2, rows, columns, 2, kData, 0, columns, 1, kData, rows * columns, strideRow, strideColumn, 1, 2, kUniform, 0, columns, 1, 3, 1, micro, 2, 0, 1, 0, 0, 0};
}
Words unary(int32_t n, int32_t micro) { return {0, 1, n, 1, kData, 0, 1, 1, 1, kUniform, 0, 1, 2, 1, micro, 1, 0, 0, 0, 0, 0}; }
Words reduction(int32_t kind, const Words& out, const Words& reduced, const Words& strides) {
  return Words{0, kind, static_cast<int32_t>(out.size())} + out + Words{static_cast<int32_t>(reduced.size())} + reduced + Words{kData, 0} + strides + Words{kUniform, 0};
}
Words copy(const Words& dims, const Words& from, const Words& to) {
  return Words{0, static_cast<int32_t>(dims.size())} + dims + Words{kData, 0} + from + Words{kUniform, 0} + to;
}

void elementwise() {
  for (const int32_t n : {20, 16384, 4 << 20}) {
    if (n > 20) {
      loop(1, n);
      loop(2, n);
    }
    std::printf("-- %d elements\n", n);
    report("a + b", kElementwise, binary(1, n, n, 1), 3.0 * n);
    report("a + scalar", kElementwise, binary(1, n, 0, 0), 2.0 * n);
    report("relu a", kElementwise, unary(n, kReluF), 2.0 * n);
    report("exp a", kElementwise, unary(n, kExp), 2.0 * n);
    report("tanh a", kElementwise, unary(n, kTanh), 2.0 * n);
    // Momentum and weights: m' = 0.9 m + g, w' = w - 0.1 m'
    report("momentum step", kElementwise,
           {0, 1, n, 3, kData, 0, 1, kUniform, 0, 1, kUniform, n, 1, 2, 5, kUniform, 0, 1, 6, kUniform, n, 1, 7, 4,
            kConst, 3, 0, 0, 0, 0x3f666666, 0, kConst, 4, 0, 0, 0, 0x3dcccccd, 0, kMulAddF, 5, 1, 3, 0, 0, 0, kNegMulAddF, 6, 5, 4, 2, 0, 0},
           5.0 * n);
    for (const int32_t columns : {10, 16, 32, 128, 512}) {
      const int32_t rows = n / columns;
      if (rows < 2) continue;
      char name[80];
      std::snprintf(name, sizeof name, "[%d, %d] + row", rows, columns);
      report(name, kElementwise, binary(rows, columns, 0, 1), 2.0 * rows * columns);
      std::snprintf(name, sizeof name, "[%d, %d] + column", rows, columns);
      report(name, kElementwise, binary(rows, columns, 1, 0), 2.0 * rows * columns);
    }
  }
}

void reductions() {
  readLoop(16384);
  readLoop(4 << 20);
  report("sum of 20", kReduce, reduction(0, {}, {20}, {1}), 20);
  report("sum of 16384", kReduce, reduction(0, {}, {16384}, {1}), 16384);
  report("sum of 4 Mi", kReduce, reduction(0, {}, {4 << 20}, {1}), 4 << 20);
  report("column sums [128, 512]", kReduce, reduction(0, {512}, {128}, {1, 512}), 65536);
  report("row sums [128, 512]", kReduce, reduction(0, {128}, {512}, {512, 1}), 65536);
  report("column sums [128, 10]", kReduce, reduction(0, {10}, {128}, {1, 10}), 1280);
  report("row sums [128, 10]", kReduce, reduction(0, {128}, {10}, {10, 1}), 1280);
  report("row maxima [128, 10]", kReduce, reduction(4, {128}, {10}, {10, 1}), 1280);
  report("row argmax [128, 10]", kReduce, reduction(8, {128}, {10}, {10, 1}), 1280);
  report("argmax of 16384", kReduce, reduction(8, {}, {16384}, {1}), 16384);
  report("row maxima [128, 1000]", kReduce, reduction(4, {128}, {1000}, {1000, 1}), 128000);
  report("row argmax [128, 1000]", kReduce, reduction(8, {128}, {1000}, {1000, 1}), 128000);
  report("channel sums [8, 96, 96, 32]", kReduce, reduction(0, {32}, {8 * 96 * 96}, {1, 32}), 8.0 * 96 * 96 * 32);
  report("channel sums [8, 96, 96, 3]", kReduce, reduction(0, {3}, {8 * 96 * 96}, {1, 3}), 8.0 * 96 * 96 * 3);
  report("image means [8, 48, 48, 64] -> [8, 64]", kReduce, reduction(0, {8, 64}, {48 * 48}, {48 * 48 * 64, 1, 64}), 8.0 * 48 * 48 * 64);
  report("column sums [4096, 1024]", kReduce, reduction(0, {1024}, {4096}, {1, 1024}), 4096.0 * 1024);
  report("row sums [4096, 1024]", kReduce, reduction(0, {4096}, {1024}, {1024, 1}), 4096.0 * 1024);
}

void movement() {
  report("copy of 20", kCopy, copy({20}, {1}, {1}), 40);
  report("copy of 16384", kCopy, copy({16384}, {1}, {1}), 2 * 16384);
  report("copy of 4 Mi", kCopy, copy({4 << 20}, {1}, {1}), 2.0 * (4 << 20));
  report("transpose [128, 10]", kCopy, copy({10, 128}, {1, 10}, {128, 1}), 2 * 1280);
  report("transpose [128, 512]", kCopy, copy({512, 128}, {1, 512}, {128, 1}), 2 * 65536);
  report("transpose [128, 784]", kCopy, copy({784, 128}, {1, 784}, {128, 1}), 2 * 128 * 784);
  report("transpose [2048, 2048]", kCopy, copy({2048, 2048}, {1, 2048}, {2048, 1}), 2.0 * (4 << 20));
  report("transpose 0132 of [8, 32, 32, 64]", kCopy, copy({8, 64, 32, 32}, {65536, 1, 2048, 64}, {65536, 1024, 32, 1}), 2.0 * 8 * 32 * 32 * 64);
  report("transpose 0213 of [8, 32, 12, 64]", kCopy, copy({8, 12, 32, 64}, {24576, 64, 768, 1}, {24576, 2048, 64, 1}), 2.0 * 8 * 32 * 12 * 64);
  report("broadcast [512] to [128, 512]", kCopy, copy({128, 512}, {0, 1}, {512, 1}), 65536);
  report("broadcast [128, 1] to [128, 512]", kCopy, copy({128, 512}, {1, 0}, {512, 1}), 65536);
  report("columns 3..12 of [128, 20]", kCopy, copy({128, 10}, {20, 1}, {10, 1}), 2 * 1280);
  report("pad [8, 30, 30, 16] to 32 x 32", kCopy, copy({8, 30, 480}, {14400, 480, 1}, {16384, 512, 1}), 2.0 * 8 * 14400);
  report("every second of 16384", kCopy, copy({16384}, {2}, {1}), 2 * 16384);
  report("fill of 20", kFill, {0, 1, 20, kUniform, 0, 1, 0}, 20);
  report("fill of 4 Mi", kFill, {0, 1, 4 << 20, kUniform, 0, 1, 0}, 4 << 20);
  for (int32_t i = 0; i < 100000; i++) memory->space[1].get()[(8 << 20) + i] = (static_cast<uint32_t>(i) * 2654435761u >> 8) % 1000;
  report("rows of [1000, 64] by 10000 indices", kGather, {0, 0, 1, 1, 1000, 64, 10000, kData, 0, 0, 0, 64, 1, kUniform, 8 << 20, 0, 1, kUniform, 0}, 2.0 * 640000);
  report("elements of [1000] by 10000 indices", kGather, {0, 0, 1, 1, 1000, 1, 10000, kData, 0, 0, 0, 1, 1, kUniform, 8 << 20, 0, 1, kUniform, 0}, 2.0 * 10000);
  report("columns of [128, 1000] by 100 indices", kGather, {0, 0, 1, 128, 1000, 1, 100, kData, 0, 0, 1000, 1, 1, kUniform, 8 << 20, 0, 1, kUniform, 0}, 2.0 * 12800);
  report("segment sums of [10000, 64] into 1000", kSegmentSum, {0, 0, 10000, 64, 1000, kData, 0, 64, 1, kUniform, 8 << 20, 1, kUniform, 0}, 3.0 * 640000);
  report("segment sums of [10000] into 1000", kSegmentSum, {0, 0, 10000, 1, 1000, kData, 0, 1, 1, kUniform, 8 << 20, 1, kUniform, 0}, 2.0 * 10000);
  report("cumsum of 16384", kCumsum, {0, 0, 0, 0, 1, 16384, 1, kData, 0, 0, 1, 1, kUniform, 0}, 2 * 16384);
  report("cumsum [128, 512] along columns", kCumsum, {0, 0, 0, 0, 1, 128, 512, kData, 0, 0, 512, 1, kUniform, 0}, 2 * 65536);
  report("cumsum [128, 512] along rows", kCumsum, {0, 0, 0, 0, 128, 512, 1, kData, 0, 512, 1, 1, kUniform, 0}, 2 * 65536);
}

void windowsAndSorts() {
  const auto pool = [](int32_t batch, int32_t size, int32_t channels, int32_t window, int32_t stride) {
    const int32_t out = (size + stride - 1) / stride, pad = window > stride ? (window - stride) / 2 : 0;
    return Words{batch, 1, size, size, channels, 1, window, window, 1, out, out, 1, stride, stride, 1, 1, 1, 0, pad, pad};
  };
  struct Case {
    const char* name;
    int32_t batch, size, channels, window, stride;
  };
  for (const Case& c : {Case{"[64, 28, 28, 16] by 2 x 2", 64, 28, 16, 2, 2}, Case{"[8, 96, 96, 32] by 3 x 3, stride 1", 8, 96, 32, 3, 1},
                        Case{"[64, 28, 28, 1] by 2 x 2", 64, 28, 1, 2, 2}, Case{"[8, 96, 96, 1] by 3 x 3, stride 1", 8, 96, 1, 3, 1}}) {
    const int32_t out = (c.size + c.stride - 1) / c.stride;
    const double in = double(c.batch) * c.size * c.size * c.channels, outs = double(c.batch) * out * out * c.channels;
    char name[80];
    for (const int32_t kind : {0, 1}) {
      std::snprintf(name, sizeof name, "%s %s", kind ? "sum" : "max", c.name);
      report(name, kWindow, Words{0, kind} + pool(c.batch, c.size, c.channels, c.window, c.stride) + Words{kData, 0, kUniform, 0}, in + outs);
      std::snprintf(name, sizeof name, "gradient of %s %s", kind ? "sum" : "max", c.name);
      report(name, kWindowGrad, Words{0, kind} + pool(c.batch, c.size, c.channels, c.window, c.stride) + Words{kData, 0, kData, 5 << 20, kUniform, 0}, (kind ? 1 : 2) * in + outs);
    }
  }
  for (const int32_t n : {10, 100, 1000, 1000000}) {
    char name[80];
    std::snprintf(name, sizeof name, "argsort of %d", n);
    report(name, kArgSort, {0, 0, 0, 1, n, kData, 0, kUniform, 0}, 2.0 * n);
  }
  // A positive definite matrix: 1 on the diagonal, small elsewhere.
  for (const int32_t n : {8, 64, 512}) {
    float* a = reinterpret_cast<float*>(memory->space[1].get()) + (4 << 20);
    for (int32_t i = 0; i < n; i++)
      for (int32_t j = 0; j < n; j++) a[i * n + j] = i == j ? 1.0f : 0.3f / static_cast<float>(1 + (i > j ? i - j : j - i));
    char name[80];
    const double cube = double(n) * n * n;
    std::snprintf(name, sizeof name, "cholesky %d", n);
    const double c = memory->seconds(kCholesky, {0, 1, n, kUniform, 4 << 20, kUniform, 0});
    std::printf("%-56s %10.2f us %8.2f GFLOP/s\n", name, c * 1e6, cube / 3 / c * 1e-9);
    std::snprintf(name, sizeof name, "triangular solve %d x %d", n, n);
    const double s = memory->seconds(kTriangularSolve, {0, 1, 0, 1, n, n, kUniform, 4 << 20, kData, 0, kUniform, 0});
    std::printf("%-56s %10.2f us %8.2f GFLOP/s\n", name, s * 1e6, cube / s * 1e-9);
    std::snprintf(name, sizeof name, "symmetric eigen %d", n);
    std::printf("%-56s %10.2f us\n", name, memory->seconds(kSymmetricEigen, {0, 1, n, kUniform, 4 << 20, kUniform, 0}) * 1e6);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const auto all = std::make_unique<Memory>();
  memory = all.get();
  const std::string_view only = count > 1 ? arguments[1] : "";
  if (only.empty() || only == "elementwise") elementwise();
  if (only.empty() || only == "reductions") reductions();
  if (only.empty() || only == "movement") movement();
  if (only.empty() || only == "windows") windowsAndSorts();
  return 0;
}
