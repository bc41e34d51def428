// three_interpolate and the deterministic scatter behind the gradients: sort by target, then one thread sums a target's
// rows in their original order, as the CPU does. No atomics.
#include "common_cuda.h"

namespace dusnet {
namespace {

constexpr int kThreads = 256;

__global__ void interpolate_kernel(
    const float* features, const int64_t* index, const float* weights, int64_t rows_in_all, int64_t rows, int64_t size,
    int k, int64_t channels, float* out) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows_in_all * channels; i += step) {
    const int64_t row = i / channels, channel = i % channels;
    const float* cloud = features + row / rows * size * channels;
    float total = 0.0f;
    for (int j = 0; j < k; ++j) {
      const int64_t at = index[row * k + j];
      if (at >= 0 && at < size) total = sum(total, product(cloud[at * channels + channel], weights[row * k + j]));
    }
    out[i] = total;
  }
}

// The number of the target row in the whole batch; rows without a target go to the end.
__global__ void target_kernel(
    const int64_t* index, int64_t rows_in_all, int64_t rows, int64_t size, uint64_t last, uint64_t* target,
    uint32_t* row) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows_in_all; i += step) {
    const bool valid = index[i] >= 0 && index[i] < size;
    target[i] = valid ? static_cast<uint64_t>(i / rows * size + index[i]) : last;
    row[i] = static_cast<uint32_t>(i);
  }
}

__device__ inline int64_t lower_bound(const uint64_t* sorted, int64_t count, uint64_t value) {
  int64_t low = 0, high = count;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (sorted[middle] < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

__global__ void segment_kernel(
    const float* values, const uint64_t* target, const uint32_t* row, int64_t rows_in_all, int64_t targets,
    int64_t channels, float* out) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < targets * channels; i += step) {
    const uint64_t wanted = static_cast<uint64_t>(i / channels);
    const int64_t channel = i % channels;
    float total = 0.0f;
    for (int64_t at = lower_bound(target, rows_in_all, wanted); at < rows_in_all && target[at] == wanted; ++at) {
      total = sum(total, values[static_cast<int64_t>(row[at]) * channels + channel]);
    }
    out[i] = total;
  }
}

Tensor three_interpolate(const Tensor& features, const Tensor& index, const Tensor& weights) {
  STD_TORCH_CHECK(features.dim() == 3 && index.dim() == 3 && weights.dim() == 3, "expected three (B, ., .) tensors");
  STD_TORCH_CHECK(index.scalar_type() == ScalarType::Long, "expected an int64 index");
  STD_TORCH_CHECK(
      features.scalar_type() == ScalarType::Float && weights.scalar_type() == ScalarType::Float,
      "expected float32 tensors");
  const int64_t batch = features.size(0), size = features.size(1), channels = features.size(2);
  const int64_t rows = index.size(1), k = index.size(2);
  STD_TORCH_CHECK(index.size(0) == batch && weights.size(0) == batch, "expected the same batch size");
  STD_TORCH_CHECK(weights.size(1) == rows && weights.size(2) == k, "expected index and weights of the same shape");
  const OnDevice device(features);
  const Tensor f = torch::stable::contiguous(features), i = torch::stable::contiguous(index);
  const Tensor w = torch::stable::contiguous(weights);
  Tensor out = torch::stable::new_empty(features, {batch, rows, channels});
  if (out.numel() == 0) return out;
  DUSNET_LAUNCH(
      interpolate_kernel, blocks_for(batch * rows * channels, kThreads), kThreads, device.stream(),
      f.const_data_ptr<float>(), i.const_data_ptr<int64_t>(), w.const_data_ptr<float>(), batch * rows, rows, size,
      static_cast<int>(k), channels, out.mutable_data_ptr<float>());
  return out;
}

Tensor scatter_sum(const Tensor& values, const Tensor& index, int64_t size) {
  STD_TORCH_CHECK(values.dim() == 3 && index.dim() == 2, "expected (B, L, C) values and a (B, L) index");
  STD_TORCH_CHECK(index.scalar_type() == ScalarType::Long, "expected an int64 index");
  STD_TORCH_CHECK(values.scalar_type() == ScalarType::Float, "expected float32 values");
  const int64_t batch = values.size(0), rows = values.size(1), channels = values.size(2);
  STD_TORCH_CHECK(index.size(0) == batch && index.size(1) == rows, "expected one index per row");
  const int64_t all = batch * rows, targets = batch * size;
  STD_TORCH_CHECK(all < (int64_t{1} << 31), "expected fewer than 2^31 rows in all");
  const OnDevice device(values);
  Tensor out = torch::stable::new_zeros(values, {batch, size, channels});
  if (all == 0 || out.numel() == 0) return out;
  const Tensor v = torch::stable::contiguous(values), i = torch::stable::contiguous(index);
  const Workspace<uint64_t> target(values, all), sorted(values, all);
  const Workspace<uint32_t> row(values, all), order(values, all);
  DUSNET_LAUNCH(
      target_kernel, blocks_for(all, kThreads), kThreads, device.stream(), i.const_data_ptr<int64_t>(), all, rows, size,
      static_cast<uint64_t>(targets), target.get(), row.get());
  sort_pairs(values, target.get(), sorted.get(), row.get(), order.get(), all, device.stream());
  DUSNET_LAUNCH(
      segment_kernel, blocks_for(targets * channels, kThreads), kThreads, device.stream(), v.const_data_ptr<float>(),
      sorted.get(), order.get(), all, targets, channels, out.mutable_data_ptr<float>());
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, DUSNET_DEVICE, m) {
  m.impl("three_interpolate", TORCH_BOX(&three_interpolate));
  m.impl("scatter_sum", TORCH_BOX(&scatter_sum));
}

}  // namespace dusnet
