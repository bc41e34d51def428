// Codes of a batch of clouds along the Z-order curve, which a sort turns into the order that buckets and leaves follow.
#pragma once

#include "common_cuda.h"
#include "morton.h"

namespace dusnet {
namespace {

constexpr int kCornerThreads = 1024;

// Low and high corner of a cloud, one block each.
__global__ void __launch_bounds__(kCornerThreads)
    corners_kernel(const float* points, DeviceLengths lengths, float* corners) {
  __shared__ float shared[kCornerThreads / kWarp];
  const int batch = blockIdx.x, size = lengths(batch);
  const float* cloud = points + static_cast<int64_t>(batch) * lengths.full * 3;
  for (int side = 0; side < 6; ++side) {
    const float sign = side < 3 ? -1.0f : 1.0f;
    float most = -bits_float(kInfinityBits);
    for (int i = threadIdx.x; i < size; i += kCornerThreads) {
      const float value = sign * cloud[3 * static_cast<int64_t>(i) + side % 3];
      most = value > most ? value : most;
    }
    most = warp_max(most);
    if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = most;
    __syncthreads();
    most = warp_max(shared[threadIdx.x % kWarp]);
    if (threadIdx.x == 0) corners[batch * 6 + side] = sign * most;
    __syncthreads();
  }
}

__device__ inline uint64_t code_of(const float* p, const float* corners) {
  float widest = 0.0f;
  for (int a = 0; a < 3; ++a) {
    const float extent = corners[3 + a] - corners[a];
    widest = extent > widest ? extent : widest;
  }
  float cells_per_unit = ((1 << kMortonBits) - 1) / widest;
  if (!(cells_per_unit < bits_float(kInfinityBits))) cells_per_unit = widest > 1.0f ? 0.0f : 1.0f;
  return morton_code(p[0], p[1], p[2], corners, cells_per_unit);
}

// Codes of one cloud; places past its end come last.
__global__ void code_kernel(
    const float* points, const float* corners, DeviceLengths lengths, int batch, uint64_t* code, uint32_t* at) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= lengths.full) return;
  const float* p = points + 3 * (static_cast<int64_t>(batch) * lengths.full + i);
  at[i] = static_cast<uint32_t>(i);
  code[i] = i < lengths(batch) ? code_of(p, corners + batch * 6) : ~0ull;
}

}  // namespace
}  // namespace dusnet
