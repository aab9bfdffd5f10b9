// Philox against the published Random123 vectors; the draws against plain scalar code written from the definitions in
// src/random/distributions.ts; and checksums that the TypeScript tests assert as well (test/random/distributions.test.ts), which make the two
// languages agree bit for bit. Run at each instruction level.
#include "random.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "noise.h"

namespace level = unrolled::UNROLLED_LEVEL;
using level::vf;
using level::vi;
using level::vu;
using level::W;

static int failures = 0, checks = 0;

#define CHECK(condition, ...)                        \
  do {                                               \
    checks++;                                        \
    if (!(condition)) {                              \
      failures++;                                    \
      if (failures < 40) {                           \
        std::printf("line %d: %s: ", __LINE__, #condition); \
        std::printf(__VA_ARGS__);                    \
        std::printf("\n");                           \
      }                                              \
    }                                                \
  } while (0)

// ---- scalar references ------------------------------------------------------------------------------------------------------

struct Block {
  uint32_t word[4];
};
static Block philox_scalar(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t{0xd2511f53} * c0, p2 = uint64_t{0xcd9e8d57} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p2 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p2);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  return {{c0, c1, c2, c3}};
}
static uint32_t word_scalar(uint32_t element, uint32_t subject, level::DrawKey key) {
  return philox_scalar(element >> 2, subject, key.step, key.stream_draw, key.k0, key.k1).word[element & 3];
}
static uint32_t bits_of(float f) {
  uint32_t b;
  std::memcpy(&b, &f, sizeof b);
  return b;
}
static float normal(uint32_t word) { return level::normal_from_word(level::splat(word))[0]; }

// The upper tail's inverse by Newton's method in long double: exact to float64.
static double normal_exact(uint32_t word) {
  const long double p = ((word & 0x7fffffff) + 0.5L) / 4294967296.0L;
  long double x = p < 0.02L ? std::sqrt(-2 * std::log(p)) - 0.5L : 2 * (0.5L - p);
  for (int i = 0; i < 60; i++) {
    const long double tail = 0.5L * std::erfc(x / std::sqrt(2.0L));
    const long double density = std::exp(-x * x / 2) / std::sqrt(2 * 3.141592653589793238462643383279502884L);
    const long double change = (tail - p) / density;
    x += change > 0.5L ? 0.5L : change;
    if (std::fabs(change) < 1e-18L * std::fabs(x)) break;
  }
  return static_cast<double>(word >> 31 ? -x : x);
}

// ---- tests --------------------------------------------------------------------------------------------------------------------

static void known_answers() {
  // kat_vectors of Random123, philox4x32 with 10 rounds: counter, key, result
  static const uint32_t known[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
  };
  for (const auto& k : known) {
    const level::words4 got = level::philox(level::splat(k[0]), level::splat(k[1]), level::splat(k[2]), level::splat(k[3]), k[4], k[5]);
    const Block scalar = philox_scalar(k[0], k[1], k[2], k[3], k[4], k[5]);
    for (int j = 0; j < 4; j++) {
      CHECK(scalar.word[j] == k[6 + j], "scalar word %d", j);
      for (int lane = 0; lane < W; lane++) CHECK(got.word[j][lane] == k[6 + j], "word %d lane %d", j, lane);
    }
  }
}

static void lanes_are_subjects_or_blocks() {
  const uint32_t k0 = 0x12345678, k1 = 0x1abcd;
  for (uint32_t first : {0u, 5u, 0xfffffffdu}) {
    const level::words4 subjects = level::philox_subjects(9, first, 77, 0x02000003, k0, k1);
    const level::words4 blocks = level::philox_blocks(first, 9, 77, 0x02000003, k0, k1);
    for (int lane = 0; lane < W; lane++) {
      const Block s = philox_scalar(9, first + static_cast<uint32_t>(lane), 77, 0x02000003, k0, k1);
      const Block b = philox_scalar(first + static_cast<uint32_t>(lane), 9, 77, 0x02000003, k0, k1);
      for (int j = 0; j < 4; j++) {
        CHECK(subjects.word[j][lane] == s.word[j], "first %u lane %d", first, lane);
        CHECK(blocks.word[j][lane] == b.word[j], "first %u lane %d", first, lane);
      }
    }
  }
}

