#include "run.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <utility>

#include "error.h"

namespace unrolled {

namespace {

std::atomic<uint64_t> lastRun{0};

struct Run {
  std::shared_ptr<State> state;
  std::shared_ptr<const LoadedProgram> program;
  std::shared_ptr<const Buffer> data;
  RunRequest request;
  uint64_t id;
  uint32_t pairs;  // 0 without antithetic pairs

  void tile(Job& job, size_t index, unsigned thread) const;
  void fillTheta(float* rows, uint32_t particle0) const;
};

void Run::fillTheta(float* rows, uint32_t particle0) const {
  const ProgramHeader& header = program->header();
  const size_t lanes = static_cast<size_t>(header.lanes), elements = static_cast<size_t>(header.thetaElements);
  const Theta& theta = request.theta;
  switch (theta.kind) {
    case ThetaKind::kShared:
      for (size_t j = 0; j < elements; ++j) std::fill_n(rows + j * lanes, lanes, theta.values[j]);
      break;
    case ThetaKind::kPerParticle:
      for (size_t lane = 0; lane < lanes; ++lane) {
        const size_t particle = std::min<size_t>(particle0 + lane, state->particles() - 1);
        const float* const in = theta.values.data() + particle * elements;
        for (size_t j = 0; j < elements; ++j) rows[j * lanes + lane] = in[j];
      }
      break;
    case ThetaKind::kPerturbed: {
      const NoiseKey& key = theta.noise;
      const NoiseSource noise{key.key0, key.key1, kNoiseStream, 0, key.step, key.steps.empty() ? nullptr : key.steps.data()};
      program->engine()->table.perturb(rows, header.lanes, header.thetaElements, theta.values.data(), theta.sigma.data(), noise,
                                       particle0, state->particles(), pairs);
      break;
    }
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

void record(const Scalar& scalar, float* out, size_t count) {
  if (scalar.uniform) {
    std::fill_n(out, count, *scalar.row);
  } else {
    std::memcpy(out, scalar.row, count * sizeof(float));
  }
}

// Time within the episode is kept as t = base + k, so that a step costs nothing until some lane's episode ends.
void Run::tile(Job& job, size_t index, unsigned thread) const {
  if (job.cancelled()) return;
  const ProgramHeader& header = program->header();
  const CpuTable& table = program->engine()->table;
  const size_t lanes = static_cast<size_t>(header.lanes), first = index * lanes;
  const size_t particles = state->particles(), used = std::min(lanes, particles - first);
  Arena& arena = program->arena(thread);

  // Constants and data are never written: validated.
  uint32_t* const spaces[kExternal] = {arena.varying, arena.uniform, const_cast<uint32_t*>(program->constants()), data->as<uint32_t>(),
                                       state->tile(index), nullptr};
  TileContext context{};
  context.space = spaces;
  context.lanes = header.lanes;
  context.key0 = request.key0;
  context.key1 = request.key1;
  context.step = request.firstStep;
  context.particle0 = static_cast<uint32_t>(first);
  context.pairs = pairs;
  context.fresh = arena.fresh;
  context.scratch = arena.scratch;

  if (arena.run != id) {
    arena.run = 0;
    program->run(kCallBlock, context);
    arena.run = id;
  }
  if (header.thetaElements > 0) {
    fillTheta(reinterpret_cast<float*>(arena.varying + static_cast<size_t>(header.thetaRow) * lanes), context.particle0);
  }
  if (header.particleRow >= 0) {
    uint32_t* const row = arena.varying + static_cast<size_t>(header.particleRow) * lanes;
    for (size_t lane = 0; lane < lanes; ++lane) row[lane] = static_cast<uint32_t>(first + lane);
  }
  program->run(kTileBlock, context);

  std::memcpy(arena.base, state->t() + first, lanes * sizeof(uint32_t));
  std::memcpy(arena.fresh, state->fresh() + first, lanes * sizeof(int32_t));
  std::fill_n(arena.ended, lanes, 0);
  std::fill_n(arena.firstSteps, lanes, static_cast<int32_t>(request.steps));
  const size_t metrics = header.metrics.size();
  std::fill_n(arena.sums, (2 + metrics) * lanes, 0.0);
  double* const before = arena.sums;
  double* const after = arena.sums + lanes;
  double* const metricSums = arena.sums + 2 * lanes;

  bool anyFresh = false, anyEnded = false, allEnded = false;
  context.allFresh = true;
  for (size_t lane = 0; lane < lanes; ++lane) {
    anyFresh |= arena.fresh[lane] != 0;
    context.allFresh &= arena.fresh[lane] != 0;
  }
  const uint32_t horizon = static_cast<uint32_t>(header.horizon);
  // Number of finished steps at which the next episode ends.
  const auto nextEnd = [&] {
    uint64_t next = UINT64_MAX;
    if (horizon == 0) return next;
    for (size_t lane = 0; lane < lanes; ++lane) next = std::min<uint64_t>(next, horizon - arena.base[lane]);
    return next;
  };
  uint64_t end = nextEnd();

  for (uint32_t k = 0; k < request.steps; ++k) {
    if (job.cancelled()) return;
    context.step = request.firstStep + k;
    if (header.tRow >= 0) {
      uint32_t* const row = arena.varying + static_cast<size_t>(header.tRow) * lanes;
      for (size_t lane = 0; lane < lanes; ++lane) row[lane] = arena.base[lane] + k;
    }
    if (anyFresh) {
      program->run(kInitBlock, context);
      std::fill_n(arena.fresh, lanes, 0);
      anyFresh = false;
    }
    program->run(kStepBlock, context);

    const bool lastStep = k + 1 == request.steps;
    const Scalar loss = locate(header.loss, context);
    if (!anyEnded) {
      table.accumulate(loss.row, loss.uniform, header.lanes, before, nullptr);
    } else if (allEnded) {
      table.accumulate(loss.row, loss.uniform, header.lanes, after, nullptr);
    } else {
      for (size_t lane = 0; lane < lanes; ++lane) {
        double& sum = arena.ended[lane] ? after[lane] : before[lane];
        sum += static_cast<double>(loss.row[loss.uniform ? 0 : lane]);
      }
    }
    if (request.losses) record(loss, request.losses + size_t{k} * particles + first, used);
    for (size_t i = 0; i < metrics; ++i) {
      const Scalar metric = locate(header.metrics[i], context);
      float* const last = lastStep ? arena.last + i * lanes : nullptr;
      table.accumulate(metric.row, metric.uniform, header.lanes, metricSums + i * lanes, last);
      if (request.metrics[i].perStep) record(metric, request.metrics[i].perStep + size_t{k} * particles + first, used);
    }

    const uint32_t done = k + 1;
    if (done == end) {
      allEnded = context.allFresh = true;
      for (size_t lane = 0; lane < lanes; ++lane) {
        if (arena.base[lane] + done == horizon) {
          arena.base[lane] = 0u - done;
          arena.fresh[lane] = -1;
          if (!arena.ended[lane]) arena.firstSteps[lane] = static_cast<int32_t>(done);
          arena.ended[lane] = -1;
        }
        allEnded &= arena.ended[lane] != 0;
        context.allFresh &= arena.fresh[lane] != 0;
      }
      anyFresh = anyEnded = true;
      end = nextEnd();
    }
    job.advance(thread, used);
  }

  for (size_t lane = 0; lane < lanes; ++lane) state->t()[first + lane] = arena.base[lane] + request.steps;
  std::memcpy(state->fresh() + first, arena.fresh, lanes * sizeof(int32_t));
  std::memcpy(request.lossSums + first, before, used * sizeof(double));
  std::memcpy(request.lossSums + particles + first, after, used * sizeof(double));
  std::memcpy(request.firstSteps + first, arena.firstSteps, used * sizeof(int32_t));
  for (size_t i = 0; i < metrics; ++i) {
    std::memcpy(request.metrics[i].sums + first, metricSums + i * lanes, used * sizeof(double));
    std::memcpy(request.metrics[i].last + first, arena.last + i * lanes, used * sizeof(float));
  }
}

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

}  // namespace

std::shared_ptr<Job> runJob(std::shared_ptr<State> state, RunRequest request) {
  checkRequest(*state, request);
  auto run = std::make_shared<Run>();
  run->program = state->program();
  run->data = run->program->data();
  run->pairs = request.antithetic ? state->particles() / 2 : 0;
  run->id = ++lastRun;
  const size_t tiles = state->tiles();
  // Padding lanes of the last tile look their noise step up too.
  std::vector<uint32_t>& steps = request.theta.noise.steps;
  if (!steps.empty()) steps.resize(tiles * state->lanes(), steps.back());
  run->request = std::move(request);
  run->state = std::move(state);
  return std::make_shared<Job>(tiles, [run = std::move(run)](Job& job, size_t tile, unsigned thread) { run->tile(job, tile, thread); });
}

}  // namespace unrolled
