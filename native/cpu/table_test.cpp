// RANDOM against a scalar Philox, and the table's functions that serve the engine directly.
#include "test_tile.h"

#include <limits>

using namespace unrolled;
using namespace unrolled::test;

namespace {

// The published algorithm, one block.
void philox(const uint32_t counter[4], uint32_t k0, uint32_t k1, uint32_t out[4]) {
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t{0xd2511f53} * c[0], p1 = uint64_t{0xcd9e8d57} * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1), static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1,
                              static_cast<uint32_t>(p0)};
    std::memcpy(c, next, sizeof c);
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  std::memcpy(out, c, sizeof c);
}

uint32_t drawnWord(const Context& context, uint32_t element, uint32_t subject, uint32_t stream, uint32_t draw) {
  const uint32_t counter[4] = {element / 4, subject, context.step, stream << 24 | draw};
  uint32_t words[4];
  philox(counter, context.key0, context.key1, words);
  return words[element % 4];
}

void knownPhilox() {
  const uint32_t zero[4] = {};
  uint32_t out[4];
  philox(zero, 0, 0, out);  // Random123's known answers
  CHECK_EQUAL(out[0], 0x6627e8d5u);
  CHECK_EQUAL(out[3], 0x9b00dbd8u);
}

void draws() {
  for (const CpuTable* table : tables()) {
    Random random(19);
    for (int trial = 0; trial < 200; trial++) {
      const int lanes = random.pick({8, 16, 24, 64});
      const int share = random.below(3), distribution = random.below(4), mode = share != 0;
      const int32_t elements = random.pick({0, 1, 3, 4, 9, 50});
      const uint32_t stream = static_cast<uint32_t>(random.below(3)), draw = static_cast<uint32_t>(random.below(1000));
      Context context;
      context.key0 = random.engine();
      context.key1 = random.engine();
      context.step = random.engine();
      context.pairs = random.chance(0.5) ? 40 : 0;
      context.particle0 = context.pairs ? static_cast<uint32_t>(random.below(2)) * 16 : static_cast<uint32_t>(random.below(100000));
      const float low = -2.5f, high = 1.25f, p = 0.3f;
      const int32_t bits0 = distribution == 1 ? bits(low) : distribution == 2 ? -5 : bits(p);
      const int32_t bits1 = distribution == 1 ? bits(high) : 17;
      Tile tile(lanes);
      const int32_t out = mode ? kVarying : kUniform;
      const int32_t output = tile.add(out, elements, [] { return 7u; });
      tile.add(out, 1, [] { return 8u; });
      const Tile got = run(*table, tile,
                           instruction(kRandom, Words{mode, distribution, share, static_cast<int32_t>(stream), static_cast<int32_t>(draw), elements, bits0, bits1, out, output}),
                           context);
      for (int32_t e = 0; e < elements; e++)
        for (int lane = 0; lane < (mode ? lanes : 1); lane++) {
          const uint32_t particle = context.particle0 + static_cast<uint32_t>(lane);
          const uint32_t subject = share == 0 ? 0 : share == 1 && context.pairs ? particle % context.pairs : particle;
          const uint32_t word = drawnWord(context, static_cast<uint32_t>(e), subject, stream, draw), g = got.word(out, output + e, lane);
          const float u = static_cast<float>(word >> 8) * 0x1p-24f;
          if (distribution == 0) {
            // The word's tail probability, through the complementary error function.
            const double tail = ((word & 0x7fffffff) + 0.5) * 0x1p-32, x = std::fabs(asFloat(g));
            CHECK((asFloat(g) < 0) == (word >> 31 != 0));
            CHECK(std::fabs(0.5 * std::erfc(x / std::sqrt(2.0)) - tail) < 4e-6 * tail + 3e-8);
          } else if (distribution == 1) {
            CHECK_EQUAL(asFloat(g), u * (high - low) + low);
          } else if (distribution == 2) {
            CHECK_EQUAL(static_cast<int32_t>(g), -5 + static_cast<int32_t>(uint64_t{word} * 17 >> 32));
          } else {
            CHECK_EQUAL(g, u < p ? 1u : 0u);
          }
        }
      CHECK_EQUAL(got.word(out, output + elements, 0), 8u);
    }
  }
}

