// CHOLESKY and TRIANGULAR_SOLVE against substitution in long double, SYMMETRIC_EIGEN against what defines it: a v = lambda v, orthonormal
// vectors, order and signs; all of them at the edges.
#include "test_tile.h"

#include <functional>
#include <limits>

using namespace unrolled;
using namespace unrolled::test;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
using Matrix = std::vector<float>;
using Wide = std::vector<long double>;

struct Setting {
  int mode, lanes;
  int32_t batch;
};

// Runs an instruction on matrices made by `make(which, lane)`, one a batch element and lane (equal for all lanes of a uniform operand), and
// hands each result with its operands to `check`.
void onMatrices(const CpuTable& table, Random& random, const Setting& s, Opcode opcode, const Words& payload,
                const std::vector<std::function<Matrix()>>& make, int32_t outSize, const std::function<void(const std::vector<Matrix>&, const Matrix&)>& check) {
  Tile tile(s.lanes);
  Words words = Words{s.mode} + payload;
  std::vector<Layout> layouts;
  std::vector<int32_t> sizes;
  for (const auto& maker : make) {
    Layout layout;
    layout.space = s.mode && random.chance(0.8) ? random.pick({int32_t{kVarying}, int32_t{kState}, int32_t{kPrimal}}) : random.pick({int32_t{kConstant}, int32_t{kData}});
    std::vector<std::vector<Matrix>> all(static_cast<size_t>(s.batch));
    for (auto& lanes : all)
      for (int lane = 0; lane < (layout.varying() || layout.space == kPrimal ? s.lanes : 1); lane++) lanes.push_back(maker());
    const int32_t size = s.batch ? static_cast<int32_t>(all[0][0].size()) : 0;
    layout.offset = tile.add(layout.space, int64_t{s.batch} * size, [] { return 0u; });
    for (int32_t b = 0; b < s.batch; b++)
      for (size_t lane = 0; lane < all[static_cast<size_t>(b)].size(); lane++)
        for (int32_t i = 0; i < size; i++)
          tile.word(layout.space, layout.offset + b * size + i, static_cast<int>(lane)) = asWord(all[static_cast<size_t>(b)][lane][static_cast<size_t>(i)]);
    words = words + layout.words();
    layouts.push_back(layout);
    sizes.push_back(size);
  }
  const int32_t outSpace = s.mode ? kVarying : kUniform;
  const int32_t out = tile.add(outSpace, int64_t{s.batch} * outSize, [] { return 0x12345678u; });
  tile.add(outSpace, 1, [] { return 0x9abcdefu; });
  const Tile got = run(table, tile, instruction(opcode, words + Words{outSpace, out}));
  Tile around = got;
  for (int32_t b = 0; b < s.batch; b++)
    for (int lane = 0; lane < (s.mode ? s.lanes : 1); lane++) {
      std::vector<Matrix> operands;
      for (size_t k = 0; k < layouts.size(); k++) {
        operands.emplace_back();
        for (int32_t i = 0; i < sizes[k]; i++) operands.back().push_back(asFloat(tile.word(layouts[k].space, layouts[k].offset + b * sizes[k] + i, lane)));
      }
      Matrix result;
      for (int32_t i = 0; i < outSize; i++) {
        result.push_back(asFloat(got.word(outSpace, out + b * outSize + i, lane)));
        around.word(outSpace, out + b * outSize + i, lane) = 0x12345678u;
      }
      check(operands, result);
    }
  CHECK_EQUAL(difference(around, tile), std::string());
}

Setting someSetting(Random& random) {
  return {random.chance(0.5) ? 1 : 0, random.pick({8, 16, 24}), random.chance(0.05) ? 0 : 1 + random.below(2)};
}

