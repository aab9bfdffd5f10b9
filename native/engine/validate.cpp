#include "validate.h"

#include <algorithm>
#include <array>
#include <string>

#include "error.h"

namespace unrolled {

namespace {

constexpr int64_t kMaxIterations = int64_t{1} << 31;  // elements one instruction may visit: keeps a cancelled run responsive
constexpr int64_t kMaxReach = int64_t{1} << 40;
constexpr size_t kHeaderWords = 24;
constexpr int kMaxInputs = 16, kMaxOutputs = 8, kMaxRegisters = 64, kMaxMicros = 64;

[[noreturn]] void refuse(const std::string& what) { throw Error(kOptionCode, "malformed program: " + what); }

// Operands that a micro-op reads, or -1 for a number that names none.
int arity(int32_t micro) {
  if (micro >= kAbsF && micro <= kStep) return 1;
  if (micro >= kAbsI && micro <= kLogicalNot) return 1;
  if (micro >= kIsNan && micro <= kIsFinite) return 1;
  if (micro >= kAddF && micro <= kSquaredDifferenceF) return 2;
  if (micro >= kAddI && micro <= kAndI) return 2;
  if (micro >= kEqF && micro <= kLogicalOr) return 2;
  if (micro == kSelect) return 3;
  if (micro >= kFloatToInt && micro <= kIntToBool) return 1;
  if (micro >= kMulAddF && micro <= kNegMulAddF) return 3;
  if (micro == kConst) return 0;
  return -1;
}

struct Dims {
  std::vector<int64_t> sizes;
  int64_t elements = 1;
};

class InstructionReader {
 public:
  InstructionReader(const ProgramHeader& header, const int32_t* words, size_t first, size_t end, int block)
      : header_(header), words_(words), at_(first), end_(end), block_(block), start_(first) {}

  void check();

 private:
  [[noreturn]] void fail(const std::string& what) const {
    static const char* const names[] = {"call", "tile", "step", "init"};
    refuse("block " + std::string(names[block_]) + ", instruction at word " + std::to_string(start_) + ": " + what);
  }

  int32_t take() {
    if (at_ >= end_) fail("it ends before its payload does");
    return words_[at_++];
  }

  int32_t takeIn(int32_t low, int32_t high, const char* what) {
    const int32_t value = take();
    if (value < low || value > high) {
      fail(std::string(what) + " is " + std::to_string(value) + ", expected " + std::to_string(low) + ".." + std::to_string(high));
    }
    return value;
  }

  int64_t takeSize(const char* what) { return takeIn(0, INT32_MAX, what); }

  Dims takeDims(const char* what) {
    Dims dims;
    const int rank = takeIn(0, kMaxRank, what);
    for (int i = 0; i < rank; ++i) append(dims, takeSize("a dimension"));
    return dims;
  }

  // Products stop at 0: a dimension of 0 makes the rest irrelevant.
  void append(Dims& dims, int64_t size) const {
    dims.sizes.push_back(size);
    if (size != 0 && dims.elements > kMaxIterations / size) fail("it visits more than 2^31 elements");
    dims.elements *= size;
  }
  Dims dimsOf(std::initializer_list<int64_t> sizes) const {
    Dims dims;
    for (const int64_t size : sizes) append(dims, size);
    return dims;
  }
  static Dims join(const InstructionReader& reader, const Dims& a, const Dims& b) {
    Dims dims = a;
    for (const int64_t size : b.sizes) reader.append(dims, size);
    return dims;
  }

  int32_t takeMode() {
    const int32_t mode = takeIn(0, 1, "mode");
    if (mode == 1 && block_ == kCallBlock) fail("varying work in the call block");
    return mode;
  }

  Operand takeOperand() {
    Operand operand;
    operand.space = take();
    operand.offset = take();
    return operand;
  }

  void checkReadSpace(const Operand& operand, int32_t mode) const {
    if (operand.space < kVarying || operand.space > kState) fail("an operand names space " + std::to_string(operand.space));
    if (mode == 0 && (operand.space == kVarying || operand.space == kState)) fail("a uniform instruction reads a varying value");
  }

  void checkWriteSpace(const Operand& operand, int32_t mode) const {
    const bool fits = mode == 0 ? operand.space == kUniform : operand.space == kVarying || operand.space == kState;
    if (!fits) fail("an output names space " + std::to_string(operand.space) + (mode == 0 ? ", expected 1" : ", expected 0 or 4"));
  }

  // The reachable index range of operand + strides over dims lies inside its space.
  void checkRange(const Operand& operand, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) const {
    if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return;  // nothing is touched
    int64_t low = operand.offset, high = operand.offset;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const int64_t reach = (sizes[i] - 1) * strides[i];  // both below 2^31
      (reach < 0 ? low : high) += reach;
      if (low < -kMaxReach || high > kMaxReach) break;
    }
    const int64_t size = header_.size(operand.space);
    if (low < 0 || high >= size) {
      fail("an operand reaches " + std::to_string(low) + ".." + std::to_string(high) + " of space " +
           std::to_string(operand.space) + ", which has " + std::to_string(size));
    }
  }

