// For the engine's tests: a writer of program words, and a slow table that runs the few instructions those tests use, so that
// the engine is tested apart from the kernels.
#pragma once
#include <bit>
#include <cstdint>
#include <vector>

#include "program.h"

namespace unrolled::test {

using Words = std::vector<int32_t>;

inline Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Words instruction(Opcode opcode, const Words& payload) {
  return Words{opcode, static_cast<int32_t>(payload.size() + 2)} + payload;
}

inline int32_t bits(float value) { return std::bit_cast<int32_t>(value); }

struct Program {
  int32_t lanes = 8, rowsV = 0, wordsU = 0, wordsC = 0, wordsD = 0, rowsS = 0, thetaElements = 0, thetaRow = 0, tRow = -1,
          particleRow = -1, horizon = 0;
  int32_t lossSpace = 0, lossOffset = 0;
  Words metrics;  // pairs
  Words blocks[kBlocks];

  Words words() const {
    Words all{kProgramMagic, kProgramVersion, lanes, rowsV, wordsU, wordsC, wordsD, rowsS, thetaElements, thetaRow, tRow, particleRow,
              lossSpace, lossOffset, static_cast<int32_t>(metrics.size() / 2), horizon};
    int32_t at = static_cast<int32_t>(24 + metrics.size());
    for (const Words& block : blocks) {
      all.push_back(at);
      all.push_back(static_cast<int32_t>(block.size()));
      at += static_cast<int32_t>(block.size());
    }
    all = all + metrics;
    for (const Words& block : blocks) all = all + block;
    return all;
  }
};

// A number in [0, 1) from counters: stands in for Philox.
inline float hashed(uint32_t key, uint32_t subject, uint32_t step, uint32_t element) {
  uint32_t h = key * 2654435761u ^ subject * 2246822519u ^ step * 3266489917u ^ element * 668265263u;
  h ^= h >> 15;
  h *= 2654435761u;
  h ^= h >> 13;
  return static_cast<float>(h >> 8) * 0x1p-24f;
}

// Rank-0 ELEMENTWISE with one output, COPY, RANDOM of one element, and INIT_COPY of rank 0.
class SlowBlock {
 public:
  SlowBlock(const int32_t* words, size_t count) : words_(words, words + count) {}

  void run(TileContext& c) const {
    for (size_t at = 0; at < words_.size(); at += static_cast<size_t>(words_[at + 1])) {
      const int32_t* w = words_.data() + at + 2;
      if (words_[at] == kElementwise) {
        elementwise(c, w);
      } else if (words_[at] == kInitCopy) {
        for (int lane = 0; lane < c.lanes; ++lane) {
          if (c.fresh[lane]) *word(c, w[3], w[4], lane) = *word(c, w[1], w[2], lane);
        }
      } else if (words_[at] == kRandom) {
        for (int lane = 0; lane < c.lanes; ++lane) {
          const uint32_t particle = c.particle0 + static_cast<uint32_t>(lane);
          const uint32_t subject = w[2] == 0 ? 0 : w[2] == 1 && c.pairs ? particle % c.pairs : particle;
          *word(c, w[8], w[9], lane) = std::bit_cast<uint32_t>(hashed(c.key0, subject, c.step, static_cast<uint32_t>(w[4])));
        }
      }
    }
  }

 private:
  static uint32_t* word(TileContext& c, int32_t space, int32_t offset, int lane) {
    const bool varying = space == kVarying || space == kState;
    return c.space[space] + (varying ? size_t{1} * static_cast<size_t>(offset) * static_cast<size_t>(c.lanes) + static_cast<size_t>(lane)
                                     : static_cast<size_t>(offset));
  }