// FNV-1a over 32-bit units of the bits of transform(i * 0x9e3779b1), i = 0..2^20-1; and of consecutive words around the edges.
template <class F>
static uint32_t checksum(F transform) {
  uint32_t hash = 0x811c9dc5;
  auto add = [&](uint32_t first, uint32_t count, uint32_t stride) {
    for (uint32_t i = 0; i < count; i += W) {
      uint32_t bits[W];
      level::store(bits, transform((level::as_uint(level::iota(0)) + i) * stride + first));
      for (uint32_t b : bits) hash = (hash ^ b) * 16777619u;
    }
  };
  add(0, 1u << 20, 0x9e3779b1);
  add(0, 65536, 1);
  add(0x7fff8000, 65536, 1);
  add(0xffff0000, 65536, 1);
  return hash;
}

static void checksums() {
  const uint32_t normals = checksum([](vu w) { return level::as_uint(level::normal_from_word(w)); });
  const uint32_t uniforms = checksum([](vu w) { return level::as_uint(level::uniform_from_word(w)); });
  const level::UniformRange range = level::UniformRange::between(-1.1f, 2.7f);
  const uint32_t ranged = checksum([&](vu w) { return level::as_uint(level::uniform_in_range(w, range)); });
  const uint32_t integers = checksum([](vu w) { return level::as_uint(level::integer_from_word(w, -1000, 1437)); });
  const uint32_t bernoulli = checksum([](vu w) { return level::as_uint(level::bernoulli_from_word(w, level::splat(0.3f)) & 1); });
  CHECK(normals == 0xe67e0cc0, "normals 0x%08x", normals);
  CHECK(uniforms == 0x2e528eba, "uniforms 0x%08x", uniforms);
  CHECK(ranged == 0xb932a22d, "ranged 0x%08x", ranged);
  CHECK(integers == 0x4f721cce, "integers 0x%08x", integers);
  CHECK(bernoulli == 0x9dffc02e, "bernoulli 0x%08x", bernoulli);
}

static void normals_are_accurate() {
  double worst = 0;
  uint32_t at = 0;
  auto visit = [&](uint32_t word) {
    const double exact = normal_exact(word), error = std::fabs(normal(word) - exact) / std::fabs(exact);
    if (!(error <= worst)) worst = error, at = word;
    CHECK(bits_of(normal(word ^ 0x80000000u)) == (bits_of(normal(word)) ^ 0x80000000u), "word 0x%08x: not odd", word);
  };
  for (uint32_t i = 0; i < 40000; i++) {
    visit(i);                                        // the far tail
    visit(0x7fffffffu - i);                          // the centre
    visit((i * 0x9e3779b1u) & 0x7fffffffu);          // anywhere
    visit(((i * 0x9e3779b1u) & 0x7fffffffu) >> (i % 31));  // every scale of p, then of x
    visit(0x7fffffffu - (((i * 0x9e3779b1u) & 0x7fffffffu) >> (i % 31)));
  }
  std::printf("normal: worst relative error %.3g at word 0x%08x\n", worst, at);
  CHECK(worst < 6e-7, "relative error %g at word 0x%08x", worst, at);
  CHECK(std::fabs(normal(0) - 6.33795775) < 1e-5, "normal(0) = %.9g", normal(0));
  CHECK(normal(0x7fffffff) > 0 && normal(0xffffffff) < 0, "the innermost words are not zero");
}

