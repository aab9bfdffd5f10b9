// A program ready to run: checked words, blocks prepared by the kernels of one instruction level, constants, the current data,
// and one arena for each thread of the pool.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine.h"
#include "memory.h"
#include "validate.h"

namespace unrolled {

// One leaf of the state: rows firstRow .. firstRow + elements - 1 of S. A bool leaves the engine as one byte an element.
struct StateLeaf {
  int32_t firstRow, elements;
  bool isBool;
};

// A run of bytes from outside; `isBytes`: one bool a byte, widened to 32 bits when it enters.
struct HostView {
  const void* data;
  size_t elements;
  bool isBytes;
};

// The working memory of one thread: V, U, scratch, and what the run loop keeps for the tile at hand. Allocated when the thread
// first runs the program, then reused.
struct Arena {
  Buffer memory;
  uint32_t* varying;
  uint32_t* uniform;
  void* scratch;
  double* sums;       // [2 + metrics][lanes]
  float* last;        // [metrics][lanes]
  uint32_t* base;     // [lanes]: t at the k-th step of the run is base + k
  int32_t* fresh;     // [lanes]: 0 or -1
  int32_t* ended;     // [lanes]: 0 or -1, an episode has ended in this run
  int32_t* firstSteps;  // [lanes]
  uint64_t run = 0;   // whose call block U holds
};

class LoadedProgram {
 public:
  // Throws Error: ERR_OPTION for malformed words, leaves, or sizes that differ from the header's; ERR_DEVICE without memory.
  // `primalRows`: rows of the state that a reverse program reads. Without `data` there is no D of its own: a reverse program reads its forward program's.
  LoadedProgram(std::shared_ptr<Engine> engine, std::vector<int32_t> words, std::span<const uint32_t> constants,
                std::optional<std::span<const HostView>> data, std::vector<StateLeaf> leaves, int64_t primalRows = 0);
  ~LoadedProgram();
  LoadedProgram(const LoadedProgram&) = delete;
  LoadedProgram& operator=(const LoadedProgram&) = delete;

  // Replaces the D space. Runs hold the data they began with. Call from the thread that starts runs.
  void setData(std::span<const HostView> data);
  std::shared_ptr<const Buffer> data() const { return data_; }

  const ProgramHeader& header() const { return header_; }
  const std::vector<StateLeaf>& leaves() const { return leaves_; }
  const std::shared_ptr<Engine>& engine() const { return engine_; }
  const uint32_t* constants() const { return constants_.as<uint32_t>(); }
  // 32-bit words from one tile of a state to the next.
  size_t tileWords() const { return tileWords_; }
  // Bytes of one arena, and of constants and data together.
  size_t arenaBytes() const { return arenaBytes_; }
  size_t residentBytes() const { return constants_.bytes() + (data_ ? data_->bytes() : 0); }

  // The arena of pool thread `thread`; to be called by that thread only.
  Arena& arena(unsigned thread) const;
  void run(int block, TileContext& context) const {
    if (prepared_[block]) engine_->table.run(prepared_[block], context);
  }

 private:
  const std::shared_ptr<Engine> engine_;
  const std::vector<int32_t> words_;
  ProgramHeader header_;
  std::vector<StateLeaf> leaves_;
  Buffer constants_;
  std::shared_ptr<const Buffer> data_;
  void* prepared_[kBlocks] = {};
  size_t scratchBytes_ = 0, tileWords_ = 0, arenaBytes_ = 0;
  mutable std::vector<std::unique_ptr<Arena>> arenas_;
  Counted counted_{counters().programs};
};

}  // namespace unrolled
