// What every CUDA kernel needs from torch and from the runtime. With DUSNET_EMULATE defined, the same sources compile
// as host C++ (tests/ops/emulation), one fiber per thread, which runs and checks them without a GPU.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <tuple>

#if defined(DUSNET_EMULATE)
#include "emulation.h"
#else
#include <cuda_runtime.h>

#include "runtime_cuda.h"
#endif

#include "distance.h"
#include "key.h"

namespace dusnet {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;
constexpr uint32_t kInfinityBits = 0x7f800000u;

__device__ inline uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

__device__ inline float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

__device__ inline float distance_to(const float* p, float x, float y, float z) {
  return squared_distance(x, y, z, p[0], p[1], p[2]);
}

template <typename T>
__device__ inline T warp_max(T value) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(kAllLanes, value, step);
    value = other > value ? other : value;
  }
  return value;
}

// Lengths of ragged clouds as kernels see them; data is null when all points count.
struct DeviceLengths {
  const int64_t* data;
  int full;

  __device__ int operator()(int batch) const {
    if (data == nullptr) return full;
    const int64_t length = data[batch];
    return length < 0 ? 0 : length > full ? full : static_cast<int>(length);
  }
};

inline void check_cloud(const Tensor& points) {
  STD_TORCH_CHECK(points.dim() == 3 && points.size(2) == 3, "expected a (B, N, 3) tensor");
  STD_TORCH_CHECK(points.scalar_type() == ScalarType::Float, "expected a float32 tensor");
  STD_TORCH_CHECK(points.size(1) < (int64_t{1} << 31) / 3, "expected fewer points per cloud");
}

inline void check_pair(const Tensor& a, const Tensor& b) {
  check_cloud(a);
  check_cloud(b);
  STD_TORCH_CHECK(a.size(0) == b.size(0), "expected two tensors with the same batch size");
  STD_TORCH_CHECK(a.get_device_index() == b.get_device_index(), "expected two tensors on the same device");
}

// Keeps contiguous lengths alive for as long as the kernels that read them are being launched.
class HeldLengths {
 public:
  HeldLengths(const OptionalTensor& lengths, const Tensor& points) : view_{nullptr, static_cast<int>(points.size(1))} {
    if (!lengths) return;
    STD_TORCH_CHECK(
        lengths->scalar_type() == ScalarType::Long && lengths->dim() == 1 && lengths->size(0) == points.size(0),
        "expected (B,) int64 lengths");
    STD_TORCH_CHECK(lengths->get_device_index() == points.get_device_index(), "expected lengths on the same device");
    held_ = torch::stable::contiguous(*lengths);
    view_.data = held_->const_data_ptr<int64_t>();
  }

  DeviceLengths view() const { return view_; }

 private:
  OptionalTensor held_;
  DeviceLengths view_;
};

// Device memory from torch's allocator for `count` values of a plain type.
template <typename T>
class Workspace {
 public:
  Workspace(const Tensor& like, int64_t count)
      : held_(
            torch::stable::new_empty(
                like, {std::max<int64_t>(count, 1) * static_cast<int64_t>(sizeof(T))}, ScalarType::Byte)) {}

  T* get() const { return static_cast<T*>(held_.data_ptr()); }

 private:
  Tensor held_;
};

// For kernels that take one item per thread.
inline unsigned all_blocks_for(int64_t items, int per_block) {
  return static_cast<unsigned>(std::max<int64_t>((items + per_block - 1) / per_block, 1));
}

// For kernels that go on with a stride.
inline unsigned blocks_for(int64_t items, int per_block, int64_t most = 1 << 20) {
  return static_cast<unsigned>(std::clamp<int64_t>((items + per_block - 1) / per_block, 1, most));
}

}  // namespace dusnet
