// Losses and metrics of a step into the run's sums.
#pragma once

#ifndef UNROLLED_LEVEL
#define UNROLLED_LEVEL base
#endif

namespace unrolled::UNROLLED_LEVEL {

// sums[i] += row[i] in float64; last[i] = row[i] where `last` is not null. `uniform`: row is one word for all lanes.
void accumulateRow(const float* row, bool uniform, int lanes, double* sums, float* last);

}  // namespace unrolled::UNROLLED_LEVEL
