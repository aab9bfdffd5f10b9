// Functions: words that must be refused, results that do not depend on threads, memory of the caller used in place.
#include "function.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <thread>

#include "test/check.h"
#include "test/test_function.h"

using namespace unrolled;
using namespace unrolled::test;

namespace {

constexpr int32_t kX = kExternal, kY = kExternal + 1, kOut = kExternal + 2;

std::shared_ptr<LoadedFunction> load(const Function& function, unsigned threads, std::vector<uint8_t> bools = {},
                                     const CpuTable& table = selectTable("")) {
  bools.resize(function.externals.size());
  const std::vector<uint32_t> constants(static_cast<size_t>(function.wordsC), std::bit_cast<uint32_t>(2.0f));
  return std::make_shared<LoadedFunction>(std::make_shared<Engine>(table, threads), function.words(), constants, bools);
}

HostView view(const std::vector<float>& values) { return {values.data(), values.size(), false}; }
HostView view(const std::vector<uint8_t>& values) { return {values.data(), values.size(), true}; }

void call(const std::shared_ptr<LoadedFunction>& function, std::initializer_list<HostView> externals, const DrawKey& key = {}) {
  FunctionCall one(function);
  one.externals() = externals;
  one.check();
  one.run(key);
}

// out = (x + y) * (sum of x * y) + 2, in stages of 1, `parts`, 1 and `parts` tasks.
Function mixed(int32_t n, int32_t parts, int32_t kiloFlops) {
  Function function;
  function.wordsU = n + 1;
  function.wordsC = 1;
  function.inputs = 2;
  function.externals = {{n, false}, {n, false}, {n, true}};
  function.kiloFlops = kiloFlops;
  function.stages.resize(4);
  function.stages[0].push_back(instruction(kFill, {0, 0, kUniform, n, bits(-1.0f)}));
  function.stages[2].push_back(sumOp(n, {kUniform, 0}, {kUniform, n}));
  for (int32_t i = 0; i < parts; ++i) {
    const int32_t from = static_cast<int32_t>(int64_t{n} * i / parts), size = static_cast<int32_t>(int64_t{n} * (i + 1) / parts) - from;
    function.stages[1].push_back(vectorOp(kMulF, size, {kX, from}, {kY, from}, {kUniform, from}));
    function.stages[3].push_back(vectorOp(kAddF, size, {kX, from}, {kY, from}, {kOut, from}) +
                                 vectorOp(kMulF, size, {kOut, from}, {kUniform, n}, {kOut, from}, 0) +
                                 vectorOp(kAddF, size, {kOut, from}, {kConstant, 0}, {kOut, from}, 0));
  }
  return function;
}

void headers() {
  const Words good = mixed(10, 2, 0).words();
  const FunctionHeader header = validateFunction(good.data(), good.size());
  CHECK_EQUAL(header.tasks.size(), size_t{6});
  CHECK_EQUAL(header.wordsU, 11);
  const auto broken = [&](size_t word, int32_t value, const std::string& part) {
    Words words = good;
    words[word] = value;
    CHECK_THROWS(kOptionCode, part, validateFunction(words.data(), words.size()));
  };
  CHECK_THROWS(kOptionCode, "fewer words", validateFunction(good.data(), 8));
  broken(0, kProgramMagic, "magic");
  broken(1, 7, "version 7");
  for (size_t word = 2; word < 9; ++word) broken(word, -1, "negative number in word " + std::to_string(word));
  broken(4, 1, "more inputs");
  for (const size_t word : {4, 6, 7}) broken(word, INT32_MAX, "have more words");
  broken(9, -1, "external 0");
  broken(10, 2, "external 0");
  broken(14, 0, "external 2 is an output");
  broken(13, 9, "task 5");        // the output became shorter than what is written
  broken(14 + 1, 1, "stage 0");        // first task of stage 0
  broken(14 + 2, 7, "stage 0");        // more tasks than there are
  broken(14 + 2, 0, "stage 1");        // leaves a gap
  broken(14 + 8, 1, "5 tasks together");
  broken(23, -1, "task 0 lies");
  broken(24, INT32_MAX, "task 0 lies");
  broken(24, -1, "task 0 lies");
  // All tasks the whole of the words.
  Words shared = good;
  for (size_t task = 0; task < 6; ++task) {
    shared[23 + 2 * task] = good[25];
    shared[24 + 2 * task] = good[24 + 2 * 4];
  }
  CHECK_THROWS(kOptionCode, "", validateFunction(shared.data(), shared.size()));
}

void instructions() {
  const auto refuse = [](const Words& code, const std::string& part) {
    Function function = mixed(10, 2, 0);
    function.stages = {{{}, code}};
    CHECK_THROWS(kOptionCode, part, load(function, 1));
  };
  refuse(vectorOp(kAddF, 11, {kX, 0}, {kY, 0}, {kUniform, 0}), "malformed function: task 1, instruction at word");
  refuse(vectorOp(kAddF, 10, {kX, 1}, {kY, 0}, {kOut, 0}), "reaches 1..10 of space 6");
  refuse(vectorOp(kAddF, 10, {kX, 0}, {kY, -1}, {kOut, 0}), "reaches -1..8 of space 7");
  refuse(vectorOp(kAddF, 10, {kX, 0}, {kY, 0}, {kY, 0}), "an output names space 7, expected 1 or 8");
  refuse(vectorOp(kAddF, 1, {kX, 0}, {kY, 0}, {kConstant, 0}), "an output names space 2");
  refuse(vectorOp(kAddF, 1, {kX, 0}, {kExternal + 3, 0}, {kOut, 0}), "names space 9");
  for (const int32_t space : {kVarying, kData, kState, kPrimal, kProduct}) {
    refuse(vectorOp(kAddF, 1, {kX, 0}, {space, 0}, {kOut, 0}), "an operand names space " + std::to_string(space));
    refuse(vectorOp(kAddF, 1, {kX, 0}, {kY, 0}, {space, 0}), "an output names space " + std::to_string(space));
  }
  refuse(scalarOp(1, kAddF, {{kX, 0}, {kY, 0}}, kOut, 0), "varying work in a function");
  refuse(instruction(kInitCopy, {0, kConstant, 0, kState, 0}), "INIT_COPY");
  refuse(instruction(kRandom, {1, 0, 2, 0, 0, 1, 0, 0, kOut, 0}), "varying");
  refuse(instruction(kRandom, {0, 0, 2, 0, 0, 1, 0, 0, kOut, 0}), "all particles share it");
}

// Same words, same memory, random damage: what is accepted must stay inside its memory, which a sanitizer checks.
void damage() {
  const Words good = mixed(40, 3, 0).words();
  std::mt19937 random(5);
  const auto engine = std::make_shared<Engine>(selectTable(""), 2);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 20000; ++round) {
    Words words = good;
    for (unsigned hits = 1 + random() % 2; hits > 0; --hits) {
      const int32_t values[] = {static_cast<int32_t>(random() % 48) - 8, -1, INT32_MIN, static_cast<int32_t>(4096 + random() % 8)};
      words[random() % words.size()] = values[random() % 4];
    }
    if (random() % 8 == 0) words.resize(random() % words.size());
    try {
      const uint32_t constant = 7;
      const auto function = std::make_shared<LoadedFunction>(engine, words, std::span(&constant, 1), std::vector<uint8_t>(3));
      std::vector<std::vector<float>> memory;
      FunctionCall one(function);
      for (const auto& external : function->header().externals) {
        memory.emplace_back(static_cast<size_t>(external.words), 0.5f);
        one.externals().push_back(view(memory.back()));
      }
      one.check();
      one.run({});
      ++accepted;
    } catch (const Error& error) {
      CHECK_EQUAL(std::string(error.code), std::string(kOptionCode));
      ++refused;
    }
  }
  CHECK(accepted > 500);
  CHECK(refused > 2000);
}

