// What a device opens: an instruction level and a pool of threads.
#pragma once
#include <memory>

#include "isa.h"
#include "memory.h"
#include "pool.h"

namespace unrolled {

struct Engine {
  Engine(const CpuTable& kernels, unsigned threads) : table(kernels), pool(Pool::acquire(threads)), counted(counters().engines) {}

  const CpuTable& table;
  const std::shared_ptr<Pool> pool;

 private:
  Counted counted;
};

}  // namespace unrolled
