#include "matmul_tiles.h"

#include "matmul_vectors.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

#if defined(UNROLLED_AVX512) || defined(UNROLLED_NEON)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

// Lets the compiler forget what it knew about a pointer, so that it doesn't compute (and spill) the addresses of C ahead of the loop.
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__aarch64__))
#define UNROLLED_FORGET(pointer) asm("" : "+r"(pointer))
#else
#define UNROLLED_FORGET(pointer)
#endif

// Accumulators, a fragment of B and one operand of A have to fit; without FMA the product needs a register, too.
constexpr bool fits(bool uniformA, int rows, int columns, int vectors) {
  const int fragment = uniformA ? columns * vectors : columns;
  return rows * columns * vectors <= kRegisters - 4 && rows * columns * vectors + fragment + (kHasFma ? 1 : 2) <= kRegisters;
}

template <int kLanes, bool kUniformA, int kRows, int kColumns, int kVectors, Finish kFinish, bool kPacking>
void tile(const float* __restrict a, const float* __restrict b, float* __restrict c, const TileArguments& arguments,
          int64_t k) {
  using V = typename VectorOf<kLanes>::type;
  const ptrdiff_t am = arguments.am, ak = arguments.ak, bk = arguments.bk, bn = arguments.bn, cm = arguments.cm, cn = arguments.cn;
  [[maybe_unused]] float* __restrict pack = arguments.pack;
  for (int64_t tiles = arguments.tiles;;) {
    const float* __restrict atA = a;
    const float* __restrict atB = b;
    V sum[kRows][kColumns][kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++)
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; j++)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; v++) sum[i][j][v] = kFinish == Finish::kContinue ? loadVector<V>(c + i * cm + j * cn + v * kLanes) : V{};
#pragma GCC unroll 2
    for (int64_t step = k; step > 0; step--, atA += ak, atB += bk) {
      if constexpr (kUniformA) {
        V right[kColumns][kVectors];
#pragma GCC unroll 4
        for (int j = 0; j < kColumns; j++)
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; v++) {
            right[j][v] = loadVector<V>(atB + j * bn + v * kLanes);
            if constexpr (kPacking) std::memcpy(pack + (j * kVectors + v) * kLanes, &right[j][v], sizeof(V));
          }
#pragma GCC unroll 8
        for (int i = 0; i < kRows; i++) {
          const V left = splatVector<V>(atA + i * am);
#pragma GCC unroll 4
          for (int j = 0; j < kColumns; j++)
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; v++) sum[i][j][v] = multiplyAdd<V>(left, right[j][v], sum[i][j][v]);
        }
      } else {
        // Lanes have nothing to do with each other: one vector of lanes after the other keeps few operands alive.
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; v++) {
          V right[kColumns];
#pragma GCC unroll 4
          for (int j = 0; j < kColumns; j++) {
            right[j] = loadVector<V>(atB + j * bn + v * kLanes);
            if constexpr (kPacking) std::memcpy(pack + (j * kVectors + v) * kLanes, &right[j], sizeof(V));
          }
#pragma GCC unroll 8
          for (int i = 0; i < kRows; i++) {
            const V left = loadVector<V>(atA + i * am + v * kLanes);
#pragma GCC unroll 4
            for (int j = 0; j < kColumns; j++) sum[i][j][v] = multiplyAdd<V>(left, right[j], sum[i][j][v]);
          }
        }
      }
      if constexpr (kPacking) pack += kColumns * kVectors * kLanes;
    }
    UNROLLED_FORGET(c);
    if constexpr (kFinish == Finish::kUpdate) {
      V rate[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; v++) rate[v] = loadVector<V>(arguments.rate + v * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < kColumns; j++)
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; v++)
            sum[i][j][v] = subtractProduct<V>(rate[v], sum[i][j][v], loadVector<V>(c + i * cm + j * cn + v * kLanes));
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++)
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; j++)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; v++) std::memcpy(c + i * cm + j * cn + v * kLanes, &sum[i][j][v], sizeof(V));
    if (--tiles == 0) return;
    a += arguments.aStep;
    b += arguments.bStep;
    c += arguments.cStep;
  }
}

template <int kLanes, bool kUniformA, int kVectors, Finish kFinish, bool kPacking, int kRows, int kColumns>
constexpr TileKernel instance() {
  if constexpr (fits(kUniformA, kRows, kColumns, kVectors)) return tile<kLanes, kUniformA, kRows, kColumns, kVectors, kFinish, kPacking>;
  else return nullptr;
}

struct Table {
  TileKernel kernel[kTileRows][kTileColumns];
};

template <int kLanes, bool kUniformA, int kVectors, Finish kFinish, bool kPacking>
constexpr Table makeTable() {
#define UNROLLED_ROW(rows)                                                                                       \
  { instance<kLanes, kUniformA, kVectors, kFinish, kPacking, rows, 1>(), instance<kLanes, kUniformA, kVectors, kFinish, kPacking, rows, 2>(),          \
    instance<kLanes, kUniformA, kVectors, kFinish, kPacking, rows, 3>(), instance<kLanes, kUniformA, kVectors, kFinish, kPacking, rows, 4>() }
  return {{UNROLLED_ROW(1), UNROLLED_ROW(2), UNROLLED_ROW(3), UNROLLED_ROW(4), UNROLLED_ROW(5), UNROLLED_ROW(6), UNROLLED_ROW(7),
           UNROLLED_ROW(8)}};
#undef UNROLLED_ROW
}

#if UNROLLED_WIDTH == 16
#define UNROLLED_HALF(...) makeTable<8, __VA_ARGS__>()
#else
#define UNROLLED_HALF(...) Table{}
#endif
#define UNROLLED_SPANS(uniform, finish, packing)                                                                        \
  {                                                                                                                     \
    makeTable<W, uniform, 1, finish, packing>(), makeTable<W, uniform, 2, finish, packing>(),                           \
        makeTable<W, uniform, 4, finish, packing>(), UNROLLED_HALF(uniform, 1, finish, packing)                         \
  }
#define UNROLLED_PACKINGS(uniform, finish) { UNROLLED_SPANS(uniform, finish, false), UNROLLED_SPANS(uniform, finish, true) }
#define UNROLLED_FINISHES(uniform)                                                                                      \
  { UNROLLED_PACKINGS(uniform, Finish::kStore), UNROLLED_PACKINGS(uniform, Finish::kContinue), UNROLLED_PACKINGS(uniform, Finish::kUpdate) }
constexpr Table kTables[2][3][2][kSpans] = {UNROLLED_FINISHES(false), UNROLLED_FINISHES(true)};

}  // namespace

TileKernel tileKernel(bool uniformA, Finish finish, bool packing, int span, int rows, int columns) {
  return kTables[uniformA][static_cast<int>(finish)][packing][span].kernel[rows - 1][columns - 1];
}
bool tileExists(bool uniformA, int span, int rows, int columns) {
  return tileKernel(uniformA, Finish::kStore, false, span, rows, columns) != nullptr;
}

}  // namespace unrolled::UNROLLED_LEVEL
