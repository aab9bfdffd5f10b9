#include "double_rows.h"
#include "linear_algebra.h"

namespace unrolled::UNROLLED_LEVEL {

struct TriangularSolvePlan {
  int mode;
  bool lower, transpose;
  int32_t batch;
  int64_t n, m;
  Operand a, b, output;
  int64_t lanes;
};

namespace {

// Right sides solved together: an n x kColumns block of them stays in the second-level cache up to n of several hundred.
constexpr int64_t kColumns = 64;
int64_t columnsOf(const TriangularSolvePlan& plan) {
  const int64_t most = plan.mode == 0 ? kColumns : kColumns / kHalf;
  return plan.m < most ? plan.m : most;
}

// Substitution on columns [0, m) of x, n x m, which holds the right sides at the start. A row of `a` is read once: without transposition it
// gathers what the solved rows contribute to its own (one row of sums), with it the solved row is taken from all that remain.
template <class T>
void substitute(const TriangularSolvePlan& plan, const Elements& a, T* x, int64_t m, T* row) {
  const int64_t n = plan.n;
  const bool forward = plan.lower != plan.transpose;
  for (int64_t k = 0; k < n; k++) {
    const int64_t i = forward ? k : n - 1 - k;
    // The part of row i that lies beside the diagonal in the triangle that is read.
    const int64_t from = plan.lower ? 0 : i + 1, to = plan.lower ? i : n;
    for (int64_t j = from; j < to; j++) row[j] = a.at(i * n + j, row);
    const T pivot = a.at(i * n + i, row);
    T* mine = x + i * m;
    if (!plan.transpose) {
      if (m == 1) *mine -= sumOfProducts(row + from, x + from, to - from);
      else
        for (int64_t j = from; j < to; j++) subtractScaled(mine, row[j], x + j * m, m);
    }
    for (int64_t c = 0; c < m; c++) mine[c] /= pivot;
    if (plan.transpose) {
      if (m == 1) subtractScaled(x + from, *mine, row + from, to - from);
      else
        for (int64_t j = from; j < to; j++) subtractScaled(x + j * m, row[j], mine, m);
    }
  }
}

template <class T>
void solve(const TriangularSolvePlan& plan, const Elements& a, const Elements& b, uint32_t* output, int64_t step, T* scratch) {
  const int64_t n = plan.n, block = columnsOf(plan);
  T* x = scratch + n;
  for (int64_t first = 0; first < plan.m; first += block) {
    const int64_t m = plan.m - first < block ? plan.m - first : block;
    for (int64_t i = 0; i < n; i++)
      for (int64_t c = 0; c < m; c++) x[i * m + c] = b.at(i * plan.m + first + c, x);
    substitute(plan, a, x, m, scratch);
    for (int64_t i = 0; i < n; i++)
      for (int64_t c = 0; c < m; c++) storeRounded(output + (i * plan.m + first + c) * step, x[i * m + c]);
  }
}

}  // namespace

TriangularSolvePlan* planTriangularSolve(Reader& reader, int lanes, Arena& arena) {
  TriangularSolvePlan* plan = arena.make<TriangularSolvePlan>();
  if (!plan) return nullptr;
  plan->mode = reader.next();
  plan->lower = reader.next() != 0;
  plan->transpose = reader.next() != 0;
  plan->batch = reader.next();
  plan->n = reader.next();
  plan->m = reader.next();
  plan->a = readOperand(reader, 0, lanes);
  plan->b = readOperand(reader, 0, lanes);
  plan->output = readOperand(reader, 0, lanes);
  plan->lanes = lanes;
  return plan;
}

size_t triangularSolveScratch(const TriangularSolvePlan& plan) {
  return static_cast<size_t>(plan.n * (columnsOf(plan) + 1)) * (plan.mode == 0 ? sizeof(double) : sizeof(vd));
}

void runTriangularSolve(const TriangularSolvePlan& plan, TileContext& context) {
  const int64_t lanes = plan.lanes;
  uint32_t* output = plan.output.write(context);
  for (int64_t i = 0; i < plan.batch; i++) {
    const int64_t matrix = i * plan.n * plan.n, sides = i * plan.n * plan.m;
    if (plan.mode == 0) {
      solve(plan, elementsOf(plan.a, context, matrix, lanes, 0), elementsOf(plan.b, context, sides, lanes, 0), output + sides, 1,
            static_cast<double*>(context.scratch));
      continue;
    }
    for (int64_t lane = 0; lane < lanes; lane += kHalf)
      solve(plan, elementsOf(plan.a, context, matrix, lanes, lane), elementsOf(plan.b, context, sides, lanes, lane),
            output + sides * lanes + lane, lanes, static_cast<vd*>(context.scratch));
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
