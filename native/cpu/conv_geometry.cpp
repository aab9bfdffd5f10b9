#include "conv_geometry.h"

namespace unrolled::UNROLLED_LEVEL {
namespace {

int64_t floorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
int64_t clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

void rangesOfTaps(ConvAxis& axis, Arena& arena) {
  axis.low = arena.make<int32_t>(static_cast<size_t>(axis.taps));
  axis.high = arena.make<int32_t>(static_cast<size_t>(axis.taps));
  if (arena.failed) return;
  axis.allLow = 0;
  axis.allHigh = axis.out;
  for (int32_t k = 0; k < axis.taps; k++) {
    // 0 <= o * stride - pad + k * dilation < in
    const int64_t shift = int64_t{axis.pad} - int64_t{k} * axis.dilation;
    const int64_t low = clamp(floorDivide(shift + axis.stride - 1, axis.stride), 0, axis.out);
    const int64_t high = clamp(floorDivide(axis.in - 1 + shift, axis.stride) + 1, low, axis.out);
    axis.low[k] = static_cast<int32_t>(low);
    axis.high[k] = static_cast<int32_t>(high);
    if (low > axis.allLow) axis.allLow = axis.low[k];
    if (high < axis.allHigh) axis.allHigh = axis.high[k];
  }
  if (axis.allHigh < axis.allLow) axis.allHigh = axis.allLow;
}

// The taps of one position, in order: tap k meets coordinate base + delta.
struct Position {
  int64_t base;
  const ConvAxis& axis;
  bool gradient;
  int64_t at;
  Position(const ConvAxis& a, bool g, int64_t p) : base(g ? floorDivide(p + a.pad, a.stride) : p * a.stride - a.pad), axis(a), gradient(g), at(p) {}
  template <class Body>
  void each(Body body) const {
    for (int32_t k = 0; k < axis.taps; k++) {
      if (!gradient) {
        const int64_t in = base + int64_t{k} * axis.dilation;
        if (in >= 0 && in < axis.in) body(k, in - base);
      } else {
        const int64_t scaled = at + axis.pad - int64_t{k} * axis.dilation;
        if (scaled >= 0 && scaled % axis.stride == 0 && scaled / axis.stride < axis.out) body(k, scaled / axis.stride - base);
      }
    }
  }
};

void classifyAxis(const ConvAxis& axis, bool gradient, AxisClasses& classes, Arena& arena) {
  const int32_t positions = gradient ? axis.in : axis.out;
  classes.of = arena.make<int32_t>(static_cast<size_t>(positions));
  classes.base = arena.make<int32_t>(static_cast<size_t>(positions));
  // The first and last tap and the distance of the first say all: what lies between is determined by the strides.
  struct Key {
    int32_t first, last, delta;
  };
  Key* keys = arena.make<Key>(static_cast<size_t>(positions));
  int32_t* sizes = arena.make<int32_t>(static_cast<size_t>(positions));
  int32_t* example = arena.make<int32_t>(static_cast<size_t>(positions));
  if (arena.failed) return;
  int64_t total = 0;
  for (int32_t p = 0; p < positions; p++) {
    const Position position(axis, gradient, p);
    Key key{-1, -1, 0};
    int32_t size = 0;
    position.each([&](int32_t k, int64_t delta) {
      if (size++ == 0) key.first = k, key.delta = static_cast<int32_t>(delta);
      key.last = k;
    });
    // Neighbours are mostly alike: search from the newest.
    int32_t c = classes.count - 1;
    while (c >= 0 && (keys[c].first != key.first || keys[c].last != key.last || keys[c].delta != key.delta)) c--;
    if (c < 0) {
      c = classes.count++;
      keys[c] = key;
      sizes[c] = size;
      example[c] = p;
      total += size;
    }
    classes.of[p] = c;
    classes.base[p] = static_cast<int32_t>(position.base);
  }
  classes.first = arena.make<int32_t>(static_cast<size_t>(classes.count) + 1);
  classes.tap = arena.make<int32_t>(static_cast<size_t>(total));
  classes.delta = arena.make<int32_t>(static_cast<size_t>(total));
  if (arena.failed) return;
  int32_t to = 0;
  for (int32_t c = 0; c < classes.count; c++) {
    classes.first[c] = to;
    Position(axis, gradient, example[c]).each([&](int32_t k, int64_t delta) {
      classes.tap[to] = k;
      classes.delta[to++] = static_cast<int32_t>(delta);
    });
  }
  classes.first[classes.count] = to;
}

}  // namespace

void readConvGeometry(Reader& reader, ConvGeometry& g, Arena& arena) {
  g.kind = reader.next();
  g.depthwise = reader.next() != 0;
  g.batch = reader.next();
  for (ConvAxis& axis : g.axis) axis.in = reader.next();
  g.channels = reader.next();
  for (ConvAxis& axis : g.axis) axis.taps = reader.next();
  for (ConvAxis& axis : g.axis) axis.out = reader.next();
  for (ConvAxis& axis : g.axis) axis.stride = reader.next();
  for (ConvAxis& axis : g.axis) axis.dilation = reader.next();
  for (ConvAxis& axis : g.axis) axis.pad = reader.next();
  g.filters = reader.next();
  g.taps = g.inPositions = g.outPositions = 1;
  for (ConvAxis& axis : g.axis) {
    g.taps *= axis.taps;
    g.inPositions *= axis.in;
    g.outPositions *= axis.out;
    rangesOfTaps(axis, arena);
  }
  g.xChannels = g.channels;
  g.yChannels = int64_t{g.filters} * (g.depthwise ? g.channels : 1);
}

void classifyPositions(const ConvGeometry& g, int64_t tapStride, int repeat, int64_t repeatStride, ConvClasses& classes, Arena& arena) {
  const bool gradient = g.kind == kInputGradient;
  for (int d = 0; d < 3; d++) classifyAxis(g.axis[d], gradient, classes.axis[d], arena);
  if (arena.failed) return;
  const AxisClasses &depth = classes.axis[0], &height = classes.axis[1], &width = classes.axis[2];
  const int64_t channels = gradient ? g.yChannels : g.xChannels;
  const int64_t row = channels * (gradient ? g.axis[2].out : g.axis[2].in), plane = row * (gradient ? g.axis[1].out : g.axis[1].in);
  classes.count = depth.count * height.count * width.count;
  classes.first = arena.make<int64_t>(static_cast<size_t>(classes.count) + 1);
  const int64_t total = int64_t{depth.first[depth.count]} * height.first[height.count] * width.first[width.count] * repeat;
  classes.steps = arena.make<TileStep>(static_cast<size_t>(total));
  if (arena.failed) return;
  int64_t to = 0;
  int32_t c = 0;
  for (int32_t cd = 0; cd < depth.count; cd++)
    for (int32_t ch = 0; ch < height.count; ch++)
      for (int32_t cw = 0; cw < width.count; cw++) {
        classes.first[c++] = to;
        for (int32_t i = depth.first[cd]; i < depth.first[cd + 1]; i++)
          for (int32_t j = height.first[ch]; j < height.first[ch + 1]; j++)
            for (int32_t k = width.first[cw]; k < width.first[cw + 1]; k++) {
              const int64_t tap = (int64_t{depth.tap[i]} * g.axis[1].taps + height.tap[j]) * g.axis[2].taps + width.tap[k];
              const int64_t a = depth.delta[i] * plane + height.delta[j] * row + width.delta[k] * channels;
              for (int64_t r = 0; r < repeat; r++)
                classes.steps[to++] = {static_cast<int32_t>(a + r), static_cast<int32_t>(tap * tapStride + r * repeatStride)};
            }
      }
  classes.first[c] = to;
}

PositionTiles::PositionTiles(const ConvGeometry& g, const ConvClasses& classes, int height, int64_t from, int64_t to, void* scratch)
    : classes_(classes), height_(height), at_(from), to_(to), pending_(static_cast<PositionTile*>(scratch)),
      full_(pending_ + classes.count) {
  const bool gradient = g.kind == kInputGradient;
  for (int d = 0; d < 3; d++) size_[d] = gradient ? g.axis[d].in : g.axis[d].out;
  channels_ = gradient ? g.yChannels : g.xChannels;
  rowStride_ = channels_ * (gradient ? g.axis[2].out : g.axis[2].in);
  planeStride_ = rowStride_ * (gradient ? g.axis[1].out : g.axis[1].in);
  imageStride_ = planeStride_ * (gradient ? g.axis[0].out : g.axis[0].in);
  for (int32_t c = 0; c < classes.count; c++) pending_[c].classIndex = c, pending_[c].rows = 0;
  if (from >= to) return;
  int64_t rest = from;
  for (int d = 2; d >= 0; d--) {
    position_[d] = static_cast<int32_t>(rest % size_[d]);
    rest /= size_[d];
  }
  image_ = rest;
}

int PositionTiles::next(const PositionTile*& tiles) {
  const AxisClasses &depth = classes_.axis[0], &height = classes_.axis[1], &width = classes_.axis[2];
  tiles = full_;
  int count = 0;
  while (at_ < to_) {
    const int32_t rowClass = (depth.of[position_[0]] * height.count + height.of[position_[1]]) * width.count;
    const int64_t rowBase = image_ * imageStride_ + depth.base[position_[0]] * planeStride_ + height.base[position_[1]] * rowStride_;
    for (int32_t& p = position_[2]; p < size_[2] && at_ < to_ && count < kPositionTiles; p++) {
      PositionTile& tile = pending_[rowClass + width.of[p]];
      tile.a[tile.rows] = rowBase + width.base[p] * channels_;
      tile.c[tile.rows] = at_++;
      if (++tile.rows < height_) continue;
      full_[count++] = tile;
      tile.rows = 0;
    }
    if (position_[2] == size_[2]) {
      position_[2] = 0;
      if (++position_[1] == size_[1]) {
        position_[1] = 0;
        if (++position_[0] == size_[0]) position_[0] = 0, image_++;
      }
    }
    if (count == kPositionTiles) return count;
  }
  while (flushed_ < classes_.count && count < kPositionTiles) {
    if (pending_[flushed_].rows > 0) full_[count++] = pending_[flushed_];
    flushed_++;
  }
  return count;
}

int64_t listPositions(const ConvGeometry& g, Taking taking, int64_t tap, int64_t from, int64_t to, int64_t bStride, TileStep* steps) {
  const ConvAxis &depth = g.axis[0], &height = g.axis[1], &width = g.axis[2];
  const int64_t row = int64_t{width.in} * g.xChannels, plane = row * height.in, image = plane * depth.in;
  const int64_t kw = tap % width.taps, kh = tap / width.taps % height.taps, kd = tap / width.taps / height.taps;
  const bool all = taking == Taking::kAllTaps;
  const int64_t low = all ? width.allLow : width.low[kw], high = all ? width.allHigh : width.high[kw];
  TileStep* step = steps;
  int64_t rest = from / width.out, ow = from % width.out;
  int64_t oh = rest % height.out, od = rest / height.out % depth.out, n = rest / height.out / depth.out;
  for (int64_t p = from - ow; p < to; p += width.out) {
    const bool inner = od >= depth.allLow && od < depth.allHigh && oh >= height.allLow && oh < height.allHigh;
    if (all ? inner : od >= depth.low[kd] && od < depth.high[kd] && oh >= height.low[kh] && oh < height.high[kh]) {
      const int64_t base = n * image + (od * depth.stride - depth.pad) * plane + (oh * height.stride - height.pad) * row;
      const int64_t begin = from - p > low ? from - p : low, end = to - p < high ? to - p : high;
      auto take = [&](int64_t o, int64_t stop) {
        int64_t a = base + (o * width.stride - width.pad) * g.xChannels, b = (p + o - from) * bStride;
        for (; o < stop; o++, a += width.stride * g.xChannels, b += bStride) *step++ = {static_cast<int32_t>(a), static_cast<int32_t>(b)};
      };
      if (taking == Taking::kTapOnly && inner) {
        take(begin, end < width.allLow ? end : width.allLow);
        take(begin > width.allHigh ? begin : width.allHigh, end);
      } else {
        take(begin, end);
      }
    }
    if (++oh == height.out) {
      oh = 0;
      if (++od == depth.out) od = 0, n++;
    }
  }
  return step - steps;
}

int64_t tapDistance(const ConvGeometry& g, int64_t tap) {
  const ConvAxis &depth = g.axis[0], &height = g.axis[1], &width = g.axis[2];
  const int64_t kw = tap % width.taps, kh = tap / width.taps % height.taps, kd = tap / width.taps / height.taps;
  return ((kd * depth.dilation * height.in + kh * height.dilation) * width.in + kw * width.dilation) * g.xChannels;
}

}  // namespace unrolled::UNROLLED_LEVEL
