#include "isa.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "error.h"

namespace unrolled {

namespace {

std::string names(bool supportedOnly) {
  std::string list;
  for (const Level& level : levels()) {
    if (supportedOnly && !level.supported) continue;
    if (!list.empty()) list += ", ";
    list += level.table->name;
  }
  return list.empty() ? "none" : list;
}

}  // namespace

bool processorHas(const char* level) {
  if (std::strcmp(level, "base") == 0) return true;
#if defined(__x86_64__) && defined(__GNUC__)
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2");
  if (std::strcmp(level, "avx2") == 0) return v3;
  if (std::strcmp(level, "avx512") == 0) {
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return false;
}

const std::vector<Level>& levels() {
  static const std::vector<Level>& built = *new std::vector<Level>{
#if defined(UNROLLED_HAS_BASE)
      {&base::kTable, processorHas("base")},
#endif
#if defined(UNROLLED_HAS_AVX2)
      {&avx2::kTable, processorHas("avx2")},
#endif
#if defined(UNROLLED_HAS_AVX512)
      {&avx512::kTable, processorHas("avx512")},
#endif
  };
  return built;
}

const CpuTable& selectTable(const char* requested) {
  const char* source = "level";
  if (!requested || !*requested) {
    requested = std::getenv("UNROLLED_ISA");
    source = "UNROLLED_ISA";
  }
  if (requested && *requested) {
    for (const Level& level : levels()) {
      if (std::strcmp(level.table->name, requested) != 0) continue;
      if (level.supported) return *level.table;
      throw Error(kOptionCode, std::string(source) + "=" + requested + ": this processor lacks that instruction level; it has " +
                                   names(true));
    }
    throw Error(kOptionCode, std::string(source) + "=" + requested + ": no such instruction level in this build; it has " +
                                 names(false));
  }
  const CpuTable* best = nullptr;
  for (const Level& level : levels()) {
    if (level.supported) best = level.table;
  }
  if (!best) throw Error(kDeviceCode, "this build holds no kernels for this processor");
  return *best;
}

unsigned selectThreads(unsigned requested) {
  constexpr unsigned limit = 1024;
  if (requested != 0) {
    if (requested > limit) throw Error(kOptionCode, "threads must lie in 1.." + std::to_string(limit));
    return requested;
  }
  const char* text = std::getenv("UNROLLED_THREADS");
  if (text && *text) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (*end != 0 || value < 1 || value > static_cast<long>(limit)) {
      throw Error(kOptionCode, std::string("UNROLLED_THREADS=") + text + ": expected an integer in 1.." + std::to_string(limit));
    }
    return static_cast<unsigned>(value);
  }
  return std::clamp(std::thread::hardware_concurrency(), 1u, limit);
}

}  // namespace unrolled
