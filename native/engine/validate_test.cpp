// Words that must be refused, one thing wrong at a time, and random damage that must never get past the check unnoticed.
#include "validate.h"

#include <random>
#include <string>

#include "test/check.h"
#include "test/test_program.h"

using namespace unrolled;
using namespace unrolled::test;

namespace {

Program small() {
  Program program;
  program.rowsV = 16;
  program.wordsU = 8;
  program.wordsC = 4;
  program.wordsD = 6;
  program.rowsS = 3;
  return program;
}

void refuseStep(const Words& code, const std::string& part) {
  Program program = small();
  program.blocks[kStepBlock] = code;
  const Words words = program.words();
  CHECK_THROWS(kOptionCode, part, validateProgram(words.data(), words.size()));
}

void acceptStep(const Words& code) {
  Program program = small();
  program.blocks[kStepBlock] = code;
  const Words words = program.words();
  validateProgram(words.data(), words.size());
}

void headers() {
  const Words good = small().words();
  const ProgramHeader header = validateProgram(good.data(), good.size());
  CHECK_EQUAL(header.rowsV, 16);
  CHECK_EQUAL(header.blocks[kInitBlock].count, size_t{0});
  const auto broken = [&](size_t word, int32_t value, const std::string& part) {
    Words words = good;
    words[word] = value;
    CHECK_THROWS(kOptionCode, part, validateProgram(words.data(), words.size()));
  };
  CHECK_THROWS(kOptionCode, "fewer words", validateProgram(good.data(), 23));
  broken(0, 1, "magic");
  broken(1, 2, "version 2");
  for (const int32_t lanes : {-8, 0, 4, 12, 4104, INT32_MAX}) broken(2, lanes, "lanes is");
  for (size_t word = 3; word <= 8; ++word) broken(word, -1, "negative size");
  broken(8, 17, "theta");
  broken(10, 16, "row of t");
  broken(10, -2, "row of t");
  broken(11, INT32_MAX, "row of the particle index");
  broken(12, 5, "the loss");
  broken(12, -1, "the loss");
  broken(13, 16, "the loss");
  broken(13, -1, "the loss");
  broken(14, 1, "more metrics");
  broken(14, -1, "more metrics");
  broken(14, INT32_MAX, "more metrics");
  broken(15, -1, "horizon");
  broken(16, -1, "block 0");
  broken(17, 1, "block 0");
  broken(23, INT32_MAX, "block 3");
}

void operands() {
  const auto copy = [](int32_t mode, Words dims, Words source, Words target) {
    return instruction(kCopy, Words{mode, static_cast<int32_t>(dims.size())} + dims + source + target);
  };
  acceptStep(copy(1, {4, 4}, {0, 0, 4, 1}, {0, 0, 1, 4}));
  acceptStep(copy(1, {3}, {3, 5, -2}, {4, 0, 1}));
  acceptStep(copy(0, {8}, {2, 3, 0}, {1, 7, -1}));
  acceptStep(copy(1, {0, 1000}, {0, 99, 1, 1}, {0, -5, 1, 1}));  // no element, nothing reached
  refuseStep(copy(1, {4, 4}, {0, 1, 4, 1}, {0, 0, 1, 4}), "reaches 1..16");
  refuseStep(copy(1, {3}, {3, 3, -2}, {4, 0, 1}), "reaches -1..3");
  refuseStep(copy(1, {4}, {4, 0, 1}, {0, 0, 1}), "reaches 0..3 of space 4");
  refuseStep(copy(1, {2}, {5, 0, 1}, {0, 0, 1}), "space 5");
  refuseStep(copy(1, {2}, {-1, 0, 1}, {0, 0, 1}), "space -1");
  refuseStep(copy(1, {2}, {0, 0, 1}, {2, 0, 1}), "an output names space 2");
  refuseStep(copy(1, {2}, {0, 0, 1}, {3, 0, 1}), "an output names space 3");
  refuseStep(copy(1, {2}, {0, 0, 1}, {1, 0, 1}), "an output names space 1");
  refuseStep(copy(0, {2}, {0, 0, 1}, {1, 0, 1}), "reads a varying value");
  refuseStep(copy(0, {2}, {1, 0, 1}, {0, 0, 1}), "an output names space 0");
  refuseStep(copy(2, {2}, {0, 0, 1}, {0, 4, 1}), "mode is 2");
  refuseStep(copy(1, {-1}, {0, 0, 1}, {0, 4, 1}), "a dimension is -1");
  refuseStep(copy(1, {1, 1, 1, 1, 1, 1, 1}, {0, 0, 1, 1, 1, 1, 1, 1, 1}, {0, 0, 1, 1, 1, 1, 1, 1, 1}), "rank is 7");
  // Products and reaches that would wrap 32 or 64 bits.
  refuseStep(copy(1, {INT32_MAX, INT32_MAX}, {0, 0, 0, 0}, {0, 0, 0, 0}), "more than 2^31");
  refuseStep(copy(1, {2, 2}, {0, 0, INT32_MAX, INT32_MIN}, {0, 0, 0, 0}), "reaches");
  refuseStep(copy(1, {65536, 16384}, {0, 0, INT32_MIN, INT32_MIN}, {0, 0, 0, 0}), "reaches");
}

void instructions() {
  refuseStep({kCopy}, "ends before");
  refuseStep({kCopy, 1}, "length 1");
  refuseStep({kCopy, 0}, "length 0");
  refuseStep({kCopy, -4}, "length -4");
  refuseStep({kCopy, 100, 1}, "leaves the block");
  refuseStep(instruction(static_cast<Opcode>(99), {}), "opcode 99");
  refuseStep(instruction(static_cast<Opcode>(0), {}), "opcode 0");
  refuseStep(instruction(kCopy, {1, 0, 0, 0, 0, 1, 77}), "1 words too many");
  refuseStep(instruction(kCopy, {1, 0, 0, 0, 0}), "ends before");

  acceptStep(instruction(kMatmul, {1, 1, 2, 2, 2, 2, 0, 0, 2, 1, 4, 2, 0, 1, 2, 0, 0, 8, 2, 1, 4}));
  refuseStep(instruction(kMatmul, {1, 1, 2, 2, 2, 2, 0, 0, 2, 1, 4, 2, 1, 1, 2, 0, 0, 8, 2, 1, 4}), "reaches 1..4 of space 2");
  refuseStep(instruction(kMatmul, {1, 0, 1 << 20, 1, 1 << 21, 3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0}), "2^40");
  refuseStep(instruction(kMatmul, {1, 0, 2, 2, 0, 9, 0, 1, 1, 0, 0, 1, 1, 0, 0, 2, 1}), "space 9");
  acceptStep(instruction(kMatmul, {1, 0, 2, 2, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 2, 1}));  // K = 0 writes zeros

  refuseStep(instruction(kReduce, {1, 12, 0, 1, 2, 0, 0, 1, 0, 3}), "kind of reduction is 12");
  refuseStep(instruction(kReduce, {1, 0, 1, 3, 1, 8, 0, 0, 3, 2, 0, 0}), "reaches 0..20");
  acceptStep(instruction(kReduce, {1, 0, 1, 2, 1, 8, 0, 0, 8, 1, 4, 0}));
  refuseStep(instruction(kReduce, {1, 0, 1, 4, 1, 2, 0, 0, 2, 1, 4, 0}), "of space 4");

  acceptStep(instruction(kGather, {1, 0, 1, 1, 6, 1, 3, 3, 0, 0, 0, 1, 0, 0, 4, 0, 1, 0, 8}));
  refuseStep(instruction(kGather, {1, 0, 1, 1, 7, 1, 3, 3, 0, 0, 0, 1, 0, 0, 4, 0, 1, 0, 8}), "space 3");
  refuseStep(instruction(kGather, {1, 0, 1, 1, 6, 1, 3, 3, 0, 0, 0, 1, 0, 0, 4, 0, 1, 0, 14}), "reaches 14..16");
  refuseStep(instruction(kSegmentSum, {1, 0, 4, 2, 9, 0, 0, 2, 1, 0, 8, 1, 0, 0}), "reaches 0..17");
  refuseStep(instruction(kCumsum, {1, 0, 0, 2, 1, 4, 1, 0, 0, 0, 1, 0, 0, 4}), "reverse is 2");

  refuseStep(instruction(kRandom, {1, 4, 2, 0, 0, 1, 0, 0, 0, 0}), "distribution is 4");
  refuseStep(instruction(kRandom, {1, 0, 0, 0, 0, 1, 0, 0, 0, 0}), "uniform exactly when");
  refuseStep(instruction(kRandom, {1, 0, 2, 256, 0, 1, 0, 0, 0, 0}), "stream is 256");
  refuseStep(instruction(kRandom, {1, 0, 2, 0, 1 << 24, 1, 0, 0, 0, 0}), "draw is");
  refuseStep(instruction(kRandom, {1, 2, 2, 0, 0, 1, 0, 0, 0, 0}), "empty range");
  refuseStep(instruction(kRandom, {1, 0, 2, 0, 0, 17, 0, 0, 0, 0}), "reaches 0..16");
  refuseStep(instruction(kInitCopy, {0, 0, 0, 4, 0}), "outside the init block");
}

// N 1, [1, 4, 4], C 2, window [1, 3, 3], strides, dilations and padding of a padded 3 x 3.
Words geometry(Words changes = {}) {
  Words g{1, 1, 4, 4, 2, 1, 3, 3, 1, 4, 4, 1, 1, 1, 1, 1, 1, 0, 1, 1};
  for (size_t i = 0; i + 1 < changes.size(); i += 2) g[static_cast<size_t>(changes[i])] = changes[i + 1];
  return g;
}

void windows() {
  const auto place = [](const Words& code) {
    Program program;
    program.rowsV = 200;
    program.wordsU = 200;
    program.blocks[kStepBlock] = code;
    return program.words();
  };
  const auto accept = [&](const Words& code) {
    const Words words = place(code);
    validateProgram(words.data(), words.size());
  };
  const auto refuse = [&](const Words& code, const std::string& part) {
    const Words words = place(code);
    CHECK_THROWS(kOptionCode, part, validateProgram(words.data(), words.size()));
  };
  const auto conv = [](int32_t kind, int32_t depthwise, const Words& g, int32_t f, Words a, Words b, Words out, int32_t from, int32_t to) {
    return instruction(kConv, Words{1, kind, depthwise} + g + Words{f} + a + b + out + Words{from, to});
  };
  // x is 32 elements, the filter 18 f, y 16 f (depthwise: 32 f).
  accept(conv(0, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 32}, 0, 16));
  accept(conv(0, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 152}, 5, 9));
  refuse(conv(0, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 153}, 0, 16), "reaches 153..200");
  refuse(conv(0, 0, geometry(), 3, {0, 169}, {1, 0}, {0, 0}, 0, 16), "reaches 169..200");
  refuse(conv(0, 0, geometry(), 3, {0, 0}, {1, 147}, {0, 0}, 0, 16), "reaches 147..200 of space 1");
  refuse(conv(0, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 32}, 0, 17), "rows 0..17 of 16");
  refuse(conv(0, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 32}, 3, 2), "rows 3..2 of 16");
  refuse(conv(0, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 32}, -1, 2), "from is -1");
  refuse(conv(3, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 32}, 0, 16), "kind of convolution is 3");
  refuse(conv(0, 2, geometry(), 3, {0, 0}, {1, 0}, {0, 32}, 0, 16), "depthwise is 2");
  refuse(conv(0, 0, geometry(), 3, {0, 0}, {1, 0}, {1, 32}, 0, 16), "an output names space 1");
  accept(conv(1, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 168}, 0, 16));
  refuse(conv(1, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 169}, 0, 16), "reaches 169..200");
  accept(conv(2, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 146}, 0, 18));
  refuse(conv(2, 0, geometry(), 3, {0, 0}, {1, 0}, {0, 146}, 0, 19), "rows 0..19 of 18");
  accept(conv(0, 1, geometry(), 3, {0, 0}, {1, 0}, {0, 104}, 0, 16));
  refuse(conv(0, 1, geometry(), 3, {0, 0}, {1, 0}, {0, 105}, 0, 16), "reaches 105..200");
  accept(conv(2, 1, geometry(), 3, {0, 0}, {1, 0}, {0, 146}, 18, 18));
  accept(conv(0, 0, geometry({0, 0}), 3, {0, 0}, {1, 0}, {0, -7}, 0, 0));  // an empty batch touches no x and no y
  refuse(conv(0, 0, geometry({11, 0}), 3, {0, 0}, {1, 0}, {0, 0}, 0, 16), "a stride is 0");
  refuse(conv(0, 0, geometry({14, -1}), 3, {0, 0}, {1, 0}, {0, 0}, 0, 16), "a dilation is -1");
  for (const auto& [word, value] : {std::pair{12, 800000000}, std::pair{15, 1073741824}, std::pair{18, INT32_MIN}, std::pair{19, INT32_MAX}}) {
    refuse(conv(0, 0, geometry({word, value}), 3, {0, 0}, {1, 0}, {0, 0}, 0, 16), "beyond 2^31 positions");
  }
  refuse(conv(0, 0, geometry({0, 1 << 20, 4, 1 << 20}), 3, {0, 0}, {1, 0}, {0, 0}, 0, 16), "more than 2^31");
  refuse(conv(0, 0, geometry({6, 1 << 15, 7, 1 << 15, 2, 40000, 3, 40000}), 1, {0, 0}, {1, 0}, {0, 0}, 0, 16), "2^3");
  refuse(conv(0, 0, geometry({4, 1 << 20}), 1 << 20, {0, 0}, {1, 0}, {0, 0}, 0, 16), "more than 2^31");

  accept(instruction(kWindow, Words{1, 0} + geometry() + Words{0, 168, 0, 0}));
  refuse(instruction(kWindow, Words{1, 0} + geometry() + Words{0, 169, 0, 0}), "reaches 169..200");
  refuse(instruction(kWindow, Words{1, 2} + geometry() + Words{0, 0, 0, 32}), "kind of window is 2");
  refuse(instruction(kWindow, Words{0, 1} + geometry() + Words{1, 0, 0, 0}), "an output names space 0, expected 1");
  // Fewer outputs than inputs: a maximum's gradient reads all of x, a sum's names dy twice.
  const Words half = geometry({9, 2, 10, 2, 12, 2, 13, 2});
  accept(instruction(kWindowGrad, Words{1, 0} + half + Words{0, 0, 0, 192, 0, 100}));
  refuse(instruction(kWindowGrad, Words{1, 0} + half + Words{0, 192, 0, 192, 0, 100}), "reaches 192..223");
  accept(instruction(kWindowGrad, Words{1, 1} + half + Words{0, 192, 0, 192, 0, 100}));
  refuse(instruction(kWindowGrad, Words{1, 1} + half + Words{0, 0, 0, 0, 0, 169}), "reaches 169..200");
}

