// Opaque JS objects that own a native one. A type tag tells them apart, so a handle of another kind, or any other object, is
// refused instead of misread. V8 is told the bytes behind a handle, and told again when they go.
#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <utility>

#include "errors.h"
#include "function.h"
#include "loaded_program.h"
#include "reverse.h"
#include "state.h"

namespace unrolled::addon {

// What a RunHandle reaches: the job while it lives, its last progress afterwards.
struct RunControl {
  std::weak_ptr<Job> job;
  uint64_t finalProgress = 0;
};

template <typename T>
struct HandleKind;
template <>
struct HandleKind<Engine> {
  static constexpr napi_type_tag tag{0x756e726f6c6c6564, 1};
  static constexpr const char* name = "an engine";
};
template <>
struct HandleKind<LoadedProgram> {
  static constexpr napi_type_tag tag{0x756e726f6c6c6564, 2};
  static constexpr const char* name = "a program";
};
template <>
struct HandleKind<State> {
  static constexpr napi_type_tag tag{0x756e726f6c6c6564, 3};
  static constexpr const char* name = "a state";
};
template <>
struct HandleKind<ReverseProgram> {
  static constexpr napi_type_tag tag{0x756e726f6c6c6564, 6};
  static constexpr const char* name = "a reverse program";
};
template <>
struct HandleKind<RunControl> {
  static constexpr napi_type_tag tag{0x756e726f6c6c6564, 4};
  static constexpr const char* name = "a run";
};

template <>
struct HandleKind<LoadedFunction> {
  static constexpr napi_type_tag tag{0x756e726f6c6c6564, 5};
  static constexpr const char* name = "a function";
};

template <typename T>
struct Handle {
  std::shared_ptr<T> object;
  int64_t externalBytes;

  void release(napi_env env) {
    if (!object) return;
    object.reset();
    int64_t total;
    napi_adjust_external_memory(env, -externalBytes, &total);
  }
};

template <typename T>
Napi::Object makeHandle(Napi::Env env, std::shared_ptr<T> object, size_t externalBytes) {
  Napi::Object js = Napi::Object::New(env);
  auto handle = std::make_unique<Handle<T>>(Handle<T>{std::move(object), static_cast<int64_t>(externalBytes)});
  const napi_finalize finalise = [](napi_env finalEnv, void* data, void*) {
    auto* const dead = static_cast<Handle<T>*>(data);
    dead->release(finalEnv);
    delete dead;
  };
  if (napi_type_tag_object(env, js, &HandleKind<T>::tag) != napi_ok ||
      napi_wrap(env, js, handle.get(), finalise, nullptr, nullptr) != napi_ok) {
    throw Error(kDeviceCode, "a handle could not be made");
  }
  handle.release();
  int64_t total;
  napi_adjust_external_memory(env, static_cast<int64_t>(externalBytes), &total);
  return js;
}

// The handle behind a value, or null when it is not of this kind.
template <typename T>
Handle<T>* findHandle(Napi::Value value) {
  bool matches = false;
  if (!value.IsObject() || napi_check_object_type_tag(value.Env(), value, &HandleKind<T>::tag, &matches) != napi_ok || !matches) {
    return nullptr;
  }
  void* data = nullptr;
  return napi_unwrap(value.Env(), value, &data) == napi_ok ? static_cast<Handle<T>*>(data) : nullptr;
}

// The object behind a handle. Throws Error: ERR_OPTION for any other value, ERR_DISPOSED after dispose.
template <typename T>
const std::shared_ptr<T>& unwrap(Napi::Value value) {
  Handle<T>* const handle = findHandle<T>(value);
  if (!handle) throw Error(kOptionCode, std::string("expected the handle of ") + HandleKind<T>::name);
  if (!handle->object) throw Error(kDisposedCode, std::string(HandleKind<T>::name) + " was disposed; create a new one");
  return handle->object;
}

}  // namespace unrolled::addon
