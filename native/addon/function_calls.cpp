#include "function.h"

#include <string>

#include "arguments.h"
#include "environment.h"
#include "functions.h"
#include "handles.h"

namespace unrolled::addon {

namespace {

Napi::Value loadFunction(const Napi::CallbackInfo& info) {
  const auto engine = unwrap<Engine>(info[0]);
  auto function = std::make_shared<LoadedFunction>(engine, copyOf(readInts(info[1], "words")), readWords(info[2], "constants"),
                                                   readBytes(info[3], "bools"));
  const size_t bytes = function->residentBytes();  // the memory of calls belongs to all functions together
  return makeHandle(info.Env(), std::move(function), bytes);
}

// This is on the path of every call, so it goes without the wrappers. Elements are fetched before any memory is looked at:
// fetching may run JS (a getter), which may detach what was fetched before.
void readExternals(Napi::Env env, napi_value value, std::vector<napi_value>& items, std::vector<HostView>& views) {
  bool isArray = false;
  uint32_t length = 0;
  if (napi_is_array(env, value, &isArray) != napi_ok || !isArray || napi_get_array_length(env, value, &length) != napi_ok) {
    throw Error(kOptionCode, "externals: expected an array of typed arrays");
  }
  items.resize(length);
  for (uint32_t i = 0; i < length; ++i) {
    if (napi_get_element(env, value, i, &items[i]) != napi_ok) throw Napi::Error::New(env);
  }
  for (const napi_value item : items) {
    napi_typedarray_type type;
    size_t elements = 0;
    void* data = nullptr;
    bool isTyped = false;
    if (napi_is_typedarray(env, item, &isTyped) != napi_ok || !isTyped ||
        napi_get_typedarray_info(env, item, &type, &elements, &data, nullptr, nullptr) != napi_ok ||
        (type != napi_float32_array && type != napi_int32_array && type != napi_uint32_array && type != napi_uint8_array)) {
      throw Error(kOptionCode, "externals[" + std::to_string(views.size()) +
                                   "]: expected a Float32Array, Int32Array, Uint32Array or Uint8Array");
    }
    views.push_back({data, elements, type == napi_uint8_array});
  }
}

DrawKey readKey(const Napi::CallbackInfo& info) {
  return {readUint32(info[2], "key0"), readUint32(info[3], "key1"), readUint32(info[4], "step")};
}

Napi::Value callFunction(const Napi::CallbackInfo& info) {
  FunctionCall call(unwrap<LoadedFunction>(info[0]));
  const DrawKey key = readKey(info);
  std::vector<napi_value> items;
  readExternals(info.Env(), info[1], items, call.externals());
  call.check();
  call.run(key);
  return info.Env().Undefined();
}

Napi::Value callFunctionAsync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto function = unwrap<LoadedFunction>(info[0]);
  const DrawKey key = readKey(info);
  auto call = std::make_shared<FunctionCall>(function);
  std::vector<napi_value> items;
  readExternals(env, info[1], items, call->externals());
  // A list of its own: the caller may change the one it passed.
  const Napi::Array kept = Napi::Array::New(env, items.size());
  for (uint32_t i = 0; i < items.size(); ++i) kept.Set(i, Napi::Value(env, items[i]));
  const auto arrays = std::make_shared<Napi::ObjectReference>(Napi::Persistent(kept.As<Napi::Object>()));
  const auto job = functionJob(std::move(call), key);
  const auto control = std::make_shared<RunControl>();
  control->job = job;
  Napi::Object out = Napi::Object::New(env);
  out.Set("handle", makeHandle(env, control, 0));
  out.Set("promise", Environment::of(env).start(*function->engine()->pool, job, Napi::Object(), [function, control, arrays](const Job& over) {
    control->finalProgress = over.progress();
    control->job.reset();
  }));
  return out;
}

}  // namespace

void exportFunctionCalls(Napi::Object exports) {
  exportFunction<loadFunction>(exports, "loadFunction");
  exportFunction<callFunction>(exports, "callFunction");
  exportFunction<callFunctionAsync>(exports, "callFunctionAsync");
}

}  // namespace unrolled::addon
