// Where a convolution's windows lie. Everything that is the same for many positions is found once, when a program is prepared: along
// each axis, a position's *taps* are the elements of the filter that meet an element of the other operand there, and positions
// with the same taps at the same distances form a class. Positions are then summed class by class, which takes neither padding
// nor the holes of strides into account at run time, and multiplies nothing by zero.
#pragma once
#include "arena.h"
#include "matmul_uniform_tiles.h"

namespace unrolled::UNROLLED_LEVEL {

enum ConvKind : int32_t { kForward = 0, kInputGradient = 1, kFilterGradient = 2 };

struct ConvAxis {
  int32_t in, taps, out, stride, dilation, pad;
  // Outputs o for which tap k lies inside: [low[k], high[k]); and those for which all taps do.
  int32_t *low, *high;
  int32_t allLow, allHigh;
};

// GEOMETRY and what follows it in the words of a CONV.
struct ConvGeometry {
  int32_t kind;
  bool depthwise;
  int32_t batch, channels, filters;  // N, C, F (depthwise: M)
  ConvAxis axis[3];
  int64_t taps, inPositions, outPositions;  // of the filter; of one image
  // Words or rows of an element of x and of y: C; F or C * M.
  int64_t xChannels, yChannels;
};

// Kinds 0 and 1: positions of the output along one axis.
struct AxisClasses {
  int32_t count;
  int32_t *of, *base;   // of each position: its class, and the coordinate its distances count from
  int32_t *first;       // [count + 1] into the two below
  int32_t *tap, *delta;
};

struct ConvClasses {
  AxisClasses axis[3];
  int32_t count;
  int64_t *first;   // [count + 1] into steps
  TileStep* steps;  // a: distance in words or rows of the operand; b: tap * tapStride
};

// Also sets up the axes. Reads up to and including F.
void readConvGeometry(Reader& reader, ConvGeometry& geometry, Arena& arena);
// `repeat` steps a tap, the j-th with a + j, b + j * repeatStride.
void classifyPositions(const ConvGeometry& geometry, int64_t tapStride, int repeat, int64_t repeatStride, ConvClasses& classes, Arena& arena);

// A tile of positions of one class: distance of each in the operand (words or rows), and its row of the output.
struct PositionTile {
  int32_t classIndex, rows;
  int64_t a[kUniformRows];
  int64_t c[kUniformRows];
};
constexpr int kPositionTiles = 48;  // handed over at once, so that a panel of the filter is read by all of them

// Cuts rows from .. to - 1 of the output into tiles of up to `height` rows; those that are not full come last.
class PositionTiles {
 public:
  static size_t scratchBytes(const ConvClasses& classes) {
    return sizeof(PositionTile) * (static_cast<size_t>(classes.count) + kPositionTiles);
  }
  PositionTiles(const ConvGeometry& geometry, const ConvClasses& classes, int height, int64_t from, int64_t to, void* scratch);
  // The next tiles, 0 at the end.
  int next(const PositionTile*& tiles);

 private:
  const ConvClasses& classes_;
  int height_;
  int64_t at_, to_;
  int64_t image_, imageStride_, rowStride_, planeStride_, channels_;
  int32_t size_[3], position_[3];
  int32_t flushed_ = 0;
  PositionTile* pending_;
  PositionTile* full_;
};

// Kind 2: the sums run over positions of y, in blocks of this length that begin at its multiples.
constexpr int64_t kPositionBlock = 256;
// The positions from .. to - 1 of y that take part in a tap, or in all of them, or in a tap but not in all. a: distance in x of what
// tap 0 would meet; b: (position - from) * bStride. Returns how many; `steps` has room for all.
enum class Taking { kTap, kAllTaps, kTapOnly };
int64_t listPositions(const ConvGeometry& geometry, Taking taking, int64_t tap, int64_t from, int64_t to, int64_t bStride, TileStep* steps);
// From what tap 0 meets to what this tap meets, in words or rows of x.
int64_t tapDistance(const ConvGeometry& geometry, int64_t tap);

}  // namespace unrolled::UNROLLED_LEVEL
