// Speed of single instructions, beside the processor's multiply-add peak measured in the same run. Built on request only:
//   c++ -std=gnu++20 -O3 -march=... native/cpu/bench.cpp <the kernel objects of that level>
// prints GFLOP/s (products), ns a run (the rest), and the fraction of the peak.
#include <ctime>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
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

// Of this process: what else runs on the machine doesn't count.
double now() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Seconds of one call: the best of many rounds that are long enough to be timed and short enough to fit between other
// processes' turns.
template <class Body>
double best(Body body) {
  int repeats = 1;
  for (;;) {
    const double start = now();
    for (int i = 0; i < repeats; i++) body();
    if (now() - start > 0.0003) break;
    repeats *= 2;
  }
  double least = 1e9;
  for (int round = 0; round < 60; round++) {
    const double start = now();
    for (int i = 0; i < repeats; i++) body();
    const double t = (now() - start) / repeats;
    if (t < least) least = t;
  }
  return least;
}

double peak() {
  vf sum[12];
  for (int j = 0; j < 12; j++) sum[j] = splat(static_cast<float>(j));
  vf a = splat(0.999f), b = splat(0.001f);
  asm volatile("" : "+x"(a), "+x"(b));
  const int64_t steps = 20000;
  const double t = best([&] {
    for (int64_t i = 0; i < steps; i++) {
#pragma GCC unroll 12
      for (int j = 0; j < 12; j++) sum[j] = fma(sum[j], a, b);
    }
    for (int j = 0; j < 12; j++) asm volatile("" : "+x"(sum[j]));
  });
  return static_cast<double>(steps) * 12 * W * 2 / t * 1e-9;
}

struct Bench {
  TileContext context{};
  uint32_t* spaces[kExternal] = {};
  std::vector<std::unique_ptr<void, void (*)(void*)>> owned;
  float* memory(size_t words) {
    void* p = std::aligned_alloc(64, (words * 4 + 4095) / 4096 * 4096 + 4096);
    owned.emplace_back(p, std::free);
    float* f = static_cast<float*>(p);
    for (size_t i = 0; i < words; i++) f[i] = static_cast<float>((i * 2654435761u) >> 8 & 0xffff) * 0x1p-17f - 0.25f;
    return f;
  }
  Bench(int lanes, size_t rows, size_t uniform) {
    context.lanes = lanes;
    context.space = spaces;
    spaces[kVarying] = reinterpret_cast<uint32_t*>(memory(rows * static_cast<size_t>(lanes)));
    spaces[kData] = reinterpret_cast<uint32_t*>(memory(uniform));
    spaces[kUniform] = reinterpret_cast<uint32_t*>(memory(uniform));
  }
  double seconds(Words payload, int32_t opcode) {
    Words words{opcode, static_cast<int32_t>(payload.size() + 2)};
    words.insert(words.end(), payload.begin(), payload.end());
    size_t scratch = 0;
    void* prepared = kTable.prepare(words.data(), words.size(), context.lanes, &scratch);
    context.scratch = memory(scratch / 4 + 16);
    const double t = best([&] { kTable.run(prepared, context); });
    kTable.release(prepared);
    return t;
  }
};

double peakRate;

void reportProduct(const char* name, int32_t m, int32_t k, int32_t n, int lanes, double seconds) {
  const double rate = 2.0 * m * k * n * lanes / seconds * 1e-9;
  std::printf("%-58s %4d lanes  %9.2f us  %7.1f GFLOP/s  %5.1f %%\n", name, lanes, seconds * 1e6, rate, 100 * rate / peakRate);
}

// A and B each uniform or varying; transposed operands by their strides.
void product(int32_t m, int32_t k, int32_t n, bool uniformA, bool uniformB, bool transposeA, bool transposeB, int lanes) {
  const int mode = !(uniformA && uniformB);
  Bench bench(lanes, static_cast<size_t>(m) * k + static_cast<size_t>(k) * n + static_cast<size_t>(m) * n,
              static_cast<size_t>(m) * k + static_cast<size_t>(k) * n + static_cast<size_t>(m) * n);
  const double t = bench.seconds({mode, 0, m, n, k, uniformA ? kData : kVarying, 0, transposeA ? 1 : k, transposeA ? m : 1, uniformB ? kData : kVarying,
                                  uniformB ? (uniformA ? m * k : 0) : m * k, transposeB ? 1 : n, transposeB ? k : 1, mode ? kVarying : kUniform,
                                  mode ? m * k + k * n : 0, n, 1},
                                 kMatmul);
  char name[80];
  std::snprintf(name, sizeof name, "matmul %dx%dx%d %s%s x %s%s", m, k, n, uniformA ? "uniform" : "varying", transposeA ? "^T" : "",
                uniformB ? "uniform" : "varying", transposeB ? "^T" : "");
  reportProduct(name, m, k, n, mode ? lanes : 1, t);
}

