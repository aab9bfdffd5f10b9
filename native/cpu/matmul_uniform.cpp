#include "matmul_uniform.h"

#include "matmul_panels.h"
#include "matmul_vectors.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

// A panel of B of this depth (16 KB with 16 columns) stays in the first-level cache while all rows of A pass over it ...
constexpr int64_t kDepthBlock = 256;
// ... which come from the second: packed, they are one stream of consecutive words.
constexpr int64_t kRowBlock = 384;

float* alignedFloats(void* p) { return static_cast<float*>(__builtin_assume_aligned(p, 64)); }

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Copying A is worth it when several panels of B pass over it.
bool packsA(const UniformProduct& p) { return p.n > (p.ak == 1 ? 3 : 1) * kUniformWidth && p.m > 1; }
// Copying B is worth it when several tiles of rows pass over it. What is read in place has to be whole vectors.
bool packsB(const UniformProduct& p, int64_t columns) {
  return p.bn != 1 || columns % W != 0 || p.m > 12 * kUniformRows;
}

struct Scratch {
  float *a, *b, *c;
};
struct Sizes {
  size_t a, b, c;
};
Sizes sizes(int64_t m, int64_t k) {
  const size_t depth = static_cast<size_t>(least(k, kDepthBlock));
  return {depth * static_cast<size_t>(least(m, kRowBlock)) + 2 * W, depth * kUniformWidth, kUniformRows * kUniformWidth};
}

// One block of k of one panel of columns, for a block of rows.
void runPanel(const UniformProduct& p, const Scratch& scratch, bool packedA, int64_t row0, int64_t rows, int64_t column, int vectors,
              int64_t k0, int64_t depth) {
  const int64_t width = vectors * W, columns = least(width, p.n - column);
  const float* b = p.b + k0 * p.bk + column * p.bn;
  const TileStep step{0, 0};
  UniformTileArguments arguments{&step, 1, depth, p.ak, p.bk, b, static_cast<int>(columns), k0 > 0};
  if (packsB(p, columns)) {
    packPanel(scratch.b, width, b, p.bn, p.bk, columns, depth);
    arguments.b = scratch.b;
    arguments.bStep = width;
  }
  const bool direct = p.cn == 1;
  // The next panel's rows lie too far apart for the hardware to foresee: some are fetched after every tile. By the last word of a line's
  // length, since the line of the first may be this panel's too.
  const bool fetch = p.bn == 1 && column + width < p.n;
  const Cut cut(rows, kUniformRows);
  UniformTile tile;
  for (int64_t i = 0, row = 0; i < cut.pieces; i++) {
    const int64_t height = cut.length(i);
    float* c = p.c + (row0 + row) * p.cm + column * p.cn;
    if (packedA) arguments.aStep = height;
    for (int64_t r = 0; r < height; r++) {
      tile.a[r] = packedA ? scratch.a + row * depth + r : p.a + (row0 + row + r) * p.am + k0 * p.ak;
      tile.c[r] = direct ? c + r * p.cm : scratch.c + r * width;
    }
    if (!direct && k0 > 0)
      for (int64_t r = 0; r < height; r++)
        for (int64_t j = 0; j < columns; j++) tile.c[r][j] = c[r * p.cm + j * p.cn];
    uniformTileKernel(static_cast<int>(height), vectors)(tile, arguments);
    if (fetch) {
      for (int64_t k = depth * i / cut.pieces, end = depth * (i + 1) / cut.pieces; k < end; k++)
        for (int64_t j = 15; j < width + 15; j += 16) __builtin_prefetch(b + k * p.bk + width + j);
    }
    if (!direct)
      for (int64_t r = 0; r < height; r++)
        for (int64_t j = 0; j < columns; j++) c[r * p.cm + j * p.cn] = tile.c[r][j];
    row += height;
  }
}

void runTiles(const UniformProduct& p, const Scratch& scratch) {
  const bool packed = packsA(p);
  const Cut depths(p.k, kDepthBlock), panels((p.n + W - 1) / W, kUniformVectors);
  for (int64_t row0 = 0; row0 < p.m; row0 += kRowBlock) {
    const int64_t rows = least(kRowBlock, p.m - row0);
    const Cut cut(rows, kUniformRows);
    for (int64_t block = 0, k0 = 0; block < depths.pieces || block == 0; block++) {
      const int64_t depth = depths.pieces ? depths.length(block) : 0;
      if (packed)
        for (int64_t i = 0, row = 0; i < cut.pieces; row += cut.length(i++))
          packPanel(scratch.a + row * depth, cut.length(i), p.a + (row0 + row) * p.am + k0 * p.ak, p.am, p.ak, cut.length(i), depth);
      for (int64_t i = 0, column = 0; i < panels.pieces; column += W * panels.length(i++))
        runPanel(p, scratch, packed, row0, rows, column, static_cast<int>(panels.length(i)), k0, depth);
      k0 += depth;
    }
  }
}

