// What a device opens: an instruction level and a pool of threads.
#pragma once
#include <memory>
#include <mutex>

#include "isa.h"
#include "memory.h"
#include "pool.h"

namespace unrolled {

class FunctionMemory;

struct Engine {
  Engine(const CpuTable& kernels, unsigned threads) : table(kernels), pool(Pool::acquire(threads)), counted(counters().engines) {}

  const CpuTable& table;
  const std::shared_ptr<Pool> pool;
  // Working memory of the functions loaded here; they hold it.
  std::mutex functionMutex;
  std::weak_ptr<FunctionMemory> functionMemory;

 private:
  Counted counted;
};

}  // namespace unrolled
