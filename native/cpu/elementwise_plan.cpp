#include "elementwise_plan.h"

#include "elementwise.h"
#include "simd.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

constexpr int kMaxInputs = 16, kMaxOutputs = 8, kMaxRegisters = 64, kMaxSteps = 64;
constexpr int kNever = -2, kBeforeChunks = -1, kAtEnd = 1 << 20;
// Rows of at least this many words are run one by one: everything about a row is then in place.
constexpr int64_t kLongRow = 512;
// Segments shorter than this are taken several to a chunk: a micro-op costs a few ns to start.
constexpr int64_t kShortSegment = 256;
// Words that the registers and streams of a chunk should fill together (24 KiB), and the bounds for one of them.
constexpr int64_t kChunkBudget = 6144, kChunkMin = 256, kChunkMax = 1024;

struct MicroWords {
  int32_t micro, to, a, b, c;
  uint32_t bits[2];
};

// The group as written, then with its dims simplified.
struct Group {
  int rank;
  int32_t dims[kMaxRank];
  int inputs, outputs, registers, micros;
  Operand operand[kMaxInputs + kMaxOutputs];  // inputs, then outputs
  int outputRegister[kMaxOutputs];
  MicroWords micro[kMaxSteps];
  int operands() const { return inputs + outputs; }
};

void readGroup(Reader& reader, int lanes, Group& g) {
  g.rank = reader.next();
  reader.next(g.dims, g.rank);
  g.inputs = reader.next();
  for (int i = 0; i < g.inputs; i++) g.operand[i] = readOperand(reader, g.rank, lanes);
  g.outputs = reader.next();
  for (int i = 0; i < g.outputs; i++) {
    g.outputRegister[i] = reader.next();
    g.operand[g.inputs + i] = readOperand(reader, g.rank, lanes);
  }
  g.registers = reader.next();
  g.micros = reader.next();
  for (int i = 0; i < g.micros; i++) {
    MicroWords& m = g.micro[i];
    m.micro = reader.next();
    m.to = reader.next();
    m.a = reader.next();
    m.b = reader.next();
    m.c = reader.next();
    m.bits[0] = static_cast<uint32_t>(reader.next());
    m.bits[1] = static_cast<uint32_t>(reader.next());
  }
}

void moveDim(Group& g, int from, int to) {
  g.dims[to] = g.dims[from];
  for (int i = 0; i < g.operands(); i++) g.operand[i].strides[to] = g.operand[i].strides[from];
}
void swapDims(Group& g, int a, int b) {
  const int32_t d = g.dims[a];
  g.dims[a] = g.dims[b];
  g.dims[b] = d;
  for (int i = 0; i < g.operands(); i++) {
    int64_t* s = g.operand[i].strides;
    const int64_t t = s[a];
    s[a] = s[b];
    s[b] = t;
  }
}
bool mergeable(const Group& g, int d) {
  for (int i = 0; i < g.operands(); i++) {
    const int64_t* s = g.operand[i].strides;
    if (s[d] != s[d + 1] * g.dims[d + 1]) return false;
  }
  return true;
}
int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

// Drops dims of 1, puts the first output's densest dim last, joins dims that all operands step through evenly.
void simplifyDims(Group& g) {
  int rank = 0;
  for (int d = 0; d < g.rank; d++)
    if (g.dims[d] != 1) moveDim(g, d, rank++);
  g.rank = rank;
  const int64_t* order = g.operand[g.inputs].strides;
  for (int i = 1; i < g.rank; i++)
    for (int d = i; d > 0 && magnitude(order[d - 1]) < magnitude(order[d]); d--) swapDims(g, d - 1, d);
  for (int d = g.rank - 2; d >= 0; d--) {
    if (!mergeable(g, d)) continue;
    const int32_t merged = g.dims[d] * g.dims[d + 1];
    for (int e = d; e + 1 < g.rank; e++) moveDim(g, e + 1, e);
    g.dims[d] = merged;
    g.rank--;
  }
}

