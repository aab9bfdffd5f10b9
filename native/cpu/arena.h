// Memory and word reading for `prepare`: everything that a prepared block owns comes from one arena and goes with it.
//
// No standard containers here: this code is compiled once per instruction level, and the linker keeps one copy of a shared
// template instance for all of them, perhaps the one that the processor can't run.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "program.h"

#ifndef UNROLLED_LEVEL
#define UNROLLED_LEVEL base
#endif

namespace unrolled::UNROLLED_LEVEL {

// Bump allocation; objects need no destructor. `failed` is set, and null returned, when memory runs out.
struct Arena {
  struct Chunk {
    Chunk* next;
    size_t used, size;
  };
  Chunk* chunks = nullptr;
  bool failed = false;

  void* allocate(size_t bytes) {
    bytes = (bytes + 63) & ~size_t{63};
    if (!chunks || chunks->used + bytes > chunks->size) {
      // Small at first: a function has one arena for each of its tasks.
      const size_t least = !chunks ? 4032 : chunks->size < 32768 ? 2 * chunks->size : 65536;
      const size_t size = bytes > least ? bytes : least;
      // 64 bytes in front for the header, so that what follows stays aligned.
      void* memory = std::aligned_alloc(64, size + 64);
      if (!memory) {
        failed = true;
        return nullptr;
      }
      chunks = new (memory) Chunk{chunks, 0, size};
    }
    char* result = reinterpret_cast<char*>(chunks) + 64 + chunks->used;
    chunks->used += bytes;
    std::memset(result, 0, bytes);
    return result;
  }
  template <class T>
  T* make(size_t count = 1) {
    return static_cast<T*>(allocate((count ? count : 1) * sizeof(T)));
  }
  void release() {
    while (chunks) {
      Chunk* next = chunks->next;
      std::free(chunks);
      chunks = next;
    }
  }
};

// Words of one instruction, in order.
struct Reader {
  const int32_t* at;
  int32_t next() { return *at++; }
  void next(int32_t* out, int count) {
    for (int i = 0; i < count; i++) out[i] = *at++;
  }
};

inline bool isVarying(int32_t space) { return space == kVarying || space == kState || space == kPrimal; }

// An operand in words: rows have been multiplied out, so `varying` only says what one row is (`lanes` words, or one).
struct Operand {
  int32_t space = 0;
  bool varying = false;
  int64_t offset = 0;
  int64_t strides[kMaxRank] = {};

  const uint32_t* read(const TileContext& context) const { return context.space[space] + offset; }
  uint32_t* write(const TileContext& context) const { return context.space[space] + offset; }
};

inline Operand readOperand(Reader& reader, int rank, int lanes) {
  Operand operand;
  operand.space = reader.next();
  operand.varying = isVarying(operand.space);
  const int64_t row = operand.varying ? lanes : 1;
  operand.offset = int64_t{reader.next()} * row;
  for (int i = 0; i < rank; i++) operand.strides[i] = int64_t{reader.next()} * row;
  return operand;
}

inline int64_t product(const int32_t* dims, int rank) {
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= dims[i];
  return n;
}

}  // namespace unrolled::UNROLLED_LEVEL
