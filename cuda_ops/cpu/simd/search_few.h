// Few neighbours: as many queries at once as there are lanes, which walk through the tree together. Queries come in
// Z-order, so they are close to each other and want the same leaves. A box is skipped only when it loses in every lane,
// its lowest index included, so that ties fall exactly as a search through all points would.
#pragma once

#include "jobs.h"
#include "lanes.h"
#include "padding.h"

namespace dusnet {
namespace DUSNET_LEVEL {
namespace {

template <typename T, int K>
struct Packet {
  Lanes<T> x, y, z;
  T low[3], high[3], center[3];
  Lanes<T> distance[K];  // nearest first
  IntLanes<T> index[K];
  T worst;  // the greatest of distance[K - 1]
};

// Whether (d, i) comes before the j-th neighbour so far.
template <typename T, int K>
DUSNET_INLINE Mask<T> before(const Packet<T, K>& packet, int j, Lanes<T> d, IntLanes<T> i) {
  return static_cast<Mask<T>>(
      less(d, packet.distance[j]) | (same(d, packet.distance[j]) & less(i, packet.index[j])));
}

template <typename T, int K>
DUSNET_INLINE void insert(Packet<T, K>& packet, Lanes<T> d, IntLanes<T> i) {
  Mask<T> here = before(packet, K - 1, d, i);
  for (int j = K - 1; j > 0; --j) {
    const Mask<T> above = before(packet, j - 1, d, i);
    packet.distance[j] = select(above, packet.distance[j - 1], select(here, d, packet.distance[j]));
    packet.index[j] = select(above, packet.index[j - 1], select(here, i, packet.index[j]));
    here = above;
  }
  packet.distance[0] = select(here, d, packet.distance[0]);
  packet.index[0] = select(here, i, packet.index[0]);
}

template <typename T, int K>
DUSNET_INLINE Lanes<T> distances_to(const Packet<T, K>& packet, T x, T y, T z) {
  return norm_lanes<T>(packet.x - x, packet.y - y, packet.z - z);
}

template <typename T, int K>
DUSNET_INLINE void scan(Packet<T, K>& packet, const Leaf<T>& leaf) {
  bool changed = false;
  for (int i = 0; i < kLeaf; ++i) {
    const Lanes<T> d = distances_to(packet, leaf.x[i], leaf.y[i], leaf.z[i]);
    if (bits(at_most(d, packet.distance[K - 1])) == 0) continue;
    insert(packet, d, broadcast_index<T>(leaf.index[i]));
    changed = true;
  }
  if (changed) packet.worst = largest(packet.distance[K - 1]);
}

template <typename T>
struct Stop {
  T near;   // from the middle of the packet
  T bound;  // from the nearest corner of the packet's box
  int32_t level;  // -1: a leaf
  int32_t at;
};

template <typename T, int K>
DUSNET_INLINE bool wins_somewhere(const Packet<T, K>& packet, const Group<T>& group, int child) {
  const Lanes<T> dx = outside_lanes<T>(packet.x, broadcast(group.low[0][child]), broadcast(group.high[0][child]));
  const Lanes<T> dy = outside_lanes<T>(packet.y, broadcast(group.low[1][child]), broadcast(group.high[1][child]));
  const Lanes<T> dz = outside_lanes<T>(packet.z, broadcast(group.low[2][child]), broadcast(group.high[2][child]));
  return bits(before(packet, K - 1, norm_lanes<T>(dx, dy, dz), broadcast_index<T>(group.least[child]))) != 0;
}

// Puts the children that may win in some lane on the stack, the nearest on top, and of equally near ones the first.
template <typename T, int K>
DUSNET_INLINE int expand(const Packet<T, K>& packet, const Group<T>& group, int32_t level, int32_t at, Stop<T>* stack) {
  T bound[kFan], near[kFan];
  uint32_t open = 0;
  for (int c = 0; c < kFan; c += kLanes<T>) {
    Lanes<T> gap[3], apart[3];
    for (int a = 0; a < 3; ++a) {
      const Lanes<T> low = load(group.low[a] + c), high = load(group.high[a] + c);
      gap[a] = greater(greater(low - packet.high[a], packet.low[a] - high), Lanes<T>{});
      apart[a] = outside_lanes<T>(broadcast(packet.center[a]), low, high);
    }
    const Lanes<T> least = norm_lanes<T>(gap[0], gap[1], gap[2]);
    store(bound + c, least);
    store(near + c, norm_lanes<T>(apart[0], apart[1], apart[2]));
    open |= bits(at_most(least, broadcast(packet.worst))) << c;
  }
  int count = 0;
  while (open != 0) {
    const int c = highest(open);
    open ^= uint32_t{1} << c;
    if (group.least[c] == kNoIndex) continue;
    int place = count++;
    for (; place > 0 && stack[place - 1].near < near[c]; --place) stack[place] = stack[place - 1];
    stack[place] = {near[c], bound[c], level - 1, at * kFan + c};
  }
  return count;
}

template <typename T, int K>
DUSNET_INLINE void walk(const Tree<T>& tree, Packet<T, K>& packet) {
  Stop<T> stack[kMostLevels * kFan];
  int height = 0;
  if (tree.depth > 0) height = expand(packet, tree.levels[tree.depth - 1][0], tree.depth - 1, 0, stack);
  while (height > 0) {
    const Stop<T> stop = stack[--height];
    if (stop.bound > packet.worst) continue;
    if (!wins_somewhere(packet, tree.levels[stop.level + 1][stop.at / kFan], stop.at % kFan)) continue;
    if (stop.level < 0) {
      scan(packet, tree.leaves[stop.at]);
    } else {
      height += expand(packet, tree.levels[stop.level][stop.at], stop.level, stop.at, stack + height);
    }
  }
}

// Loads the queries at positions first, first + 1, ... of the order; the last one fills up the lanes.
template <typename T, int K>
DUSNET_INLINE void start(const SearchJob<T>& job, int64_t first, Packet<T, K>& packet) {
  T coordinates[3][kLanes<T>];
  for (int l = 0; l < kLanes<T>; ++l) {
    const int64_t at = first + l < job.end ? first + l : job.end - 1;
    const T* q = job.query + 3 * static_cast<int64_t>(job.order[at]);
    for (int a = 0; a < 3; ++a) coordinates[a][l] = q[a];
  }
  packet.x = load(coordinates[0]), packet.y = load(coordinates[1]), packet.z = load(coordinates[2]);
  const Lanes<T> lanes[3] = {packet.x, packet.y, packet.z};
  for (int a = 0; a < 3; ++a) {
    packet.low[a] = smallest(lanes[a]);
    packet.high[a] = largest(lanes[a]);
    packet.center[a] = packet.low[a] + (packet.high[a] - packet.low[a]) / 2;
  }
}

// K neighbours of a query nearby are K points: no lane needs to look beyond the farthest of them.
template <typename T, int K>
DUSNET_INLINE void guess(const SearchJob<T>& job, const int32_t* known, Packet<T, K>& packet) {
  Lanes<T> bound = broadcast(job.limit);
  if (known != nullptr) {
    Lanes<T> most{};
    for (int j = 0; j < K; ++j) {
      const T* p = job.points + 3 * static_cast<int64_t>(known[j]);
      most = greater(most, distances_to(packet, p[0], p[1], p[2]));
    }
    bound = lesser(bound, most);
  }
  for (int j = 0; j < K; ++j) {
    packet.distance[j] = bound;
    packet.index[j] = broadcast_index<T>(kNoIndex);
  }
  packet.worst = largest(bound);
}

template <typename T, int K>
DUSNET_INLINE void search_few(const SearchJob<T>& job) {
  Packet<T, K> packet;
  int32_t known[K];
  bool any_known = false;
  for (int64_t first = job.begin; first < job.end; first += kLanes<T>) {
    start(job, first, packet);
    guess(job, any_known ? known : nullptr, packet);
    walk(job.tree, packet);
    T distance[K][kLanes<T>];
    typename Wide<T>::integer index[K][kLanes<T>];
    for (int j = 0; j < K; ++j) {
      store(distance[j], packet.distance[j]);
      std::memcpy(index[j], &packet.index[j], sizeof(packet.index[j]));
    }
    for (int l = 0; l < kLanes<T> && first + l < job.end; ++l) {
      const int64_t row = job.order[first + l];
      int64_t found = 0;
      for (; found < job.k && index[found][l] != kNoIndex; ++found) {
        job.index[row * job.k + found] = index[found][l];
        if (job.distance != nullptr) job.distance[row * job.k + found] = distance[found][l];
      }
      pad(job, row, found);
    }
    any_known = true;
    for (int j = 0; j < K; ++j) {
      known[j] = static_cast<int32_t>(index[j][kLanes<T> - 1]);
      any_known = any_known && known[j] != kNoIndex;
    }
  }
}

}  // namespace
}  // namespace DUSNET_LEVEL
}  // namespace dusnet
