// Walking through an index: whole warps go from groups of leaves to leaves, and skip what a bound excludes.
#pragma once

#include "index_cuda.h"
#include "order_cuda.h"

namespace dusnet {
namespace {

struct Search {
  uint8_t* memory;
  int64_t bytes;
  IndexShape shape;

  __device__ DeviceIndex index(int batch) const { return shape.at(memory, batch, bytes); }
};

// The leaf in which a point at p would lie.
__device__ inline int home_of(const DeviceIndex& index, const float* p) {
  const uint64_t code = code_of(p, index.corners);
  int64_t low = 0, high = static_cast<int64_t>(index.leaves.count) * kLeafPoints;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (index.code[middle] < code) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const int leaf = static_cast<int>(low / kLeafPoints);
  return leaf < index.leaves.count ? leaf : index.leaves.count - 1;
}

// Some leaves in a row.
struct Window {
  int first, last;

  __device__ bool holds(int leaf) const { return leaf >= first && leaf < last; }
};

__device__ inline Window around(int home, int leaves, int width) {
  int first = home - width / 2;
  first = first + width > leaves ? leaves - width : first;
  first = first > 0 ? first : 0;
  return {first, first + width < leaves ? first + width : leaves};
}

// Calls f with the leaves outside the window that `open` lets through at that moment. `bounds` says what is known of a
// group and of a leaf; the groups are dealt out to `sharers` warps, of which this is number `own`; f is called by whole
// warps.
template <typename Bounds, typename Open, typename F>
__device__ inline void for_leaves(
    const DeviceIndex& index, const Window& window, int own, int sharers, const Bounds& bounds, Open open, F f) {
  const int lane = threadIdx.x % kWarp;
  for (int base = own * kWarp; base < index.groups.count; base += sharers * kWarp) {
    const auto near = base + lane < index.groups.count ? bounds.group(base + lane) : Bounds::nothing();
    for (unsigned groups = __ballot_sync(kAllLanes, open(near)); groups != 0; groups &= groups - 1) {
      const int source = __ffs(static_cast<int>(groups)) - 1;
      if (!open(__shfl_sync(kAllLanes, near, source))) continue;
      const int first = (base + source) * kGroupLeaves;
      const bool real = first + lane < index.leaves.count && !window.holds(first + lane);
      const auto nearer = real ? bounds.leaf(first + lane) : Bounds::nothing();
      for (unsigned leaves = __ballot_sync(kAllLanes, open(nearer)); leaves != 0; leaves &= leaves - 1) {
        const int leaf = __ffs(static_cast<int>(leaves)) - 1;
        if (open(__shfl_sync(kAllLanes, nearer, leaf))) f(first + leaf);
      }
    }
  }
}

}  // namespace
}  // namespace dusnet
