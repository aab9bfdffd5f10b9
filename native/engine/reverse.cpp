#include "reverse.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "error.h"
#include "tile_run.h"

namespace unrolled {

namespace {

[[noreturn]] void refuse(const std::string& what) { throw Error(kOptionCode, "malformed sweep: " + what); }

// Follows the actions on numbers alone: afterwards running them needs no checks.
void checkActions(const std::vector<int32_t>& actions, uint32_t slots, uint32_t steps) {
  if (actions.size() % 2 != 0) refuse("an odd number of words");
  std::vector<int64_t> kept(slots, -1);
  int64_t present = 0, left = steps, seen = 0;
  for (size_t i = 0; i < actions.size(); i += 2) {
    const int32_t argument = actions[i + 1];
    const auto slot = [&] {
      if (argument < 0 || static_cast<uint32_t>(argument) >= slots) refuse("slot " + std::to_string(argument) + " of " + std::to_string(slots));
      return static_cast<size_t>(argument);
    };
    switch (static_cast<SweepAction>(actions[i])) {
      case SweepAction::kKeep: kept[slot()] = present; break;
      case SweepAction::kAdvance:
        if (argument < 1 || present + argument > steps) refuse("an advance beyond the last step");
        if (present < seen && present + argument > seen) refuse("an advance over known and new steps at once");
        present += argument;
        seen = std::max(seen, present);
        break;
      case SweepAction::kRestore:
        present = kept[slot()];
        if (present < 0) refuse("a slot is restored that holds nothing");
        break;
      case SweepAction::kBack:
        if (present != left - 1) refuse("step " + std::to_string(left - 1) + " comes next, not " + std::to_string(present));
        if (seen < steps && seen != present) refuse("the last step is gone back through before the steps ahead of it are advanced");
        seen = steps;
        left--;
        break;
      default: refuse("action " + std::to_string(actions[i]));
    }
  }
  if (left != 0) refuse(std::to_string(left) + " steps were not gone back through");
}

// The memory of a thread's sweep, kept from tile to tile.
struct Sweep {
  Buffer slots;     // [slots][saved words]
  Buffer final;     // the state after the last step
  Buffer turn;      // the state before it
  Buffer backward;  // the transposed program's state
  Buffer primal;    // space P, where the program reads the next state too
  Buffer held;      // the state after the step that comes next on the way back
  std::vector<uint32_t> steps;  // what step each slot's state is at
  std::vector<int32_t> fresh;   // [lanes]
};

struct Reverse {
  std::shared_ptr<const ReverseProgram> program;
  TileRun::Shared shared;
  ReverseRequest request;
  // One for each thread of the pool.
  mutable std::vector<std::unique_ptr<Sweep>> sweeps;

  void tile(Job& job, size_t index, unsigned thread) const;
};

// The transposed program's view of a tile.
class BackwardTile {
 public:
  BackwardTile(const Reverse& reverse, TileRun& tile, Sweep& sweep, unsigned thread)
      : program_(reverse.program->backward()), tile_(tile), sweep_(sweep), arena_(program_.arena(thread)),
        rows_(reverse.program->forward()->tileWords()), readsNext_(reverse.program->readsNext()),
        spaces_{arena_.varying, arena_.uniform, const_cast<uint32_t*>(program_.constants()), tile.context().space[kData],
                sweep.backward.as<uint32_t>(), readsNext_ ? sweep.primal.as<uint32_t>() : tile.context().space[kState]} {
    const ProgramHeader& header = program_.header();
    const size_t lanes = static_cast<size_t>(header.lanes);
    context_ = tile.context();
    context_.space = spaces_;
    context_.scratch = arena_.scratch;
    context_.fresh = sweep.fresh.data();
    if (arena_.run != reverse.shared.id) {
      arena_.run = 0;
      program_.run(kCallBlock, context_);
      arena_.run = reverse.shared.id;
    }
    if (header.thetaElements > 0) {
      const ProgramHeader& forward = reverse.program->forward()->header();
      std::memcpy(arena_.varying + static_cast<size_t>(header.thetaRow) * lanes,
                  tile.arena().varying + static_cast<size_t>(forward.thetaRow) * lanes, static_cast<size_t>(header.thetaElements) * lanes * 4);
    }
    if (header.particleRow >= 0) {
      uint32_t* const row = arena_.varying + static_cast<size_t>(header.particleRow) * lanes;
      for (size_t lane = 0; lane < lanes; ++lane) row[lane] = static_cast<uint32_t>(tile.first() + lane);
    }
    program_.run(kTileBlock, context_);
  }

  // Makes the tile's present state the one after the step that is gone back through next.
  void holdNext() {
    if (readsNext_) std::memcpy(sweep_.held.as<uint32_t>(), tile_.context().space[kState], rows_ * 4);
  }

