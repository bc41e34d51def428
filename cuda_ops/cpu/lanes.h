// Sixteen bytes of numbers computed with at once, which every 64-bit processor has registers for, and the distances
// that the searches need in that form. The order of the operations is that of distance.h.
#pragma once

#include <cstring>

#define DUSNET_INLINE inline __attribute__((always_inline))

namespace dusnet {

template <typename T>
struct LanesOf {
  typedef T type __attribute__((vector_size(16)));
};

template <typename T>
using Lanes = typename LanesOf<T>::type;

template <typename T>
constexpr int kLanes = 16 / sizeof(T);

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

// From a coordinate to intervals, 0 inside.
template <typename T>
DUSNET_INLINE Lanes<T> outside_lanes(T value, const T* low, const T* high) {
  const Lanes<T> below = load(low) - value, above = value - load(high);
  const Lanes<T> apart = below > above ? below : above;
  return apart > Lanes<T>{} ? apart : Lanes<T>{};
}

// From a point to Count points.
template <int Count, typename T>
DUSNET_INLINE void point_distances(const T* p, const T* x, const T* y, const T* z, T* to) {
  for (int i = 0; i < Count; i += kLanes<T>) {
    const Lanes<T> dx = p[0] - load(x + i), dy = p[1] - load(y + i), dz = p[2] - load(z + i);
    store(to + i, dx * dx + dy * dy + dz * dz);
  }
}

// From a point to Count boxes: never above the distance to any point inside (see distance.h).
template <int Count, typename T>
DUSNET_INLINE void box_distances(const T* p, const T (*low)[Count], const T (*high)[Count], T* to) {
  for (int i = 0; i < Count; i += kLanes<T>) {
    const Lanes<T> dx = outside_lanes(p[0], low[0] + i, high[0] + i);
    const Lanes<T> dy = outside_lanes(p[1], low[1] + i, high[1] + i);
    const Lanes<T> dz = outside_lanes(p[2], low[2] + i, high[2] + i);
    store(to + i, dx * dx + dy * dy + dz * dz);
  }
}

// Writes the places of the values that do not exceed a limit, in order, and returns how many there are.
template <int Count, typename T>
DUSNET_INLINE int within(const T* values, T limit, int* places) {
  int found = 0;
  for (int i = 0; i < Count; ++i) {
    places[found] = i;
    found += values[i] <= limit;
  }
  return found;
}

// The same where most often there is none.
template <int Count, typename T>
DUSNET_INLINE int rarely_within(const T* values, T limit, int* places) {
  auto any = load(values) <= limit;
  for (int i = kLanes<T>; i < Count; i += kLanes<T>) any |= load(values + i) <= limit;
  long long words[2];
  std::memcpy(words, &any, sizeof(words));
  return (words[0] | words[1]) == 0 ? 0 : within<Count>(values, limit, places);
}

}  // namespace dusnet
