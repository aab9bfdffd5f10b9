// Philox4x32-10 and the transforms from words to values, W at a time: the same bits as src/random/philox.ts and
// src/random/distributions.ts, which also say what the counter words mean. Every operation of the transforms is rounded to
// float32 by itself, on every level: no fma, no library function, and the build must not contract (-ffp-contract=off).
#pragma once
#include "simd.h"

namespace unrolled {
namespace UNROLLED_LEVEL {

// Lane i of the four vectors is words 0..3 of one block.
struct words4 {
  vu word[4];
};

// One block for each lane. A 32-bit word of the state lives in the low half of a 64-bit lane, the even lanes' words in one vector
// and the odd ones' in another, because that is what the 32 x 32 -> 64 multiplication takes and gives; high halves hold rubbish
// that nothing reads.
UNROLLED_INLINE words4 philox(vu c0, vu c1, vu c2, vu c3, uint32_t k0, uint32_t k1) {
  const vl m0 = splat(uint64_t{0xd2511f53}), m2 = splat(uint64_t{0xcd9e8d57});
  vl e0 = (vl)c0, e1 = (vl)c1, e2 = (vl)c2, e3 = (vl)c3;
  vl o0 = odd_lanes(c0), o1 = odd_lanes(c1), o2 = odd_lanes(c2), o3 = odd_lanes(c3);
#pragma GCC unroll 10
  for (int round = 0; round < 10; round++) {
    const vl a = splat(uint64_t{k0}), b = splat(uint64_t{k1});
    vl e_p0 = multiply_low_halves(m0, e0), e_p2 = multiply_low_halves(m2, e2);
    vl o_p0 = multiply_low_halves(m0, o0), o_p2 = multiply_low_halves(m2, o2);
    e0 = (e_p2 >> 32) ^ (e1 ^ a);
    o0 = (o_p2 >> 32) ^ (o1 ^ a);
    e2 = (e_p0 >> 32) ^ (e3 ^ b);
    o2 = (o_p0 >> 32) ^ (o3 ^ b);
    e1 = e_p2;
    o1 = o_p2;
    e3 = e_p0;
    o3 = o_p0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return {{interleave_low_halves(e0, o0), interleave_low_halves(e1, o1), interleave_low_halves(e2, o2),
           interleave_low_halves(e3, o3)}};
}

// Subjects W consecutive particles, one block of each.
UNROLLED_INLINE words4 philox_subjects(uint32_t block, uint32_t first_subject, uint32_t step, uint32_t stream_draw, uint32_t k0,
                                       uint32_t k1) {
  return philox(splat(block), as_uint(iota(0)) + first_subject, splat(step), splat(stream_draw), k0, k1);
}

// W consecutive blocks of one subject.
UNROLLED_INLINE words4 philox_blocks(uint32_t first_block, uint32_t subject, uint32_t step, uint32_t stream_draw, uint32_t k0,
                                     uint32_t k1) {
  return philox(as_uint(iota(0)) + first_block, splat(subject), splat(step), splat(stream_draw), k0, k1);
}

UNROLLED_INLINE uint32_t stream_word(uint32_t stream, uint32_t draw) { return stream << 24 | draw; }

// ---- words to values ------------------------------------------------------------------------------------------------------

// [0, 1), multiples of 2^-24
UNROLLED_INLINE vf uniform_from_word(vu word) { return to_float(as_int(word >> 8)) * 0x1p-24f; }

// Bounds of a uniform draw; `top` is the largest float32 below high, to which a sum that rounds up to high is cut.
struct UniformRange {
  float low, span, top;
  static UniformRange between(float low, float high) {
    int32_t bits;
    std::memcpy(&bits, &high, sizeof bits);
    bits = high == 0 ? INT32_MIN + 1 : bits + (high > 0 ? -1 : 1);
    float top;
    std::memcpy(&top, &bits, sizeof top);
    return {low, high - low, top};
  }
};
UNROLLED_INLINE vf uniform_in_range(vu word, UniformRange range) {
  vf scaled = uniform_from_word(word) * range.span;
  return min_fast(scaled + range.low, splat(range.top));
}

// low + floor(word * range / 2^32)
UNROLLED_INLINE vi integer_from_word(vu word, int32_t low, uint32_t range) {
  return as_int(multiply_high(word, splat(range)) + static_cast<uint32_t>(low));
}

// -1 with probability p, else 0
UNROLLED_INLINE vi bernoulli_from_word(vu word, vf p) { return uniform_from_word(word) < p; }

// Two vectors that go through the same operations side by side. The normal transform is one long dependency chain; a Zen 3 core's
// scheduler holds about two of them, so two chains interleaved in program order run in two thirds of the time.
template <class V>
struct two {
  V a, b;
};
#define UNROLLED_TWO(op)                                                                                                       \
  template <class V> UNROLLED_INLINE two<V> operator op(two<V> x, two<V> y) { return {x.a op y.a, x.b op y.b}; }               \
  template <class V, class S> UNROLLED_INLINE two<V> operator op(two<V> x, S y) { return {x.a op y, x.b op y}; }               \
  template <class V> UNROLLED_INLINE two<V> operator op(float x, two<V> y) { return {x op y.a, x op y.b}; }
UNROLLED_TWO(+)
UNROLLED_TWO(-)
UNROLLED_TWO(*)
UNROLLED_TWO(/)
UNROLLED_TWO(&)
UNROLLED_TWO(^)
#undef UNROLLED_TWO
UNROLLED_INLINE two<vi> operator-(int32_t x, two<vi> y) { return {x - y.a, x - y.b}; }
UNROLLED_INLINE two<vi> operator>>(two<vi> x, int n) { return {x.a >> n, x.b >> n}; }
UNROLLED_INLINE two<vi> operator<<(two<vi> x, int n) { return {x.a << n, x.b << n}; }
UNROLLED_INLINE two<vi> as_int(two<vu> v) { return {as_int(v.a), as_int(v.b)}; }
UNROLLED_INLINE two<vi> as_int(two<vf> v) { return {as_int(v.a), as_int(v.b)}; }
UNROLLED_INLINE two<vf> as_float(two<vi> v) { return {as_float(v.a), as_float(v.b)}; }
UNROLLED_INLINE two<vf> to_float(two<vi> v) { return {to_float(v.a), to_float(v.b)}; }

// N(0, 1): top bit the sign, the other 31 the tail probability; see normalFromWord in src/random/distributions.ts. V: vu or two<vu>.
template <class V>
UNROLLED_INLINE auto normal_from_word(V word) {
  auto k = as_int(word) & 0x7fffffff;
  auto p = to_float(k) + 0.5f;              // tail probability times 2^32
  auto product = p * (0x1p32f - p);         // p (1 - p), times 2^64
  auto bits = as_int(product);
  auto exponent = (bits - 0x3f3504f3) >> 23;
  auto f = as_float(bits - (exponent << 23)) - 1.0f;
  // Even and odd terms are summed apart: half the latency of Horner's rule.
  auto f2 = f * f;
  auto high = (0.2972626f + -0.272698f * f) + 0.17063448f * f2;
  auto middle = (0.48046502f + -0.35896185f * f) + high * f2;
  auto q = (1.4426997f + -0.7213759f * f) + middle * f2;
  auto w = to_float(62 - exponent) - q * f;
  auto w2 = w * w;
  auto n_even = (6.6518004e-07f * w2 + 0.00012450198f) * w2 + 0.0036165984f;
  auto n_odd = (1.35218015e-08f * w2 + 1.1406586e-05f) * w2 + 0.00090469484f;
  auto d_even = (242.7814f * w2 + 97256.0f) * w2 + 6196838.5f;
  auto d_odd = (w2 + 4700.1016f) * w2 + 425643.03f;
  auto n = n_odd * w + n_even;
  auto d = d_odd * w + d_even;
  auto x = to_float(k ^ 0x7fffffff) + 0.5f;  // 1 - 2p, times 2^31, which the numerator makes good
  return as_float(as_int(x * (n / d)) ^ (as_int(word) & INT32_MIN));
}

// ---- whole draws ----------------------------------------------------------------------------------------------------------

// All four words of the blocks of W lanes; a transform that takes two vectors at once is given two.
template <class Transform>
UNROLLED_INLINE auto transform_block(const words4& block, Transform transform) {
  struct {
    decltype(transform(block.word[0])) value[4];
  } out;
  if constexpr (requires { transform(two<vu>{}); }) {
    auto first = transform(two<vu>{block.word[0], block.word[1]}), second = transform(two<vu>{block.word[2], block.word[3]});
    out = {{first.a, first.b, second.a, second.b}};
  } else {
    for (int j = 0; j < 4; j++) out.value[j] = transform(block.word[j]);
  }
  return out;
}

// Which words: the counter but for block and subject, and the key.
struct DrawKey {
  uint32_t step, stream_draw, k0, k1;
};

// Rows [first, count) of a draw for `active` lanes, in memory from `row` on.
template <class T, class Transform>
static void draw_lanes_slowly(T* row, size_t stride, uint32_t first, uint32_t count, int active, vu subject, DrawKey key,
                              Transform transform) {
  for (uint32_t element = first; element < count; element += 4) {
    auto values = transform_block(
        philox(splat(element >> 2), subject, splat(key.step), splat(key.stream_draw), key.k0, key.k1), transform);
    for (uint32_t j = 0; j < 4 && element + j < count; j++) store_first(row + (element + j) * stride, values.value[j], active);
  }
}

// A draw of `count` elements of a tile: rows [count][lanes], lane l of particle first_particle + l. With pairs != 0 the subject is the
// pair, particle % pairs (particles < 2 * pairs). `transform` takes a vu and gives a vf, vi or vu. Any number of lanes.
template <class T, class Transform>
UNROLLED_INLINE void draw_lanes(T* rows, int lanes, uint32_t count, uint32_t first_particle, uint32_t pairs, DrawKey key,
                                Transform transform) {
  const size_t stride = static_cast<size_t>(lanes);
  for (int lane = 0; lane < lanes; lane += W) {
    vu subject = as_uint(iota(lane)) + first_particle;
    if (pairs != 0) subject = select((vi)(subject >= splat(pairs)), subject - pairs, subject);
    const int active = lanes - lane < W ? lanes - lane : W;
    // Whole blocks of whole vectors here; odd ends in a function of their own, whose masks would cost this loop its registers.
    const uint32_t whole = active == W ? count & ~3u : 0;
    for (uint32_t element = 0; element < whole; element += 4) {
      words4 block = philox(splat(element >> 2), subject, splat(key.step), splat(key.stream_draw), key.k0, key.k1);
      auto values = transform_block(block, transform);
      T* row = rows + element * stride + static_cast<size_t>(lane);
      for (int j = 0; j < 4; j++) store(row + static_cast<size_t>(j) * stride, values.value[j]);
    }
    if (whole < count) draw_lanes_slowly(rows + lane, stride, whole, count, active, subject, key, transform);
  }
}

// Lane i's four words one after another: out[4 i + j] = value[j][i].
template <class T, class V>
UNROLLED_INLINE void store_blocks(T* out, const V value[4]) {
#if defined(UNROLLED_AVX512)
  __m512 a = _mm512_unpacklo_ps((__m512)value[0], (__m512)value[1]), b = _mm512_unpackhi_ps((__m512)value[0], (__m512)value[1]);
  __m512 c = _mm512_unpacklo_ps((__m512)value[2], (__m512)value[3]), d = _mm512_unpackhi_ps((__m512)value[2], (__m512)value[3]);
  // blocks 0 4 8 12, 1 5 9 13, 2 6 10 14, 3 7 11 15, four words each
  __m512 r0 = _mm512_shuffle_ps(a, c, 0x44), r1 = _mm512_shuffle_ps(a, c, 0xee);
  __m512 r2 = _mm512_shuffle_ps(b, d, 0x44), r3 = _mm512_shuffle_ps(b, d, 0xee);
  // 0 4 1 5, 8 12 9 13, 2 6 3 7, 10 14 11 15
  __m512 s0 = _mm512_shuffle_f32x4(r0, r1, 0x44), s1 = _mm512_shuffle_f32x4(r0, r1, 0xee);
  __m512 s2 = _mm512_shuffle_f32x4(r2, r3, 0x44), s3 = _mm512_shuffle_f32x4(r2, r3, 0xee);
  store(out, (V)_mm512_shuffle_f32x4(s0, s2, 0x88));
  store(out + 16, (V)_mm512_shuffle_f32x4(s0, s2, 0xdd));
  store(out + 32, (V)_mm512_shuffle_f32x4(s1, s3, 0x88));
  store(out + 48, (V)_mm512_shuffle_f32x4(s1, s3, 0xdd));
#elif defined(UNROLLED_AVX2)
  __m256 a = _mm256_unpacklo_ps((__m256)value[0], (__m256)value[1]), b = _mm256_unpackhi_ps((__m256)value[0], (__m256)value[1]);
  __m256 c = _mm256_unpacklo_ps((__m256)value[2], (__m256)value[3]), d = _mm256_unpackhi_ps((__m256)value[2], (__m256)value[3]);
  // blocks 0 4, 1 5, 2 6, 3 7, four words each
  __m256 r0 = _mm256_shuffle_ps(a, c, 0x44), r1 = _mm256_shuffle_ps(a, c, 0xee);
  __m256 r2 = _mm256_shuffle_ps(b, d, 0x44), r3 = _mm256_shuffle_ps(b, d, 0xee);
  store(out, (V)_mm256_permute2f128_ps(r0, r1, 0x20));
  store(out + 8, (V)_mm256_permute2f128_ps(r2, r3, 0x20));
  store(out + 16, (V)_mm256_permute2f128_ps(r0, r1, 0x31));
  store(out + 24, (V)_mm256_permute2f128_ps(r2, r3, 0x31));
#elif defined(UNROLLED_SSE2)
  __m128 r0 = (__m128)value[0], r1 = (__m128)value[1], r2 = (__m128)value[2], r3 = (__m128)value[3];
  _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
  store(out, (V)r0);
  store(out + 4, (V)r1);
  store(out + 8, (V)r2);
  store(out + 12, (V)r3);
#else
  alignas(4 * W) T columns[4][W];
  for (int j = 0; j < 4; j++) store(columns[j], value[j]);
  for (int i = 0; i < W; i++)
    for (int j = 0; j < 4; j++) out[4 * i + j] = columns[j][i];
#endif
}

// Elements [first, first + count) of one subject's draw, contiguous; `first` is a multiple of 4.
template <class T, class Transform>
UNROLLED_INLINE void draw_row(T* out, uint32_t first, uint32_t count, uint32_t subject, DrawKey key, Transform transform) {
  for (uint32_t i = 0; i < count; i += 4 * W) {
    words4 words = philox_blocks((first + i) / 4, subject, key.step, key.stream_draw, key.k0, key.k1);
    auto values = transform_block(words, transform);
    if (count - i >= 4 * W) {
      store_blocks(out + i, values.value);
    } else {
      T flat[4 * W];
      store_blocks(flat, values.value);
      std::memcpy(out + i, flat, sizeof(T) * (count - i));
    }
  }
}

template <bool kOwnSteps, class T, class Transform>
static void draw_blocks_of_rows(T* out, uint32_t rows, uint32_t dim, uint32_t first_subject, DrawKey key, const uint32_t* steps,
                                Transform transform) {
  // Lanes are (row, block) pairs in row-major order, so that short rows fill vectors as well as long ones do.
  const uint32_t blocks = dim / 4 + (dim % 4 != 0);
  const uint32_t row_advance = W / blocks, block_advance = W % blocks;
  vu row{}, block{};
  for (uint32_t i = 0; i < W; i++) {
    row[i] = i / blocks;
    block[i] = i % blocks;
  }
  const uint64_t items = uint64_t{rows} * blocks;
  for (uint64_t item = 0; item < items; item += W) {
    vu step = splat(key.step);
    if constexpr (kOwnSteps) {
      for (int i = 0; i < W; i++) step[i] = row[i] < rows ? steps[row[i]] : 0;
    }
    words4 words = philox(block, row + first_subject, step, splat(key.stream_draw), key.k0, key.k1);
    auto values = transform_block(words, transform);
    if (dim % 4 == 0 && item + W <= items) {
      store_blocks(out + 4 * item, values.value);
    } else {
      T flat[4 * W];
      store_blocks(flat, values.value);
      for (int i = 0; i < W && item + static_cast<uint64_t>(i) < items; i++) {
        const uint32_t first = block[i] * 4;
        T* to = out + static_cast<size_t>(row[i]) * dim + first;
        if (dim - first >= 4) std::memcpy(to, flat + 4 * i, 4 * sizeof(T));
        else
          for (uint32_t j = 0; j < dim - first; j++) to[j] = flat[4 * i + static_cast<int>(j)];
      }
    }
    row += row_advance;
    block += block_advance;
    vi carry = as_int(block) >= splat(static_cast<int32_t>(blocks));  // blocks <= 2^30, so signed comparison will do
    block -= as_uint(carry) & blocks;
    row -= as_uint(carry);
  }
}

// A draw of `rows` rows of `dim` elements, [rows][dim], row r of subject first_subject + r; the step is key.step, or steps[r]
// where steps is not null.
template <class T, class Transform>
UNROLLED_INLINE void draw_rows(T* out, uint32_t rows, uint32_t dim, uint32_t first_subject, DrawKey key, const uint32_t* steps,
                               Transform transform) {
  if (rows == 0 || dim == 0) return;
  if (dim >= 64 * W) {  // long rows: a vector of blocks of one row, little lost at its end
    for (uint32_t row = 0; row < rows; row++) {
      if (steps) key.step = steps[row];
      draw_row(out + static_cast<size_t>(row) * dim, 0, dim, first_subject + row, key, transform);
    }
  } else if (steps) {
    draw_blocks_of_rows<true>(out, rows, dim, first_subject, key, steps, transform);
  } else {
    draw_blocks_of_rows<false>(out, rows, dim, first_subject, key, steps, transform);
  }
}

}  // namespace UNROLLED_LEVEL
}  // namespace unrolled
