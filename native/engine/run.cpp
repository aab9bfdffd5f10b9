#include "run.h"

#include <utility>

#include "tile_run.h"

namespace unrolled {

std::shared_ptr<Job> runJob(std::shared_ptr<State> state, RunRequest request) {
  auto shared = std::make_shared<TileRun::Shared>(TileRun::share(std::move(state), std::move(request)));
  const size_t tiles = shared->state->tiles();
  return std::make_shared<Job>(tiles, [shared = std::move(shared)](Job& job, size_t index, unsigned thread) {
    if (job.cancelled()) return;
    TileRun tile(*shared, index, thread);
    if (tile.advance(job, shared->request.steps, true)) tile.finish();
  });
}

}  // namespace unrolled
