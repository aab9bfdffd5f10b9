// The run loop, states and noise against a plain recomputation, one particle at a time.
#include "run.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <thread>

#include "test/check.h"
#include "noise.h"
#include "test/test_program.h"

using namespace unrolled;
using namespace unrolled::test;

namespace {

constexpr uint32_t kKey = 77, kNoiseKey = 5;

// init: x = theta0 * (particle + 1), c = 1.  step: x = x * theta1 + float(t) + r, r a draw; loss = x; metrics: a uniform one (a constant
// times a datum, made in the call block) and theta0 + particle (made in the tile block). `draw` 0: no draw.
Program recurrence(int32_t horizon, int32_t lanes, int32_t share) {
  Program p;
  p.lanes = lanes;
  p.rowsV = 10;
  p.wordsU = 2;
  p.wordsC = 2;
  p.wordsD = 2;
  p.rowsS = 2;
  p.thetaElements = 2;
  p.thetaRow = 1;
  p.tRow = 3;
  p.particleRow = 4;
  p.horizon = horizon;
  p.lossSpace = kState;
  p.lossOffset = 0;
  p.metrics = {kUniform, 0, kVarying, 6};
  p.blocks[kCallBlock] = scalarOp(0, kMulF, {{kConstant, 0}, {kData, 1}}, kUniform, 0);
  p.blocks[kTileBlock] = scalarOp(1, kIntToFloat, {{kVarying, 4}}, kVarying, 5) + scalarOp(1, kAddF, {{kVarying, 1}, {kVarying, 5}}, kVarying, 6);
  p.blocks[kInitBlock] = scalarOp(1, kAddF, {{kVarying, 5}, {kConstant, 1}}, kVarying, 7) +
                         scalarOp(1, kMulF, {{kVarying, 1}, {kVarying, 7}}, kVarying, 7) + instruction(kInitCopy, {0, kVarying, 7, kState, 0}) +
                         instruction(kInitCopy, {0, kConstant, 1, kState, 1});
  const int32_t drawMode = share == 0 ? 0 : 1, drawSpace = share == 0 ? kUniform : kVarying, drawOffset = share == 0 ? 1 : 8;
  p.blocks[kStepBlock] = instruction(kRandom, {drawMode, 1, share, 0, 9, 1, 0, bits(1), drawSpace, drawOffset}) +
                         scalarOp(1, kIntToFloat, {{kVarying, 3}}, kVarying, 9) +
                         scalarOp(1, kMulF, {{kState, 0}, {kVarying, 2}}, kState, 0) + scalarOp(1, kAddF, {{kState, 0}, {kVarying, 9}}, kState, 0) +
                         scalarOp(1, kAddF, {{kState, 0}, {drawSpace, drawOffset}}, kState, 0);
  return p;
}

struct Particle {
  float x = 0;
  uint32_t t = 0;
  bool fresh = true;
};

struct Expected {
  std::vector<double> first, second, metric;
  std::vector<int32_t> firstSteps;
  std::vector<float> losses;
};

float drawn(int share, uint32_t particle, uint32_t pairs, uint32_t step) {
  return hashed(kKey, share == 0 ? 0 : share == 1 && pairs ? particle % pairs : particle, step, 9);
}

// The same run, by the definition.
Expected advance(std::vector<Particle>& all, int32_t horizon, int share, uint32_t pairs, uint32_t steps, uint32_t firstStep,
                 const std::vector<float>& theta) {
  const size_t n = all.size();
  Expected e{std::vector<double>(n), std::vector<double>(n), std::vector<double>(n), std::vector<int32_t>(n, static_cast<int32_t>(steps)),
             std::vector<float>(n * steps)};
  for (size_t i = 0; i < n; ++i) {
    bool ended = false;
    const float theta0 = theta[2 * i], theta1 = theta[2 * i + 1];
    for (uint32_t k = 0; k < steps; ++k) {
      Particle& p = all[i];
      if (p.fresh) p.x = theta0 * (static_cast<float>(i) + 1.0f);
      p.fresh = false;
      p.x = p.x * theta1;
      p.x = p.x + static_cast<float>(p.t);
      p.x = p.x + drawn(share, static_cast<uint32_t>(i), pairs, firstStep + k);
      (ended ? e.second : e.first)[i] += static_cast<double>(p.x);
      e.losses[k * n + i] = p.x;
      e.metric[i] += static_cast<double>(theta0 + static_cast<float>(i));
      if (++p.t == static_cast<uint32_t>(horizon)) {
        p.t = 0;
        p.fresh = true;
        if (!ended) e.firstSteps[i] = static_cast<int32_t>(k + 1);
        ended = true;
      }
    }
  }
  return e;
}

struct Setup {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<LoadedProgram> program;
};

const std::vector<StateLeaf> kLeaves{{0, 1, false}, {1, 1, true}};

Setup load(const Program& program, unsigned threads) {
  const uint32_t constants[] = {static_cast<uint32_t>(bits(3)), static_cast<uint32_t>(bits(1))};
  const float number = 2;
  const uint8_t flag = 7;
  // Data: a bool byte (widened to 1) and a float.
  const HostView data[] = {{&flag, 1, true}, {&number, 1, false}};
  auto engine = std::make_shared<Engine>(slowTable(), threads);
  return {engine, std::make_shared<LoadedProgram>(engine, program.words(), constants, data, kLeaves)};
}

struct Got {
  std::vector<double> lossSums;
  std::vector<int32_t> firstSteps;
  std::vector<float> losses;
  std::vector<double> sums[2];
  std::vector<float> last[2], perStep[2];
};

Got run(const std::shared_ptr<State>& state, RunRequest request, bool perStep = true) {
  const size_t n = state->particles();
  Got got;
  got.lossSums.resize(2 * n);
  got.firstSteps.resize(n);
  got.losses.resize(perStep ? n * request.steps : 0);
  request.lossSums = got.lossSums.data();
  request.firstSteps = got.firstSteps.data();
  request.losses = perStep ? got.losses.data() : nullptr;
  for (int m = 0; m < 2; ++m) {
    got.sums[m].resize(n);
    got.last[m].resize(n);
    got.perStep[m].resize(perStep ? n * request.steps : 0);
    request.metrics.push_back({got.sums[m].data(), got.last[m].data(), perStep ? got.perStep[m].data() : nullptr});
  }
  const uint32_t steps = request.steps;
  const auto job = runJob(state, std::move(request));
  state->beginRun();
  state->program()->engine()->pool->runAndWait(job);
  state->endRun(!job->cancelled());
  if (!job->errorCode().empty()) throw Error(kDeviceCode, job->errorMessage());
  CHECK_EQUAL(job->progress(), uint64_t{steps} * n);
  return got;
}

RunRequest request(uint32_t steps, uint32_t firstStep, std::vector<float> theta) {
  RunRequest r;
  r.steps = steps;
  r.firstStep = firstStep;
  r.key0 = kKey;
  r.theta.kind = ThetaKind::kPerParticle;
  r.theta.values = std::move(theta);
  return r;
}

std::vector<float> spreadTheta(size_t particles) {
  std::vector<float> theta;
  for (size_t i = 0; i < particles; ++i) {
    theta.push_back(0.5f + 0.01f * static_cast<float>(i));
    theta.push_back(0.3f + 0.001f * static_cast<float>(i));
  }
  return theta;
}

template <typename T>
void same(const char* what, const T* got, const std::vector<T>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (got[i] == expected[i]) continue;
    CHECK_EQUAL(std::string(what) + "[" + std::to_string(i) + "] = " + std::to_string(got[i]), std::to_string(expected[i]));
    return;
  }
}

