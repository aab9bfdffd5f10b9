// What planning an elementwise group decides, once, so that running it decides nothing.
//
// A group's rows are an outer box of *segments*, each a run of `inner` rows. A chunk is a piece of one segment, or (when segments
// are short) several whole segments. A register is one of
//   scalar  one word for every row of its scope,
//   row     one row of lanes for every row of its scope,
//   full    one row per row.
// and is computed once a run, once a segment, or once a chunk; a chunk's registers are full. Work on scalars and single rows is
// thereby done once, whatever the size of what it is broadcast against.
#pragma once
#include "arena.h"
#include "micro_ops.h"

namespace unrolled::UNROLLED_LEVEL {

enum class Width : uint8_t { kScalar, kRow, kFull };
enum class When : uint8_t { kRun, kSegment, kChunk };

struct MicroStep {
  MicroKernel kernel;
  uint8_t to, a, b, c;
  Width width;
  uint32_t bits[2];
};

// An input or output and how it meets the registers.
struct Stream {
  enum Kind : uint8_t {
    kFixed,   // input read in place, one word or row a segment
    kMoving,  // read or written in place, row by row
    kCopied,  // input gathered into, or output scattered from, a register
  };
  Operand operand;  // strides of the outer dims
  int64_t inner;    // stride of the inner run, words
  uint8_t reg;
  Kind kind;
  Width width;  // outputs: of the register
  bool product;
  bool periodic;  // copied, the same for every segment: filled once a run
  bool direct;  // output written by the micro-op that makes it
};

// A register that lives in scratch or in the plan.
struct Place {
  uint8_t reg;
  size_t offset;  // bytes from scratch
};
struct Constant {
  uint8_t reg;
  uint32_t word;
};
// A row or scalar repeated to a chunk, for the sake of full micro-ops.
struct Expansion {
  uint8_t from, to;
};

struct ElementwisePlan {
  int64_t rowWords;  // lanes, or 1 in mode 0
  int outerRank;
  int32_t outer[kMaxRank];
  int32_t inner;
  bool severalSegments;  // a chunk is several whole segments
  bool empty;
  bool mergedRows;       // product groups: the rectangle is one run (its columns are always complete)
  int64_t chunkWords;    // a multiple of the row, or a piece of one row
  int64_t chunkSegments;
  int inputs, outputs;
  Stream* input;
  Stream* output;
  int steps[3];
  MicroStep* step[3];  // by When
  int expansions[2];
  Expansion* expansion[2];
  int places;
  Place* place;
  int constants;
  Constant* constant;
  size_t scratchBytes;
};

constexpr int kRegisterTable = 160;  // 64 registers, their expansions, and room

}  // namespace unrolled::UNROLLED_LEVEL
