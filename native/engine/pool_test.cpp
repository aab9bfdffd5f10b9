#include "pool.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "test/check.h"
#include "memory.h"

using namespace unrolled;

namespace {

void everyItemOnce() {
  for (const unsigned threads : {1u, 2u, 5u}) {
    const auto pool = Pool::acquire(threads);
    CHECK_EQUAL(pool->threads(), threads);
    for (const size_t items : {size_t{0}, size_t{1}, size_t{7}, size_t{1000}}) {
      std::vector<std::atomic<int>> seen(items);
      std::atomic<bool> finalised{false};
      const auto job = std::make_shared<Job>(items, [&](Job& running, size_t item, unsigned thread) {
        CHECK(thread < threads);
        ++seen[item];
        running.advance(thread, 3);
      });
      job->finalise = [&] { finalised = true; };
      pool->runAndWait(job);
      for (const auto& count : seen) CHECK_EQUAL(count.load(), 1);
      CHECK(finalised);
      CHECK_EQUAL(job->progress(), items * 3);
      CHECK(job->errorCode().empty());
    }
  }
}

void poolsOfOneSizeAreShared() {
  const auto a = Pool::acquire(3), b = Pool::acquire(3), c = Pool::acquire(2);
  CHECK(a == b);
  CHECK(a != c);
  CHECK_EQUAL(counters().threads.load(), 5);
}

void theFirstErrorIsKept() {
  const auto pool = Pool::acquire(2);
  std::atomic<bool> finalised{false};
  const auto job = std::make_shared<Job>(100, [](Job& running, size_t item, unsigned) {
    if (running.cancelled()) return;
    if (item == 3) throw Error(kOptionCode, "item three");
  });
  job->finalise = [&] { finalised = true; };
  pool->runAndWait(job);
  CHECK_EQUAL(job->errorCode(), std::string(kOptionCode));
  CHECK_EQUAL(job->errorMessage(), std::string("item three"));
  CHECK(job->cancelled());
  CHECK(!finalised);
}

void aShortJobDoesNotWaitForALongOne() {
  const auto pool = Pool::acquire(1);
  std::atomic<bool> shortDone{false};
  std::atomic<size_t> longItems{0}, itemsWhenShortEnded{0};
  std::atomic<bool> started{false}, release{false};
  const auto slow = std::make_shared<Job>(1000, [&](Job&, size_t, unsigned) {
    started = true;
    while (!release) std::this_thread::yield();
    ++longItems;
  });
  std::thread owner([&] { pool->runAndWait(slow); });
  while (!started) std::this_thread::yield();
  const auto quick = std::make_shared<Job>(2, [](Job&, size_t, unsigned) {});
  quick->onFinished = [&] {
    itemsWhenShortEnded = longItems.load();
    shortDone = true;
  };
  pool->submit(quick);
  release = true;
  owner.join();
  while (!shortDone) std::this_thread::yield();
  CHECK(itemsWhenShortEnded <= 4);
  CHECK_EQUAL(longItems.load(), size_t{1000});
}

void aCancelledJobEndsWithoutWaitingForAThread() {
  const auto pool = Pool::acquire(1);
  std::atomic<bool> started{false}, release{false};
  const auto slow = std::make_shared<Job>(1, [&](Job&, size_t, unsigned) {
    started = true;
    while (!release) std::this_thread::yield();
  });
  std::thread owner([&] { pool->runAndWait(slow); });
  while (!started) std::this_thread::yield();
  std::atomic<int> begun{0};
  std::atomic<bool> over{false};
  const auto waiting = std::make_shared<Job>(5, [&](Job&, size_t, unsigned) { ++begun; });
  waiting->onFinished = [&] { over = true; };
  pool->submit(waiting);
  waiting->cancel();
  CHECK(over);  // the pool's only thread is still in the other job
  waiting->cancel();
  release = true;
  owner.join();
  CHECK_EQUAL(begun.load(), 0);
}

void manyOwnersAtOnce() {
  const auto pool = Pool::acquire(2);
  std::atomic<size_t> total{0};
  std::vector<std::thread> owners;
  for (int i = 0; i < 8; ++i) {
    owners.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        pool->runAndWait(std::make_shared<Job>(17, [&](Job&, size_t, unsigned) { ++total; }));
      }
    });
  }
  for (std::thread& owner : owners) owner.join();
  CHECK_EQUAL(total.load(), size_t{8 * 50 * 17});
  CHECK_EQUAL(counters().jobs.load(), 0);
}

void theLastJobMayOutliveItsOwnersReference() {
  // The job is over only when no thread is inside it, so what it captured dies with the owner's reference.
  const auto pool = Pool::acquire(2);
  for (int round = 0; round < 200; ++round) {
    auto captured = std::make_shared<int>(round);
    const std::weak_ptr<int> watch = captured;
    auto job = std::make_shared<Job>(8, [captured = std::move(captured)](Job&, size_t, unsigned) { CHECK(*captured >= 0); });
    pool->runAndWait(job);
    job.reset();
    CHECK(watch.expired());
  }
}

}  // namespace

int main() {
  const int result = test::runAll({
      {"every item runs once, whatever the threads", everyItemOnce},
      {"pools of one size are shared", poolsOfOneSizeAreShared},
      {"the first error is kept and cancels the rest", theFirstErrorIsKept},
      {"a short job does not wait for a long one", aShortJobDoesNotWaitForALongOne},
      {"a cancelled job ends without waiting for a thread", aCancelledJobEndsWithoutWaitingForAThread},
      {"many owners at once", manyOwnersAtOnce},
      {"nothing keeps a finished job alive", theLastJobMayOutliveItsOwnersReference},
  });
  CHECK_EQUAL(counters().threads.load(), 0);
  return result || test::failures != 0;
}
