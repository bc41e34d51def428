// Exact search for the nearest points: depth first, nearest child first. A node is skipped only when the key of its box
// (its distance, its lowest index) already loses, so that ties fall exactly as a search through all points would.
#pragma once

#include <algorithm>
#include <vector>

#include "key_sort.h"
#include "lanes.h"
#include "tree.h"

namespace dusnet {

// The k least keys below a limit, kept in order by insertion; for few neighbours.
template <typename T, int Most>
class SortedKeys {
 public:
  explicit SortedKeys(int64_t k) : k_(static_cast<int>(k)) {}

  DUSNET_INLINE void start(Key<T> limit) {
    worst = limit;
    size_ = 0;
  }

  DUSNET_INLINE void add(Key<T> key) {
    int at = size_ < k_ ? size_++ : k_ - 1;
    for (; at > 0 && keys_[at - 1] > key; --at) keys_[at] = keys_[at - 1];
    keys_[at] = key;
    if (size_ == k_) worst = keys_[k_ - 1];
  }

  DUSNET_INLINE int64_t finish() { return size_; }
  DUSNET_INLINE Key<T> operator[](int64_t i) const { return keys_[i]; }

  Key<T> worst;

 private:
  Key<T> keys_[Most] = {};
  int k_;
  int size_ = 0;
};

// The same for many neighbours: a buffer of twice the size, cut back to the k least whenever it is full.
template <typename T>
class BufferedKeys {
 public:
  explicit BufferedKeys(int64_t k) : keys_(2 * k + 64), k_(k) {}

  DUSNET_INLINE void start(Key<T> limit) {
    worst = limit;
    size_ = 0;
  }

  DUSNET_INLINE void add(Key<T> key) {
    keys_[size_++] = key;
    if (size_ == static_cast<int64_t>(keys_.size())) cut();
  }

  int64_t finish() {
    sort_.sort(keys_, size_);
    return std::min(size_, k_);
  }

  Key<T> operator[](int64_t i) const { return keys_[i]; }

  Key<T> worst;

 private:
  void cut() {
    std::nth_element(keys_.begin(), keys_.begin() + (k_ - 1), keys_.end());
    worst = keys_[k_ - 1];
    size_ = k_;
  }

  std::vector<Key<T>> keys_;
  KeySort<T> sort_;
  int64_t k_;
  int64_t size_ = 0;
};

template <typename T>
struct Visit {
  Key<T> bound;
  int32_t level;  // -1: a leaf
  uint32_t at;
};

template <typename T, int Size, typename Keys>
DUSNET_INLINE void scan_leaf(const Leaf<T, Size>& leaf, const T* q, Keys& keys) {
  T distance[Size];
  point_distances<Size>(q, leaf.x, leaf.y, leaf.z, distance);
  int near[Size];
  const int count = rarely_within<Size>(distance, key_distance<T>(keys.worst), near);
  for (int n = 0; n < count; ++n) {
    const Key<T> key = make_key(distance[near[n]], leaf.index[near[n]]);
    if (key < keys.worst) keys.add(key);
  }
}

// Puts the children that can still win on the stack, the nearest on top.
template <typename T>
DUSNET_INLINE int expand(const Group<T>& group, int32_t level, uint32_t at, const T* q, Key<T> worst, Visit<T>* stack) {
  T bound[kFan];
  box_distances(q, group.low, group.high, bound);
  int near[kFan];
  const int candidates = within<kFan>(bound, key_distance<T>(worst), near);
  int count = 0;
  for (int n = 0; n < candidates; ++n) {
    const int c = near[n];
    const Key<T> key = make_key(bound[c], group.least[c]);
    if (key >= worst) continue;
    int place = count++;
    for (; place > 0 && stack[place - 1].bound < key; --place) stack[place] = stack[place - 1];
    stack[place] = {key, level - 1, at * kFan + c};
  }
  return count;
}

template <typename T, int Size, typename Keys>
DUSNET_INLINE void search(const Tree<T, Size>& tree, const T* q, Keys& keys) {
  Visit<T> stack[16 * kFan];
  int height = 0;
  if (!tree.levels.empty()) stack[height++] = {Key<T>(0), static_cast<int32_t>(tree.levels.size()) - 1, 0};
  while (height > 0) {
    const Visit<T> visit = stack[--height];
    if (visit.bound >= keys.worst) continue;
    if (visit.level < 0) {
      scan_leaf(tree.leaves[visit.at], q, keys);
    } else {
      height += expand(tree.levels[visit.level][visit.at], visit.level, visit.at, q, keys.worst, stack + height);
    }
  }
}

}  // namespace dusnet