// Particle counts around the lanes, lockstep and staggered starts, runs that end in the middle of an episode, all kinds of sharing, one and
// several threads: every sum and record to the last bit.
void runsAgreeWithTheDefinition() {
  for (const int32_t horizon : {0, 1, 4, 7}) {
    for (const int32_t lanes : {8, 24}) {
      for (const uint32_t particles : {1u, 7u, 8u, 9u, 50u}) {
        for (const bool staggered : {false, true}) {
          for (const unsigned threads : {1u, 3u}) {
            const int share = static_cast<int>(particles % 3);
            const Setup setup = load(recurrence(horizon, lanes, share), threads);
            std::vector<Particle> plain(particles);
            std::vector<int32_t> t(particles);
            for (uint32_t i = 0; i < particles; ++i) {
              t[i] = staggered && horizon ? static_cast<int32_t>(i * 5 % static_cast<uint32_t>(horizon)) : 0;
              plain[i].t = static_cast<uint32_t>(t[i]);
            }
            const auto state = std::make_shared<State>(setup.program, particles, staggered ? std::span<const int32_t>(t) : std::span<const int32_t>());
            const std::vector<float> theta = spreadTheta(particles);
            const uint32_t pairs = particles % 2 == 0 ? particles / 2 : 0;
            uint32_t firstStep = 0xfffffff8u;  // passes 2^32 on the way
            for (const uint32_t steps : {1u, 3u, 10u}) {
              RunRequest r = request(steps, firstStep, theta);
              r.antithetic = pairs != 0;
              const Got got = run(state, r);
              const Expected expected = advance(plain, horizon, share, pairs, steps, firstStep, theta);
              same("first sum", got.lossSums.data(), expected.first);
              same("second sum", got.lossSums.data() + particles, expected.second);
              same("first steps", got.firstSteps.data(), expected.firstSteps);
              same("losses", got.losses.data(), expected.losses);
              same("uniform metric", got.sums[0].data(), std::vector<double>(particles, 6.0 * steps));
              same("uniform metric, last", got.last[0].data(), std::vector<float>(particles, 6.0f));
              same("varying metric", got.sums[1].data(), expected.metric);
              for (uint32_t k = 0; k < steps; ++k) same("varying metric a step", got.perStep[1].data() + size_t{k} * particles, got.last[1]);
              firstStep += steps;
            }
          }
        }
      }
    }
  }
}

