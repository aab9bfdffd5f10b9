// Reading arguments: each function checks kind and range, and throws Error (ERR_OPTION) naming the argument.
#pragma once
#include <napi.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "loaded_program.h"
#include "run.h"

namespace unrolled::addon {

double readInteger(Napi::Value value, const char* name, double low, double high);
inline uint32_t readUint32(Napi::Value value, const char* name, double low = 0) {
  return static_cast<uint32_t>(readInteger(value, name, low, 4294967295.0));
}
bool readBoolean(Napi::Value value, const char* name);
Napi::Object readObject(Napi::Value value, const char* name);

// Views of typed arrays; valid until JS runs again.
std::span<const float> readFloats(Napi::Value value, const char* name);
std::span<const double> readDoubles(Napi::Value value, const char* name);
std::span<const int32_t> readInts(Napi::Value value, const char* name);
std::span<const uint32_t> readUints(Napi::Value value, const char* name);
std::span<const uint8_t> readBytes(Napi::Value value, const char* name);
// Any typed array of 32-bit elements.
std::span<const uint32_t> readWords(Napi::Value value, const char* name);
// An array of typed arrays of 32-bit elements or (bools) Uint8Array.
std::vector<HostView> readViews(Napi::Value value, const char* name);

// { key0, key1, step: number | Uint32Array }
NoiseKey readNoise(Napi::Value value);

template <typename T>
std::vector<T> copyOf(std::span<const T> view) {
  return std::vector<T>(view.begin(), view.end());
}

// New typed arrays, zeroed. Throws Error (ERR_DEVICE) where V8 would end the process: too many elements, or no memory.
void checkArraySize(double elements, size_t elementBytes);
template <typename T>
Napi::TypedArrayOf<T> newArray(Napi::Env env, double elements) {
  checkArraySize(elements, sizeof(T));
  return Napi::TypedArrayOf<T>::New(env, static_cast<size_t>(elements));
}

}  // namespace unrolled::addon
