// Exact farthest point sampling on the CPU. The cloud is cut into buckets along the Z-order curve, with a hierarchy of
// boxes above them that know how far their farthest point still is from all chosen ones.
#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "common_cpu.h"
#include "jobs.h"
#include "morton_sort.h"

namespace dusnet {
namespace {

// What lies below a bucket or a region.
template <typename T>
struct Contents {
  Bounds<T> bounds;
  int32_t least = kNoIndex;
};

template <typename T>
class Sampler {
 public:
  Sampler(const T* points, int64_t count)
      : points_(points), size_((count + kBucket - 1) / kBucket), buckets_(new Bucket<T>[size_]), bucket_of_(count) {
    const std::vector<int32_t> order = morton_order(points, count);
    std::vector<Contents<T>> contents(size_);
    torch::stable::parallel_for(0, size_, 512, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) contents[b] = fill_bucket(b, order);
    });
    while (levels_.empty() || levels_.back().size() > 1) contents = add_level(contents);
  }

  void sample(int64_t k, int64_t start, int64_t* chosen) {
    SamplingJob<T> job{};
    job.points = points_;
    job.buckets = buckets_.get();
    job.depth = static_cast<int>(levels_.size());
    for (int level = 0; level < job.depth; ++level) job.levels[level] = levels_[level].data();
    job.bucket_of = bucket_of_.data();
    job.k = k;
    job.start = start;
    job.chosen = chosen;
    kernels().sample(job);
  }

 private:
  Contents<T> fill_bucket(int64_t b, const std::vector<int32_t>& order) {
    Bucket<T>& bucket = buckets_[b];
    Contents<T> contents;
    const int64_t first = b * kBucket, last = std::min<int64_t>(first + kBucket, order.size());
    for (int64_t i = 0; i < kBucket; ++i) {
      const int32_t index = order[std::min(first + i, last - 1)];
      const T* p = points_ + 3 * static_cast<int64_t>(index);
      bucket.x[i] = p[0], bucket.y[i] = p[1], bucket.z[i] = p[2];
      bucket.index[i] = index;
      bucket.nearest[i] = first + i < last ? std::numeric_limits<T>::infinity() : T(-1);
      contents.bounds.include(p);
      contents.least = std::min(contents.least, index);
      bucket_of_[index] = static_cast<int32_t>(b);
    }
    return contents;
  }

  std::vector<Contents<T>> add_level(const std::vector<Contents<T>>& below) {
    const int64_t size = static_cast<int64_t>(below.size());
    std::vector<Region<T>> level((size + kFan - 1) / kFan);
    std::vector<Contents<T>> above(level.size());
    for (int64_t i = 0; i < static_cast<int64_t>(level.size()) * kFan; ++i) {
      Region<T>& region = level[i / kFan];
      const Contents<T> child = i < size ? below[i] : Contents<T>();
      for (int a = 0; a < 3; ++a) {
        region.low[a][i % kFan] = child.bounds.low[a];
        region.high[a][i % kFan] = child.bounds.high[a];
      }
      // Below what any bucket can hold: a missing child is never opened and never wins.
      region.farthest[i % kFan] = i < size ? std::numeric_limits<T>::infinity() : T(-3);
      region.index[i % kFan] = child.least;
      above[i / kFan].bounds.include(child.bounds);
      above[i / kFan].least = std::min(above[i / kFan].least, child.least);
    }
    levels_.push_back(std::move(level));
    return above;
  }

  const T* points_;
  int64_t size_;
  std::unique_ptr<Bucket<T>[]> buckets_;
  std::vector<int32_t> bucket_of_;              // by original index
  std::vector<std::vector<Region<T>>> levels_;  // the children of level 0 are buckets, the last level is the root
};

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
    for_each_cloud(batch, [&](int64_t b) {
      const int64_t size = sizes[b];
      if (size == 0) return;
      Sampler<T>(data + b * full * 3, size).sample(std::min(k, size), std::min(start, size - 1), chosen + b * k);
    });
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, CPU, m) { m.impl("farthest_point_sample", TORCH_BOX(&farthest_point_sample)); }

}  // namespace dusnet
