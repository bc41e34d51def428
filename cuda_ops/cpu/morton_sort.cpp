// A radix sort by codes of 30 bits, or 22 for a small cloud. Where more points share one than fit a leaf, they are ordered
// among themselves as a cloud of its own: a far outlier that squeezes the rest into one cell does no harm.
#include "morton_sort.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "common_cpu.h"
#include "tree.h"

namespace dusnet {
namespace {

constexpr int64_t kChunk = 1 << 15;  // points that one thread takes at a time
constexpr int kDigit = 11, kBins = 1 << kDigit;
constexpr int kBits = 10;  // per axis
constexpr size_t kSmallCrowd = 2048;

struct Coded {
  uint32_t code;
  int32_t index;
};

// Lower corner and cells per unit of the grid of the codes.
template <typename T>
struct Grid {
  T low[3];
  T cells_per_unit;

  explicit Grid(const Bounds<T>& bounds) : low{bounds.low[0], bounds.low[1], bounds.low[2]} {
    T widest = 0;
    for (int a = 0; a < 3; ++a) widest = std::max(widest, bounds.high[a] - bounds.low[a]);
    cells_per_unit = T((1 << kBits) - 1) / widest;
    if (!std::isfinite(cells_per_unit)) cells_per_unit = widest > 1 ? T(0) : T(1);
  }

  // In steps of 32 bits, which compilers turn into vector instructions.
  uint32_t code(const T* p) const { return bits(p[0], low[0]) | bits(p[1], low[1]) << 1 | bits(p[2], low[2]) << 2; }

 private:
  uint32_t bits(T value, T from) const {
    constexpr T most = T((1 << kBits) - 1);
    T cell = (value - from) * cells_per_unit;
    cell = cell > T(0) ? cell : T(0);
    cell = cell < most ? cell : most;
    uint32_t v = static_cast<uint32_t>(static_cast<int32_t>(cell));
    v = (v | v << 16) & 0x030000ff;
    v = (v | v << 8) & 0x0300f00f;
    v = (v | v << 4) & 0x030c30c3;
    return (v | v << 2) & 0x09249249;
  }
};

// How many digits tell the leaves of a cloud apart.
int digits_for(int64_t count) { return count < kChunk ? 2 : 3; }

int64_t chunks_of(int64_t count) { return (count + kChunk - 1) / kChunk; }

template <typename F>
void for_chunks(int64_t count, F f) {
  torch::stable::parallel_for(0, chunks_of(count), 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) f(c, c * kChunk, std::min(count, (c + 1) * kChunk));
  });
}

template <typename T>
Bounds<T> bounds_of(const T* points, int64_t count) {
  std::vector<Bounds<T>> parts(chunks_of(count));
  for_chunks(count, [&](int64_t chunk, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) parts[chunk].include(points + 3 * i);
  });
  Bounds<T> all;
  for (const Bounds<T>& part : parts) all.include(part);
  return all;
}

// Stable, and the same for any number of threads: every chunk knows where its own points go.
void radix_sort(std::vector<Coded>& points, int digits) {
  const int64_t count = static_cast<int64_t>(points.size());
  std::vector<Coded> other(points.size());
  std::vector<std::array<uint32_t, kBins>> places(chunks_of(count));
  for (int pass = 0; pass < digits; ++pass) {
    const int shift = pass * kDigit;
    const auto digit = [shift](const Coded& point) { return point.code >> shift & (kBins - 1); };
    for_chunks(count, [&](int64_t chunk, int64_t begin, int64_t end) {
      places[chunk].fill(0);
      for (int64_t i = begin; i < end; ++i) ++places[chunk][digit(points[i])];
    });
    uint32_t before = 0;
    for (int bin = 0; bin < kBins; ++bin) {
      for (auto& place : places) {
        const uint32_t size = place[bin];
        place[bin] = before;
        before += size;
      }
    }
    for_chunks(count, [&](int64_t chunk, int64_t begin, int64_t end) {
      auto& place = places[chunk];
      for (int64_t i = begin; i < end; ++i) other[place[digit(points[i])]++] = points[i];
    });
    points.swap(other);
  }
}

template <typename T>
void order_small_crowd(const T* points, int32_t* members, int64_t size) {
  Bounds<T> bounds;
  for (int64_t i = 0; i < size; ++i) bounds.include(points + 3 * static_cast<int64_t>(members[i]));
  const Grid<T> grid(bounds);
  std::vector<std::pair<uint32_t, int32_t>> keys(size);
  for (int64_t i = 0; i < size; ++i) keys[i] = {grid.code(points + 3 * static_cast<int64_t>(members[i])), members[i]};
  std::sort(keys.begin(), keys.end());
  for (int64_t i = 0; i < size; ++i) members[i] = keys[i].second;
}

// Orders what shares a code, where that is more than a leaf. All the same points stay in the order of their indices.
template <typename T>
void order_crowds(const T* points, const std::vector<Coded>& coded, std::vector<int32_t>& order) {
  const size_t count = coded.size();
  std::vector<T> crowd;
  for (size_t first = 0, last = 0; first < count; first = last) {
    for (last = first + 1; last < count && coded[last].code == coded[first].code;) ++last;
    const size_t size = last - first;
    if (size <= kLeaf || size == count) continue;
    if (size <= kSmallCrowd) {
      order_small_crowd(points, &order[first], static_cast<int64_t>(size));
      continue;
    }
    const std::vector<int32_t> members(order.begin() + first, order.begin() + last);
    crowd.resize(3 * size);
    for (size_t i = 0; i < size; ++i) std::copy_n(points + 3 * static_cast<int64_t>(members[i]), 3, &crowd[3 * i]);
    const std::vector<int32_t> inside = morton_order(crowd.data(), static_cast<int64_t>(size));
    for (size_t i = 0; i < size; ++i) order[first + i] = members[inside[i]];
  }
}

}  // namespace

template <typename T>
std::vector<int32_t> morton_order(const T* points, int64_t count) {
  const Grid<T> grid(bounds_of(points, count));
  const int digits = digits_for(count), dropped = std::max(0, 3 * kBits - kDigit * digits);
  std::vector<Coded> coded(count);
  for_chunks(count, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      coded[i] = {grid.code(points + 3 * i) >> dropped, static_cast<int32_t>(i)};
  });
  if (count > 1) radix_sort(coded, digits);
  std::vector<int32_t> order(count);
  for (int64_t i = 0; i < count; ++i) order[i] = coded[i].index;
  order_crowds(points, coded, order);
  return order;
}

template std::vector<int32_t> morton_order(const float*, int64_t);
template std::vector<int32_t> morton_order(const double*, int64_t);

}  // namespace dusnet
