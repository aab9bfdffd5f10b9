// The border between the planner (TypeScript, src/device/cpu/) and the engine: how a planned program is written in 32-bit
// words, and the table of functions that each instruction level provides.
//
// LANES. A tile is `lanes` particles (a multiple of 8, at most 4096). A *varying* value of n elements is n rows of `lanes`
// 32-bit words; a *uniform* value (equal for all particles) is n words. Everything is 32 bits wide: float32, int32, and bool as
// int32 0/1.
//
// SPACES. An operand is `space, offset, stride...`; offset and strides count rows in varying spaces and words in uniform ones.
//   0 V  varying arena, one per thread           (rows)
//   1 U  uniform arena, one per thread           (words)
//   2 C  constants, read-only, shared            (words)
//   3 D  data inputs, read-only, shared          (words)
//   4 S  state of the tile being run, in place   (rows)
//   5 P  primal state: what the step being gone back through began with, read-only (rows; reverse programs only)
//   6+i  memory of external value i of a function, an input or output (words; functions only)
//
// PROGRAM WORDS (int32)
//   0 magic 'UNRL' 0x4c524e55   1 version 1        2 lanes          3 rows of V       4 words of U
//   5 words of C                6 words of D       7 rows of S      8 theta elements P
//   9 first row of theta in V (P rows, filled by the engine at the start of a tile)
//  10 row of t in V, or -1 (int32: step within the episode, kept by the engine)
//  11 row of the particle index in V, or -1 (int32, filled at the start of a tile)
//  12 space, 13 offset of the loss (one float32 element, varying or uniform)
//  14 number of metrics m       15 horizon (steps an episode; 0 = endless)
//  16 + 2b, 17 + 2b: first word and word count of block b, for the four blocks
//     b = 0 call  uniform work that depends on data and constants only: once per thread and call
//     b = 1 tile  varying work that depends on theta, particle index, data only: once per tile and call
//     b = 2 step  every step
//     b = 3 init  at the first step of an episode, before the step block, when any lane of the tile is fresh
//  24 ...: m pairs (space, offset), the metrics (one float32 element each)
//
// INSTRUCTIONS: `opcode, total words including these two, payload`. `mode` is 0 when every output is uniform (then every operand
// is), 1 when the output is varying (operands may be either). Ranks are at most 6. dims may be 0 (nothing happens, reductions
// write their identity).
//
//   1 ELEMENTWISE   mode, EW
//       EW = rank, dims[rank],
//            inputs n, n x (space, offset, strides[rank]),
//            outputs k, k x (register, space, offset, strides[rank]),
//            registers r, micro-ops u, u x (micro, dst, a, b, c, bits0, bits1)
//       Registers 0..n-1 are the inputs; a micro-op writes a register >= n, each written once, before it is read. Unused operands
//       are 0. Outputs name any register. An output may be the very operand of an input (same space, offset, strides): every row of
//       an input is read before that row is written. n <= 16, k <= 8, r <= 64, u <= 64.
//   2 MATMUL        mode, batch rank q, batch dims[q], M, N, K,
//                   A: space, offset, strideM, strideK, batch strides[q]
//                   B: space, offset, strideK, strideN, batch strides[q]
//                   C: space, offset, strideM, strideN, batch strides[q]      C = A B
//   3 MATMUL_ELEMENTWISE  mode, M, N, K, A: space, offset, strideM, strideK; B: space, offset, strideK, strideN; EW
//       EW with rank 2, dims [M, N]; its input 0 is the product (written as space -1, offset 0, strides 0 0). Outputs never overlap
//       A or B.
//   4 REDUCE        mode, kind, out rank p, out dims[p], reduced rank q, reduced dims[q],
//                   input: space, offset, strides[p] of the out dims, strides[q] of the reduced dims
//                   output: space, offset (contiguous)
//       kinds: 0 sum f, 1 sum i, 2 prod f, 3 prod i, 4 max f, 5 max i, 6 min f, 7 min i, 8 argmax f, 9 argmax i, 10 argmin f, 11 argmin i
//       (arg: int32 row-major index over the reduced dims, first on ties). max/min of NaN is NaN. Empty: 0, 1, -Infinity / INT_MIN, +Infinity / INT_MAX.
//   5 COPY          mode, rank, dims[rank], source: space, offset, strides; destination: space, offset, strides (a uniform source is
//                   splat over the lanes of a varying destination)
//   6 FILL          mode, rank, dims[rank], destination: space, offset, strides; value bits
//   7 GATHER        mode, integer (0 float32, 1 int32 or bool), batch, outer, n, inner, indices m,
//                   x: space, offset, strides batch outer n inner;  indices (int32): space, offset, strides batch m
//                   output: space, offset, contiguous [batch, outer, m, inner]; index outside [0, n): NaN or 0
//   8 SEGMENT_SUM   mode, integer, n, inner, segments; x: space, offset, strides n inner; ids: space, offset, stride n;
//                   output: space, offset, contiguous [segments, inner]; ids outside [0, segments) are dropped
//   9 CUMSUM        mode, integer, exclusive, reverse, outer, n, inner; x: space, offset, strides outer n inner;
//                   output: space, offset, contiguous [outer, n, inner]
//  10 RANDOM        mode, distribution (0 normal, 1 uniform, 2 integers, 3 bernoulli), share (0 all, 1 pair, 2 particle), stream, draw,
//                   count, bits0, bits1; output: space, offset, contiguous [count]
//                   uniform: low, high (float bits). integers: low (int32), range (uint32). bernoulli: p (float bits). share 0 <=> mode 0.
//                   Philox counter: (element / 4, subject, step, stream << 24 | draw); subject: 0, pair or particle (src/random/philox.ts).
//  12 CONV          mode, kind, depthwise (0, 1), GEOMETRY, F (depthwise: M, outputs per channel), A: space, offset; B: space, offset;
//                   output: space, offset; from, to
//       GEOMETRY = N, D, H, W, C, KD, KH, KW, OD, OH, OW, strides[3], dilations[3], padBefore[3]
//       All operands contiguous float32: x [N,D,H,W,C], filter [KD,KH,KW,C,F], y [N,OD,OH,OW,F] (depthwise: C*M channels, c*M + m).
//       kinds: 0 forward: A x, B filter -> y. 1 input gradient: A dy, B filter -> dx. 2 filter gradient: A x, B dy -> dfilter.
//       Only rows from .. to - 1 of the output are written, seen as [rows, columns]: rows N*OD*OH*OW (kind 0), N*D*H*W (kind 1),
//       KD*KH*KW*C (kind 2; columns F, depthwise M). An element's value does not depend on from and to.
//  13 WINDOW        mode, kind (0 max, 1 sum), GEOMETRY, x: space, offset; output: space, offset; both contiguous float32. Positions outside x
//                   take no part; NaN wins; an empty window gives -Infinity or 0.
//  14 WINDOW_GRAD   mode, kind, GEOMETRY, x: space, offset; dy: space, offset; output dx: space, offset; contiguous. kind 0: dy goes to the
//                   first maximum (or first NaN) of its window in row-major order; kind 1: to every position (x is then given as dy).
//  15 ARGSORT       mode, integer, descending, outer, n; x: space, offset; output: space, offset; contiguous [outer, n]; stable; NaN last; int32 positions
//  16 CHOLESKY      mode, batch, n; a: space, offset; output: space, offset; contiguous
//  17 TRIANGULAR_SOLVE  mode, lower, transpose, batch, n, m; a: space, offset; b: space, offset; output: space, offset; contiguous
//  18 SYMMETRIC_EIGEN   mode, batch, n; a: space, offset; output [batch, n + 1, n]: space, offset; contiguous
//                   16..18: see the ops of the same names in src/graph/graph.ts; float64 inside.
//  19 DEFERRED_PRODUCT  M, N, K, capacity, A: space, offset, strideM, strideK; B: space, offset, strideK, strideN; W: space 4, offset, strideM,
//                   strideN; ring: first of capacity * K * (M + N) rows of V. A and B vary. W += A B, put off: the operands wait in the
//                   ring, and the sum of all that wait is added when it is full, or when the context does not hold products (unroll steps
//                   only, and only where nothing reads W in between).
//  11 INIT_COPY     rank, dims[rank], source: space, offset, strides; destination: space 4, offset, strides; only the fresh lanes
//
// FUNCTIONS. One copy of a computation, all of it uniform (mode 0), as stages of tasks: a stage's tasks are independent of each other and may
// run on different threads; a stage begins when the one before it is done. An instruction that is worth it has been cut by the planner into
// several tasks along its outer dims. A task's result never depends on which thread runs it.
//   0 magic 'UNRF' 0x46524e55   1 version 1        2 words of U      3 words of C     4 externals e     5 inputs i (the first i externals)
//   6 stages g                  7 tasks n          8 flops of a call in thousands, saturated
//   9 ...: e x (words, written): size of each external in words; written = 1 for outputs and for inputs that an output is written over
//   then g x (first task, tasks); then n x (first word, words) of each task's instructions, one or more, run in order
//   Stages have the tasks in order, without gaps; tasks share no words. One array may be given as a written input and as an output: that output
//   is then to be read and written through the input's space, since kernels know what is in place by its space and offset.
// Instructions read U, C and externals; they write U and externals marked as written. bool externals are int32 0/1 here (the addon widens and
// narrows). Memory of externals may have any alignment that float32 allows. RANDOM has share 0.
#pragma once
#include <cstddef>
#include <cstdint>

