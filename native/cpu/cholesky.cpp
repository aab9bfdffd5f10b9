#include "double_rows.h"
#include "linear_algebra.h"

namespace unrolled::UNROLLED_LEVEL {

struct CholeskyPlan : SquarePlan {};

namespace {

// Row by row (Golub and Van Loan 2013, 4.2.9): l[i][j] = (a[i][j] - l[i] . l[j]) / l[j][j] over the j columns before. `l` holds the lower
// triangle of a at the start. Returns where all pivots were positive.
template <class T>
typename MaskOf<T>::Type factor(T* l, int64_t n) {
  typename MaskOf<T>::Type good{};
  good = ~good;
  for (int64_t i = 0; i < n; i++) {
    T* row = l + i * n;
    for (int64_t j = 0; j < i; j++) row[j] = (row[j] - sumOfProducts(row, l + j * n, j)) / l[j * n + j];
    const T pivot = row[i] - sumOfProducts(row, row, i);
    good &= isPositive(pivot);
    row[i] = rootOf(pivot);
  }
  return good;
}

template <class T>
void decompose(const Elements& a, uint32_t* output, int64_t step, int64_t n, T* l) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) l[i * n + j] = a.at(i * n + j, l);
  const auto good = factor(l, n);
  const T nan = everywhere(static_cast<double>(__builtin_nanf("")), l), zero = everywhere(0.0, l);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) storeRounded(output + (i * n + j) * step, chosen(good, j <= i ? l[i * n + j] : zero, nan));
}

}  // namespace

CholeskyPlan* planCholesky(Reader& reader, int lanes, Arena& arena) { return planSquare<CholeskyPlan>(reader, lanes, arena); }

size_t choleskyScratch(const CholeskyPlan& plan) {
  return static_cast<size_t>(plan.n) * static_cast<size_t>(plan.n) * (plan.mode == 0 ? sizeof(double) : sizeof(vd));
}

void runCholesky(const CholeskyPlan& plan, TileContext& context) {
  const int64_t n = plan.n, lanes = plan.lanes;
  uint32_t* output = plan.output.write(context);
  for (int64_t b = 0; b < plan.batch; b++) {
    const int64_t first = b * n * n;
    if (plan.mode == 0) {
      decompose(elementsOf(plan.a, context, first, lanes, 0), output + first, 1, n, static_cast<double*>(context.scratch));
      continue;
    }
    for (int64_t lane = 0; lane < lanes; lane += kHalf)
      decompose(elementsOf(plan.a, context, first, lanes, lane), output + first * lanes + lane, lanes, n, static_cast<vd*>(context.scratch));
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