Matrix randomMatrix(Random& random, int32_t rows, int32_t columns) {
  Matrix a(static_cast<size_t>(rows * columns));
  for (float& x : a) x = random.value();
  return a;
}
// g g^T + ridge: condition about 1 / ridge
Matrix positive(Random& random, int32_t n, double ridge) {
  const Matrix g = randomMatrix(random, n, n);
  Matrix a(g.size());
  for (int32_t i = 0; i < n; i++)
    for (int32_t j = 0; j < n; j++) {
      double sum = i == j ? ridge : 0;
      for (int32_t k = 0; k < n; k++) sum += static_cast<double>(g[static_cast<size_t>(i * n + k)]) * static_cast<double>(g[static_cast<size_t>(j * n + k)]);
      a[static_cast<size_t>(i * n + j)] = static_cast<float>(sum);
    }
  return a;
}
// What is not to be read is poisoned.
Matrix poisoned(Matrix a, int32_t n, bool lower) {
  for (int32_t i = 0; i < n; i++)
    for (int32_t j = 0; j < n; j++)
      if (lower ? j > i : j < i) a[static_cast<size_t>(i * n + j)] = kNan;
  return a;
}
double at(const Matrix& a, int32_t n, int32_t i, int32_t j) { return static_cast<double>(a[static_cast<size_t>(i * n + j)]); }

bool choleskyOf(const Matrix& a, int32_t n, Wide& l) {
  l.assign(static_cast<size_t>(n * n), 0);
  for (int32_t j = 0; j < n; j++)
    for (int32_t i = j; i < n; i++) {
      long double sum = at(a, n, i, j);
      for (int32_t k = 0; k < j; k++) sum -= l[static_cast<size_t>(i * n + k)] * l[static_cast<size_t>(j * n + k)];
      if (i == j && !(sum > 0 && std::isfinite(sum))) return false;
      l[static_cast<size_t>(i * n + j)] = i == j ? std::sqrt(sum) : sum / l[static_cast<size_t>(j * n + j)];
    }
  return true;
}

void cholesky() {
  for (const CpuTable* table : tables()) {
    Random random(51);
    for (int trial = 0; trial < 150; trial++) {
      const int32_t n = random.pick({0, 1, 2, 3, 4, 7, 16, 33});
      onMatrices(*table, random, someSetting(random), kCholesky, {0, n}, {[&] { return Matrix(); }}, 0, [](const auto&, const auto&) {});
      Setting s = someSetting(random);
      const double ridge = random.pick({1.0, 1e-2, 1e-6});
      const int form = random.below(6);
      const auto make = [&] {
        Matrix a = form == 0 ? randomMatrix(random, n, n) : form == 1 ? Matrix(static_cast<size_t>(n * n), 0.0f) : positive(random, n, ridge);
        if (form == 2 && n > 0) a[static_cast<size_t>(random.below(n) * (n + 1))] = random.pick({kNan, kInf, -1.0f});
        if (form == 3 && n > 1) a[static_cast<size_t>((n - 1) * n)] = random.pick({kNan, kInf, 1e30f});
        return poisoned(a, n, true);
      };
      onMatrices(*table, random, s, kCholesky, {s.batch, n}, {make}, n * n, [&](const std::vector<Matrix>& operands, const Matrix& result) {
        Wide l;
        const bool good = choleskyOf(operands[0], n, l);
        double largest = 0, worst = 0;
        for (const long double x : l) largest = std::max(largest, static_cast<double>(std::fabs(x)));
        for (size_t i = 0; i < result.size(); i++) {
          if (!good) CHECK(std::isnan(result[i]));
          else worst = std::max(worst, std::fabs(static_cast<double>(result[i]) - static_cast<double>(l[i])) / (std::fabs(static_cast<double>(l[i])) + 1e-7 * largest));
          if (good && l[i] == 0) CHECK_EQUAL(result[i], 0.0f);
        }
        // A rounding to float32, and what a condition of 1e8 makes of float64's roundings.
        CHECK(worst <= 6.0e-8 + 1e-7);
      });
      if (failures > 5) return;
    }
  }
}

