// The one-to-one match of the earth mover's distance: Bertsekas' auction with epsilon scaling in O(N) memory.
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "common_cpu.h"
#include "distance.h"
#include "jobs.h"
#include "morton_sort.h"

namespace dusnet {
namespace {

constexpr double kScaling = 5.0;
constexpr double kNever = std::numeric_limits<double>::infinity();

class Auction {
 public:
  Auction(const double* x, const double* y, int64_t count, int64_t bids)
      : objects_(morton_order(y, count)), holds_(count, -1), holder_(count, -1), wanted_(count), second_(count) {
    const int64_t size = (count + kObjects - 1) / kObjects;
    leaves_.reset(new PriceLeaf[size]);
    std::vector<Bounds<double>> bounds(size);
    for (int64_t i = 0; i < size * kObjects; ++i) add_object(y, i, count, bounds[i / kObjects]);
    while (levels_.empty() || levels_.back().size() > 1) bounds = add_level(bounds);
    for (const int32_t person : morton_order(x, count)) people_.push_back(person);
    for (int64_t i = 0; i < count; ++i) wanted_[i] = i, second_[i] = (i + 1) % count;
    job_.leaves = leaves_.get();
    job_.depth = static_cast<int>(levels_.size());
    for (int level = 0; level < job_.depth; ++level) job_.levels[level] = levels_[level].data();
    job_.x = x;
    job_.people = people_.data();
    job_.count = count;
    job_.holds = holds_.data();
    job_.holder = holder_.data();
    job_.wanted = wanted_.data();
    job_.second = second_.data();
    job_.bids_left = bids;
  }

  // True when everybody holds an object to within eps of the best offer, false when the bids ran out.
  bool settle(double eps) { return kernels().settle(job_, eps); }

  void complete() {
    int64_t object = 0;
    for (int64_t& held : holds_) {
      if (held >= 0) continue;
      while (holder_[object] >= 0) ++object;
      held = object++;
    }
  }

  int64_t partner(int64_t person) const { return objects_[holds_[person]]; }

 private:
  void add_object(const double* y, int64_t i, int64_t count, Bounds<double>& bounds) {
    const double* p = y + 3 * static_cast<int64_t>(objects_[std::min(i, count - 1)]);
    PriceLeaf& leaf = leaves_[i / kObjects];
    leaf.x[i % kObjects] = p[0], leaf.y[i % kObjects] = p[1], leaf.z[i % kObjects] = p[2];
    leaf.price[i % kObjects] = i < count ? 0.0 : kNever;
    bounds.include(p);
  }

  std::vector<Bounds<double>> add_level(const std::vector<Bounds<double>>& below) {
    const int64_t size = static_cast<int64_t>(below.size());
    std::vector<PriceGroup> level((size + kStalls - 1) / kStalls);
    std::vector<Bounds<double>> above(level.size());
    for (int64_t i = 0; i < static_cast<int64_t>(level.size()) * kStalls; ++i) {
      PriceGroup& group = level[i / kStalls];
      const Bounds<double>& box = below[std::min(i, size - 1)];
      for (int a = 0; a < 3; ++a) {
        group.low[a][i % kStalls] = box.low[a];
        group.high[a][i % kStalls] = box.high[a];
      }
      group.price[i % kStalls] = i < size ? 0.0 : kNever;
      above[i / kStalls].include(box);
    }
    levels_.push_back(std::move(level));
    return above;
  }

  std::vector<int32_t> objects_;  // in Z-order
  std::unique_ptr<PriceLeaf[]> leaves_;
  std::vector<std::vector<PriceGroup>> levels_;
  std::vector<int64_t> people_;  // in Z-order
  std::vector<int64_t> holds_, holder_, wanted_, second_;
  AuctionJob job_{};
};

// The diagonal of both clouds' box; not finite where squared distances are not.
double widest_of(const double* x, const double* y, int64_t count) {
  Bounds<double> bounds;
  for (int64_t i = 0; i < count; ++i) bounds.include(x + 3 * i), bounds.include(y + 3 * i);
  return std::sqrt(
      squared_norm(bounds.high[0] - bounds.low[0], bounds.high[1] - bounds.low[1], bounds.high[2] - bounds.low[2]));
}

// From coarse steps, which settle fast, down to eps, which sets the accuracy.
std::vector<double> epsilons(double widest, double eps) {
  std::vector<double> steps{eps};
  while (steps.back() * kScaling < widest / 2) steps.push_back(steps.back() * kScaling);
  return {steps.rbegin(), steps.rend()};
}

bool all_finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

template <typename T>
bool match(const T* x, const T* y, int64_t count, double eps, int64_t max_iter, int64_t* partner) {
  if (count < 2) {
    std::fill(partner, partner + count, 0);
    return true;
  }
  const std::vector<double> xs(x, x + 3 * count), ys(y, y + 3 * count);
  const double widest = widest_of(xs.data(), ys.data(), count);
  if (!all_finite(xs) || !all_finite(ys) || !std::isfinite(widest)) {
    for (int64_t i = 0; i < count; ++i) partner[i] = i;
    return false;
  }
  const int64_t most = std::numeric_limits<int64_t>::max() / count;
  Auction auction(xs.data(), ys.data(), count, std::min(max_iter, most) * count);
  bool settled = true;
  for (const double step : epsilons(widest, eps)) {
    settled = auction.settle(step);
    if (!settled) break;
  }
  if (!settled) auction.complete();
  for (int64_t i = 0; i < count; ++i) partner[i] = auction.partner(i);
  return settled;
}

std::tuple<Tensor, Tensor> earth_movers_match(
    const Tensor& x, const Tensor& y, double eps, int64_t max_iter, const OptionalTensor& lengths) {
  check_pair(x, y);
  STD_TORCH_CHECK(x.size(1) == y.size(1), "expected two clouds of the same number of points");
  STD_TORCH_CHECK(eps > 0 && max_iter >= 1, "eps and max_iter must be positive");
  const Lengths sizes(lengths, x);
  const Tensor held_x = torch::stable::contiguous(x), held_y = torch::stable::contiguous(y);
  const int64_t batch = x.size(0), full = x.size(1);
  Tensor assignment = torch::stable::new_empty(x, {batch, full}, ScalarType::Long);
  Tensor converged = torch::stable::new_empty(x, {batch}, ScalarType::Bool);
  torch::stable::fill_(assignment, -1);
  dispatch(x, [&](auto zero) {
    using T = decltype(zero);
    const T* from = held_x.const_data_ptr<T>();
    const T* to = held_y.const_data_ptr<T>();
    int64_t* partner = assignment.mutable_data_ptr<int64_t>();
    bool* settled = converged.mutable_data_ptr<bool>();
    for_each_cloud(batch, [&](int64_t b) {
      const int64_t at = b * full;
      settled[b] = match(from + 3 * at, to + 3 * at, sizes[b], eps, max_iter, partner + at);
    });
  });
  return {assignment, converged};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, CPU, m) { m.impl("earth_movers_match", TORCH_BOX(&earth_movers_match)); }

}  // namespace dusnet
