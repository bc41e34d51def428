// Exact farthest point sampling, one block per cloud. Small clouds stay in registers. Large ones are sorted along the
// Z-order curve and cut into buckets; a new point only touches buckets whose box is nearer than their farthest point.
#include "common_cuda.h"
#include "order_cuda.h"

namespace dusnet {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / kWarp;
constexpr int kHeld = 8;  // points per thread in the register version
constexpr int kPerLane = 4;
constexpr int kBucket = kPerLane * kWarp;

// Largest distance first, among equal ones the lowest index; 0 stands for "chosen" or "no point".
using Rank = unsigned long long;

__device__ inline Rank make_rank(float distance, uint32_t index) {
  return distance < 0.0f ? 0 : (static_cast<Rank>(float_bits(distance)) << 32) | (0xffffffffu - index);
}

__device__ inline uint32_t rank_index(Rank rank) { return 0xffffffffu - static_cast<uint32_t>(rank); }

__device__ inline float rank_distance(Rank rank) {
  return rank == 0 ? -1.0f : bits_float(static_cast<uint32_t>(rank >> 32));
}

// The largest rank of the block, for every thread.
__device__ inline Rank block_max(Rank rank, Rank* shared) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  rank = warp_max(rank);
  if (lane == 0) shared[warp] = rank;
  __syncthreads();
  rank = warp_max(shared[lane % kWarps]);
  __syncthreads();
  return rank;
}

__global__ void __launch_bounds__(kThreads)
    register_kernel(const float* points, DeviceLengths lengths, int k, int start, int64_t* out) {
  __shared__ Rank shared[kWarps];
  const int batch = blockIdx.x, size = lengths(batch), count = k < size ? k : size;
  const float* cloud = points + static_cast<int64_t>(batch) * lengths.full * 3;
  int64_t* chosen = out + static_cast<int64_t>(batch) * k;
  float x[kHeld], y[kHeld], z[kHeld], nearest[kHeld];
  for (int h = 0; h < kHeld; ++h) {
    const int i = threadIdx.x + h * kThreads;
    nearest[h] = i < size ? bits_float(kInfinityBits) : -1.0f;
    x[h] = i < size ? cloud[3 * i] : 0.0f;
    y[h] = i < size ? cloud[3 * i + 1] : 0.0f;
    z[h] = i < size ? cloud[3 * i + 2] : 0.0f;
  }
  int next = start < size ? start : size - 1;
  for (int c = 0; c < count; ++c) {
    if (threadIdx.x == 0) chosen[c] = next;
    Rank rank = 0;
    for (int h = 0; h < kHeld; ++h) {
      const int i = threadIdx.x + h * kThreads;
      const float distance = distance_to(cloud + 3 * next, x[h], y[h], z[h]);
      nearest[h] = i == next ? -1.0f : distance < nearest[h] ? distance : nearest[h];
      const Rank own = make_rank(nearest[h], static_cast<uint32_t>(i));
      rank = own > rank ? own : rank;
    }
    rank = block_max(rank, shared);
    if (rank == 0) break;
    next = static_cast<int>(rank_index(rank));
  }
}

// One cloud in Z-order: coordinates, original index and distance to the nearest chosen point; boxes and best ranks.
struct Buckets {
  float* x;
  float* y;
  float* z;
  float* nearest;
  uint32_t* index;
  float* low;   // (buckets, 3)
  float* high;  // (buckets, 3)
  Rank* best;
  uint32_t* touched;
  int count;
};

__device__ inline Buckets of_batch(Buckets b, int batch) {
  const int64_t at = static_cast<int64_t>(batch) * b.count;
  const int64_t first = at * kBucket;
  return {b.x + first,    b.y + first,     b.z + first, b.nearest + first, b.index + first,
          b.low + 3 * at, b.high + 3 * at, b.best + at, b.touched + at,    b.count};
}