void triangularSolve() {
  for (const CpuTable* table : tables()) {
    Random random(52);
    for (int trial = 0; trial < 250; trial++) {
      const int32_t n = random.pick({0, 1, 2, 3, 5, 9, 20, 41}), m = random.pick({0, 1, 1, 2, 3, 8, 70});
      const Setting s = someSetting(random);
      const bool lower = random.chance(0.5), transpose = random.chance(0.5), singular = random.chance(0.2);
      const auto make = [&] {
        Matrix a = randomMatrix(random, n, n);
        for (int32_t i = 0; i < n; i++) a[static_cast<size_t>(i * (n + 1))] = std::copysign(1.0f + std::fabs(random.value()), random.value());
        if (singular && n > 0) a[static_cast<size_t>(random.below(n) * (n + 1))] = 0;
        return poisoned(a, n, lower);
      };
      onMatrices(*table, random, s, kTriangularSolve, {lower, transpose, s.batch, n, m}, {make, [&] { return randomMatrix(random, n, m); }}, n * m,
                 [&](const std::vector<Matrix>& operands, const Matrix& result) {
                   const Matrix &a = operands[0], &b = operands[1];
                   for (int32_t c = 0; c < m; c++) {
                     Wide x(static_cast<size_t>(n)), bound(static_cast<size_t>(n));
                     for (int32_t k = 0; k < n; k++) {
                       const int32_t i = lower != transpose ? k : n - 1 - k;
                       long double sum = at(b, m, i, c), magnitude = std::fabs(sum);
                       for (int32_t done = 0; done < k; done++) {
                         const int32_t j = lower != transpose ? done : n - 1 - done;
                         const long double factor = transpose ? at(a, n, j, i) : at(a, n, i, j);
                         sum -= factor * x[static_cast<size_t>(j)];
                         magnitude += std::fabs(factor) * bound[static_cast<size_t>(j)];
                       }
                       const long double pivot = at(a, n, i, i);
                       x[static_cast<size_t>(i)] = sum / pivot;
                       bound[static_cast<size_t>(i)] = magnitude / std::fabs(pivot);
                     }
                     for (int32_t i = 0; i < n; i++) {
                       const double g = static_cast<double>(result[static_cast<size_t>(i * m + c)]), w = static_cast<double>(x[static_cast<size_t>(i)]);
                       if (std::isfinite(w)) CHECK(std::fabs(g - w) <= 6.0e-8 * std::fabs(w) + 1e-13 * static_cast<double>(bound[static_cast<size_t>(i)]) || (std::fabs(w) > 3.4e38 && std::isinf(g)));
                       else CHECK(std::isnan(w) ? std::isnan(g) : g == w);
                     }
                   }
                 });
      if (failures > 5) return;
    }
  }
}

void checkEigen(const Matrix& a, int32_t n, const Matrix& result) {
  bool finite = true;
  double norm = 0;
  for (int32_t i = 0; i < n; i++)
    for (int32_t j = 0; j <= i; j++) {
      finite = finite && std::isfinite(at(a, n, i, j));
      norm = std::max(norm, std::fabs(at(a, n, i, j)));
    }
  if (!finite) {
    for (const float x : result) CHECK(std::isnan(x));
    return;
  }
  const float *values = result.data(), *vectors = values + n;
  const auto vector = [&](int32_t i, int32_t j) { return static_cast<double>(vectors[i * n + j]); };
  double residual = 0, orthogonality = 0;
  for (int32_t j = 0; j < n; j++) {
    if (j > 0) CHECK(values[j - 1] <= values[j]);
    double largest = 0, sign = 0;
    for (int32_t i = 0; i < n; i++) {
      double sum = -static_cast<double>(values[j]) * vector(i, j);
      for (int32_t k = 0; k < n; k++) sum += (k <= i ? at(a, n, i, k) : at(a, n, k, i)) * vector(k, j);
      residual = std::max(residual, std::fabs(sum));
      largest = std::max(largest, std::fabs(vector(i, j)));
    }
    for (int32_t i = n - 1; i >= 0; i--)
      if (std::fabs(vector(i, j)) >= largest * (1 - 1e-6)) sign = vector(i, j);
    CHECK(sign > 0);
    for (int32_t k = 0; k <= j; k++) {
      double sum = k == j ? -1 : 0;
      for (int32_t i = 0; i < n; i++) sum += vector(i, j) * vector(i, k);
      orthogonality = std::max(orthogonality, std::fabs(sum));
    }
  }
  // Roundings of n components to float32.
  CHECK(residual <= 1e-7 * norm * n + 1e-44);
  CHECK(orthogonality <= 4e-7);
}

