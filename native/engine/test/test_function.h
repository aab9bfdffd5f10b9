// For the tests of functions: a writer of function words, and instructions over whole runs of words.
#pragma once
#include <vector>

#include "test/test_program.h"

namespace unrolled::test {

struct Function {
  int32_t wordsU = 0, wordsC = 0, inputs = 0, kiloFlops = 0;
  std::vector<std::pair<int32_t, bool>> externals;  // words, written
  std::vector<std::vector<Words>> stages;           // instructions of each task

  Words words() const {
    int32_t tasks = 0;
    for (const auto& stage : stages) tasks += static_cast<int32_t>(stage.size());
    Words all{kFunctionMagic, kProgramVersion, wordsU, wordsC, static_cast<int32_t>(externals.size()), inputs,
              static_cast<int32_t>(stages.size()), tasks, kiloFlops};
    for (const auto& [size, written] : externals) all = all + Words{size, written};
    int32_t first = 0;
    for (const auto& stage : stages) {
      all = all + Words{first, static_cast<int32_t>(stage.size())};
      first += static_cast<int32_t>(stage.size());
    }
    int32_t at = static_cast<int32_t>(all.size()) + 2 * tasks;
    Words code;
    for (const auto& stage : stages) {
      for (const Words& task : stage) {
        all = all + Words{at, static_cast<int32_t>(task.size())};
        code = code + task;
        at += static_cast<int32_t>(task.size());
      }
    }
    return all + code;
  }
};

// out[i] = micro(a[i], b[i]) for i < n.
inline Words vectorOp(Micro micro, int32_t n, std::pair<int32_t, int32_t> a, std::pair<int32_t, int32_t> b, std::pair<int32_t, int32_t> out,
                      int32_t strideB = 1) {
  return instruction(kElementwise, {0, 1, n, 2, a.first, a.second, 1, b.first, b.second, strideB, 1, 2, out.first, out.second, 1, 3, 1, micro, 2, 0,
                                    1, 0, 0, 0});
}

// out = sum of n words.
inline Words sumOp(int32_t n, std::pair<int32_t, int32_t> x, std::pair<int32_t, int32_t> out) {
  return instruction(kReduce, {0, 0, 0, 1, n, x.first, x.second, 1, out.first, out.second});
}

}  // namespace unrolled::test