static void edges_of_uniforms_and_integers() {
  CHECK(level::uniform_from_word(level::splat(0xffffffffu))[0] == 1 - 0x1p-24f, "largest uniform");
  CHECK(level::uniform_from_word(level::splat(0u))[0] == 0, "smallest uniform");
  const float bounds[][2] = {{0, 1}, {1, 2}, {-1, 0}, {100, 100.00001f}, {-3e38f, 3e37f}, {0, 1e-45f}, {-1e-45f, 0}, {16777216, 16777220}};
  for (const auto& b : bounds) {
    const level::UniformRange range = level::UniformRange::between(b[0], b[1]);
    CHECK(range.top < b[1] && std::nextafter(range.top, INFINITY) == b[1], "top of %g, %g", b[0], b[1]);
    for (uint32_t word : {0u, 1u << 8, 0x7fffffffu, 0x80000000u, 0xffffff00u, 0xffffffffu}) {
      const float v = level::uniform_in_range(level::splat(word), range)[W - 1];
      CHECK(v >= b[0] && v < b[1], "uniform [%g, %g) of 0x%08x = %.9g", b[0], b[1], word, v);
    }
  }
  for (uint32_t word : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu})
    for (uint32_t range : {1u, 2u, 3u, 1437u, 0x7fffffffu, 0x80000000u, 0xffffffffu})
      for (int32_t low : {0, -5, INT32_MIN}) {
        const int32_t want = static_cast<int32_t>(low + static_cast<int64_t>((uint64_t{word} * range) >> 32));
        CHECK(level::integer_from_word(level::splat(word), low, range)[W - 1] == want, "word 0x%08x range %u low %d", word, range, low);
      }
}

static void draws_have_their_layout() {
  const level::DrawKey key{5, level::stream_word(2, 7), 0xdeadbeef, 0x1fffff};
  for (int lanes : {8, 24, 3, 64})
    for (uint32_t count : {1u, 4u, 5u, 11u})
      for (uint32_t pairs : {0u, 10u}) {
        std::vector<uint32_t> rows(count * static_cast<uint32_t>(lanes) + 1, 0xabcdef01);
        level::draw_lanes(rows.data(), lanes, count, 2, pairs, key, [](vu w) { return w; });
        for (uint32_t e = 0; e < count; e++)
          for (uint32_t l = 0; l < static_cast<uint32_t>(lanes) && (pairs == 0 || l + 2 < 2 * pairs); l++) {
            const uint32_t subject = pairs ? (2 + l) % pairs : 2 + l;
            CHECK(rows[e * static_cast<uint32_t>(lanes) + l] == word_scalar(e, subject, key), "lanes %d element %u lane %u", lanes, e, l);
          }
        CHECK(rows.back() == 0xabcdef01, "wrote past the end");
      }
  for (uint32_t rows : {0u, 1u, 2u, 7u, 40u})
    for (uint32_t dim : {0u, 1u, 3u, 4u, 8u, 13u, 64u, 130u})
      for (bool own_steps : {false, true}) {
        std::vector<uint32_t> out(rows * dim + 1, 0xabcdef01), steps(rows);
        for (uint32_t r = 0; r < rows; r++) steps[r] = 1000 + 3 * r;
        level::draw_rows(out.data(), rows, dim, 11, key, own_steps ? steps.data() : nullptr, [](vu w) { return w; });
        for (uint32_t r = 0; r < rows; r++)
          for (uint32_t j = 0; j < dim; j++) {
            level::DrawKey k = key;
            if (own_steps) k.step = steps[r];
            CHECK(out[r * dim + j] == word_scalar(j, 11 + r, k), "rows %u dim %u: row %u element %u", rows, dim, r, j);
          }
        CHECK(out.back() == 0xabcdef01, "wrote past the end");
      }
  for (uint32_t count : {0u, 1u, 31u, 32u, 100u}) {
    std::vector<uint32_t> out(count + 1, 0xabcdef01);
    level::draw_row(out.data(), 8, count, 3, key, [](vu w) { return w; });
    for (uint32_t i = 0; i < count; i++) CHECK(out[i] == word_scalar(8 + i, 3, key), "element %u", i);
    CHECK(out.back() == 0xabcdef01, "wrote past the end");
  }
}

