#include "noise.h"

#include <algorithm>
#include <string>
#include <utility>

#include "error.h"

namespace unrolled {

namespace {

constexpr size_t kSumRows = 256;         // rows a partial sum spans: part of the result's definition
constexpr size_t kElementsAnItem = 32768;  // enough work to be worth a thread's while

void checkNoise(const NoiseKey& noise, size_t rows) {
  if (!noise.steps.empty() && noise.steps.size() != rows) {
    throw Error(kOptionCode, "noiseStep has " + std::to_string(noise.steps.size()) + " elements, expected one for each of " +
                                 std::to_string(rows) + " rows");
  }
  if (rows > UINT32_MAX) throw Error(kOptionCode, "noise has more than 2^32 - 1 rows");
}

void checkDim(size_t dim) {
  if (dim > UINT32_MAX) throw Error(kOptionCode, "noise rows have more than 2^32 - 1 elements");
}

// Calls body(first row, rows, source) for one item's rows.
template <typename Body>
std::shared_ptr<Job> rowsJob(NoiseKey noise, size_t rows, size_t dim, Body body) {
  const size_t rowsAnItem = std::max<size_t>(1, kElementsAnItem / std::max<size_t>(dim, 1));
  const size_t items = dim == 0 ? 0 : (rows + rowsAnItem - 1) / rowsAnItem;
  return std::make_shared<Job>(items, [=, noise = std::move(noise)](Job& job, size_t item, unsigned) {
    if (job.cancelled()) return;
    const size_t first = item * rowsAnItem, count = std::min(rowsAnItem, rows - first);
    const NoiseSource source{noise.key0, noise.key1, kNoiseStream, 0, noise.step, noise.steps.empty() ? nullptr : noise.steps.data() + first};
    body(first, count, source);
  });
}

}  // namespace

std::shared_ptr<Job> fillNormalJob(const Engine& engine, NoiseKey noise, size_t rows, size_t dim, float* out) {
  checkNoise(noise, rows);
  checkDim(dim);
  const CpuTable& table = engine.table;
  return rowsJob(std::move(noise), rows, dim, [&table, dim, out](size_t first, size_t count, const NoiseSource& source) {
    table.fillNormal(out + first * dim, static_cast<uint32_t>(first), static_cast<uint32_t>(count), static_cast<uint32_t>(dim), source);
  });
}

std::shared_ptr<Job> addNormalJob(const Engine& engine, NoiseKey noise, size_t rows, size_t dim, std::vector<float> scale,
                                  float* accumulator) {
  checkNoise(noise, rows);
  checkDim(dim);
  if (scale.size() != dim) throw Error(kOptionCode, "scale must have one element for each column");
  const CpuTable& table = engine.table;
  return rowsJob(std::move(noise), rows, dim,
                 [&table, dim, accumulator, scale = std::move(scale)](size_t first, size_t count, const NoiseSource& source) {
                   table.addNormal(accumulator + first * dim, scale.data(), static_cast<uint32_t>(first),
                                   static_cast<uint32_t>(count), static_cast<uint32_t>(dim), source);
                 });
}

std::shared_ptr<Job> weightedRowSumJob(const Engine& engine, std::vector<double> weights, std::vector<float> matrix, size_t dim,
                                       double* out) {
  checkDim(dim);
  const size_t rows = weights.size();
  if (dim == 0 ? !matrix.empty() : matrix.size() % dim != 0 || matrix.size() / dim != rows) {
    throw Error(kOptionCode, "matrix has " + std::to_string(matrix.size()) + " elements, expected " + std::to_string(rows) + " rows of " +
                                 std::to_string(dim));
  }
  struct Work {
    std::vector<double> weights, partial;
    std::vector<float> matrix;
  };
  const size_t blocks = (rows + kSumRows - 1) / kSumRows;
  auto work = std::make_shared<Work>();
  work->partial.assign(allocationSize(blocks, dim, sizeof(double)) / sizeof(double), 0.0);
  work->weights = std::move(weights);
  work->matrix = std::move(matrix);
  const CpuTable& table = engine.table;
  auto job = std::make_shared<Job>(blocks, [work, &table, rows, dim](Job& running, size_t block, unsigned) {
    if (running.cancelled()) return;
    const size_t first = block * kSumRows, count = std::min(kSumRows, rows - first);
    table.weightedRowSum(work->weights.data() + first, work->matrix.data() + first * dim, static_cast<uint32_t>(count),
                         static_cast<uint32_t>(dim), work->partial.data() + block * dim);
  });
  job->finalise = [work, blocks, dim, out] {
    std::fill_n(out, dim, 0.0);
    for (size_t block = 0; block < blocks; ++block) {
      for (size_t j = 0; j < dim; ++j) out[j] += work->partial[block * dim + j];
    }
  };
  return job;
}

}  // namespace unrolled