// The dims of a product group are its rows and columns; they become one only if that holds for any number of whole rows.
bool mergeProductDims(Group& g) {
  if (g.dims[1] == 1) {
    g.rank = 1;
    return true;
  }
  if (!mergeable(g, 0)) return false;
  g.dims[0] *= g.dims[1];
  for (int i = 0; i < g.operands(); i++) g.operand[i].strides[0] = g.operand[i].strides[1];
  g.rank = 1;
  return true;
}

struct Range {
  int64_t low, high;
};
Range rangeOf(const Group& g, const Operand& o, int64_t row) {
  Range r{o.offset, o.offset + row};
  for (int d = 0; d < g.rank; d++) {
    const int64_t reach = o.strides[d] * (g.dims[d] - 1);
    (reach < 0 ? r.low : r.high) += reach;
  }
  return r;
}

struct Planner {
  Group& g;
  ElementwisePlan& plan;
  Arena& arena;
  int mode;

  Width width[kRegisterTable];
  When when[kRegisterTable];
  bool computed[kRegisterTable] = {};  // by a micro-op of a chunk
  int lastUse[kRegisterTable];
  int expansionOf[kMaxRegisters];
  int tableSize;
  MicroStep steps[3][kMaxSteps];
  Place places[kRegisterTable];
  Expansion expansions[2][kMaxRegisters];

  bool zeroOuter(const Operand& o) const {
    for (int d = 0; d < plan.outerRank; d++)
      if (o.strides[d] != 0) return false;
    return true;
  }
  bool contiguous(const Operand& o, int64_t inner) const {
    if (inner != plan.rowWords) return false;
    int64_t expected = plan.rowWords * plan.inner;
    for (int d = plan.outerRank - 1; d >= 0; d--) {
      if (o.strides[d] != expected) return false;
      expected *= plan.outer[d];
    }
    return true;
  }
  bool overlap(int a, int b) const {
    const Operand &x = g.operand[a], &y = g.operand[b];
    if (x.space != y.space || x.space == kProduct) return false;
    const Range p = rangeOf(g, x, x.varying ? plan.rowWords : 1), q = rangeOf(g, y, y.varying ? plan.rowWords : 1);
    return p.low < q.high && q.low < p.high;
  }

  // Splits the dims into outer ones and the run inside a segment.
  void chooseSegments(bool allowSeveral) {
    const bool oneByOne = mode == 1 && plan.rowWords >= kLongRow;
    plan.outerRank = oneByOne || g.rank == 0 ? g.rank : g.rank - 1;
    for (int d = 0; d < plan.outerRank; d++) plan.outer[d] = g.dims[d];
    plan.inner = plan.outerRank == g.rank ? 1 : g.dims[g.rank - 1];
    plan.severalSegments = allowSeveral && !oneByOne && plan.outerRank > 0 && plan.inner * plan.rowWords < kShortSegment;
  }

  Stream makeStream(int index, int reg) {
    const Operand& o = g.operand[index];
    Stream s{};
    s.operand = o;
    s.product = o.space == kProduct;
    s.reg = static_cast<uint8_t>(reg);
    s.width = Width::kFull;
    const bool rows = o.varying || mode == 0;  // an element of it is a row of the group
    s.inner = plan.outerRank == g.rank ? (rows ? plan.rowWords : 0) : o.strides[g.rank - 1];
    const bool oneRow = plan.outerRank == g.rank;
    const bool moving = rows && (oneRow || (plan.severalSegments ? contiguous(o, s.inner) : s.inner == plan.rowWords));
    s.kind = moving ? Stream::kMoving : Stream::kCopied;
    return s;
  }

  void classifyInput(int i) {
    Stream& s = plan.input[i];
    s = makeStream(i, i);
    const Operand& o = s.operand;
    const bool still = plan.severalSegments ? s.inner == 0 && zeroOuter(o) : s.inner == 0;
    // A lone word of a uniform group is a scalar as well: it is then computed as a run of one word, once.
    bool lone = mode == 0 && plan.outerRank == 0 && plan.inner == 1 && !s.product;
    for (int o = 0; o < g.outputs; o++) lone = lone && !overlap(i, g.inputs + o);
    if (still || lone) {
      s.kind = Stream::kFixed;
      s.width = mode == 1 && o.varying ? Width::kRow : Width::kScalar;
      when[i] = zeroOuter(o) ? When::kRun : When::kSegment;
    } else {
      when[i] = When::kChunk;
    }
    width[i] = s.width;
  }

