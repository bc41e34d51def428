// Many neighbours: one query at a time collects every point within a bound that k points are known to keep, then the k
// nearest are sorted out. On surfaces squared distances are spread evenly, so a bucket sort takes few steps.
#pragma once

#include "jobs.h"
#include "lanes.h"
#include "padding.h"

namespace dusnet {
namespace DUSNET_LEVEL {
namespace {

template <typename T>
struct Entry {
  T distance;
  int32_t index;
};

template <typename T>
DUSNET_INLINE bool nearer(const Entry<T>& a, const Entry<T>& b) {
  return a.distance < b.distance || (a.distance == b.distance && a.index < b.index);
}

// Where buckets do not help. Not std::sort: its code would be shared between instruction sets.
template <typename T>
void heap_sort(Entry<T>* entries, int64_t size) {
  const auto sink = [entries](int64_t at, int64_t end) {
    const Entry<T> moved = entries[at];
    for (int64_t child = 2 * at + 1; child < end; child = 2 * at + 1) {
      if (child + 1 < end && nearer(entries[child], entries[child + 1])) ++child;
      if (!nearer(moved, entries[child])) break;
      entries[at] = entries[child];
      at = child;
    }
    entries[at] = moved;
  };
  for (int64_t at = size / 2; at-- > 0;) sink(at, size);
  for (int64_t end = size; end-- > 1;) {
    const Entry<T> largest_entry = entries[0];
    entries[0] = entries[end];
    entries[end] = largest_entry;
    sink(0, end);
  }
}

template <typename T>
class Collector {
 public:
  // The memory holds collector_bytes<T>(k).
  Collector(int64_t k, void* memory) : k_(k), capacity_(collector_capacity(k)) {
    distance_ = static_cast<T*>(memory);
    sorted_ = reinterpret_cast<Entry<T>*>(distance_ + capacity_ + kSlack);
    index_ = reinterpret_cast<int32_t*>(sorted_ + capacity_ + kSlack);
    bucket_ = index_ + capacity_ + kSlack;
    first_ = reinterpret_cast<uint32_t*>(bucket_ + capacity_ + kSlack);
  }

  DUSNET_INLINE void start(T limit) {
    worst = limit;
    worst_index = kNoIndex;
    size_ = 0;
  }

  DUSNET_INLINE bool may_win(T bound, int32_t least) const {
    return bound < worst || (bound == worst && least < worst_index);
  }

  // Which of the values at `bound`, of boxes whose lowest indices are at `least`, can still win.
  DUSNET_INLINE uint32_t may_win(Lanes<T> bound, const int32_t* least) const {
    const Mask<T> tied = less(load_index<T>(least), broadcast_index<T>(worst_index));
    return bits(static_cast<Mask<T>>(less(bound, broadcast(worst)) | (same(bound, broadcast(worst)) & tied)));
  }

  // Collects from the leaves whose bits are set.
  DUSNET_INLINE void scan(const T* q, const Leaf<T>* leaves, uint32_t open) {
    for (uint32_t left = open; left != 0; left &= left - 1) {
      const char* leaf = reinterpret_cast<const char*>(leaves + lowest(left));
      for (size_t line = 0; line < sizeof(Leaf<T>); line += 64) __builtin_prefetch(leaf + line);
    }
    const Lanes<T> limit = broadcast(worst);
    const Lanes<T> x = broadcast(q[0]), y = broadcast(q[1]), z = broadcast(q[2]);
    int64_t size = size_;
    for (; open != 0; open &= open - 1) {
      const Leaf<T>& leaf = leaves[lowest(open)];
      for (int i = 0; i < kLeaf; i += kLanes<T>) {
        const Lanes<T> d = norm_lanes<T>(x - load(leaf.x + i), y - load(leaf.y + i), z - load(leaf.z + i));
        size = append(d, leaf.index + i, bits(at_most(d, limit)), size);
      }
    }
    size_ = size;
    if (size_ > capacity_) cut();
  }

  // Sorts the k nearest to the front of entries() and returns how many there are.
  int64_t finish() {
    const int64_t kept = size_ < kFew ? insertion_sorted() : bucket_sorted();
    return kept < k_ ? kept : k_;
  }

  const Entry<T>* entries() const { return sorted_; }

  T worst;
  int32_t worst_index;