std::vector<float> ramp(size_t n, float start) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = start + static_cast<float>(i % 97) * 0.03125f;
  return values;
}

// Memory that is aligned to 4 bytes and no more.
void resultsDoNotDependOnThreads() {
  for (const int32_t n : {5, 1000, 50001}) {
    const auto x = ramp(static_cast<size_t>(n) + 1, -1.0f), y = ramp(static_cast<size_t>(n) + 3, 0.5f);
    double sum = 0;
    for (int32_t i = 0; i < n; ++i) sum += static_cast<double>(x[static_cast<size_t>(i) + 1]) * static_cast<double>(y[static_cast<size_t>(i) + 3]);
    std::vector<float> first;
    for (const unsigned threads : {1u, 2u, 3u}) {
      const auto function = load(mixed(n, 7, 10000), threads);
      CHECK_EQUAL(function->parallel(), threads > 1);
      for (int round = 0; round < 50; ++round) {
        std::vector<float> out(static_cast<size_t>(n) + 2, -7.0f);
        call(function, {{x.data() + 1, static_cast<size_t>(n), false}, {y.data() + 3, static_cast<size_t>(n), false},
                        {out.data() + 1, static_cast<size_t>(n), false}});
        CHECK(out.front() == -7.0f && out.back() == -7.0f);
        if (first.empty()) {
          first = out;
          for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
            const double expected = static_cast<double>(x[i + 1] + y[i + 3]) * sum + 2;
            CHECK(std::abs(static_cast<double>(out[i + 1]) - expected) <= 1e-5 * std::abs(sum) + 1e-5);
          }
        }
        CHECK(out == first);
      }
    }
  }
}

