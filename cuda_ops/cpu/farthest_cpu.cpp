// Exact farthest point sampling on the CPU. The cloud is cut into buckets along the Z-order curve, with a hierarchy of
// boxes above them that know how far their farthest point still is from all chosen ones. A new point only goes down
// into boxes that are nearer than that; the root then knows the next point.
#include <algorithm>
#include <limits>
#include <vector>

#include "common_cpu.h"
#include "lanes.h"
#include "morton_sort.h"

namespace dusnet {
namespace {

constexpr int kBucket = 64;
constexpr int kFan = 8;

// Distances to the nearest chosen point; -1 marks points that are chosen, and places past the end of the cloud.
// Points of a bucket are in the order of their indices, so the first of the farthest is the one with the lowest index.
template <typename T>
struct Bucket {
  T x[kBucket], y[kBucket], z[kBucket], nearest[kBucket];
  uint32_t index[kBucket];
};

// Eight children: their boxes, the largest `nearest` inside, and the lowest index that has it.
template <typename T>
struct Node {
  T low[3][kFan], high[3][kFan];
  T farthest[kFan];
  uint32_t index[kFan];
};

template <typename T>
struct Farthest {
  T distance;
  uint32_t index;
};

template <typename T>
class Sampler {
 public:
  Sampler(const T* points, int64_t count);

  void sample(int64_t k, int64_t start, int64_t* chosen) {
    uint32_t next = static_cast<uint32_t>(start);
    for (int64_t i = 0; i < k; ++i) {
      chosen[i] = next;
      const size_t own = bucket_of_[next];
      Bucket<T>& home = buckets_[own];
      for (int j = 0; j < kBucket; ++j)
        if (home.index[j] == next) home.nearest[j] = T(-1);
      next = update(static_cast<int>(levels_.size()) - 1, 0, points_ + 3 * static_cast<int64_t>(next), own).index;
    }
  }

 private:
  void fill_bucket(size_t b, std::vector<CodedPoint>& order, Bounds<T>& bounds);
  void add_level(std::vector<Bounds<T>>& bounds);
  Farthest<T> update(int level, size_t at, const T* p, size_t own);
  Farthest<T> update_bucket(Bucket<T>& bucket, const T* p);