  int expand(int reg) {
    if (expansionOf[reg] < 0) {
      const int to = tableSize++;
      const int list = static_cast<int>(when[reg]);
      expansions[list][plan.expansions[list]++] = {static_cast<uint8_t>(reg), static_cast<uint8_t>(to)};
      expansionOf[reg] = to;
    }
    return expansionOf[reg];
  }

  void addStep(const MicroWords& m) {
    const int operands = microOperands(m.micro);
    if (operands == 0) {
      width[m.to] = Width::kScalar;
      when[m.to] = When::kRun;
      plan.constant[plan.constants++] = {static_cast<uint8_t>(m.to), m.bits[0]};
      return;
    }
    int from[3] = {m.a, m.b, m.c};
    Width w = Width::kScalar;
    When t = When::kRun;
    for (int i = 0; i < operands; i++) {
      if (width[from[i]] > w) w = width[from[i]];
      if (when[from[i]] > t) t = when[from[i]];
    }
    if (w == Width::kFull) t = When::kChunk;
    int& count = plan.steps[static_cast<int>(t)];
    unsigned scalars = 0;
    for (int i = 0; i < operands; i++) {
      if (w != Width::kScalar && width[from[i]] == Width::kScalar) scalars |= 1u << i;
      if (w == Width::kFull && width[from[i]] == Width::kRow) from[i] = expand(from[i]);
      lastUse[from[i]] = t == When::kChunk ? count : lastUse[from[i]] < kBeforeChunks ? kBeforeChunks : lastUse[from[i]];
    }
    for (int i = operands; i < 3; i++) from[i] = from[0];
    MicroStep& step = steps[static_cast<int>(t)][count++];
    step = {microKernel(m.micro, scalars), static_cast<uint8_t>(m.to), static_cast<uint8_t>(from[0]), static_cast<uint8_t>(from[1]),
            static_cast<uint8_t>(from[2]), w, {m.bits[0], m.bits[1]}};
    width[m.to] = w;
    when[m.to] = t;
    computed[m.to] = t == When::kChunk;
  }

  int stepThatMakes(int reg) const {
    for (int i = 0; i < plan.steps[2]; i++)
      if (steps[2][i].to == reg) return i;
    return kNever;
  }

  // Outputs are written by the micro-op that makes them where no later reader of an overlapping input could notice, and copied out
  // at the end of the chunk elsewhere.
  void placeOutputs() {
    bool taken[kMaxRegisters] = {};
    for (int o = 0; o < plan.outputs; o++) {
      const int reg = g.outputRegister[o];
      Stream& s = plan.output[o];
      s = makeStream(g.inputs + o, reg);
      s.width = width[reg];
      if (reg < g.inputs) lastUse[reg] = kAtEnd;
    }
    for (int o = 0; o < plan.outputs; o++) {
      Stream& s = plan.output[o];
      const int reg = s.reg;
      if (s.kind == Stream::kMoving && computed[reg] && !taken[reg]) {
        const int made = stepThatMakes(reg);
        bool safe = true;
        for (int i = 0; i < g.inputs && safe; i++)
          safe = plan.input[i].kind == Stream::kCopied || lastUse[i] <= made || !overlap(i, g.inputs + o);
        if (safe) {
          s.direct = true;
          taken[reg] = true;
        }
      }
      if (!s.direct) lastUse[reg] = kAtEnd;
    }
    // An input that is also an output's source must not change under it while outputs are copied.
    for (int i = 0; i < g.inputs; i++) {
      if (lastUse[i] != kAtEnd || plan.input[i].kind != Stream::kMoving) continue;
      for (int o = 0; o < plan.outputs; o++)
        if (overlap(i, g.inputs + o)) plan.input[i].kind = Stream::kCopied;
    }
  }

