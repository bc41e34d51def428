// As many numbers as the processor computes with at once, and what the searches do with them. Every file of this folder
// is compiled once per instruction set, with DUSNET_LANE_BYTES and DUSNET_LEVEL set; what it defines has internal
// linkage, so that the linker cannot take one set's code for another's. The order of the operations is that of
// distance.h: all sets agree to the bit.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// GCC 12 takes the undefined halves inside its own AVX-512 header for mistakes (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define DUSNET_INLINE inline __attribute__((always_inline))
#define DUSNET_LAMBDA __attribute__((always_inline))

namespace dusnet {
namespace DUSNET_LEVEL {
namespace {

template <typename T>
struct Wide;

template <>
struct Wide<float> {
  typedef float numbers __attribute__((vector_size(DUSNET_LANE_BYTES)));
  typedef int32_t integers __attribute__((vector_size(DUSNET_LANE_BYTES)));
  using integer = int32_t;
};

template <>
struct Wide<double> {
  typedef double numbers __attribute__((vector_size(DUSNET_LANE_BYTES)));
  typedef int64_t integers __attribute__((vector_size(DUSNET_LANE_BYTES)));
  using integer = int64_t;
};

template <typename T>
using Lanes = typename Wide<T>::numbers;

template <typename T>
using IntLanes = typename Wide<T>::integers;

template <typename T>
constexpr int kLanes = DUSNET_LANE_BYTES / sizeof(T);

template <typename T>
DUSNET_INLINE Lanes<T> load(const T* from) {
  Lanes<T> lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

template <typename T>
DUSNET_INLINE void store(T* to, Lanes<T> lanes) {
  std::memcpy(to, &lanes, sizeof(lanes));
}

template <typename T>
DUSNET_INLINE Lanes<T> broadcast(T value) {
  return value - Lanes<T>{};
}

#if DUSNET_LANE_BYTES == 64

template <typename T>
struct MaskOf;
template <>
struct MaskOf<float> {
  using type = __mmask16;
};
template <>
struct MaskOf<double> {
  using type = __mmask8;
};
template <typename T>
using Mask = typename MaskOf<T>::type;

DUSNET_INLINE __m512 raw(Lanes<float> v) { return reinterpret_cast<__m512>(v); }
DUSNET_INLINE __m512d raw(Lanes<double> v) { return reinterpret_cast<__m512d>(v); }
DUSNET_INLINE __m512i raw(IntLanes<float> v) { return reinterpret_cast<__m512i>(v); }
DUSNET_INLINE __m512i raw(IntLanes<double> v) { return reinterpret_cast<__m512i>(v); }

DUSNET_INLINE __mmask16 less(Lanes<float> a, Lanes<float> b) { return _mm512_cmp_ps_mask(raw(a), raw(b), _CMP_LT_OQ); }
DUSNET_INLINE __mmask8 less(Lanes<double> a, Lanes<double> b) { return _mm512_cmp_pd_mask(raw(a), raw(b), _CMP_LT_OQ); }
DUSNET_INLINE __mmask16 same(Lanes<float> a, Lanes<float> b) { return _mm512_cmp_ps_mask(raw(a), raw(b), _CMP_EQ_OQ); }
DUSNET_INLINE __mmask8 same(Lanes<double> a, Lanes<double> b) { return _mm512_cmp_pd_mask(raw(a), raw(b), _CMP_EQ_OQ); }
DUSNET_INLINE __mmask16 at_most(Lanes<float> a, Lanes<float> b) {
  return _mm512_cmp_ps_mask(raw(a), raw(b), _CMP_LE_OQ);
}
DUSNET_INLINE __mmask8 at_most(Lanes<double> a, Lanes<double> b) {
  return _mm512_cmp_pd_mask(raw(a), raw(b), _CMP_LE_OQ);
}
DUSNET_INLINE __mmask16 less(IntLanes<float> a, IntLanes<float> b) { return _mm512_cmplt_epi32_mask(raw(a), raw(b)); }
DUSNET_INLINE __mmask8 less(IntLanes<double> a, IntLanes<double> b) { return _mm512_cmplt_epi64_mask(raw(a), raw(b)); }

DUSNET_INLINE Lanes<float> select(__mmask16 m, Lanes<float> a, Lanes<float> b) {
  return reinterpret_cast<Lanes<float>>(_mm512_mask_blend_ps(m, raw(b), raw(a)));
}
DUSNET_INLINE Lanes<double> select(__mmask8 m, Lanes<double> a, Lanes<double> b) {
  return reinterpret_cast<Lanes<double>>(_mm512_mask_blend_pd(m, raw(b), raw(a)));
}
DUSNET_INLINE IntLanes<float> select(__mmask16 m, IntLanes<float> a, IntLanes<float> b) {
  return reinterpret_cast<IntLanes<float>>(_mm512_mask_blend_epi32(m, raw(b), raw(a)));
}
DUSNET_INLINE IntLanes<double> select(__mmask8 m, IntLanes<double> a, IntLanes<double> b) {
  return reinterpret_cast<IntLanes<double>>(_mm512_mask_blend_epi64(m, raw(b), raw(a)));
}

DUSNET_INLINE Lanes<float> lesser(Lanes<float> a, Lanes<float> b) {
  return reinterpret_cast<Lanes<float>>(_mm512_min_ps(raw(a), raw(b)));
}
DUSNET_INLINE Lanes<double> lesser(Lanes<double> a, Lanes<double> b) {
  return reinterpret_cast<Lanes<double>>(_mm512_min_pd(raw(a), raw(b)));
}
DUSNET_INLINE Lanes<float> greater(Lanes<float> a, Lanes<float> b) {
  return reinterpret_cast<Lanes<float>>(_mm512_max_ps(raw(a), raw(b)));
}
DUSNET_INLINE Lanes<double> greater(Lanes<double> a, Lanes<double> b) {
  return reinterpret_cast<Lanes<double>>(_mm512_max_pd(raw(a), raw(b)));
}

DUSNET_INLINE uint32_t bits(__mmask16 m) { return m; }
DUSNET_INLINE uint32_t bits(__mmask8 m) { return m; }

DUSNET_INLINE float largest(Lanes<float> v) { return _mm512_reduce_max_ps(raw(v)); }
DUSNET_INLINE double largest(Lanes<double> v) { return _mm512_reduce_max_pd(raw(v)); }
DUSNET_INLINE float smallest(Lanes<float> v) { return _mm512_reduce_min_ps(raw(v)); }
DUSNET_INLINE double smallest(Lanes<double> v) { return _mm512_reduce_min_pd(raw(v)); }

#else

template <typename T>
using Mask = IntLanes<T>;

DUSNET_INLINE Mask<float> less(Lanes<float> a, Lanes<float> b) { return a < b; }
DUSNET_INLINE Mask<double> less(Lanes<double> a, Lanes<double> b) { return a < b; }
DUSNET_INLINE Mask<float> same(Lanes<float> a, Lanes<float> b) { return a == b; }
DUSNET_INLINE Mask<double> same(Lanes<double> a, Lanes<double> b) { return a == b; }
DUSNET_INLINE Mask<float> at_most(Lanes<float> a, Lanes<float> b) { return a <= b; }
DUSNET_INLINE Mask<double> at_most(Lanes<double> a, Lanes<double> b) { return a <= b; }
DUSNET_INLINE Mask<float> less(IntLanes<float> a, IntLanes<float> b) { return a < b; }
DUSNET_INLINE Mask<double> less(IntLanes<double> a, IntLanes<double> b) { return a < b; }

DUSNET_INLINE Lanes<float> select(Mask<float> m, Lanes<float> a, Lanes<float> b) { return m ? a : b; }
DUSNET_INLINE Lanes<double> select(Mask<double> m, Lanes<double> a, Lanes<double> b) { return m ? a : b; }
DUSNET_INLINE IntLanes<float> select(Mask<float> m, IntLanes<float> a, IntLanes<float> b) { return m ? a : b; }
DUSNET_INLINE IntLanes<double> select(Mask<double> m, IntLanes<double> a, IntLanes<double> b) { return m ? a : b; }

DUSNET_INLINE Lanes<float> lesser(Lanes<float> a, Lanes<float> b) { return a < b ? a : b; }
DUSNET_INLINE Lanes<double> lesser(Lanes<double> a, Lanes<double> b) { return a < b ? a : b; }
DUSNET_INLINE Lanes<float> greater(Lanes<float> a, Lanes<float> b) { return a > b ? a : b; }
DUSNET_INLINE Lanes<double> greater(Lanes<double> a, Lanes<double> b) { return a > b ? a : b; }

#if DUSNET_LANE_BYTES == 32
DUSNET_INLINE uint32_t bits(Mask<float> m) {
  return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(m)));
}
DUSNET_INLINE uint32_t bits(Mask<double> m) {
  return static_cast<uint32_t>(_mm256_movemask_pd(reinterpret_cast<__m256d>(m)));
}
#elif defined(__x86_64__)
DUSNET_INLINE uint32_t bits(Mask<float> m) {
  return static_cast<uint32_t>(_mm_movemask_ps(reinterpret_cast<__m128>(m)));
}
DUSNET_INLINE uint32_t bits(Mask<double> m) {
  return static_cast<uint32_t>(_mm_movemask_pd(reinterpret_cast<__m128d>(m)));
}
#else
DUSNET_INLINE uint32_t bits(Mask<float> m) {
  uint32_t found = 0;
  for (int i = 0; i < kLanes<float>; ++i) found |= static_cast<uint32_t>(m[i] & 1) << i;
  return found;
}
DUSNET_INLINE uint32_t bits(Mask<double> m) {
  uint32_t found = 0;
  for (int i = 0; i < kLanes<double>; ++i) found |= static_cast<uint32_t>(m[i] & 1) << i;
  return found;
}
#endif

// Halves the lanes until few are left. Minimum and maximum come out the same in any order.
template <typename T, typename F>
DUSNET_INLINE T folded(Lanes<T> v, F f) {
  typedef T Quarter __attribute__((vector_size(16)));
  constexpr int kQuarter = 16 / sizeof(T);
  Quarter parts[DUSNET_LANE_BYTES / 16];
  std::memcpy(parts, &v, sizeof(v));
#if DUSNET_LANE_BYTES == 32
  parts[0] = f(parts[0], parts[1]);
#endif
  T values[kQuarter];
  std::memcpy(values, parts, sizeof(values));
  T found = f(values[0], values[1]);
  for (int i = 2; i < kQuarter; i += 2) found = f(found, f(values[i], values[i + 1]));
  return found;
}

template <typename T>
DUSNET_INLINE T largest_of(Lanes<T> v) {
  return folded<T>(v, [](auto a, auto b) DUSNET_LAMBDA { return a > b ? a : b; });
}
template <typename T>
DUSNET_INLINE T smallest_of(Lanes<T> v) {
  return folded<T>(v, [](auto a, auto b) DUSNET_LAMBDA { return a < b ? a : b; });
}
DUSNET_INLINE float largest(Lanes<float> v) { return largest_of<float>(v); }
DUSNET_INLINE double largest(Lanes<double> v) { return largest_of<double>(v); }
DUSNET_INLINE float smallest(Lanes<float> v) { return smallest_of<float>(v); }
DUSNET_INLINE double smallest(Lanes<double> v) { return smallest_of<double>(v); }

#endif

template <typename T>
DUSNET_INLINE IntLanes<T> broadcast_index(int32_t value) {
  return value - IntLanes<T>{};
}

DUSNET_INLINE IntLanes<float> load_lanes(const int32_t* from, float) {
  IntLanes<float> lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}
DUSNET_INLINE IntLanes<double> load_lanes(const int32_t* from, double) {
  typedef int32_t Half __attribute__((vector_size(DUSNET_LANE_BYTES / 2)));
  Half half;
  std::memcpy(&half, from, sizeof(half));
  return __builtin_convertvector(half, IntLanes<double>);
}

// Indices, as many as there are lanes.
template <typename T>
DUSNET_INLINE IntLanes<T> load_index(const int32_t* from) {
  return load_lanes(from, T());
}

// Index of the lowest and of the highest set bit.
DUSNET_INLINE int lowest(uint32_t found) { return __builtin_ctz(found); }
DUSNET_INLINE int highest(uint32_t found) { return 31 - __builtin_clz(found); }

// From a coordinate to intervals, 0 inside.
template <typename T>
DUSNET_INLINE Lanes<T> outside_lanes(Lanes<T> value, Lanes<T> low, Lanes<T> high) {
  return greater(greater(low - value, value - high), Lanes<T>{});
}

template <typename T>
DUSNET_INLINE Lanes<T> norm_lanes(Lanes<T> dx, Lanes<T> dy, Lanes<T> dz) {
  return dx * dx + dy * dy + dz * dz;
}

}  // namespace
}  // namespace DUSNET_LEVEL
}  // namespace dusnet
