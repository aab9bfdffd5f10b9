// Staged work on a pool: every task once, stages in order, and nobody waits for a thread that does not come.
#include "team.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "memory.h"
#include "pool.h"
#include "test/check.h"

using namespace unrolled;

namespace {

// Counts each task, and notes a task that began before the stage in front of it was done.
struct Recorder {
  std::vector<uint32_t> tasks;
  std::vector<std::vector<std::atomic<int>>> seen;
  std::vector<std::atomic<uint32_t>> done;
  std::atomic<int> early{0};
  std::atomic<unsigned> threads{0};  // bits of those that ran something
  std::chrono::microseconds pause{0};

  explicit Recorder(std::vector<uint32_t> counts) : tasks(std::move(counts)), seen(tasks.size()), done(tasks.size()) {
    for (size_t i = 0; i < tasks.size(); ++i) seen[i] = std::vector<std::atomic<int>>(tasks[i]);
  }
  StagedWork work() { return {tasks.data(), static_cast<uint32_t>(tasks.size()), run, this}; }
  static void run(void* self, uint32_t stage, uint32_t task, unsigned thread) {
    Recorder& recorder = *static_cast<Recorder*>(self);
    for (uint32_t i = 0; i < stage; ++i) recorder.early += recorder.done[i] != recorder.tasks[i];
    if (recorder.pause.count() > 0) std::this_thread::sleep_for(recorder.pause);
    recorder.threads |= thread == kCallingThread ? 1u : 2u << thread;
    ++recorder.seen[stage][task];
    ++recorder.done[stage];
  }
  void check() const {
    CHECK_EQUAL(early.load(), 0);
    for (const auto& stage : seen) {
      for (const auto& count : stage) CHECK_EQUAL(count.load(), 1);
    }
  }
};

void everyTaskOnceInOrder() {
  for (const unsigned threads : {1u, 2u, 5u}) {
    const auto pool = Pool::acquire(threads);
    for (int round = 0; round < 300; ++round) {
      Recorder recorder({3, 0, 1, 17, 0, 0, 2, 1, 40, 0});
      pool->runStages(recorder.work(), round % 2 == 0 ? threads - 1 : threads);
      recorder.check();
    }
    for (const std::vector<uint32_t>& nothing : {std::vector<uint32_t>{}, std::vector<uint32_t>{0, 0}}) {
      Recorder recorder(nothing);
      pool->runStages(recorder.work(), threads - 1);
      recorder.check();
    }
  }
}

void helpersJoinAlsoAfterALongStageOfOneTask() {
  const auto pool = Pool::acquire(2);
  Recorder recorder({1, 12});
  recorder.pause = std::chrono::milliseconds(3);
  pool->runStages(recorder.work(), 1);
  recorder.check();
  CHECK((recorder.threads & ~1u) != 0);
}

void nobodyWaitsForABusyPool() {
  const auto pool = Pool::acquire(1);
  std::atomic<bool> started{false}, release{false};
  const auto slow = std::make_shared<Job>(1, [&](Job&, size_t, unsigned) {
    started = true;
    while (!release) std::this_thread::yield();
  });
  std::thread owner([&] { pool->runAndWait(slow); });
  while (!started) std::this_thread::yield();
  for (int round = 0; round < 100; ++round) {
    Recorder recorder({5, 3});
    pool->runStages(recorder.work(), 1);
    recorder.check();
    CHECK_EQUAL(recorder.threads.load(), 1u);
  }
  release = true;
  owner.join();
}

void jobsAndStagesShareThePool() {
  const auto pool = Pool::acquire(2);
  std::atomic<size_t> items{0};
  std::vector<std::thread> owners;
  for (int i = 0; i < 3; ++i) {
    owners.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        Recorder recorder({4, 1, 9});
        pool->runStages(recorder.work(), 1);
        recorder.check();
      }
    });
    owners.emplace_back([&] {
      for (int round = 0; round < 100; ++round) pool->runAndWait(std::make_shared<Job>(11, [&](Job&, size_t, unsigned) { ++items; }));
    });
  }
  // Staged work that a thread of the pool asks for.
  pool->runAndWait(std::make_shared<Job>(20, [&](Job&, size_t, unsigned) {
    Recorder recorder({4, 9});
    pool->runStages(recorder.work(), 1);
    recorder.check();
  }));
  for (std::thread& owner : owners) owner.join();
  CHECK_EQUAL(items.load(), size_t{3 * 100 * 11});
}

}  // namespace

int main() {
  const int result = test::runAll({
      {"every task runs once, stage after stage, whatever the threads", everyTaskOnceInOrder},
      {"helpers join also after a long stage of one task", helpersJoinAlsoAfterALongStageOfOneTask},
      {"nobody waits for a busy pool", nobodyWaitsForABusyPool},
      {"jobs and stages share the pool", jobsAndStagesShareThePool},
  });
  CHECK_EQUAL(counters().threads.load(), 0);
  return result || test::failures != 0;
}
