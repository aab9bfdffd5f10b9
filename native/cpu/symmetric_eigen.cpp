#include "double_rows.h"
#include "linear_algebra.h"

namespace unrolled::UNROLLED_LEVEL {

// Householder tridiagonalization (Golub and Van Loan 2013, algorithm 8.3.1), then implicitly shifted QR steps (8.3.2). Elements of
// float32 matrices have squares far inside float64's range, so nothing is scaled. The rows of `vectors` become the eigenvectors:
// both parts then work along rows.
struct SymmetricEigenPlan : SquarePlan {};

namespace {

constexpr double kEpsilon = 0x1p-52, kNothing = 1e-300;
constexpr double kTie = 1e-6;    // relative: magnitudes that differ by less count as equal
constexpr int kMostSteps = 120;  // for one eigenvalue; two or three are usual

struct Workspace {
  double *a, *vectors;  // n x n
  double *diagonal, *beside, *vector, *scale;
  int32_t* order;
};
Workspace divide(void* scratch, int64_t n) {
  double* at = static_cast<double*>(scratch);
  return {at, at + n * n, at + 2 * n * n, at + 2 * n * n + n, at + 2 * n * n + 2 * n, at + 2 * n * n + 3 * n,
          reinterpret_cast<int32_t*>(at + 2 * n * n + 4 * n)};
}

// a = Q T Q^T with T tridiagonal; `vectors` = Q^T. Both triangles of `a` are used. Reflector k is left in row k of `a`, from column k + 1
// on, with its factor 2 / v.v (0: no reflection) in `scale`.
void tridiagonalize(const Workspace& w, int64_t n) {
  for (int64_t k = 0; k + 2 < n; k++) {
    const int64_t m = n - 1 - k;
    double* v = w.a + k * n + k + 1;
    w.diagonal[k] = w.a[k * n + k];
    w.beside[k] = v[0];
    w.scale[k] = 0;
    const double tail = sumOfProducts(v + 1, v + 1, m - 1);
    if (tail == 0) continue;
    const double norm = __builtin_sqrt(v[0] * v[0] + tail);
    w.beside[k] = v[0] > 0 ? -norm : norm;
    v[0] -= w.beside[k];
    const double scale = w.scale[k] = 2 / (v[0] * v[0] + tail);
    // a -= v u^T + u v^T, u = p - (scale / 2) (p.v) v, p = scale a v
    double* u = w.vector;
    for (int64_t r = 0; r < m; r++) u[r] = scale * sumOfProducts(w.a + (k + 1 + r) * n + k + 1, v, m);
    subtractScaled(u, scale / 2 * sumOfProducts(u, v, m), v, m);
    for (int64_t r = 0; r < m; r++) {
      double* row = w.a + (k + 1 + r) * n + k + 1;
      const vd vr = splat(-v[r]), ur = splat(-u[r]);
      int64_t c = 0;
      for (; c + kHalf <= m; c += kHalf) store(row + c, fma(ur, load(v + c), fma(vr, load(u + c), load(row + c))));
      for (; c < m; c++) row[c] -= v[r] * u[c] + u[r] * v[c];
    }
  }
  if (n > 1) {
    w.diagonal[n - 2] = w.a[(n - 2) * n + n - 2];
    w.beside[n - 2] = w.a[(n - 1) * n + n - 2];
  }
  w.diagonal[n - 1] = w.a[n * n - 1];

  std::memset(w.vectors, 0, static_cast<size_t>(n * n) * sizeof(double));
  for (int64_t i = 0; i < n; i++) w.vectors[i * n + i] = 1;
  for (int64_t k = n - 3; k >= 0; k--) {
    if (w.scale[k] == 0) continue;
    const double* v = w.a + k * n + k + 1;
    for (int64_t r = k + 1; r < n; r++) {
      double* row = w.vectors + r * n + k + 1;
      subtractScaled(row, w.scale[k] * sumOfProducts(row, v, n - 1 - k), v, n - 1 - k);
    }
  }
}

// (x, y) = (c x + s y, c y - s x)
void rotate(double* x, double* y, double c, double s, int64_t n) {
  const vd cs = splat(c), sn = splat(s);
  int64_t i = 0;
  for (; i + kHalf <= n; i += kHalf) {
    const vd p = load(x + i), q = load(y + i);
    store(x + i, cs * p + sn * q);
    store(y + i, cs * q - sn * p);
  }
  for (; i < n; i++) {
    const double p = x[i], q = y[i];
    x[i] = c * p + s * q;
    y[i] = c * q - s * p;
  }
}

// One step with Wilkinson's shift on rows [low, high] of the tridiagonal matrix.
void step(const Workspace& w, int64_t n, int64_t low, int64_t high) {
  double *d = w.diagonal, *e = w.beside;
  const double half = (d[high - 1] - d[high]) / 2, square = e[high - 1] * e[high - 1];
  const double root = __builtin_sqrt(half * half + square);
  const double shift = d[high] - square / (half >= 0 ? half + root : half - root);
  double x = d[low] - shift, z = e[low];
  for (int64_t k = low; k < high; k++) {
    const double r = __builtin_sqrt(x * x + z * z);
    const double c = r == 0 ? 1 : x / r, s = r == 0 ? 0 : z / r;
    if (k > low) e[k - 1] = r;
    const double first = d[k], second = d[k + 1], between = e[k];
    d[k] = c * c * first + 2 * c * s * between + s * s * second;
    d[k + 1] = s * s * first - 2 * c * s * between + c * c * second;
    e[k] = (c * c - s * s) * between + c * s * (second - first);
    if (k + 1 < high) {
      x = e[k];
      z = s * e[k + 1];
      e[k + 1] *= c;
    }
    rotate(w.vectors + k * n, w.vectors + (k + 1) * n, c, s, n);
  }
}

bool diagonalize(const Workspace& w, int64_t n) {
  double *d = w.diagonal, *e = w.beside;
  int steps = 0;
  for (int64_t high = n - 1; high > 0;) {
    int64_t low = high;
    for (; low > 0; low--) {
      if (e[low - 1] * e[low - 1] > kEpsilon * kEpsilon * __builtin_fabs(d[low - 1] * d[low]) + kNothing) continue;
      e[low - 1] = 0;
      break;
    }
    if (low == high) {
      high--;
      steps = 0;
    } else if (++steps > kMostSteps) {
      return false;
    } else {
      step(w, n, low, high);
    }
  }
  return true;
}

// Positions of the eigenvalues in ascending order.
void sortValues(const Workspace& w, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    int64_t j = i;
    for (; j > 0 && w.diagonal[w.order[j - 1]] > w.diagonal[i]; j--) w.order[j] = w.order[j - 1];
    w.order[j] = static_cast<int32_t>(i);
  }
}

// The sign of the component of largest magnitude, the first of those that differ from it by no more than rounding might.
double signOf(const double* vector, int64_t n) {
  double largest = 0;
  for (int64_t i = 0; i < n; i++) {
    const double magnitude = __builtin_fabs(vector[i]);
    if (magnitude > largest) largest = magnitude;
  }
  for (int64_t i = 0; i < n; i++)
    if (__builtin_fabs(vector[i]) >= largest * (1 - kTie)) return vector[i] < 0 ? -1 : 1;
  return 1;
}

void decompose(const Elements& a, uint32_t* output, int64_t step, int64_t n, void* scratch) {
  if (n == 0) return;
  const Workspace w = divide(scratch, n);
  bool good = true;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      const double x = a.at(i * n + j, w.a);
      good = good && x - x == 0;
      w.a[i * n + j] = w.a[j * n + i] = x;
    }
  if (good) {
    tridiagonalize(w, n);
    good = diagonalize(w, n);
  }
  if (!good) {
    for (int64_t i = 0; i < (n + 1) * n; i++) storeRounded(output + i * step, static_cast<double>(__builtin_nanf("")));
    return;
  }
  sortValues(w, n);
  for (int64_t j = 0; j < n; j++) {
    const double* vector = w.vectors + w.order[j] * n;
    storeRounded(output + j * step, w.diagonal[w.order[j]]);
    const double sign = signOf(vector, n);
    for (int64_t i = 0; i < n; i++) storeRounded(output + ((i + 1) * n + j) * step, sign * vector[i] + 0.0);  // + 0: no -0
  }
}

}  // namespace

SymmetricEigenPlan* planSymmetricEigen(Reader& reader, int lanes, Arena& arena) { return planSquare<SymmetricEigenPlan>(reader, lanes, arena); }

size_t symmetricEigenScratch(const SymmetricEigenPlan& plan) {
  const size_t n = static_cast<size_t>(plan.n);
  return (2 * n * n + 4 * n) * sizeof(double) + n * sizeof(int32_t);
}

void runSymmetricEigen(const SymmetricEigenPlan& plan, TileContext& context) {
  const int64_t n = plan.n, lanes = plan.lanes;
  uint32_t* output = plan.output.write(context);
  for (int64_t b = 0; b < plan.batch; b++) {
    const int64_t in = b * n * n, out = b * (n + 1) * n;
    if (plan.mode == 0) {
      decompose(elementsOf(plan.a, context, in, lanes, 0), output + out, 1, n, context.scratch);
      continue;
    }
    for (int64_t lane = 0; lane < lanes; lane++)
      decompose(elementsOf(plan.a, context, in, lanes, lane), output + out * lanes + lane, lanes, n, context.scratch);
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
