// A cloud in Z-order, cut into leaves of 16 points, with a hierarchy of bounding boxes of fan-out 16 above them, in one
// flat stretch of memory: it can be kept in a tensor and read by code for any instruction set.
#pragma once

#include <cstdint>

namespace dusnet {

constexpr int kLeaf = 16;
constexpr int kFan = 16;
constexpr int kMostLevels = 8;  // 16^9 points
constexpr int32_t kNoIndex = INT32_MAX;

// Places past the end of the cloud hold no numbers, which lose every comparison.
template <typename T>
struct alignas(64) Leaf {
  T x[kLeaf], y[kLeaf], z[kLeaf];
  int32_t index[kLeaf];
};

// The boxes of up to sixteen children; `least` is the lowest index below each. A missing child has an empty box, which
// is infinitely far from everything.
template <typename T>
struct alignas(64) Group {
  T low[3][kFan], high[3][kFan];
  int32_t least[kFan];
};

// Level 0 holds the groups whose children are leaves; the last level has one group. A tree of no points has no levels.
template <typename T>
struct Tree {
  const Leaf<T>* leaves = nullptr;
  const Group<T>* levels[kMostLevels] = {};
  int depth = 0;
  int64_t count = 0;
};

// How many leaves and groups a cloud of some size needs, and where they lie.
struct TreeShape {
  explicit TreeShape(int64_t count) : leaves((count + kLeaf - 1) / kLeaf) {
    for (int64_t below = leaves; below > 0 && (depth == 0 || below > 1); below = groups[depth++])
      groups[depth] = (below + kFan - 1) / kFan;
  }

  template <typename T>
  int64_t bytes() const {
    int64_t total = leaves * static_cast<int64_t>(sizeof(Leaf<T>));
    for (int l = 0; l < depth; ++l) total += groups[l] * static_cast<int64_t>(sizeof(Group<T>));
    return total;
  }

  template <typename T>
  Tree<T> at(const void* memory, int64_t count) const {
    Tree<T> tree;
    tree.leaves = static_cast<const Leaf<T>*>(memory);
    tree.depth = depth;
    tree.count = count;
    const auto* next = reinterpret_cast<const Group<T>*>(tree.leaves + leaves);
    for (int l = 0; l < depth; next += groups[l++]) tree.levels[l] = next;
    return tree;
  }

  int64_t leaves;
  int64_t groups[kMostLevels] = {};
  int depth = 0;
};

// Fills the memory of a tree (TreeShape(count).bytes<T>() bytes, aligned to 64) with the points (count, 3).
template <typename T>
void build_tree(const T* points, int64_t count, void* memory);

}  // namespace dusnet
