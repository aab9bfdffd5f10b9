#include "function_memory.h"

#include <utility>

namespace unrolled {

ThreadScratch::ThreadScratch(size_t bytes, unsigned threads)
    : bytes_((bytes + 63) / 64 * 64), memory_(allocationSize(bytes_, threads), counters().arenaBytes) {}

std::unique_ptr<Workspace> FunctionMemory::take(size_t bytes) {
  std::unique_ptr<Workspace> workspace;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      workspace = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (!workspace) workspace = std::make_unique<Workspace>();
  if (workspace->memory.bytes() < bytes) {
    workspace->memory = Buffer();  // before the new one comes, so that they need not fit in memory together
    workspace->memory = Buffer(bytes, counters().arenaBytes);
  }
  return workspace;
}

void FunctionMemory::put(std::unique_ptr<Workspace> workspace) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(workspace));
}

// A workspace is exactly as large as the greatest need that it has met.
void FunctionMemory::trim(size_t bytes) {
  const std::lock_guard lock(mutex_);
  std::erase_if(free_, [&](const auto& workspace) { return workspace->memory.bytes() == bytes; });
}

std::shared_ptr<const ThreadScratch> FunctionMemory::scratch(size_t bytes, unsigned threads) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const ThreadScratch> present = scratch_.lock();
  if (!present || present->bytes() < bytes) {
    present = std::make_shared<ThreadScratch>(bytes, threads);
    scratch_ = present;
  }
  return present;
}

}  // namespace unrolled
