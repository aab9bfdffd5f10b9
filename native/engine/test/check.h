// The engine tests' own few lines: named cases, checks that say where they failed, an exit code.
#pragma once
#include <cstdio>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "error.h"

namespace unrolled::test {

inline int failures = 0;

inline void report(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  ++failures;
}

template <typename A, typename B>
void checkEqual(const char* file, int line, const char* what, const A& got, const B& expected) {
  if (got == expected) return;
  std::ostringstream text;
  text.precision(17);
  text << what << " is " << got << ", expected " << expected;
  report(file, line, text.str());
}

// The call throws Error with that code, and a message that holds `part`.
inline void checkThrows(const char* file, int line, const char* code, const std::string& part, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    if (std::string(error.code) != code) report(file, line, std::string("code ") + error.code + ", expected " + code);
    if (std::string(error.what()).find(part) == std::string::npos) {
      report(file, line, std::string("message \"") + error.what() + "\" lacks \"" + part + "\"");
    }
    return;
  }
  report(file, line, "nothing was thrown, expected \"" + part + "\"");
}

inline int runAll(const std::vector<std::pair<const char*, void (*)()>>& cases) {
  for (const auto& [name, body] : cases) {
    const int before = failures;
    try {
      body();
    } catch (const std::exception& error) {
      report(name, 0, std::string("threw ") + error.what());
    }
    std::printf("%s %s\n", failures == before ? "ok  " : "FAIL", name);
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace unrolled::test

#define CHECK(condition) \
  do { \
    if (!(condition)) unrolled::test::report(__FILE__, __LINE__, #condition); \
  } while (false)
#define CHECK_EQUAL(got, expected) unrolled::test::checkEqual(__FILE__, __LINE__, #got, got, expected)
#define CHECK_THROWS(code, part, call) unrolled::test::checkThrows(__FILE__, __LINE__, code, part, [&] { call; })