  std::vector<int64_t> takeStrides(size_t count) {
    std::vector<int64_t> strides(count);
    for (int64_t& stride : strides) stride = take();
    return strides;
  }

  void takeRead(int32_t mode, const Dims& dims) {
    const Operand operand = takeOperand();
    checkReadSpace(operand, mode);
    checkRange(operand, dims.sizes, takeStrides(dims.sizes.size()));
  }
  void takeWrite(int32_t mode, const Dims& dims) {
    const Operand operand = takeOperand();
    checkWriteSpace(operand, mode);
    checkRange(operand, dims.sizes, takeStrides(dims.sizes.size()));
  }
  void takeContiguousWrite(int32_t mode, const Dims& dims) {
    const Operand operand = takeOperand();
    checkWriteSpace(operand, mode);
    checkRange(operand, {dims.elements}, {1});
  }

  void elementwise(int32_t mode, const Dims* productDims);
  void matmul(bool fused);
  void reduce();
  void copyOrFill(bool fill);
  void gather();
  void segmentSum();
  void cumsum();
  void random();
  void initCopy();

  const ProgramHeader& header_;
  const int32_t* words_;
  size_t at_, end_;
  int block_;
  size_t start_;
};

// `productDims`: [M, N] when input 0 is the product of a matrix multiplication.
void InstructionReader::elementwise(int32_t mode, const Dims* productDims) {
  const Dims dims = takeDims("rank");
  if (productDims && dims.sizes != productDims->sizes) fail("the elementwise dims are not [M, N]");
  const int inputs = takeIn(productDims ? 1 : 0, kMaxInputs, "number of inputs");
  for (int i = 0; i < inputs; ++i) {
    if (productDims && i == 0) {
      const Operand operand = takeOperand();
      if (operand.space != kProduct || operand.offset != 0) fail("input 0 must be the product (space -1, offset 0)");
      for (const int64_t stride : takeStrides(dims.sizes.size())) {
        if (stride != 0) fail("the product's strides must be 0");
      }
    } else {
      takeRead(mode, dims);
    }
  }
  const int outputs = takeIn(1, kMaxOutputs, "number of outputs");
  std::array<int, kMaxOutputs> outputRegisters{};
  for (int i = 0; i < outputs; ++i) {
    outputRegisters[i] = take();
    takeWrite(mode, dims);
  }
  const int registers = takeIn(inputs, kMaxRegisters, "number of registers");
  std::array<bool, kMaxRegisters> written{};
  for (int i = 0; i < inputs; ++i) written[i] = true;
  const int micros = takeIn(0, kMaxMicros, "number of micro-ops");
  for (int i = 0; i < micros; ++i) {
    const int32_t micro = take();
    const int operands = arity(micro);
    if (operands < 0) fail("micro-op " + std::to_string(micro) + " does not exist");
    const int32_t target = takeIn(0, kMaxRegisters - 1, "a micro-op's target");
    if (target < inputs || target >= registers || written[target]) {
      fail("a micro-op writes register " + std::to_string(target) + ", which is an input, out of range, or written before");
    }
    for (int operand = 0; operand < 3; ++operand) {
      const int32_t source = takeIn(0, kMaxRegisters - 1, "a micro-op's operand");
      if (operand < operands ? source >= registers || !written[source] : source != 0) {
        fail("a micro-op reads register " + std::to_string(source) + ", which holds nothing yet");
      }
    }
    take();
    take();
    written[target] = true;
  }
  for (int i = 0; i < outputs; ++i) {
    const int source = outputRegisters[i];
    if (source < 0 || source >= registers || !written[source]) {
      fail("an output names register " + std::to_string(source) + ", which is never written");
    }
  }
}

void InstructionReader::matmul(bool fused) {
  const int32_t mode = takeMode();
  const Dims batch = fused ? Dims{} : takeDims("batch rank");
  const int64_t m = takeSize("M"), n = takeSize("N"), k = takeSize("K");
  const int64_t products = join(*this, batch, dimsOf({m, n})).elements;
  if (k != 0 && products > kMaxReach / k) fail("it multiplies more than 2^40 pairs");
  const auto shaped = [&](int64_t rows, int64_t columns) {
    Dims dims;
    dims.sizes = {rows, columns};
    dims.sizes.insert(dims.sizes.end(), batch.sizes.begin(), batch.sizes.end());
    return dims;
  };
  if (m != 0 && n != 0 && k != 0 && batch.elements != 0) {
    takeRead(mode, shaped(m, k));
    takeRead(mode, shaped(k, n));
  } else {  // never read: the spaces must still exist
    for (const auto& [rows, columns] : {std::array{m, k}, std::array{k, n}}) {
      checkReadSpace(takeOperand(), mode);
      takeStrides(shaped(rows, columns).sizes.size());
    }
  }
  if (fused) {
    const Dims product = dimsOf({m, n});
    elementwise(mode, &product);
  } else {
    takeWrite(mode, shaped(m, n));
  }
}

void InstructionReader::reduce() {
  const int32_t mode = takeMode();
  takeIn(0, 11, "kind of reduction");
  const Dims out = takeDims("out rank");
  const Dims reduced = takeDims("reduced rank");
  if (out.sizes.size() + reduced.sizes.size() > static_cast<size_t>(kMaxRank)) fail("its ranks add up to more than 6");
  takeRead(mode, join(*this, out, reduced));
  takeContiguousWrite(mode, out);
}

void InstructionReader::copyOrFill(bool fill) {
  const int32_t mode = takeMode();
  const Dims dims = takeDims("rank");
  if (!fill) takeRead(mode, dims);
  takeWrite(mode, dims);
  if (fill) take();
}

void InstructionReader::gather() {
  const int32_t mode = takeMode();
  takeIn(0, 1, "integer");
  const int64_t batch = takeSize("batch"), outer = takeSize("outer"), n = takeSize("n"), inner = takeSize("inner");
  const int64_t m = takeSize("indices");
  takeRead(mode, dimsOf({batch, outer, n, inner}));
  takeRead(mode, dimsOf({batch, m}));
  takeContiguousWrite(mode, dimsOf({batch, outer, m, inner}));
}

void InstructionReader::segmentSum() {
  const int32_t mode = takeMode();
  takeIn(0, 1, "integer");
  const int64_t n = takeSize("n"), inner = takeSize("inner"), segments = takeSize("segments");
  takeRead(mode, dimsOf({n, inner}));
  takeRead(mode, dimsOf({n}));
  takeContiguousWrite(mode, dimsOf({segments, inner}));
}

void InstructionReader::cumsum() {
  const int32_t mode = takeMode();
  takeIn(0, 1, "integer");
  takeIn(0, 1, "exclusive");
  takeIn(0, 1, "reverse");
  const int64_t outer = takeSize("outer"), n = takeSize("n"), inner = takeSize("inner");
  const Dims dims = dimsOf({outer, n, inner});
  takeRead(mode, dims);
  takeContiguousWrite(mode, dims);
}

void InstructionReader::random() {
  const int32_t mode = takeMode();
  if (block_ == kCallBlock || block_ == kTileBlock) fail("random draws depend on the step");
  const int32_t distribution = takeIn(0, 3, "distribution");
  const int32_t share = takeIn(0, 2, "share");
  if ((share == 0) != (mode == 0)) fail("a draw is uniform exactly when all particles share it");
  takeIn(0, 255, "stream");
  takeIn(0, (1 << 24) - 1, "draw");
  const int64_t count = takeSize("count");
  take();
  const int32_t bits1 = take();
  if (distribution == 2 && bits1 == 0) fail("integers from an empty range");
  takeContiguousWrite(mode, dimsOf({count}));
}

void InstructionReader::initCopy() {
  if (block_ != kInitBlock) fail("INIT_COPY outside the init block");
  const Dims dims = takeDims("rank");
  takeRead(1, dims);
  const Operand target = takeOperand();
  if (target.space != kState) fail("INIT_COPY writes to space 4 only");
  checkRange(target, dims.sizes, takeStrides(dims.sizes.size()));
}

void InstructionReader::check() {
  const size_t blockEnd = end_;
  while (at_ < blockEnd) {
    start_ = at_;
    end_ = blockEnd;
    const int32_t opcode = take();
    const int32_t total = take();
    if (total < 2 || static_cast<size_t>(total) > blockEnd - start_) fail("its length " + std::to_string(total) + " leaves the block");
    end_ = start_ + static_cast<size_t>(total);
    switch (opcode) {
      case kElementwise: elementwise(takeMode(), nullptr); break;
      case kMatmul: matmul(false); break;
      case kMatmulElementwise: matmul(true); break;
      case kReduce: reduce(); break;
      case kCopy: copyOrFill(false); break;
      case kFill: copyOrFill(true); break;
      case kGather: gather(); break;
      case kSegmentSum: segmentSum(); break;
      case kCumsum: cumsum(); break;
      case kRandom: random(); break;
      case kInitCopy: initCopy(); break;
      default: fail("opcode " + std::to_string(opcode) + " does not exist");
    }
    if (at_ != end_) fail("its payload has " + std::to_string(end_ - at_) + " words too many");
  }
}

void checkScalar(const ProgramHeader& header, const Operand& operand, const char* what) {
  if (operand.space < kVarying || operand.space > kState || operand.offset < 0 || operand.offset >= header.size(operand.space)) {
    refuse(std::string(what) + " lies outside its space");
  }
}

void checkRows(const ProgramHeader& header, int64_t first, int64_t rows, const char* what) {
  if (first < 0 || rows < 0 || first + rows > header.rowsV) refuse(std::string(what) + " lies outside the varying arena");
}

}  // namespace

int64_t ProgramHeader::size(int32_t space) const {
  switch (space) {
    case kVarying: return rowsV;
    case kUniform: return wordsU;
    case kConstant: return wordsC;
    case kData: return wordsD;
    case kState: return rowsS;
    default: return 0;
  }
}

ProgramHeader validateProgram(const int32_t* words, size_t count) {
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
    InstructionReader(header, words, static_cast<size_t>(first), static_cast<size_t>(first + size), block).check();
  }
  return header;
}

}  // namespace unrolled
