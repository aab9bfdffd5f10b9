#include "elementwise.h"

#include "elementwise_plan.h"
#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

// n segments of `inner` words each, contiguously; the source has as many words `stride` apart, or (splat) one that fills the segment.
// A segment's last vector is stored whole: the next segment, or the room behind a register, takes what it writes too much.
void copyShortSegments(uint32_t* to, const uint32_t* from, int64_t stride, bool splatSource, int64_t n, int64_t inner) {
  if (splatSource) {
    for (int64_t k = 0; k < n; k++, to += inner, from += stride) {
      const vu v = splat(*from);
      for (int64_t i = 0; i < inner; i += W) store(to + i, v);
    }
    return;
  }
  const int64_t whole = inner & ~int64_t{W - 1}, rest = inner - whole;
  for (int64_t k = 0; k < n; k++, to += inner, from += stride) {
    for (int64_t i = 0; i < whole; i += W) store(to + i, load(from + i));
    if (rest) store(to + whole, loadPart(from + whole, rest));
  }
}

// One run of a plan over a box of its rows.
struct Run {
  const ElementwisePlan& plan;
  int32_t outer[kMaxRank];
  int32_t inner;
  int64_t productStride[kMaxRank];  // of the outer dims, for the product
  uint32_t* reg[kRegisterTable];
  const uint32_t* input[16];  // where each stream's segment begins
  uint32_t* output[8];

  explicit Run(const ElementwisePlan& p) : plan(p), inner(p.inner) {}

  int64_t outerStride(const Stream& s, int d) const { return s.product ? productStride[d] : s.operand.strides[d]; }

  void steps(When when, int64_t words) {
    const MicroStep* step = plan.step[static_cast<int>(when)];
    for (const MicroStep* end = step + plan.steps[static_cast<int>(when)]; step != end; step++) {
      const int64_t n = step->width == Width::kFull ? words : step->width == Width::kRow ? plan.rowWords : 1;
      step->kernel(reg[step->to], reg[step->a], reg[step->b], reg[step->c], n, step->bits);
    }
  }
  void chunkSteps(int64_t words) {
    const MicroStep* step = plan.step[2];
    for (const MicroStep* end = step + plan.steps[2]; step != end; step++)
      step->kernel(reg[step->to], reg[step->a], reg[step->b], reg[step->c], words, step->bits);
  }
  void expand(When when, int64_t words) {
    const int list = static_cast<int>(when);
    for (int e = 0; e < plan.expansions[list]; e++) {
      const Expansion& x = plan.expansion[list][e];
      repeatRow(reg[x.to], reg[x.from], words / plan.rowWords, plan.rowWords);
    }
  }
  void begin(char* scratch) {
    for (int i = 0; i < plan.places; i++) reg[plan.place[i].reg] = reinterpret_cast<uint32_t*>(scratch + plan.place[i].offset);
    for (int i = 0; i < plan.constants; i++)
      reg[plan.constant[i].reg] = const_cast<uint32_t*>(&plan.constant[i].word);
    pointFixed();
  }
  void pointFixed() {
    for (int i = 0; i < plan.inputs; i++)
      if (plan.input[i].kind == Stream::kFixed) reg[plan.input[i].reg] = const_cast<uint32_t*>(input[i]);
  }
  int64_t longestChunk(int64_t total) const { return total < plan.chunkWords ? total : plan.chunkWords; }

  // Writes a register's words to rows of memory, `stride` words apart.
  void copyOut(const Stream& s, uint32_t* to, int64_t stride, int64_t rows, int64_t words) const {
    const int64_t rowWords = plan.rowWords;
    const uint32_t* from = reg[s.reg];
    if (s.width == Width::kFull) {
      if (stride == rowWords) copyWords(to, from, words);
      else copyRows(to, stride, from, rowWords, false, rows, rowWords);
    } else if (s.width == Width::kRow) {
      copyRows(to, stride, from, 0, false, rows, rowWords);
    } else if (stride == rowWords) {
      splatWords(to, *from, words);
    } else {
      copyRows(to, stride, from, 0, rowWords != 1, rows, rowWords);
    }
  }

  // Moves all streams to the next segment; false after the last one.
  bool advance(int32_t* index) {
    for (int d = plan.outerRank - 1; d >= 0; d--) {
      const bool carry = ++index[d] == outer[d];
      const int64_t count = carry ? 1 - int64_t{outer[d]} : 1;
      for (int i = 0; i < plan.inputs; i++) input[i] += count * outerStride(plan.input[i], d);
      for (int i = 0; i < plan.outputs; i++) output[i] += count * plan.output[i].operand.strides[d];
      if (!carry) return true;
      index[d] = 0;
    }
    return false;
  }

