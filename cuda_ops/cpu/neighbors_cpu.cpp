// knn, ball_query and the index that they search on the CPU: one tree per cloud, queries in Z-order.
#include <limits>
#include <memory>
#include <vector>

#include "common_cpu.h"
#include "jobs.h"
#include "morton_sort.h"
#include "tree.h"

namespace dusnet {
namespace {

// Small clouds are handed out whole, large ones are shared by the threads.
constexpr int64_t kLarge = 1 << 15;

template <typename F>
void for_clouds(int64_t batch, int64_t size, F f) {
  if (size < kLarge) {
    for_each_cloud(batch, f);
  } else {
    for (int64_t b = 0; b < batch; ++b) f(b);
  }
}

Tensor build_index(const Tensor& points, const OptionalTensor& lengths) {
  check_clouds(points);
  const Lengths sizes(lengths, points);
  const Tensor held = torch::stable::contiguous(points);
  const int64_t batch = points.size(0), full = points.size(1);
  return dispatch(points, [&](auto zero) {
    using T = decltype(zero);
    const int64_t bytes = TreeShape(full).bytes<T>();
    Tensor index = torch::stable::new_empty(points, {batch, bytes}, ScalarType::Byte);
    const T* data = held.const_data_ptr<T>();
    uint8_t* memory = index.mutable_data_ptr<uint8_t>();
    for_clouds(batch, full, [&](int64_t b) {
      build_tree(data + b * full * 3, sizes[b], memory + b * bytes);
      // What a shorter cloud leaves over is part of the result, too.
      const int64_t used = TreeShape(sizes[b]).bytes<T>();
      std::fill(memory + b * bytes + used, memory + (b + 1) * bytes, uint8_t{0});
    });
    return index;
  });
}

struct Output {
  Tensor* distance;  // may be null
  Tensor* index;
  Tensor* count;  // may be null
};

// The leaves of a tree list its own points in Z-order.
template <typename T>
std::vector<int32_t> order_of_leaves(const Tree<T>& tree) {
  std::vector<int32_t> order(tree.count);
  for (int64_t i = 0; i < tree.count; ++i) order[i] = tree.leaves[i / kLeaf].index[i % kLeaf];
  return order;
}

template <typename T>
void search_cloud(SearchJob<T> job, int64_t rows) {
  const bool itself = job.query == job.points && rows == job.tree.count;
  const std::vector<int32_t> order = itself ? order_of_leaves(job.tree) : morton_order(job.query, rows);
  job.order = order.data();
  const int64_t grain = std::max<int64_t>(64, 8192 / job.k);
  torch::stable::parallel_for(0, (rows + grain - 1) / grain, 1, [&](int64_t begin, int64_t end) {
    std::unique_ptr<uint8_t[]> memory;
    SearchJob<T> part = job;
    if (job.k > kFewNeighbors) {
      memory.reset(new uint8_t[collector_bytes<T>(job.k)]);
      part.memory = memory.get();
    }
    part.begin = begin * grain;
    part.end = std::min(rows, end * grain);
    kernels().search(part);
  });
}

// Rows beyond the length of a ragged batch.
template <typename T>
void pad_rows(const SearchJob<T>& job, int64_t rows, int64_t full_rows) {
  std::fill(job.index + rows * job.k, job.index + full_rows * job.k, -1);
  if (job.count) std::fill(job.count + rows, job.count + full_rows, 0);
  if (job.distance)
    std::fill(job.distance + rows * job.k, job.distance + full_rows * job.k, std::numeric_limits<T>::infinity());
}

template <typename T>
void search_clouds(
    const Tensor& query, const Tensor& points, int64_t k, T limit, const OptionalTensor& query_lengths,
    const OptionalTensor& lengths, const OptionalTensor& known_index, const Output& output) {
  const Lengths rows(query_lengths, query), sizes(lengths, points);
  const Tensor held_query = torch::stable::contiguous(query), held_points = torch::stable::contiguous(points);
  const Tensor trees = known_index ? torch::stable::contiguous(*known_index) : build_index(held_points, lengths);
  const int64_t batch = points.size(0), full_rows = query.size(1), full = points.size(1);
  const int64_t bytes = TreeShape(full).bytes<T>();
  STD_TORCH_CHECK(
      trees.scalar_type() == ScalarType::Byte && trees.dim() == 2 && trees.size(0) == batch && trees.size(1) == bytes,
      "the index was not built from these points");
  const T* query_data = held_query.const_data_ptr<T>();
  const T* point_data = held_points.const_data_ptr<T>();
  const uint8_t* memory = trees.const_data_ptr<uint8_t>();
  T* distance = output.distance ? output.distance->mutable_data_ptr<T>() : nullptr;
  int64_t* index = output.index->mutable_data_ptr<int64_t>();
  int64_t* count = output.count ? output.count->mutable_data_ptr<int64_t>() : nullptr;
  for_clouds(batch, std::max(full, full_rows), [&](int64_t b) {
    const int64_t at = b * full_rows;
    SearchJob<T> job{};
    job.tree = TreeShape(sizes[b]).template at<T>(memory + b * bytes, sizes[b]);
    job.points = point_data + b * full * 3;
    job.query = query_data + at * 3;
    job.k = k;
    job.limit = limit;
    job.distance = distance ? distance + at * k : nullptr;
    job.index = index + at * k;
    job.count = count ? count + at : nullptr;
    if (rows[b] > 0) search_cloud(job, rows[b]);
    pad_rows(job, rows[b], full_rows);
  });
}

std::tuple<Tensor, Tensor> knn(
    const Tensor& query, const Tensor& points, int64_t k, const OptionalTensor& query_lengths,
    const OptionalTensor& lengths, const OptionalTensor& known_index) {
  check_pair(query, points);
  STD_TORCH_CHECK(k >= 1, "k must be at least 1");
  Tensor distance = torch::stable::new_empty(query, {query.size(0), query.size(1), k});
  Tensor index = torch::stable::new_empty(query, {query.size(0), query.size(1), k}, ScalarType::Long);
  dispatch(query, [&](auto zero) {
    using T = decltype(zero);
    const Output output{&distance, &index, nullptr};
    constexpr T everything = std::numeric_limits<T>::infinity();
    search_clouds<T>(query, points, k, everything, query_lengths, lengths, known_index, output);
  });
  return {distance, index};
}

std::tuple<Tensor, Tensor> ball_query(
    const Tensor& query, const Tensor& points, double radius, int64_t k, const OptionalTensor& query_lengths,
    const OptionalTensor& lengths, const OptionalTensor& known_index) {
  check_pair(query, points);
  STD_TORCH_CHECK(k >= 1, "k must be at least 1");
  Tensor index = torch::stable::new_empty(query, {query.size(0), query.size(1), k}, ScalarType::Long);
  Tensor count = torch::stable::new_empty(query, {query.size(0), query.size(1)}, ScalarType::Long);
  dispatch(query, [&](auto zero) {
    using T = decltype(zero);
    const Output output{nullptr, &index, &count};
    const T limit = static_cast<T>(radius * radius);
    search_clouds<T>(query, points, k, limit, query_lengths, lengths, known_index, output);
  });
  return {index, count};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, CPU, m) {
  m.impl("build_index", TORCH_BOX(&build_index));
  m.impl("knn", TORCH_BOX(&knn));
  m.impl("ball_query", TORCH_BOX(&ball_query));
}

}  // namespace dusnet
