#include "function.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "error.h"

namespace unrolled {

namespace {

constexpr int kLanes = 8;  // nothing varies, so any number will do

// Below both, a function takes less than about 20 microseconds on one thread, and waking a second costs more than it brings.
constexpr int64_t kSmallKiloFlops = 100;
constexpr int64_t kSmallWords = 16384;
// Above either, a call is long enough to wake threads for.
constexpr int64_t kLongKiloFlops = 1000;
constexpr int64_t kLongWords = 131072;

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Words that a call may touch.
int64_t wordsOf(const FunctionHeader& header) {
  int64_t words = header.wordsU + header.wordsC;
  for (const FunctionHeader::External& external : header.externals) words += external.words;
  return words;
}

std::shared_ptr<FunctionMemory> memoryOf(Engine& engine) {
  const std::lock_guard lock(engine.functionMutex);
  std::shared_ptr<FunctionMemory> memory = engine.functionMemory.lock();
  if (!memory) {
    memory = std::make_shared<FunctionMemory>();
    engine.functionMemory = memory;
  }
  return memory;
}

}  // namespace

LoadedFunction::LoadedFunction(std::shared_ptr<Engine> engine, std::vector<int32_t> words, std::span<const uint32_t> constants,
                               std::span<const uint8_t> bools)
    : engine_(std::move(engine)), memory_(memoryOf(*engine_)), words_(std::move(words)),
      header_(validateFunction(words_.data(), words_.size())), bools_(bools.begin(), bools.end()) {
  if (static_cast<int64_t>(constants.size()) != header_.wordsC) {
    throw Error(kOptionCode, "constants: " + std::to_string(constants.size()) + " words, the function has " + std::to_string(header_.wordsC));
  }
  if (bools_.size() != header_.externals.size()) {
    throw Error(kOptionCode, "bools: " + std::to_string(bools_.size()) + " elements, the function has " +
                                 std::to_string(header_.externals.size()) + " externals");
  }
  constants_ = Buffer(constants.size_bytes(), counters().programBytes);
  if (!constants.empty()) std::memcpy(constants_.as<void>(), constants.data(), constants.size_bytes());

  size_t first = 0;
  for (const uint32_t tasks : header_.stageTasks) {
    firstTask_.push_back(first);
    first += tasks;
    mostTasks_ = std::max(mostTasks_, tasks);
  }
  const int64_t touched = wordsOf(header_);
  const bool small = header_.kiloFlops < kSmallKiloFlops && touched < kSmallWords;
  long_ = header_.kiloFlops > kLongKiloFlops || touched > kLongWords;
  parallel_ = !small && mostTasks_ > 1 && engine_->pool->threads() > 1;
  prepared_.reserve(std::max<size_t>(1, header_.tasks.size()));
  try {
    if (small) {
      std::vector<int32_t> all;
      for (const BlockRange& task : header_.tasks) all.insert(all.end(), words_.data() + task.first, words_.data() + task.first + task.count);
      words_ = std::move(all);
      prepare(words_.data(), words_.size());
    } else {
      for (const BlockRange& task : header_.tasks) prepare(words_.data() + task.first, task.count);
    }
    if (parallel_) threadScratch_ = memory_->scratch(scratchBytes_, engine_->pool->threads());
    size_t bytes = aligned(allocationSize(static_cast<size_t>(header_.wordsU), 4));
    for (size_t i = 0; i < bools_.size(); ++i) {
      widened_.push_back(bytes);
      if (bools_[i]) bytes = allocationSize(1, bytes + aligned(allocationSize(static_cast<size_t>(header_.externals[i].words), 4)));
    }
    scratchOffset_ = bytes;
    callBytes_ = allocationSize(1, bytes + aligned(scratchBytes_));
  } catch (...) {
    for (void* prepared : prepared_) engine_->table.release(prepared);
    throw;
  }
}

LoadedFunction::~LoadedFunction() {
  for (void* prepared : prepared_) engine_->table.release(prepared);
  memory_->trim(callBytes_);
}

void LoadedFunction::prepare(const int32_t* words, size_t count) {
  void* const prepared = engine_->table.prepare(words, count, kLanes, &scratchBytes_);
  if (!prepared) throw Error(kDeviceCode, "out of memory: a function could not be prepared");
  prepared_.push_back(prepared);
}

FunctionCall::FunctionCall(std::shared_ptr<const LoadedFunction> function)
    : function_(std::move(function)), workspace_(function_->memory_->take(function_->callBytes_)) {
  workspace_->externals.clear();
}

FunctionCall::~FunctionCall() { function_->memory_->put(std::move(workspace_)); }

void FunctionCall::check() {
  const FunctionHeader& header = function_->header_;
  const std::vector<HostView>& views = workspace_->externals;
  if (views.size() != header.externals.size()) {
    throw Error(kOptionCode, "externals: expected " + std::to_string(header.externals.size()) + ", got " + std::to_string(views.size()));
  }
  auto& intervals = workspace_->intervals;
  intervals.clear();
  for (size_t i = 0; i < views.size(); ++i) {
    const HostView& view = views[i];
    const auto begin = reinterpret_cast<uintptr_t>(view.data);
    if (view.isBytes != function_->bools_[i] || static_cast<int64_t>(view.elements) != header.externals[i].words) {
      throw Error(kOptionCode, "externals[" + std::to_string(i) + "]: expected " + std::to_string(header.externals[i].words) +
                                   " elements of " + (function_->bools_[i] ? "a Uint8Array" : "32 bits") + ", got " +
                                   std::to_string(view.elements) + " of " + (view.isBytes ? "a Uint8Array" : "32 bits"));
    }
    if (!view.isBytes && begin % 4 != 0) throw Error(kOptionCode, "externals[" + std::to_string(i) + "] is not aligned to 4 bytes");
    if (view.elements > 0) intervals.push_back({begin, begin + view.elements * (view.isBytes ? 1 : 4), i});
  }
  placeSpaces();

  std::sort(intervals.begin(), intervals.end(), [](const Workspace::Interval& a, const Workspace::Interval& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end != b.end ? a.end < b.end : a.external < b.external;
  });
  // The intervals so far that reach furthest: of all, and of those that are written.
  const Workspace::Interval none{0, 0, 0};
  Workspace::Interval furthest = none, furthestWritten = none;
  for (size_t k = 0; k < intervals.size(); ++k) {
    const Workspace::Interval interval = intervals[k];
    const bool written = header.externals[interval.external].written;
    const Workspace::Interval& other = written ? furthest : furthestWritten;
    if (interval.begin < other.end) {
      throw Error(kOptionCode, "externals[" + std::to_string(other.external) + "] and externals[" + std::to_string(interval.external) +
                                   "] overlap, and one of them is written");
    }
    if (interval.end > furthest.end) furthest = interval;
    if (written && interval.end > furthestWritten.end) furthestWritten = interval;
    if (k + 1 == intervals.size()) break;
    // An input that is given up, and the output that is written over it; the input stands first, having the lower number.
    const Workspace::Interval& next = intervals[k + 1];
    const bool same = next.begin == interval.begin && next.end == interval.end;
    if (same && written && interval.external < header.inputs && next.external >= header.inputs) {
      workspace_->spaces[kExternal + next.external] = workspace_->spaces[kExternal + interval.external];
      ++k;
    }
  }
}

// bools lie widened in the workspace.
void FunctionCall::placeSpaces() {
  std::byte* const memory = workspace_->memory.as<std::byte>();
  auto& spaces = workspace_->spaces;
  spaces.assign(kExternal, nullptr);
  spaces[kUniform] = reinterpret_cast<uint32_t*>(memory);
  spaces[kConstant] = function_->constants_.as<uint32_t>();  // never written: validated, as are the inputs
  for (size_t i = 0; i < function_->bools_.size(); ++i) {
    void* const outside = const_cast<void*>(workspace_->externals[i].data);
    spaces.push_back(static_cast<uint32_t*>(function_->bools_[i] ? memory + function_->widened_[i] : outside));
  }
}

void FunctionCall::widenBools() const {
  for (size_t i = 0; i < function_->header_.inputs; ++i) {
    if (!function_->bools_[i]) continue;
    const HostView& view = workspace_->externals[i];
    const auto* const bytes = static_cast<const uint8_t*>(view.data);
    uint32_t* const words = workspace_->spaces[kExternal + i];
    for (size_t k = 0; k < view.elements; ++k) words[k] = bytes[k] != 0;
  }
}

void FunctionCall::narrowBools() const {
  for (size_t i = 0; i < function_->bools_.size(); ++i) {
    if (!function_->bools_[i] || !function_->header_.externals[i].written) continue;
    const HostView& view = workspace_->externals[i];
    auto* const bytes = static_cast<uint8_t*>(const_cast<void*>(view.data));
    const uint32_t* const words = workspace_->spaces[kExternal + i];
    for (size_t k = 0; k < view.elements; ++k) bytes[k] = words[k] != 0;
  }
}

struct FunctionCall::Running {
  const LoadedFunction& function;
  const TileContext& context;
  const Job* job;

