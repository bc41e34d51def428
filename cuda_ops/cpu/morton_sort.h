// The order of a cloud's points along the Z-order curve, equal codes by index: a least-significant-digit radix sort.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "morton.h"

namespace dusnet {

template <typename T>
struct Bounds {
  T low[3];
  T high[3];

  Bounds() {
    std::fill(low, low + 3, std::numeric_limits<T>::infinity());
    std::fill(high, high + 3, -std::numeric_limits<T>::infinity());
  }

  void include(const T* point) {
    for (int a = 0; a < 3; ++a) {
      low[a] = point[a] < low[a] ? point[a] : low[a];
      high[a] = point[a] > high[a] ? point[a] : high[a];
    }
  }
};

struct CodedPoint {
  uint64_t code;
  uint32_t index;
};

// Sorts by code; what has equal codes keeps its order. Digits that all points share are skipped.
inline void radix_sort(std::vector<CodedPoint>& points) {
  constexpr int kDigit = 11, kPasses = 6, kBins = 1 << kDigit;
  std::vector<std::array<uint32_t, kBins>> counts(kPasses);
  for (auto& pass : counts) pass.fill(0);
  for (const CodedPoint& point : points)
    for (int pass = 0; pass < kPasses; ++pass) ++counts[pass][point.code >> (pass * kDigit) & (kBins - 1)];
  std::vector<CodedPoint> other(points.size());
  for (int pass = 0; pass < kPasses; ++pass) {
    auto& count = counts[pass];
    const auto digit = [pass](const CodedPoint& point) { return point.code >> (pass * kDigit) & (kBins - 1); };
    if (count[digit(points[0])] == points.size()) continue;
    uint32_t first = 0;
    for (uint32_t& entry : count) {
      const uint32_t size = entry;
      entry = first;
      first += size;
    }
    for (const CodedPoint& point : points) other[count[digit(point)]++] = point;
    points.swap(other);
  }
}

// Original indices in Z-order; points is (count, 3).
template <typename T>
std::vector<CodedPoint> morton_order(const T* points, int64_t count) {
  Bounds<T> bounds;
  for (int64_t i = 0; i < count; ++i) bounds.include(points + 3 * i);
  T widest = 0;
  for (int a = 0; a < 3; ++a) widest = std::max(widest, bounds.high[a] - bounds.low[a]);
  T cells_per_unit = T((1 << kMortonBits) - 1) / widest;
  if (!std::isfinite(cells_per_unit)) cells_per_unit = widest > 1 ? T(0) : T(1);
  std::vector<CodedPoint> order(count);
  for (int64_t i = 0; i < count; ++i) {
    const T* p = points + 3 * i;
    order[i] = {morton_code(p[0], p[1], p[2], bounds.low, cells_per_unit), static_cast<uint32_t>(i)};
  }
  if (count > 1) radix_sort(order);
  return order;
}

}  // namespace dusnet
