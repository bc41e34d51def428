// Searches through all points. Few neighbours: a thread per query keeps a short ordered list while the cloud passes
// through shared memory. Many neighbours: a block per query finds the k-th smallest distance by a radix select over the
// bit patterns, recomputing distances instead of storing them, then collects and sorts the k keys.
#pragma once

#include "common_cuda.h"

namespace dusnet {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 1024;
constexpr int kMost = 2048;  // neighbours of the block version: its keys live in shared memory
constexpr int kBins = 2048;

struct Clouds {
  const float* query;
  const float* points;
  DeviceLengths rows;
  DeviceLengths sizes;
  int k;
  float limit;      // squared, inclusive
  float* distance;  // may be null
  int64_t* index;
  int64_t* count;  // may be null
};

__device__ inline void write_key(const Clouds& c, int64_t row, int j, uint64_t key) {
  c.index[row * c.k + j] = key_index<float>(key);
  if (c.distance != nullptr) c.distance[row * c.k + j] = key_distance<float>(key);
}

// Points come in the order of their indices, so a strict comparison keeps the lower index among equal distances.
template <int Most>
__global__ void __launch_bounds__(kThreads) thread_kernel(Clouds c) {
  __shared__ float tile[3 * kTile];
  const int batch = blockIdx.y, size = c.sizes(batch), rows = c.rows(batch);
  const int query = blockIdx.x * kThreads + threadIdx.x;
  const int64_t row = static_cast<int64_t>(batch) * c.rows.full + query;
  const float* cloud = c.points + static_cast<int64_t>(batch) * c.sizes.full * 3;
  const bool real = query < rows;
  const float p[3] = {
      real ? c.query[3 * row] : 0.0f, real ? c.query[3 * row + 1] : 0.0f, real ? c.query[3 * row + 2] : 0.0f};
  uint64_t keys[Most];
  int found = 0;
  uint64_t worst = make_key(c.limit, kNoIndex);
  for (int first = 0; first < size; first += kTile) {
    const int here = size - first < kTile ? size - first : kTile;
    __syncthreads();
    for (int i = threadIdx.x; i < 3 * here; i += kThreads) tile[i] = cloud[3 * static_cast<int64_t>(first) + i];
    __syncthreads();
    for (int i = 0; i < here && real; ++i) {
      const float distance = distance_to(p, tile[3 * i], tile[3 * i + 1], tile[3 * i + 2]);
      const uint64_t key = make_key(distance, static_cast<uint32_t>(first + i));
      if (key >= worst) continue;
      int at = found < c.k ? found++ : c.k - 1;
      for (; at > 0 && keys[at - 1] > key; --at) keys[at] = keys[at - 1];
      keys[at] = key;
      if (found == c.k) worst = keys[c.k - 1];
    }
  }
  if (!real) return;
  for (int j = 0; j < found; ++j) write_key(c, row, j, keys[j]);
  if (c.count != nullptr) c.count[row] = found;
}

// The state of one block's selection.
struct Selection {
  unsigned bins[kBins];
  unsigned sums[kThreads];
  uint64_t keys[kMost];
  unsigned collected;
  unsigned prefix;  // of the k-th smallest pattern, as far as it is known
  unsigned below;   // candidates whose pattern is certainly smaller
  unsigned inside;  // candidates with the prefix
  unsigned total;
};

__device__ inline uint32_t pattern_at(const float* p, const float* cloud, int i) {
  return float_bits(squared_distance(p[0], p[1], p[2], cloud[3 * i], cloud[3 * i + 1], cloud[3 * i + 2]));
}

// Finds the bin that holds the candidate of rank `wanted` (from 0) among those with the prefix so far.
__device__ inline void pick_bin(Selection& s, unsigned wanted, int width) {
  constexpr int kEach = kBins / kThreads;
  unsigned own = 0;
  for (int i = 0; i < kEach; ++i) own += s.bins[threadIdx.x * kEach + i];
  s.sums[threadIdx.x] = own;
  __syncthreads();
  for (int step = 1; step < kThreads; step *= 2) {
    const unsigned left = static_cast<int>(threadIdx.x) >= step ? s.sums[threadIdx.x - step] : 0;
    __syncthreads();
    s.sums[threadIdx.x] += left;
    __syncthreads();
  }
  unsigned before = s.below + s.sums[threadIdx.x] - own;
  const unsigned after = s.below + s.sums[threadIdx.x];
  const unsigned prefix = s.prefix;
  __syncthreads();
  if (before <= wanted && wanted < after) {
    int bin = threadIdx.x * kEach;
    while (before + s.bins[bin] <= wanted) before += s.bins[bin++];
    s.prefix = (prefix << width) | static_cast<unsigned>(bin);
    s.below = before;
    s.inside = s.bins[bin];
  }
  __syncthreads();
}

// One digit of the pattern of rank `wanted`: `shift` bits remain below it.
__device__ inline void select_digit(
    Selection& s, const float* p, const float* cloud, int size, uint32_t limit, int shift, int width, unsigned wanted) {
  for (int i = threadIdx.x; i < kBins; i += kThreads) s.bins[i] = 0;
  __syncthreads();
  const bool first = shift + width >= 32;
  for (int i = threadIdx.x; i < size; i += kThreads) {
    const uint32_t pattern = pattern_at(p, cloud, i);
    if (pattern > limit || (!first && pattern >> (shift + width) != s.prefix)) continue;
    atomicAdd(&s.bins[(pattern >> shift) & ((1u << width) - 1)], 1u);
    if (first) atomicAdd(&s.total, 1u);
  }
  __syncthreads();
  if (first && s.total <= wanted) wanted = s.total == 0 ? 0 : s.total - 1;
  pick_bin(s, wanted, width);
}

// Everything below the pattern, then as many as fit of those that equal it, lowest indices first.
__device__ inline void collect(
    Selection& s, const float* p, const float* cloud, int size, uint32_t pattern, unsigned room, bool crowded) {
  for (int first = 0; first < size; first += kThreads) {
    const int i = first + threadIdx.x;
    const uint32_t own = i < size ? pattern_at(p, cloud, i) : 0xffffffffu;
    const bool equal = i < size && own == pattern;
    bool taken = i < size && (own < pattern || (equal && !crowded));
    if (crowded) {
      const unsigned ballot = __ballot_sync(kAllLanes, equal);
      const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
      if (lane == 0) s.sums[warp] = __popc(ballot);
      __syncthreads();
      unsigned before = __popc(ballot & ((1u << lane) - 1)), all = 0;
      for (int w = 0; w < kThreads / kWarp; ++w) {
        if (w < warp) before += s.sums[w];
        all += s.sums[w];
      }
      taken = taken || (equal && before < room);
      room = all < room ? room - all : 0;
      __syncthreads();
    }
    if (taken) s.keys[atomicAdd(&s.collected, 1u)] = (static_cast<uint64_t>(own) << 32) | static_cast<uint32_t>(i);
  }
  __syncthreads();
}

__device__ inline void sort_keys(uint64_t* keys, int count) {
  int places = 1;
  while (places < count) places *= 2;
  for (int i = count + threadIdx.x; i < places; i += kThreads) keys[i] = ~0ull;
  __syncthreads();
  for (int run = 2; run <= places; run *= 2) {
    for (int step = run / 2; step > 0; step /= 2) {
      for (int i = threadIdx.x; i < places / 2; i += kThreads) {
        const int low = i / step * 2 * step + i % step, high = low + step;
        const bool ascending = (low & run) == 0;
        const uint64_t a = keys[low], b = keys[high];
        if ((a > b) == ascending) keys[low] = b, keys[high] = a;
      }
      __syncthreads();
    }
  }
}

// The keys of the k nearest, sorted, in s.keys; returns how many there are.
__device__ inline unsigned select_from_all(
    Selection& s, const float* p, const float* cloud, int size, uint32_t limit, unsigned k) {
  if (threadIdx.x == 0) s.collected = s.prefix = s.below = s.inside = s.total = 0;
  __syncthreads();
  select_digit(s, p, cloud, size, limit, 21, 11, k - 1);
  const unsigned found = s.total < k ? s.total : k;
  if (found > 0) {
    select_digit(s, p, cloud, size, limit, 10, 11, found - 1);
    select_digit(s, p, cloud, size, limit, 0, 10, found - 1);
    const unsigned room = found - s.below;
    collect(s, p, cloud, size, s.prefix, room, s.inside > room);
    sort_keys(s.keys, static_cast<int>(found));
  }
  return found;
}

__global__ void __launch_bounds__(kThreads) block_kernel(Clouds c) {
  __shared__ Selection s;
  const int batch = blockIdx.y, size = c.sizes(batch), query = blockIdx.x;
  if (query >= c.rows(batch)) return;
  const int64_t row = static_cast<int64_t>(batch) * c.rows.full + query;
  const float* cloud = c.points + static_cast<int64_t>(batch) * c.sizes.full * 3;
  const float p[3] = {c.query[3 * row], c.query[3 * row + 1], c.query[3 * row + 2]};
  const uint32_t limit = float_bits(c.limit);
  const unsigned found = select_from_all(s, p, cloud, size, limit, static_cast<unsigned>(c.k));
  for (int j = threadIdx.x; j < static_cast<int>(found); j += kThreads) write_key(c, row, j, s.keys[j]);
  if (c.count != nullptr && threadIdx.x == 0) c.count[row] = found;
}

}  // namespace
}  // namespace dusnet
