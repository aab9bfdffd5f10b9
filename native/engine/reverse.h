// Reverse runs: every tile goes forward through all its steps, keeping some of its states, then back through the transposed step. The
// memory that this takes belongs to a thread, not to a particle: a tile is done before the thread's next one begins.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "run.h"

namespace unrolled {

// A float32 leaf of the state, as the reverse program keeps its cotangent.
struct CotangentLeaf {
  int32_t firstRow, elements;
};

// The transposed program: its state holds cotangents, the gradient of theta and the weight of the losses; space P is the state of `forward` before
// the step, followed, when it `readsNext`, by the state after it.
class ReverseProgram {
 public:
  // Throws Error (ERR_OPTION) when words, rows or lanes do not fit, ERR_DEVICE without memory.
  ReverseProgram(std::shared_ptr<const LoadedProgram> forward, std::vector<int32_t> words, std::span<const uint32_t> constants,
                 bool readsNext, int32_t gradientRow, int32_t weightRow, std::vector<CotangentLeaf> cotangents);

  const std::shared_ptr<const LoadedProgram>& forward() const { return forward_; }
  const LoadedProgram& backward() const { return *backward_; }
  bool readsNext() const { return readsNext_; }
  int32_t gradientRow() const { return gradientRow_; }
  int32_t weightRow() const { return weightRow_; }
  const std::vector<CotangentLeaf>& cotangents() const { return cotangents_; }

  // Bytes of a thread beside the slots: the final state, cotangents and gradients, the transposed program's arena.
  size_t workingBytes() const;

  // 32-bit words that one kept state takes.
  size_t savedWords() const;

 private:
  std::shared_ptr<const LoadedProgram> forward_;
  std::unique_ptr<LoadedProgram> backward_;
  bool readsNext_;
  int32_t gradientRow_, weightRow_;
  std::vector<CotangentLeaf> cotangents_;
};

enum class SweepAction : int32_t { kKeep = 0, kAdvance = 1, kRestore = 2, kBack = 3 };

struct ReverseRequest {
  RunRequest run;
  std::vector<int32_t> actions;  // pairs
  uint32_t slots = 0;
  std::vector<std::vector<float>> finalCotangents;  // per leaf, [particles, elements] or empty
  std::vector<float> lossWeights;                   // [particles] or empty
  // Outputs: [particles, P], and per leaf [particles, elements].
  float* thetaGradients = nullptr;
  std::vector<float*> stateGradients;
};

// One item a tile; progress counts particle-steps forward. Throws Error (ERR_OPTION) for actions that do not make a sweep (a slot or step out of
// range, a state that is not there, steps gone back through in another order than last to first).
std::shared_ptr<Job> reverseJob(std::shared_ptr<const ReverseProgram> program, std::shared_ptr<State> state, ReverseRequest request);

}  // namespace unrolled
