// CHOLESKY, TRIANGULAR_SOLVE and SYMMETRIC_EIGEN: float64 inside, rounded once. What they compute is said at the ops of the same names
// in src/graph/graph.ts.
#pragma once
#include "arena.h"

namespace unrolled::UNROLLED_LEVEL {

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
