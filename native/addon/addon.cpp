// Entry of the addon. It may be loaded by several environments of a process at once; each has its own instance data.
#include "environment.h"
#include "functions.h"

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  using namespace unrolled::addon;
  Environment::attach(env);
  exports.Set("abi", Napi::Number::New(env, 2));  // NATIVE_ABI of src/device/cpu/native.ts
  exportEngines(exports);
  exportPrograms(exports);
  exportStates(exports);
  exportRuns(exports);
  exportFunctionCalls(exports);
  exportNoise(exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(unrolled, initialise)