void statesGoOutAndComeBack() {
  const Setup setup = load(recurrence(4, 8, 2), 2);
  const uint32_t particles = 21;
  std::vector<int32_t> t(particles);
  for (uint32_t i = 0; i < particles; ++i) t[i] = static_cast<int32_t>(i % 4);
  const auto state = std::make_shared<State>(setup.program, particles, t);
  const std::vector<float> theta = spreadTheta(particles);
  run(state, request(3, 0, theta));
  std::vector<float> x(particles);
  std::vector<uint8_t> flags(particles), fresh(particles);
  std::vector<int32_t> times(particles);
  Pool& pool = *setup.engine->pool;
  pool.runAndWait(exportJob(state, {x.data(), flags.data()}, times.data(), fresh.data()));
  for (uint32_t i = 0; i < particles; ++i) {
    CHECK_EQUAL(times[i], static_cast<int32_t>((i % 4 + 3) % 4));
    CHECK_EQUAL(static_cast<int>(fresh[i]), static_cast<int>(i % 4 == 1));
    CHECK_EQUAL(static_cast<int>(flags[i]), 1);  // any bits but 0 are true
  }
  const auto copy = std::make_shared<State>(setup.program, particles, std::span<const int32_t>());
  copy->setClocks(times, fresh);
  pool.runAndWait(importJob(copy, {x.data(), flags.data()}));
  std::vector<int32_t> ancestors;
  for (int32_t i = 0; i < 30; ++i) ancestors.push_back(i * 8 % 21);
  const auto picked = std::make_shared<State>(setup.program, 30, std::span<const int32_t>());
  pool.runAndWait(gatherJob(state, picked, ancestors));

  const Got a = run(state, request(9, 3, theta)), b = run(copy, request(9, 3, theta));
  CHECK(a.lossSums == b.lossSums);
  CHECK(a.firstSteps == b.firstSteps);
  std::vector<float> picks(30);
  std::vector<uint8_t> pickFlags(30), pickFresh(30);
  std::vector<int32_t> pickTimes(30);
  pool.runAndWait(exportJob(picked, {picks.data(), pickFlags.data()}, pickTimes.data(), pickFresh.data()));
  for (size_t i = 0; i < 30; ++i) {
    const size_t from = static_cast<size_t>(ancestors[i]);
    CHECK_EQUAL(picks[i], x[from]);
    CHECK_EQUAL(pickTimes[i], times[from]);
    CHECK_EQUAL(pickFresh[i], fresh[from]);
  }
  ancestors[4] = 21;
  CHECK_THROWS(kOptionCode, "ancestors[4] is 21", gatherJob(state, picked, ancestors));
  ancestors[4] = -1;
  CHECK_THROWS(kOptionCode, "ancestors[4] is -1", gatherJob(state, picked, ancestors));
}