 private:
  static constexpr int64_t kFew = 48;
  static constexpr uint32_t kCrowd = 24;

#if DUSNET_LANE_BYTES == 64
  DUSNET_INLINE int64_t append(Lanes<float> d, const int32_t* index, uint32_t near, int64_t size) {
    _mm512_storeu_ps(distance_ + size, _mm512_maskz_compress_ps(static_cast<__mmask16>(near), raw(d)));
    _mm512_storeu_si512(
        index_ + size, _mm512_maskz_compress_epi32(static_cast<__mmask16>(near), _mm512_loadu_si512(index)));
    return size + __builtin_popcount(near);
  }
  DUSNET_INLINE int64_t append(Lanes<double> d, const int32_t* index, uint32_t near, int64_t size) {
    _mm512_storeu_pd(distance_ + size, _mm512_maskz_compress_pd(static_cast<__mmask8>(near), raw(d)));
    const __m256i indices = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index));
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(index_ + size), _mm256_maskz_compress_epi32(static_cast<__mmask8>(near), indices));
    return size + __builtin_popcount(near);
  }
#else
  DUSNET_INLINE int64_t append(Lanes<T> d, const int32_t* index, uint32_t near, int64_t size) {
    for (; near != 0; near &= near - 1) {
      const int lane = lowest(near);
      distance_[size] = d[lane];
      index_[size++] = index[lane];
    }
    return size;
  }
#endif

  // Keeps the k nearest of what was collected.
  void cut() {
    finish();
    for (int64_t i = 0; i < k_; ++i) distance_[i] = sorted_[i].distance, index_[i] = sorted_[i].index;
    size_ = k_;
    worst = sorted_[k_ - 1].distance;
    worst_index = sorted_[k_ - 1].index;
  }

  DUSNET_INLINE void insert(int64_t begin, int64_t end, Entry<T> entry) {
    for (; end > begin && nearer(entry, sorted_[end - 1]); --end) sorted_[end] = sorted_[end - 1];
    sorted_[end] = entry;
  }

  int64_t insertion_sorted() {
    for (int64_t i = 0; i < size_; ++i) insert(0, i, {distance_[i], index_[i]});
    return size_;
  }

  // Of all, or of the nearest k and those that share a bucket with the last of them.
  int64_t bucket_sorted() {
    const int64_t rest = size_ % kLanes<T>, whole = size_ - rest;
    Lanes<T> most_lanes{};
    for (int64_t i = 0; i < whole; i += kLanes<T>) most_lanes = greater(most_lanes, load(distance_ + i));
    T most = largest(most_lanes);
    for (int64_t i = whole; i < size_; ++i) most = distance_[i] > most ? distance_[i] : most;
    const int64_t buckets = kBucketsPerPoint * size_;
    const T scale = static_cast<T>(buckets - 1) / most;
    if (!(scale > 0 && scale < static_cast<T>(__builtin_inf()))) return plainly_sorted();
    std::memset(first_, 0, sizeof(uint32_t) * static_cast<size_t>(buckets));
    const int32_t top = static_cast<int32_t>(buckets - 1);
    for (int64_t i = 0; i < size_; ++i) {
      const int32_t b = static_cast<int32_t>(distance_[i] * scale);
      bucket_[i] = b < top ? b : top;
    }
    for (int64_t i = 0; i < size_; ++i) ++first_[bucket_[i]];
    uint32_t before = 0, crowd = 0;
    int32_t last = 0;
    for (; last < buckets && before < k_; ++last) {
      const uint32_t count = first_[last];
      crowd = count > crowd ? count : crowd;
      first_[last] = before;
      before += count;
    }
    for (int64_t i = 0; i < size_; ++i) {
      if (bucket_[i] < last) sorted_[first_[bucket_[i]]++] = {distance_[i], index_[i]};
    }
    if (crowd > kCrowd) {
      heap_sort(sorted_, before);
    } else {
      for (int64_t i = 1; i < before; ++i) insert(0, i, sorted_[i]);
    }
    return before;
  }

  int64_t plainly_sorted() {
    bool in_order = true;
    for (int64_t i = 0; i < size_; ++i) {
      sorted_[i] = {distance_[i], index_[i]};
      in_order = in_order && (i == 0 || nearer(sorted_[i - 1], sorted_[i]));
    }
    if (!in_order) heap_sort(sorted_, size_);
    return size_;
  }

