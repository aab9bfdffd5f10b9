// Engine errors become JS errors with the same `code`.
#pragma once
#include <napi.h>

#include <exception>
#include <new>
#include <string>

#include "error.h"

namespace unrolled::addon {

inline Napi::Error jsError(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

// The function registered for `body`: nothing but a JS error ever leaves it.
template <Napi::Value (*body)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return body(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const Error& error) {
    throw jsError(info.Env(), error.code, error.what());
  } catch (const std::bad_alloc&) {
    throw jsError(info.Env(), kDeviceCode, "out of memory");
  } catch (const std::exception& error) {
    throw jsError(info.Env(), kDeviceCode, error.what());
  }
}

}  // namespace unrolled::addon
