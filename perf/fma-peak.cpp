// The arithmetic limit of the machine: independent chains of fused multiply-adds in registers, on every thread.
// Usage: fma-peak THREADS SECONDS; prints GFLOP/s (a multiply-add counts twice).
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
// Latency times ports (4 x 2 on current x86 cores, 4 x 4 on big Arm cores) must be covered, within the register file.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kChains = 20;
#else
constexpr int kChains = 12;
#endif

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

static float burst(long iterations, float seed) {
  Vector a, b, chain[kChains];
  for (int l = 0; l < kLanes; l++) {
    a[l] = 0.999f + 1e-6f * seed;
    b[l] = 1e-3f;
  }
  for (int c = 0; c < kChains; c++) chain[c] = b * static_cast<float>(c + 1);
  for (long i = 0; i < iterations; i++) {
    for (int c = 0; c < kChains; c++) chain[c] = chain[c] * a + b;
  }
  Vector sum = chain[0];
  for (int c = 1; c < kChains; c++) sum += chain[c];
  float total = 0;
  for (int l = 0; l < kLanes; l++) total += sum[l];
  return total;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.3;
  if (threads < 1 || !(seconds > 0)) return 2;
  constexpr long kIterations = 1 << 18;
  std::atomic<bool> stop{false};
  std::vector<long> bursts(threads, 0);
  std::vector<float> sums(threads, 0);
  std::vector<std::thread> pool;
  const auto began = std::chrono::steady_clock::now();
  for (int t = 0; t < threads; t++) {
    pool.emplace_back([&, t] {
      long count = 0;
      float sum = 0;
      while (!stop) {
        sum += burst(kIterations, static_cast<float>(count & 7));
        count++;
      }
      bursts[t] = count;
      sums[t] = sum;
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (auto& thread : pool) thread.join();
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  double flops = 0;
  float sink = 0;
  for (int t = 0; t < threads; t++) {
    flops += 2.0 * kLanes * kChains * static_cast<double>(kIterations) * static_cast<double>(bursts[t]);
    sink += sums[t];
  }
  if (sink == 12345.0f) std::fputs("", stderr);
  std::printf("%.3f\n", flops / elapsed / 1e9);
  return 0;
}
