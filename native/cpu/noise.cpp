#include "noise.h"

#include "random.h"

namespace unrolled {
namespace UNROLLED_LEVEL {

namespace {

DrawKey key_of(const NoiseSource& noise) {
  return {noise.step, stream_word(noise.stream, noise.draw), noise.key0, noise.key1};
}

// Floats of noise made at a time: stays in the first-level cache.
constexpr uint32_t kChunk = 2048;

// Words to normals in place. Apart from the making of the words, because one loop of both is longer than the window in which the
// processor reorders: 1.7 ns a normal against 2.0 (Zen 3, 8 lanes).
void normals_from_words(float* values, uint32_t n) {
  uint32_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    two<vf> z = normal_from_word(two<vu>{as_uint(load(values + i)), as_uint(load(values + i + W))});
    store(values + i, z.a);
    store(values + i + W, z.b);
  }
  for (; i < n; i += W) {
    const int active = n - i < static_cast<uint32_t>(W) ? static_cast<int>(n - i) : W;
    store_first(values + i, normal_from_word(as_uint(load_first(values + i, active))), active);
  }
}

constexpr auto words_as_floats = [](vu word) { return as_float(word); };

// Calls consume(first row, rows, first column, columns, noise) with the noise of the whole matrix [rows, dim], in pieces of at most kChunk
// values: whole rows, or a part of one. The noise is made where place(row, column) points.
template <class Place, class Consume>
void for_noise(uint32_t row0, uint32_t rows, uint32_t dim, const NoiseSource& noise, Place place, Consume consume) {
  if (dim == 0) return;
  DrawKey key = key_of(noise);
  if (dim <= kChunk) {
    const uint32_t rows_at_once = kChunk / dim;
    for (uint32_t row = 0; row < rows; row += rows_at_once) {
      const uint32_t count = rows - row < rows_at_once ? rows - row : rows_at_once;
      float* eps = place(row, 0u);
      draw_rows(eps, count, dim, row0 + row, key, noise.steps ? noise.steps + row : nullptr, words_as_floats);
      normals_from_words(eps, count * dim);
      consume(row, count, 0u, dim, eps);
      if (rows - row <= rows_at_once) return;  // row + rows_at_once may not fit in 32 bits
    }
    return;
  }
  for (uint32_t row = 0; row < rows; row++) {
    if (noise.steps) key.step = noise.steps[row];
    for (uint32_t first = 0; first < dim;) {
      const uint32_t count = dim - first < kChunk ? dim - first : kChunk;
      float* eps = place(row, first);
      draw_row(eps, first, count, row0 + row, key, words_as_floats);
      normals_from_words(eps, count);
      consume(row, 1u, first, count, eps);
      first += count;
    }
  }
}

void add_scaled(float* accumulator, const float* scale, const float* eps, uint32_t n) {
  uint32_t j = 0;
  for (; j + W <= n; j += W) store(accumulator + j, load(accumulator + j) + load(scale + j) * load(eps + j));
  for (; j < n; j++) accumulator[j] = accumulator[j] + scale[j] * eps[j];
}

}  // namespace

void fill_normal_rows(float* out, uint32_t row0, uint32_t rows, uint32_t dim, const NoiseSource& noise) {
  for_noise(row0, rows, dim, noise, [=](uint32_t row, uint32_t column) { return out + size_t{row} * dim + column; },
            [](uint32_t, uint32_t, uint32_t, uint32_t, const float*) {});
}

void add_normal_rows(float* accumulator, const float* scale, uint32_t row0, uint32_t rows, uint32_t dim, const NoiseSource& noise) {
  alignas(64) float eps[kChunk];
  for_noise(row0, rows, dim, noise, [&](uint32_t, uint32_t) { return eps; },
            [=](uint32_t row, uint32_t count, uint32_t column, uint32_t columns, const float* piece) {
              for (uint32_t r = 0; r < count; r++) {
                add_scaled(accumulator + size_t{row + r} * dim + column, scale + column, piece + r * columns, columns);
              }
            });
}

void perturb_rows(float* rows, int lanes, int elements, const float* mean, const float* sigma, const NoiseSource& noise,
                  uint32_t particle0, uint32_t particles, uint32_t pairs) {
  const DrawKey key = key_of(noise);
  for (int lane = 0; lane < lanes; lane += W) {
    const int active = lanes - lane < W ? lanes - lane : W;
    vu particle = as_uint(iota(lane)) + particle0, subject = particle;
    vi flip = {};
    if (pairs != 0) {
      vi second = (vi)(particle >= splat(pairs));
      subject = select(second, particle - pairs, particle);
      flip = second & INT32_MIN;
    }
    vu step = splat(key.step);
    if (noise.steps) {
      for (int i = 0; i < W; i++) step[i] = i < active && particle[i] < particles ? noise.steps[subject[i]] : 0;
    }
    for (int element = 0; element < elements; element += 4) {
      words4 words = philox(splat(static_cast<uint32_t>(element) / 4), subject, step, splat(key.stream_draw), key.k0, key.k1);
      auto eps = transform_block(words, [](auto word) { return normal_from_word(word); });
      for (int j = 0; j < 4 && element + j < elements; j++) {
        vf scale = as_float(as_int(splat(sigma[element + j])) ^ flip);
        vf product = scale * eps.value[j];
        float* row = rows + static_cast<size_t>(element + j) * static_cast<size_t>(lanes) + lane;
        vf value = splat(mean[element + j]) + product;
        if (active == W) store(row, value);
        else store_first(row, value, active);
      }
    }
  }
}

void weighted_row_sum(const double* weights, const float* matrix, uint32_t rows, uint32_t dim, double* out) {
  uint32_t j = 0;
  // Columns in strips whose sums stay in registers while all rows go by.
  constexpr int kVectors = 4;
  for (; j + kVectors * W <= dim; j += kVectors * W) {
    vd sums[2 * kVectors];
    for (int v = 0; v < 2 * kVectors; v++) sums[v] = load(out + j + v * (W / 2));
    const float* row = matrix + j;
    for (uint32_t i = 0; i < rows; i++, row += dim) {
      const vd weight = splat(weights[i]);
      for (int v = 0; v < kVectors; v++) {
        doubles x = to_double(load(row + v * W));
        sums[2 * v] = sums[2 * v] + weight * x.low;
        sums[2 * v + 1] = sums[2 * v + 1] + weight * x.high;
      }
    }
    for (int v = 0; v < 2 * kVectors; v++) store(out + j + v * (W / 2), sums[v]);
  }
  for (; j < dim; j += W) {
    const int n = dim - j < static_cast<uint32_t>(W) ? static_cast<int>(dim - j) : W;
    double sums[W] = {};
    for (int k = 0; k < n; k++) sums[k] = out[j + static_cast<uint32_t>(k)];
    vd low = load(sums), high = load(sums + W / 2);
    const float* row = matrix + j;
    for (uint32_t i = 0; i < rows; i++, row += dim) {
      const vd weight = splat(weights[i]);
      doubles x = to_double(n == W ? load(row) : load_first(row, n));
      low = low + weight * x.low;
      high = high + weight * x.high;
    }
    store(sums, low);
    store(sums + W / 2, high);
    for (int k = 0; k < n; k++) out[j + static_cast<uint32_t>(k)] = sums[k];
  }
}

}  // namespace UNROLLED_LEVEL
}  // namespace unrolled
