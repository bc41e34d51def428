// What the code for one instruction set is asked to do, in plain pointers: nothing here may define code that the linker
// could share between instruction sets.
#pragma once

#include <cstdint>

#include "tree.h"

namespace dusnet {

constexpr int64_t kFewNeighbors = 8;

// Neighbours of the queries at the positions begin to end of `order`.
template <typename T>
struct SearchJob {
  Tree<T> tree;
  const T* points;       // (N, 3), what the tree was built from
  const T* query;        // (M, 3)
  const int32_t* order;  // queries along the Z-order curve
  int64_t begin, end;
  int64_t k;
  T limit;            // squared distance; points beyond it do not count
  T* distance;        // (M, k), may be null
  int64_t* index;     // (M, k)
  int64_t* count;     // (M), may be null
  void* memory;       // collector_bytes<T>(k), when k > kFewNeighbors
};

// What a search for many neighbours collects before it drops all but the nearest k.
constexpr int64_t collector_capacity(int64_t k) { return 2 * k + 256; }
constexpr int64_t kSlack = kFan * kLeaf + 64;  // what one step may add beyond it
constexpr int64_t kBucketsPerPoint = 2;

template <typename T>
constexpr int64_t collector_bytes(int64_t k) {
  constexpr int64_t each = sizeof(T) + 2 * sizeof(T) + 4 + 4 + 4 * kBucketsPerPoint;
  return (collector_capacity(k) + kSlack) * each;
}

constexpr int kBucket = 64;

// Distances to the nearest chosen point; -1 marks points that are chosen, and places past the end of the cloud.
template <typename T>
struct alignas(64) Bucket {
  T x[kBucket], y[kBucket], z[kBucket], nearest[kBucket];
  int32_t index[kBucket];
};

// Sixteen children: their boxes, the largest `nearest` inside, and the lowest index that has it.
template <typename T>
struct alignas(64) Region {
  T low[3][kFan], high[3][kFan];
  T farthest[kFan];
  int32_t index[kFan];
};

// Farthest point sampling of one cloud; the children of level 0 are buckets, the last level is the root.
template <typename T>
struct SamplingJob {
  const T* points;           // (N, 3)
  Bucket<T>* buckets;
  Region<T>* levels[kMostLevels];
  int depth;
  const int32_t* bucket_of;  // (N)
  int64_t k, start;
  int64_t* chosen;  // (k)
};

constexpr int kObjects = 16;  // per leaf of a market
constexpr int kStalls = 8;    // per group of a market

// Boxes side by side with the lowest price inside; infinity where there is none.
struct alignas(64) PriceGroup {
  double low[3][kStalls], high[3][kStalls];
  double price[kStalls];
};

struct alignas(64) PriceLeaf {
  double x[kObjects], y[kObjects], z[kObjects];
  double price[kObjects];
};

// One round of an auction: people x bid for objects until everybody holds one to within eps of the best offer.
struct AuctionJob {
  PriceLeaf* leaves;
  PriceGroup* levels[12];
  int depth;
  const double* x;  // (N, 3)
  const int64_t* people;  // the order in which they start to bid
  int64_t count;
  int64_t* holds;   // object of a person, or -1
  int64_t* holder;  // person of an object, or -1
  int64_t* wanted;  // two different objects that tended to be cheap for a person
  int64_t* second;
  int64_t bids_left;
};

struct Kernels {
  const char* name;
  void (*search_float)(const SearchJob<float>&);
  void (*search_double)(const SearchJob<double>&);
  void (*sample_float)(const SamplingJob<float>&);
  void (*sample_double)(const SamplingJob<double>&);
  bool (*settle)(AuctionJob&, double eps);  // false when the bids ran out

  void search(const SearchJob<float>& job) const { search_float(job); }
  void search(const SearchJob<double>& job) const { search_double(job); }
  void sample(const SamplingJob<float>& job) const { sample_float(job); }
  void sample(const SamplingJob<double>& job) const { sample_double(job); }
};

// The best that this processor can run, or what DUSNET_SIMD names.
const Kernels& kernels();

}  // namespace dusnet
