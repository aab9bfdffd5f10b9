#include "validate.h"

#include <string>

#include "error.h"
#include "instruction_reader.h"

namespace unrolled {

namespace {

constexpr size_t kHeaderWords = 24;

[[noreturn]] void refuse(const std::string& what) { throw Error(kOptionCode, "malformed program: " + what); }

void checkScalar(const ProgramHeader& header, const Operand& operand, const char* what) {
  if (operand.space < kVarying || operand.space > kState || operand.offset < 0 || operand.offset >= header.size(operand.space)) {
    refuse(std::string(what) + " lies outside its space");
  }
}

void checkRows(const ProgramHeader& header, int64_t first, int64_t rows, const char* what) {
  if (first < 0 || rows < 0 || first + rows > header.rowsV) refuse(std::string(what) + " lies outside the varying arena");
}

InstructionRules rulesOf(const ProgramHeader& header, int block) {
  static const char* const names[] = {"call", "tile", "step", "init"};
  InstructionRules rules;
  rules.where = std::string("malformed program: block ") + names[block];
  for (int32_t space = kVarying; space <= kPrimal; ++space) {
    const bool varying = space == kVarying || space == kState || space == kPrimal;
    const bool writable = space == kVarying || space == kUniform || space == kState;
    rules.spaces.push_back({header.size(space), true, writable, varying});
  }
  if (block == kCallBlock) rules.noVarying = "varying work in the call block";
  if (block == kCallBlock || block == kTileBlock) rules.noDraws = "random draws depend on the step";
  rules.initCopies = block == kInitBlock;
  rules.defers = block == kStepBlock;
  return rules;
}

}  // namespace

int64_t ProgramHeader::size(int32_t space) const {
  switch (space) {
    case kVarying: return rowsV;
    case kUniform: return wordsU;
    case kConstant: return wordsC;
    case kData: return wordsD;
    case kState: return rowsS;
    case kPrimal: return rowsP;
    default: return 0;
  }
}

ProgramHeader validateProgram(const int32_t* words, size_t count, int64_t primalRows) {
  if (count < kHeaderWords) refuse("fewer words than a header has");
  if (words[0] != kProgramMagic) refuse("its first word is not the magic number");
  if (words[1] != kProgramVersion) refuse("version " + std::to_string(words[1]) + ", this engine runs " + std::to_string(kProgramVersion));
  ProgramHeader header;
  header.lanes = words[2];
  if (header.lanes < 8 || header.lanes > kMaxLanes || header.lanes % 8 != 0) {
    refuse("lanes is " + std::to_string(header.lanes) + ", expected a multiple of 8 up to " + std::to_string(kMaxLanes));
  }
  for (int i = 3; i <= 8; ++i) {
    if (words[i] < 0) refuse("a negative size in word " + std::to_string(i));
  }
  header.rowsV = words[3];
  header.wordsU = words[4];
  header.wordsC = words[5];
  header.wordsD = words[6];
  header.rowsS = words[7];
  header.rowsP = primalRows;
  header.thetaElements = words[8];
  header.thetaRow = words[9];
  header.tRow = words[10];
  header.particleRow = words[11];
  if (header.thetaElements > 0) checkRows(header, header.thetaRow, header.thetaElements, "theta");
  if (header.tRow != -1) checkRows(header, header.tRow, 1, "the row of t");
  if (header.particleRow != -1) checkRows(header, header.particleRow, 1, "the row of the particle index");
  header.loss = {words[12], words[13]};
  checkScalar(header, header.loss, "the loss");
  const int64_t metrics = words[14];
  if (metrics < 0 || static_cast<uint64_t>(metrics) * 2 > count - kHeaderWords) refuse("more metrics than words");
  for (int64_t i = 0; i < metrics; ++i) {
    const int32_t* pair = words + kHeaderWords + 2 * i;
    header.metrics.push_back({pair[0], pair[1]});
    checkScalar(header, header.metrics.back(), "a metric");
  }
  header.horizon = words[15];
  if (header.horizon < 0) refuse("a negative horizon");
  for (int block = 0; block < kBlocks; ++block) {
    const int64_t first = words[16 + 2 * block], size = words[17 + 2 * block];
    if (first < 0 || size < 0 || first + size > static_cast<int64_t>(count)) refuse("block " + std::to_string(block) + " lies outside the words");
    header.blocks[block] = {static_cast<size_t>(first), static_cast<size_t>(size)};
    validateInstructions(rulesOf(header, block), words, static_cast<size_t>(first), static_cast<size_t>(first + size));
  }
  return header;
}

}  // namespace unrolled