void perturbedThetaComesFromTheTable() {
  const Setup setup = load(recurrence(0, 8, 0), 2);
  for (const bool antithetic : {false, true}) {
    for (const bool rowSteps : {false, true}) {
      const uint32_t particles = 18, pairs = antithetic ? 9 : 0;
      std::vector<float> theta;
      RunRequest r = request(2, 0, {0.5f, 0.25f});
      r.theta.kind = ThetaKind::kPerturbed;
      r.theta.sigma = {0.1f, 0.2f};
      r.theta.noise.key0 = kNoiseKey;
      r.theta.noise.step = 40;
      if (rowSteps) {
        for (uint32_t i = 0; i < (antithetic ? pairs : particles); ++i) r.theta.noise.steps.push_back(100 + i);
      }
      for (uint32_t i = 0; i < particles; ++i) {
        const uint32_t pair = pairs ? i % pairs : i;
        for (uint32_t j = 0; j < 2; ++j) {
          const float sign = pairs && i >= pairs ? -1.0f : 1.0f;
          theta.push_back(r.theta.values[j] + sign * r.theta.sigma[j] * hashed(kNoiseKey, pair, rowSteps ? 100 + pair : 40, j));
        }
      }
      r.antithetic = antithetic;
      std::vector<Particle> plain(particles);
      const auto state = std::make_shared<State>(setup.program, particles, std::span<const int32_t>());
      const Got got = run(state, r);
      same("losses", got.losses.data(), advance(plain, 0, 0, pairs, 2, 0, theta).losses);
    }
  }
}

void newDataTakesEffectAtTheNextRun() {
  const Setup setup = load(recurrence(0, 8, 0), 1);
  const auto state = std::make_shared<State>(setup.program, 3, std::span<const int32_t>());
  CHECK_EQUAL(run(state, request(1, 0, spreadTheta(3))).last[0][2], 6.0f);
  const float data[] = {0, 5};
  const HostView view{data, 2, false};
  setup.program->setData({&view, 1});
  CHECK_EQUAL(run(state, request(1, 1, spreadTheta(3))).last[0][2], 15.0f);
  const HostView tooShort{data, 1, false};
  CHECK_THROWS(kOptionCode, "data: 1 elements", setup.program->setData({&tooShort, 1}));
}

void cancelledRunsLeaveThePartialMark() {
  const Setup setup = load(recurrence(0, 8, 0), 2);
  const auto state = std::make_shared<State>(setup.program, 4000, std::span<const int32_t>());
  RunRequest r = request(INT32_MAX - 1, 0, {});
  r.theta.kind = ThetaKind::kShared;
  r.theta.values = {1, 1};
  std::vector<double> sums(8000), metric(4000);
  std::vector<int32_t> firstSteps(4000);
  std::vector<float> last(4000);
  r.lossSums = sums.data();
  r.firstSteps = firstSteps.data();
  r.metrics = {{metric.data(), last.data(), nullptr}, {metric.data(), last.data(), nullptr}};
  const auto job = runJob(state, r);
  state->beginRun();
  CHECK_THROWS(kBusyCode, "in use", state->beginRun());
  CHECK_THROWS(kBusyCode, "in a run", state->beginRead());
  std::thread canceller([&] {
    while (job->progress() < 1000) std::this_thread::yield();
    job->cancel();
  });
  setup.engine->pool->runAndWait(job);
  canceller.join();
  CHECK(job->progress() < uint64_t{4000} * 1000000);
  state->endRun(false);
  CHECK_THROWS(kDeviceCode, "partly advanced", state->beginRun());
  CHECK_THROWS(kDeviceCode, "partly advanced", state->beginRead());
}