  T* distance_;
  Entry<T>* sorted_;
  int32_t* index_;
  int32_t* bucket_;
  uint32_t* first_;
  int64_t k_, capacity_, size_ = 0;
};

template <typename T>
struct Visit {
  T bound;
  int32_t least;
  int32_t level;
  int32_t at;
};

// Leaves are scanned as they lie, groups are put on the stack, the nearest on top, and of equally near ones the first.
template <typename T>
DUSNET_INLINE int open_group(
    const Tree<T>& tree, int32_t level, int32_t at, const T* q, Collector<T>& collector, Visit<T>* stack) {
  const Group<T>& group = tree.levels[level][at];
  T bound[kFan];
  uint32_t open = 0;
  for (int c = 0; c < kFan; c += kLanes<T>) {
    Lanes<T> apart[3];
    for (int a = 0; a < 3; ++a)
      apart[a] = outside_lanes<T>(broadcast(q[a]), load(group.low[a] + c), load(group.high[a] + c));
    const Lanes<T> least = norm_lanes<T>(apart[0], apart[1], apart[2]);
    store(bound + c, least);
    open |= collector.may_win(least, group.least + c) << c;
  }
  if (level == 0) {
    collector.scan(q, tree.leaves + static_cast<int64_t>(at) * kFan, open);
    return 0;
  }
  int count = 0;
  while (open != 0) {
    const int c = highest(open);
    open ^= uint32_t{1} << c;
    int place = count++;
    for (; place > 0 && stack[place - 1].bound < bound[c]; --place) stack[place] = stack[place - 1];
    stack[place] = {bound[c], group.least[c], level - 1, at * kFan + c};
  }
  return count;
}

template <typename T>
DUSNET_INLINE void collect(const Tree<T>& tree, const T* q, Collector<T>& collector) {
  Visit<T> stack[kMostLevels * kFan];
  int height = 0;
  if (tree.depth > 0) stack[height++] = {T(0), -1, tree.depth - 1, 0};
  while (height > 0) {
    const Visit<T> visit = stack[--height];
    if (!collector.may_win(visit.bound, visit.least)) continue;
    height += open_group(tree, visit.level, visit.at, q, collector, stack + height);
  }
}

// The k neighbours of another query lie within its reach plus the way to it. The margins cover rounding and underflow.
template <typename T>
DUSNET_INLINE T reach_from(T farthest, const T* q, const T* other) {
  const double dx = double(q[0]) - double(other[0]), dy = double(q[1]) - double(other[1]);
  const double dz = double(q[2]) - double(other[2]);
  constexpr double margin = sizeof(T) == 4 ? 1e-5 : 1e-13;
  constexpr double tiny = sizeof(T) == 4 ? 0x1p-146 : 0x1p-1070;  // what three products can lose below the normal range
  const double reach =
      __builtin_sqrt(double(farthest) + tiny) + __builtin_sqrt(dx * dx + dy * dy + dz * dz + tiny);
  constexpr T smallest = sizeof(T) == 4 ? T(0x1p-126) : T(0x1p-1022);
  const T bound = static_cast<T>(reach * reach * (1.0 + margin));
  return bound > smallest ? bound : smallest;
}

template <typename T>
DUSNET_INLINE void search_many(const SearchJob<T>& job) {
  Collector<T> collector(job.k, job.memory);
  const T* before = nullptr;
  T farthest = 0;
  for (int64_t i = job.begin; i < job.end; ++i) {
    const int64_t row = job.order[i];
    const T* q = job.query + 3 * row;
    T limit = job.limit;
    if (before != nullptr) {
      const T reach = reach_from(farthest, q, before);
      limit = reach < limit ? reach : limit;
    }
    collector.start(limit);
    collect(job.tree, q, collector);
    const int64_t found = collector.finish();
    const Entry<T>* entries = collector.entries();
    int64_t* index = job.index + row * job.k;
    for (int64_t j = 0; j < found; ++j) index[j] = entries[j].index;
    if (job.distance != nullptr)
      for (int64_t j = 0; j < found; ++j) job.distance[row * job.k + j] = entries[j].distance;
    pad(job, row, found);
    before = found == job.k ? q : nullptr;
    if (before != nullptr) farthest = entries[found - 1].distance;
  }
}

}  // namespace
}  // namespace DUSNET_LEVEL
}  // namespace dusnet