// A warp per bucket fills it from the sorted order.
__global__ void fill_kernel(const float* points, const uint32_t* order, DeviceLengths lengths, int batch, Buckets b) {
  const int size = lengths(batch);
  const float* cloud = points + static_cast<int64_t>(batch) * lengths.full * 3;
  const int bucket = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp, lane = threadIdx.x % kWarp;
  if (bucket >= b.count) return;
  float low[3], high[3];
  for (int a = 0; a < 3; ++a) low[a] = high[a] = -bits_float(kInfinityBits);
  Rank rank = 0;
  for (int i = 0; i < kPerLane; ++i) {
    const int at = bucket * kBucket + i * kWarp + lane;
    const bool real = at < size;
    const uint32_t index = real ? order[at] : kNoIndex;
    const float p[3] = {
        real ? cloud[3 * index] : 0.0f, real ? cloud[3 * index + 1] : 0.0f, real ? cloud[3 * index + 2] : 0.0f};
    b.x[at] = p[0], b.y[at] = p[1], b.z[at] = p[2];
    b.index[at] = index;
    b.nearest[at] = real ? bits_float(kInfinityBits) : -1.0f;
    const Rank own = make_rank(b.nearest[at], index);
    rank = own > rank ? own : rank;
    for (int a = 0; a < 3 && real; ++a) {
      low[a] = -p[a] > low[a] ? -p[a] : low[a];
      high[a] = p[a] > high[a] ? p[a] : high[a];
    }
  }
  for (int a = 0; a < 3; ++a) {
    const float lowest = warp_max(low[a]), highest = warp_max(high[a]);
    if (lane == 0) b.low[3 * bucket + a] = -lowest, b.high[3 * bucket + a] = highest;
  }
  rank = warp_max(rank);
  if (lane == 0) b.best[bucket] = rank;
}

// A warp brings one bucket up to date with the new point and returns its best rank.
__device__ inline Rank update_bucket(const Buckets& b, int bucket, const float* p, uint32_t next) {
  Rank rank = 0;
  for (int i = 0; i < kPerLane; ++i) {
    const int at = bucket * kBucket + i * kWarp + threadIdx.x % kWarp;
    const float distance = distance_to(p, b.x[at], b.y[at], b.z[at]);
    const float before = b.nearest[at];
    const float nearest = b.index[at] == next ? -1.0f : distance < before ? distance : before;
    b.nearest[at] = nearest;
    const Rank own = make_rank(nearest, b.index[at]);
    rank = own > rank ? own : rank;
  }
  rank = warp_max(rank);
  if (threadIdx.x % kWarp == 0) b.best[bucket] = rank;
  return rank;
}

__global__ void __launch_bounds__(kThreads)
    bucket_kernel(const float* points, Buckets all, DeviceLengths lengths, int k, int start, int64_t* out) {
  __shared__ Rank shared[kWarps];
  __shared__ int touched;
  const int batch = blockIdx.x, size = lengths(batch), count = k < size ? k : size;
  const float* cloud = points + static_cast<int64_t>(batch) * lengths.full * 3;
  int64_t* chosen = out + static_cast<int64_t>(batch) * k;
  const Buckets b = of_batch(all, batch);
  int next = start < size ? start : size - 1;
  for (int c = 0; c < count; ++c) {
    const float p[3] = {cloud[3 * next], cloud[3 * next + 1], cloud[3 * next + 2]};
    if (threadIdx.x == 0) chosen[c] = next, touched = 0;
    __syncthreads();
    Rank rank = 0;
    for (int bucket = threadIdx.x; bucket < b.count; bucket += kThreads) {
      const Rank best = b.best[bucket];
      const float bound = box_distance(p[0], p[1], p[2], b.low + 3 * bucket, b.high + 3 * bucket);
      // A chosen point lies inside its own box, where the bound is 0; equality catches a bucket of coinciding points.
      if (bound < rank_distance(best) || (bound == 0.0f && best != 0)) {
        b.touched[atomicAdd(&touched, 1)] = static_cast<uint32_t>(bucket);
      } else {
        rank = best > rank ? best : rank;
      }
    }
    __syncthreads();
    const int tasks = touched;
    for (int task = threadIdx.x / kWarp; task < tasks; task += kWarps) {
      const Rank updated = update_bucket(b, static_cast<int>(b.touched[task]), p, static_cast<uint32_t>(next));
      rank = updated > rank ? updated : rank;
    }
    rank = block_max(rank, shared);
    if (rank == 0) break;
    next = static_cast<int>(rank_index(rank));
  }
}