  static void task(void* self, uint32_t stage, uint32_t number, unsigned thread) {
    const Running& running = *static_cast<const Running*>(self);
    if (running.job && running.job->cancelled()) return;
    const LoadedFunction& function = running.function;
    TileContext context = running.context;
    if (thread != kCallingThread) context.scratch = function.threadScratch_->of(thread);
    function.engine_->table.run(function.prepared_[function.firstTask_[stage] + number], context);
  }
};

void FunctionCall::run(const DrawKey& key, const Job* job) {
  TileContext context{};
  context.space = workspace_->spaces.data();
  context.lanes = kLanes;
  context.key0 = key.key0;
  context.key1 = key.key1;
  context.step = key.step;
  context.allFresh = true;
  context.scratch = workspace_->memory.as<std::byte>() + function_->scratchOffset_;
  widenBools();
  if (function_->parallel_) {
    Running running{*function_, context, job};
    const auto& stages = function_->header_.stageTasks;
    const StagedWork work{stages.data(), static_cast<uint32_t>(stages.size()), Running::task, &running, function_->long_};
    Pool& pool = *function_->engine_->pool;
    pool.runStages(work, std::min(pool.threads(), function_->mostTasks_) - 1);
  } else {
    for (const void* prepared : function_->prepared_) {
      if (job && job->cancelled()) return;
      function_->engine_->table.run(prepared, context);
    }
  }
  narrowBools();
}

std::shared_ptr<Job> functionJob(std::shared_ptr<FunctionCall> call, const DrawKey& key) {
  call->check();
  return std::make_shared<Job>(1, [call = std::move(call), key](Job& job, size_t, unsigned thread) {
    if (job.cancelled()) return;
    call->run(key, &job);
    if (!job.cancelled()) job.advance(thread, 1);
  });
}

}  // namespace unrolled
