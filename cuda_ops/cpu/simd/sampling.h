// Farthest point sampling: a new point goes down only into boxes that are nearer to it than their farthest point is to
// all chosen ones; the root then knows the next point.
#pragma once

#include "jobs.h"
#include "lanes.h"

namespace dusnet {
namespace DUSNET_LEVEL {
namespace {

template <typename T>
struct Farthest {
  T distance;
  int32_t index;
};

// The largest of Count values, and the lowest index that has it.
template <int Count, typename T>
DUSNET_INLINE Farthest<T> farthest_of(const T* values, const int32_t* index, Lanes<T> most_lanes) {
  const T most = largest(most_lanes);
  uint64_t equal = 0;
  for (int i = 0; i < Count; i += kLanes<T>)
    equal |= static_cast<uint64_t>(bits(same(load(values + i), broadcast(most)))) << i;
  int32_t least = index[__builtin_ctzll(equal)];
  for (equal &= equal - 1; equal != 0; equal &= equal - 1) {
    const int32_t other = index[__builtin_ctzll(equal)];
    least = other < least ? other : least;
  }
  return {most, least};
}

template <typename T>
DUSNET_INLINE Farthest<T> update_bucket(Bucket<T>& bucket, const T* p) {
  Lanes<T> most = broadcast(T(-2));
  for (int i = 0; i < kBucket; i += kLanes<T>) {
    const Lanes<T> d = norm_lanes<T>(p[0] - load(bucket.x + i), p[1] - load(bucket.y + i), p[2] - load(bucket.z + i));
    const Lanes<T> nearest = lesser(d, load(bucket.nearest + i));
    store(bucket.nearest + i, nearest);
    most = greater(most, nearest);
  }
  return farthest_of<kBucket, T>(bucket.nearest, bucket.index, most);
}

// Brings everything below a region up to date with the new point p, which lies in the bucket `own`.
template <typename T>
Farthest<T> update(const SamplingJob<T>& job, int level, int64_t at, const T* p, int64_t own) {
  static_assert(kFan == 16, "the path takes four bits per level");
  Region<T>& region = job.levels[level][at];
  const int64_t path = own >> (4 * level);
  uint32_t open = path / kFan == at ? uint32_t{1} << (path % kFan) : 0;
  for (int c = 0; c < kFan; c += kLanes<T>) {
    Lanes<T> apart[3];
    for (int a = 0; a < 3; ++a)
      apart[a] = outside_lanes<T>(broadcast(p[a]), load(region.low[a] + c), load(region.high[a] + c));
    open |= bits(less(norm_lanes<T>(apart[0], apart[1], apart[2]), load(region.farthest + c))) << c;
  }
  for (; open != 0; open &= open - 1) {
    const int c = lowest(open);
    const int64_t child = at * kFan + c;
    const Farthest<T> updated =
        level == 0 ? update_bucket(job.buckets[child], p) : update(job, level - 1, child, p, own);
    region.farthest[c] = updated.distance;
    region.index[c] = updated.index;
  }
  Lanes<T> most = load(region.farthest);
  for (int c = kLanes<T>; c < kFan; c += kLanes<T>) most = greater(most, load(region.farthest + c));
  return farthest_of<kFan, T>(region.farthest, region.index, most);
}

template <typename T>
DUSNET_INLINE void sample(const SamplingJob<T>& job) {
  int64_t next = job.start;
  for (int64_t i = 0; i < job.k; ++i) {
    job.chosen[i] = next;
    const int64_t own = job.bucket_of[next];
    Bucket<T>& home = job.buckets[own];
    for (int j = 0; j < kBucket; ++j)
      if (home.index[j] == next) home.nearest[j] = T(-1);
    next = update(job, job.depth - 1, 0, job.points + 3 * next, own).index;
  }
}

}  // namespace
}  // namespace DUSNET_LEVEL
}  // namespace dusnet
