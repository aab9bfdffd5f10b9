// Which check each opcode gets, and those of the instructions that reduce, move, sort and draw.
#include <string>

#include "instruction_reader.h"

namespace unrolled {

namespace {

void checkReduce(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  reader.takeIn(0, 11, "kind of reduction");
  const Dims out = reader.takeDims("out rank");
  const Dims reduced = reader.takeDims("reduced rank");
  if (out.sizes.size() + reduced.sizes.size() > static_cast<size_t>(kMaxRank)) reader.fail("its ranks add up to more than 6");
  reader.takeRead(mode, reader.join(out, reduced));
  reader.takeContiguousWrite(mode, out);
}

void checkCopyOrFill(InstructionReader& reader, bool fill) {
  const int32_t mode = reader.takeMode();
  const Dims dims = reader.takeDims("rank");
  if (!fill) reader.takeRead(mode, dims);
  reader.takeWrite(mode, dims);
  if (fill) reader.take();
}

void checkGather(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  reader.takeIn(0, 1, "integer");
  const int64_t batch = reader.takeSize("batch"), outer = reader.takeSize("outer"), n = reader.takeSize("n"), inner = reader.takeSize("inner");
  const int64_t m = reader.takeSize("indices");
  reader.takeRead(mode, reader.dimsOf({batch, outer, n, inner}));
  reader.takeRead(mode, reader.dimsOf({batch, m}));
  reader.takeContiguousWrite(mode, reader.dimsOf({batch, outer, m, inner}));
}

void checkSegmentSum(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  reader.takeIn(0, 1, "integer");
  const int64_t n = reader.takeSize("n"), inner = reader.takeSize("inner"), segments = reader.takeSize("segments");
  reader.takeRead(mode, reader.dimsOf({n, inner}));
  reader.takeRead(mode, reader.dimsOf({n}));
  reader.takeContiguousWrite(mode, reader.dimsOf({segments, inner}));
}

void checkCumsum(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  reader.takeIn(0, 1, "integer");
  reader.takeIn(0, 1, "exclusive");
  reader.takeIn(0, 1, "reverse");
  const int64_t outer = reader.takeSize("outer"), n = reader.takeSize("n"), inner = reader.takeSize("inner");
  const Dims dims = reader.dimsOf({outer, n, inner});
  reader.takeRead(mode, dims);
  reader.takeContiguousWrite(mode, dims);
}

void checkArgSort(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  reader.takeIn(0, 1, "integer");
  reader.takeIn(0, 1, "descending");
  const int64_t outer = reader.takeSize("outer"), n = reader.takeSize("n");
  const Dims dims = reader.dimsOf({outer, n});
  reader.takeContiguousRead(mode, dims);
  reader.takeContiguousWrite(mode, dims);
}

void checkRandom(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  if (reader.rules.noDraws) reader.fail(reader.rules.noDraws);
  const int32_t distribution = reader.takeIn(0, 3, "distribution");
  const int32_t share = reader.takeIn(0, 2, "share");
  if ((share == 0) != (mode == 0)) reader.fail("a draw is uniform exactly when all particles share it");
  reader.takeIn(0, 255, "stream");
  reader.takeIn(0, (1 << 24) - 1, "draw");
  const int64_t count = reader.takeSize("count");
  reader.take();
  const int32_t bits1 = reader.take();
  if (distribution == 2 && bits1 == 0) reader.fail("integers from an empty range");
  reader.takeContiguousWrite(mode, reader.dimsOf({count}));
}

void checkInitCopy(InstructionReader& reader) {
  if (!reader.rules.initCopies) reader.fail("INIT_COPY outside the init block");
  const Dims dims = reader.takeDims("rank");
  reader.takeRead(1, dims);
  const Operand target = reader.takeOperand();
  if (target.space != kState) reader.fail("INIT_COPY writes to space 4 only");
  reader.checkRange(target, dims.sizes, reader.takeStrides(dims.sizes.size()));
}

}  // namespace

void validateInstructions(const InstructionRules& rules, const int32_t* words, size_t first, size_t end) {
  InstructionReader reader(rules, words, first, end);
  while (!reader.done()) {
    const int32_t opcode = reader.begin();
    switch (opcode) {
      case kElementwise: checkElementwise(reader, reader.takeMode(), nullptr); break;
      case kMatmul: checkMatmul(reader, false); break;
      case kMatmulElementwise: checkMatmul(reader, true); break;
      case kDeferredProduct: checkDeferredProduct(reader); break;
      case kReduce: checkReduce(reader); break;
      case kCopy: checkCopyOrFill(reader, false); break;
      case kFill: checkCopyOrFill(reader, true); break;
      case kGather: checkGather(reader); break;
      case kSegmentSum: checkSegmentSum(reader); break;
      case kCumsum: checkCumsum(reader); break;
      case kRandom: checkRandom(reader); break;
      case kInitCopy: checkInitCopy(reader); break;
      case kConv: checkConv(reader); break;
      case kWindow: checkWindow(reader, false); break;
      case kWindowGrad: checkWindow(reader, true); break;
      case kArgSort: checkArgSort(reader); break;
      case kCholesky: checkCholesky(reader); break;
      case kTriangularSolve: checkTriangularSolve(reader); break;
      case kSymmetricEigen: checkSymmetricEigen(reader); break;
      default: reader.fail("opcode " + std::to_string(opcode) + " does not exist");
    }
    reader.finish();
  }
}

}  // namespace unrolled
