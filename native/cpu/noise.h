// Perturbation noise: rows of N(0, 1) made from counters, element j of row i being element j of the draw of subject i. The same
// numbers as src/random/noise.ts, bit for bit, on every level. Pure functions of a range of rows; threads are the engine's job.
#pragma once
#include <cstdint>

#include "program.h"
#include "simd.h"

namespace unrolled {
namespace UNROLLED_LEVEL {

// out [rows, dim] = noise of rows row0, row0 + 1, ...; noise.steps, where there, has one step for each of these rows.
void fill_normal_rows(float* out, uint32_t row0, uint32_t rows, uint32_t dim, const NoiseSource& noise);

// accumulator [rows, dim] += scale [dim] * noise; product and sum are each rounded to float32.
void add_normal_rows(float* accumulator, const float* scale, uint32_t row0, uint32_t rows, uint32_t dim, const NoiseSource& noise);

// rows [elements][lanes]: mean[j] + (sign * sigma[j]) * noise, each operation rounded to float32; lane l is particle
// particle0 + l. With pairs != 0 the subject is particle % pairs (particles = 2 * pairs) and sign is -1 from particle `pairs` on;
// else the subject is the particle. noise.steps, where there, is indexed by subject. Lanes beyond `particles` hold rubbish.
void perturb_rows(float* rows, int lanes, int elements, const float* mean, const float* sigma, const NoiseSource& noise,
                  uint32_t particle0, uint32_t particles, uint32_t pairs);

// out[j] += weights[i] * matrix[i][j], i = 0, 1, ... in order, product and sum each rounded to float64: the same bits on every level.
// Callers that split the rows over threads sum blocks of 256 rows from 0 and then the blocks in order.
void weighted_row_sum(const double* weights, const float* matrix, uint32_t rows, uint32_t dim, double* out);

}  // namespace UNROLLED_LEVEL
}  // namespace unrolled