void accumulation() {
  for (const CpuTable* table : tables())
    for (int lanes : {8, 24, 64}) {
      std::vector<float> row, last(static_cast<size_t>(lanes), 5.0f);
      std::vector<double> sums;
      for (int i = 0; i < lanes; i++) row.push_back(0.1f * static_cast<float>(i) - 1), sums.push_back(1e8 + i);
      const std::vector<double> before = sums;
      table->accumulate(row.data(), false, lanes, sums.data(), nullptr);
      table->accumulate(row.data() + 3, true, lanes, sums.data(), last.data());
      for (size_t i = 0; i < sums.size(); i++) {
        CHECK_EQUAL(sums[i], before[i] + double{row[i]} + double{row[3]});
        CHECK_EQUAL(last[i], row[3]);
      }
      table->accumulate(row.data(), false, lanes, sums.data(), last.data());
      for (size_t i = 0; i < sums.size(); i++) CHECK_EQUAL(last[i], row[i]);
    }
}

// theta = mean + (+-sigma) * eps with the eps that fillNormal gives, members of a pair mirrored.
void perturbation() {
  for (const CpuTable* table : tables()) {
    const int lanes = 24, elements = 7;
    const uint32_t pairs = 20;
    std::vector<float> mean, sigma, rows(static_cast<size_t>(lanes * elements)), eps(pairs * static_cast<size_t>(elements));
    for (int j = 0; j < elements; j++) mean.push_back(0.3f * static_cast<float>(j) - 1), sigma.push_back(0.01f * static_cast<float>(j + 1));
    const NoiseSource noise{11, 12, 2, 3, 4, nullptr};
    table->fillNormal(eps.data(), 0, pairs, elements, noise);
    table->perturb(rows.data(), lanes, elements, mean.data(), sigma.data(), noise, 8, 40, pairs);
    for (int j = 0; j < elements; j++)
      for (int lane = 0; lane < lanes; lane++) {
        const uint32_t particle = 8 + static_cast<uint32_t>(lane), pair = particle % pairs;
        const size_t column = static_cast<size_t>(j);
        const float scaled = (particle >= pairs ? -sigma[column] : sigma[column]) * eps[pair * static_cast<size_t>(elements) + column];
        CHECK_EQUAL(rows[static_cast<size_t>(j * lanes + lane)], mean[column] + scaled);
      }
    std::vector<float> sum(2 * static_cast<size_t>(elements), 1.5f);
    table->addNormal(sum.data(), sigma.data(), 3, 2, elements, noise);
    for (size_t i = 0; i < sum.size(); i++) {
      const float product = sigma[i % static_cast<size_t>(elements)] * eps[3 * static_cast<size_t>(elements) + i];
      CHECK_EQUAL(sum[i], 1.5f + product);
    }
    std::vector<double> out(static_cast<size_t>(elements), 0.5), want = out, weights;
    for (uint32_t i = 0; i < pairs; i++) weights.push_back(0.1 * i - 0.7);
    for (uint32_t i = 0; i < pairs; i++)
      for (size_t j = 0; j < want.size(); j++) {
        const double term = weights[i] * double{eps[i * static_cast<size_t>(elements) + j]};
        want[j] += term;
      }
    table->weightedRowSum(weights.data(), eps.data(), pairs, elements, out.data());
    for (size_t j = 0; j < want.size(); j++) CHECK_EQUAL(out[j], want[j]);
  }
}

// Several instructions in one block, and an empty one.
void blocks() {
  for (const CpuTable* table : tables()) {
    Tile tile(8);
    tile.add(kVarying, 4, [] { return asWord(1.0f); });
    const Words fill = instruction(kFill, Words{1, 0, kVarying, 1, bits(2.5f)});
    const Words copy = instruction(kCopy, Words{1, 0, kVarying, 1, kVarying, 2});
    const Tile got = run(*table, tile, fill + copy);
    for (int lane = 0; lane < 8; lane++) {
      CHECK_EQUAL(asFloat(got.word(kVarying, 0, lane)), 1.0f);
      CHECK_EQUAL(asFloat(got.word(kVarying, 1, lane)), 2.5f);
      CHECK_EQUAL(asFloat(got.word(kVarying, 2, lane)), 2.5f);
      CHECK_EQUAL(asFloat(got.word(kVarying, 3, lane)), 1.0f);
    }
    CHECK(difference(run(*table, tile, {}), tile).empty());
    table->release(nullptr);
  }
}

}  // namespace

int main() {
  return runAll({{"known Philox answers", knownPhilox}, {"draws", draws}, {"accumulation", accumulation}, {"perturbation", perturbation}, {"blocks", blocks}});
}