void sample_large(
    const Tensor& held, const HeldLengths& lengths, int64_t k, int64_t start, int64_t* out, Stream stream) {
  const int64_t batch = held.size(0), full = held.size(1), buckets = (full + kBucket - 1) / kBucket;
  const int64_t places = batch * buckets * kBucket;
  const Workspace<float> corners(held, batch * 6), coordinates(held, 4 * places), boxes(held, 6 * batch * buckets);
  const Workspace<uint64_t> code(held, full), sorted(held, full);
  const Workspace<uint32_t> at(held, full), order(held, full), index(held, places), touched(held, batch * buckets);
  const Workspace<Rank> best(held, batch * buckets);
  const float* points = held.const_data_ptr<float>();
  const Buckets all{
      coordinates.get(),
      coordinates.get() + places,
      coordinates.get() + 2 * places,
      coordinates.get() + 3 * places,
      index.get(),
      boxes.get(),
      boxes.get() + 3 * batch * buckets,
      best.get(),
      touched.get(),
      static_cast<int>(buckets)};
  DUSNET_LAUNCH(corners_kernel, batch, kCornerThreads, stream, points, lengths.view(), corners.get());
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t first = b * buckets;
    const Buckets own{all.x + first * kBucket,     all.y + first * kBucket,
                      all.z + first * kBucket,     all.nearest + first * kBucket,
                      all.index + first * kBucket, all.low + 3 * first,
                      all.high + 3 * first,        all.best + first,
                      all.touched + first,         all.count};
    DUSNET_LAUNCH(
        code_kernel, all_blocks_for(full, 256), 256, stream, points, corners.get(), lengths.view(), static_cast<int>(b),
        code.get(), at.get());
    sort_pairs(held, code.get(), sorted.get(), at.get(), order.get(), full, stream);
    DUSNET_LAUNCH(
        fill_kernel, all_blocks_for(buckets * kWarp, 256), 256, stream, points, order.get(), lengths.view(),
        static_cast<int>(b), own);
  }
  DUSNET_LAUNCH(
      bucket_kernel, batch, kThreads, stream, points, all, lengths.view(), static_cast<int>(k), static_cast<int>(start),
      out);
}

Tensor farthest_point_sample(const Tensor& points, int64_t k, int64_t start, const OptionalTensor& given) {
  check_cloud(points);
  STD_TORCH_CHECK(k >= 0 && start >= 0, "k and start must not be negative");
  const OnDevice device(points);
  const HeldLengths lengths(given, points);
  const Tensor held = torch::stable::contiguous(points);
  Tensor out = torch::stable::new_empty(points, {points.size(0), k}, ScalarType::Long);
  torch::stable::fill_(out, -1);
  if (out.numel() == 0) return out;
  int64_t* chosen = out.mutable_data_ptr<int64_t>();
  if (points.size(1) <= kHeld * kThreads) {
    DUSNET_LAUNCH(
        register_kernel, points.size(0), kThreads, device.stream(), held.const_data_ptr<float>(), lengths.view(),
        static_cast<int>(k), static_cast<int>(start), chosen);
  } else {
    sample_large(held, lengths, k, start, chosen, device.stream());
  }
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, DUSNET_DEVICE, m) {
  m.impl("farthest_point_sample", TORCH_BOX(&farthest_point_sample));
}

}  // namespace dusnet
