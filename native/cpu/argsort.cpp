#include "argsort.h"

#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

struct ArgSortPlan {
  int mode;
  bool integer, descending;
  int32_t outer, n;
  Operand x, output;
  int64_t lanes;
};

namespace {

// Up to this length a row is sorted by insertion, longer ones by radix: below it the counting costs more than it saves.
constexpr int32_t kInsertion = 40;
// Up to this length a tile is sorted by counting for every element those that come before it, all lanes of a vector at once.
constexpr int32_t kRanked = 64;
constexpr int kDigits = 4, kDigitValues = 256;

// Unsigned words in the order of the elements: the sign bit of an integer is turned, a float's other bits as well where it is negative.
// Zeros are one and NaNs are one, above everything whichever way the order goes.
UNROLLED_INLINE vu keysOf(vu x, bool integer, bool descending) {
  if (integer) {
    const vu key = x ^ 0x80000000u;
    return descending ? ~key : key;
  }
  const vf value = (vf)x;
  const vu bits = select(value == 0.0f, vu{}, x);
  const vu key = bits ^ (((vu)((vi)bits >> 31)) | 0x80000000u);
  return select(value == value, descending ? ~key : key, splat(~0u));
}

// Keys are 64 bits wide with the position below: no two are equal, and any way of sorting them is stable.
void insertionSort(uint64_t* keys, int32_t n) {
  for (int32_t i = 1; i < n; i++) {
    const uint64_t key = keys[i];
    int32_t j = i;
    for (; j > 0 && keys[j - 1] > key; j--) keys[j] = keys[j - 1];
    keys[j] = key;
  }
}

// By the key's bytes from the lowest up; a byte that is the same everywhere is passed over. Returns where the sorted keys are.
uint64_t* radixSort(uint64_t* keys, uint64_t* other, int32_t n) {
  uint32_t count[kDigits][kDigitValues];
  std::memset(count, 0, sizeof count);
  for (int32_t i = 0; i < n; i++)
    for (int d = 0; d < kDigits; d++) count[d][(keys[i] >> (32 + 8 * d)) & 255]++;
  for (int d = 0; d < kDigits; d++) {
    const int shift = 32 + 8 * d;
    if (count[d][(keys[0] >> shift) & 255] == static_cast<uint32_t>(n)) continue;
    uint32_t start = 0;
    for (int v = 0; v < kDigitValues; v++) {
      const uint32_t values = count[d][v];
      count[d][v] = start;
      start += values;
    }
    for (int32_t i = 0; i < n; i++) other[count[d][(keys[i] >> shift) & 255]++] = keys[i];
    uint64_t* sorted = other;
    other = keys;
    keys = sorted;
  }
  return keys;
}

// Sorts n words that are `step` apart and writes their order, equally far apart. `keys` has room for twice n.
void sortRow(const ArgSortPlan& plan, const uint32_t* x, int64_t step, uint32_t* order, int64_t orderStep, uint64_t* keys) {
  const int32_t n = plan.n;
  for (int32_t i = 0; i < n; i += W) {
    const int32_t m = n - i < W ? n - i : W;
    uint32_t words[W] = {};
    for (int32_t j = 0; j < m; j++) words[j] = x[(i + j) * step];
    store(words, keysOf(load(words), plan.integer, plan.descending));
    for (int32_t j = 0; j < m; j++) keys[i + j] = uint64_t{words[j]} << 32 | static_cast<uint32_t>(i + j);
  }
  if (n > kInsertion) keys = radixSort(keys, keys + n, n);
  else insertionSort(keys, n);
  for (int32_t i = 0; i < n; i++) order[i * orderStep] = static_cast<uint32_t>(keys[i]);
}

// All lanes at once: an element's place is the number of those before it that are not greater and of those after it that are less.
void rankLanes(const ArgSortPlan& plan, const uint32_t* x, uint32_t* order, int64_t step, uint32_t* scratch) {
  const int32_t n = plan.n;
  vu *key = reinterpret_cast<vu*>(scratch), *rank = key + n;
  for (int64_t lane = 0; lane < plan.lanes; lane += W) {
    const int64_t m = plan.lanes - lane < W ? plan.lanes - lane : W;
    for (int32_t i = 0; i < n; i++) {
      const uint32_t* from = x + i * step + lane;
      key[i] = keysOf(m == W ? load(from) : loadPart(from, m), plan.integer, plan.descending);
      rank[i] = vu{};
    }
    for (int32_t i = 1; i < n; i++) {
      const vu mine = key[i];
      vu place = rank[i];
      for (int32_t j = 0; j < i; j++) {
        const vu after = (vu)(mine < key[j]);  // all ones where j comes after i
        rank[j] -= after;
        place += after + 1u;
      }
      rank[i] = place;
    }
    for (int32_t i = 0; i < n; i++) {
      uint32_t places[W];
      store(places, rank[i]);
      for (int64_t l = 0; l < m; l++) order[places[l] * step + lane + l] = static_cast<uint32_t>(i);
    }
  }
}

}  // namespace

ArgSortPlan* planArgSort(Reader& reader, int lanes, Arena& arena) {
  ArgSortPlan* plan = arena.make<ArgSortPlan>();
  if (!plan) return nullptr;
  plan->mode = reader.next();
  plan->integer = reader.next() != 0;
  plan->descending = reader.next() != 0;
  plan->outer = reader.next();
  plan->n = reader.next();
  plan->x = readOperand(reader, 0, lanes);
  plan->output = readOperand(reader, 0, lanes);
  plan->lanes = lanes;
  return plan;
}

size_t argSortScratch(const ArgSortPlan& plan) {
  const size_t n = static_cast<size_t>(plan.n);
  if (plan.x.varying && plan.n <= kRanked) return n * 2 * sizeof(vu);
  return n * 2 * sizeof(uint64_t) + (plan.mode == 1 && !plan.x.varying ? n * 4 : 0);
}

void runArgSort(const ArgSortPlan& plan, TileContext& context) {
  const uint32_t* x = plan.x.read(context);
  uint32_t* output = plan.output.write(context);
  uint64_t* keys = static_cast<uint64_t*>(context.scratch);
  const int64_t n = plan.n, lanes = plan.lanes;
  for (int32_t o = 0; o < plan.outer; o++) {
    if (plan.mode == 0) {
      sortRow(plan, x + o * n, 1, output + o * n, 1, keys);
    } else if (!plan.x.varying) {
      uint32_t* order = reinterpret_cast<uint32_t*>(keys + 2 * n);
      sortRow(plan, x + o * n, 1, order, 1, keys);
      copyRows(output + o * n * lanes, lanes, order, 1, true, n, lanes);
    } else if (n <= kRanked) {
      rankLanes(plan, x + o * n * lanes, output + o * n * lanes, lanes, static_cast<uint32_t*>(context.scratch));
    } else {
      for (int64_t lane = 0; lane < lanes; lane++) sortRow(plan, x + o * n * lanes + lane, lanes, output + o * n * lanes + lane, lanes, keys);
    }
  }
}

}  // namespace unrolled::UNROLLED_LEVEL
