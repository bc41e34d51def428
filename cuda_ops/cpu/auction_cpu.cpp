// The one-to-one match of the earth mover's distance: Bertsekas' auction (Gauss-Seidel, epsilon scaling). A bid looks
// for the two cheapest objects in a hierarchy of boxes that also keep the lowest price below them, in O(N) memory.
#include <cmath>
#include <limits>
#include <vector>

#include "common_cpu.h"
#include "distance.h"
#include "lanes.h"
#include "morton_sort.h"

namespace dusnet {
namespace {

constexpr int kObjects = 16;  // per leaf
constexpr int kChildren = 8;
constexpr double kScaling = 5.0;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Eight or sixteen things side by side: the boxes of children or, with low == high, single objects.
struct Node {
  double low[3][kChildren], high[3][kChildren];
  double price[kChildren];  // the lowest price inside; infinity where there is no child
};

struct ObjectLeaf {
  double x[kObjects], y[kObjects], z[kObjects];
  double price[kObjects];
};

struct Offer {
  double best = kInfinity, second = kInfinity;  // cost + price
  int64_t object = -1;
};

struct Step {
  double bound;
  int32_t level;  // -1: a leaf
  int32_t at;
};

class Market {
 public:
  Market(const double* y, int64_t count);

  DUSNET_INLINE Offer cheapest(const double* p, double limit) const;
  DUSNET_INLINE double total(const double* p, int64_t object) const;
  DUSNET_INLINE void raise(int64_t object, double price);
  double price(int64_t object) const { return leaves_[object / kObjects].price[object % kObjects]; }
  uint32_t index(int64_t object) const { return order_[object].index; }

 private:
  std::vector<CodedPoint> order_;
  std::vector<ObjectLeaf> leaves_;
  std::vector<std::vector<Node>> levels_;
};

Market::Market(const double* y, int64_t count) : order_(morton_order(y, count)) {
  leaves_.resize((count + kObjects - 1) / kObjects);
  std::vector<Bounds<double>> bounds(leaves_.size());
  for (int64_t i = 0; i < static_cast<int64_t>(leaves_.size()) * kObjects; ++i) {
    const double* p = y + 3 * static_cast<int64_t>(order_[std::min(i, count - 1)].index);
    ObjectLeaf& leaf = leaves_[i / kObjects];
    leaf.x[i % kObjects] = p[0], leaf.y[i % kObjects] = p[1], leaf.z[i % kObjects] = p[2];
    leaf.price[i % kObjects] = i < count ? 0.0 : kInfinity;
    bounds[i / kObjects].include(p);
  }
  while (levels_.empty() || levels_.back().size() > 1) {
    std::vector<Node> level((bounds.size() + kChildren - 1) / kChildren);
    std::vector<Bounds<double>> above(level.size());
    for (size_t i = 0; i < level.size() * kChildren; ++i) {
      Node& node = level[i / kChildren];
      const Bounds<double>& box = bounds[std::min(i, bounds.size() - 1)];
      for (int a = 0; a < 3; ++a) {
        node.low[a][i % kChildren] = box.low[a];
        node.high[a][i % kChildren] = box.high[a];
      }
      node.price[i % kChildren] = i < bounds.size() ? 0.0 : kInfinity;
      above[i / kChildren].include(box.low);
      above[i / kChildren].include(box.high);
    }
    levels_.push_back(std::move(level));
    bounds.swap(above);
  }
}

double Market::total(const double* p, int64_t object) const {
  const ObjectLeaf& leaf = leaves_[object / kObjects];
  const int64_t i = object % kObjects;
  return std::sqrt(squared_distance(p[0], p[1], p[2], leaf.x[i], leaf.y[i], leaf.z[i])) + leaf.price[i];
}

// Prices only rise, so a box stays a lower bound; its price is renewed upwards as far as it changes.
void Market::raise(int64_t object, double price) {
  ObjectLeaf& leaf = leaves_[object / kObjects];
  leaf.price[object % kObjects] = price;
  double lowest = kInfinity;
  for (int i = 0; i < kObjects; ++i) lowest = leaf.price[i] < lowest ? leaf.price[i] : lowest;
  int64_t at = object / kObjects;
  for (auto& level : levels_) {
    Node& node = level[at / kChildren];
    if (node.price[at % kChildren] == lowest) return;
    node.price[at % kChildren] = lowest;
    lowest = kInfinity;
    for (int i = 0; i < kChildren; ++i) lowest = node.price[i] < lowest ? node.price[i] : lowest;
    at /= kChildren;
  }
}

DUSNET_INLINE void consider(const ObjectLeaf& leaf, int64_t first, const double* p, Offer& offer) {
  double total[kObjects];
  point_distances<kObjects>(p, leaf.x, leaf.y, leaf.z, total);
  for (int i = 0; i < kObjects; ++i) total[i] = std::sqrt(total[i]) + leaf.price[i];
  int near[kObjects];
  const int candidates = rarely_within<kObjects>(total, offer.second, near);
  for (int n = 0; n < candidates; ++n) {
    const int i = near[n];
    if (total[i] >= offer.second) continue;
    if (total[i] < offer.best) {
      offer.second = offer.best;
      offer.best = total[i];
      offer.object = first + i;
    } else {
      offer.second = total[i];
    }
  }
}

// The two cheapest objects. At least two are known to cost no more than `limit`.
Offer Market::cheapest(const double* p, double limit) const {
  Offer offer;
  Step stack[16 * kChildren];
  int height = 0;
  stack[height++] = {0.0, static_cast<int32_t>(levels_.size()) - 1, 0};
  while (height > 0) {
    const Step step = stack[--height];
    if (step.bound >= offer.second || step.bound > limit) continue;
    if (step.level < 0) {
      consider(leaves_[step.at], int64_t{step.at} * kObjects, p, offer);
      continue;
    }
    const Node& node = levels_[step.level][step.at];
    double bound[kChildren];
    box_distances(p, node.low, node.high, bound);
    for (int c = 0; c < kChildren; ++c) bound[c] = std::sqrt(bound[c]) + node.price[c];
    const double most = offer.second < limit ? offer.second : limit;
    int near[kChildren];
    const int candidates = within<kChildren>(bound, most, near);
    const int base = height;
    for (int n = 0; n < candidates; ++n) {
      const int c = near[n];
      int place = height++;
      for (; place > base && stack[place - 1].bound < bound[c]; --place) stack[place] = stack[place - 1];
      stack[place] = {bound[c], step.level - 1, step.at * kChildren + c};
    }
  }
  return offer;
}

class Auction {
 public:
  Auction(const double* x, const double* y, int64_t count, int64_t bids)
      : x_(x),
        market_(y, count),
        count_(count),
        bids_left_(bids),
        holds_(count, -1),
        holder_(count, -1),
        wanted_(count) {
    for (const CodedPoint& person : morton_order(x, count)) people_.push_back(person.index);
    for (int64_t i = 0; i < count; ++i) wanted_[i] = i, second_.push_back((i + 1) % count);
  }

