// Which instruction levels were built, which of them this processor can run, and the choice of one.
#pragma once
#include <vector>

#include "program.h"

namespace unrolled {

struct Level {
  const CpuTable* table;
  bool supported;
};

// Built levels, lowest first.
const std::vector<Level>& levels();

// Whether this processor runs code compiled for the level of that name.
bool processorHas(const char* level);

// The table named `requested`; when that is null or empty, the one named by UNROLLED_ISA, else the highest supported level.
// Throws Error: ERR_OPTION for a level that was not built or that this processor lacks, ERR_DEVICE when there is none at all.
const CpuTable& selectTable(const char* requested);

// A count of threads: `requested`, else (0) UNROLLED_THREADS, else the hardware's. Throws Error (ERR_OPTION) outside 1..1024.
unsigned selectThreads(unsigned requested);

}  // namespace unrolled