  static void elementwise(TileContext& c, const int32_t* w) {
    const int mode = *w++;
    ++w;  // rank 0
    const int inputs = *w++;
    const int32_t* const in = w;
    w += 2 * inputs + 1;  // one output
    const int32_t* const out = w;
    w += 4;  // its register and operand, and the number of registers
    const int micros = *w++;
    for (int lane = 0; lane < (mode ? c.lanes : 1); ++lane) {
      uint32_t r[64] = {};
      for (int i = 0; i < inputs; ++i) r[i] = *word(c, in[2 * i], in[2 * i + 1], lane);
      for (int i = 0; i < micros; ++i) {
        const int32_t* m = w + 7 * i;
        const float a = std::bit_cast<float>(r[m[2]]), b = std::bit_cast<float>(r[m[3]]);
        switch (m[0]) {
          case kAddF: r[m[1]] = std::bit_cast<uint32_t>(a + b); break;
          case kMulF: r[m[1]] = std::bit_cast<uint32_t>(a * b); break;
          case kIntToFloat: r[m[1]] = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(r[m[2]]))); break;
          case kConst: r[m[1]] = static_cast<uint32_t>(m[5]); break;
          default: break;
        }
      }
      *word(c, out[1], out[2], lane) = r[out[0]];
    }
  }

  std::vector<int32_t> words_;
};

inline const CpuTable& slowTable() {
  static const CpuTable table{
      "slow", 1,
      [](const int32_t* words, size_t count, int, size_t* scratchBytes) -> void* {
        *scratchBytes = 256;
        return new SlowBlock(words, count);
      },
      [](const void* block, TileContext& context) { static_cast<const SlowBlock*>(block)->run(context); },
      [](void* block) { delete static_cast<SlowBlock*>(block); },
      [](const float* row, bool uniform, int lanes, double* sums, float* last) {
        for (int i = 0; i < lanes; ++i) {
          const float value = row[uniform ? 0 : i];
          sums[i] += static_cast<double>(value);
          if (last) last[i] = value;
        }
      },
      [](float* rows, int lanes, int elements, const float* mean, const float* sigma, const NoiseSource& noise, uint32_t particle0,
         uint32_t, uint32_t pairs) {
        for (int lane = 0; lane < lanes; ++lane) {
          const uint32_t particle = particle0 + static_cast<uint32_t>(lane), pair = pairs ? particle % pairs : particle;
          const float sign = pairs && particle >= pairs ? -1.0f : 1.0f;
          for (int j = 0; j < elements; ++j) {
            const uint32_t step = noise.steps ? noise.steps[pair] : noise.step;
            rows[j * lanes + lane] = mean[j] + sign * sigma[j] * hashed(noise.key0, pair, step, static_cast<uint32_t>(j));
          }
        }
      },
      [](float* out, uint32_t row0, uint32_t rows, uint32_t dim, const NoiseSource& noise) {
        for (uint32_t i = 0; i < rows; ++i) {
          for (uint32_t j = 0; j < dim; ++j) out[i * dim + j] = hashed(noise.key0, row0 + i, noise.steps ? noise.steps[i] : noise.step, j);
        }
      },
      [](float* accumulator, const float* scale, uint32_t row0, uint32_t rows, uint32_t dim, const NoiseSource& noise) {
        for (uint32_t i = 0; i < rows; ++i) {
          for (uint32_t j = 0; j < dim; ++j) {
            accumulator[i * dim + j] += scale[j] * hashed(noise.key0, row0 + i, noise.steps ? noise.steps[i] : noise.step, j);
          }
        }
      },
      [](const double* weights, const float* matrix, uint32_t rows, uint32_t dim, double* out) {
        for (uint32_t i = 0; i < rows; ++i) {
          for (uint32_t j = 0; j < dim; ++j) out[j] += weights[i] * static_cast<double>(matrix[i * dim + j]);
        }
      },
  };
  return table;
}

// `out = micro(inputs...)` over one element each: a rank-0 ELEMENTWISE with one micro-op. `constant`: bits0.
inline Words scalarOp(int mode, Micro micro, const std::vector<std::pair<int32_t, int32_t>>& inputs, int32_t outSpace, int32_t outOffset,
                      int32_t constant = 0) {
  const int32_t n = static_cast<int32_t>(inputs.size());
  Words payload{mode, 0, n};
  for (const auto& [space, offset] : inputs) payload = payload + Words{space, offset};
  payload = payload + Words{1, n, outSpace, outOffset, n + 1, 1, micro, n, 0, n > 1 ? 1 : 0, 0, constant, 0};
  return instruction(kElementwise, payload);
}

}  // namespace unrolled::test