  // True when everybody holds an object to within eps of the best offer, false when the bids ran out.
  DUSNET_INLINE bool settle(double eps) {
    std::fill(holder_.begin(), holder_.end(), -1);
    std::fill(holds_.begin(), holds_.end(), -1);
    for (int64_t person : people_) {
      for (int64_t bidder = person; bidder >= 0;) {
        if (bids_left_-- <= 0) return false;
        bidder = bid(bidder, eps);
      }
    }
    return true;
  }

  void complete() {
    int64_t object = 0;
    for (int64_t person = 0; person < count_; ++person) {
      if (holds_[person] >= 0) continue;
      while (holder_[object] >= 0) ++object;
      holder_[object] = person;
      holds_[person] = object;
    }
  }

  int64_t partner(int64_t person) const { return market_.index(holds_[person]); }

 private:
  // Returns who loses the object, or -1.
  DUSNET_INLINE int64_t bid(int64_t person, double eps) {
    const double* p = x_ + 3 * person;
    const double first = market_.total(p, wanted_[person]), second = market_.total(p, second_[person]);
    const Offer offer = market_.cheapest(p, first > second ? first : second);
    const int64_t object = offer.object, loser = holder_[object];
    if (object != wanted_[person]) {
      second_[person] = wanted_[person];
      wanted_[person] = object;
    }
    market_.raise(object, market_.price(object) + (offer.second - offer.best) + eps);
    holder_[object] = person;
    holds_[person] = object;
    if (loser >= 0) holds_[loser] = -1;
    return loser;
  }

  const double* x_;
  Market market_;
  int64_t count_, bids_left_;
  std::vector<int64_t> holds_, holder_;   // object of a person, person of an object
  std::vector<int64_t> wanted_, second_;  // two different objects that tended to be cheap for a person
  std::vector<int64_t> people_;           // in Z-order
};

// From coarse steps, which settle fast, down to eps, which sets the accuracy.
std::vector<double> epsilons(const double* x, const double* y, int64_t count, double eps) {
  Bounds<double> bounds;
  for (int64_t i = 0; i < count; ++i) bounds.include(x + 3 * i), bounds.include(y + 3 * i);
  const double widest = std::sqrt(
      squared_norm(bounds.high[0] - bounds.low[0], bounds.high[1] - bounds.low[1], bounds.high[2] - bounds.low[2]));
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
  if (!all_finite(xs) || !all_finite(ys)) {
    for (int64_t i = 0; i < count; ++i) partner[i] = i;
    return false;
  }
  const int64_t most = std::numeric_limits<int64_t>::max() / count;
  Auction auction(xs.data(), ys.data(), count, std::min(max_iter, most) * count);
  bool settled = true;
  for (const double step : epsilons(xs.data(), ys.data(), count, eps)) {
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
    torch::stable::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t at = b * full;
        settled[b] = match(from + 3 * at, to + 3 * at, sizes[b], eps, max_iter, partner + at);
      }
    });
  });
  return {assignment, converged};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, CPU, m) { m.impl("earth_movers_match", TORCH_BOX(&earth_movers_match)); }

}  // namespace dusnet
