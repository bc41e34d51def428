// The order of a cloud's points along the Z-order curve, as far as leaves and boxes need it.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace dusnet {

template <typename T>
struct Bounds {
  T low[3];
  T high[3];

  Bounds() {
    for (int a = 0; a < 3; ++a) {
      low[a] = std::numeric_limits<T>::infinity();
      high[a] = -std::numeric_limits<T>::infinity();
    }
  }

  void include(const T* point) {
    for (int a = 0; a < 3; ++a) {
      low[a] = point[a] < low[a] ? point[a] : low[a];
      high[a] = point[a] > high[a] ? point[a] : high[a];
    }
  }

  void include(const Bounds& other) {
    include(other.low);
    include(other.high);
  }
};

// Original indices in Z-order; points is (count, 3). Of points that share a cell the lower
// index comes first, unless there are many of them.
template <typename T>
std::vector<int32_t> morton_order(const T* points, int64_t count);

}  // namespace dusnet
