// Bertsekas' auction, one bidder at a time (Gauss-Seidel). A bid looks for the two cheapest objects in a hierarchy of
// boxes that also keep the lowest price below them.
#pragma once

#include "jobs.h"
#include "lanes.h"

namespace dusnet {
namespace DUSNET_LEVEL {
namespace {

constexpr double kInfinity = __builtin_inf();

struct Offer {
  double best = kInfinity, second = kInfinity;  // cost + price
  int64_t object = -1;
};

DUSNET_INLINE Lanes<double> root(Lanes<double> values) {
#if DUSNET_LANE_BYTES == 64
  return reinterpret_cast<Lanes<double>>(_mm512_sqrt_pd(raw(values)));
#elif DUSNET_LANE_BYTES == 32
  return reinterpret_cast<Lanes<double>>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(values)));
#elif defined(__x86_64__)
  return reinterpret_cast<Lanes<double>>(_mm_sqrt_pd(reinterpret_cast<__m128d>(values)));
#else
  for (int i = 0; i < kLanes<double>; ++i) values[i] = __builtin_sqrt(values[i]);
  return values;
#endif
}

DUSNET_INLINE double total(const AuctionJob& job, const double* p, int64_t object) {
  const PriceLeaf& leaf = job.leaves[object / kObjects];
  const int64_t i = object % kObjects;
  const double dx = p[0] - leaf.x[i], dy = p[1] - leaf.y[i], dz = p[2] - leaf.z[i];
  return __builtin_sqrt(dx * dx + dy * dy + dz * dz) + leaf.price[i];
}

template <int Count>
DUSNET_INLINE double cheapest_of(const double* prices) {
  Lanes<double> least = load(prices);
  for (int i = kLanes<double>; i < Count; i += kLanes<double>) least = lesser(least, load(prices + i));
  return smallest(least);
}

// Prices only rise, so a box stays a lower bound; its price is renewed upwards as far as it changes.
DUSNET_INLINE void raise(const AuctionJob& job, int64_t object, double price) {
  PriceLeaf& leaf = job.leaves[object / kObjects];
  leaf.price[object % kObjects] = price;
  double lowest_price = cheapest_of<kObjects>(leaf.price);
  int64_t at = object / kObjects;
  for (int level = 0; level < job.depth; ++level) {
    PriceGroup& group = job.levels[level][at / kStalls];
    if (group.price[at % kStalls] == lowest_price) return;
    group.price[at % kStalls] = lowest_price;
    lowest_price = cheapest_of<kStalls>(group.price);
    at /= kStalls;
  }
}

DUSNET_INLINE void consider(const PriceLeaf& leaf, int64_t first, const double* p, Offer& offer) {
  for (int i = 0; i < kObjects; i += kLanes<double>) {
    const Lanes<double> apart =
        root(norm_lanes<double>(p[0] - load(leaf.x + i), p[1] - load(leaf.y + i), p[2] - load(leaf.z + i)));
    const Lanes<double> cost = apart + load(leaf.price + i);
    for (uint32_t near = bits(less(cost, broadcast(offer.second))); near != 0; near &= near - 1) {
      const int lane = lowest(near);
      if (cost[lane] < offer.best) {
        offer.second = offer.best;
        offer.best = cost[lane];
        offer.object = first + i + lane;
      } else if (cost[lane] < offer.second) {
        offer.second = cost[lane];
      }
    }
  }
}

struct Step {
  double bound;
  int32_t level;  // -1: a leaf
  int32_t at;
};

// The two cheapest objects. At least two are known to cost no more than `limit`.
DUSNET_INLINE Offer cheapest(const AuctionJob& job, const double* p, double limit) {
  Offer offer;
  Step stack[16 * kStalls];
  int height = 0;
  stack[height++] = {0.0, job.depth - 1, 0};
  while (height > 0) {
    const Step step = stack[--height];
    if (step.bound >= offer.second || step.bound > limit) continue;
    if (step.level < 0) {
      consider(job.leaves[step.at], int64_t{step.at} * kObjects, p, offer);
      continue;
    }
    const PriceGroup& group = job.levels[step.level][step.at];
    const double most = offer.second < limit ? offer.second : limit;
    double bound[kStalls];
    uint32_t open = 0;
    for (int c = 0; c < kStalls; c += kLanes<double>) {
      Lanes<double> apart[3];
      for (int a = 0; a < 3; ++a)
        apart[a] = outside_lanes<double>(broadcast(p[a]), load(group.low[a] + c), load(group.high[a] + c));
      const Lanes<double> least = root(norm_lanes<double>(apart[0], apart[1], apart[2])) + load(group.price + c);
      store(bound + c, least);
      open |= bits(at_most(least, broadcast(most))) << c;
    }
    const int base = height;
    for (; open != 0; open &= open - 1) {
      const int c = lowest(open);
      int place = height++;
      for (; place > base && stack[place - 1].bound < bound[c]; --place) stack[place] = stack[place - 1];
      stack[place] = {bound[c], step.level - 1, step.at * kStalls + c};
    }
  }
  return offer;
}

// Returns who loses the object, or -1.
DUSNET_INLINE int64_t bid(AuctionJob& job, int64_t person, double eps) {
  const double* p = job.x + 3 * person;
  const double first = total(job, p, job.wanted[person]), second = total(job, p, job.second[person]);
  const Offer offer = cheapest(job, p, first > second ? first : second);
  const int64_t object = offer.object, loser = job.holder[object];
  if (object != job.wanted[person]) {
    job.second[person] = job.wanted[person];
    job.wanted[person] = object;
  }
  raise(job, object, job.leaves[object / kObjects].price[object % kObjects] + (offer.second - offer.best) + eps);
  job.holder[object] = person;
  job.holds[person] = object;
  if (loser >= 0) job.holds[loser] = -1;
  return loser;
}

DUSNET_INLINE bool settle(AuctionJob& job, double eps) {
  for (int64_t i = 0; i < job.count; ++i) job.holder[i] = job.holds[i] = -1;
  for (int64_t i = 0; i < job.count; ++i) {
    for (int64_t bidder = job.people[i]; bidder >= 0;) {
      if (job.bids_left-- <= 0) return false;
      bidder = bid(job, bidder, eps);
    }
  }
  return true;
}

}  // namespace
}  // namespace DUSNET_LEVEL
}  // namespace dusnet
