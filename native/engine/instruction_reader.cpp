#include "instruction_reader.h"

#include <algorithm>

#include "error.h"

namespace unrolled {

namespace {

constexpr int64_t kMaxReach = int64_t{1} << 40;

}  // namespace

void InstructionReader::fail(const std::string& what) const {
  throw Error(kOptionCode, rules.where + ", instruction at word " + std::to_string(start_) + ": " + what);
}

int32_t InstructionReader::begin() {
  start_ = at_;
  end_ = blockEnd_;
  const int32_t opcode = take();
  const int32_t total = take();
  if (total < 2 || static_cast<size_t>(total) > blockEnd_ - start_) fail("its length " + std::to_string(total) + " leaves the block");
  end_ = start_ + static_cast<size_t>(total);
  return opcode;
}

void InstructionReader::finish() const {
  if (at_ != end_) fail("its payload has " + std::to_string(end_ - at_) + " words too many");
}

int32_t InstructionReader::take() {
  if (at_ >= end_) fail("it ends before its payload does");
  return words_[at_++];
}

int32_t InstructionReader::takeIn(int32_t low, int32_t high, const char* what) {
  const int32_t value = take();
  if (value < low || value > high) {
    fail(std::string(what) + " is " + std::to_string(value) + ", expected " + std::to_string(low) + ".." + std::to_string(high));
  }
  return value;
}

int32_t InstructionReader::takeMode() {
  const int32_t mode = takeIn(0, 1, "mode");
  if (mode == 1 && rules.noVarying) fail(rules.noVarying);
  return mode;
}

Dims InstructionReader::takeDims(const char* what) {
  Dims dims;
  const int rank = takeIn(0, kMaxRank, what);
  for (int i = 0; i < rank; ++i) append(dims, takeSize("a dimension"));
  return dims;
}

void InstructionReader::append(Dims& dims, int64_t size) const {
  dims.sizes.push_back(size);
  if (size != 0 && dims.elements > kMaxElements / size) fail("it visits more than 2^31 elements");
  dims.elements *= size;
}

Dims InstructionReader::dimsOf(std::initializer_list<int64_t> sizes) const {
  Dims dims;
  for (const int64_t size : sizes) append(dims, size);
  return dims;
}

Dims InstructionReader::join(const Dims& a, const Dims& b) const {
  Dims dims = a;
  for (const int64_t size : b.sizes) append(dims, size);
  return dims;
}

void InstructionReader::checkWork(std::initializer_list<int64_t> factors) const {
  int64_t work = 1;
  for (const int64_t factor : factors) {
    if (factor != 0 && work > kMaxProducts / factor) fail("it multiplies more than 2^40 pairs");
    work *= factor;
  }
}

Operand InstructionReader::takeOperand() {
  Operand operand;
  operand.space = take();
  operand.offset = take();
  return operand;
}

std::vector<int64_t> InstructionReader::takeStrides(size_t count) {
  std::vector<int64_t> strides(count);
  for (int64_t& stride : strides) stride = take();
  return strides;
}

void InstructionReader::checkReadSpace(const Operand& operand, int32_t mode) const {
  const bool exists = operand.space >= 0 && static_cast<size_t>(operand.space) < rules.spaces.size();
  if (!exists || !rules.spaces[static_cast<size_t>(operand.space)].readable) fail("an operand names space " + std::to_string(operand.space));
  if (mode == 0 && rules.spaces[static_cast<size_t>(operand.space)].varying) fail("a uniform instruction reads a varying value");
}

void InstructionReader::checkWriteSpace(const Operand& operand, int32_t mode) const {
  const bool exists = operand.space >= 0 && static_cast<size_t>(operand.space) < rules.spaces.size();
  const auto fits = [&](const SpaceRule& space) { return space.writable && space.varying == (mode == 1); };
  if (exists && fits(rules.spaces[static_cast<size_t>(operand.space)])) return;
  std::string expected;
  for (size_t i = 0; i < rules.spaces.size(); ++i) {
    if (fits(rules.spaces[i])) expected += (expected.empty() ? "" : " or ") + std::to_string(i);
  }
  fail("an output names space " + std::to_string(operand.space) + ", expected " + (expected.empty() ? "none" : expected));
}

void InstructionReader::checkRange(const Operand& operand, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) const {
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return;  // nothing is touched
  int64_t low = operand.offset, high = operand.offset;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t reach = (sizes[i] - 1) * strides[i];  // both below 2^31
    (reach < 0 ? low : high) += reach;
    if (low < -kMaxReach || high > kMaxReach) break;
  }
  const int64_t size = rules.spaces[static_cast<size_t>(operand.space)].size;
  if (low < 0 || high >= size) {
    fail("an operand reaches " + std::to_string(low) + ".." + std::to_string(high) + " of space " + std::to_string(operand.space) +
         ", which has " + std::to_string(size));
  }
}

void InstructionReader::takeRead(int32_t mode, const Dims& dims) {
  const Operand operand = takeOperand();
  checkReadSpace(operand, mode);
  checkRange(operand, dims.sizes, takeStrides(dims.sizes.size()));
}

void InstructionReader::takeWrite(int32_t mode, const Dims& dims) {
  const Operand operand = takeOperand();
  checkWriteSpace(operand, mode);
  checkRange(operand, dims.sizes, takeStrides(dims.sizes.size()));
}

void InstructionReader::takeContiguousRead(int32_t mode, const Dims& dims) {
  const Operand operand = takeOperand();
  checkReadSpace(operand, mode);
  checkRange(operand, {dims.elements}, {1});
}

void InstructionReader::takeContiguousWrite(int32_t mode, const Dims& dims) {
  const Operand operand = takeOperand();
  checkWriteSpace(operand, mode);
  checkRange(operand, {dims.elements}, {1});
}

}  // namespace unrolled