void matricesAndSorts() {
  acceptStep(instruction(kArgSort, {1, 0, 1, 2, 8, 0, 0, 0, 0}));
  refuseStep(instruction(kArgSort, {1, 0, 1, 2, 8, 0, 1, 0, 0}), "reaches 1..16");
  refuseStep(instruction(kArgSort, {1, 0, 2, 2, 8, 0, 0, 0, 0}), "descending is 2");
  refuseStep(instruction(kArgSort, {0, 0, 0, 2, 2, 2, 0, 1, 5}), "reaches 5..8");
  acceptStep(instruction(kCholesky, {1, 4, 2, 0, 0, 0, 0}));
  refuseStep(instruction(kCholesky, {1, 4, 2, 0, 0, 0, 1}), "reaches 1..16");
  refuseStep(instruction(kCholesky, {1, 1, 1 << 16, 0, 0, 0, 0}), "more than 2^31");
  refuseStep(instruction(kCholesky, {1, 1, 20000, 0, 0, 0, 0}), "2^40");
  refuseStep(instruction(kCholesky, {1, 1, -2, 0, 0, 0, 0}), "n is -2");
  acceptStep(instruction(kTriangularSolve, {1, 1, 0, 1, 2, 3, 2, 0, 0, 0, 0, 10}));
  refuseStep(instruction(kTriangularSolve, {1, 1, 0, 1, 2, 3, 2, 1, 0, 0, 0, 0}), "reaches 1..4 of space 2");
  refuseStep(instruction(kTriangularSolve, {1, 1, 0, 1, 2, 3, 2, 0, 0, 0, 0, 11}), "reaches 11..16");
  refuseStep(instruction(kTriangularSolve, {1, 2, 0, 1, 2, 3, 2, 0, 0, 0, 0, 0}), "lower is 2");
  acceptStep(instruction(kSymmetricEigen, {0, 1, 2, 2, 0, 1, 2}));
  refuseStep(instruction(kSymmetricEigen, {0, 1, 2, 2, 0, 1, 3}), "reaches 3..8 of space 1");
  refuseStep(instruction(kSymmetricEigen, {0, INT32_MAX, INT32_MAX, 2, 0, 1, 3}), "more than 2^31");
}

