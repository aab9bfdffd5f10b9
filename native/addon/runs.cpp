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

// Everything but the outputs.
RunRequest readRequest(const Napi::Object& options) {
  RunRequest request;
  request.steps = static_cast<uint32_t>(readInteger(options.Get("steps"), "steps", 1, INT32_MAX));
  request.firstStep = readUint32(options.Get("firstStep"), "firstStep");
  request.key0 = readUint32(options.Get("key0"), "key0");
  request.key1 = readUint32(options.Get("key1"), "key1");
  request.antithetic = readBoolean(options.Get("antithetic"), "antithetic");
  request.theta = readTheta(options.Get("theta"));
  return request;
}

// Starts the job that `make` makes together with the object that it fills: { handle, promise }.
template <typename Make>
Napi::Value start(Napi::Env env, const std::shared_ptr<State>& state, Make make) {
  state->beginRun();
  try {
    const auto [job, result] = make();
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

Napi::Value run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto state = unwrap<State>(info[0]);
  const Napi::Object options = readObject(info[1], "request");
  RunRequest request = readRequest(options);
  const bool perStep = readBoolean(options.Get("perStep"), "perStep");
  return start(env, state, [&] {
    const Napi::Object result = makeOutputs(env, *state, perStep, request);
    return std::pair(runJob(state, std::move(request)), result);
  });
}

Napi::Value loadReverse(const Napi::CallbackInfo& info) {
  const auto forward = unwrap<LoadedProgram>(info[0]);
  const auto row = [&](size_t i, const char* name, double low) { return static_cast<int32_t>(readInteger(info[i], name, low, INT32_MAX)); };
  const auto pairs = readInts(info[6], "cotangents");
  if (pairs.size() % 2 != 0) throw Error(kOptionCode, "cotangents: expected pairs of numbers");
  std::vector<CotangentLeaf> cotangents;
  for (size_t i = 0; i < pairs.size(); i += 2) cotangents.push_back({pairs[i], pairs[i + 1]});
  auto reverse = std::make_shared<ReverseProgram>(forward, copyOf(readInts(info[1], "words")), readWords(info[2], "constants"),
                                                  readBoolean(info[3], "readsNext"), row(4, "gradientRow", 0), row(5, "weightRow", -1),
                                                  std::move(cotangents));
  const LoadedProgram& backward = reverse->backward();
  const size_t bytes = backward.residentBytes() + backward.arenaBytes() * backward.engine()->pool->threads();
  return makeHandle(info.Env(), std::move(reverse), bytes);
}

Napi::Value reverseBytes(const Napi::CallbackInfo& info) {
  const auto reverse = unwrap<ReverseProgram>(info[0]);
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("slot", static_cast<double>(reverse->savedWords() * 4));
  out.Set("working", static_cast<double>(reverse->workingBytes()));
  return out;
}

Napi::Value runReverse(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto program = unwrap<ReverseProgram>(info[0]);
  const auto state = unwrap<State>(info[1]);
  const Napi::Object options = readObject(info[2], "request");
  ReverseRequest request;
  request.run = readRequest(options);
  const bool perStep = readBoolean(options.Get("perStep"), "perStep");
  request.actions = copyOf(readInts(options.Get("actions"), "actions"));
  request.slots = readUint32(options.Get("slots"), "slots", 1);
  const Napi::Value finals = options.Get("finalCotangents");
  if (!finals.IsArray()) throw Error(kOptionCode, "finalCotangents: expected an array");
  for (uint32_t i = 0; i < finals.As<Napi::Array>().Length(); ++i) {
    const Napi::Value values = finals.As<Napi::Array>().Get(i);
    request.finalCotangents.push_back(values.IsNull() ? std::vector<float>{} : copyOf(readFloats(values, "finalCotangents")));
  }
  const Napi::Value weights = options.Get("lossWeights");
  if (!weights.IsNull()) request.lossWeights = copyOf(readFloats(weights, "lossWeights"));

  return start(env, state, [&] {
    const Napi::Object result = makeOutputs(env, *state, perStep, request.run);
    const double particles = state->particles();
    auto theta = newArray<float>(env, particles * program->backward().header().thetaElements);
    request.thetaGradients = theta.Data();
    result.Set("thetaGradients", theta);
    Napi::Array gradients = Napi::Array::New(env);
    for (const CotangentLeaf& leaf : program->cotangents()) {
      auto values = newArray<float>(env, particles * leaf.elements);
      gradients.Set(static_cast<uint32_t>(request.stateGradients.size()), values);
      request.stateGradients.push_back(values.Data());
    }
    result.Set("stateGradients", gradients);
    return std::pair(reverseJob(program, state, std::move(request)), result);
  });
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
  exportFunction<loadReverse>(exports, "loadReverse");
  exportFunction<reverseBytes>(exports, "reverseBytes");
  exportFunction<runReverse>(exports, "runReverse");
  exportFunction<cancel>(exports, "cancel");
  exportFunction<progress>(exports, "progress");
}

}  // namespace unrolled::addon