void smallFunctionsStayOnTheirThread() {
  CHECK(!load(mixed(1000, 7, 10), 2)->parallel());
  CHECK(load(mixed(1000, 7, 10000), 2)->parallel());
  CHECK(load(mixed(20000, 7, 10), 2)->parallel());
  CHECK(!load(mixed(20000, 1, 10000), 2)->parallel());
}

void drawsFollowTheKey() {
  Function function;
  function.externals = {{6, true}};
  function.stages = {{instruction(kRandom, {0, 1, 0, 0, 3, 6, 0, bits(1.0f), kExternal, 0})}};
  const auto loaded = load(function, 1);
  std::vector<float> a(6), b(6), c(6);
  call(loaded, {view(a)}, {1, 2, 3});
  call(loaded, {view(b)}, {1, 2, 3});
  call(loaded, {view(c)}, {1, 2, 4});
  CHECK(a == b);
  CHECK(a != c);
}

// out = select(condition, 1, 0) as bool, over bytes.
Function boolean(int32_t n, bool donated) {
  Function function;
  function.inputs = 1;
  function.externals = {{n, donated}, {n, true}};
  const int32_t target = donated ? kExternal : kExternal + 1;
  function.stages = {{instruction(kElementwise, {0, 1, n, 1, kExternal, 0, 1, 1, 1, target, 0, 1, 2, 1, kLogicalNot, 1, 0, 0, 0, 0, 0})}};
  return function;
}

void boolsAreBytesOutside() {
  const auto function = load(boolean(5, false), 1, {1, 1});
  const std::vector<uint8_t> in{0, 1, 200, 0, 1};
  std::vector<uint8_t> out(5, 9);
  call(function, {view(in), view(out)});
  CHECK(out == (std::vector<uint8_t>{1, 0, 0, 1, 0}));
  // Given up, and written over in place.
  std::vector<uint8_t> both = in;
  call(load(boolean(5, true), 1, {1, 1}), {view(both), view(both)});
  CHECK(both == out);
}

