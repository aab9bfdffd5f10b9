#include <algorithm>
#include <string>
#include <thread>

#include "arguments.h"
#include "functions.h"
#include "handles.h"

namespace unrolled::addon {

namespace {

Napi::Number number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

Napi::Value info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object out = Napi::Object::New(env);
  Napi::Array list = Napi::Array::New(env);
  Napi::Value best = env.Null();
  for (const Level& level : levels()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", level.table->name);
    entry.Set("supported", level.supported);
    entry.Set("vectorWidth", number(env, level.table->vectorWidth));
    if (level.supported) best = Napi::String::New(env, level.table->name);
    list.Set(list.Length(), entry);
  }
  out.Set("levels", list);
  out.Set("bestLevel", best);
  out.Set("hardwareThreads", number(env, std::max(1u, std::thread::hardware_concurrency())));
#if defined(__clang__)
  out.Set("compiler", "clang " __clang_version__);
#elif defined(__GNUC__)
  out.Set("compiler", "gcc " __VERSION__);
#else
  out.Set("compiler", "MSVC");
#endif
#if defined(UNROLLED_SANITIZED)
  out.Set("sanitized", true);
#else
  out.Set("sanitized", false);
#endif
  return out;
}

Napi::Value liveCounters(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Counters& all = counters();
  Napi::Object out = Napi::Object::New(env);
  const auto set = [&](const char* name, const std::atomic<int64_t>& counter) {
    out.Set(name, number(env, static_cast<double>(counter.load(std::memory_order_relaxed))));
  };
  set("engines", all.engines);
  set("programs", all.programs);
  set("functions", all.functions);
  set("states", all.states);
  set("jobs", all.jobs);
  set("threads", all.threads);
  set("programBytes", all.programBytes);
  set("stateBytes", all.stateBytes);
  set("arenaBytes", all.arenaBytes);
  return out;
}

Napi::Value openEngine(const Napi::CallbackInfo& info) {
  const Napi::Object options = readObject(info[0], "options");
  std::string level;
  const Napi::Value wanted = options.Get("level");
  if (wanted.IsString()) {
    level = wanted.As<Napi::String>().Utf8Value();
  } else if (!wanted.IsNull() && !wanted.IsUndefined()) {
    throw Error(kOptionCode, "level: expected a string or null");
  }
  const Napi::Value count = options.Get("threads");
  const uint32_t threads =
      count.IsNull() || count.IsUndefined() ? 0 : static_cast<uint32_t>(readInteger(count, "threads", 1, 1024));
  return makeHandle(info.Env(), std::make_shared<Engine>(selectTable(level.c_str()), selectThreads(threads)), 0);
}

Napi::Value engineInfo(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<Engine>(info[0]);
  Napi::Object out = Napi::Object::New(env);
  out.Set("level", engine->table.name);
  out.Set("vectorWidth", number(env, engine->table.vectorWidth));
  out.Set("threads", number(env, engine->pool->threads()));
  return out;
}

template <typename T>
bool disposeAs(Napi::Value value) {
  Handle<T>* const handle = findHandle<T>(value);
  if (handle) handle->release(value.Env());
  return handle != nullptr;
}

Napi::Value dispose(const Napi::CallbackInfo& info) {
  if (!disposeAs<Engine>(info[0]) && !disposeAs<LoadedProgram>(info[0]) && !disposeAs<State>(info[0]) &&
      !disposeAs<LoadedFunction>(info[0]) && !disposeAs<ReverseProgram>(info[0])) {
    throw Error(kOptionCode, "expected the handle of an engine, a program, a state or a function");
  }
  return info.Env().Undefined();
}

}  // namespace

void exportEngines(Napi::Object exports) {
  exportFunction<info>(exports, "info");
  exportFunction<liveCounters>(exports, "counters");
  exportFunction<openEngine>(exports, "openEngine");
  exportFunction<engineInfo>(exports, "engineInfo");
  exportFunction<dispose>(exports, "dispose");
}

}  // namespace unrolled::addon
