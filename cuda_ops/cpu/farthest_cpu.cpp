// Exact farthest point sampling on the CPU. The cloud is cut into buckets along the Z-order curve and buckets into
// groups; a new point only touches buckets whose box is nearer than the farthest distance still open in them.
#include <limits>
#include <vector>

#include "common_cpu.h"
#include "distance.h"
#include "key.h"
#include "morton_sort.h"

#define DUSNET_INLINE inline __attribute__((always_inline))

namespace dusnet {
namespace {

constexpr int kBucket = 64;
constexpr int kGroup = 16;
constexpr int kLanes = 16;

// Distances to the nearest chosen point; -1 marks points that are chosen, and places past the end of the cloud.
// Points of a bucket are in the order of their indices, so the first of the farthest is the one with the lowest index.
template <typename T>
struct alignas(64) Bucket {
  T x[kBucket], y[kBucket], z[kBucket], nearest[kBucket];
  uint32_t index[kBucket];
};

// What is known of a bucket, or of a group of buckets, without looking inside.
template <typename T>
struct Summary {
  T low[3], high[3];
  T farthest;      // the largest `nearest` inside, -1 when there is none
  uint32_t index;  // the lowest index that has it
};

template <typename T>
struct Sampler {
  std::vector<Bucket<T>> buckets;
  std::vector<Summary<T>> inside;  // one per bucket
  std::vector<Summary<T>> groups;
  std::vector<uint32_t> bucket_of;  // by original index
};

template <typename T>
DUSNET_INLINE bool better(const Summary<T>& a, const Summary<T>& b) {
  return a.farthest > b.farthest || (a.farthest == b.farthest && a.index < b.index);
}

template <typename T>
Sampler<T> build(const T* points, int64_t count) {
  std::vector<CodedPoint> order = morton_order(points, count);
  Sampler<T> s;
  s.buckets.resize((count + kBucket - 1) / kBucket);
  s.inside.resize(s.buckets.size());
  s.groups.resize((s.buckets.size() + kGroup - 1) / kGroup);
  s.bucket_of.resize(count);
  std::vector<Bounds<T>> group_bounds(s.groups.size());
  for (size_t b = 0; b < s.buckets.size(); ++b) {
    const size_t first = b * kBucket, last = std::min<size_t>(first + kBucket, count);
    std::sort(order.begin() + first, order.begin() + last, [](auto& p, auto& q) { return p.index < q.index; });
    Bucket<T>& bucket = s.buckets[b];
    Bounds<T> bounds;
    for (size_t i = 0; i < kBucket; ++i) {
      const uint32_t index = order[std::min(first + i, last - 1)].index;
      const T* p = points + 3 * static_cast<int64_t>(index);
      bucket.x[i] = p[0], bucket.y[i] = p[1], bucket.z[i] = p[2];
      bucket.index[i] = index;
      bucket.nearest[i] = first + i < last ? std::numeric_limits<T>::infinity() : T(-1);
      bounds.include(p);
      s.bucket_of[index] = static_cast<uint32_t>(b);
    }
    s.inside[b].farthest = std::numeric_limits<T>::infinity();
    s.inside[b].index = bucket.index[0];
    std::copy(bounds.low, bounds.low + 3, s.inside[b].low);
    std::copy(bounds.high, bounds.high + 3, s.inside[b].high);
    group_bounds[b / kGroup].include(bounds.low);
    group_bounds[b / kGroup].include(bounds.high);
  }
  for (size_t g = 0; g < s.groups.size(); ++g) {
    s.groups[g].farthest = std::numeric_limits<T>::infinity();
    s.groups[g].index = 0;
    std::copy(group_bounds[g].low, group_bounds[g].low + 3, s.groups[g].low);
    std::copy(group_bounds[g].high, group_bounds[g].high + 3, s.groups[g].high);
  }
  return s;
}

template <typename T>
DUSNET_INLINE void update_bucket(Bucket<T>& bucket, const T* p, Summary<T>& summary) {
  T lane[kLanes];
  for (int l = 0; l < kLanes; ++l) lane[l] = T(-1);
  for (int i = 0; i < kBucket; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const T distance = squared_distance(bucket.x[i + l], bucket.y[i + l], bucket.z[i + l], p[0], p[1], p[2]);
      const T nearest = distance < bucket.nearest[i + l] ? distance : bucket.nearest[i + l];
      bucket.nearest[i + l] = nearest;
      lane[l] = nearest > lane[l] ? nearest : lane[l];
    }
  }
  T farthest = T(-1);
  for (int l = 0; l < kLanes; ++l) farthest = lane[l] > farthest ? lane[l] : farthest;
  int at = 0;
  while (at < kBucket - 1 && bucket.nearest[at] != farthest) ++at;
  summary.farthest = farthest;
  summary.index = bucket.index[at];
}

template <typename T>
DUSNET_INLINE bool can_change(const Summary<T>& summary, const T* p) {
  return box_distance(p[0], p[1], p[2], summary.low, summary.high) < summary.farthest;
}

template <typename T>
DUSNET_INLINE void update_group(Sampler<T>& s, size_t g, const T* p, size_t own) {
  const size_t first = g * kGroup, last = std::min(first + kGroup, s.buckets.size());
  Summary<T>& group = s.groups[g];
  group.farthest = T(-2);
  for (size_t b = first; b < last; ++b) {
    if (b == own || can_change(s.inside[b], p)) update_bucket(s.buckets[b], p, s.inside[b]);
    if (better(s.inside[b], group)) {
      group.farthest = s.inside[b].farthest;
      group.index = s.inside[b].index;
    }
  }
}

template <typename T>
DUSNET_INLINE void sample(Sampler<T>& s, const T* points, int64_t k, int64_t start, int64_t* chosen) {
  uint32_t next = static_cast<uint32_t>(start);
  for (int64_t i = 0; i < k; ++i) {
    chosen[i] = next;
    const T* p = points + 3 * static_cast<int64_t>(next);
    const size_t own = s.bucket_of[next];
    Bucket<T>& home = s.buckets[own];
    for (int j = 0; j < kBucket; ++j)
      if (home.index[j] == next) home.nearest[j] = T(-1);
    const Summary<T>* best = &s.groups[0];
    for (size_t g = 0; g < s.groups.size(); ++g) {
      if (g == own / kGroup || can_change(s.groups[g], p)) update_group(s, g, p, own);
      if (better(s.groups[g], *best)) best = &s.groups[g];
    }
    next = best->index;
  }
}

DUSNET_CLONES void run(Sampler<float>& s, const float* points, int64_t k, int64_t start, int64_t* chosen) {
  sample(s, points, k, start, chosen);
}

DUSNET_CLONES void run(Sampler<double>& s, const double* points, int64_t k, int64_t start, int64_t* chosen) {
  sample(s, points, k, start, chosen);
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
        Sampler<T> sampler = build(cloud, size);
        run(sampler, cloud, std::min(k, size), std::min(start, size - 1), chosen + b * k);
      }
    });
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, CPU, m) { m.impl("farthest_point_sample", TORCH_BOX(&farthest_point_sample)); }

}  // namespace dusnet