namespace unrolled {

constexpr int32_t kProgramMagic = 0x4c524e55;
constexpr int32_t kFunctionMagic = 0x46524e55;
constexpr int32_t kProgramVersion = 1;
constexpr int kMaxRank = 6;
constexpr int kMaxLanes = 4096;

enum Space : int32_t { kVarying = 0, kUniform = 1, kConstant = 2, kData = 3, kState = 4, kPrimal = 5, kExternal = 6, kProduct = -1 };
enum Block : int32_t { kCallBlock = 0, kTileBlock = 1, kStepBlock = 2, kInitBlock = 3, kBlocks = 4 };
enum Opcode : int32_t {
  kElementwise = 1, kMatmul = 2, kMatmulElementwise = 3, kReduce = 4, kCopy = 5, kFill = 6, kGather = 7,
  kSegmentSum = 8, kCumsum = 9, kRandom = 10, kInitCopy = 11, kConv = 12, kWindow = 13, kWindowGrad = 14, kArgSort = 15,
  kCholesky = 16, kTriangularSolve = 17, kSymmetricEigen = 18, kDeferredProduct = 19,
};

// Micro-ops of ELEMENTWISE. f: float32, i: int32 (bool is int32 0/1). The numbers are part of the border: append only.
enum Micro : int32_t {
  // float -> float
  kAbsF = 1, kNegF, kSignF, kSquareF, kReluF, kExp, kExpm1, kLog, kLog1p, kSqrt, kRsqrt, kReciprocal, kFloor, kCeil, kRound,
  kSin, kCos, kTan, kAsin, kAcos, kAtan, kSinh, kCosh, kTanh, kAsinh, kAcosh, kAtanh, kErf, kSigmoid, kSoftplus,
  kClipF = 31,     // bits0 = min, bits1 = max (float)
  kStep = 32,      // bits0 = alpha
  // int -> int
  kAbsI = 40, kNegI, kSignI, kSquareI, kReluI, kClipI /* bits: int32 */, kLogicalNot,
  // float -> bool
  kIsNan = 50, kIsInf, kIsFinite,
  // float, float -> float
  kAddF = 60, kSubF, kMulF, kDivF, kFloorDivF, kModF, kPowF, kAtan2, kMinF, kMaxF, kSquaredDifferenceF,
  // int, int -> int
  kAddI = 80, kSubI, kMulI, kFloorDivI, kModI, kPowI, kMinI, kMaxI, kSquaredDifferenceI, kAndI,
  // float, float -> bool (equal, notEqual, less, lessEqual, greater, greaterEqual), then int, int -> bool
  kEqF = 100, kNeF, kLtF, kLeF, kGtF, kGeF, kEqI, kNeI, kLtI, kLeI, kGtI, kGeI,
  kLogicalAnd = 112, kLogicalOr,
  // a (bool) ? b : c, 32 bits of any kind
  kSelect = 120,
  // casts: float -> int (truncation, NaN -> 0), int -> float, float -> bool, int -> bool
  kFloatToInt = 121, kIntToFloat, kFloatToBool, kIntToBool,
  // a * b + c and a * b - c, c - a * b in float, fused where the level has FMA (made by the planner from a product used once)
  kMulAddF = 130, kMulSubF, kNegMulAddF,
  // constants: dst = bits0
  kConst = 140,
};

// Everything an instruction can see. Pointers are 64-byte aligned; strides and offsets come from the program.
struct TileContext {
  uint32_t* const* space;      // by Space: 6 pointers, and those of the externals in a function
  int32_t lanes;
  uint32_t key0, key1;         // Philox key
  uint32_t step;               // the run's global step number
  uint32_t particle0;          // index of lane 0
  uint32_t pairs;              // 0: no antithetic pairs (pair = particle); else pair = particle % pairs
  const int32_t* fresh;        // [lanes] 0 or -1: lanes that INIT_COPY writes
  bool allFresh;
  uint32_t waiting;            // DEFERRED_PRODUCT: how often it ran before in this sweep, and whether it may put off more
  bool hold;
  void* scratch;               // at least the bytes that `prepare` asked for, per thread
};

struct NoiseSource {
  uint32_t key0, key1, stream, draw;
  uint32_t step;               // used when `steps` is null
  const uint32_t* steps;       // null, or one a row: of the pair in perturb, of row0 + i at [i] in fillNormal and addNormal
};

// One per instruction level; see native/cpu/table.cpp.
struct CpuTable {
  const char* name;            // "base", "avx2", "avx512"
  int vectorWidth;             // floats per vector
  // Decodes one block for fast repeated running. The words were validated by the engine. Returns an owned pointer; *scratchBytes is raised to
  // what running it needs.
  void* (*prepare)(const int32_t* words, size_t count, int lanes, size_t* scratchBytes);
  void (*run)(const void* prepared, TileContext& context);
  void (*release)(void* prepared);
  // sums[i] += row[i]; last[i] = row[i] (last may be null). uniform: one word for all lanes.
  void (*accumulate)(const float* row, bool uniform, int lanes, double* sums, float* last);
  // theta rows of a tile: rows[j][lane] = mean[j] + (sign * sigma[j]) * eps(pair, j), every op rounded to float32, no FMA; sign is -1 for
  // particles >= pairs when pairs != 0. Noise subject = pair; element j.
  void (*perturb)(float* rows, int lanes, int elements, const float* mean, const float* sigma, const NoiseSource& noise,
                  uint32_t particle0, uint32_t particles, uint32_t pairs);
  // Rows [row0, row0 + rows) of an N(0,1) matrix [.., dim], subject = row index.
  void (*fillNormal)(float* out, uint32_t row0, uint32_t rows, uint32_t dim, const NoiseSource& noise);
  // accumulator[i][j] += scale[j] * eps(row0 + i, j)
  void (*addNormal)(float* accumulator, const float* scale, uint32_t row0, uint32_t rows, uint32_t dim, const NoiseSource& noise);
  // out[j] += sum over the rows of weights[i] * matrix[i][j], float64, rows in order
  void (*weightedRowSum)(const double* weights, const float* matrix, uint32_t rows, uint32_t dim, double* out);
};

namespace base { extern const CpuTable kTable; }
namespace avx2 { extern const CpuTable kTable; }
namespace avx512 { extern const CpuTable kTable; }

}  // namespace unrolled
