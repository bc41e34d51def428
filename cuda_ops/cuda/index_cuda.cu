// Builds the index that knn and ball_query search on CUDA.
#include "index_cuda.h"

#include "order_cuda.h"

namespace dusnet {
namespace {

constexpr int kThreads = 256;

struct Corner {
  float low[3], high[3];
  uint32_t least;
};

__device__ inline uint32_t warp_least(uint32_t value) { return ~warp_max(~value); }

// Lane 0 writes the box of what all lanes of the warp hold.
__device__ inline void write_box(const Boxes& boxes, int at, const Corner& own) {
  for (int a = 0; a < 3; ++a) {
    const float low = -warp_max(-own.low[a]), high = warp_max(own.high[a]);
    if (threadIdx.x % kWarp == 0) boxes.low[a * boxes.count + at] = low, boxes.high[a * boxes.count + at] = high;
  }
  const uint32_t least = warp_least(own.least);
  if (threadIdx.x % kWarp == 0) boxes.least[at] = least;
}

__device__ inline Corner nothing() {
  const float infinity = bits_float(kInfinityBits);
  return {{infinity, infinity, infinity}, {-infinity, -infinity, -infinity}, kNoIndex};
}

// A warp per leaf. Places past the end of the cloud hold no numbers, which lose every comparison.
__global__ void leaves_kernel(
    const float* points, const uint64_t* code, const uint32_t* order, DeviceLengths lengths, IndexShape shape, int batch,
    uint8_t* memory, int64_t bytes) {
  const int leaf = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp;
  const DeviceIndex index = shape.at(memory, batch, bytes);
  if (leaf >= index.leaves.count) return;
  const int at = leaf * kLeafPoints + threadIdx.x % kWarp;
  Corner own = nothing();
  if (at < lengths(batch)) {
    const uint32_t i = order[at];
    const float* p = points + 3 * (static_cast<int64_t>(batch) * lengths.full + i);
    index.code[at] = code[at];
    index.x[at] = p[0], index.y[at] = p[1], index.z[at] = p[2];
    index.index[at] = own.least = i;
    for (int a = 0; a < 3; ++a) own.low[a] = own.high[a] = p[a];
  } else {
    index.code[at] = ~0ull;
    index.x[at] = index.y[at] = index.z[at] = bits_float(0x7fc00000u);
    index.index[at] = kNoIndex;
  }
  write_box(index.leaves, leaf, own);
}

__global__ void groups_kernel(
    const float* corners, IndexShape shape, int batch, uint8_t* memory, int64_t bytes) {
  const int group = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp;
  const DeviceIndex index = shape.at(memory, batch, bytes);
  if (blockIdx.x == 0 && threadIdx.x < 6) index.corners[threadIdx.x] = corners[6 * batch + threadIdx.x];
  if (group >= index.groups.count) return;
  const Boxes& leaves = index.leaves;
  const int leaf = group * kGroupLeaves + threadIdx.x % kWarp;
  Corner own = nothing();
  if (leaf < leaves.count) {
    for (int a = 0; a < 3; ++a) {
      own.low[a] = leaves.low[a * leaves.count + leaf];
      own.high[a] = leaves.high[a * leaves.count + leaf];
    }
    own.least = leaves.least[leaf];
  }
  write_box(index.groups, group, own);
}

Tensor build_index(const Tensor& points, const OptionalTensor& given) {
  check_cloud(points);
  const OnDevice device(points);
  const HeldLengths lengths(given, points);
  return build_device_index(torch::stable::contiguous(points), lengths, device.stream());
}

}  // namespace

Tensor build_device_index(const Tensor& points, const HeldLengths& lengths, Stream stream) {
  const int64_t batch = points.size(0), full = points.size(1);
  const IndexShape shape(full);
  const int64_t bytes = shape.bytes();
  Tensor made = torch::stable::new_empty(points, {batch, bytes}, ScalarType::Byte);
  torch::stable::fill_(made, 0);
  if (made.numel() == 0) return made;
  const Workspace<float> corners(points, 6 * batch);
  const Workspace<uint64_t> code(points, full), sorted(points, full);
  const Workspace<uint32_t> at(points, full), order(points, full);
  const float* data = points.const_data_ptr<float>();
  uint8_t* memory = made.mutable_data_ptr<uint8_t>();
  DUSNET_LAUNCH(corners_kernel, batch, kCornerThreads, stream, data, lengths.view(), corners.get());
  for (int64_t b = 0; b < batch; ++b) {
    const int cloud = static_cast<int>(b);
    DUSNET_LAUNCH(
        code_kernel, all_blocks_for(full, kThreads), kThreads, stream, data, corners.get(), lengths.view(), cloud,
        code.get(), at.get());
    sort_pairs(points, code.get(), sorted.get(), at.get(), order.get(), full, stream);
    DUSNET_LAUNCH(
        leaves_kernel, all_blocks_for(shape.leaves * kWarp, kThreads), kThreads, stream, data, sorted.get(), order.get(),
        lengths.view(), shape, cloud, memory, bytes);
    DUSNET_LAUNCH(
        groups_kernel, all_blocks_for(shape.groups * kWarp, kThreads), kThreads, stream, corners.get(), shape, cloud,
        memory, bytes);
  }
  return made;
}

STABLE_TORCH_LIBRARY_IMPL(dusnet, DUSNET_DEVICE, m) { m.impl("build_index", TORCH_BOX(&build_index)); }

}  // namespace dusnet
