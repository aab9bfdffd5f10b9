#include "noise.h"

#include <cstring>
#include <string>

#include "arguments.h"
#include "environment.h"
#include "functions.h"
#include "handles.h"

namespace unrolled::addon {

namespace {

Napi::Value fillNormal(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<Engine>(info[0]);
  const uint32_t rows = readUint32(info[1], "rows"), dim = readUint32(info[2], "dim");
  auto out = newArray<float>(env, static_cast<double>(rows) * dim);
  auto job = fillNormalJob(*engine, readNoise(info[3]), rows, dim, out.Data());
  return Environment::of(env).start(*engine->pool, std::move(job), out, [engine](const Job&) {});
}

Napi::Value addNormal(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<Engine>(info[0]);
  // Worked on as a copy, because JS may detach the array meanwhile; written back at the end if it is still what it was.
  const auto values = std::make_shared<std::vector<float>>(copyOf(readFloats(info[1], "accumulator")));
  auto scale = copyOf(readFloats(info[2], "scale"));
  const size_t dim = scale.size();
  if (dim == 0 ? !values->empty() : values->size() % dim != 0) {
    throw Error(kOptionCode, "accumulator has " + std::to_string(values->size()) + " elements, expected rows of " + std::to_string(dim));
  }
  auto job = addNormalJob(*engine, readNoise(info[3]), dim == 0 ? 0 : values->size() / dim, dim, std::move(scale), values->data());
  const auto target = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info[1].As<Napi::Object>()));
  return Environment::of(env).start(*engine->pool, std::move(job), Napi::Object(), [engine, values, target, env](const Job& over) {
    if (over.cancelled()) return;
    const Napi::HandleScope scope(env);
    auto array = target->Value().As<Napi::Float32Array>();
    if (array.ElementLength() == values->size() && !values->empty()) std::memcpy(array.Data(), values->data(), values->size() * sizeof(float));
  });
}

Napi::Value weightedRowSum(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<Engine>(info[0]);
  auto weights = copyOf(readDoubles(info[1], "weights"));
  auto matrix = copyOf(readFloats(info[2], "matrix"));
  const uint32_t dim = readUint32(info[3], "dim");
  auto out = newArray<double>(env, dim);
  auto job = weightedRowSumJob(*engine, std::move(weights), std::move(matrix), dim, out.Data());
  return Environment::of(env).start(*engine->pool, std::move(job), out, [engine](const Job&) {});
}

}  // namespace

void exportNoise(Napi::Object exports) {
  exportFunction<fillNormal>(exports, "fillNormal");
  exportFunction<addNormal>(exports, "addNormal");
  exportFunction<weightedRowSum>(exports, "weightedRowSum");
}

}  // namespace unrolled::addon
