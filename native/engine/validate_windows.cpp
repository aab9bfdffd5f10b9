// CONV, WINDOW and WINDOW_GRAD: the geometry of windows over three spatial axes, and operands of the sizes that it implies.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "instruction_reader.h"

namespace unrolled {

namespace {

struct Geometry {
  int64_t batch, channels;
  std::array<int64_t, 3> in, window, out;
};

Geometry takeGeometry(InstructionReader& reader) {
  Geometry g{};
  const auto triple = [&](const char* what) {
    std::array<int64_t, 3> sizes;
    for (int64_t& size : sizes) size = reader.takeSize(what);
    return sizes;
  };
  g.batch = reader.takeSize("N");
  g.in = triple("an input size");
  g.channels = reader.takeSize("C");
  g.window = triple("a window size");
  g.out = triple("an output size");
  std::array<int64_t, 3> strides, dilations;
  for (int64_t& stride : strides) stride = reader.takeIn(1, INT32_MAX, "a stride");
  for (int64_t& dilation : dilations) dilation = reader.takeIn(1, INT32_MAX, "a dilation");
  for (size_t d = 0; d < 3; ++d) {
    // Positions are then int32, wherever in a window they are.
    const int64_t padding = std::abs(int64_t{reader.take()});
    const int64_t reach = std::max<int64_t>(g.out[d] - 1, 0) * strides[d] + std::max<int64_t>(g.window[d] - 1, 0) * dilations[d];
    if (reach + padding + g.in[d] > INT32_MAX) reader.fail("its windows reach beyond 2^31 positions");
  }
  return g;
}

Dims inputDims(const InstructionReader& reader, const Geometry& g) { return reader.dimsOf({g.batch, g.in[0], g.in[1], g.in[2], g.channels}); }
Dims outputDims(const InstructionReader& reader, const Geometry& g, int64_t channels) {
  return reader.dimsOf({g.batch, g.out[0], g.out[1], g.out[2], channels});
}

}  // namespace

void checkConv(InstructionReader& reader) {
  const int32_t mode = reader.takeMode();
  const int32_t kind = reader.takeIn(0, 2, "kind of convolution");
  const bool depthwise = reader.takeIn(0, 1, "depthwise") != 0;
  const Geometry g = takeGeometry(reader);
  const int64_t filters = reader.takeSize("F");
  const int64_t outputChannels = depthwise ? reader.dimsOf({g.channels, filters}).elements : filters;
  const Dims x = inputDims(reader, g), y = outputDims(reader, g, outputChannels);
  const Dims filter = reader.dimsOf({g.window[0], g.window[1], g.window[2], g.channels, filters});
  // The gradient of the input may look at every place of the window for every element of x, even where no output is.
  const int64_t places = reader.dimsOf({g.window[0], g.window[1], g.window[2]}).elements;
  reader.checkWork({y.elements, places, depthwise ? 1 : g.channels});
  reader.checkWork({x.elements, places});
  const Dims &a = kind == 1 ? y : x, &b = kind == 2 ? y : filter, &output = kind == 0 ? y : kind == 1 ? x : filter;
  reader.takeContiguousRead(mode, a);
  reader.takeContiguousRead(mode, b);
  reader.takeContiguousWrite(mode, output);
  const int64_t columns = kind == 0 ? outputChannels : kind == 1 ? g.channels : filters;
  const int64_t rows = columns == 0 ? INT32_MAX : output.elements / columns;
  const int64_t from = reader.takeSize("from"), to = reader.takeSize("to");
  if (from > to || to > rows) {
    reader.fail("it writes rows " + std::to_string(from) + ".." + std::to_string(to) + " of " + std::to_string(rows));
  }
}

void checkWindow(InstructionReader& reader, bool gradient) {
  const int32_t mode = reader.takeMode();
  const int32_t kind = reader.takeIn(0, 1, "kind of window");
  const Geometry g = takeGeometry(reader);
  const Dims x = inputDims(reader, g), y = outputDims(reader, g, g.channels);
  reader.checkWork({y.elements, reader.dimsOf({g.window[0], g.window[1], g.window[2]}).elements});
  if (gradient) {
    reader.takeContiguousRead(mode, kind == 1 ? y : x);  // sums do not read x: dy is named twice
    reader.takeContiguousRead(mode, y);
    reader.takeContiguousWrite(mode, x);
  } else {
    reader.takeContiguousRead(mode, x);
    reader.takeContiguousWrite(mode, y);
  }
}

}  // namespace unrolled
