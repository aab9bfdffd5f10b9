// CHOLESKY, TRIANGULAR_SOLVE and SYMMETRIC_EIGEN: batches of square matrices.
#include "instruction_reader.h"

namespace unrolled {

void checkCholesky(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  const int64_t batch = reader.takeSize("batch"), n = reader.takeSize("n");
  const Dims matrices = reader.dimsOf({batch, n, n});
  reader.checkWork({matrices.elements, n});
  reader.takeContiguousRead(mode, matrices);
  reader.takeContiguousWrite(mode, matrices);
}

void checkTriangularSolve(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  reader.takeIn(0, 1, "lower");
  reader.takeIn(0, 1, "transpose");
  const int64_t batch = reader.takeSize("batch"), n = reader.takeSize("n"), m = reader.takeSize("m");
  const Dims right = reader.dimsOf({batch, n, m});
  reader.checkWork({right.elements, n});
  reader.takeContiguousRead(mode, reader.dimsOf({batch, n, n}));
  reader.takeContiguousRead(mode, right);
  reader.takeContiguousWrite(mode, right);
}

void checkSymmetricEigen(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  const int64_t batch = reader.takeSize("batch"), n = reader.takeSize("n");
  const Dims matrices = reader.dimsOf({batch, n, n});
  reader.checkWork({matrices.elements, n});
  reader.takeContiguousRead(mode, matrices);
  reader.takeContiguousWrite(mode, reader.dimsOf({batch, n + 1, n}));
}

}  // namespace unrolled
