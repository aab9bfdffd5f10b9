// The inner states of all particles: tile after tile, each [rows of S][lanes], with t and freshness beside them. Lanes past
// the last particle repeat it, so that they never make a tile do work that its particles don't need.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "loaded_program.h"

namespace unrolled {

class State {
 public:
  // All particles fresh and at step `t` [particles] of their episode (empty: 0). Throws Error (ERR_OPTION) for t outside the
  // horizon or a count outside 1..2^31 - 4097, ERR_DEVICE without memory.
  State(std::shared_ptr<const LoadedProgram> program, uint32_t particles, std::span<const int32_t> t);

  const std::shared_ptr<const LoadedProgram>& program() const { return program_; }
  uint32_t particles() const { return particles_; }
  size_t tiles() const { return tiles_; }
  size_t bytes() const { return memory_.bytes() + clocks_.bytes(); }

  uint32_t* tile(size_t index) const { return memory_.as<uint32_t>() + index * program_->tileWords(); }
  // [tiles * lanes]
  uint32_t* t() const { return clocks_.as<uint32_t>(); }
  int32_t* fresh() const { return clocks_.as<int32_t>() + tiles_ * lanes(); }
  size_t lanes() const { return static_cast<size_t>(program_->header().lanes); }
  // Replaces the clocks: t within the horizon, fresh 0/1; both [particles].
  void setClocks(std::span<const int32_t> t, std::span<const uint8_t> fresh);

  // A state serves one run, or any number of readers (export, gather), at a time; kept by the thread that starts them. Both throw
  // Error: ERR_BUSY, or ERR_DEVICE after a run that was cut short.
  void beginRun();
  void endRun(bool complete);
  void beginRead();
  void endRead() { --readers_; }
  bool busy() const { return running_ || readers_ > 0; }

 private:
  void checkUsable() const;

  const std::shared_ptr<const LoadedProgram> program_;
  const uint32_t particles_;
  const size_t tiles_;
  Buffer memory_, clocks_;
  bool running_ = false, partial_ = false;
  int readers_ = 0;
  Counted counted_{counters().states};
};

// Jobs over tiles. The pointers must stay valid until the job is over.
// leaves[i]: [particles, elements], 32-bit words or (bool) bytes.
std::shared_ptr<Job> importJob(std::shared_ptr<State> state, std::vector<const void*> leaves);
std::shared_ptr<Job> exportJob(std::shared_ptr<State> state, std::vector<void*> leaves, int32_t* t, uint8_t* fresh);
// target's particle i becomes a copy of source's ancestors[i], clocks too. Throws Error (ERR_OPTION) for an ancestor out of range.
std::shared_ptr<Job> gatherJob(std::shared_ptr<State> source, std::shared_ptr<State> target, std::vector<int32_t> ancestors);

}  // namespace unrolled
