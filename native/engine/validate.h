// The check that stands between words from outside and the kernels: every operand's whole reachable range inside its space,
// every register written before it is read, every count within its limit. What passes can be run without further checks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "program.h"

namespace unrolled {

struct Operand {
  int32_t space = kVarying;
  int64_t offset = 0;
};

struct BlockRange {
  size_t first = 0, count = 0;
};

// The header of a program, decoded.
struct ProgramHeader {
  int32_t lanes = 0;
  int64_t rowsV = 0, wordsU = 0, wordsC = 0, wordsD = 0, rowsS = 0, rowsP = 0;
  int32_t thetaElements = 0, thetaRow = 0, tRow = -1, particleRow = -1;
  Operand loss;
  std::vector<Operand> metrics;
  int32_t horizon = 0;
  BlockRange blocks[kBlocks];

  // Elements (rows or words) of a space.
  int64_t size(int32_t space) const;
};

// Decodes and checks a whole program; `primalRows`: rows of the state that a reverse program reads. Throws Error (ERR_OPTION) naming the word,
// the block and instruction, and what is wrong.
ProgramHeader validateProgram(const int32_t* words, size_t count, int64_t primalRows = 0);

}  // namespace unrolled