void malformedRequestsAreRefused() {
  const Setup setup = load(recurrence(4, 8, 0), 1);
  const auto state = std::make_shared<State>(setup.program, 5, std::span<const int32_t>());
  const auto attempt = [&](auto change, const char* part) {
    RunRequest r = request(2, 0, spreadTheta(5));
    r.metrics.resize(2);
    change(r);
    CHECK_THROWS(kOptionCode, part, runJob(state, std::move(r)));
  };
  attempt([](RunRequest& r) { r.steps = 0; }, "steps must lie");
  attempt([](RunRequest& r) { r.steps = 0x80000000u; }, "steps must lie");
  attempt([](RunRequest& r) { r.antithetic = true; }, "even number of particles");
  attempt([](RunRequest& r) { r.theta.values.pop_back(); }, "theta has 9 elements, expected 10");
  attempt([](RunRequest& r) { r.theta.kind = ThetaKind::kShared; }, "theta has 10 elements, expected 2");
  attempt([](RunRequest& r) { r.theta.kind = ThetaKind::kPerturbed; }, "mean of theta has 10");
  attempt([](RunRequest& r) { r.metrics.clear(); }, "one output for each metric");
  const int32_t late[] = {0, 0, 4, 0, 0}, early[] = {0, -1, 0, 0, 0};
  CHECK_THROWS(kOptionCode, "t[2] is 4", State(setup.program, 5, late));
  CHECK_THROWS(kOptionCode, "t[1] is -1", State(setup.program, 5, early));
  CHECK_THROWS(kOptionCode, "one element for each", State(setup.program, 4, late));
  CHECK_THROWS(kOptionCode, "particles is 0", State(setup.program, 0, {}));
  const Setup endless = load(recurrence(0, 8, 0), 1);
  const int32_t old[] = {INT32_MAX - 1};
  const auto tired = std::make_shared<State>(endless.program, 1, old);
  RunRequest r = request(2, 0, spreadTheta(1));
  r.metrics.resize(2);
  CHECK_THROWS(kOptionCode, "2^31", runJob(tired, std::move(r)));
  CHECK_THROWS(kOptionCode, "constants: 0 words",
               LoadedProgram(setup.engine, recurrence(4, 8, 0).words(), {}, {}, {}));
  const uint32_t constants[2] = {};
  CHECK_THROWS(kOptionCode, "data: 0 elements", LoadedProgram(setup.engine, recurrence(4, 8, 0).words(), constants, std::span<const HostView>{}, {}));
  const uint32_t data[2] = {};
  const HostView view{data, 2, false};
  CHECK_THROWS(kOptionCode, "leaf lies outside",
               LoadedProgram(setup.engine, recurrence(4, 8, 0).words(), constants, std::span<const HostView>(&view, 1), {{1, 2, false}}));
}

void arenasAreMadeOnceAndFreed() {
  const int64_t before = counters().arenaBytes.load();
  {
    const Setup setup = load(recurrence(4, 8, 0), 2);
    const auto state = std::make_shared<State>(setup.program, 100, std::span<const int32_t>());
    for (int round = 0; round < 20; ++round) run(state, request(3, 0, spreadTheta(100)));
    const int64_t used = counters().arenaBytes.load() - before;
    CHECK(used >= static_cast<int64_t>(setup.program->arenaBytes()));
    CHECK(used <= static_cast<int64_t>(2 * setup.program->arenaBytes()));
    CHECK_EQUAL(counters().states.load(), 1);
  }
  CHECK_EQUAL(counters().arenaBytes.load(), before);
}