void blocks() {
  const Words draw = instruction(kRandom, {1, 0, 2, 0, 0, 1, 0, 0, 0, 0});
  const Words init = instruction(kInitCopy, {0, 0, 0, 4, 0});
  const auto place = [](int block, const Words& code) {
    Program program = small();
    program.blocks[block] = code;
    return program.words();
  };
  const auto refuse = [&](int block, const Words& code, const std::string& part) {
    const Words words = place(block, code);
    CHECK_THROWS(kOptionCode, part, validateProgram(words.data(), words.size()));
  };
  refuse(kCallBlock, scalarOp(1, kAddF, {{0, 0}, {0, 1}}, 0, 2), "varying work in the call block");
  refuse(kTileBlock, draw, "depend on the step");
  refuse(kInitBlock, instruction(kInitCopy, {0, 0, 0, 0, 0}), "space 4 only");
  refuse(kInitBlock, instruction(kInitCopy, {0, 0, 0, 4, 3}), "reaches 3..3");
  for (const auto& [block, code] : {std::pair{kInitBlock, init}, std::pair{kInitBlock, draw}, std::pair{kStepBlock, draw}}) {
    const Words words = place(block, code);
    validateProgram(words.data(), words.size());
  }
}

void registers() {
  // mode, rank, inputs 1: (0, 0), outputs 1: register, (0, 1), registers, micro-ops.
  const auto ew = [](int32_t outputRegister, int32_t count, const Words& micros) {
    return instruction(kElementwise,
                       Words{1, 0, 1, 0, 0, 1, outputRegister, 0, 1, count, static_cast<int32_t>(micros.size() / 7)} + micros);
  };
  acceptStep(ew(0, 1, {}));
  acceptStep(ew(2, 3, {kSquareF, 1, 0, 0, 0, 0, 0, kAddF, 2, 1, 0, 0, 0, 0}));
  refuseStep(ew(1, 2, {}), "never written");
  refuseStep(ew(-1, 2, {}), "never written");
  refuseStep(ew(64, 2, {}), "never written");
  refuseStep(ew(0, 0, {}), "number of registers");
  refuseStep(ew(0, 65, {}), "number of registers");
  refuseStep(ew(1, 2, {kSquareF, 0, 0, 0, 0, 0, 0}), "writes register 0");
  refuseStep(ew(1, 2, {kSquareF, 2, 0, 0, 0, 0, 0}), "writes register 2");
  refuseStep(ew(1, 3, {kSquareF, 1, 2, 0, 0, 0, 0}), "reads register 2");
  refuseStep(ew(1, 3, {kAddF, 1, 0, 64, 0, 0, 0}), "operand is 64");
  refuseStep(ew(1, 2, {kSquareF, 1, 0, 0, 0, 0, 0, kSquareF, 1, 0, 0, 0, 0, 0}), "writes register 1");
  for (const int32_t micro : {0, -1, 33, 39, 47, 59, 71, 90, 114, 125, 133, 141, INT32_MAX}) {
    refuseStep(ew(1, 2, {micro, 1, 0, 0, 0, 0, 0}), "does not exist");
  }
  refuseStep(instruction(kElementwise, {1, 0, 17}), "number of inputs");
  refuseStep(instruction(kElementwise, {1, 0, 0, 0}), "number of outputs");
  refuseStep(instruction(kElementwise, {1, 0, 0, 9}), "number of outputs");
  // The product may be named by the fused form only, and there it must be.
  refuseStep(instruction(kElementwise, {1, 0, 1, -1, 0, 1, 0, 0, 1, 1, 0}), "space -1");
  const auto fused = [](const Words& ewWords) {
    return instruction(kMatmulElementwise, Words{1, 1, 2, 2, 0, 0, 2, 1, 2, 0, 2, 1} + ewWords);
  };
  acceptStep(fused({2, 1, 2, 1, -1, 0, 0, 0, 1, 0, 0, 4, 2, 1, 1, 0}));
  refuseStep(fused({2, 2, 1, 1, -1, 0, 0, 0, 1, 0, 0, 4, 2, 1, 1, 0}), "not [M, N]");
  refuseStep(fused({2, 1, 2, 1, 0, 0, 0, 0, 1, 0, 0, 4, 2, 1, 1, 0}), "input 0 must be the product");
  refuseStep(fused({2, 1, 2, 1, -1, 0, 1, 0, 1, 0, 0, 4, 2, 1, 1, 0}), "strides must be 0");
}

