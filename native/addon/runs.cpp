#include <string>

#include "arguments.h"
#include "environment.h"
#include "functions.h"
#include "handles.h"

namespace unrolled::addon {

namespace {

Theta readTheta(Napi::Value value) {
  const Napi::Object object = readObject(value, "theta");
  const Napi::Value kindValue = object.Get("kind");
  const std::string kind = kindValue.IsString() ? kindValue.As<Napi::String>().Utf8Value() : "";
  Theta theta;
  if (kind == "shared" || kind == "perParticle") {
    theta.kind = kind == "shared" ? ThetaKind::kShared : ThetaKind::kPerParticle;
    theta.values = copyOf(readFloats(object.Get("values"), "theta.values"));
  } else if (kind == "perturbed") {
    theta.kind = ThetaKind::kPerturbed;
    theta.values = copyOf(readFloats(object.Get("mean"), "theta.mean"));
    theta.sigma = copyOf(readFloats(object.Get("sigma"), "theta.sigma"));
    theta.noise = readNoise(object.Get("noise"));
  } else {
    throw Error(kOptionCode, "theta.kind: expected 'shared', 'perParticle' or 'perturbed'");
  }
  return theta;
}

// Makes the arrays that the run fills, as `result`, and points the request at them.
Napi::Object makeOutputs(Napi::Env env, const State& state, bool perStep, RunRequest& request) {
  const double particles = state.particles(), records = particles * request.steps;
  const auto record = [&](Napi::Object owner, const char* name) -> float* {
    if (!perStep) return nullptr;
    auto array = newArray<float>(env, records);
    owner.Set(name, array);
    return array.Data();
  };
  Napi::Object result = Napi::Object::New(env);
  auto lossSums = newArray<double>(env, 2 * particles);
  auto firstSteps = newArray<int32_t>(env, particles);
  request.lossSums = lossSums.Data();
  request.firstSteps = firstSteps.Data();
  result.Set("lossSums", lossSums);
  result.Set("firstSteps", firstSteps);
  request.losses = record(result, "losses");
  Napi::Array metrics = Napi::Array::New(env);
  for (size_t i = 0; i < state.program()->header().metrics.size(); ++i) {
    Napi::Object metric = Napi::Object::New(env);
    auto sums = newArray<double>(env, particles);
    auto last = newArray<float>(env, particles);
    metric.Set("sums", sums);
    metric.Set("last", last);
    request.metrics.push_back({sums.Data(), last.Data(), record(metric, "perStep")});
    metrics.Set(static_cast<uint32_t>(i), metric);
  }
  result.Set("metrics", metrics);
  return result;
}

Napi::Value run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap<State>(info[0]);
  const Napi::Object options = readObject(info[1], "request");
  RunRequest request;
  request.steps = static_cast<uint32_t>(readInteger(options.Get("steps"), "steps", 1, INT32_MAX));
  request.firstStep = readUint32(options.Get("firstStep"), "firstStep");
  request.key0 = readUint32(options.Get("key0"), "key0");
  request.key1 = readUint32(options.Get("key1"), "key1");
  request.antithetic = readBoolean(options.Get("antithetic"), "antithetic");
  const bool perStep = readBoolean(options.Get("perStep"), "perStep");
  request.theta = readTheta(options.Get("theta"));

  state->beginRun();
  try {
    const Napi::Object result = makeOutputs(env, *state, perStep, request);
    const auto job = runJob(state, std::move(request));
    const auto control = std::make_shared<RunControl>();
    control->job = job;
    Napi::Object out = Napi::Object::New(env);
    out.Set("handle", makeHandle(env, control, 0));
    out.Set("promise", Environment::of(env).start(*state->program()->engine()->pool, job, result, [state, control](const Job& over) {
      control->finalProgress = over.progress();
      control->job.reset();
      state->endRun(!over.cancelled());
    }));
    return out;
  } catch (...) {
    state->endRun(true);
    throw;
  }
}

Napi::Value cancel(const Napi::CallbackInfo& info) {
  if (const auto job = unwrap<RunControl>(info[0])->job.lock()) job->cancel();
  return info.Env().Undefined();
}

Napi::Value progress(const Napi::CallbackInfo& info) {
  const auto control = unwrap<RunControl>(info[0]);
  const auto job = control->job.lock();
  return Napi::Number::New(info.Env(), static_cast<double>(job ? job->progress() : control->finalProgress));
}

}  // namespace

void exportRuns(Napi::Object exports) {
  exportFunction<run>(exports, "run");
  exportFunction<cancel>(exports, "cancel");
  exportFunction<progress>(exports, "progress");
}

}  // namespace unrolled::addon
