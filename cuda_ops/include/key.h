// A distance and an index in one unsigned integer, so that "nearer, and among equals the lower index" is one
// comparison. Distances are not negative, for which the order of the bit patterns is the order of the numbers.
#pragma once

#include <cstdint>
#include <cstring>

#include "platform.h"

namespace dusnet {

constexpr uint32_t kNoIndex = 0xffffffffu;

template <typename T>
struct KeyOf;

template <>
struct KeyOf<float> {
  using type = uint64_t;
  using bits = uint32_t;
  static constexpr int shift = 32;
};

template <typename T>
using Key = typename KeyOf<T>::type;

template <typename T>
DUSNET_SHARED Key<T> make_key(T distance, uint32_t index) {
  typename KeyOf<T>::bits pattern;
  memcpy(&pattern, &distance, sizeof(pattern));
  return (static_cast<Key<T>>(pattern) << KeyOf<T>::shift) | index;
}

template <typename T>
DUSNET_SHARED T key_distance(Key<T> key) {
  const auto pattern = static_cast<typename KeyOf<T>::bits>(key >> KeyOf<T>::shift);
  T distance;
  memcpy(&distance, &pattern, sizeof(pattern));
  return distance;
}

template <typename T>
DUSNET_SHARED uint32_t key_index(Key<T> key) {
  return static_cast<uint32_t>(key);
}

}  // namespace dusnet
