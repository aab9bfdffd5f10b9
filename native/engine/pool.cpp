#include "pool.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <new>

#include "error.h"
#include "memory.h"

namespace unrolled {

namespace {

// Never destroyed: pool threads may still be there while the process runs its static destructors.
struct Registry {
  std::mutex mutex;
  std::map<unsigned, std::weak_ptr<Pool>> bySize;
};
Registry& registry() {
  static Registry& all = *new Registry;
  return all;
}

}  // namespace

uint64_t Job::progress() const {
  uint64_t sum = 0;
  const unsigned count = progressCounters_.load(std::memory_order_acquire);
  for (unsigned i = 0; i < count; ++i) sum += progress_[i].value.load(std::memory_order_relaxed);
  return sum;
}

void Job::cancel() {
  cancelled_.store(true, std::memory_order_relaxed);
  if (Pool* const pool = pool_.load(std::memory_order_acquire)) pool->withdraw(shared_from_this());
}

void Job::fail(const char* code, const std::string& message) {
  {
    const std::lock_guard lock(errorMutex_);
    if (errorCode_.empty()) {
      errorCode_ = code;
      errorMessage_ = message;
    }
  }
  cancel();
}

void Job::runItem(size_t item, unsigned thread) {
  try {
    body_(*this, item, thread);
  } catch (const Error& error) {
    fail(error.code, error.what());
  } catch (const std::bad_alloc&) {
    fail(kDeviceCode, "out of memory");
  } catch (const std::exception& error) {
    fail(kDeviceCode, error.what());
  }
}

std::shared_ptr<Pool> Pool::acquire(unsigned threads) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  std::shared_ptr<Pool> pool = all.bySize[threads].lock();
  if (!pool) {
    pool = std::make_shared<Pool>(threads);
    all.bySize[threads] = pool;
  }
  return pool;
}

void Pool::quiesceAll() {
  std::vector<std::shared_ptr<Pool>> pools;
  {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    for (auto& [size, weak] : all.bySize) {
      if (auto pool = weak.lock()) pools.push_back(std::move(pool));
    }
  }
  for (const auto& pool : pools) pool->quiesce();
  // Kept on purpose: joining threads at this point could wait for ever on a process that is being torn down.
  for (auto& pool : pools) new std::shared_ptr<Pool>(std::move(pool));
}

Pool::Pool(unsigned threads) {
  threads_.reserve(threads);
  try {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this, i] { work(i); });
  } catch (const std::exception& error) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    throw Error(kDeviceCode, std::string("the pool's threads could not be started: ") + error.what());
  }
  counters().threads.fetch_add(threads, std::memory_order_relaxed);
}

Pool::~Pool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  counters().threads.fetch_sub(static_cast<int64_t>(threads_.size()), std::memory_order_relaxed);
}

void Pool::submit(std::shared_ptr<Job> job) {
  job->progress_ = std::make_unique<Job::Counter[]>(threads_.size());
  job->progressCounters_.store(threads(), std::memory_order_release);
  counters().jobs.fetch_add(1, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    job->pool_.store(this, std::memory_order_release);
    live_.push_back(job.get());
    jobs_.push_back(std::move(job));
    jobCount_.store(jobs_.size(), std::memory_order_relaxed);
  }
  wake_.notify_all();
}

void Pool::runAndWait(const std::shared_ptr<Job>& job) {
  std::mutex mutex;
  std::condition_variable done;
  bool finished = false;
  job->onFinished = [&] {
    const std::lock_guard lock(mutex);
    finished = true;
    done.notify_all();
  };
  submit(job);
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return finished; });
}

void Pool::work(unsigned thread) {
  std::unique_lock lock(mutex_);
  bool helped = false;
  for (;;) {
    if (stop_) return;
    if (!offers_.empty()) {
      help(lock, thread);
      helped = true;
    } else if (!jobs_.empty()) {
      runJob(lock, thread);
    } else if (helped) {
      stayAwake(lock);
      helped = false;
    } else {
      ++sleeping_;
      wake_.wait(lock);
      --sleeping_;
    }
  }
}

void Pool::runJob(std::unique_lock<std::mutex>& lock, unsigned thread) {
  // Take turns: with several jobs waiting, this one goes to the back after each item.
  std::shared_ptr<Job> job = jobs_.front();
  if (jobs_.size() > 1) {
    jobs_.pop_front();
    jobs_.push_back(job);
  }
  ++job->active_;
  ++busy_;
  lock.unlock();
  do {
    const size_t item = job->next_.fetch_add(1, std::memory_order_relaxed);
    if (item >= job->items_) break;
    job->runItem(item, thread);
  } while (jobCount_.load(std::memory_order_relaxed) <= 1 && offerCount_.load(std::memory_order_relaxed) == 0);
  lock.lock();
  leave(lock, std::move(job));
  if (--busy_ == 0) idle_.notify_all();
}

