// Searches through an index. A box is skipped when its distance, with the lowest index inside it, already loses. Every
// query starts with the leaves around its own place on the Z-order curve, which bounds what else can matter.
#pragma once

#include "all_points_cuda.h"
#include "walk_cuda.h"

namespace dusnet {
namespace {

constexpr int kQueriesPerBlock = 4;  // of the warp version

// Nothing in a box has a lower key than this.
struct KeyBounds {
  const DeviceIndex& index;
  const float* p;

  __device__ uint64_t group(int at) const { return index.groups.key(at, p); }
  __device__ uint64_t leaf(int at) const { return index.leaves.key(at, p); }
  __device__ static uint64_t nothing() { return ~0ull; }
};

// The key of this lane's point of a leaf; what is no point has a key above all others.
__device__ inline uint64_t lane_key(const DeviceIndex& index, int leaf, const float* p) {
  const int at = leaf * kLeafPoints + threadIdx.x % kWarp;
  return make_key(squared_distance(p[0], p[1], p[2], index.x[at], index.y[at], index.z[at]), index.index[at]);
}

// The k least keys, at most one per lane, in ascending order.
struct LaneKeys {
  uint64_t held;
  uint64_t worst;
  int k;

  __device__ LaneKeys(int k_, uint64_t limit) : held(limit), worst(limit), k(k_) {}

  __device__ void take(uint64_t key) {
    const int lane = threadIdx.x % kWarp;
    for (unsigned open = __ballot_sync(kAllLanes, key < worst); open != 0; open &= open - 1) {
      const uint64_t next = __shfl_sync(kAllLanes, key, __ffs(static_cast<int>(open)) - 1);
      if (next >= worst) continue;
      const int place = __ffs(static_cast<int>(__ballot_sync(kAllLanes, held > next))) - 1;
      const uint64_t before = __shfl_sync(kAllLanes, held, lane > 0 ? lane - 1 : 0);
      held = lane < place ? held : lane == place ? next : before;
      worst = __shfl_sync(kAllLanes, held, k - 1);
    }
  }
};

__global__ void __launch_bounds__(kQueriesPerBlock* kWarp) indexed_warp_kernel(Clouds c, Search search) {
  const int batch = blockIdx.y, lane = threadIdx.x % kWarp;
  const int query = blockIdx.x * kQueriesPerBlock + threadIdx.x / kWarp;
  if (query >= c.rows(batch)) return;
  const int64_t row = static_cast<int64_t>(batch) * c.rows.full + query;
  const DeviceIndex index = search.index(batch);
  const float p[3] = {c.query[3 * row], c.query[3 * row + 1], c.query[3 * row + 2]};
  const uint64_t limit = make_key(c.limit, kNoIndex);
  LaneKeys keys(c.k, limit);
  const Window window = around(home_of(index, p), index.leaves.count, 3);
  for (int leaf = window.first; leaf < window.last; ++leaf) keys.take(lane_key(index, leaf, p));
  for_leaves(
      index, window, 0, 1, KeyBounds{index, p}, [&](uint64_t key) { return key < keys.worst; },
      [&](int leaf) { keys.take(lane_key(index, leaf, p)); });
  const bool found = lane < c.k && keys.held < limit;
  if (found) write_key(c, row, lane, keys.held);
  const unsigned all = __ballot_sync(kAllLanes, found);
  if (c.count != nullptr && lane == 0) c.count[row] = __popc(all);
}

// Counts or collects the points within a bound in bins of equal width.
struct Bins {
  float bound;
  float scale;

