// Working memory of functions, shared by all those of one engine: a call takes a workspace and gives it back, so that there are as
// many as calls at once, however many functions are loaded, and a repeated call allocates nothing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "loaded_program.h"
#include "memory.h"

namespace unrolled {

// What one call has to itself.
struct Workspace {
  // The memory of one external, for the check that none overlaps another.
  struct Interval {
    uintptr_t begin, end;
    size_t external;
  };

  Buffer memory;
  std::vector<HostView> externals;
  std::vector<uint32_t*> spaces;
  std::vector<Interval> intervals;
};

// Scratch of the threads of a pool, one part each.
class ThreadScratch {
 public:
  ThreadScratch(size_t bytes, unsigned threads);
  size_t bytes() const { return bytes_; }
  void* of(unsigned thread) const { return memory_.as<std::byte>() + thread * bytes_; }

 private:
  size_t bytes_;
  Buffer memory_;
};

class FunctionMemory {
 public:
  // A workspace with at least that much memory, aligned to 64 bytes; its contents are undefined. Throws Error (ERR_DEVICE) without memory.
  std::unique_ptr<Workspace> take(size_t bytes);
  void put(std::unique_ptr<Workspace> workspace);
  // Frees what a function that needed so many bytes leaves behind.
  void trim(size_t bytes);
  // At least so many bytes of scratch for each thread. A larger one serves later functions; who has the old one keeps it.
  std::shared_ptr<const ThreadScratch> scratch(size_t bytes, unsigned threads);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;  // the last one given back is the first to be taken: it is in the cache
  std::weak_ptr<const ThreadScratch> scratch_;
};

}  // namespace unrolled
