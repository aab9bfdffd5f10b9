#include "window.h"

#include "rows.h"

namespace unrolled::UNROLLED_LEVEL {

// A varying value is a uniform one whose channels are `lanes` times as many: lanes stand innermost. So there is one kernel for both
// modes, over `channels` words a position.
struct WindowPlan {
  bool sum, gradient;
  int32_t batch, in[3], window[3], out[3], stride[3], dilation[3], padding[3];
  int64_t channels;
  Operand x, dy, output;  // of WINDOW: x and output
  // Uniform operands of a varying instruction are spread over the lanes first, into scratch.
  bool splatX, splatDy;
  int64_t lanes;
};

namespace {

struct Span {
  int32_t from, to;
};
int64_t wordsOf(const WindowPlan& plan, const int32_t* sizes) { return int64_t{plan.batch} * sizes[0] * sizes[1] * sizes[2] * plan.channels; }

// The places k of the window of output o that lie inside the input, along one axis.
Span placesOf(const WindowPlan& plan, int d, int32_t o) {
  const int64_t start = int64_t{o} * plan.stride[d] - plan.padding[d], dilation = plan.dilation[d];
  const int64_t from = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
  const int64_t to = start >= plan.in[d] ? 0 : (plan.in[d] - start + dilation - 1) / dilation;
  const int32_t last = to < plan.window[d] ? static_cast<int32_t>(to) : plan.window[d];
  return {from < last ? static_cast<int32_t>(from) : last, last};
}
// The outputs whose windows have place k inside the input, along one axis.
Span outputsOf(const WindowPlan& plan, int d, int32_t k) {
  const int64_t start = int64_t{k} * plan.dilation[d] - plan.padding[d], stride = plan.stride[d];
  const int64_t from = start >= 0 ? 0 : (-start + stride - 1) / stride;
  const int64_t to = start >= plan.in[d] ? 0 : (plan.in[d] - start + stride - 1) / stride;
  const int32_t last = to < plan.out[d] ? static_cast<int32_t>(to) : plan.out[d];
  return {from < last ? static_cast<int32_t>(from) : last, last};
}
int32_t position(const WindowPlan& plan, int d, int32_t o, int32_t k) {
  return static_cast<int32_t>(int64_t{o} * plan.stride[d] - plan.padding[d] + int64_t{k} * plan.dilation[d]);
}

// Calls body(output word, input word, words) for the runs of a row's outputs that have place k of the last axis inside: one run when
// neighbouring outputs read neighbouring words.
template <class Body>
UNROLLED_INLINE void eachRun(const WindowPlan& plan, int32_t k, Body body) {
  const Span o = outputsOf(plan, 2, k);
  if (o.from >= o.to) return;
  const int64_t from = position(plan, 2, o.from, k) * plan.channels;
  if (plan.stride[2] == 1) return body(o.from * plan.channels, from, (o.to - o.from) * plan.channels);
  for (int32_t i = o.from; i < o.to; i++)
    body(i * plan.channels, from + int64_t{i - o.from} * plan.stride[2] * plan.channels, plan.channels);
}

// Calls body(vector of loads, ...) along `n` words: whole vectors, then what is left.
template <class Body>
UNROLLED_INLINE void eachVector(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + W <= n; i += W) body(i, int64_t{W});
  if (i < n) body(i, n - i);
}
UNROLLED_INLINE vu loadSome(const uint32_t* p, int64_t n) { return n >= W ? load(p) : loadPart(p, n); }
UNROLLED_INLINE void storeSome(uint32_t* p, vu v, int64_t n) {
  if (n >= W) store(p, v);
  else storePart(p, v, n);
}

struct Sum {
  static constexpr uint32_t kIdentity = 0;
  UNROLLED_INLINE vu combine(vu a, vu x) { return (vu)((vf)a + (vf)x); }
  UNROLLED_INLINE uint32_t one(uint32_t a, uint32_t x) {
    float p, q;
    std::memcpy(&p, &a, 4);
    std::memcpy(&q, &x, 4);
    p += q;
    std::memcpy(&a, &p, 4);
    return a;
  }
};
struct Max {
  static constexpr uint32_t kIdentity = 0xff800000;
  // NaN is taken when met, and nothing compares with it afterwards.
  UNROLLED_INLINE vu combine(vu a, vu x) { return select(((vf)x > (vf)a) | ((vf)x != (vf)x), x, a); }
  UNROLLED_INLINE uint32_t one(uint32_t a, uint32_t x) {
    float p, q;
    std::memcpy(&p, &a, 4);
    std::memcpy(&q, &x, 4);
    return q > p || q != q ? x : a;
  }
};

template <class Op>
UNROLLED_INLINE void combineWords(uint32_t* to, const uint32_t* x, int64_t n) {
  if (n == 1) {
    *to = Op::one(*to, *x);
    return;
  }
  eachVector(n, [&](int64_t i, int64_t m) __attribute__((always_inline)) { storeSome(to + i, Op::combine(loadSome(to + i, m), loadSome(x + i, m)), m); });
}

// A window is its first two axes, then its last: rows of the input are combined whole, then their columns. The second part reads the
// combined row as often as the window is wide, the first reads memory once a window row.
template <class Op>
void windows(const WindowPlan& plan, const uint32_t* x, uint32_t* y, uint32_t* combined) {
  const int64_t rowWords = plan.in[2] * plan.channels, outWords = plan.out[2] * plan.channels;
  for (int32_t n = 0; n < plan.batch; n++)
    for (int32_t od = 0; od < plan.out[0]; od++) {
      const Span kd = placesOf(plan, 0, od);
      for (int32_t oh = 0; oh < plan.out[1]; oh++, y += outWords) {
        const Span kh = placesOf(plan, 1, oh);
        splatWords(y, Op::kIdentity, outWords);
        const uint32_t* row = nullptr;
        for (int32_t i = kd.from; i < kd.to; i++)
          for (int32_t j = kh.from; j < kh.to; j++) {
            const int64_t at = (int64_t{n} * plan.in[0] + position(plan, 0, od, i)) * plan.in[1] + position(plan, 1, oh, j);
            const uint32_t* from = x + at * rowWords;
            if (!row) {
              row = from;  // the first row need not be copied, nor a single one
            } else if (row != combined) {
              eachVector(rowWords, [&](int64_t w, int64_t m) __attribute__((always_inline)) {
                storeSome(combined + w, Op::combine(loadSome(row + w, m), loadSome(from + w, m)), m);
              });
              row = combined;
            } else {
              combineWords<Op>(combined, from, rowWords);
            }
          }
        if (!row) continue;
        for (int32_t k = 0; k < plan.window[2]; k++)
          eachRun(plan, k, [&](int64_t o, int64_t i, int64_t words) __attribute__((always_inline)) { combineWords<Op>(y + o, row + i, words); });
      }
    }
}

// dx of sums: the rows of dy whose windows hold a row of x are added, then each goes to the columns of its windows.
void spreadSums(const WindowPlan& plan, const uint32_t* dy, uint32_t* dx, uint32_t* combined) {
  const int64_t rowWords = plan.in[2] * plan.channels, outWords = plan.out[2] * plan.channels;
  for (int32_t n = 0; n < plan.batch; n++)
    for (int32_t d = 0; d < plan.in[0]; d++)
      for (int32_t h = 0; h < plan.in[1]; h++, dx += rowWords) {
        splatWords(dx, 0, rowWords);
        const uint32_t* row = nullptr;
        for (int32_t i = 0; i < plan.window[0]; i++) {
          const int64_t od = int64_t{d} + plan.padding[0] - int64_t{i} * plan.dilation[0];
          if (od < 0 || od % plan.stride[0] || od / plan.stride[0] >= plan.out[0]) continue;
          for (int32_t j = 0; j < plan.window[1]; j++) {
            const int64_t oh = int64_t{h} + plan.padding[1] - int64_t{j} * plan.dilation[1];
            if (oh < 0 || oh % plan.stride[1] || oh / plan.stride[1] >= plan.out[1]) continue;
            const uint32_t* from = dy + ((int64_t{n} * plan.out[0] + od / plan.stride[0]) * plan.out[1] + oh / plan.stride[1]) * outWords;
            if (!row) {
              row = from;
            } else {
              if (row != combined) copyWords(combined, row, outWords);
              row = combined;
              combineWords<Sum>(combined, from, outWords);
            }
          }
        }
        if (!row) continue;
        for (int32_t k = 0; k < plan.window[2]; k++)
          eachRun(plan, k, [&](int64_t o, int64_t i, int64_t words) __attribute__((always_inline)) { combineWords<Sum>(dx + i, row + o, words); });
      }
}

// Outputs whose windows lie alike: the places inside the input, by axis, and where they are. Word w of the outputs and place (i, j, k) meet
// at x[start + i step[0] + j step[1] + k step[2] + w].
struct Alike {
  Span places[3];
  int64_t start, step[3];
  int64_t words;
};
template <class Body>
UNROLLED_INLINE void eachPlace(const WindowPlan& plan, const Alike& a, Body body) {
  for (int32_t i = a.places[0].from; i < a.places[0].to; i++)
    for (int32_t j = a.places[1].from; j < a.places[1].to; j++) {
      const int32_t number = (i * plan.window[1] + j) * plan.window[2];
      const int64_t row = a.start + i * a.step[0] + j * a.step[1];
      for (int32_t k = a.places[2].from; k < a.places[2].to; k++) body(number + k, row + k * a.step[2]);
    }
}

// Finds the place of each maximum, then adds its dy there. No two outputs of `a` share a word at the same place.
void giveToMaxima(const WindowPlan& plan, const Alike& a, const uint32_t* x, const uint32_t* dy, uint32_t* dx) {
  if (a.words <= 2) {
    const float *values = reinterpret_cast<const float*>(x), *given = reinterpret_cast<const float*>(dy);
    float* to = reinterpret_cast<float*>(dx);
    for (int64_t w = 0; w < a.words; w++) {
      int64_t best = -1;
      eachPlace(plan, a, [&](int32_t, int64_t at) __attribute__((always_inline)) {
        const float value = values[at + w], old = best < 0 ? value : values[best];
        if (best < 0 || value > old || (value != value && old == old)) best = at + w;
      });
      if (best >= 0) to[best] += given[w];
    }
    return;
  }
  eachVector(a.words, [&](int64_t w, int64_t m) __attribute__((always_inline)) {
    vf best{};
    vi where = splat(int32_t{-1});
    eachPlace(plan, a, [&](int32_t number, int64_t at) __attribute__((always_inline)) {
      const vf value = (vf)loadSome(x + at + w, m);
      const vi better = (where < 0) | (value > best) | ((value != value) & (best == best));
      best = select(better, value, best);
      where = select(better, splat(number), where);
    });
    const vf given = (vf)loadSome(dy + w, m);
    eachPlace(plan, a, [&](int32_t number, int64_t at) __attribute__((always_inline)) {
      const vf old = (vf)loadSome(dx + at + w, m);
      storeSome(dx + at + w, (vu)select(where == number, old + given, old), m);
    });
  });
}

void spreadMaxima(const WindowPlan& plan, const uint32_t* x, const uint32_t* dy, uint32_t* dx) {
  const int64_t rowWords = plan.in[2] * plan.channels, planeWords = plan.in[1] * rowWords;
  splatWords(dx, 0, wordsOf(plan, plan.in));
  Alike a{};
  a.step[0] = plan.dilation[0] * planeWords;
  a.step[1] = plan.dilation[1] * rowWords;
  a.step[2] = plan.dilation[2] * plan.channels;
  for (int32_t n = 0; n < plan.batch; n++)
    for (int32_t od = 0; od < plan.out[0]; od++) {
      a.places[0] = placesOf(plan, 0, od);
      for (int32_t oh = 0; oh < plan.out[1]; oh++) {
        a.places[1] = placesOf(plan, 1, oh);
        const int64_t row = int64_t{n} * plan.in[0] * planeWords + position(plan, 0, od, 0) * planeWords + position(plan, 1, oh, 0) * rowWords;
        for (int32_t ow = 0; ow < plan.out[2];) {
          a.places[2] = placesOf(plan, 2, ow);
          a.start = row + int64_t{position(plan, 2, ow, 0)} * plan.channels;
          int32_t count = 1;
          if (plan.stride[2] == 1)  // neighbours read neighbouring words
            for (; ow + count < plan.out[2]; count++) {
              const Span next = placesOf(plan, 2, ow + count);
              if (next.from != a.places[2].from || next.to != a.places[2].to) break;
            }
          a.words = count * plan.channels;
          giveToMaxima(plan, a, x, dy, dx);
          dy += a.words;
          ow += count;
        }
      }
    }
}

size_t lineUp(int64_t words) { return (static_cast<size_t>(words) + 15) & ~size_t{15}; }
// Words of one row of scratch: it holds a row of x or of y. Maxima's gradients combine no rows, nor do windows along the last axis alone.
size_t scratchRow(const WindowPlan& plan) {
  if ((plan.gradient && !plan.sum) || int64_t{plan.window[0]} * plan.window[1] <= 1) return 0;
  const int64_t widest = plan.in[2] > plan.out[2] ? plan.in[2] : plan.out[2];
  return lineUp(widest * plan.channels);
}
size_t splatWordsOf(const WindowPlan& plan, bool splat, const int32_t* sizes) { return splat ? lineUp(wordsOf(plan, sizes)) : 0; }

const uint32_t* spread(const WindowPlan& plan, const uint32_t* from, int64_t words, uint32_t* to) {
  copyRows(to, plan.lanes, from, 1, true, words / plan.lanes, plan.lanes);
  return to;
}

}  // namespace