// A row times a matrix whose rows lie together: several rows of B at a time are added to a piece of C that stays in the first-level
// cache, so that B is read in its own order.
void runRowTimesRows(const UniformProduct& p, float* buffer) {
  constexpr int64_t kPiece = kUniformRows * kUniformWidth;
  constexpr int kTogether = 8;
  const int64_t piece = p.cn == 1 ? 1024 : kPiece;
  for (int64_t column = 0; column < p.n; column += piece) {
    const int64_t columns = least(piece, p.n - column);
    float* c = p.cn == 1 ? p.c + column : buffer;
    for (int64_t k0 = 0; k0 == 0 || k0 < p.k; k0 += kTogether) {
      const int64_t depth = least(kTogether, p.k - k0);
      const float* b = p.b + k0 * p.bk + column;
      float left[kTogether];
      for (int64_t k = 0; k < depth; k++) left[k] = p.a[(k0 + k) * p.ak];
      int64_t j = 0;
      for (; j + W <= columns; j += W) {
        vf sum = k0 > 0 ? load(c + j) : vf{};
        if (depth == kTogether) {
#pragma GCC unroll 8
          for (int k = 0; k < kTogether; k++) sum = fma(splat(left[k]), load(b + k * p.bk + j), sum);
        } else {
          for (int64_t k = 0; k < depth; k++) sum = fma(splat(left[k]), load(b + k * p.bk + j), sum);
        }
        store(c + j, sum);
      }
      if (j < columns) {
        const int rest = static_cast<int>(columns - j);
        vf sum = k0 > 0 ? load_first(c + j, rest) : vf{};
        for (int64_t k = 0; k < depth; k++) sum = fma(splat(left[k]), load_first(b + k * p.bk + j, rest), sum);
        storePiece(c + j, sum, rest);
      }
    }
    if (p.cn != 1)
      for (int64_t j = 0; j < columns; j++) p.c[(column + j) * p.cn] = buffer[j];
  }
}

// A row times a matrix whose columns lie together: a chain a lane, two vectors of chains at a time, with squares of B transposed in
// registers.
void runRowTimesColumns(const UniformProduct& p, float* buffer) {
  for (int64_t column = 0; column < p.n; column += 2 * W) {
    const int64_t columns = least(2 * W, p.n - column);
    const float* line[2 * W];
    for (int64_t j = 0; j < 2 * W; j++) line[j] = p.b + (column + least(j, columns - 1)) * p.bn;
    const int groups = columns > W ? 2 : 1;
    vf sum[2] = {};
    int64_t k = 0;
    for (; k + W <= p.k; k += W)
#pragma GCC unroll 2
      for (int g = 0; g < 2; g++) {
        if (g == groups) break;
        vf v[W];
#pragma GCC unroll 16
        for (int j = 0; j < W; j++) v[j] = load(line[g * W + j] + k);
        transpose(v);
#pragma GCC unroll 16
        for (int i = 0; i < W; i++) sum[g] = fma(splat(p.a[(k + i) * p.ak]), v[i], sum[g]);
      }
    for (; k < p.k; k++)
      for (int g = 0; g < groups; g++) {
        float next[W];
        for (int j = 0; j < W; j++) next[j] = line[g * W + j][k];
        sum[g] = fma(splat(p.a[k * p.ak]), load(next), sum[g]);
      }
    if (p.cn == 1 && columns == 2 * W) {
      store(p.c + column, sum[0]);
      store(p.c + column + W, sum[1]);
      continue;
    }
    store(buffer, sum[0]);
    store(buffer + W, sum[1]);
    for (int64_t j = 0; j < columns; j++) p.c[(column + j) * p.cn] = buffer[j];
  }
}

}  // namespace

size_t uniformProductScratch(int64_t m, int64_t n, int64_t k) {
  // Products are turned when that suits them.
  const Sizes one = sizes(m, k), other = sizes(n, k);
  return sizeof(float) * ((one.a > other.a ? one.a : other.a) + one.b + one.c + 3 * 16);
}

void runUniformProduct(const UniformProduct& product, void* scratch) {
  UniformProduct p = product;
  if (p.m == 0 || p.n == 0) return;
  // C's columns are the dense dim; a column becomes a row.
  if ((p.cn != 1 && p.cm == 1 && p.m > 1) || (p.n == 1 && p.m > 1) || (p.n < W && p.n < p.m && p.cm == 1)) {
    p = {product.b, product.a, product.c, product.bn, product.bk, product.ak, product.am, product.cn, product.cm, product.n, product.m, product.k};
  }
  const Sizes size = sizes(p.m, p.k);
  Scratch parts;
  parts.c = alignedFloats(scratch);
  parts.b = parts.c + size.c;
  parts.a = parts.b + size.b;
  if (p.m == 1 && p.bn == 1) return runRowTimesRows(p, parts.c);
  if (p.m == 1 && p.bk == 1) return runRowTimesColumns(p, parts.c);
  runTiles(p, parts);
}

}  // namespace unrolled::UNROLLED_LEVEL
