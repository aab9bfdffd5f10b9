// Ordinary products, C = A B with one word an element: A and B are copied together in panels where that pays, C is made in register
// tiles, and every element is one chain of multiply-adds in the order of k.
#pragma once
#include <cstddef>
#include <cstdint>

#include "matmul_uniform_tiles.h"

namespace unrolled::UNROLLED_LEVEL {

// `count` things in `pieces` nearly equal pieces of at most `most`: the first ones are one longer.
struct Cut {
  int64_t pieces, size, longer;
  Cut(int64_t count, int64_t most)
      : pieces((count + most - 1) / most), size(pieces ? count / pieces : 0), longer(pieces ? count % pieces : 0) {}
  int64_t length(int64_t i) const { return size + (i < longer); }
};

// Strides in words: a = {row, k}, b = {k, column}, c = {row, column}.
struct UniformProduct {
  const float *a, *b;
  float* c;
  int64_t am, ak, bk, bn, cm, cn;
  int64_t m, n, k;
};

// Bytes that any product of at most these sizes takes.
size_t uniformProductScratch(int64_t m, int64_t n, int64_t k);
void runUniformProduct(const UniformProduct& product, void* scratch);

}  // namespace unrolled::UNROLLED_LEVEL
