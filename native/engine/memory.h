// Zeroed, 64-byte aligned memory, and the process-wide counts of what is alive.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace unrolled {

// What `inspect` prints and leak tests read: live objects and bytes of the whole process.
struct Counters {
  std::atomic<int64_t> engines{0}, programs{0}, functions{0}, states{0}, jobs{0}, threads{0};
  std::atomic<int64_t> programBytes{0}, stateBytes{0}, arenaBytes{0};
};
Counters& counters();

// Counts an object while it lives.
class Counted {
 public:
  explicit Counted(std::atomic<int64_t>& counter) : counter_(counter) { counter_.fetch_add(1, std::memory_order_relaxed); }
  ~Counted() { counter_.fetch_sub(1, std::memory_order_relaxed); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<int64_t>& counter_;
};

// Owned, zeroed, aligned to 64 bytes and followed by 64 bytes that may be read. Throws Error (ERR_DEVICE) when the system
// has no memory left. Large blocks cost nothing until touched, and ask for huge pages where the system has them.
class Buffer {
 public:
  Buffer() = default;
  Buffer(size_t bytes, std::atomic<int64_t>& counter);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  size_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  void* allocation_ = nullptr;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  std::atomic<int64_t>* counter_ = nullptr;
};

// a * b (* c), or Error (ERR_DEVICE) when the product is beyond what one allocation may hold (2^40 bytes).
size_t allocationSize(size_t a, size_t b, size_t c = 1);

}  // namespace unrolled