  const T* points_;
  std::vector<Bucket<T>> buckets_;
  std::vector<uint32_t> bucket_of_;           // by original index
  std::vector<std::vector<Node<T>>> levels_;  // the children of level 0 are buckets, the last level is the root
};

template <typename T>
Sampler<T>::Sampler(const T* points, int64_t count)
    : points_(points), buckets_((count + kBucket - 1) / kBucket), bucket_of_(count) {
  std::vector<CodedPoint> order = morton_order(points, count);
  std::vector<Bounds<T>> bounds(buckets_.size());
  for (size_t b = 0; b < buckets_.size(); ++b) fill_bucket(b, order, bounds[b]);
  while (levels_.empty() || levels_.back().size() > 1) add_level(bounds);
}

template <typename T>
void Sampler<T>::fill_bucket(size_t b, std::vector<CodedPoint>& order, Bounds<T>& bounds) {
  const size_t first = b * kBucket, last = std::min(first + kBucket, order.size());
  std::sort(order.begin() + first, order.begin() + last, [](auto& p, auto& q) { return p.index < q.index; });
  for (size_t i = 0; i < kBucket; ++i) {
    const uint32_t index = order[std::min(first + i, last - 1)].index;
    const T* p = points_ + 3 * static_cast<int64_t>(index);
    Bucket<T>& bucket = buckets_[b];
    bucket.x[i] = p[0], bucket.y[i] = p[1], bucket.z[i] = p[2];
    bucket.index[i] = index;
    bucket.nearest[i] = first + i < last ? std::numeric_limits<T>::infinity() : T(-1);
    bounds.include(p);
    bucket_of_[index] = static_cast<uint32_t>(b);
  }
}

template <typename T>
void Sampler<T>::add_level(std::vector<Bounds<T>>& bounds) {
  std::vector<Node<T>> level((bounds.size() + kFan - 1) / kFan);
  std::vector<Bounds<T>> above(level.size());
  for (size_t i = 0; i < level.size() * kFan; ++i) {
    const bool real = i < bounds.size();
    const Bounds<T>& box = bounds[real ? i : bounds.size() - 1];
    Node<T>& node = level[i / kFan];
    for (int a = 0; a < 3; ++a) node.low[a][i % kFan] = box.low[a], node.high[a][i % kFan] = box.high[a];
    node.farthest[i % kFan] = real ? std::numeric_limits<T>::infinity() : T(-2);
    node.index[i % kFan] = 0;
    above[i / kFan].include(box.low);
    above[i / kFan].include(box.high);
  }
  levels_.push_back(std::move(level));
  bounds.swap(above);
}

template <typename T>
Farthest<T> Sampler<T>::update_bucket(Bucket<T>& bucket, const T* p) {
  T distance[kBucket];
  point_distances<kBucket>(p, bucket.x, bucket.y, bucket.z, distance);
  Lanes<T> most = load(bucket.nearest);
  for (int i = 0; i < kBucket; i += kLanes<T>) {
    const Lanes<T> now = load(distance + i), before = load(bucket.nearest + i);
    const Lanes<T> nearest = now < before ? now : before;
    store(bucket.nearest + i, nearest);
    most = i == 0 ? nearest : nearest > most ? nearest : most;
  }
  T farthest = most[0];
  for (int l = 1; l < kLanes<T>; ++l) farthest = most[l] > farthest ? most[l] : farthest;
  int at = 0;
  while (at < kBucket - 1 && bucket.nearest[at] != farthest) ++at;
  return {farthest, bucket.index[at]};
}

// Brings everything below a node up to date with the new point p, which lies in the bucket `own`.
template <typename T>
Farthest<T> Sampler<T>::update(int level, size_t at, const T* p, size_t own) {
  Node<T>& node = levels_[level][at];
  T bound[kFan];
  box_distances(p, node.low, node.high, bound);
  const size_t path = own >> (3 * level);
  static_assert(kFan == 8, "the path takes three bits per level");
  Farthest<T> best{T(-3), 0};
  for (int c = 0; c < kFan; ++c) {
    const size_t child = at * kFan + c;
    if (bound[c] < node.farthest[c] || child == path) {
      const Farthest<T> updated = level == 0 ? update_bucket(buckets_[child], p) : update(level - 1, child, p, own);
      node.farthest[c] = updated.distance;
      node.index[c] = updated.index;
    }
    const bool better =
        node.farthest[c] > best.distance || (node.farthest[c] == best.distance && node.index[c] < best.index);
    if (better) best = {node.farthest[c], node.index[c]};
  }
  return best;
}

Tensor farthest_point_sample(const Tensor& points, int64_t k, int64_t start, const OptionalTensor& lengths) {
  check_clouds(points);
  STD_TORCH_CHECK(k >= 0 && start >= 0, "k and start must not be negative");
  const Lengths sizes(lengths, points);
  const Tensor held = torch::stable::contiguous(points);
  const int64_t batch = points.size(0), full = points.size(1);
  Tensor out = torch::stable::new_empty(points, {batch, k}, ScalarType::Long);
  torch::stable::fill_(out, -1);
  dispatch(points, [&](auto zero) {
    using T = decltype(zero);
    const T* data = held.const_data_ptr<T>();
    int64_t* chosen = out.mutable_data_ptr<int64_t>();
    torch::stable::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t size = sizes[b];
        if (size == 0) continue;
        const T* cloud = data + b * full * 3;
        Sampler<T>(cloud, size).sample(std::min(k, size), std::min(start, size - 1), chosen + b * k);
      }
    });
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, CPU, m) { m.impl("farthest_point_sample", TORCH_BOX(&farthest_point_sample)); }

}  // namespace dusnet
