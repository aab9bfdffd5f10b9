// ELEMENTWISE and MATMUL, alone and together: registers written once before they are read, operands inside their spaces.
#include <array>
#include <string>

#include "instruction_reader.h"

namespace unrolled {

namespace {

constexpr int kMaxInputs = 16, kMaxOutputs = 8, kMaxRegisters = 64, kMaxMicros = 64;

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

}  // namespace

// `productDims`: [M, N] when input 0 is the product of a matrix multiplication.
void checkElementwise(InstructionReader& reader, int32_t mode, const Dims* productDims) {
  const Dims dims = reader.takeDims("rank");
  if (productDims && dims.sizes != productDims->sizes) reader.fail("the elementwise dims are not [M, N]");
  const int inputs = reader.takeIn(productDims ? 1 : 0, kMaxInputs, "number of inputs");
  for (int i = 0; i < inputs; ++i) {
    if (productDims && i == 0) {
      const Operand operand = reader.takeOperand();
      if (operand.space != kProduct || operand.offset != 0) reader.fail("input 0 must be the product (space -1, offset 0)");
      for (const int64_t stride : reader.takeStrides(dims.sizes.size())) {
        if (stride != 0) reader.fail("the product's strides must be 0");
      }
    } else {
      reader.takeRead(mode, dims);
    }
  }
  const int outputs = reader.takeIn(1, kMaxOutputs, "number of outputs");
  std::array<int, kMaxOutputs> outputRegisters{};
  for (int i = 0; i < outputs; ++i) {
    outputRegisters[i] = reader.take();
    reader.takeWrite(mode, dims);
  }
  const int registers = reader.takeIn(inputs, kMaxRegisters, "number of registers");
  std::array<bool, kMaxRegisters> written{};
  for (int i = 0; i < inputs; ++i) written[i] = true;
  const int micros = reader.takeIn(0, kMaxMicros, "number of micro-ops");
  for (int i = 0; i < micros; ++i) {
    const int32_t micro = reader.take();
    const int operands = arity(micro);
    if (operands < 0) reader.fail("micro-op " + std::to_string(micro) + " does not exist");
    const int32_t target = reader.takeIn(0, kMaxRegisters - 1, "a micro-op's target");
    if (target < inputs || target >= registers || written[target]) {
      reader.fail("a micro-op writes register " + std::to_string(target) + ", which is an input, out of range, or written before");
    }
    for (int operand = 0; operand < 3; ++operand) {
      const int32_t source = reader.takeIn(0, kMaxRegisters - 1, "a micro-op's operand");
      if (operand < operands ? source >= registers || !written[source] : source != 0) {
        reader.fail("a micro-op reads register " + std::to_string(source) + ", which holds nothing yet");
      }
    }
    reader.take();
    reader.take();
    written[target] = true;
  }
  for (int i = 0; i < outputs; ++i) {
    const int source = outputRegisters[i];
    if (source < 0 || source >= registers || !written[source]) {
      reader.fail("an output names register " + std::to_string(source) + ", which is never written");
    }
  }
}

void checkMatmul(InstructionReader& reader, bool fused) {
  const int32_t mode = reader.takeMode();
  const Dims batch = fused ? Dims{} : reader.takeDims("batch rank");
  const int64_t m = reader.takeSize("M"), n = reader.takeSize("N"), k = reader.takeSize("K");
  reader.checkWork({reader.join(batch, reader.dimsOf({m, n})).elements, k});
  const auto shaped = [&](int64_t rows, int64_t columns) {
    Dims dims;
    dims.sizes = {rows, columns};
    dims.sizes.insert(dims.sizes.end(), batch.sizes.begin(), batch.sizes.end());
    return dims;
  };
  if (m != 0 && n != 0 && k != 0 && batch.elements != 0) {
    reader.takeRead(mode, shaped(m, k));
    reader.takeRead(mode, shaped(k, n));
  } else {  // never read: the spaces must still exist
    for (const auto& [rows, columns] : {std::array{m, k}, std::array{k, n}}) {
      reader.checkReadSpace(reader.takeOperand(), mode);
      reader.takeStrides(shaped(rows, columns).sizes.size());
    }
  }
  if (fused) {
    const Dims product = reader.dimsOf({m, n});
    checkElementwise(reader, mode, &product);
  } else {
    reader.takeWrite(mode, shaped(m, n));
  }
}

void checkDeferredProduct(InstructionReader& reader) {
  if (!reader.rules.defers) reader.fail("DEFERRED_PRODUCT outside a step block");
  const int64_t m = reader.takeIn(1, INT32_MAX, "M"), n = reader.takeIn(1, INT32_MAX, "N"), k = reader.takeIn(1, 256, "K");
  const int64_t capacity = reader.takeIn(1, 256, "capacity");
  if (k * capacity > 256) reader.fail("more than 256 columns are put off");
  reader.checkWork({m, n, k * capacity});
  const auto varies = [&](const Dims& dims) {
    const Operand operand = reader.takeOperand();
    reader.checkReadSpace(operand, 1);
    if (!reader.rules.spaces[static_cast<size_t>(operand.space)].varying) reader.fail("an operand that is put off does not vary");
    reader.checkRange(operand, dims.sizes, reader.takeStrides(2));
  };
  varies(reader.dimsOf({m, k}));
  varies(reader.dimsOf({k, n}));
  const Operand w = reader.takeOperand();
  if (w.space != kState) reader.fail("a product is put off for the state only");
  reader.checkRange(w, {m, n}, reader.takeStrides(2));
  const Operand ring{kVarying, reader.take()};
  reader.checkRange(ring, {capacity * k * (m + n)}, {1});
}

}  // namespace unrolled
