#include "matmul_uniform_tiles.h"

#include "matmul_vectors.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

template <int kRows, int kVectors>
void tile(const UniformTile& at, const UniformTileArguments& arguments) {
  vf sum[kRows][kVectors];
  const float* a[kRows];
  const int whole = kVectors - 1, part = arguments.columns - whole * W;
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++) {
    a[i] = at.a[i];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; v++) {
      if (!arguments.proceed) sum[i][v] = vf{};
      else if (v < whole || part == W) sum[i][v] = load(at.c[i] + v * W);
      else sum[i][v] = load_first(at.c[i] + v * W, part);
    }
  }
  const ptrdiff_t aStep = arguments.aStep, bStep = arguments.bStep;
  const int64_t depth = arguments.depth;
  for (const TileStep *step = arguments.steps, *end = step + arguments.count; step != end; step++) {
    ptrdiff_t index = step->a;
    const float* b = arguments.b + step->b;
#pragma GCC unroll 2
    for (int64_t k = depth; k > 0; k--, index += aStep, b += bStep) {
      vf right[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; v++) right[v] = load(b + v * W);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; i++) {
        uint32_t word;
        std::memcpy(&word, a[i] + index, sizeof word);
        const vf left = as_float(splat(word));  // as an integer: 0 + x is not always x
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; v++) sum[i][v] = fma(left, right[v], sum[i][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; v++) {
      if (v < whole || part == W) store(at.c[i] + v * W, sum[i][v]);
      else storePiece(at.c[i] + v * W, sum[i][v], part);
    }
}

struct Table {
  UniformTileKernel kernel[kUniformRows][kUniformVectors];
};
template <int kRows, int kVectors>
constexpr void fill(Table& table) {
  table.kernel[kRows - 1][kVectors - 1] = tile<kRows, kVectors>;
  if constexpr (kVectors > 1) fill<kRows, kVectors - 1>(table);
  else if constexpr (kRows > 1) fill<kRows - 1, kUniformVectors>(table);
}
constexpr Table makeTable() {
  Table table{};
  fill<kUniformRows, kUniformVectors>(table);
  return table;
}
constexpr Table kTable = makeTable();

}  // namespace

UniformTileKernel uniformTileKernel(int rows, int vectors) { return kTable.kernel[rows - 1][vectors - 1]; }

}  // namespace unrolled::UNROLLED_LEVEL
