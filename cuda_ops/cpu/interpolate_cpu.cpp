// three_interpolate and the scatter that its gradient and that of knn need.
#include "common_cpu.h"

namespace dusnet {
namespace {

template <typename T>
void interpolate_row(const T* features, const int64_t* index, const T* weights, int64_t k, int64_t channels, T* out) {
  for (int64_t c = 0; c < channels; ++c) out[c] = T(0);
  for (int64_t j = 0; j < k; ++j) {
    if (index[j] < 0) continue;
    const T* row = features + index[j] * channels;
    for (int64_t c = 0; c < channels; ++c) out[c] += row[c] * weights[j];
  }
}

void check_index(const Tensor& index, int64_t size) {
  const int64_t* data = index.const_data_ptr<int64_t>();
  const int64_t count = index.numel();
  int64_t low = -1, high = -1;
  for (int64_t i = 0; i < count; ++i) {
    low = std::min(low, data[i]);
    high = std::max(high, data[i]);
  }
  STD_TORCH_CHECK(low >= -1 && high < size, "index out of range: expected -1 to ", size - 1);
}

Tensor three_interpolate(const Tensor& features, const Tensor& index, const Tensor& weights) {
  STD_TORCH_CHECK(features.dim() == 3 && index.dim() == 3 && weights.dim() == 3, "expected three (B, ., .) tensors");
  STD_TORCH_CHECK(index.scalar_type() == ScalarType::Long, "expected an int64 index");
  STD_TORCH_CHECK(features.scalar_type() == weights.scalar_type(), "expected features and weights of the same type");
  const int64_t batch = features.size(0), size = features.size(1), channels = features.size(2);
  const int64_t rows = index.size(1), k = index.size(2);
  STD_TORCH_CHECK(index.size(0) == batch && weights.size(0) == batch, "expected the same batch size");
  STD_TORCH_CHECK(weights.size(1) == rows && weights.size(2) == k, "expected index and weights of the same shape");
  const Tensor f = torch::stable::contiguous(features), i = torch::stable::contiguous(index);
  const Tensor w = torch::stable::contiguous(weights);
  check_index(i, size);
  Tensor out = torch::stable::new_empty(features, {batch, rows, channels});
  dispatch(features, [&](auto zero) {
    using T = decltype(zero);
    const T* from = f.const_data_ptr<T>();
    const T* weight = w.const_data_ptr<T>();
    const int64_t* at = i.const_data_ptr<int64_t>();
    T* to = out.mutable_data_ptr<T>();
    const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, k * channels));
    torch::stable::parallel_for(0, batch * rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* cloud = from + r / rows * size * channels;
        interpolate_row(cloud, at + r * k, weight + r * k, k, channels, to + r * channels);
      }
    });
  });
  return out;
}

// One thread owns a cloud and adds in the order of the rows: deterministic, and equal to a plain loop.
Tensor scatter_sum(const Tensor& values, const Tensor& index, int64_t size) {
  STD_TORCH_CHECK(values.dim() == 3 && index.dim() == 2, "expected (B, L, C) values and a (B, L) index");
  STD_TORCH_CHECK(index.scalar_type() == ScalarType::Long, "expected an int64 index");
  const int64_t batch = values.size(0), rows = values.size(1), channels = values.size(2);
  STD_TORCH_CHECK(index.size(0) == batch && index.size(1) == rows, "expected one index per row");
  STD_TORCH_CHECK(size >= 0, "size must not be negative");
  const Tensor v = torch::stable::contiguous(values), i = torch::stable::contiguous(index);
  check_index(i, size);
  Tensor out = torch::stable::new_zeros(values, {batch, size, channels});
  dispatch(values, [&](auto zero) {
    using T = decltype(zero);
    const T* from = v.const_data_ptr<T>();
    const int64_t* at = i.const_data_ptr<int64_t>();
    T* to = out.mutable_data_ptr<T>();
    torch::stable::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin * rows; r < end * rows; ++r) {
        if (at[r] < 0) continue;
        T* target = to + (r / rows * size + at[r]) * channels;
        for (int64_t c = 0; c < channels; ++c) target[c] += from[r * channels + c];
      }
    });
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, CPU, m) {
  m.impl("three_interpolate", TORCH_BOX(&three_interpolate));
  m.impl("scatter_sum", TORCH_BOX(&scatter_sum));
}

}  // namespace dusnet
