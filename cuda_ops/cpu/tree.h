// A cloud in Z-order, cut into leaves, with a hierarchy of bounding boxes of fan-out 8 above them.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "distance.h"
#include "key.h"
#include "lanes.h"
#include "morton_sort.h"

namespace dusnet {

constexpr int kFan = 8;

template <typename T, int Size>
struct Leaf {
  T x[Size], y[Size], z[Size];
  uint32_t index[Size];
};

// The boxes of up to eight children side by side; `least` is the lowest index below each. A missing child has an empty
// box, which is infinitely far from everything.
template <typename T>
struct Group {
  T low[3][kFan], high[3][kFan];
  uint32_t least[kFan];

  Group() {
    for (int a = 0; a < 3; ++a) {
      std::fill(low[a], low[a] + kFan, std::numeric_limits<T>::infinity());
      std::fill(high[a], high[a] + kFan, -std::numeric_limits<T>::infinity());
    }
    std::fill(least, least + kFan, kNoIndex);
  }

  void set(int child, const Bounds<T>& bounds, uint32_t lowest) {
    for (int a = 0; a < 3; ++a) {
      low[a][child] = bounds.low[a];
      high[a][child] = bounds.high[a];
    }
    least[child] = lowest;
  }
};

// Level 0 holds the groups whose children are leaves; the last level has one group.
template <typename T, int Size>
struct Tree {
  std::vector<Leaf<T, Size>> leaves;
  std::vector<std::vector<Group<T>>> levels;

  Tree() = default;

  Tree(const T* points, int64_t count) {
    if (count == 0) return;
    const std::vector<CodedPoint> order = morton_order(points, count);
    leaves.resize((count + Size - 1) / Size);
    std::vector<Bounds<T>> bounds(leaves.size());
    std::vector<uint32_t> least(leaves.size(), kNoIndex);
    for (size_t l = 0; l < leaves.size(); ++l) fill_leaf(points, order, l, bounds[l], least[l]);
    while (levels.empty() || levels.back().size() > 1) add_level(bounds, least);
  }

 private:
  // Places past the end of the cloud hold points at infinity, which lose against every real one.
  void fill_leaf(const T* points, const std::vector<CodedPoint>& order, size_t l, Bounds<T>& bounds, uint32_t& least) {
    Leaf<T, Size>& leaf = leaves[l];
    for (int i = 0; i < Size; ++i) {
      const size_t at = l * Size + i;
      if (at < order.size()) {
        const T* p = points + 3 * static_cast<int64_t>(order[at].index);
        leaf.x[i] = p[0], leaf.y[i] = p[1], leaf.z[i] = p[2];
        leaf.index[i] = order[at].index;
        least = std::min(least, order[at].index);
        bounds.include(p);
      } else {
        leaf.x[i] = leaf.y[i] = leaf.z[i] = std::numeric_limits<T>::infinity();
        leaf.index[i] = kNoIndex;
      }
    }
  }

  void add_level(std::vector<Bounds<T>>& bounds, std::vector<uint32_t>& least) {
    const size_t groups = (bounds.size() + kFan - 1) / kFan;
    levels.emplace_back(groups);
    std::vector<Bounds<T>> above(groups);
    std::vector<uint32_t> least_above(groups, kNoIndex);
    for (size_t i = 0; i < bounds.size(); ++i) {
      levels.back()[i / kFan].set(static_cast<int>(i % kFan), bounds[i], least[i]);
      above[i / kFan].include(bounds[i].low);
      above[i / kFan].include(bounds[i].high);
      least_above[i / kFan] = std::min(least_above[i / kFan], least[i]);
    }
    bounds.swap(above);
    least.swap(least_above);
  }
};

}  // namespace dusnet