void overlaps() {
  Function function = mixed(8, 1, 0);
  const auto loaded = load(function, 1);
  function.externals[0].second = true;
  const auto giving = load(function, 1);
  std::vector<float> memory(64, 1.0f);
  const auto at = [&](size_t offset) { return HostView{memory.data() + offset, 8, false}; };
  const auto refuse = [&](const auto& which, size_t x, size_t y, size_t out) {
    CHECK_THROWS(kOptionCode, "overlap", call(which, {at(x), at(y), at(out)}));
  };
  call(loaded, {at(0), at(0), at(8)});   // two inputs may be one array
  call(loaded, {at(0), at(4), at(16)});  // or overlap
  refuse(loaded, 0, 8, 0);
  refuse(loaded, 0, 8, 8);
  refuse(loaded, 0, 16, 7);
  refuse(loaded, 16, 8, 1);
  call(giving, {at(0), at(8), at(0)});  // given up
  call(giving, {at(0), at(8), at(16)});
  refuse(giving, 0, 0, 0);
  refuse(giving, 0, 0, 8);
  refuse(giving, 0, 4, 0);
  refuse(giving, 4, 0, 4);
  refuse(giving, 0, 16, 1);
  refuse(giving, 0, 8, 8);
  CHECK_THROWS(kOptionCode, "externals: expected 3, got 2", call(loaded, {at(0), at(8)}));
  CHECK_THROWS(kOptionCode, "externals[1]: expected 8 elements of 32 bits, got 7", call(loaded, {at(0), {memory.data(), 7, false}, at(8)}));
  CHECK_THROWS(kOptionCode, "externals[2]: expected 8 elements of 32 bits, got 8 of a Uint8Array",
               call(loaded, {at(0), at(0), {memory.data() + 8, 8, true}}));
  CHECK_THROWS(kOptionCode, "aligned", call(loaded, {at(0), at(0), {reinterpret_cast<char*>(memory.data()) + 65, 8, false}}));
}

void refusedAtLoad() {
  const auto engine = std::make_shared<Engine>(selectTable(""), 1);
  const Words words = mixed(8, 1, 0).words();
  const uint32_t constants[2] = {};
  CHECK_THROWS(kOptionCode, "constants: 2 words, the function has 1", LoadedFunction(engine, words, constants, std::vector<uint8_t>(3)));
  CHECK_THROWS(kOptionCode, "bools: 2 elements", LoadedFunction(engine, words, std::span(constants, 1), std::vector<uint8_t>(2)));
}