  void runSegments() {
    const int64_t rowWords = plan.rowWords, total = inner * rowWords;
    const bool perSegment = plan.steps[1] + plan.expansions[1] > 0;
    int32_t index[kMaxRank] = {};
    steps(When::kRun, 0);
    expand(When::kRun, longestChunk(total));
    do {
      pointFixed();
      if (perSegment) {
        steps(When::kSegment, 0);
        expand(When::kSegment, longestChunk(total));
      }
      for (int64_t at = 0; at < total; at += plan.chunkWords) {
        const int64_t words = total - at < plan.chunkWords ? total - at : plan.chunkWords;
        const int64_t row = at / rowWords, rows = words / rowWords;
        for (int i = 0; i < plan.inputs; i++) {
          const Stream& s = plan.input[i];
          if (s.kind == Stream::kMoving) reg[s.reg] = const_cast<uint32_t*>(input[i]) + at;
          else if (s.kind == Stream::kCopied) copyIn(s, input[i] + row * s.inner, at, words, rows);
        }
        for (int i = 0; i < plan.outputs; i++)
          if (plan.output[i].direct) reg[plan.output[i].reg] = output[i] + at;
        chunkSteps(words);
        for (int i = 0; i < plan.outputs; i++) {
          const Stream& s = plan.output[i];
          if (s.direct) continue;
          if (s.kind == Stream::kMoving) copyOutMoving(s, output[i] + at, at, words, rows);
          else copyOut(s, output[i] + row * s.inner, s.inner, rows, words);
        }
      }
    } while (advance(index));
  }
  // A chunk may be a piece of one long row, which has no row count.
  void copyIn(const Stream& s, const uint32_t* from, int64_t at, int64_t words, int64_t rows) {
    const int64_t rowWords = plan.rowWords;
    if (rows * rowWords != words) copyWords(reg[s.reg], from + at % rowWords, words);
    else copyRows(reg[s.reg], rowWords, from, s.inner, !s.operand.varying && rowWords != 1, rows, rowWords);
  }
  void copyOutMoving(const Stream& s, uint32_t* to, int64_t at, int64_t words, int64_t rows) const {
    if (s.width == Width::kRow && rows * plan.rowWords != words) copyWords(to, reg[s.reg] + at % plan.rowWords, words);
    else copyOut(s, to, plan.rowWords, rows, words);
  }

  // Calls body(offset of a segment, its number, n) for `count` segments from `first` on, n at a time: those that differ in the last
  // outer dim only.
  template <class Body>
  void eachSegments(const Stream& s, int64_t first, int64_t count, Body body) const {
    int32_t index[kMaxRank];
    int64_t rest = first, offset = 0;
    for (int d = plan.outerRank - 1; d >= 0; d--) {
      index[d] = static_cast<int32_t>(rest % outer[d]);
      rest /= outer[d];
      offset += index[d] * outerStride(s, d);
    }
    const int last = plan.outerRank - 1;
    for (int64_t i = 0; i < count;) {
      const int64_t left = outer[last] - index[last], n = count - i < left ? count - i : left;
      body(offset, i, n);
      i += n;
      offset += (n - 1) * outerStride(s, last);
      index[last] += static_cast<int32_t>(n - 1);
      for (int d = last; d >= 0; d--) {
        offset += outerStride(s, d);
        if (++index[d] < outer[d]) break;
        offset -= outerStride(s, d) * outer[d];
        index[d] = 0;
      }
    }
  }
  // n segments into a register, their sources `stride` words apart.
  void copySegments(const Stream& s, uint32_t* to, const uint32_t* from, int64_t stride, int64_t n) const {
    const int64_t rowWords = plan.rowWords;
    if (rowWords == 1 && (s.inner == 0 || s.inner == 1)) return copyShortSegments(to, from, stride, s.inner == 0, n, inner);
    for (int64_t k = 0; k < n; k++)
      copyRows(to + k * inner * rowWords, rowWords, from + k * stride, s.inner, !s.operand.varying && rowWords != 1, inner, rowWords);
  }
  void fillPeriodic(const Stream& s, const uint32_t* from, int64_t segments) const {
    const int64_t segmentWords = inner * plan.rowWords, words = segments * segmentWords;
    uint32_t* to = reg[s.reg];
    copySegments(s, to, from, 0, 1);
    for (int64_t done = segmentWords; done < words; done *= 2) copyWords(to + done, to, words - done < done ? words - done : done);
  }

