#include "tile_run.h"

#include <atomic>
#include <cstring>
#include <string>
#include <utility>

#include "error.h"

namespace unrolled {

namespace {

std::atomic<uint64_t> lastRun{0};

void expectLength(const char* what, size_t length, size_t expected) {
  if (length != expected) {
    throw Error(kOptionCode, std::string(what) + " has " + std::to_string(length) + " elements, expected " + std::to_string(expected));
  }
}

void checkRequest(const State& state, const RunRequest& request) {
  const ProgramHeader& header = state.program()->header();
  if (request.steps < 1 || request.steps > INT32_MAX) throw Error(kOptionCode, "steps must lie in 1..2147483647");
  if (request.antithetic && state.particles() % 2 != 0) {
    throw Error(kOptionCode, "an antithetic run needs an even number of particles, the state has " + std::to_string(state.particles()));
  }
  const size_t elements = static_cast<size_t>(header.thetaElements), particles = state.particles();
  const Theta& theta = request.theta;
  switch (theta.kind) {
    case ThetaKind::kShared: expectLength("theta", theta.values.size(), elements); break;
    case ThetaKind::kPerParticle: expectLength("theta", theta.values.size(), elements * particles); break;
    case ThetaKind::kPerturbed:
      expectLength("the mean of theta", theta.values.size(), elements);
      expectLength("sigma", theta.sigma.size(), elements);
      if (!theta.noise.steps.empty()) {
        expectLength("noiseStep", theta.noise.steps.size(), request.antithetic ? particles / 2 : particles);
      }
      break;
  }
  if (request.metrics.size() != header.metrics.size()) throw Error(kOptionCode, "one output for each metric is needed");
  if (header.horizon == 0) {
    const uint32_t longest = *std::max_element(state.t(), state.t() + state.tiles() * state.lanes());
    if (longest > static_cast<uint32_t>(INT32_MAX) - request.steps) throw Error(kOptionCode, "t would pass 2^31 - 1: start new episodes");
  }
}

// Where a step leaves one scalar.
struct Scalar {
  const float* row;
  bool uniform;
};

Scalar locate(const Operand& operand, const TileContext& context) {
  const bool uniform = operand.space != kVarying && operand.space != kState;
  const size_t stride = uniform ? 1 : static_cast<size_t>(context.lanes);
  return {reinterpret_cast<const float*>(context.space[operand.space]) + static_cast<size_t>(operand.offset) * stride, uniform};
}

void copyScalar(const Scalar& scalar, float* out, size_t count) {
  if (scalar.uniform) {
    std::fill_n(out, count, *scalar.row);
  } else {
    std::memcpy(out, scalar.row, count * sizeof(float));
  }
}

}  // namespace

void fillTheta(const TileRun::Shared& shared, const LoadedProgram& program, float* rows, uint32_t particle0) {
  const ProgramHeader& header = program.header();
  const size_t lanes = static_cast<size_t>(header.lanes), elements = static_cast<size_t>(header.thetaElements);
  const Theta& theta = shared.request.theta;
  switch (theta.kind) {
    case ThetaKind::kShared:
      for (size_t j = 0; j < elements; ++j) std::fill_n(rows + j * lanes, lanes, theta.values[j]);
      break;
    case ThetaKind::kPerParticle:
      for (size_t lane = 0; lane < lanes; ++lane) {
        const size_t particle = std::min<size_t>(particle0 + lane, shared.state->particles() - 1);
        const float* const in = theta.values.data() + particle * elements;
        for (size_t j = 0; j < elements; ++j) rows[j * lanes + lane] = in[j];
      }
      break;
    case ThetaKind::kPerturbed: {
      const NoiseKey& key = theta.noise;
      const NoiseSource noise{key.key0, key.key1, kNoiseStream, 0, key.step, key.steps.empty() ? nullptr : key.steps.data()};
      program.engine()->table.perturb(rows, header.lanes, header.thetaElements, theta.values.data(), theta.sigma.data(), noise,
                                      particle0, shared.state->particles(), shared.pairs);
      break;
    }
  }
}

TileRun::Shared TileRun::share(std::shared_ptr<State> state, RunRequest request) {
  checkRequest(*state, request);
  Shared shared;
  shared.program = state->program();
  shared.data = shared.program->data();
  shared.pairs = request.antithetic ? state->particles() / 2 : 0;
  shared.id = ++lastRun;
  // Padding lanes of the last tile look their noise step up too.
  std::vector<uint32_t>& steps = request.theta.noise.steps;
  if (!steps.empty()) steps.resize(state->tiles() * state->lanes(), steps.back());
  shared.request = std::move(request);
  shared.state = std::move(state);
  return shared;
}

TileRun::TileRun(const Shared& shared, size_t index, unsigned thread)
    : shared_(shared), program_(*shared.program), arena_(program_.arena(thread)), index_(index),
      lanes_(static_cast<size_t>(program_.header().lanes)), first_(index * lanes_),
      used_(std::min(lanes_, shared.state->particles() - first_)), thread_(thread),
      // Constants and data are never written: validated.
      spaces_{arena_.varying, arena_.uniform, const_cast<uint32_t*>(program_.constants()), shared.data->as<uint32_t>(),
              shared.state->tile(index), nullptr} {
  const ProgramHeader& header = program_.header();
  context_.space = spaces_;
  context_.lanes = header.lanes;
  context_.key0 = shared.request.key0;
  context_.key1 = shared.request.key1;
  context_.step = shared.request.firstStep;
  context_.particle0 = static_cast<uint32_t>(first_);
  context_.pairs = shared.pairs;
  context_.fresh = arena_.fresh;
  context_.scratch = arena_.scratch;

  if (arena_.run != shared.id) {
    arena_.run = 0;
    program_.run(kCallBlock, context_);
    arena_.run = shared.id;
  }
  if (header.thetaElements > 0) {
    fillTheta(shared, program_, reinterpret_cast<float*>(arena_.varying + static_cast<size_t>(header.thetaRow) * lanes_), context_.particle0);
  }
  if (header.particleRow >= 0) {
    uint32_t* const row = arena_.varying + static_cast<size_t>(header.particleRow) * lanes_;
    for (size_t lane = 0; lane < lanes_; ++lane) row[lane] = static_cast<uint32_t>(first_ + lane);
  }
  program_.run(kTileBlock, context_);

  std::memcpy(arena_.base, shared.state->t() + first_, lanes_ * sizeof(uint32_t));
  std::memcpy(arena_.fresh, shared.state->fresh() + first_, lanes_ * sizeof(int32_t));
  std::fill_n(arena_.ended, lanes_, 0);
  std::fill_n(arena_.firstSteps, lanes_, static_cast<int32_t>(shared.request.steps));
  std::fill_n(arena_.sums, (2 + header.metrics.size()) * lanes_, 0.0);
  findFresh();
  end_ = nextEnd();
}

void TileRun::findFresh() {
  anyFresh_ = false;
  context_.allFresh = true;
  for (size_t lane = 0; lane < lanes_; ++lane) {
    anyFresh_ |= arena_.fresh[lane] != 0;
    context_.allFresh &= arena_.fresh[lane] != 0;
  }
}

uint64_t TileRun::nextEnd() const {
  const uint32_t horizon = static_cast<uint32_t>(program_.header().horizon);
  uint64_t next = UINT64_MAX;
  if (horizon == 0) return next;
  for (size_t lane = 0; lane < lanes_; ++lane) next = std::min<uint64_t>(next, horizon - arena_.base[lane]);
  return next;
}

void TileRun::writeT(uint32_t* row) const {
  for (size_t lane = 0; lane < lanes_; ++lane) row[lane] = arena_.base[lane] + k_;
}

void TileRun::begin() {
  context_.step = shared_.request.firstStep + k_;
  if (!anyFresh_) return;
  program_.run(kInitBlock, context_);
  std::fill_n(arena_.fresh, lanes_, 0);
  anyFresh_ = false;
}

// Time within the episode is kept as t = base + k, so that a step costs nothing until some lane's episode ends.
bool TileRun::advance(Job& job, uint32_t steps, bool records) {
  const ProgramHeader& header = program_.header();
  const uint32_t horizon = static_cast<uint32_t>(header.horizon), stop = k_ + steps;
  while (k_ < stop) {
    if (job.cancelled()) return false;
    if (header.tRow >= 0) writeT(arena_.varying + static_cast<size_t>(header.tRow) * lanes_);
    begin();
    program_.run(kStepBlock, context_);
    if (records) record(k_ + 1 == shared_.request.steps);

    const uint32_t done = ++k_;
    if (done == end_) {
      allEnded_ = context_.allFresh = true;
      for (size_t lane = 0; lane < lanes_; ++lane) {
        if (arena_.base[lane] + done == horizon) {
          arena_.base[lane] = 0u - done;
          arena_.fresh[lane] = -1;
          if (records && !arena_.ended[lane]) arena_.firstSteps[lane] = static_cast<int32_t>(done);
          if (records) arena_.ended[lane] = -1;
        }
        allEnded_ &= arena_.ended[lane] != 0;
        context_.allFresh &= arena_.fresh[lane] != 0;
      }
      anyFresh_ = anyEnded_ = true;
      end_ = nextEnd();
    }
    job.advance(thread_, used_);
  }
  return true;
}

void TileRun::record(bool lastStep) {
  const ProgramHeader& header = program_.header();
  const CpuTable& table = program_.engine()->table;
  const RunRequest& request = shared_.request;
  const size_t particles = shared_.state->particles();
  double* const before = arena_.sums;
  double* const after = arena_.sums + lanes_;
  const Scalar loss = locate(header.loss, context_);
  if (!anyEnded_) {
    table.accumulate(loss.row, loss.uniform, header.lanes, before, nullptr);
  } else if (allEnded_) {
    table.accumulate(loss.row, loss.uniform, header.lanes, after, nullptr);
  } else {
    for (size_t lane = 0; lane < lanes_; ++lane) {
      double& sum = arena_.ended[lane] ? after[lane] : before[lane];
      sum += static_cast<double>(loss.row[loss.uniform ? 0 : lane]);
    }
  }
  if (request.losses) copyScalar(loss, request.losses + size_t{k_} * particles + first_, used_);
  for (size_t i = 0; i < header.metrics.size(); ++i) {
    const Scalar metric = locate(header.metrics[i], context_);
    table.accumulate(metric.row, metric.uniform, header.lanes, arena_.sums + (2 + i) * lanes_, lastStep ? arena_.last + i * lanes_ : nullptr);
    if (request.metrics[i].perStep) copyScalar(metric, request.metrics[i].perStep + size_t{k_} * particles + first_, used_);
  }
}

void TileRun::finish() {
  const RunRequest& request = shared_.request;
  State& state = *shared_.state;
  const size_t particles = state.particles();
  for (size_t lane = 0; lane < lanes_; ++lane) state.t()[first_ + lane] = arena_.base[lane] + k_;
  std::memcpy(state.fresh() + first_, arena_.fresh, lanes_ * sizeof(int32_t));
  std::memcpy(request.lossSums + first_, arena_.sums, used_ * sizeof(double));
  std::memcpy(request.lossSums + particles + first_, arena_.sums + lanes_, used_ * sizeof(double));
  std::memcpy(request.firstSteps + first_, arena_.firstSteps, used_ * sizeof(int32_t));
  for (size_t i = 0; i < request.metrics.size(); ++i) {
    std::memcpy(request.metrics[i].sums + first_, arena_.sums + (2 + i) * lanes_, used_ * sizeof(double));
    std::memcpy(request.metrics[i].last + first_, arena_.last + i * lanes_, used_ * sizeof(float));
  }
}

size_t TileRun::savedWords() const { return program_.tileWords() + 2 * lanes_; }

void TileRun::save(uint32_t* to) const {
  std::memcpy(to, spaces_[kState], program_.tileWords() * 4);
  std::memcpy(to + program_.tileWords(), arena_.base, lanes_ * 4);
  std::memcpy(to + program_.tileWords() + lanes_, arena_.fresh, lanes_ * 4);
}

void TileRun::restore(const uint32_t* from, uint32_t step) {
  std::memcpy(spaces_[kState], from, program_.tileWords() * 4);
  std::memcpy(arena_.base, from + program_.tileWords(), lanes_ * 4);
  std::memcpy(arena_.fresh, from + program_.tileWords() + lanes_, lanes_ * 4);
  k_ = step;
  findFresh();
  end_ = nextEnd();
}

}  // namespace unrolled
