// The one exception type of the engine. `code` is one of the codes of src/errors.ts, so that the addon passes it on as it is.
#pragma once
#include <stdexcept>
#include <string>

namespace unrolled {

constexpr const char* kOptionCode = "ERR_OPTION";
constexpr const char* kDeviceCode = "ERR_DEVICE";
constexpr const char* kBusyCode = "ERR_BUSY";
constexpr const char* kAbortedCode = "ERR_ABORTED";
constexpr const char* kDisposedCode = "ERR_DISPOSED";

struct Error : std::runtime_error {
  const char* code;
  Error(const char* errorCode, const std::string& message) : std::runtime_error(message), code(errorCode) {}
};

}  // namespace unrolled
