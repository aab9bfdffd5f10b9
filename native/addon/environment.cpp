#include "environment.h"

#include <cstdlib>
#include <utility>

#include "errors.h"

namespace unrolled::addon {

namespace {

// Every channel of the process; never destroyed, since the exit handler reads it.
struct AllChannels {
  std::mutex mutex;
  std::vector<std::weak_ptr<Environment::Channel>> channels;
  bool exitHandler = false;
};
AllChannels& allChannels() {
  static AllChannels& all = *new AllChannels;
  return all;
}

}  // namespace

void Environment::Channel::post(Pending* pending) {
  const std::lock_guard lock(mutex);
  finished.push_back(pending);
  if (wake && finished.size() == 1 && napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking) != napi_ok) wake = nullptr;
  posted.notify_all();
}

void Environment::attach(Napi::Env env) { env.SetInstanceData<Environment>(new Environment(env)); }

Environment& Environment::of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

Environment::Environment(Napi::Env env) : env_(env) {
  const napi_threadsafe_function_call_js wakeUp = [](napi_env callEnv, napi_value, void* context, void*) {
    if (callEnv) static_cast<Environment*>(context)->drain();
  };
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "unrolled"), 0, 1, nullptr,
                                                             nullptr, this, wakeUp, &wake_);
  if (status != napi_ok) throw jsError(env, kDeviceCode, "the completion channel could not be made");
  napi_unref_threadsafe_function(env, wake_);
  channel_->wake = wake_;
  // After the function's own hook was added, hence run before it: the function is still whole while jobs end.
  napi_add_env_cleanup_hook(env, [](void* self) { static_cast<Environment*>(self)->tearDown(); }, this);

  AllChannels& all = allChannels();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.channels, [](const auto& channel) { return channel.expired(); });
  all.channels.push_back(channel_);
  if (!all.exitHandler) {
    all.exitHandler = true;
    std::atexit(closeEveryChannel);
  }
}

Environment::~Environment() = default;

void Environment::closeEveryChannel() {
  AllChannels& all = allChannels();
  {
    const std::lock_guard lock(all.mutex);
    for (const auto& weak : all.channels) {
      const auto channel = weak.lock();
      if (!channel) continue;
      const std::lock_guard guard(channel->mutex);
      channel->wake = nullptr;
    }
  }
  Pool::quiesceAll();
}

Napi::Promise Environment::start(Pool& pool, std::shared_ptr<Job> job, Napi::Object result, std::function<void(const Job&)> settle) {
  auto owned = std::make_unique<Pending>();
  Pending* const pending = owned.get();
  pending->job = job;
  pending->settle = std::move(settle);
  if (!result.IsEmpty()) pending->result = Napi::Persistent(result);
  napi_value promise;
  if (napi_create_promise(env_, &pending->deferred, &promise) != napi_ok) throw Error(kDeviceCode, "a promise could not be made");
  if (active_.empty()) napi_ref_threadsafe_function(env_, wake_);
  active_.emplace(pending, std::move(owned));
  job->onFinished = [channel = channel_, pending] { channel->post(pending); };
  pool.submit(std::move(job));
  return Napi::Promise(env_, promise);
}

void Environment::drain() {
  std::vector<Pending*> finished;
  {
    const std::lock_guard lock(channel_->mutex);
    finished.swap(channel_->finished);
  }
  for (Pending* pending : finished) {
    try {
      finish(pending, true);
    } catch (const Napi::Error&) {
      // The environment is being terminated and runs no more JS: there is nobody left to tell.
    }
  }
}

void Environment::finish(Pending* pending, bool settlePromise) {
  const auto entry = active_.find(pending);
  const std::unique_ptr<Pending> owned = std::move(entry->second);
  active_.erase(entry);
  const Job& job = *owned->job;
  if (owned->settle) owned->settle(job);
  if (!settlePromise) return;
  if (active_.empty()) napi_unref_threadsafe_function(env_, wake_);
  const Napi::HandleScope scope(env_);
  if (!job.errorCode().empty()) {
    napi_reject_deferred(env_, owned->deferred, jsError(env_, job.errorCode(), job.errorMessage()).Value());
  } else if (job.cancelled()) {
    napi_reject_deferred(env_, owned->deferred, jsError(env_, kAbortedCode, "the run was cancelled").Value());
  } else {
    napi_resolve_deferred(env_, owned->deferred, owned->result.IsEmpty() ? env_.Undefined() : owned->result.Value());
  }
}

void Environment::tearDown() {
  for (const auto& [pending, owned] : active_) owned->job->cancel();
  {
    std::unique_lock lock(channel_->mutex);
    channel_->wake = nullptr;
    channel_->posted.wait(lock, [this] { return channel_->finished.size() == active_.size(); });
  }
  while (!active_.empty()) finish(active_.begin()->first, false);
}

}  // namespace unrolled::addon
