// Perturbation noise by itself, on the pool: what estimators accumulate and weigh.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine.h"
#include "run.h"

namespace unrolled {

// Pointers must stay valid until the job is over. Rows below 2^32. Throws Error (ERR_OPTION) when noise.steps is neither
// empty nor one per row.

// out [rows, dim] = N(0, 1), row i with subject i.
std::shared_ptr<Job> fillNormalJob(const Engine& engine, NoiseKey noise, size_t rows, size_t dim, float* out);
// accumulator [rows, dim] += scale [dim] * noise.
std::shared_ptr<Job> addNormalJob(const Engine& engine, NoiseKey noise, size_t rows, size_t dim, std::vector<float> scale,
                                  float* accumulator);
// out [dim] = sum over blocks of 256 rows, in order, of the block's sum of weights[i] * matrix[i], itself in order of the rows: the
// same bits whatever the threads.
std::shared_ptr<Job> weightedRowSumJob(const Engine& engine, std::vector<double> weights, std::vector<float> matrix, size_t dim,
                                       double* out);

}  // namespace unrolled
