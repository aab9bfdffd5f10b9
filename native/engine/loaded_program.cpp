#include "loaded_program.h"

#include <cstring>
#include <string>

#include "error.h"

namespace unrolled {

namespace {

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Hands out consecutive 64-byte aligned parts of one buffer; with a null start it only adds up their sizes.
struct Carver {
  std::byte* start;
  size_t used = 0;
  template <typename T>
  T* part(size_t a, size_t b = 1) {
    T* const here = start ? reinterpret_cast<T*>(start + used) : nullptr;
    used = allocationSize(1, used + aligned(allocationSize(a, b, sizeof(T))));
    return here;
  }
};

size_t carve(Arena& arena, std::byte* start, const ProgramHeader& header, size_t scratchBytes) {
  const size_t lanes = static_cast<size_t>(header.lanes), metrics = header.metrics.size();
  Carver carver{start};
  arena.varying = carver.part<uint32_t>(static_cast<size_t>(header.rowsV), lanes);
  arena.uniform = carver.part<uint32_t>(static_cast<size_t>(header.wordsU));
  arena.scratch = carver.part<std::byte>(scratchBytes);
  arena.sums = carver.part<double>(2 + metrics, lanes);
  arena.last = carver.part<float>(metrics, lanes);
  arena.base = carver.part<uint32_t>(lanes);
  arena.fresh = carver.part<int32_t>(lanes);
  arena.ended = carver.part<int32_t>(lanes);
  arena.firstSteps = carver.part<int32_t>(lanes);
  return carver.used;
}

}  // namespace

LoadedProgram::LoadedProgram(std::shared_ptr<Engine> engine, std::vector<int32_t> words, std::span<const uint32_t> constants,
                             std::optional<std::span<const HostView>> data, std::vector<StateLeaf> leaves, int64_t primalRows)
    : engine_(std::move(engine)), words_(std::move(words)), header_(validateProgram(words_.data(), words_.size(), primalRows)),
      leaves_(std::move(leaves)) {
  if (static_cast<int64_t>(constants.size()) != header_.wordsC) {
    throw Error(kOptionCode, "constants: " + std::to_string(constants.size()) + " words, the program has " + std::to_string(header_.wordsC));
  }
  for (const StateLeaf& leaf : leaves_) {
    if (leaf.firstRow < 0 || leaf.elements < 0 || int64_t{leaf.firstRow} + leaf.elements > header_.rowsS) {
      throw Error(kOptionCode, "a leaf lies outside the state's " + std::to_string(header_.rowsS) + " rows");
    }
  }
  constants_ = Buffer(constants.size_bytes(), counters().programBytes);
  if (!constants.empty()) std::memcpy(constants_.as<void>(), constants.data(), constants.size_bytes());
  if (data) setData(*data);
  const size_t lanes = static_cast<size_t>(header_.lanes);
  tileWords_ = aligned(allocationSize(static_cast<size_t>(header_.rowsS), lanes, 4)) / 4;
  try {
    for (int block = 0; block < kBlocks; ++block) {
      const BlockRange range = header_.blocks[block];
      if (range.count == 0) continue;
      prepared_[block] = engine_->table.prepare(words_.data() + range.first, range.count, header_.lanes, &scratchBytes_);
    }
    Arena sizes{};
    arenaBytes_ = carve(sizes, nullptr, header_, scratchBytes_);
    arenas_.resize(engine_->pool->threads());
  } catch (...) {
    for (void* prepared : prepared_) {
      if (prepared) engine_->table.release(prepared);
    }
    throw;
  }
}

LoadedProgram::~LoadedProgram() {
  for (void* prepared : prepared_) {
    if (prepared) engine_->table.release(prepared);
  }
}

void LoadedProgram::setData(std::span<const HostView> data) {
  size_t total = 0;
  for (const HostView& view : data) total += view.elements;
  if (static_cast<int64_t>(total) != header_.wordsD) {
    throw Error(kOptionCode, "data: " + std::to_string(total) + " elements, the program has " + std::to_string(header_.wordsD));
  }
  auto fresh = std::make_shared<Buffer>(total * 4, counters().programBytes);
  uint32_t* out = fresh->as<uint32_t>();
  for (const HostView& view : data) {
    if (view.isBytes) {
      const uint8_t* bytes = static_cast<const uint8_t*>(view.data);
      for (size_t i = 0; i < view.elements; ++i) out[i] = bytes[i] != 0;
    } else if (view.elements > 0) {
      std::memcpy(out, view.data, view.elements * 4);
    }
    out += view.elements;
  }
  data_ = std::move(fresh);
}

Arena& LoadedProgram::arena(unsigned thread) const {
  std::unique_ptr<Arena>& slot = arenas_[thread];
  if (!slot) {
    auto arena = std::make_unique<Arena>();
    arena->memory = Buffer(arenaBytes_, counters().arenaBytes);
    carve(*arena, arena->memory.as<std::byte>(), header_, scratchBytes_);
    slot = std::move(arena);
  }
  return *slot;
}

}  // namespace unrolled