  // Back through the step that begins at the tile's present state.
  void back() {
    const ProgramHeader& header = program_.header();
    const size_t lanes = static_cast<size_t>(header.lanes);
    // An episode that begins here begins with init: the step reads what init made, and its cotangent goes to init.
    const bool begins = tile_.anyFresh();
    if (begins) {
      std::memcpy(sweep_.fresh.data(), tile_.arena().fresh, lanes * sizeof(int32_t));
      context_.allFresh = tile_.context().allFresh;
    }
    if (readsNext_) {
      // What lies after this step is what lay before the one gone back through last, before any episode began there.
      const size_t words = static_cast<size_t>(program_.header().rowsP) / 2 * lanes;
      std::memcpy(sweep_.primal.as<uint32_t>() + words, sweep_.held.as<uint32_t>(), words * 4);
      holdNext();
      tile_.begin();
      std::memcpy(sweep_.primal.as<uint32_t>(), tile_.context().space[kState], words * 4);
    } else {
      tile_.begin();
    }
    context_.step = tile_.context().step;
    context_.hold = tile_.step() > 0;
    if (header.tRow >= 0) tile_.writeT(arena_.varying + static_cast<size_t>(header.tRow) * lanes);
    program_.run(kStepBlock, context_);
    context_.waiting++;
    if (begins) program_.run(kInitBlock, context_);
  }