  __device__ int of(float distance) const {
    const int bin = static_cast<int>(distance * scale);
    return bin < kBins ? bin : kBins - 1;
  }
};

// The farthest of the k nearest can lie no farther than this: the farthest point of a window of at least k points.
__device__ inline float window_bound(
    Selection& s, const DeviceIndex& index, const float* p, const Window& window, int size, const Clouds& c) {
  float most = 0.0f;
  const int last = window.last * kLeafPoints < size ? window.last * kLeafPoints : size;
  for (int at = window.first * kLeafPoints + threadIdx.x; at < last; at += kThreads) {
    const float distance = squared_distance(p[0], p[1], p[2], index.x[at], index.y[at], index.z[at]);
    most = distance > most ? distance : most;
  }
  most = warp_max(most);
  if (threadIdx.x % kWarp == 0) s.sums[threadIdx.x / kWarp] = float_bits(most);
  __syncthreads();
  most = 0.0f;
  for (int w = 0; w < kThreads / kWarp; ++w) most = bits_float(s.sums[w]) > most ? bits_float(s.sums[w]) : most;
  __syncthreads();
  return size < c.k || c.limit < most ? c.limit : most;
}

// Calls f(distance, key) for every point within the bound.
template <typename F>
__device__ inline void for_points(const DeviceIndex& index, const float* p, float bound, F f) {
  const uint64_t worst = make_key(bound, kNoIndex);
  const Window none{0, 0};
  for_leaves(
      index, none, threadIdx.x / kWarp, kThreads / kWarp, KeyBounds{index, p},
      [&](uint64_t key) { return key < worst; },
      [&](int leaf) {
        const uint64_t key = lane_key(index, leaf, p);
        if (key < worst) f(key_distance<float>(key), key);
      });
}

// Counts the points of every bin and finds the first bins that hold k; false when they hold more than fit.
__device__ inline bool few_enough(
    Selection& s, const DeviceIndex& index, const float* p, const Bins& bins, unsigned k, int* last) {
  for (int i = threadIdx.x; i < kBins; i += kThreads) s.bins[i] = 0;
  if (threadIdx.x == 0) s.collected = s.prefix = s.below = s.inside = s.total = 0;
  __syncthreads();
  for_points(index, p, bins.bound, [&](float distance, uint64_t) {
    atomicAdd(&s.bins[bins.of(distance)], 1u);
    atomicAdd(&s.total, 1u);
  });
  __syncthreads();
  if (s.total <= k) {
    *last = kBins - 1;
    return true;
  }
  pick_bin(s, k - 1, 0);
  *last = static_cast<int>(s.prefix);
  const bool fit = s.below + s.inside <= kMost;
  __syncthreads();  // what comes next writes where others still read
  return fit;
}

__global__ void __launch_bounds__(kThreads) indexed_block_kernel(Clouds c, Search search) {
  __shared__ Selection s;
  const int batch = blockIdx.y, size = c.sizes(batch), query = blockIdx.x;
  if (query >= c.rows(batch)) return;
  const int64_t row = static_cast<int64_t>(batch) * c.rows.full + query;
  const DeviceIndex index = search.index(batch);
  const float p[3] = {c.query[3 * row], c.query[3 * row + 1], c.query[3 * row + 2]};
  const unsigned k = static_cast<unsigned>(c.k);
  // Of the leaves that hold points: the bound is that of at least k of them.
  const int filled = size > kLeafPoints ? (size + kLeafPoints - 1) / kLeafPoints : 1;
  const int home = home_of(index, p);
  const Window window =
      around(home < filled ? home : filled - 1, filled, (c.k + kLeafPoints - 1) / kLeafPoints + 1);
  const float bound = window_bound(s, index, p, window, size, c);
  const Bins bins{bound, kBins / bound};
  int last = 0;
  unsigned found;
  const bool spread = bins.scale > 0.0f && bins.scale < bits_float(kInfinityBits);
  if (spread && few_enough(s, index, p, bins, k, &last)) {
    for_points(index, p, bound, [&](float distance, uint64_t key) {
      if (bins.of(distance) <= last) s.keys[atomicAdd(&s.collected, 1u)] = key;
    });
    __syncthreads();
    found = s.collected < k ? s.collected : k;
    sort_keys(s.keys, static_cast<int>(s.collected));
  } else {
    const float* cloud = c.points + static_cast<int64_t>(batch) * c.sizes.full * 3;
    found = select_from_all(s, p, cloud, size, float_bits(c.limit), k);
  }
  for (int j = threadIdx.x; j < static_cast<int>(found); j += kThreads) write_key(c, row, j, s.keys[j]);
  if (c.count != nullptr && threadIdx.x == 0) c.count[row] = found;
}

}  // namespace
}  // namespace dusnet
