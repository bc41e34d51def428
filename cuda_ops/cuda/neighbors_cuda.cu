// knn and ball_query on CUDA: small clouds are looked at as a whole, large ones through an index.
#include <limits>

#include "all_points_cuda.h"
#include "indexed_cuda.h"

namespace dusnet {
namespace {

// Up to so many points, looking at all of them is quicker than building an index.
constexpr int64_t kSmall = 4096;

void search_index(
    const Tensor& points, const HeldLengths& sizes, const OptionalTensor& known, const Clouds& clouds, int64_t batch,
    int64_t queries, Stream stream) {
  const IndexShape shape(points.size(1));
  const Tensor index = known ? torch::stable::contiguous(*known) : build_device_index(points, sizes, stream);
  STD_TORCH_CHECK(
      index.scalar_type() == ScalarType::Byte && index.dim() == 2 && index.size(0) == batch &&
          index.size(1) == shape.bytes() && index.get_device_index() == points.get_device_index(),
      "the index was not built from these points");
  const Search search{static_cast<uint8_t*>(index.data_ptr()), shape.bytes(), shape};
  if (clouds.k <= kWarp) {
    const dim3 by_warp((queries + kQueriesPerBlock - 1) / kQueriesPerBlock, batch);
    DUSNET_LAUNCH(indexed_warp_kernel, by_warp, kQueriesPerBlock * kWarp, stream, clouds, search);
  } else {
    DUSNET_LAUNCH(indexed_block_kernel, dim3(queries, batch), kThreads, stream, clouds, search);
  }
}

void search(
    const Tensor& query, const Tensor& points, int64_t k, float limit, const OptionalTensor& query_lengths,
    const OptionalTensor& lengths, const OptionalTensor& known, Tensor* distance, Tensor& index, Tensor* count) {
  STD_TORCH_CHECK(k >= 1 && k <= kMost, "k must lie between 1 and ", kMost, " on CUDA");
  if (index.numel() == 0) return;
  const OnDevice device(query);
  const HeldLengths rows(query_lengths, query), sizes(lengths, points);
  const Tensor held_query = torch::stable::contiguous(query), held_points = torch::stable::contiguous(points);
  const int64_t batch = query.size(0), queries = query.size(1);
  STD_TORCH_CHECK(batch < 65536, "expected fewer than 65536 clouds");
  const Clouds clouds{
      held_query.const_data_ptr<float>(),
      held_points.const_data_ptr<float>(),
      rows.view(),
      sizes.view(),
      static_cast<int>(k),
      limit,
      distance ? distance->mutable_data_ptr<float>() : nullptr,
      index.mutable_data_ptr<int64_t>(),
      count ? count->mutable_data_ptr<int64_t>() : nullptr};
  if (points.size(1) > kSmall) {
    search_index(held_points, sizes, known, clouds, batch, queries, device.stream());
    return;
  }
  const dim3 by_thread((queries + kThreads - 1) / kThreads, batch), by_block(queries, batch);
  if (k == 1) {
    DUSNET_LAUNCH(thread_kernel<1>, by_thread, kThreads, device.stream(), clouds);
  } else if (k <= 4) {
    DUSNET_LAUNCH(thread_kernel<4>, by_thread, kThreads, device.stream(), clouds);
  } else if (k <= 16) {
    DUSNET_LAUNCH(thread_kernel<16>, by_thread, kThreads, device.stream(), clouds);
  } else if (k <= 32) {
    DUSNET_LAUNCH(thread_kernel<32>, by_thread, kThreads, device.stream(), clouds);
  } else {
    DUSNET_LAUNCH(block_kernel, by_block, kThreads, device.stream(), clouds);
  }
}

std::tuple<Tensor, Tensor> knn(
    const Tensor& query, const Tensor& points, int64_t k, const OptionalTensor& query_lengths,
    const OptionalTensor& lengths, const OptionalTensor& known) {
  check_pair(query, points);
  Tensor distance = torch::stable::new_empty(query, {query.size(0), query.size(1), k});
  Tensor index = torch::stable::new_empty(query, {query.size(0), query.size(1), k}, ScalarType::Long);
  torch::stable::fill_(distance, std::numeric_limits<double>::infinity());
  torch::stable::fill_(index, -1);
  const float limit = std::numeric_limits<float>::infinity();
  search(query, points, k, limit, query_lengths, lengths, known, &distance, index, nullptr);
  return {distance, index};
}

std::tuple<Tensor, Tensor> ball_query(
    const Tensor& query, const Tensor& points, double radius, int64_t k, const OptionalTensor& query_lengths,
    const OptionalTensor& lengths, const OptionalTensor& known) {
  check_pair(query, points);
  Tensor index = torch::stable::new_empty(query, {query.size(0), query.size(1), k}, ScalarType::Long);
  Tensor count = torch::stable::new_empty(query, {query.size(0), query.size(1)}, ScalarType::Long);
  torch::stable::fill_(index, -1);
  torch::stable::fill_(count, 0);
  const float limit = static_cast<float>(radius * radius);
  search(query, points, k, limit, query_lengths, lengths, known, nullptr, index, &count);
  return {index, count};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, DUSNET_DEVICE, m) {
  m.impl("knn", TORCH_BOX(&knn));
  m.impl("ball_query", TORCH_BOX(&ball_query));
}

}  // namespace dusnet
