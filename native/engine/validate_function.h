// The check of a function's words, as validate.h for programs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "validate.h"

namespace unrolled {

// The header of a function, decoded.
struct FunctionHeader {
  struct External {
    int64_t words = 0;
    bool written = false;
  };

  int64_t wordsU = 0, wordsC = 0;
  std::vector<External> externals;
  size_t inputs = 0;                 // the first of the externals; the others are outputs
  std::vector<uint32_t> stageTasks;  // tasks of each stage, which are numbered one stage after the other
  std::vector<BlockRange> tasks;
  int64_t kiloFlops = 0;
};

// Decodes and checks a whole function. Throws Error (ERR_OPTION) naming the word, the task and instruction, and what is wrong.
FunctionHeader validateFunction(const int32_t* words, size_t count);

}  // namespace unrolled
