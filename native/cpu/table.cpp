// What the engine sees of one instruction level.
#include "accumulate.h"
#include "noise.h"
#include "prepare.h"

#define UNROLLED_TEXT_(x) #x
#define UNROLLED_TEXT(x) UNROLLED_TEXT_(x)

namespace unrolled::UNROLLED_LEVEL {

extern const CpuTable kTable;
const CpuTable kTable = {
    UNROLLED_TEXT(UNROLLED_LEVEL), W,
    prepareBlock,    runBlock,        releaseBlock,
    accumulateRow,   perturb_rows,    fill_normal_rows,
    add_normal_rows, weighted_row_sum,
};

}  // namespace unrolled::UNROLLED_LEVEL
