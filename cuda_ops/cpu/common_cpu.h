// What every CPU kernel needs from torch: typed pointers, checked inputs, lengths of ragged clouds.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <tuple>

namespace dusnet {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;

// Calls f with a value of the tensor's type: dispatch(x, [&](auto zero) { using T = decltype(zero); ... }).
template <typename F>
auto dispatch(const Tensor& tensor, F f) {
  if (tensor.scalar_type() == ScalarType::Double) return f(double{});
  STD_TORCH_CHECK(tensor.scalar_type() == ScalarType::Float, "expected a float32 or float64 tensor");
  return f(float{});
}

inline void check_clouds(const Tensor& points) {
  STD_TORCH_CHECK(points.dim() == 3 && points.size(2) == 3, "expected a (B, N, 3) tensor");
  STD_TORCH_CHECK(points.size(1) < (int64_t{1} << 31), "expected fewer than 2^31 points per cloud");
}

inline void check_pair(const Tensor& a, const Tensor& b) {
  check_clouds(a);
  check_clouds(b);
  STD_TORCH_CHECK(a.size(0) == b.size(0), "expected two tensors with the same batch size");
  STD_TORCH_CHECK(a.scalar_type() == b.scalar_type(), "expected two tensors of the same type");
}

// How many leading points of each cloud count.
class Lengths {
 public:
  Lengths(const OptionalTensor& lengths, const Tensor& points) : full_(points.size(1)) {
    if (!lengths) return;
    STD_TORCH_CHECK(
        lengths->scalar_type() == ScalarType::Long && lengths->dim() == 1 && lengths->size(0) == points.size(0),
        "expected (B,) int64 lengths");
    held_ = torch::stable::contiguous(*lengths);
    data_ = held_->const_data_ptr<int64_t>();
  }

  int64_t operator[](int64_t batch) const {
    return data_ == nullptr ? full_ : std::clamp<int64_t>(data_[batch], 0, full_);
  }

 private:
  OptionalTensor held_;
  const int64_t* data_ = nullptr;
  int64_t full_;
};

// Calls f with every cloud of a batch, in any order. A single cloud has all threads to itself: what is called inside
// parallel_for gets one.
template <typename F>
void for_each_cloud(int64_t batch, F f) {
  if (batch == 1) {
    f(int64_t{0});
    return;
  }
  torch::stable::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) f(b);
  });
}

}  // namespace dusnet
