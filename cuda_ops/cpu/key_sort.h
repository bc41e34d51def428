// Sorts keys of distance and index: by the bytes of the distance, then every run of equal distances by index.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "key.h"

namespace dusnet {

template <typename T>
class KeySort {
 public:
  void sort(std::vector<Key<T>>& keys, int64_t size) {
    if (size < kFewest) {
      std::sort(keys.begin(), keys.begin() + size);
      return;
    }
    other_.resize(keys.size());
    for (size_t byte = 0; byte < sizeof(T); ++byte)
      sort_by_byte(keys, size, KeyOf<T>::shift + 8 * static_cast<int>(byte));
    sort_runs(keys, size);
  }

 private:
  static constexpr int64_t kFewest = 64;

  void sort_by_byte(std::vector<Key<T>>& keys, int64_t size, int shift) {
    uint32_t first[256] = {};
    for (int64_t i = 0; i < size; ++i) ++first[static_cast<uint8_t>(keys[i] >> shift)];
    if (first[static_cast<uint8_t>(keys[0] >> shift)] == size) return;  // all share this byte
    uint32_t before = 0;
    for (uint32_t& entry : first) {
      const uint32_t count = entry;
      entry = before;
      before += count;
    }
    for (int64_t i = 0; i < size; ++i) other_[first[static_cast<uint8_t>(keys[i] >> shift)]++] = keys[i];
    keys.swap(other_);
  }

  static void sort_runs(std::vector<Key<T>>& keys, int64_t size) {
    for (int64_t i = 1; i < size; ++i) {
      if (keys[i] >= keys[i - 1]) continue;
      const Key<T> distance = keys[i] >> KeyOf<T>::shift;
      int64_t first = i - 1, last = i + 1;
      while (first > 0 && keys[first - 1] >> KeyOf<T>::shift == distance) --first;
      while (last < size && keys[last] >> KeyOf<T>::shift == distance) ++last;
      std::sort(keys.begin() + first, keys.begin() + last);
      i = last - 1;
    }
  }

  std::vector<Key<T>> other_;
};

}  // namespace dusnet
