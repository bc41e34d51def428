// knn and ball_query on the CPU: one tree per cloud, queries in Z-order, exact pruned search.
#include <limits>
#include <memory>
#include <vector>

#include "common_cpu.h"
#include "search.h"

namespace dusnet {
namespace {

constexpr int kFew = 8;
constexpr int kSmallLeaf = 16;
constexpr int kLargeLeaf = 32;

// What one thread needs to answer some of the queries of one cloud.
template <typename T, int Size>
struct Job {
  const Tree<T, Size>* tree;
  const T* query;
  const T* points;
  const CodedPoint* order;
  int64_t k;
  Key<T> limit;
  T* distance;  // may be null
  int64_t* index;
  int64_t* count;  // may be null
};

// A key that at least k points do not exceed, as the neighbours of the query before are k points: just above the
// farthest of them. Queries come in Z-order, so it is a close guess.
template <typename T, int Size>
DUSNET_INLINE Key<T> first_guess(const Job<T, Size>& job, const T* q, const int64_t* neighbors) {
  Key<T> most = 0;
  for (int64_t j = 0; j < job.k; ++j) {
    const T* p = job.points + 3 * neighbors[j];
    const Key<T> key =
        make_key(squared_distance(q[0], q[1], q[2], p[0], p[1], p[2]), static_cast<uint32_t>(neighbors[j]));
    most = key > most ? key : most;
  }
  return most + 1;
}

// Neighbours that were not found have distance infinity and index -1.
template <typename T, int Size, typename Keys>
DUSNET_INLINE void write(const Job<T, Size>& job, int64_t row, int64_t found, const Keys& keys) {
  int64_t* index = job.index + row * job.k;
  for (int64_t j = 0; j < found; ++j) index[j] = key_index<T>(keys[j]);
  std::fill(index + found, index + job.k, -1);
  if (job.count != nullptr) job.count[row] = found;
  if (job.distance == nullptr) return;
  T* distance = job.distance + row * job.k;
  for (int64_t j = 0; j < found; ++j) distance[j] = key_distance<T>(keys[j]);
  std::fill(distance + found, distance + job.k, std::numeric_limits<T>::infinity());
}

template <typename T, int Size, typename Keys>
DUSNET_INLINE void answer(const Job<T, Size>& job, int64_t begin, int64_t end) {
  Keys keys(job.k);
  const int64_t* before = nullptr;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = job.order[i].index;
    const T* q = job.query + 3 * row;
    keys.start(before == nullptr ? job.limit : std::min(job.limit, first_guess(job, q, before)));
    search(*job.tree, q, keys);
    const int64_t found = keys.finish();
    before = found == job.k ? job.index + row * job.k : nullptr;
    write(job, row, found, keys);
  }
}

void answer_range(const Job<float, kSmallLeaf>& job, int64_t begin, int64_t end) {
  if (job.k == 1) return answer<float, kSmallLeaf, SortedKeys<float, 1>>(job, begin, end);
  answer<float, kSmallLeaf, SortedKeys<float, kFew>>(job, begin, end);
}

void answer_range(const Job<double, kSmallLeaf>& job, int64_t begin, int64_t end) {
  answer<double, kSmallLeaf, SortedKeys<double, kFew>>(job, begin, end);
}

void answer_range(const Job<float, kLargeLeaf>& job, int64_t begin, int64_t end) {
  answer<float, kLargeLeaf, BufferedKeys<float>>(job, begin, end);
}

void answer_range(const Job<double, kLargeLeaf>& job, int64_t begin, int64_t end) {
  answer<double, kLargeLeaf, BufferedKeys<double>>(job, begin, end);
}

struct Output {
  Tensor* distance;  // may be null
  Tensor* index;
  Tensor* count;  // may be null
};

template <typename T, int Size>
void search_clouds(
    const Tensor& query, const Tensor& points, int64_t k, T limit, const Lengths& rows, const Lengths& sizes,
    const Output& output) {
  const int64_t batch = points.size(0), full_rows = query.size(1), full_size = points.size(1);
  const T* query_data = query.const_data_ptr<T>();
  const T* point_data = points.const_data_ptr<T>();
  std::vector<Tree<T, Size>> trees(batch);
  std::vector<std::vector<CodedPoint>> orders(batch);
  torch::stable::parallel_for(0, 2 * batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / 2;
      if (i % 2 == 0) {
        trees[b] = Tree<T, Size>(point_data + b * full_size * 3, sizes[b]);
      } else {
        orders[b] = morton_order(query_data + b * full_rows * 3, rows[b]);
      }
    }
  });
  T* distance = output.distance ? output.distance->mutable_data_ptr<T>() : nullptr;
  int64_t* index = output.index->mutable_data_ptr<int64_t>();
  int64_t* count = output.count ? output.count->mutable_data_ptr<int64_t>() : nullptr;
  const int64_t grain = std::max<int64_t>(32, 2048 / k);
  const int64_t blocks = (full_rows + grain - 1) / grain;
  torch::stable::parallel_for(0, batch * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t b = block / blocks, first = block % blocks * grain, at = b * full_rows;
      const int64_t last = std::min(first + grain, full_rows), inside = std::clamp(rows[b], first, last);
      const Job<T, Size> job{
          &trees[b],
          query_data + at * 3,
          point_data + b * full_size * 3,
          orders[b].data(),
          k,
          make_key(limit, kNoIndex),
          distance ? distance + at * k : nullptr,
          index + at * k,
          count ? count + at : nullptr};
      answer_range(job, first, inside);
      const SortedKeys<T, 1> none(1);
      for (int64_t row = inside; row < last; ++row) write(job, row, 0, none);
    }
  });
}

