#include "team.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "pool.h"

namespace unrolled {

namespace {

// Longest time that a thread spins before it lets others have the processor, and that a helper stays without work.
constexpr std::chrono::microseconds kSpin{20}, kStay{100};

}  // namespace

void Team::begin(const StagedWork& work, unsigned helpers, bool wakes) {
  work_ = work;
  helpers_ = helpers;
  wakes_ = wakes;
  ticket_.store(0, std::memory_order_relaxed);  // nothing to take yet
  references_.store(1, std::memory_order_relaxed);
}

// Called by one thread alone: the first, or the one that finished the last task of the stage before.
void Team::advance(Pool& pool, uint32_t stage) {
  while (stage < work_.stages && work_.tasks[stage] == 0) ++stage;
  if (stage == work_.stages) {
    ticket_.store(kOver, std::memory_order_release);
    return;
  }
  const uint32_t tasks = work_.tasks[stage];
  unfinished_.store(tasks, std::memory_order_relaxed);
  // Before the stage begins, since the record may serve another call once it is over.
  const unsigned wanted = std::min(helpers_, tasks - 1);
  if (present_.load(std::memory_order_relaxed) + open_.load(std::memory_order_relaxed) < wanted) {
    std::unique_lock lock(pool.mutex_);
    pool.offer(lock, *this, wanted);
  }
  ticket_.store(uint64_t{stage} << 32 | tasks, std::memory_order_release);
}

void Team::work(Pool& pool, unsigned thread) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point idleSince;
  unsigned idle = 0;
  for (;;) {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    if (ticket == kOver) return;
    if (static_cast<uint32_t>(ticket) != 0) {
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_relaxed)) continue;
      const uint32_t stage = static_cast<uint32_t>(ticket >> 32);
      work_.run(work_.context, stage, work_.tasks[stage] - static_cast<uint32_t>(ticket), thread);
      if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) advance(pool, stage + 1);
      idle = 0;
      continue;
    }
    if (idle++ == 0) idleSince = Clock::now();
    relaxProcessor();
    if (idle % 16 != 0) continue;
    const auto waited = Clock::now() - idleSince;
    if (thread != kCallingThread && waited > kStay) return;
    if (waited > kSpin) std::this_thread::yield();
  }
}

}  // namespace unrolled
