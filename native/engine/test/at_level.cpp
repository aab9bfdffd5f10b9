// at_level LEVEL PROGRAM: becomes PROGRAM where the processor has the instruction level, and ends with 77 (skipped) elsewhere.
#include <cstdio>
#include <cstdlib>

#include "isa.h"

#if !defined(_WIN32)
#include <unistd.h>
#endif

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: at_level LEVEL PROGRAM\n");
    return 2;
  }
  if (!unrolled::processorHas(arguments[1])) {
    std::printf("skipped: this processor lacks %s\n", arguments[1]);
    return 77;
  }
#if defined(_WIN32)
  return std::system(arguments[2]);
#else
  execl(arguments[2], arguments[2], static_cast<char*>(nullptr));
  std::perror(arguments[2]);
  return 1;
#endif
}
