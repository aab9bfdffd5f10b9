// One copy of a computation, ready to be called: checked words, tasks prepared by the kernels of one instruction level, constants.
// Inputs and outputs are used where they lie, in memory of the caller.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine.h"
#include "function_memory.h"
#include "validate_function.h"

namespace unrolled {

// Philox key and step of a call's draws.
struct DrawKey {
  uint32_t key0 = 0, key1 = 0, step = 0;
};

class LoadedFunction {
 public:
  // `bools`: of each external, 1 where it has one byte an element outside. Throws Error: ERR_OPTION for malformed words or sizes that
  // differ from the header's; ERR_DEVICE without memory.
  LoadedFunction(std::shared_ptr<Engine> engine, std::vector<int32_t> words, std::span<const uint32_t> constants,
                 std::span<const uint8_t> bools);
  ~LoadedFunction();
  LoadedFunction(const LoadedFunction&) = delete;
  LoadedFunction& operator=(const LoadedFunction&) = delete;

  const FunctionHeader& header() const { return header_; }
  const std::shared_ptr<Engine>& engine() const { return engine_; }
  // Whether the pool's threads help with a call.
  bool parallel() const { return parallel_; }
  // Working memory of one call, and bytes of constants.
  size_t callBytes() const { return callBytes_; }
  size_t residentBytes() const { return constants_.bytes(); }

 private:
  friend class FunctionCall;
  void prepare(const int32_t* words, size_t count);

  const std::shared_ptr<Engine> engine_;
  const std::shared_ptr<FunctionMemory> memory_;
  std::vector<int32_t> words_;
  FunctionHeader header_;
  std::vector<size_t> firstTask_;  // of each stage
  std::vector<bool> bools_;
  std::vector<size_t> widened_;    // byte offset in the workspace, of each external that is bool
  Buffer constants_;
  std::vector<void*> prepared_;    // of each task; a small function has one for everything
  uint32_t mostTasks_ = 0;         // of a stage
  bool parallel_ = false, long_ = false;
  size_t scratchBytes_ = 0, scratchOffset_ = 0, callBytes_ = 0;
  std::shared_ptr<const ThreadScratch> threadScratch_;  // of a parallel function
  Counted counted_{counters().functions};
};

// One call. Takes its working memory when made and gives it back at the end, so it may be made on one thread and run on another.
class FunctionCall {
 public:
  // Throws Error (ERR_DEVICE) without memory.
  explicit FunctionCall(std::shared_ptr<const LoadedFunction> function);
  ~FunctionCall();
  FunctionCall(const FunctionCall&) = delete;
  FunctionCall& operator=(const FunctionCall&) = delete;

  // To be filled by the caller, inputs then outputs; must stay valid until `run` returns.
  std::vector<HostView>& externals() { return workspace_->externals; }
  // Throws Error (ERR_OPTION) for wrong numbers, kinds or lengths of externals, and for memory that is written and also belongs to another
  // external. One array may be an output and an input that is marked as written.
  void check();
  // After `check`. Blocks until the outputs are there. `job`: once it is cancelled no further task begins, and outputs are undefined.
  void run(const DrawKey& key, const Job* job = nullptr);

 private:
  struct Running;
  void placeSpaces();
  void widenBools() const;
  void narrowBools() const;

  const std::shared_ptr<const LoadedFunction> function_;
  std::unique_ptr<Workspace> workspace_;
};

// One item: the call, on a thread of the pool, which the others help. Throws what `check` does.
std::shared_ptr<Job> functionJob(std::shared_ptr<FunctionCall> call, const DrawKey& key);

}  // namespace unrolled