// A convolution of images of size x size with a square filter, padded to keep the size (stride 1) or halve it (stride 2).
void convolution(int32_t kind, bool depthwise, int32_t batch, int32_t size, int32_t c, int32_t taps, int32_t stride, int32_t f, int mode, bool uniformX,
                 bool uniformFilter, int lanes) {
  const int32_t out = (size + stride - 1) / stride, y = depthwise ? c * f : f;
  const int32_t words[3] = {batch * size * size * c, taps * taps * c * f, batch * out * out * y};
  const int32_t rows[3] = {batch * out * out, batch * size * size, taps * taps * c};
  const int which[3][3] = {{0, 1, 2}, {2, 1, 0}, {0, 2, 1}};
  const bool uniform[3] = {uniformX, uniformFilter, mode == 0};
  const size_t all = static_cast<size_t>(words[0]) + static_cast<size_t>(words[1]) + static_cast<size_t>(words[2]);
  Bench bench(lanes, mode ? all : 1, all);
  Words payload{mode, kind, depthwise, batch, 1, size, size, c, 1, taps, taps, 1, out, out, 1, stride, stride, 1, 1, 1, 0, taps / 2, taps / 2, f};
  for (int i = 0; i < 3; i++) {
    const int operand = which[kind][i];
    const bool one = mode == 0 || (i < 2 && uniform[operand]);
    payload.insert(payload.end(), {one ? (i == 2 ? int32_t{kUniform} : int32_t{kData}) : int32_t{kVarying},
                                   operand == 0 ? 0 : operand == 1 ? words[0] : words[0] + words[1]});
  }
  payload.insert(payload.end(), {0, rows[kind]});
  const double t = bench.seconds(payload, kConv);
  char name[96];
  const char* kinds[] = {"", " dx", " dw"};
  std::snprintf(name, sizeof name, "%s%s %dx%d s%d %dx%dx%d -> %d batch %d%s%s", depthwise ? "depthwise" : "conv", kinds[kind], taps, taps, stride, size, size,
                c, f, batch, mode && uniformX ? " x uniform" : "", mode && uniformFilter ? " filter uniform" : "");
  // Without what falls on the padding it is a little less.
  reportProduct(name, batch * out * out, taps * taps * (depthwise ? 1 : c), y, mode ? lanes : 1, t);
}

// w -= rate * (A B) in place; rate is one row.
void update(int32_t m, int32_t k, int32_t n, bool uniformA, bool transposeA, int lanes) {
  Bench bench(lanes, static_cast<size_t>(m) * k + static_cast<size_t>(k) * n + static_cast<size_t>(m) * n + 1, static_cast<size_t>(m) * k);
  const int32_t w = m * k + k * n, rate = w + m * n;
  for (int i = 0; i < lanes; i++) bench.context.space[kVarying][static_cast<size_t>(rate) * static_cast<size_t>(lanes) + static_cast<size_t>(i)] = 0x3089705f;
  const double t = bench.seconds({1, m, n, k, uniformA ? kData : kVarying, 0, transposeA ? 1 : k, transposeA ? m : 1, kVarying, m * k, n, 1,
                                  2, m, n, 3, -1, 0, 0, 0, kVarying, w, n, 1, kVarying, rate, 0, 0, 1, 3, kVarying, w, n, 1, 4, 1, kNegMulAddF, 3, 2, 0, 1, 0, 0},
                                 kMatmulElementwise);
  char name[80];
  std::snprintf(name, sizeof name, "w -= r * %dx%dx%d %s%s x varying", m, k, n, uniformA ? "uniform" : "varying", transposeA ? "^T" : "");
  reportProduct(name, m, k, n, lanes, t);
}

