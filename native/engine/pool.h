// A persistent pool of threads that works through jobs. A job is a number of independent items (tiles, blocks of rows); which
// thread takes which item is not determined, so an item's result must not depend on it.
//
// Several jobs at once share the threads item by item, so a short one does not wait for the end of a long one.
//
// The threads also help with staged work (team.h), which some thread waits for: that goes before the next item of a job.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "team.h"

namespace unrolled {

// Tells the processor that this thread spins.
inline void relaxProcessor() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Pool;

class Job : public std::enable_shared_from_this<Job> {
 public:
  // Runs one item on pool thread `thread` (0 .. threads - 1). What it throws fails the job.
  using Body = std::function<void(Job& job, size_t item, unsigned thread)>;

  Job(size_t items, Body body) : items_(items), body_(std::move(body)) {}

  // Runs once on a pool thread after the last item, unless the job failed or was cancelled.
  std::function<void()> finalise;
  // Runs once when all is over, on a pool thread or inside `cancel`. The pool has dropped its reference to the job by then.
  std::function<void()> onFinished;

  // Items under way see `cancelled`; those not begun never are, so the end does not wait for a thread to come free.
  void cancel();
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // Work done so far, in the job's own unit.
  uint64_t progress() const;
  // Adds to it; each thread has its own counter, so this is a plain store.
  void advance(unsigned thread, uint64_t amount) {
    std::atomic<uint64_t>& counter = progress_[thread].value;
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  // After the end: the first error, code empty when there was none.
  const std::string& errorCode() const { return errorCode_; }
  const std::string& errorMessage() const { return errorMessage_; }

 private:
  friend class Pool;
  struct alignas(64) Counter {
    std::atomic<uint64_t> value{0};
  };
  void fail(const char* code, const std::string& message);
  void runItem(size_t item, unsigned thread);

  const size_t items_;
  Body body_;
  std::atomic<Pool*> pool_{nullptr};  // from submission to the end
  std::atomic<size_t> next_{0};
  std::atomic<bool> cancelled_{false};
  unsigned active_ = 0;  // threads inside, under the pool's mutex
  bool over_ = false;    // under the pool's mutex
  std::unique_ptr<Counter[]> progress_;
  std::atomic<unsigned> progressCounters_{0};  // published once they are there
  std::mutex errorMutex_;
  std::string errorCode_, errorMessage_;
};

class Pool {
 public:
  // The pool of that size, shared by everybody who holds one; its threads end with the last reference, which must not be
  // dropped by one of them.
  static std::shared_ptr<Pool> acquire(unsigned threads);
  // For the end of the process: cancels every job of every pool and waits (two seconds at most) until no thread runs an item.
  static void quiesceAll();

  explicit Pool(unsigned threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  unsigned threads() const { return static_cast<unsigned>(threads_.size()); }
  void submit(std::shared_ptr<Job> job);
  // Submits and blocks until the job is over; `onFinished` must be unset.
  void runAndWait(const std::shared_ptr<Job>& job);
  // Runs all stages, with at most `helpers` of the pool's threads beside the calling one (which may be one of the pool's too), and
  // returns when they are done. Allocates nothing when as many works have run at once before.
  void runStages(const StagedWork& work, unsigned helpers);

 private:
  friend class Job;
  friend class Team;
  using Clock = std::chrono::steady_clock;
  // How long a thread spins before it sleeps, after staged work: the next one often follows at once, and waking takes longer than it.
  static constexpr std::chrono::microseconds kStayAwake{100};

  void work(unsigned thread);
  void withdraw(std::shared_ptr<Job> job);
  void leave(std::unique_lock<std::mutex>& lock, std::shared_ptr<Job> job);
  void quiesce();
  // Asks for so many helpers that `wanted` are there or on their way. May unlock.
  void offer(std::unique_lock<std::mutex>& lock, Team& team, unsigned wanted);
  void withdrawOffer(Team& team);
  void help(std::unique_lock<std::mutex>& lock, unsigned thread);
  void runJob(std::unique_lock<std::mutex>& lock, unsigned thread);
  void stayAwake(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<std::shared_ptr<Job>> jobs_;  // those with items left
  std::vector<Job*> live_;                 // those that are not over
  std::atomic<size_t> jobCount_{0};
  std::vector<std::unique_ptr<Team>> teams_;  // in use and free
  std::vector<Team*> offers_;                 // those that wait for helpers
  std::atomic<size_t> offerCount_{0};
  Clock::time_point lastStaged_{};  // when the last staged work ended
  unsigned busy_ = 0, sleeping_ = 0, awake_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace unrolled
