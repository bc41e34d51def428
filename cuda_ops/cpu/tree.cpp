#include "tree.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "common_cpu.h"
#include "morton_sort.h"

namespace dusnet {
namespace {

constexpr int64_t kLeavesAtOnce = 2048;

// What lies below a leaf or a group.
template <typename T>
struct Below {
  Bounds<T> bounds;
  int32_t least = kNoIndex;
};

template <typename T>
Below<T> fill_leaf(const T* points, const std::vector<int32_t>& order, int64_t l, Leaf<T>& leaf) {
  Below<T> below;
  const int64_t count = static_cast<int64_t>(order.size());
  for (int i = 0; i < kLeaf; ++i) {
    const int64_t at = l * kLeaf + i;
    if (at < count) {
      const T* p = points + 3 * static_cast<int64_t>(order[at]);
      leaf.x[i] = p[0], leaf.y[i] = p[1], leaf.z[i] = p[2];
      leaf.index[i] = order[at];
      below.bounds.include(p);
      below.least = std::min(below.least, order[at]);
    } else {
      leaf.x[i] = leaf.y[i] = leaf.z[i] = std::numeric_limits<T>::quiet_NaN();
      leaf.index[i] = kNoIndex;
    }
  }
  return below;
}

template <typename T>
Below<T> fill_group(const std::vector<Below<T>>& children, int64_t g, Group<T>& group) {
  Below<T> below;
  for (int c = 0; c < kFan; ++c) {
    const int64_t at = g * kFan + c;
    const Below<T> child = at < static_cast<int64_t>(children.size()) ? children[at] : Below<T>();
    for (int a = 0; a < 3; ++a) {
      group.low[a][c] = child.bounds.low[a];
      group.high[a][c] = child.bounds.high[a];
    }
    group.least[c] = child.least;
    below.bounds.include(child.bounds);
    below.least = std::min(below.least, child.least);
  }
  return below;
}

}  // namespace

template <typename T>
void build_tree(const T* points, int64_t count, void* memory) {
  const TreeShape shape(count);
  const std::vector<int32_t> order = morton_order(points, count);
  auto* leaves = static_cast<Leaf<T>*>(memory);
  std::vector<Below<T>> below(shape.leaves);
  torch::stable::parallel_for(0, shape.leaves, kLeavesAtOnce, [&](int64_t begin, int64_t end) {
    for (int64_t l = begin; l < end; ++l) below[l] = fill_leaf(points, order, l, leaves[l]);
  });
  auto* groups = reinterpret_cast<Group<T>*>(leaves + shape.leaves);
  for (int level = 0; level < shape.depth; groups += shape.groups[level++]) {
    std::vector<Below<T>> above(shape.groups[level]);
    for (int64_t g = 0; g < shape.groups[level]; ++g) above[g] = fill_group(below, g, groups[g]);
    below.swap(above);
  }
}

template void build_tree(const float*, int64_t, void*);
template void build_tree(const double*, int64_t, void*);

}  // namespace dusnet
