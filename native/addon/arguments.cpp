#include "arguments.h"

#include <cmath>
#include <cstdlib>

#include "errors.h"

namespace unrolled::addon {

namespace {

[[noreturn]] void expected(const char* name, const std::string& what) { throw Error(kOptionCode, std::string(name) + ": expected " + what); }

template <typename T>
std::span<const T> readTyped(Napi::Value value, const char* name, napi_typedarray_type type, const char* what) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) expected(name, what);
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  return {array.Data(), array.ElementLength()};
}

bool isWords(Napi::Value value) {
  if (!value.IsTypedArray()) return false;
  const napi_typedarray_type type = value.As<Napi::TypedArray>().TypedArrayType();
  return type == napi_float32_array || type == napi_int32_array || type == napi_uint32_array;
}

}  // namespace

double readInteger(Napi::Value value, const char* name, double low, double high) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number >= low && number <= high) || number != std::floor(number)) {
    char text[80];
    std::snprintf(text, sizeof text, "an integer in %.0f..%.0f", low, high);
    expected(name, text);
  }
  return number;
}

bool readBoolean(Napi::Value value, const char* name) {
  if (!value.IsBoolean()) expected(name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

Napi::Object readObject(Napi::Value value, const char* name) {
  if (!value.IsObject() || value.IsArray() || value.IsTypedArray()) expected(name, "an object");
  return value.As<Napi::Object>();
}

std::span<const float> readFloats(Napi::Value value, const char* name) {
  return readTyped<float>(value, name, napi_float32_array, "a Float32Array");
}
std::span<const double> readDoubles(Napi::Value value, const char* name) {
  return readTyped<double>(value, name, napi_float64_array, "a Float64Array");
}
std::span<const int32_t> readInts(Napi::Value value, const char* name) {
  return readTyped<int32_t>(value, name, napi_int32_array, "an Int32Array");
}
std::span<const uint32_t> readUints(Napi::Value value, const char* name) {
  return readTyped<uint32_t>(value, name, napi_uint32_array, "a Uint32Array");
}
std::span<const uint8_t> readBytes(Napi::Value value, const char* name) {
  return readTyped<uint8_t>(value, name, napi_uint8_array, "a Uint8Array");
}

std::span<const uint32_t> readWords(Napi::Value value, const char* name) {
  if (!isWords(value)) expected(name, "a Float32Array, Int32Array or Uint32Array");
  const auto array = value.As<Napi::TypedArray>();
  void* data = nullptr;
  size_t length = 0;
  if (napi_get_typedarray_info(value.Env(), array, nullptr, &length, &data, nullptr, nullptr) != napi_ok) expected(name, "a typed array");
  return {static_cast<const uint32_t*>(data), length};
}

std::vector<HostView> readViews(Napi::Value value, const char* name) {
  if (!value.IsArray()) expected(name, "an array of typed arrays");
  const auto list = value.As<Napi::Array>();
  std::vector<HostView> views;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Value item = list.Get(i);
    const bool bytes = item.IsTypedArray() && item.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
    if (bytes) {
      const auto view = readBytes(item, name);
      views.push_back({view.data(), view.size(), true});
    } else {
      const auto view = readWords(item, name);
      views.push_back({view.data(), view.size(), false});
    }
  }
  return views;
}

NoiseKey readNoise(Napi::Value value) {
  const Napi::Object noise = readObject(value, "noise");
  NoiseKey key;
  key.key0 = readUint32(noise.Get("key0"), "noise.key0");
  key.key1 = readUint32(noise.Get("key1"), "noise.key1");
  const Napi::Value step = noise.Get("step");
  if (step.IsNumber()) {
    key.step = readUint32(step, "noise.step");
  } else {
    key.steps = copyOf(readUints(step, "noise.step"));
    // One step for each of no rows: an empty list means "the one step" to the engine.
    if (key.steps.empty()) throw Error(kOptionCode, "noise.step: expected a number or one step for each row");
  }
  return key;
}

void checkArraySize(double elements, size_t elementBytes) {
  const double bytes = elements * static_cast<double>(elementBytes);
  if (elements > 4294967295.0) throw Error(kDeviceCode, "a result would have more than 2^32 - 1 elements");
  if (bytes < 16777216.0) return;
  void* const probe = std::malloc(static_cast<size_t>(bytes));
  if (!probe) throw Error(kDeviceCode, "out of memory: a result of " + std::to_string(static_cast<uint64_t>(bytes)) + " bytes does not fit");
  std::free(probe);
}

}  // namespace unrolled::addon
