#include "memory.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "error.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace unrolled {

namespace {
constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
}  // namespace

Counters& counters() {
  static Counters all;  // trivially destructible: still there for threads that outlive main
  return all;
}

Buffer::Buffer(size_t bytes, std::atomic<int64_t>& counter) : bytes_(bytes), counter_(&counter) {
  const bool huge = bytes >= 2 * kHugePage;
  const size_t alignment = huge ? kHugePage : kAlignment;
  // calloc rather than aligned_alloc: the system hands out large zeroed blocks without touching them.
  allocation_ = std::calloc(1, bytes + alignment + kAlignment);
  if (!allocation_) throw Error(kDeviceCode, "out of memory: " + std::to_string(bytes) + " bytes could not be allocated");
  const auto address = reinterpret_cast<uintptr_t>(allocation_);
  data_ = static_cast<std::byte*>(allocation_) + ((alignment - address % alignment) % alignment);
#if defined(__linux__)
  if (huge) madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  counter_->fetch_add(static_cast<int64_t>(bytes_), std::memory_order_relaxed);
}

Buffer::~Buffer() {
  if (!allocation_) return;
  counter_->fetch_sub(static_cast<int64_t>(bytes_), std::memory_order_relaxed);
  std::free(allocation_);
}

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(allocation_, other.allocation_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(counter_, other.counter_);
  return *this;
}

size_t allocationSize(size_t a, size_t b, size_t c) {
  constexpr size_t limit = size_t{1} << 40;
  size_t product = a;
  for (const size_t factor : {b, c}) {
    if (factor != 0 && product > limit / factor) throw Error(kDeviceCode, "out of memory: more than 2^40 bytes were asked for");
    product *= factor;
  }
  return product;
}

}  // namespace unrolled
