// CHOLESKY, TRIANGULAR_SOLVE and SYMMETRIC_EIGEN: float64 inside, rounded once. What they compute is said at the ops of the same names
// in src/graph/graph.ts.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

// Instructions with one operand: `batch` matrices of n x n, and what is made of them.
struct SquarePlan {
  int mode;
  int32_t batch;
  int64_t n;
  Operand a, output;
  int64_t lanes;
};
template <class Plan>
Plan* planSquare(Reader& reader, int lanes, Arena& arena) {
  Plan* plan = arena.make<Plan>();
  if (!plan) return nullptr;
  plan->mode = reader.next();
  plan->batch = reader.next();
  plan->n = reader.next();
  plan->a = readOperand(reader, 0, lanes);
  plan->output = readOperand(reader, 0, lanes);
  plan->lanes = lanes;
  return plan;
}

struct CholeskyPlan;
CholeskyPlan* planCholesky(Reader& reader, int lanes, Arena& arena);
size_t choleskyScratch(const CholeskyPlan& plan);
void runCholesky(const CholeskyPlan& plan, TileContext& context);

struct TriangularSolvePlan;
TriangularSolvePlan* planTriangularSolve(Reader& reader, int lanes, Arena& arena);
size_t triangularSolveScratch(const TriangularSolvePlan& plan);
void runTriangularSolve(const TriangularSolvePlan& plan, TileContext& context);

struct SymmetricEigenPlan;
SymmetricEigenPlan* planSymmetricEigen(Reader& reader, int lanes, Arena& arena);
size_t symmetricEigenScratch(const SymmetricEigenPlan& plan);
void runSymmetricEigen(const SymmetricEigenPlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
