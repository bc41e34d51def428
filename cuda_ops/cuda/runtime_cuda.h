// Launching, streams, copies to the host and sorting: what the emulation replaces.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <cub/device/device_radix_sort.cuh>

#define DUSNET_DEVICE CUDA
#define DUSNET_LAUNCH(kernel, blocks, threads, stream, ...)    \
  do {                                                         \
    kernel<<<(blocks), (threads), 0, (stream)>>>(__VA_ARGS__); \
    STD_CUDA_KERNEL_LAUNCH_CHECK();                            \
  } while (0)

namespace dusnet {

using Stream = cudaStream_t;

// Makes the tensor's device current and gives its current stream.
class OnDevice {
 public:
  explicit OnDevice(const torch::stable::Tensor& tensor) : guard_(tensor.get_device_index()) {
    void* stream = nullptr;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
  }

  Stream stream() const { return stream_; }

 private:
  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_;
};

// Waits for the copy: the host needs the values.
template <typename T>
void copy_to_host(T* to, const T* from, int64_t count, Stream stream) {
  STD_CUDA_CHECK(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyDeviceToHost, stream));
  STD_CUDA_CHECK(cudaStreamSynchronize(stream));
}

template <typename T>
void copy_to_device(T* to, const T* from, int64_t count, Stream stream) {
  STD_CUDA_CHECK(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyHostToDevice, stream));
}

inline void set_bytes(void* to, int value, int64_t bytes, Stream stream) {
  STD_CUDA_CHECK(cudaMemsetAsync(to, value, bytes, stream));
}

// Stable: values with equal keys keep their order.
inline void sort_pairs(
    const torch::stable::Tensor& like, const uint64_t* keys, uint64_t* sorted_keys, const uint32_t* values,
    uint32_t* sorted_values, int64_t count, Stream stream) {
  size_t bytes = 0;
  STD_CUDA_CHECK(
      cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, sorted_keys, values, sorted_values, count, 0, 64, stream));
  torch::stable::Tensor space =
      torch::stable::new_empty(like, {static_cast<int64_t>(bytes) + 1}, torch::headeronly::ScalarType::Byte);
  STD_CUDA_CHECK(
      cub::DeviceRadixSort::SortPairs(
          space.data_ptr(), bytes, keys, sorted_keys, values, sorted_values, count, 0, 64, stream));
}

}  // namespace dusnet