// Whatever is done to the words: accepted or refused with the right error; under the sanitizers also without a bad read.
void damage() {
  Program program = small();
  program.thetaElements = 2;
  program.metrics = {0, 3, 1, 2};
  program.blocks[kCallBlock] = scalarOp(0, kAddF, {{2, 0}, {3, 1}}, 1, 0);
  program.blocks[kStepBlock] = scalarOp(1, kMulF, {{4, 0}, {0, 1}}, 4, 0) +
                               instruction(kMatmul, {1, 1, 2, 2, 2, 2, 0, 0, 2, 1, 4, 2, 0, 1, 2, 0, 0, 8, 2, 1, 4}) +
                               instruction(kGather, {1, 0, 1, 1, 6, 1, 3, 3, 0, 0, 0, 1, 0, 0, 4, 0, 1, 0, 8}) +
                               instruction(kRandom, {1, 0, 2, 0, 0, 4, 0, 0, 0, 0}) +
                               instruction(kConv, {1, 0, 0, 1, 1, 2, 2, 1, 1, 2, 2, 1, 2, 2, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 2, 0, 0, 4, 0, 4}) +
                               instruction(kTriangularSolve, {1, 1, 0, 1, 2, 3, 2, 0, 0, 0, 0, 10});
  program.blocks[kInitBlock] = instruction(kInitCopy, {1, 3, 0, 0, 1, 4, 0, 1});
  const Words good = program.words();
  validateProgram(good.data(), good.size());
  std::mt19937 random(1);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 200000; ++round) {
    Words words = good;
    const int hits = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < hits; ++i) {
      const uint32_t kind = random() % 4;
      int32_t& word = words[random() % words.size()];
      word = kind == 0 ? static_cast<int32_t>(random()) : kind == 1 ? static_cast<int32_t>(random() % 32) - 8
             : kind == 2 ? static_cast<int32_t>(static_cast<uint32_t>(word) + (random() % 2 ? 1u : ~0u)) : INT32_MAX - static_cast<int32_t>(random() % 2) * 2;
    }
    if (random() % 4 == 0) words.resize(random() % words.size());
    words.shrink_to_fit();
    try {
      validateProgram(words.data(), words.size());
      ++accepted;
    } catch (const Error& error) {
      CHECK_EQUAL(std::string(error.code), std::string(kOptionCode));
      ++refused;
    }
  }
  CHECK(accepted > 1000);
  CHECK(refused > 100000);
}

}  // namespace

int main() {
  return runAll({
      {"headers", headers},
      {"operands stay inside their spaces", operands},
      {"instructions are whole and known", instructions},
      {"windows and convolutions stay inside", windows},
      {"matrices and sorts stay inside", matricesAndSorts},
      {"blocks hold what they may", blocks},
      {"registers are written once before they are read", registers},
      {"damaged words are accepted or refused, never followed", damage},
  });
}
