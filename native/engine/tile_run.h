// One tile on its way through the steps of a run: where it is, what its episodes have done, and what was summed up. Runs go forward
// through it once; reverse runs also save, restore and repeat.
#pragma once
#include <algorithm>
#include <cstdint>

#include "run.h"

namespace unrolled {

class TileRun {
 public:
  // What the runs of one job share.
  struct Shared {
    std::shared_ptr<State> state;
    std::shared_ptr<const LoadedProgram> program;
    std::shared_ptr<const Buffer> data;
    RunRequest request;
    uint64_t id = 0;
    uint32_t pairs = 0;  // 0 without antithetic pairs
  };
  // Checks the request, numbers the run, and makes noise steps cover the padding lanes. Throws like `runJob`.
  static Shared share(std::shared_ptr<State> state, RunRequest request);

  // Takes the tile `index` of the state, on pool thread `thread`: runs the call block if this thread has not yet, fills theta, runs the
  // tile block.
  TileRun(const Shared& shared, size_t index, unsigned thread);

  // Advances `steps` steps, at the start of the run or after `restore`; with `records`, losses and metrics of these steps go to the results.
  // Returns false when the job was cancelled.
  bool advance(Job& job, uint32_t steps, bool records);
  // Runs init where an episode is to begin, so that the state is the one that the next step reads.
  void begin();
  // Writes sums, last metrics, and the state's clocks.
  void finish();

  // Words that `save` writes: state rows, base and freshness of every lane.
  size_t savedWords() const;
  void save(uint32_t* to) const;
  // Back to a saved moment, `step` steps after the start of the run.
  void restore(const uint32_t* from, uint32_t step);

  uint32_t step() const { return k_; }
  bool anyFresh() const { return anyFresh_; }
  // The t of the next step, in each lane.
  void writeT(uint32_t* row) const;
  const TileContext& context() const { return context_; }
  Arena& arena() const { return arena_; }
  size_t first() const { return first_; }
  size_t used() const { return used_; }

 private:
  void findFresh();
  uint64_t nextEnd() const;
  void record(bool lastStep);

  const Shared& shared_;
  const LoadedProgram& program_;
  Arena& arena_;
  const size_t index_, lanes_, first_, used_;
  const unsigned thread_;
  uint32_t* spaces_[kExternal];
  TileContext context_{};
  uint32_t k_ = 0;
  bool anyFresh_ = false, anyEnded_ = false, allEnded_ = false;
  uint64_t end_ = 0;  // number of finished steps at which the next episode ends
};

// rows[j][lane] of theta, for the tile that begins at `particle0`.
void fillTheta(const TileRun::Shared& shared, const LoadedProgram& program, float* rows, uint32_t particle0);

}  // namespace unrolled