template <typename T>
void search_all(
    const Tensor& query, const Tensor& points, int64_t k, T limit, const OptionalTensor& query_lengths,
    const OptionalTensor& lengths, const Output& output) {
  const Lengths rows(query_lengths, query), sizes(lengths, points);
  const Tensor held_query = torch::stable::contiguous(query), held_points = torch::stable::contiguous(points);
  if (k <= kFew) {
    search_clouds<T, kSmallLeaf>(held_query, held_points, k, limit, rows, sizes, output);
  } else {
    search_clouds<T, kLargeLeaf>(held_query, held_points, k, limit, rows, sizes, output);
  }
}

std::tuple<Tensor, Tensor> knn(
    const Tensor& query, const Tensor& points, int64_t k, const OptionalTensor& query_lengths,
    const OptionalTensor& lengths) {
  check_pair(query, points);
  STD_TORCH_CHECK(k >= 1, "k must be at least 1");
  Tensor distance = torch::stable::new_empty(query, {query.size(0), query.size(1), k});
  Tensor index = torch::stable::new_empty(query, {query.size(0), query.size(1), k}, ScalarType::Long);
  dispatch(query, [&](auto zero) {
    using T = decltype(zero);
    const Output output{&distance, &index, nullptr};
    search_all<T>(query, points, k, std::numeric_limits<T>::infinity(), query_lengths, lengths, output);
  });
  return {distance, index};
}

std::tuple<Tensor, Tensor> ball_query(
    const Tensor& query, const Tensor& points, double radius, int64_t k, const OptionalTensor& query_lengths,
    const OptionalTensor& lengths) {
  check_pair(query, points);
  STD_TORCH_CHECK(k >= 1, "k must be at least 1");
  Tensor index = torch::stable::new_empty(query, {query.size(0), query.size(1), k}, ScalarType::Long);
  Tensor count = torch::stable::new_empty(query, {query.size(0), query.size(1)}, ScalarType::Long);
  dispatch(query, [&](auto zero) {
    using T = decltype(zero);
    const Output output{nullptr, &index, &count};
    search_all<T>(query, points, k, static_cast<T>(radius * radius), query_lengths, lengths, output);
  });
  return {index, count};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, CPU, m) {
  m.impl("knn", TORCH_BOX(&knn));
  m.impl("ball_query", TORCH_BOX(&ball_query));
}

}  // namespace dusnet
