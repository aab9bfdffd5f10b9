#include "isa.h"

#include <cstdlib>
#include <cstring>

#include "test/check.h"

using namespace unrolled;

namespace {

void levelsAreOrderedAndBaseAlwaysRuns() {
  const char* const order[] = {"base", "avx2", "avx512"};
  size_t i = 0;
  for (const Level& level : levels()) {
    while (i < 3 && std::strcmp(order[i], level.table->name) != 0) ++i;
    CHECK(i < 3);
    CHECK_EQUAL(level.supported, processorHas(level.table->name));
    CHECK(level.table->vectorWidth >= 4);
  }
  CHECK(!levels().empty() && levels().front().supported);
  CHECK(!processorHas("avx1024"));
}

void aLevelIsChosenByNameByEnvironmentOrByWhatTheProcessorHas() {
  unsetenv("UNROLLED_ISA");
  const CpuTable* best = nullptr;
  for (const Level& level : levels()) {
    if (level.supported) {
      best = level.table;
      CHECK(&selectTable(level.table->name) == level.table);
      setenv("UNROLLED_ISA", level.table->name, 1);
      CHECK(&selectTable(nullptr) == level.table);
      CHECK(&selectTable("") == level.table);
      CHECK(&selectTable("base") == levels().front().table);  // the argument wins
      unsetenv("UNROLLED_ISA");
    } else {
      CHECK_THROWS(kOptionCode, "lacks that instruction level", selectTable(level.table->name));
    }
  }
  CHECK(&selectTable(nullptr) == best);
  CHECK_THROWS(kOptionCode, "level=sse9: no such instruction level", selectTable("sse9"));
  setenv("UNROLLED_ISA", "sse9", 1);
  CHECK_THROWS(kOptionCode, "UNROLLED_ISA=sse9", selectTable(nullptr));
  unsetenv("UNROLLED_ISA");
}

void threadsComeFromTheArgumentTheEnvironmentOrTheHardware() {
  unsetenv("UNROLLED_THREADS");
  CHECK(selectThreads(0) >= 1);
  CHECK_EQUAL(selectThreads(7), 7u);
  setenv("UNROLLED_THREADS", "3", 1);
  CHECK_EQUAL(selectThreads(0), 3u);
  CHECK_EQUAL(selectThreads(7), 7u);
  for (const char* text : {"0", "-1", "2x", "1025", "many"}) {
    setenv("UNROLLED_THREADS", text, 1);
    CHECK_THROWS(kOptionCode, std::string("UNROLLED_THREADS=") + text, selectThreads(0));
  }
  unsetenv("UNROLLED_THREADS");
  CHECK_THROWS(kOptionCode, "1..1024", selectThreads(1025));
}

}  // namespace

int main() {
  return test::runAll({
      {"levels are ordered, and base always runs", levelsAreOrderedAndBaseAlwaysRuns},
      {"a level is chosen by name, environment or processor", aLevelIsChosenByNameByEnvironmentOrByWhatTheProcessorHas},
      {"threads come from argument, environment or hardware", threadsComeFromTheArgumentTheEnvironmentOrTheHardware},
  });
}