  void place(int reg, size_t offset) { places[plan.places++] = {static_cast<uint8_t>(reg), offset}; }

  // Gives every register that needs memory its place. A chunk's registers share slots by the last use of each.
  void placeRegisters() {
    bool needsSlot[kRegisterTable] = {};
    int slotOf[kRegisterTable];
    bool slotBusy[kRegisterTable] = {};
    int slots = 0, streams = 0;
    auto take = [&](int reg) {
      int s = 0;
      while (slotBusy[s]) s++;
      slotBusy[s] = true;
      slotOf[reg] = s;
      if (s + 1 > slots) slots = s + 1;
    };
    for (int i = 0; i < plan.inputs; i++) {
      Stream& s = plan.input[i];
      if (s.kind == Stream::kCopied && lastUse[i] == kNever) {  // read by nobody
        s.kind = Stream::kFixed;
        s.width = Width::kScalar;
      }
      if (s.kind == Stream::kCopied) {
        needsSlot[i] = true;
        take(i);
        s.periodic = plan.severalSegments && !s.product && zeroOuter(s.operand);
        if (s.periodic) lastUse[i] = kAtEnd;  // its slot is nobody else's
      } else if (s.kind == Stream::kMoving) {
        streams++;
      }
    }
    for (int r = 0; r < g.registers; r++) needsSlot[r] |= computed[r];
    for (int o = 0; o < plan.outputs; o++) {
      if (plan.output[o].direct) needsSlot[plan.output[o].reg] = false;
      if (plan.output[o].kind == Stream::kMoving) streams++;
    }
    for (int j = 0; j < plan.steps[2]; j++) {
      const MicroStep& step = steps[2][j];
      const int from[3] = {step.a, step.b, step.c};
      for (int reg : from)
        if (needsSlot[reg] && lastUse[reg] == j) slotBusy[slotOf[reg]] = false;
      if (needsSlot[step.to]) {
        take(step.to);
        if (lastUse[step.to] == kNever) slotBusy[slotOf[step.to]] = false;
      }
    }
    const int expansionCount = plan.expansions[0] + plan.expansions[1];
    int64_t chunk = kChunkBudget / (slots + streams + expansionCount + 1);
    chunk = chunk < kChunkMin ? kChunkMin : chunk > kChunkMax ? kChunkMax : chunk;
    chooseChunk(chunk);

    // Slots start a few lines apart: equal low address bits of a load and an earlier store look like a dependency.
    const size_t slotBytes = ((static_cast<size_t>(plan.chunkWords) * 4 + 63) & ~size_t{63}) + 320;
    const size_t rowBytes = (static_cast<size_t>(plan.rowWords) * 4 + 63) & ~size_t{63};
    size_t at = 0;
    for (int r = 0; r < g.registers; r++)
      if (needsSlot[r]) place(r, static_cast<size_t>(slotOf[r]) * slotBytes);
    at = static_cast<size_t>(slots) * slotBytes;
    for (int list = 0; list < 2; list++)
      for (int e = 0; e < plan.expansions[list]; e++, at += slotBytes) place(expansions[list][e].to, at);
    for (int list = 0; list < 2; list++)
      for (int j = 0; j < plan.steps[list]; j++) {
        place(steps[list][j].to, at);
        at += steps[list][j].width == Width::kRow ? rowBytes : 64;
      }
    plan.scratchBytes = at;
  }

  void chooseChunk(int64_t words) {
    plan.chunkSegments = 1;
    if (plan.severalSegments) {
      const int64_t segment = plan.inner * plan.rowWords;
      plan.chunkSegments = words / segment < 1 ? 1 : words / segment;
      plan.chunkWords = plan.chunkSegments * segment;
    } else if (plan.inner == 1 || plan.rowWords == 1) {
      // Pieces of one row, or of one run of words, of equal size.
      const int64_t total = plan.inner * plan.rowWords, pieces = (total + words - 1) / words;
      const int64_t size = (total + pieces - 1) / pieces;
      plan.chunkWords = (size + W - 1) / W * W;
    } else {
      const int64_t rows = words / plan.rowWords;
      plan.chunkWords = (rows < 1 ? 1 : rows) * plan.rowWords;
    }
  }

