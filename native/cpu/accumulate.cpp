#include "accumulate.h"

namespace unrolled::UNROLLED_LEVEL {

void accumulateRow(const float* __restrict row, bool uniform, int lanes, double* __restrict sums, float* __restrict last) {
  if (uniform) {
    const double x = *row;
    for (int i = 0; i < lanes; i++) sums[i] += x;
    if (last)
      for (int i = 0; i < lanes; i++) last[i] = *row;
    return;
  }
  for (int i = 0; i < lanes; i++) sums[i] += static_cast<double>(row[i]);
  if (last)
    for (int i = 0; i < lanes; i++) last[i] = row[i];
}

}  // namespace unrolled::UNROLLED_LEVEL
