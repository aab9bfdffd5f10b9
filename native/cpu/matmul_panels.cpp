#include "matmul_panels.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

// Lines along k: squares are transposed in registers.
void packLines(float* to, int64_t width, const float* from, int64_t lineStride, int64_t lines, int64_t depth) {
  const float* line[W];
  for (int j = 0; j < W; j++) line[j] = from + (j < lines ? j : lines - 1) * lineStride;
  const int64_t used = width < W ? width : W;
  int64_t k = 0;
  for (; k + W <= depth; k += W, to += W * width) {
    vf v[W];
#pragma GCC unroll 16
    for (int j = 0; j < W; j++) v[j] = load(line[j] + k);
    transpose(v);
    // In this order, since what a store writes beyond a narrow panel's row is overwritten by the next.
#pragma GCC unroll 16
    for (int i = 0; i < W; i++) store(to + i * width, v[i]);
  }
  for (; k < depth; k++, to += width)
    for (int64_t j = 0; j < used; j++) to[j] = line[j][k];
}

// Lines beside each other.
void packRows(float* to, int64_t width, const float* from, int64_t depthStride, int64_t lines, int64_t depth) {
  if (lines >= W) {
    for (int64_t k = 0; k < depth; k++) store(to + k * width, load(from + k * depthStride));
  } else if (kHasFma) {
    for (int64_t k = 0; k < depth; k++) store(to + k * width, load_first(from + k * depthStride, static_cast<int>(lines)));
  } else {
    for (int64_t k = 0; k < depth; k++)
      for (int64_t j = 0; j < lines; j++) to[k * width + j] = from[k * depthStride + j];
  }
}

}  // namespace

void packPanel(float* to, int64_t width, const float* from, int64_t lineStride, int64_t depthStride, int64_t lines, int64_t depth) {
  int64_t group = 0;
  if (lineStride == 1 && lines >= 2 * W) {
    // Row by row, as far as whole vectors go: cold rows are then fetched once.
    group = lines / W * W;
    for (int64_t k = 0; k < depth; k++)
      for (int64_t j = 0; j < group; j += W) store(to + k * width + j, load(from + k * depthStride + j));
  }
  for (; group < lines; group += W) {
    const int64_t count = lines - group < W ? lines - group : W;
    const float* source = from + group * lineStride;
    if (lineStride == 1) {
      packRows(to + group, width, source, depthStride, count, depth);
    } else if (depthStride == 1) {
      packLines(to + group, width, source, lineStride, count, depth);
    } else {
      for (int64_t k = 0; k < depth; k++)
        for (int64_t j = 0; j < count; j++) to[group + k * width + j] = source[j * lineStride + k * depthStride];
    }
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
