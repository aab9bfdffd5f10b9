// Stages of independent tasks, run by whoever is there: the thread that asks for it begins at once, threads of the pool join as
// they come, and anybody takes the next task. A stage is over when its tasks are done, not when threads have met: one that
// wakes late, or that the system has put aside between two tasks, holds up nobody.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace unrolled {

class Pool;

// `thread` of a task that runs on the thread that asked.
constexpr unsigned kCallingThread = ~0u;

// What is to be done; has to stay there until Pool::runStages returns.
struct StagedWork {
  const uint32_t* tasks;  // of each stage; may be 0
  uint32_t stages;        // at most 2^32 - 2
  // Runs one task, on thread `thread` of the pool or kCallingThread. Must not throw.
  void (*run)(void* context, uint32_t stage, uint32_t task, unsigned thread);
  void* context;
  // Whether it is long enough to wake sleeping threads for (which costs the waker 5 to 40 microseconds). Work that is not gets the
  // threads that are still awake, and wakes others only when it follows other work closely: then they will stay awake.
  bool wakes = true;
};

// The state that one StagedWork has while it runs. Owned by the pool and used again and again: a thread that is still inside when
// the work is over keeps this record from its next use, and touches nothing else.
class Team {
 private:
  friend class Pool;

  void begin(const StagedWork& work, unsigned helpers, bool wakes);
  // Takes tasks until the work is over; a helper also goes when there was nothing to take for a while.
  void work(Pool& pool, unsigned thread);
  void advance(Pool& pool, uint32_t stage);

  static constexpr uint64_t kOver = ~uint64_t{0} << 32;

  // The stage (high half) and how many of its tasks nobody has taken yet (low half). Whoever takes one by compare-and-swap knows that
  // the work is not over, hence that `work_` is valid, until it has counted the task as done.
  alignas(64) std::atomic<uint64_t> ticket_{kOver};
  alignas(64) std::atomic<uint32_t> unfinished_{0};
  std::atomic<unsigned> references_{0};  // threads that may look at this record
  std::atomic<unsigned> present_{0};     // helpers inside
  std::atomic<unsigned> open_{0};        // helpers asked for who have not come; changed under the pool's mutex
  unsigned helpers_ = 0;                 // most helpers that the work may have
  bool wakes_ = false;
  StagedWork work_{};
};

}  // namespace unrolled
