// The kernels of ELEMENTWISE: one loop over consecutive words for every micro-op, in variants by which operands are single
// words (a uniform scalar is read once and kept in a register).
#pragma once
#include <cstddef>
#include <cstdint>

#ifndef UNROLLED_LEVEL
#define UNROLLED_LEVEL base
#endif

namespace unrolled::UNROLLED_LEVEL {

// d[i] = op(a[i], b[i], c[i]) for 0 <= i < n. d may be a, b or c. `bits` holds the two immediate words.
using MicroKernel = void (*)(uint32_t* d, const uint32_t* a, const uint32_t* b, const uint32_t* c, int64_t n, const uint32_t* bits);

// How many operands a micro-op reads (0 for constants); -1 when the number names no micro-op.
int microOperands(int32_t micro);

// scalars: bit j is set when operand j is one word for the whole run. Variants exist for two and three operands, and never for
// all operands at once (such a result is computed as a run of one word); for one operand `scalars` must be 0.
MicroKernel microKernel(int32_t micro, unsigned scalars);

}  // namespace unrolled::UNROLLED_LEVEL