// relu(A B + bias), everything uniform: the work of one copy.
void uniformLayer(int32_t m, int32_t k, int32_t n) {
  const int32_t out = m * k + k * n, bias = out + m * n;
  Bench bench(8, 1, static_cast<size_t>(bias + n));
  const double t = bench.seconds({0, m, n, k, kData, 0, k, 1, kData, m * k, n, 1,
                                  2, m, n, 2, -1, 0, 0, 0, kData, bias, 0, 1, 1, 3, kUniform, out, n, 1, 4, 2, kAddF, 2, 0, 1, 0, 0, 0, kReluF, 3, 2, 0, 0, 0, 0},
                                 kMatmulElementwise);
  char name[80];
  std::snprintf(name, sizeof name, "relu(%dx%dx%d + bias), all uniform", m, k, n);
  reportProduct(name, m, k, n, 1, t);
}
// w -= rate * (A^T B), everything uniform.
void uniformUpdate(int32_t m, int32_t k, int32_t n) {
  const int32_t w = m * k + k * n, rate = w + m * n;
  Bench bench(8, 1, static_cast<size_t>(rate + 1));
  bench.context.space[kUniform][rate] = 0x3089705f;
  const double t = bench.seconds({0, m, n, k, kData, 0, 1, m, kData, m * k, n, 1,
                                  2, m, n, 3, -1, 0, 0, 0, kUniform, w, n, 1, kUniform, rate, 0, 0, 1, 3, kUniform, w, n, 1, 4, 1, kNegMulAddF, 3, 2, 0, 1, 0, 0},
                                 kMatmulElementwise);
  char name[80];
  std::snprintf(name, sizeof name, "w -= r * %dx%dx%d ^T, all uniform", m, k, n);
  reportProduct(name, m, k, n, 1, t);
}

// relu(A B + bias)
void layer(int32_t m, int32_t k, int32_t n, bool uniformA, int lanes) {
  Bench bench(lanes, static_cast<size_t>(m) * k + static_cast<size_t>(k) * n + static_cast<size_t>(m) * n + static_cast<size_t>(n), static_cast<size_t>(m) * k);
  const int32_t out = m * k + k * n, bias = out + m * n;
  const double t = bench.seconds({1, m, n, k, uniformA ? kData : kVarying, 0, k, 1, kVarying, m * k, n, 1,
                                  2, m, n, 2, -1, 0, 0, 0, kVarying, bias, 0, 1, 1, 3, kVarying, out, n, 1, 4, 2, kAddF, 2, 0, 1, 0, 0, 0, kReluF, 3, 2, 0, 0, 0, 0},
                                 kMatmulElementwise);
  char name[80];
  std::snprintf(name, sizeof name, "relu(%dx%dx%d %s x varying + bias)", m, k, n, uniformA ? "uniform" : "varying");
  reportProduct(name, m, k, n, lanes, t);
}

// Seven dependent micro-ops over `rows` rows, two inputs, one output.
void group(int32_t rows, int lanes, int mode) {
  Bench bench(lanes, static_cast<size_t>(rows) * 3, static_cast<size_t>(rows) * 3);
  const int32_t s = mode ? kVarying : kUniform;
  const double t = bench.seconds({mode, 1, rows, 2, s, 0, 1, s, rows, 1, 1, 8, s, 2 * rows, 1, 9, 7,
                                  kMulF, 2, 0, 1, 0, 0, 0, kAddF, 3, 2, 0, 0, 0, 0, kMulF, 4, 3, 3, 0, 0, 0, kSubF, 5, 4, 1, 0, 0, 0,
                                  kMulF, 6, 5, 2, 0, 0, 0, kAddF, 7, 6, 0, 0, 0, 0, kMulF, 8, 7, 1, 0, 0, 0},
                                 kElementwise);
  const double words = static_cast<double>(rows) * (mode ? lanes : 1);
  std::printf("seven micro-ops on %5d rows x %4d lanes, mode %d              %9.1f ns  %6.3f ns a vector and op\n", rows, lanes, mode, t * 1e9, t * 1e9 / (words / W) / 7);
}