void symmetricEigen() {
  for (const CpuTable* table : tables()) {
    Random random(53);
    for (int trial = 0; trial < 200; trial++) {
      const int32_t n = random.pick({0, 1, 2, 3, 4, 6, 9, 17, 34});
      const Setting s = someSetting(random);
      const int form = random.below(10);
      const auto make = [&] {
        Matrix a = randomMatrix(random, n, n);
        for (int32_t i = 0; i < n; i++)
          for (int32_t j = 0; j <= i; j++) {
            float& x = a[static_cast<size_t>(i * n + j)];
            if (form == 0) x = 0;                                                    // all zero
            if (form == 1) x = i == j ? static_cast<float>(random.below(3) - 1) : 0;  // diagonal with repeats, signs and zeros
            if (form == 2) x = 1;                                                    // rank one: n - 1 times zero
            if (form == 3) x = i == j ? 3.0f : i - j == 1 ? 1e-20f : 0;               // almost a multiple of the identity
            if (form == 4) x *= std::exp2(-static_cast<float>(i + j));                // graded
            if (form == 5) x *= std::exp2(static_cast<float>(i + j) - 40);            // graded the other way
            if (form == 6) x = (i % 3 == j % 3) ? 1.0f + static_cast<float>(i == j) : 0;  // blocks, repeated values
            if (form == 7) x *= 1e30f;
            if (form == 8) x *= 1e-40f;
          }
        if (form == 9 && n > 0 && random.chance(0.5)) a[static_cast<size_t>(random.below(n) * n)] = random.pick({kNan, kInf, -kInf});
        return poisoned(a, n, true);
      };
      onMatrices(*table, random, s, kSymmetricEigen, {s.batch, n}, {make}, (n + 1) * n,
                 [&](const std::vector<Matrix>& operands, const Matrix& result) { checkEigen(operands[0], n, result); });
      if (failures > 5) return;
    }
  }
}

// Second differences of n points: 2 - 2 cos(k pi / (n + 1)), vectors sin(i k pi / (n + 1)).
void eigenOfSecondDifferences() {
  for (const CpuTable* table : tables()) {
    Random random(54);
    const int32_t n = 150;
    Matrix a(static_cast<size_t>(n * n), 0.0f);
    for (int32_t i = 0; i < n; i++) {
      a[static_cast<size_t>(i * (n + 1))] = 2;
      if (i > 0) a[static_cast<size_t>(i * n + i - 1)] = -1;
    }
    onMatrices(*table, random, {0, 8, 1}, kSymmetricEigen, {1, n}, {[&] { return a; }}, (n + 1) * n, [&](const std::vector<Matrix>&, const Matrix& result) {
      checkEigen(a, n, result);
      const double pi = std::acos(-1.0);
      for (int32_t k = 1; k <= n; k++) {
        const double value = 2 - 2 * std::cos(k * pi / (n + 1));
        CHECK(std::fabs(static_cast<double>(result[static_cast<size_t>(k - 1)]) - value) <= 6e-8 * value + 1e-13);
      }
      for (int32_t i = 1; i <= n; i++)
        CHECK(std::fabs(std::fabs(static_cast<double>(result[static_cast<size_t>(i * n)])) - std::sqrt(2.0 / (n + 1)) * std::sin(i * pi / (n + 1))) <= 1e-8);
    });
  }
}

}  // namespace

int main() {
  return runAll({{"cholesky", cholesky},
                 {"triangular solve", triangularSolve},
                 {"symmetric eigen", symmetricEigen},
                 {"symmetric eigen of second differences", eigenOfSecondDifferences}});
}