  template <class T>
  T* keep(const T* from, int count) {
    T* to = arena.make<T>(static_cast<size_t>(count));
    if (to && count) std::memcpy(to, from, sizeof(T) * static_cast<size_t>(count));
    return to;
  }

  void run() {
    for (int r = 0; r < kRegisterTable; r++) lastUse[r] = kNever;
    for (int r = 0; r < kMaxRegisters; r++) expansionOf[r] = -1;
    tableSize = g.registers;
    plan.inputs = g.inputs;
    plan.outputs = g.outputs;
    plan.input = arena.make<Stream>(static_cast<size_t>(g.inputs));
    plan.output = arena.make<Stream>(static_cast<size_t>(g.outputs));
    plan.constant = arena.make<Constant>(static_cast<size_t>(g.micros));
    if (arena.failed) return;
    for (int i = 0; i < g.inputs; i++) classifyInput(i);
    for (int i = 0; i < g.micros; i++) addStep(g.micro[i]);
    placeOutputs();
    placeRegisters();
    for (int t = 0; t < 3; t++) plan.step[t] = keep(steps[t], plan.steps[t]);
    for (int t = 0; t < 2; t++) plan.expansion[t] = keep(expansions[t], plan.expansions[t]);
    plan.place = keep(places, plan.places);
  }
};

}  // namespace

ElementwisePlan* planElementwise(Reader& reader, int mode, int lanes, Arena& arena, bool product, int32_t blockColumns) {
  Group g;
  readGroup(reader, lanes, g);
  ElementwisePlan* plan = arena.make<ElementwisePlan>();
  if (!plan) return nullptr;
  plan->rowWords = mode == 0 ? 1 : lanes;
  for (int d = 0; d < g.rank; d++)
    if (g.dims[d] == 0) plan->empty = true;
  if (plan->empty) return plan;
  const bool completeColumns = product && blockColumns == g.dims[1];
  if (product) {
    Operand& o = g.operand[0];
    o = Operand{};
    o.space = kProduct;
    o.varying = mode == 1;
    o.strides[0] = plan->rowWords * blockColumns;
    o.strides[1] = plan->rowWords;
    if (completeColumns) plan->mergedRows = mergeProductDims(g);
  } else {
    simplifyDims(g);
  }
  Planner planner{g, *plan, arena, mode, {}, {}, {}, {}, {}, 0, {}, {}, {}};
  planner.chooseSegments(!product || completeColumns);
  planner.run();
  return plan;
}

bool isUpdate(Reader reader, int lanes, ProductUpdate& update) {
  Group g;
  readGroup(reader, lanes, g);
  const MicroWords& m = g.micro[0];
  if (g.outputs != 1 || g.micros != 1 || g.outputRegister[0] != m.to) return false;
  const auto inPlace = [&](const Operand& w, const Operand& out) {
    return w.space == out.space && w.offset == out.offset && w.strides[0] == out.strides[0] && w.strides[1] == out.strides[1];
  };
  if (g.inputs == 2 && m.micro == kAddF && (m.a == 0) != (m.b == 0)) {
    update = {g.operand[1], {}, true};
    return inPlace(g.operand[1], g.operand[2]);
  }
  if (g.inputs != 3 || m.micro != kNegMulAddF) return false;
  const int other = m.a == 0 ? m.b : m.b == 0 ? m.a : 0;
  if (other == 0 || m.c == 0 || m.c == other || m.c >= 3 || other >= 3) return false;
  const Operand &w = g.operand[m.c], &out = g.operand[3], &rate = g.operand[other];
  if (!inPlace(w, out) || rate.strides[0] != 0 || rate.strides[1] != 0) return false;
  update = {w, rate, false};
  return true;
}

size_t elementwiseScratch(const ElementwisePlan& plan) { return plan.scratchBytes; }

}  // namespace unrolled::UNROLLED_LEVEL
