// From the words of a block to what runs: every instruction is decoded once, into a function and its plan.
#pragma once
#include <cstddef>
#include <cstdint>

#include "program.h"

#ifndef UNROLLED_LEVEL
#define UNROLLED_LEVEL base
#endif

namespace unrolled::UNROLLED_LEVEL {

// Null when memory ran out. The words were validated before.
void* prepareBlock(const int32_t* words, size_t count, int lanes, size_t* scratchBytes);
void runBlock(const void* prepared, TileContext& context);
void releaseBlock(void* prepared);

}  // namespace unrolled::UNROLLED_LEVEL
