// What one JS environment (the main thread, or a worker) has in flight, and how completions come back to it.
//
// Jobs end on pool threads. They put themselves on the environment's list and wake its one thread-safe function; the JS thread
// then settles their promises. The function is referenced only while something is in flight, so that it does not keep the process.
//
// When the environment is torn down (process end, worker.terminate()), a cleanup hook cancels its jobs and waits for
// them: nothing of theirs may touch memory of V8 afterwards. process.exit() does not run such hooks on the main thread, so an exit
// handler does the same for whatever is left.
#pragma once
#include <napi.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "pool.h"

namespace unrolled::addon {

// One job whose promise is open.
struct Pending {
  std::shared_ptr<Job> job;
  napi_deferred deferred = nullptr;
  // Resolves the promise; holds the buffers that the job writes, which JS cannot reach before.
  Napi::ObjectReference result;
  // Runs on the JS thread when the job is over, before the promise settles (also during teardown). Also owns what the job reads.
  std::function<void(const Job&)> settle;
};

class Environment {
 public:
  static void attach(Napi::Env env);
  static Environment& of(Napi::Env env);
  ~Environment();

  // How pool threads reach this environment, for as long as it is there.
  struct Channel {
    std::mutex mutex;
    std::condition_variable posted;
    std::vector<Pending*> finished;
    napi_threadsafe_function wake = nullptr;  // null once closed
    void post(Pending* pending);
  };

  // Submits the job; the promise resolves with `result` (an object, or empty for undefined), or rejects with ERR_ABORTED
  // (cancelled) or the job's own error.
  Napi::Promise start(Pool& pool, std::shared_ptr<Job> job, Napi::Object result, std::function<void(const Job&)> settle);

 private:
  explicit Environment(Napi::Env env);
  void drain();
  void finish(Pending* pending, bool settlePromise);
  void tearDown();
  static void closeEveryChannel();

  Napi::Env env_;
  std::shared_ptr<Channel> channel_ = std::make_shared<Channel>();
  napi_threadsafe_function wake_ = nullptr;
  std::unordered_map<Pending*, std::unique_ptr<Pending>> active_;
};

}  // namespace unrolled::addon