void manyCallersAtOnce() {
  const auto function = load(mixed(3000, 5, 10000), 2);
  const auto x = ramp(3000, 0.0f), y = ramp(3000, 1.0f);
  std::vector<float> expected(3000);
  call(function, {view(x), view(y), view(expected)});
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      std::vector<float> out(3000);
      for (int round = 0; round < 200; ++round) {
        call(function, {view(x), view(y), view(out)});
        CHECK(out == expected);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

void repeatedCallsTakeNoMemory() {
  const auto function = load(mixed(3000, 5, 10000), 2), other = load(mixed(9000, 5, 10000), 2);
  const auto x = ramp(9000, 0.0f);
  std::vector<float> out(9000);
  const HostView in{x.data(), 3000, false}, to{out.data(), 3000, false};
  call(function, {in, in, to});
  const int64_t before = counters().arenaBytes;
  for (int round = 0; round < 2000; ++round) call(function, {in, in, to});
  CHECK_EQUAL(counters().arenaBytes.load(), before);
}

void memoryGoesWithTheLastFunction() {
  const auto engine = std::make_shared<Engine>(selectTable(""), 2);
  const auto loadOn = [&](int32_t n) {
    const uint32_t constant = 0;
    return std::make_shared<LoadedFunction>(engine, mixed(n, 5, 10000).words(), std::span(&constant, 1), std::vector<uint8_t>(3));
  };
  auto small = loadOn(100), large = loadOn(100000);
  const auto x = ramp(100000, 0.0f);
  std::vector<float> out(100000);
  call(large, {view(x), view(x), view(out)});
  const int64_t bytes = counters().arenaBytes;
  call(small, {{x.data(), 100, false}, {x.data(), 100, false}, {out.data(), 100, false}});
  CHECK_EQUAL(counters().arenaBytes.load(), bytes);  // one workspace serves both
  large.reset();
  CHECK(counters().arenaBytes.load() < bytes / 2);
  small.reset();
  CHECK_EQUAL(counters().arenaBytes.load(), 0);
}

void asAJobItCanBeCancelled() {
  const auto function = load(mixed(3000, 5, 10000), 2);
  const auto x = ramp(3000, 0.0f), y = ramp(3000, 1.0f);
  std::vector<float> expected(3000), out(3000);
  call(function, {view(x), view(y), view(expected)});
  const auto jobFor = [&](std::vector<float>& to) {
    auto one = std::make_shared<FunctionCall>(function);
    one->externals() = {view(x), view(y), view(to)};
    return functionJob(std::move(one), {});
  };
  const auto job = jobFor(out);
  function->engine()->pool->runAndWait(job);
  CHECK(out == expected);
  CHECK_EQUAL(job->progress(), uint64_t{1});
  // Cancelled before it begins: nothing is written.
  std::vector<float> untouched(3000, -3.0f);
  const auto cancelled = jobFor(untouched);
  cancelled->cancel();
  function->engine()->pool->runAndWait(cancelled);
  CHECK(untouched == std::vector<float>(3000, -3.0f));
  auto wrong = std::make_shared<FunctionCall>(function);
  CHECK_THROWS(kOptionCode, "externals", functionJob(std::move(wrong), {}));
}

// A kernel that cancels the job it runs in: no further task begins, with and without helpers.
Job* current = nullptr;
std::atomic<int> tasksRun{0};
void cancelTakesEffectBetweenTasks() {
  static const CpuTable table = [] {
    CpuTable cancelling = slowTable();
    cancelling.run = [](const void*, TileContext&) {
      ++tasksRun;
      current->cancel();
    };
    return cancelling;
  }();
  for (const unsigned threads : {1u, 2u}) {
    const auto function = load(mixed(3000, 5, 10000), threads, {}, table);
    std::vector<float> x(3000), out(3000);
    auto one = std::make_shared<FunctionCall>(function);
    one->externals() = {view(x), view(x), view(out)};
    const auto job = functionJob(std::move(one), {});
    current = job.get();
    tasksRun = 0;
    function->engine()->pool->runAndWait(job);
    CHECK(job->cancelled());
    CHECK_EQUAL(tasksRun.load(), 1);  // the first stage has one task
  }
}

}  // namespace

int main() {
  const int result = test::runAll({
      {"headers that must be refused", headers},
      {"instructions that must be refused", instructions},
      {"random damage is refused or harmless", damage},
      {"results do not depend on threads, nor on alignment", resultsDoNotDependOnThreads},
      {"small functions stay on their thread", smallFunctionsStayOnTheirThread},
      {"draws follow the key", drawsFollowTheKey},
      {"bools are bytes outside", boolsAreBytesOutside},
      {"what is written overlaps nothing else", overlaps},
      {"sizes that differ from the header's", refusedAtLoad},
      {"many callers at once", manyCallersAtOnce},
      {"repeated calls take no memory", repeatedCallsTakeNoMemory},
      {"memory goes with the last function", memoryGoesWithTheLastFunction},
      {"as a job it can be cancelled", asAJobItCanBeCancelled},
      {"cancellation takes effect between tasks", cancelTakesEffectBetweenTasks},
  });
  CHECK_EQUAL(counters().functions.load(), 0);
  CHECK_EQUAL(counters().arenaBytes.load(), 0);
  CHECK_EQUAL(counters().programBytes.load(), 0);
  CHECK_EQUAL(counters().threads.load(), 0);
  return result || test::failures != 0;
}
