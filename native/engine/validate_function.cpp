#include "validate_function.h"

#include <string>

#include "error.h"
#include "instruction_reader.h"

namespace unrolled {

namespace {

constexpr size_t kHeaderWords = 9;

[[noreturn]] void refuse(const std::string& what) { throw Error(kOptionCode, "malformed function: " + what); }

InstructionRules rulesOf(const FunctionHeader& header) {
  InstructionRules rules;
  rules.spaces.resize(kExternal);
  rules.spaces[kUniform] = {header.wordsU, true, true, false};
  rules.spaces[kConstant] = {header.wordsC, true, false, false};
  for (const FunctionHeader::External& external : header.externals) rules.spaces.push_back({external.words, true, external.written, false});
  rules.noVarying = "varying work in a function";
  return rules;
}

}  // namespace

FunctionHeader validateFunction(const int32_t* words, size_t count) {
  if (count < kHeaderWords) refuse("fewer words than a header has");
  if (words[0] != kFunctionMagic) refuse("its first word is not the magic number");
  if (words[1] != kProgramVersion) refuse("version " + std::to_string(words[1]) + ", this engine runs " + std::to_string(kProgramVersion));
  for (size_t i = 2; i < kHeaderWords; ++i) {
    if (words[i] < 0) refuse("a negative number in word " + std::to_string(i));
  }
  const size_t externals = static_cast<size_t>(words[4]), inputs = static_cast<size_t>(words[5]);
  const size_t stages = static_cast<size_t>(words[6]), tasks = static_cast<size_t>(words[7]);
  if (inputs > externals) refuse("more inputs than externals");
  const size_t tables = kHeaderWords + 2 * (externals + stages + tasks);
  if (tables > count) refuse("its tables of externals, stages and tasks have more words than it");

  FunctionHeader header;
  header.wordsU = words[2];
  header.wordsC = words[3];
  header.inputs = inputs;
  header.kiloFlops = words[8];
  const int32_t* at = words + kHeaderWords;
  for (size_t i = 0; i < externals; ++i, at += 2) {
    if (at[0] < 0 || at[1] < 0 || at[1] > 1) refuse("external " + std::to_string(i) + ": expected a size and 0 or 1");
    if (i >= inputs && at[1] == 0) refuse("external " + std::to_string(i) + " is an output, but is not marked as written");
    header.externals.push_back({at[0], at[1] == 1});
  }
  size_t next = 0;
  for (size_t i = 0; i < stages; ++i, at += 2) {
    if (at[0] < 0 || static_cast<size_t>(at[0]) != next || at[1] < 0 || static_cast<size_t>(at[1]) > tasks - next) {
      refuse("stage " + std::to_string(i) + ": its tasks are not those from task " + std::to_string(next) + " on");
    }
    header.stageTasks.push_back(static_cast<uint32_t>(at[1]));
    next += static_cast<size_t>(at[1]);
  }
  if (next != tasks) refuse("its stages have " + std::to_string(next) + " tasks together, expected " + std::to_string(tasks));
  InstructionRules rules = rulesOf(header);
  size_t total = 0;
  for (size_t i = 0; i < tasks; ++i, at += 2) {
    const int64_t first = at[0], size = at[1];
    if (first < 0 || size < 0 || first + size > static_cast<int64_t>(count)) refuse("task " + std::to_string(i) + " lies outside the words");
    header.tasks.push_back({static_cast<size_t>(first), static_cast<size_t>(size)});
    total += static_cast<size_t>(size);
    if (total > count) refuse("tasks share words");
    rules.where = "malformed function: task " + std::to_string(i);
    validateInstructions(rules, words, static_cast<size_t>(first), static_cast<size_t>(first + size));
  }
  return header;
}

}  // namespace unrolled
