#include "arguments.h"
#include "functions.h"
#include "handles.h"

namespace unrolled::addon {

namespace {

Napi::Value loadProgram(const Napi::CallbackInfo& info) {
  const auto engine = unwrap<Engine>(info[0]);
  const auto triples = readInts(info[4], "leaves");
  if (triples.size() % 3 != 0) throw Error(kOptionCode, "leaves: expected triples of numbers");
  std::vector<StateLeaf> leaves;
  for (size_t i = 0; i < triples.size(); i += 3) leaves.push_back({triples[i], triples[i + 1], triples[i + 2] != 0});
  const auto data = readViews(info[3], "data");
  auto program = std::make_shared<LoadedProgram>(engine, copyOf(readInts(info[1], "words")), readWords(info[2], "constants"), data,
                                                 std::move(leaves));
  // Arenas come with the first run, but V8 should weigh the handle by what it will hold.
  const size_t bytes = program->residentBytes() + program->arenaBytes() * engine->pool->threads();
  return makeHandle(info.Env(), std::move(program), bytes);
}

Napi::Value setData(const Napi::CallbackInfo& info) {
  unwrap<LoadedProgram>(info[0])->setData(readViews(info[1], "data"));
  return info.Env().Undefined();
}

Napi::Value arenaBytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(unwrap<LoadedProgram>(info[0])->arenaBytes()));
}

}  // namespace

void exportPrograms(Napi::Object exports) {
  exportFunction<loadProgram>(exports, "loadProgram");
  exportFunction<setData>(exports, "setData");
  exportFunction<arenaBytes>(exports, "arenaBytes");
}

}  // namespace unrolled::addon