void reduction(const char* name, int kind, int32_t out, int32_t reduced, bool leading, int lanes) {
  Bench bench(lanes, static_cast<size_t>(out) * reduced + static_cast<size_t>(out), 16);
  const double t = bench.seconds({1, kind, 1, out, 1, reduced, kVarying, 0, leading ? 1 : reduced, leading ? out : 1, kVarying, out * reduced}, kReduce);
  std::printf("%-58s %4d lanes  %9.1f ns  %6.3f ns a vector\n", name, lanes, t * 1e9, t * 1e9 / (static_cast<double>(out) * reduced * lanes / W));
}

}  // namespace

int main() {
  peakRate = peak();
  std::printf("%s, %d words a vector; multiply-add peak %.1f GFLOP/s\n", kTable.name, W, peakRate);
  const int lanes = 16;
  product(16, 64, 32, true, false, false, false, lanes);
  product(16, 64, 32, false, false, false, false, lanes);
  product(64, 16, 32, true, false, true, false, lanes);
  product(16, 32, 10, false, false, false, false, lanes);
  product(32, 16, 10, false, false, true, false, lanes);
  product(16, 10, 32, false, false, false, true, lanes);
  product(32, 784, 128, true, false, false, false, lanes);
  product(784, 32, 128, true, false, true, false, lanes);
  product(32, 128, 10, false, false, false, false, lanes);
  product(128, 32, 10, false, false, true, false, lanes);
  product(32, 10, 128, false, false, false, true, lanes);
  product(16, 64, 32, false, true, false, false, lanes);
  product(16, 64, 32, true, false, false, false, 8);
  product(16, 64, 32, true, false, false, false, 64);
  product(16, 64, 32, false, false, false, false, 64);
  product(8, 2, 1, true, false, false, false, 1024);
  product(256, 256, 256, true, true, false, false, lanes);
  product(256, 256, 256, true, true, false, true, lanes);
  product(32, 784, 128, true, true, false, false, lanes);
  product(784, 32, 128, true, true, true, false, lanes);
  product(512, 512, 512, true, true, false, false, lanes);
  product(128, 784, 512, true, true, false, false, lanes);
  product(784, 128, 512, true, true, true, false, lanes);
  product(128, 512, 784, true, true, false, true, lanes);
  product(16, 1024, 1024, true, true, false, false, lanes);
  product(64, 64, 64, true, true, false, false, lanes);
  product(4, 4, 4, true, true, false, false, lanes);
  product(1, 512, 512, true, true, false, false, lanes);
  product(512, 512, 1, true, true, false, false, lanes);
  uniformLayer(128, 784, 512);
  uniformUpdate(784, 128, 512);
  for (int32_t kind = 0; kind < 3; kind++) {
    convolution(kind, false, 64, 14, 16, 3, 1, 32, 0, true, true, lanes);
    convolution(kind, false, 16, 14, 64, 3, 2, 128, 0, true, true, lanes);
    convolution(kind, false, 64, 14, 64, 1, 1, 64, 0, true, true, lanes);
    convolution(kind, false, 64, 28, 1, 3, 1, 16, 0, true, true, lanes);
    convolution(kind, true, 64, 14, 64, 3, 1, 1, 0, true, true, lanes);
    convolution(kind, false, 4, 14, 8, 3, 1, 16, 1, kind != 1, false, 8);
    convolution(kind, false, 4, 14, 8, 3, 1, 16, 1, false, kind != 2, 8);
    convolution(kind, false, 4, 14, 8, 3, 1, 16, 1, false, false, 8);
    convolution(kind, true, 4, 14, 8, 3, 1, 1, 1, false, false, 8);
  }
  layer(16, 64, 32, true, lanes);
  layer(32, 784, 128, true, lanes);
  update(64, 16, 32, true, true, lanes);
  update(32, 16, 10, false, true, lanes);
  update(784, 32, 128, true, true, lanes);
  update(128, 32, 10, false, true, lanes);
  group(1, 1024, 1);
  group(2, 1024, 1);
  group(2, 16, 1);
  group(2048, 16, 1);
  group(20480, 16, 1);
  group(32768, 8, 0);
  reduction("column sums 16 x 32", 0, 32, 16, true, lanes);
  reduction("column sums 32 x 128", 0, 128, 32, true, lanes);
  reduction("row sums 16 x 10", 0, 16, 10, false, lanes);
  reduction("row maxima 16 x 10", 4, 16, 10, false, lanes);
  reduction("sum of 512", 0, 1, 512, false, lanes);
  reduction("row sums 2 x 4", 0, 2, 4, false, 1024);
  return 0;
}