void Pool::help(std::unique_lock<std::mutex>& lock, unsigned thread) {
  Team& team = *offers_.back();
  team.references_.fetch_add(1, std::memory_order_relaxed);
  team.present_.fetch_add(1, std::memory_order_relaxed);
  if (team.open_.fetch_sub(1, std::memory_order_relaxed) == 1) {
    offers_.pop_back();
    offerCount_.store(offers_.size(), std::memory_order_relaxed);
  }
  ++busy_;
  lock.unlock();
  team.work(*this, thread);
  team.present_.fetch_sub(1, std::memory_order_relaxed);
  team.references_.fetch_sub(1, std::memory_order_release);
  lock.lock();
  if (--busy_ == 0) idle_.notify_all();
}

void Pool::stayAwake(std::unique_lock<std::mutex>& lock) {
  ++awake_;
  lock.unlock();
  const auto begin = Clock::now();
  for (unsigned spins = 1; offerCount_.load(std::memory_order_relaxed) + jobCount_.load(std::memory_order_relaxed) == 0; ++spins) {
    relaxProcessor();
    if (spins % 16 != 0) continue;
    if (Clock::now() - begin > kStayAwake) break;
    if (spins % 512 == 0) std::this_thread::yield();
  }
  lock.lock();
  --awake_;
}

void Pool::offer(std::unique_lock<std::mutex>& lock, Team& team, unsigned wanted) {
  const unsigned open = team.open_.load(std::memory_order_relaxed), coming = team.present_.load(std::memory_order_relaxed) + open;
  if (coming >= wanted) return;
  const unsigned more = wanted - coming;
  team.open_.store(open + more, std::memory_order_relaxed);
  if (open == 0) offers_.push_back(&team);
  offerCount_.store(offers_.size(), std::memory_order_relaxed);
  const unsigned wakes = team.wakes_ ? std::min(more - std::min(more, awake_), sleeping_) : 0;
  lock.unlock();
  for (unsigned i = 0; i < wakes; ++i) wake_.notify_one();
}

void Pool::withdrawOffer(Team& team) {
  if (team.open_.load(std::memory_order_relaxed) == 0) return;
  std::erase(offers_, &team);
  offerCount_.store(offers_.size(), std::memory_order_relaxed);
  team.open_.store(0, std::memory_order_relaxed);
}

void Pool::runStages(const StagedWork& work, unsigned helpers) {
  std::unique_lock lock(mutex_);
  Team* team = nullptr;
  for (const auto& candidate : teams_) {
    if (candidate->references_.load(std::memory_order_acquire) == 0) team = candidate.get();
  }
  if (!team) {
    offers_.reserve(teams_.size() + 1);  // so that offering never fails
    team = teams_.emplace_back(std::make_unique<Team>()).get();
  }
  team->begin(work, helpers, work.wakes || Clock::now() - lastStaged_ < kStayAwake);
  offer(lock, *team, helpers);  // early: they wake while this thread begins
  if (lock.owns_lock()) lock.unlock();
  team->advance(*this, 0);
  team->work(*this, kCallingThread);
  lock.lock();
  withdrawOffer(*team);
  lastStaged_ = Clock::now();
  lock.unlock();
  team->references_.fetch_sub(1, std::memory_order_release);
}

// The last thread to leave an exhausted job ends it. `active_` is read under the mutex, which also orders every item's writes
// before the end.
void Pool::leave(std::unique_lock<std::mutex>& lock, std::shared_ptr<Job> job) {
  --job->active_;
  if (job->next_.load(std::memory_order_relaxed) < job->items_) return;
  const auto position = std::find(jobs_.begin(), jobs_.end(), job);
  if (position != jobs_.end()) {
    jobs_.erase(position);
    jobCount_.store(jobs_.size(), std::memory_order_relaxed);
  }
  if (job->active_ > 0 || job->over_) return;
  job->over_ = true;
  job->pool_.store(nullptr, std::memory_order_release);
  std::erase(live_, job.get());
  lock.unlock();
  if (job->finalise && !job->cancelled()) {
    try {
      job->finalise();
    } catch (const std::exception& error) {
      job->fail(kDeviceCode, error.what());
    }
  }
  counters().jobs.fetch_sub(1, std::memory_order_relaxed);
  std::function<void()> onFinished = std::move(job->onFinished);
  job.reset();
  if (onFinished) onFinished();
  lock.lock();
}

void Pool::withdraw(std::shared_ptr<Job> job) {
  std::unique_lock lock(mutex_);
  if (job->over_) return;
  job->next_.store(job->items_, std::memory_order_relaxed);
  ++job->active_;
  leave(lock, std::move(job));
}

void Pool::quiesce() {
  std::vector<std::shared_ptr<Job>> jobs;
  std::unique_lock lock(mutex_);
  for (Job* job : live_) jobs.push_back(job->shared_from_this());
  lock.unlock();
  for (const auto& job : jobs) job->cancel();
  lock.lock();
  idle_.wait_for(lock, std::chrono::seconds(2), [this] { return busy_ == 0; });
}

}  // namespace unrolled
