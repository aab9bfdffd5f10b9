// Reading one instruction's words with every check that its payload shares with others: lengths, sizes, spaces, reach. What the
// kinds of instruction check beside that is in validate_*.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "program.h"
#include "validate.h"

namespace unrolled {

// A space as the instructions of one block or task may use it.
struct SpaceRule {
  int64_t size = 0;  // rows or words
  bool readable = false, writable = false;
  bool varying = false;
};

// What the instructions of one block or task may do.
struct InstructionRules {
  std::string where;                // how errors begin: "malformed program: block step"
  std::vector<SpaceRule> spaces;    // by number
  const char* noVarying = nullptr;  // why mode 1 is refused, or null
  const char* noDraws = nullptr;    // why RANDOM is refused, or null
  bool initCopies = false;
  bool defers = false;              // DEFERRED_PRODUCT may stand here
};

// Checks instruction after instruction until `end`. Throws Error (ERR_OPTION).
void validateInstructions(const InstructionRules& rules, const int32_t* words, size_t first, size_t end);

struct Dims {
  std::vector<int64_t> sizes;
  int64_t elements = 1;
};

class InstructionReader {
 public:
  static constexpr int64_t kMaxElements = int64_t{1} << 31;  // visited by one instruction: keeps a cancelled run responsive
  static constexpr int64_t kMaxProducts = int64_t{1} << 40;

  InstructionReader(const InstructionRules& instructionRules, const int32_t* words, size_t first, size_t end)
      : rules(instructionRules), words_(words), at_(first), end_(end), start_(first), blockEnd_(end) {}

  bool done() const { return at_ >= blockEnd_; }
  // The opcode of the next instruction; its payload is what is taken until `finish`.
  int32_t begin();
  void finish() const;

  [[noreturn]] void fail(const std::string& what) const;

  int32_t take();
  int32_t takeIn(int32_t low, int32_t high, const char* what);
  int64_t takeSize(const char* what) { return takeIn(0, INT32_MAX, what); }
  int32_t takeMode();
  Dims takeDims(const char* what);

  // Products stop at 0: a dimension of 0 makes the rest irrelevant.
  void append(Dims& dims, int64_t size) const;
  Dims dimsOf(std::initializer_list<int64_t> sizes) const;
  Dims join(const Dims& a, const Dims& b) const;
  // The product of the factors is at most 2^40.
  void checkWork(std::initializer_list<int64_t> factors) const;

  Operand takeOperand();
  std::vector<int64_t> takeStrides(size_t count);
  void checkReadSpace(const Operand& operand, int32_t mode) const;
  void checkWriteSpace(const Operand& operand, int32_t mode) const;
  // The reachable index range of operand + strides over dims lies inside its space.
  void checkRange(const Operand& operand, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) const;

  void takeRead(int32_t mode, const Dims& dims);
  void takeWrite(int32_t mode, const Dims& dims);
  void takeContiguousRead(int32_t mode, const Dims& dims);
  void takeContiguousWrite(int32_t mode, const Dims& dims);

  const InstructionRules& rules;

 private:
  const int32_t* words_;
  size_t at_, end_, start_, blockEnd_;
};

// Payloads by kind. `productDims`: [M, N] when input 0 of the group is the product of a matrix multiplication, else null.
void checkElementwise(InstructionReader& reader, int32_t mode, const Dims* productDims);
void checkMatmul(InstructionReader& reader, bool fused);
void checkDeferredProduct(InstructionReader& reader);
void checkConv(InstructionReader& reader);
void checkWindow(InstructionReader& reader, bool gradient);
void checkCholesky(InstructionReader& reader);
void checkTriangularSolve(InstructionReader& reader);
void checkSymmetricEigen(InstructionReader& reader);

}  // namespace unrolled