void noiseIsTheSameWhateverTheBlocks() {
  for (const unsigned threads : {1u, 3u}) {
    const Engine engine(slowTable(), threads);
    for (const bool rowSteps : {false, true}) {
      const size_t rows = 9000, dim = 37;
      NoiseKey key{kNoiseKey, 0, 11, {}};
      for (size_t i = 0; rowSteps && i < rows; ++i) key.steps.push_back(static_cast<uint32_t>(3 * i));
      std::vector<float> out(rows * dim), sum(rows * dim, 1.0f), scale(dim, 2.0f);
      engine.pool->runAndWait(fillNormalJob(engine, key, rows, dim, out.data()));
      engine.pool->runAndWait(addNormalJob(engine, key, rows, dim, scale, sum.data()));
      for (size_t i = 0; i < rows * dim; i += 101) {
        const uint32_t row = static_cast<uint32_t>(i / dim);
        const float eps = hashed(kNoiseKey, row, rowSteps ? 3 * row : 11, static_cast<uint32_t>(i % dim));
        CHECK_EQUAL(out[i], eps);
        CHECK_EQUAL(sum[i], 1.0f + 2.0f * eps);
      }
      std::vector<double> weights(rows), total(dim, 99.0), expected(dim);
      for (size_t i = 0; i < rows; ++i) weights[i] = std::sin(static_cast<double>(i)) * 1e3;
      engine.pool->runAndWait(weightedRowSumJob(engine, weights, out, dim, total.data()));
      for (size_t j = 0; j < dim; ++j) {
        for (size_t block = 0; block < rows; block += 256) {
          double partial = 0;
          for (size_t i = block; i < std::min(block + 256, rows); ++i) partial += weights[i] * static_cast<double>(out[i * dim + j]);
          expected[j] += partial;
        }
      }
      CHECK(total == expected);
    }
    std::vector<double> nothing(3, 1.0);
    engine.pool->runAndWait(weightedRowSumJob(engine, {}, {}, 3, nothing.data()));
    CHECK(nothing == std::vector<double>(3, 0.0));
    CHECK_THROWS(kOptionCode, "noiseStep has 2 elements", fillNormalJob(engine, {0, 0, 0, {1, 2}}, 3, 1, nullptr));
    CHECK_THROWS(kOptionCode, "matrix has 5", weightedRowSumJob(engine, {1, 2}, {1, 2, 3, 4, 5}, 2, nothing.data()));
  }
}

void twoProgramsShareAPool() {
  // Two runs of one program with different data, interleaved on one thread: each must see its own uniform values.
  const Setup setup = load(recurrence(0, 8, 0), 1);
  const auto a = std::make_shared<State>(setup.program, 800, std::span<const int32_t>());
  const auto b = std::make_shared<State>(setup.program, 800, std::span<const int32_t>());
  std::vector<double> sums[2] = {std::vector<double>(1600), std::vector<double>(1600)}, metric[2] = {std::vector<double>(800), std::vector<double>(800)};
  std::vector<float> last[2] = {std::vector<float>(800), std::vector<float>(800)};
  std::vector<double> unused[2] = {std::vector<double>(800), std::vector<double>(800)};
  std::vector<float> unusedLast[2] = {std::vector<float>(800), std::vector<float>(800)};
  std::vector<int32_t> firstSteps[2] = {std::vector<int32_t>(800), std::vector<int32_t>(800)};
  std::shared_ptr<Job> jobs[2];
  int i = 0;
  for (const auto& state : {a, b}) {
    const float data[] = {0, static_cast<float>(i + 1)};
    const HostView view{data, 2, false};
    setup.program->setData({&view, 1});
    RunRequest r = request(50, 0, spreadTheta(800));
    r.lossSums = sums[i].data();
    r.firstSteps = firstSteps[i].data();
    r.metrics = {{metric[i].data(), last[i].data(), nullptr}, {unused[i].data(), unusedLast[i].data(), nullptr}};
    jobs[i++] = runJob(state, r);
  }
  std::thread first([&] { setup.engine->pool->runAndWait(jobs[0]); });
  setup.engine->pool->runAndWait(jobs[1]);
  first.join();
  CHECK(last[0] == std::vector<float>(800, 3.0f));
  CHECK(last[1] == std::vector<float>(800, 6.0f));
}

}  // namespace

int main() {
  const int result = runAll({
      {"runs agree with the definition, bit for bit", runsAgreeWithTheDefinition},
      {"states go out, come back and are gathered", statesGoOutAndComeBack},
      {"a perturbed theta comes from the table", perturbedThetaComesFromTheTable},
      {"new data takes effect at the next run", newDataTakesEffectAtTheNextRun},
      {"a cancelled run leaves its mark", cancelledRunsLeaveThePartialMark},
      {"malformed requests are refused", malformedRequestsAreRefused},
      {"arenas are made once and freed", arenasAreMadeOnceAndFreed},
      {"noise is the same whatever the threads", noiseIsTheSameWhateverTheBlocks},
      {"two runs on one thread keep apart", twoProgramsShareAPool},
  });
  CHECK_EQUAL(counters().programBytes.load(), 0);
  CHECK_EQUAL(counters().stateBytes.load(), 0);
  CHECK_EQUAL(counters().engines.load(), 0);
  CHECK_EQUAL(counters().threads.load(), 0);
  return result || failures != 0;
}