 private:
  const LoadedProgram& program_;
  TileRun& tile_;
  Sweep& sweep_;
  Arena& arena_;
  const size_t rows_;  // words of the forward state
  const bool readsNext_;
  uint32_t* spaces_[kExternal];
  TileContext context_{};
};

void Reverse::tile(Job& job, size_t index, unsigned thread) const {
  if (job.cancelled()) return;
  const LoadedProgram& backward = program->backward();
  const size_t lanes = static_cast<size_t>(backward.header().lanes), words = program->savedWords();
  TileRun tile(shared, index, thread);
  const size_t first = tile.first(), used = tile.used();

  std::unique_ptr<Sweep>& memory = sweeps[thread];
  if (!memory) {
    memory = std::make_unique<Sweep>();
    memory->slots = Buffer(allocationSize(request.slots, words, 4), counters().arenaBytes);
    memory->final = Buffer(allocationSize(1, words, 4), counters().arenaBytes);
    memory->turn = Buffer(allocationSize(1, words, 4), counters().arenaBytes);
    memory->backward = Buffer(allocationSize(1, backward.tileWords(), 4), counters().arenaBytes);
    if (program->readsNext()) {
      memory->primal = Buffer(allocationSize(static_cast<size_t>(backward.header().rowsP), lanes, 4), counters().arenaBytes);
      memory->held = Buffer(allocationSize(1, words, 4), counters().arenaBytes);
    }
    memory->steps.assign(request.slots, 0);
    memory->fresh.assign(lanes, 0);
  }
  Sweep& sweep = *memory;

  float* const rows = sweep.backward.as<float>();
  std::memset(rows, 0, backward.tileWords() * 4);
  for (size_t lane = 0; lane < lanes; ++lane) {
    const size_t particle = std::min(first + lane, first + used - 1);
    if (program->weightRow() >= 0) {
      rows[static_cast<size_t>(program->weightRow()) * lanes + lane] = request.lossWeights.empty() ? 1.0f : request.lossWeights[particle];
    }
    for (size_t i = 0; i < program->cotangents().size(); ++i) {
      const CotangentLeaf& leaf = program->cotangents()[i];
      const std::vector<float>& values = request.finalCotangents[i];
      if (values.empty()) continue;
      const size_t elements = static_cast<size_t>(leaf.elements);
      for (size_t j = 0; j < elements; ++j) rows[(static_cast<size_t>(leaf.firstRow) + j) * lanes + lane] = values[particle * elements + j];
    }
  }

  std::optional<BackwardTile> transposed;
  uint32_t seen = 0;
  for (size_t i = 0; i < request.actions.size(); i += 2) {
    const uint32_t argument = static_cast<uint32_t>(request.actions[i + 1]);
    switch (static_cast<SweepAction>(request.actions[i])) {
      case SweepAction::kKeep:
        tile.save(sweep.slots.as<uint32_t>() + argument * words);
        sweep.steps[argument] = tile.step();
        break;
      case SweepAction::kAdvance:
        if (!tile.advance(job, argument, tile.step() == seen)) return;
        seen = std::max(seen, tile.step());
        break;
      case SweepAction::kRestore: tile.restore(sweep.slots.as<uint32_t>() + argument * words, sweep.steps[argument]); break;
      case SweepAction::kBack:
        if (job.cancelled()) return;
        if (!transposed) transposed.emplace(*this, tile, sweep, thread);
        if (seen < shared.request.steps) {
          // The turning point: the last step is advanced once, for its loss and the final state.
          tile.save(sweep.turn.as<uint32_t>());
          if (!tile.advance(job, 1, true)) return;
          seen = tile.step();
          tile.save(sweep.final.as<uint32_t>());
          transposed->holdNext();
          tile.restore(sweep.turn.as<uint32_t>(), seen - 1);
        }
        transposed->back();
        break;
    }
  }
  tile.restore(sweep.final.as<uint32_t>(), shared.request.steps);
  tile.finish();

  const size_t elements = static_cast<size_t>(backward.header().thetaElements);
  for (size_t lane = 0; lane < used; ++lane) {
    float* const out = request.thetaGradients + (first + lane) * elements;
    const float* const in = rows + static_cast<size_t>(program->gradientRow()) * lanes + lane;
    for (size_t j = 0; j < elements; ++j) out[j] = in[j * lanes];
  }
  for (size_t i = 0; i < program->cotangents().size(); ++i) {
    const CotangentLeaf& leaf = program->cotangents()[i];
    const size_t count = static_cast<size_t>(leaf.elements);
    for (size_t lane = 0; lane < used; ++lane) {
      float* const out = request.stateGradients[i] + (first + lane) * count;
      const float* const in = rows + static_cast<size_t>(leaf.firstRow) * lanes + lane;
      for (size_t j = 0; j < count; ++j) out[j] = in[j * lanes];
    }
  }
}

}  // namespace

ReverseProgram::ReverseProgram(std::shared_ptr<const LoadedProgram> forward, std::vector<int32_t> words, std::span<const uint32_t> constants,
                               bool readsNext, int32_t gradientRow, int32_t weightRow, std::vector<CotangentLeaf> cotangents)
    : forward_(std::move(forward)),
      backward_(std::make_unique<LoadedProgram>(forward_->engine(), std::move(words), constants, std::nullopt, std::vector<StateLeaf>{},
                                                forward_->header().rowsS * (readsNext ? 2 : 1))),
      readsNext_(readsNext), gradientRow_(gradientRow), weightRow_(weightRow), cotangents_(std::move(cotangents)) {
  const ProgramHeader &ahead = forward_->header(), &back = backward_->header();
  if (back.lanes != ahead.lanes) throw Error(kOptionCode, "a reverse program needs the lanes of its forward program");
  if (back.thetaElements != ahead.thetaElements || back.wordsD != ahead.wordsD) {
    throw Error(kOptionCode, "a reverse program needs the theta and data of its forward program");
  }
  const auto check = [&](int64_t row, int64_t count) {
    if (row < 0 || count < 0 || row + count > back.rowsS) throw Error(kOptionCode, "rows of a reverse program lie outside its state");
  };
  check(gradientRow, back.thetaElements);
  if (weightRow != -1) check(weightRow, 1);
  for (const CotangentLeaf& leaf : cotangents_) check(leaf.firstRow, leaf.elements);
}

size_t ReverseProgram::savedWords() const { return forward_->tileWords() + 2 * static_cast<size_t>(forward_->header().lanes); }

size_t ReverseProgram::workingBytes() const {
  const size_t lanes = static_cast<size_t>(forward_->header().lanes);
  const size_t next = readsNext_ ? savedWords() + static_cast<size_t>(backward_->header().rowsP) * lanes : 0;
  return (2 * savedWords() + next + backward_->tileWords() + lanes) * 4 + backward_->arenaBytes();
}

std::shared_ptr<Job> reverseJob(std::shared_ptr<const ReverseProgram> program, std::shared_ptr<State> state, ReverseRequest request) {
  if (state->program() != program->forward()) throw Error(kOptionCode, "the state belongs to another program");
  const size_t particles = state->particles();
  auto reverse = std::make_shared<Reverse>();
  reverse->shared = TileRun::share(std::move(state), std::move(request.run));
  checkActions(request.actions, request.slots, reverse->shared.request.steps);
  const std::vector<CotangentLeaf>& leaves = program->cotangents();
  if (request.finalCotangents.size() != leaves.size() || request.stateGradients.size() != leaves.size()) {
    throw Error(kOptionCode, "one cotangent for each float32 leaf is needed");
  }
  for (size_t i = 0; i < leaves.size(); ++i) {
    const size_t length = request.finalCotangents[i].size();
    if (length != 0 && length != particles * static_cast<size_t>(leaves[i].elements)) {
      throw Error(kOptionCode, "a final cotangent has " + std::to_string(length) + " elements");
    }
  }
  if (!request.lossWeights.empty() && request.lossWeights.size() != particles) throw Error(kOptionCode, "lossWeights: one for each particle");
  reverse->program = std::move(program);
  reverse->request = std::move(request);
  reverse->sweeps.resize(reverse->program->forward()->engine()->pool->threads());
  const size_t tiles = reverse->shared.state->tiles();
  return std::make_shared<Job>(tiles,
                               [reverse = std::move(reverse)](Job& job, size_t index, unsigned thread) { reverse->tile(job, index, thread); });
}

}  // namespace unrolled