static void noise_kernels() {
  const uint32_t rows = 700;
  std::vector<uint32_t> steps(rows);
  for (uint32_t r = 0; r < rows; r++) steps[r] = r * r;
  for (uint32_t dim : {1u, 4u, 7u, 33u, 2100u})
    for (bool own_steps : {false, true}) {
      const uint32_t n = dim > 1000 ? 3 : rows;
      unrolled::NoiseSource noise{};
      noise.key0 = 42, noise.key1 = 1, noise.stream = 2, noise.draw = 0, noise.step = 6;
      noise.steps = own_steps ? steps.data() : nullptr;
      std::vector<float> eps(n * dim), sum(n * dim), scale(dim), mean(dim);
      for (uint32_t j = 0; j < dim; j++) scale[j] = 0.1f + 0.01f * static_cast<float>(j), mean[j] = 1.0f / (1.0f + static_cast<float>(j));
      level::fill_normal_rows(eps.data(), 17, n, dim, noise);
      for (uint32_t r = 0; r < n; r += 13)
        for (uint32_t j = 0; j < dim; j++) {
          const level::DrawKey key{own_steps ? steps[r] : 6, level::stream_word(2, 0), 42, 1};
          CHECK(eps[r * dim + j] == normal(word_scalar(j, 17 + r, key)), "fill: row %u element %u", r, j);
        }
      for (size_t i = 0; i < sum.size(); i++) sum[i] = static_cast<float>(i % 10);
      level::add_normal_rows(sum.data(), scale.data(), 17, n, dim, noise);
      for (size_t i = 0; i < sum.size(); i++) {
        volatile float product = scale[i % dim] * eps[i];
        volatile float want = static_cast<float>(i % 10) + product;
        CHECK(sum[i] == want, "add: element %zu", i);
      }
      // A split anywhere gives the same rows.
      std::vector<float> parts(n * dim);
      const uint32_t cut = n / 3;
      unrolled::NoiseSource second = noise;
      if (own_steps) second.steps += cut;
      level::fill_normal_rows(parts.data(), 17, cut, dim, noise);
      level::fill_normal_rows(parts.data() + cut * dim, 17 + cut, n - cut, dim, second);
      CHECK(parts == eps, "rows depend on where the matrix is split");

      std::vector<double> weights(n), out(dim, 1.5), want(dim, 1.5);
      for (uint32_t r = 0; r < n; r++) weights[r] = std::cos(r);
      level::weighted_row_sum(weights.data(), eps.data(), n, dim, out.data());
      for (uint32_t r = 0; r < n; r++)
        for (uint32_t j = 0; j < dim; j++) {
          volatile double product = weights[r] * eps[r * dim + j];
          want[j] = want[j] + product;
        }
      CHECK(out == want, "weighted sum, dim %u", dim);

      for (uint32_t pairs : {0u, 12u}) {
        const int lanes = 24;
        const uint32_t particles = pairs ? 2 * pairs : 20;
        std::vector<float> theta(dim * static_cast<uint32_t>(lanes));
        level::perturb_rows(theta.data(), lanes, static_cast<int>(dim), mean.data(), scale.data(), noise, 0, particles, pairs);
        for (uint32_t l = 0; l < particles; l++)
          for (uint32_t j = 0; j < dim; j++) {
            const uint32_t subject = pairs ? l % pairs : l;
            const level::DrawKey key{own_steps ? steps[subject] : 6, level::stream_word(2, 0), 42, 1};
            volatile float product = (pairs && l >= pairs ? -scale[j] : scale[j]) * normal(word_scalar(j, subject, key));
            volatile float value = mean[j] + product;
            CHECK(theta[j * static_cast<uint32_t>(lanes) + l] == value, "perturb: pairs %u lane %u element %u", pairs, l, j);
          }
      }
    }
}

int main() {
#if defined(UNROLLED_AVX512)
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq")) return std::puts("skipped: no AVX-512 here"), 77;
#elif defined(UNROLLED_AVX2)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return std::puts("skipped: no AVX2 here"), 77;
#endif
  std::printf("%d lanes\n", W);
  known_answers();
  lanes_are_subjects_or_blocks();
  checksums();
  normals_are_accurate();
  edges_of_uniforms_and_integers();
  draws_have_their_layout();
  noise_kernels();
  std::printf("%d checks, %d failures\n", checks, failures);
  return failures ? 1 : 0;
}
