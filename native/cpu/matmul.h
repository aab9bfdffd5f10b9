// MATMUL: products over rows of lanes, and (both operands uniform) ordinary products of matrices.
#pragma once
#include "arena.h"
#include "matmul_tiles.h"

namespace unrolled::UNROLLED_LEVEL {

// Tiles of one span of lanes: `blocks` spans from `lane` on, rows and columns cut into pieces of at most `rows` and `columns`.
struct LanePass {
  int span, lane, blocks;
  int rows, columns;
};

// Where B is copied together, so that what a tile reads of it is consecutive: rows of B that lie a power of two apart would share
// a few lines of the first-level cache. The first tile that reads a panel writes the copy as it goes.
enum class Packing : uint8_t {
  kNone,
  kPanel,  // the columns of one tile, for the tiles below
  kWhole,  // all of B, for all row blocks of one product
};

// How a product C = A B is computed. Where an operand varies, products are turned so that B varies whenever one operand does (C^T = B^T A^T): `swapped`.
struct ProductPlan {
  int mode;
  bool swapped, uniformA;
  int32_t rows, columns, depth;  // M, N, K after turning
  Operand a, b;                  // strides: a = {row, k}, b = {k, column}
  int64_t rowWords;
  int passes;
  LanePass pass[4];
  int64_t depthBlock;  // k is cut into blocks of this length
  Packing packing;
  bool rowsOutside;    // tiles run along the columns first
  bool accumulates;    // C = C + A B
  size_t packBytes;
};

enum class ProductUse : uint8_t {
  kOnce,    // all of C in one call
  kBlocks,  // in several blocks, rows of blocks one after another
  kUpdate,  // all of C in one call, C -= rate * (A B)
};

// Decides tiles and blocks. kUpdate takes mode 1, and a depth that canUpdate.
void planProduct(ProductPlan& plan, int mode, int lanes, int32_t m, int32_t n, int32_t k, const Operand& a, const Operand& b,
                 ProductUse use);
// Whether products of this depth are computed in one piece, so that a tile can finish what it starts.
bool canUpdate(int32_t k);

// C[m0 .. m0 + m)[n0 .. n0 + n) of the product (before turning) into c, whose strides are in words. `pack` is plan.packBytes of
// scratch, which keeps its content from one block of a product to the next. a and b (already turned) point to element (0, 0).
// `rate`: a row of lanes, for kUpdate; else null.
void runProduct(const ProductPlan& plan, const float* a, const float* b, int32_t m0, int32_t m, int32_t n0, int32_t n, float* c,
                int64_t cm, int64_t cn, void* pack, const float* rate);

struct MatmulPlan;
MatmulPlan* planMatmul(Reader& reader, int lanes, Arena& arena);
size_t matmulScratch(const MatmulPlan& plan);
void runMatmul(const MatmulPlan& plan, TileContext& context);

struct MatmulElementwisePlan;
MatmulElementwisePlan* planMatmulElementwise(Reader& reader, int lanes, Arena& arena);
size_t matmulElementwiseScratch(const MatmulElementwisePlan& plan);
void runMatmulElementwise(const MatmulElementwisePlan& plan, TileContext& context);

}  // namespace unrolled::UNROLLED_LEVEL
