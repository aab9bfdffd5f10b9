#include "state.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "error.h"

namespace unrolled {

namespace {

size_t tilesFor(const LoadedProgram& program, uint32_t particles) {
  constexpr uint32_t limit = INT32_MAX - kMaxLanes;  // particle indices of padding lanes stay below 2^31
  if (particles < 1 || particles > limit) {
    throw Error(kOptionCode, "particles is " + std::to_string(particles) + ", expected 1.." + std::to_string(limit));
  }
  const size_t lanes = static_cast<size_t>(program.header().lanes);
  return (particles + lanes - 1) / lanes;
}

}  // namespace

State::State(std::shared_ptr<const LoadedProgram> program, uint32_t particles, std::span<const int32_t> t)
    : program_(std::move(program)), particles_(particles), tiles_(tilesFor(*program_, particles)) {
  memory_ = Buffer(allocationSize(tiles_, program_->tileWords(), 4), counters().stateBytes);
  clocks_ = Buffer(allocationSize(tiles_, lanes(), 8), counters().stateBytes);
  setClocks(t, {});
}

void State::setClocks(std::span<const int32_t> t, std::span<const uint8_t> fresh) {
  if ((!t.empty() && t.size() != particles_) || (!fresh.empty() && fresh.size() != particles_)) {
    throw Error(kOptionCode, "t and fresh must have one element for each of the " + std::to_string(particles_) + " particles");
  }
  const int32_t horizon = program_->header().horizon;
  for (size_t i = 0; i < t.size(); ++i) {
    if (t[i] < 0 || (horizon > 0 && t[i] >= horizon)) {
      throw Error(kOptionCode, "t[" + std::to_string(i) + "] is " + std::to_string(t[i]) + ", expected 0.." +
                                   (horizon > 0 ? std::to_string(horizon - 1) : "2147483647"));
    }
  }
  uint32_t* const times = this->t();
  int32_t* const flags = this->fresh();
  for (size_t i = 0; i < tiles_ * lanes(); ++i) {
    const size_t particle = std::min<size_t>(i, particles_ - 1);
    times[i] = t.empty() ? 0u : static_cast<uint32_t>(t[particle]);
    flags[i] = fresh.empty() || fresh[particle] ? -1 : 0;
  }
}

void State::checkUsable() const {
  if (partial_) {
    throw Error(kDeviceCode, "this state was left partly advanced by a run that did not end: import a snapshot or create a new state");
  }
}

void State::beginRun() {
  checkUsable();
  if (busy()) throw Error(kBusyCode, "the state is in use: wait for its run, export or gather to end");
  running_ = true;
}

void State::endRun(bool complete) {
  running_ = false;
  if (!complete) partial_ = true;
}

void State::beginRead() {
  checkUsable();
  if (running_) throw Error(kBusyCode, "the state is in a run: wait for it to end");
  ++readers_;
}

std::shared_ptr<Job> importJob(std::shared_ptr<State> state, std::vector<const void*> leaves) {
  const size_t tiles = state->tiles();
  return std::make_shared<Job>(tiles, [state = std::move(state), leaves = std::move(leaves)](Job&, size_t tile, unsigned) {
    const LoadedProgram& program = *state->program();
    const size_t lanes = state->lanes(), first = tile * lanes, last = state->particles() - 1;
    for (size_t i = 0; i < leaves.size(); ++i) {
      const StateLeaf leaf = program.leaves()[i];
      const size_t elements = static_cast<size_t>(leaf.elements);
      uint32_t* const rows = state->tile(tile) + static_cast<size_t>(leaf.firstRow) * lanes;
      // Blocks of 16 elements: a cache line of each particle is used up before the next is fetched.
      for (size_t block = 0; block < elements; block += 16) {
        const size_t stop = std::min(block + 16, elements);
        for (size_t lane = 0; lane < lanes; ++lane) {
          const size_t source = std::min(first + lane, last) * elements;
          if (leaf.isBool) {
            const uint8_t* const in = static_cast<const uint8_t*>(leaves[i]) + source;
            for (size_t e = block; e < stop; ++e) rows[e * lanes + lane] = in[e] != 0;
          } else {
            const uint32_t* const in = static_cast<const uint32_t*>(leaves[i]) + source;
            for (size_t e = block; e < stop; ++e) rows[e * lanes + lane] = in[e];
          }
        }
      }
    }
  });
}

std::shared_ptr<Job> exportJob(std::shared_ptr<State> state, std::vector<void*> leaves, int32_t* t, uint8_t* fresh) {
  const size_t tiles = state->tiles();
  return std::make_shared<Job>(tiles, [state = std::move(state), leaves = std::move(leaves), t, fresh](Job&, size_t tile, unsigned) {
    const LoadedProgram& program = *state->program();
    const size_t lanes = state->lanes(), first = tile * lanes;
    const size_t used = std::min<size_t>(lanes, state->particles() - first);
    for (size_t i = 0; i < leaves.size(); ++i) {
      const StateLeaf leaf = program.leaves()[i];
      const size_t elements = static_cast<size_t>(leaf.elements);
      const uint32_t* const rows = state->tile(tile) + static_cast<size_t>(leaf.firstRow) * lanes;
      for (size_t block = 0; block < elements; block += 16) {
        const size_t stop = std::min(block + 16, elements);
        for (size_t lane = 0; lane < used; ++lane) {
          const size_t target = (first + lane) * elements;
          if (leaf.isBool) {
            uint8_t* const out = static_cast<uint8_t*>(leaves[i]) + target;
            for (size_t e = block; e < stop; ++e) out[e] = rows[e * lanes + lane] != 0;
          } else {
            uint32_t* const out = static_cast<uint32_t*>(leaves[i]) + target;
            for (size_t e = block; e < stop; ++e) out[e] = rows[e * lanes + lane];
          }
        }
      }
    }
    for (size_t lane = 0; lane < used; ++lane) {
      t[first + lane] = static_cast<int32_t>(state->t()[first + lane]);
      fresh[first + lane] = state->fresh()[first + lane] != 0;
    }
  });
}

std::shared_ptr<Job> gatherJob(std::shared_ptr<State> source, std::shared_ptr<State> target, std::vector<int32_t> ancestors) {
  for (size_t i = 0; i < ancestors.size(); ++i) {
    if (ancestors[i] < 0 || static_cast<uint32_t>(ancestors[i]) >= source->particles()) {
      throw Error(kOptionCode, "ancestors[" + std::to_string(i) + "] is " + std::to_string(ancestors[i]) + ", expected 0.." +
                                   std::to_string(source->particles() - 1));
    }
  }
  const size_t tiles = target->tiles();
  return std::make_shared<Job>(
      tiles, [source = std::move(source), target = std::move(target), ancestors = std::move(ancestors)](Job&, size_t tile, unsigned) {
        const LoadedProgram& program = *target->program();
        const size_t lanes = target->lanes(), first = tile * lanes;
        const size_t rows = static_cast<size_t>(program.header().rowsS);
        uint32_t* const out = target->tile(tile);
        std::vector<const uint32_t*> column(lanes);
        for (size_t lane = 0; lane < lanes; ++lane) {
          const size_t particle = static_cast<size_t>(ancestors[std::min(first + lane, ancestors.size() - 1)]);
          column[lane] = source->tile(particle / lanes) + particle % lanes;
          target->t()[first + lane] = source->t()[particle];
          target->fresh()[first + lane] = source->fresh()[particle];
        }
        for (size_t row = 0; row < rows; ++row) {
          for (size_t lane = 0; lane < lanes; ++lane) out[row * lanes + lane] = column[lane][row * lanes];
        }
      });
}

}  // namespace unrolled
