// The run loop: every tile goes through all its steps before the next tile begins.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "state.h"

namespace unrolled {

// Perturbation noise from outside: Philox key and one step for all rows (`steps` empty) or one per row.
struct NoiseKey {
  uint32_t key0 = 0, key1 = 0, step = 0;
  std::vector<uint32_t> steps;
};
// Philox stream of perturbations.
constexpr uint32_t kNoiseStream = 2;

enum class ThetaKind { kShared, kPerParticle, kPerturbed };

// P elements each; `values` also holds the mean of a perturbed theta.
struct Theta {
  ThetaKind kind = ThetaKind::kShared;
  std::vector<float> values, sigma;
  NoiseKey noise;
};

struct MetricOutput {
  double* sums;    // [particles]
  float* last;     // [particles]
  float* perStep;  // [steps, particles] or null
};

struct RunRequest {
  uint32_t steps = 0, firstStep = 0, key0 = 0, key1 = 0;
  bool antithetic = false;
  Theta theta;
  // Where results go; must stay valid until the job is over. Written for particles only, never for padding lanes.
  double* lossSums = nullptr;      // [2, particles]: up to the first end of an episode, and after it
  int32_t* firstSteps = nullptr;   // [particles]
  float* losses = nullptr;         // [steps, particles] or null
  std::vector<MetricOutput> metrics;
};

// One item a tile; progress counts particle-steps. The caller brackets the job with state->beginRun() and endRun(). Throws Error
// (ERR_OPTION) for steps outside 1..2^31 - 1, odd antithetic particles, or theta and noise of the wrong length.
std::shared_ptr<Job> runJob(std::shared_ptr<State> state, RunRequest request);

}  // namespace unrolled