WindowPlan* planWindow(Reader& reader, int lanes, bool gradient, Arena& arena) {
  WindowPlan* plan = arena.make<WindowPlan>();
  if (!plan) return nullptr;
  plan->gradient = gradient;
  const int mode = reader.next();
  plan->sum = reader.next() == 1;
  plan->batch = reader.next();
  reader.next(plan->in, 3);
  plan->channels = reader.next();
  reader.next(plan->window, 3);
  reader.next(plan->out, 3);
  reader.next(plan->stride, 3);
  reader.next(plan->dilation, 3);
  reader.next(plan->padding, 3);
  plan->x = readOperand(reader, 0, lanes);
  if (gradient) plan->dy = readOperand(reader, 0, lanes);
  plan->output = readOperand(reader, 0, lanes);
  plan->lanes = lanes;
  if (mode == 1) {
    plan->channels *= lanes;
    plan->splatX = !plan->x.varying && !(gradient && plan->sum);
    plan->splatDy = gradient && !plan->dy.varying;
  }
  return plan;
}

size_t windowScratch(const WindowPlan& plan) {
  return 4 * (scratchRow(plan) + splatWordsOf(plan, plan.splatX, plan.in) + splatWordsOf(plan, plan.splatDy, plan.out));
}

void runWindow(const WindowPlan& plan, TileContext& context) {
  uint32_t* output = plan.output.write(context);
  if (wordsOf(plan, plan.gradient ? plan.in : plan.out) == 0) return;
  const size_t row = scratchRow(plan);
  uint32_t* scratch = static_cast<uint32_t*>(context.scratch);
  const uint32_t* x = plan.x.read(context);
  if (plan.splatX) x = spread(plan, x, wordsOf(plan, plan.in), scratch + row);
  if (!plan.gradient) return plan.sum ? windows<Sum>(plan, x, output, scratch) : windows<Max>(plan, x, output, scratch);
  const uint32_t* dy = plan.dy.read(context);
  if (plan.splatDy) dy = spread(plan, dy, wordsOf(plan, plan.out), scratch + row + splatWordsOf(plan, plan.splatX, plan.in));
  if (plan.sum) spreadSums(plan, dy, output, scratch);
  else spreadMaxima(plan, x, dy, output);
}

}  // namespace unrolled::UNROLLED_LEVEL
