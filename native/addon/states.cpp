#include <string>

#include "arguments.h"
#include "environment.h"
#include "functions.h"
#include "handles.h"

namespace unrolled::addon {

namespace {

Napi::Object stateHandle(Napi::Env env, const std::shared_ptr<State>& state) { return makeHandle(env, state, state->bytes()); }

Pool& poolOf(const State& state) { return *state.program()->engine()->pool; }

// Starts a job that reads `state`, which keeps runs off it until the end.
Napi::Promise startReading(Napi::Env env, const std::shared_ptr<State>& state, std::shared_ptr<Job> job, Napi::Object result) {
  state->beginRead();
  try {
    return Environment::of(env).start(poolOf(*state), std::move(job), result, [state](const Job&) { state->endRead(); });
  } catch (...) {
    state->endRead();
    throw;
  }
}

Napi::Value createState(const Napi::CallbackInfo& info) {
  const auto program = unwrap<LoadedProgram>(info[0]);
  const uint32_t particles = readUint32(info[1], "particles");
  std::span<const int32_t> t;
  if (!info[2].IsNull() && !info[2].IsUndefined()) {
    t = readInts(info[2], "t");
    if (t.size() != particles) {
      throw Error(kOptionCode, "t has " + std::to_string(t.size()) + " elements, expected one for each of " + std::to_string(particles) + " particles");
    }
  }
  return stateHandle(info.Env(), std::make_shared<State>(program, particles, t));
}

Napi::Value importState(const Napi::CallbackInfo& info) {
  const auto program = unwrap<LoadedProgram>(info[0]);
  const auto views = readViews(info[1], "leaves");
  const auto t = readInts(info[2], "t");
  const auto fresh = readBytes(info[3], "fresh");
  const auto& leaves = program->leaves();
  if (views.size() != leaves.size()) {
    throw Error(kOptionCode, "leaves: expected " + std::to_string(leaves.size()) + ", got " + std::to_string(views.size()));
  }
  if (t.empty() || t.size() > INT32_MAX || fresh.size() != t.size()) {
    throw Error(kOptionCode, "t and fresh: expected one element for each particle, at least one");
  }
  const auto state = std::make_shared<State>(program, static_cast<uint32_t>(t.size()), std::span<const int32_t>());
  state->setClocks(t, fresh);
  // Copies, because JS may detach what it passed while the job reads.
  auto copies = std::make_shared<std::vector<std::vector<uint8_t>>>();
  std::vector<const void*> sources;
  for (size_t i = 0; i < views.size(); ++i) {
    const size_t expected = t.size() * static_cast<size_t>(leaves[i].elements);
    if (views[i].isBytes != leaves[i].isBool || views[i].elements != expected) {
      throw Error(kOptionCode, "leaves[" + std::to_string(i) + "]: expected " + std::to_string(expected) + " elements of " +
                                   (leaves[i].isBool ? "a Uint8Array" : "32 bits"));
    }
    const auto* const bytes = static_cast<const uint8_t*>(views[i].data);
    copies->emplace_back(bytes, bytes + views[i].elements * (views[i].isBytes ? 1 : 4));
    sources.push_back(copies->back().data());
  }
  auto job = importJob(state, std::move(sources));
  const Napi::Object result = stateHandle(info.Env(), state);
  return Environment::of(info.Env()).start(poolOf(*state), std::move(job), result, [copies](const Job&) {});
}

Napi::Value exportState(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap<State>(info[0]);
  const double particles = state->particles();
  const auto& leaves = state->program()->leaves();
  Napi::Object result = Napi::Object::New(env);
  Napi::Array list = Napi::Array::New(env, leaves.size());
  std::vector<void*> targets;
  for (uint32_t i = 0; i < leaves.size(); ++i) {
    const auto array = newArray<uint8_t>(env, particles * leaves[i].elements * (leaves[i].isBool ? 1 : 4));
    targets.push_back(array.ArrayBuffer().Data());
    list.Set(i, array.ArrayBuffer());
  }
  auto t = newArray<int32_t>(env, particles);
  auto fresh = newArray<uint8_t>(env, particles);
  result.Set("leaves", list);
  result.Set("t", t);
  result.Set("fresh", fresh);
  return startReading(env, state, exportJob(state, std::move(targets), t.Data(), fresh.Data()), result);
}

Napi::Value gatherState(const Napi::CallbackInfo& info) {
  const auto source = unwrap<State>(info[0]);
  auto ancestors = copyOf(readInts(info[1], "ancestors"));
  if (ancestors.empty() || ancestors.size() > INT32_MAX) throw Error(kOptionCode, "ancestors: expected at least one");
  const auto target = std::make_shared<State>(source->program(), static_cast<uint32_t>(ancestors.size()), std::span<const int32_t>());
  auto job = gatherJob(source, target, std::move(ancestors));
  return startReading(info.Env(), source, std::move(job), stateHandle(info.Env(), target));
}

Napi::Value stateInfo(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap<State>(info[0]);
  Napi::Object out = Napi::Object::New(env);
  out.Set("particles", Napi::Number::New(env, state->particles()));
  out.Set("bytes", Napi::Number::New(env, static_cast<double>(state->bytes())));
  out.Set("busy", state->busy());
  return out;
}

}  // namespace

void exportStates(Napi::Object exports) {
  exportFunction<createState>(exports, "createState");
  exportFunction<importState>(exports, "importState");
  exportFunction<exportState>(exports, "exportState");
  exportFunction<gatherState>(exports, "gatherState");
  exportFunction<stateInfo>(exports, "stateInfo");
}

}  // namespace unrolled::addon