  void runSeveral() {
    const int64_t rowWords = plan.rowWords, segmentWords = inner * rowWords;
    int64_t segments = 1;
    for (int d = 0; d < plan.outerRank; d++) segments *= outer[d];
    steps(When::kRun, 0);
    expand(When::kRun, longestChunk(segments * segmentWords));
    for (int i = 0; i < plan.inputs; i++)
      if (plan.input[i].periodic) fillPeriodic(plan.input[i], input[i], segments < plan.chunkSegments ? segments : plan.chunkSegments);
    for (int64_t first = 0; first < segments; first += plan.chunkSegments) {
      const int64_t count = segments - first < plan.chunkSegments ? segments - first : plan.chunkSegments;
      const int64_t at = first * segmentWords, words = count * segmentWords;
      for (int i = 0; i < plan.inputs; i++) {
        const Stream& s = plan.input[i];
        if (s.kind == Stream::kMoving) {
          reg[s.reg] = const_cast<uint32_t*>(input[i]) + at;
        } else if (s.kind == Stream::kCopied && !s.periodic) {
          eachSegments(s, first, count, [&](int64_t offset, int64_t k, int64_t n) {
            copySegments(s, reg[s.reg] + k * segmentWords, input[i] + offset, outerStride(s, plan.outerRank - 1), n);
          });
        }
      }
      for (int i = 0; i < plan.outputs; i++)
        if (plan.output[i].direct) reg[plan.output[i].reg] = output[i] + at;
      chunkSteps(words);
      for (int i = 0; i < plan.outputs; i++) {
        const Stream& s = plan.output[i];
        if (s.direct) continue;
        if (s.kind == Stream::kMoving) {
          copyOut(s, output[i] + at, rowWords, count * inner, words);
          continue;
        }
        eachSegments(s, first, count, [&](int64_t offset, int64_t k, int64_t n) {
          const int64_t stride = outerStride(s, plan.outerRank - 1);
          for (int64_t j = 0; j < n; j++) {
            const uint32_t* from = reg[s.reg] + (s.width == Width::kFull ? (k + j) * segmentWords : 0);
            copyRows(output[i] + offset + j * stride, s.inner, from, s.width == Width::kFull ? rowWords : 0,
                     s.width == Width::kScalar && rowWords != 1, inner, rowWords);
          }
        });
      }
    }
  }

  void run(char* scratch) {
    begin(scratch);
    if (plan.severalSegments) runSeveral();
    else runSegments();
  }
};

}  // namespace

void runElementwise(const ElementwisePlan& plan, TileContext& context, void* scratch) {
  if (plan.empty) return;
  Run run(plan);
  for (int d = 0; d < plan.outerRank; d++) run.outer[d] = plan.outer[d];
  for (int i = 0; i < plan.inputs; i++) run.input[i] = plan.input[i].operand.read(context);
  for (int i = 0; i < plan.outputs; i++) run.output[i] = plan.output[i].operand.write(context);
  run.run(static_cast<char*>(scratch));
}

void runElementwiseBlock(const ElementwisePlan& plan, TileContext& context, void* scratch, const uint32_t* block, int32_t row,
                         int32_t rows, int32_t column, int32_t columns) {
  if (plan.empty || rows == 0 || columns == 0) return;
  Run run(plan);
  // The box that the rectangle is among the plan's dims: rows and columns, either merged, either of them possibly the inner run.
  int32_t begin[2], count[2];
  int dims = 2;
  if (plan.mergedRows) {
    begin[0] = row * columns;
    count[0] = rows * columns;
    dims = 1;
  } else {
    begin[0] = row, count[0] = rows;
    begin[1] = column, count[1] = columns;
  }
  const bool oneRow = plan.outerRank == dims;
  for (int d = 0; d < plan.outerRank; d++) run.outer[d] = count[d];
  run.inner = oneRow ? 1 : count[dims - 1];
  run.productStride[0] = plan.mergedRows ? plan.rowWords : columns * plan.rowWords;
  run.productStride[1] = plan.rowWords;
  auto shift = [&](const Stream& s) {
    int64_t offset = 0;
    for (int d = 0; d < dims; d++) {
      const int64_t stride = d < plan.outerRank ? s.operand.strides[d] : s.inner;
      offset += begin[d] * stride;
    }
    return offset;
  };
  for (int i = 0; i < plan.inputs; i++)
    run.input[i] = plan.input[i].product ? block : plan.input[i].operand.read(context) + shift(plan.input[i]);
  for (int i = 0; i < plan.outputs; i++) run.output[i] = plan.output[i].operand.write(context) + shift(plan.output[i]);
  run.run(static_cast<char*>(scratch));
}

}  // namespace unrolled::UNROLLED_LEVEL
