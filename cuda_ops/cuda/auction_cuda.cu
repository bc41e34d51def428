// The auction of the earth mover's distance on CUDA: everybody who holds nothing bids at once (Jacobi), a warp per bid.
// A bid walks through an index of the objects whose boxes also know the lowest price inside. Prices only rise, so a box
// that is behind the times still excludes nothing that matters.
// The highest bid for an object wins, equal ones by the lower index, so the result does not depend on the order in
// which threads run.
#include <cmath>
#include <limits>
#include <vector>

#include "walk_cuda.h"

namespace dusnet {
namespace {

constexpr int kThreads = 256;
constexpr int kRounds = 16;  // between two looks at how many are left
constexpr int kNobody = 0x7fffffff;
constexpr double kScaling = 5.0;
using Bits = unsigned long long;

// One entry per point of the batch unless said otherwise. Objects and people are numbered within their cloud.
struct Market {
  const float* x;
  const float* y;
  DeviceLengths lengths;
  int batch;
  double* price;
  double* offer;    // the bid of a person
  Bits* highest;    // the bit pattern of the highest bid for an object
  int* winner;      // who made it
  int* wanted;      // the object of a person's bid
  int* holder;      // person of an object, -1: free
  int* holds;       // object of a person, -1: none
  int* list[2];     // who bids in this round and in the next
  int* left;        // (2) lengths of the lists
  Bits* bids;       // (batch)
  double* eps;      // (batch) of this phase; 0 where the cloud rests
  bool* converged;  // (batch)
  Bits most_bids;   // per point
  Search objects;
  double* least;    // (batch, groups + leaves) the lowest price in each
};

__device__ inline Bits double_bits(double value) {
  Bits bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

__device__ inline double infinity() { return __longlong_as_double(0x7ff0000000000000ll); }

// The lowest price of every group and of its leaves, one block each, one warp per leaf.
__global__ void __launch_bounds__(kGroupLeaves* kWarp) prices_kernel(Market m, int now) {
  __shared__ double shared[kGroupLeaves];
  if (m.left[now] == 0) return;
  const int batch = blockIdx.y, group = blockIdx.x, warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const DeviceIndex index = m.objects.index(batch);
  double* least = m.least + static_cast<int64_t>(batch) * (index.groups.count + index.leaves.count);
  const int leaf = group * kGroupLeaves + warp;
  double price = infinity();
  if (leaf < index.leaves.count) {
    const uint32_t object = index.index[leaf * kLeafPoints + lane];
    if (object != kNoIndex) price = m.price[static_cast<int64_t>(batch) * m.lengths.full + object];
  }
  price = -warp_max(-price);
  if (lane == 0) {
    shared[warp] = price;
    if (leaf < index.leaves.count) least[index.groups.count + leaf] = price;
  }
  __syncthreads();
  if (warp != 0) return;
  price = -warp_max(-shared[lane]);
  if (lane == 0) least[group] = price;
}

// Nothing in a box costs less than this: every operation rounds monotonically and comes in the order of `total`.
struct PriceBounds {
  const DeviceIndex& index;
  const double* least;
  double p[3];

  __device__ double of(const Boxes& boxes, int at, double price) const {
    double low[3], high[3];
    for (int a = 0; a < 3; ++a) {
      low[a] = boxes.low[a * boxes.count + at];
      high[a] = boxes.high[a * boxes.count + at];
    }
    return sum(sqrt(box_distance(p[0], p[1], p[2], low, high)), price);
  }
  __device__ double group(int at) const { return of(index.groups, at, least[at]); }
  __device__ double leaf(int at) const { return of(index.leaves, at, least[index.groups.count + at]); }
  __device__ static double nothing() { return infinity(); }
};

// The two lowest costs that a warp has seen, the same in every lane; among equal ones the lower index leads.
struct Best {
  double first, second;
  int object;

  __device__ bool open(double cost) const { return cost <= second && cost < infinity(); }

  __device__ void take(double cost, int other) {
    for (unsigned near = __ballot_sync(kAllLanes, open(cost)); near != 0; near &= near - 1) {
      const int source = __ffs(static_cast<int>(near)) - 1;
      const double next = __shfl_sync(kAllLanes, cost, source);
      const int whose = __shfl_sync(kAllLanes, other, source);
      if (next < first || (next == first && whose < object)) {
        second = first, first = next, object = whose;
      } else if (next < second) {
        second = next;
      }
    }
  }
};

// The two cheapest objects for a person, found by a warp.
__device__ inline Best cheapest(const Market& m, int batch, int64_t person) {
  const float* p = m.x + 3 * person;
  const DeviceIndex index = m.objects.index(batch);
  const double* price = m.price + static_cast<int64_t>(batch) * m.lengths.full;
  const double* least = m.least + static_cast<int64_t>(batch) * (index.groups.count + index.leaves.count);
  const PriceBounds bounds{index, least, {p[0], p[1], p[2]}};
  Best best{infinity(), infinity(), kNobody};
  auto look = [&](int leaf) {
    const int at = leaf * kLeafPoints + threadIdx.x % kWarp;
    const uint32_t object = index.index[at];
    double cost = infinity();
    if (object != kNoIndex) {
      const double squared =
          squared_distance<double>(p[0], p[1], p[2], index.x[at], index.y[at], index.z[at]);
      cost = sum(sqrt(squared), price[object]);
    }
    best.take(cost, static_cast<int>(object));
  };
  const Window window = around(home_of(index, p), index.leaves.count, 3);
  for (int leaf = window.first; leaf < window.last; ++leaf) look(leaf);
  for_leaves(index, window, 0, 1, bounds, [&](double cost) { return best.open(cost); }, look);
  return best;
}

__global__ void start_kernel(Market m) {
  const int64_t all = static_cast<int64_t>(m.batch) * m.lengths.full;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += step) {
    const int batch = static_cast<int>(i / m.lengths.full);
    if (m.eps[batch] == 0.0 || !m.converged[batch]) continue;
    m.holder[i] = m.holds[i] = -1;
    if (i % m.lengths.full < m.lengths(batch)) m.list[0][atomicAdd(&m.left[0], 1)] = static_cast<int>(i);
  }
}

__global__ void bid_kernel(Market m, int now) {
  if (blockIdx.x == 0 && threadIdx.x == 0) m.left[1 - now] = 0;
  const int warps = gridDim.x * blockDim.x / kWarp;
  for (int task = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp; task < m.left[now]; task += warps) {
    const int64_t person = m.list[now][task];
    const int batch = static_cast<int>(person / m.lengths.full), size = m.lengths(batch);
    const int64_t base = static_cast<int64_t>(batch) * m.lengths.full;
    Best best{0.0, 0.0, kNobody};
    if (size == 1 || m.bids[batch] / size < m.most_bids) best = cheapest(m, batch, person);
    if (threadIdx.x % kWarp != 0) continue;
    m.wanted[person] = best.object;
    if (best.object == kNobody) {
      m.converged[batch] = false;
      continue;
    }
    const double margin = size > 1 ? best.second - best.first : 0.0;
    m.offer[person] = m.price[base + best.object] + margin + m.eps[batch];
    atomicMax(&m.highest[base + best.object], double_bits(m.offer[person]));
  }
}

__global__ void elect_kernel(Market m, int now) {
  const int threads = gridDim.x * blockDim.x;
  for (int task = blockIdx.x * blockDim.x + threadIdx.x; task < m.left[now]; task += threads) {
    const int64_t person = m.list[now][task];
    if (m.wanted[person] == kNobody) continue;
    const int batch = static_cast<int>(person / m.lengths.full);
    const int64_t object = static_cast<int64_t>(batch) * m.lengths.full + m.wanted[person];
    atomicAdd(&m.bids[batch], Bits{1});
    if (double_bits(m.offer[person]) == m.highest[object]) atomicMin(&m.winner[object], static_cast<int>(person));
  }
}

__global__ void award_kernel(Market m, int now) {
  const int threads = gridDim.x * blockDim.x;
  for (int task = blockIdx.x * blockDim.x + threadIdx.x; task < m.left[now]; task += threads) {
    const int person = m.list[now][task];
    if (m.wanted[person] == kNobody) continue;
    const int batch = person / m.lengths.full;
    const int64_t object = static_cast<int64_t>(batch) * m.lengths.full + m.wanted[person];
    int loser = person;
    if (m.winner[object] == person) {
      loser = m.holder[object];
      m.holder[object] = person;
      m.holds[person] = m.wanted[person];
      m.price[object] = m.offer[person];
      if (loser >= 0) m.holds[loser] = -1;
    }
    if (loser >= 0) m.list[1 - now][atomicAdd(&m.left[1 - now], 1)] = loser;
  }
}

__global__ void clear_kernel(Market m, int now) {
  const int threads = gridDim.x * blockDim.x;
  for (int task = blockIdx.x * blockDim.x + threadIdx.x; task < m.left[now]; task += threads) {
    const int person = m.list[now][task];
    if (m.wanted[person] == kNobody) continue;
    const int64_t object = static_cast<int64_t>(person / m.lengths.full) * m.lengths.full + m.wanted[person];
    m.highest[object] = 0;
    m.winner[object] = kNobody;
  }
}

__global__ void prepare_kernel(Market m, int64_t all) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += step) {
    m.price[i] = 0.0;
    m.highest[i] = 0;
    m.winner[i] = kNobody;
    m.holder[i] = m.holds[i] = -1;
    if (i < m.batch) m.bids[i] = 0, m.converged[i] = true;
  }
}

// One thread per cloud: what an interrupted auction left free is given away in the order of the indices.
__global__ void finish_kernel(Market m, int64_t* assignment) {
  const int batch = blockIdx.x * blockDim.x + threadIdx.x;
  if (batch >= m.batch) return;
  const int size = m.lengths(batch);
  const int64_t base = static_cast<int64_t>(batch) * m.lengths.full;
  int object = 0;
  for (int i = 0; i < size; ++i) {
    if (m.holds[base + i] < 0) {
      while (m.holder[base + object] >= 0) ++object;
      m.holder[base + object] = static_cast<int>(base + i);
      m.holds[base + i] = object;
    }
    assignment[base + i] = m.holds[base + i];
  }
}

// The diagonal of the box around both clouds, by one block each; not a number when a coordinate is none.
__global__ void diagonal_kernel(Market m) {
  __shared__ float shared[kThreads];
  const int batch = blockIdx.x, size = m.lengths(batch);
  const int64_t base = 3 * static_cast<int64_t>(batch) * m.lengths.full;
  double squared = 0.0;
  for (int axis = 0; axis < 3; ++axis) {
    double extent = 0.0;
    for (int side = 0; side < 2; ++side) {
      const float sign = side == 0 ? 1.0f : -1.0f;
      float most = -bits_float(kInfinityBits);
      for (int i = threadIdx.x; i < 2 * size; i += kThreads) {
        const float* cloud = i < size ? m.x : m.y;
        const float value = sign * cloud[base + 3 * (i % size) + axis];
        most = value > most ? value : most;
      }
      shared[threadIdx.x] = most;
      __syncthreads();
      for (int half = kThreads / 2; half > 0; half /= 2) {
        if (static_cast<int>(threadIdx.x) < half && shared[threadIdx.x + half] > shared[threadIdx.x]) {
          shared[threadIdx.x] = shared[threadIdx.x + half];
        }
        __syncthreads();
      }
      extent += shared[0];
      __syncthreads();
    }
    squared += extent * extent;
  }
  if (threadIdx.x == 0) m.eps[batch] = size > 0 ? sqrt(squared) : 0.0;
}

// Bids until nobody is left, looking only now and then, because a look makes the host wait.
void settle(const Market& m, int64_t all, Stream stream) {
  set_bytes(m.left, 0, 2 * sizeof(int), stream);
  DUSNET_LAUNCH(start_kernel, blocks_for(all, kThreads, 1024), kThreads, stream, m);
  int left[2] = {0, 0};
  copy_to_host(left, m.left, 2, stream);
  int now = 0;
  while (left[now] > 0) {
    const unsigned bidders = blocks_for(int64_t{left[now]} * kWarp, kThreads, 4096);
    const unsigned others = blocks_for(left[now], kThreads, 1024);
    const auto groups = static_cast<unsigned>(m.objects.shape.groups);
    for (int round = 0; round < kRounds; ++round) {
      DUSNET_LAUNCH(prices_kernel, dim3(groups, m.batch), kGroupLeaves * kWarp, stream, m, now);
      DUSNET_LAUNCH(bid_kernel, bidders, kThreads, stream, m, now);
      DUSNET_LAUNCH(elect_kernel, others, kThreads, stream, m, now);
      DUSNET_LAUNCH(award_kernel, others, kThreads, stream, m, now);
      DUSNET_LAUNCH(clear_kernel, others, kThreads, stream, m, now);
      now = 1 - now;
    }
    copy_to_host(left, m.left, 2, stream);
  }
}

// The phases of every cloud end together, at eps; a small cloud starts in a later one.
std::vector<std::vector<double>> phases(const std::vector<double>& widest, double eps) {
  std::vector<std::vector<double>> steps;
  for (double step = eps;; step *= kScaling) {
    std::vector<double> here;
    bool any = steps.empty();
    for (const double width : widest) {
      const bool takes_part = steps.empty() || step < width / 2;
      here.push_back(takes_part ? step : 0.0);
      any = any || takes_part;
    }
    if (!any) break;
    steps.insert(steps.begin(), here);
  }
  return steps;
}

std::tuple<Tensor, Tensor> earth_movers_match(
    const Tensor& x, const Tensor& y, double eps, int64_t max_iter, const OptionalTensor& given) {
  check_pair(x, y);
  STD_TORCH_CHECK(x.size(1) == y.size(1), "expected two clouds of the same number of points");
  STD_TORCH_CHECK(eps > 0 && max_iter >= 1, "eps and max_iter must be positive");
  const int64_t batch = x.size(0), all = batch * x.size(1);
  STD_TORCH_CHECK(all < kNobody, "expected fewer than 2^31 points in all");
  STD_TORCH_CHECK(batch < 65536, "expected fewer than 65536 clouds");
  const OnDevice device(x);
  const Stream stream = device.stream();
  const HeldLengths lengths(given, x);
  const Tensor held_x = torch::stable::contiguous(x), held_y = torch::stable::contiguous(y);
  Tensor assignment = torch::stable::new_empty(x, {batch, x.size(1)}, ScalarType::Long);
  Tensor converged = torch::stable::new_empty(x, {batch}, ScalarType::Bool);
  torch::stable::fill_(assignment, -1);
  if (all == 0) return {assignment, converged};
  const IndexShape shape(y.size(1));
  const Tensor index = build_device_index(held_y, lengths, stream);
  const Workspace<double> doubles(x, 2 * all + batch + batch * (shape.groups + shape.leaves));
  const Workspace<Bits> bits(x, all + batch);
  const Workspace<int> ints(x, 6 * all + 2);
  int* at = ints.get();
  const Market m{
      held_x.const_data_ptr<float>(),
      held_y.const_data_ptr<float>(),
      lengths.view(),
      static_cast<int>(batch),
      doubles.get(),
      doubles.get() + all,
      bits.get(),
      at,
      at + all,
      at + 2 * all,
      at + 3 * all,
      {at + 4 * all, at + 5 * all},
      at + 6 * all,
      bits.get() + all,
      doubles.get() + 2 * all,
      converged.mutable_data_ptr<bool>(),
      static_cast<Bits>(max_iter),
      {static_cast<uint8_t*>(index.data_ptr()), shape.bytes(), shape},
      doubles.get() + 2 * all + batch};
  DUSNET_LAUNCH(prepare_kernel, blocks_for(all, kThreads, 1024), kThreads, stream, m, all);
  DUSNET_LAUNCH(diagonal_kernel, batch, kThreads, stream, m);
  std::vector<double> widest(batch);
  copy_to_host(widest.data(), m.eps, batch, stream);
  for (const std::vector<double>& step : phases(widest, eps)) {
    copy_to_device(m.eps, step.data(), batch, stream);
    settle(m, all, stream);
  }
  DUSNET_LAUNCH(finish_kernel, blocks_for(batch, 32), 32, stream, m, assignment.mutable_data_ptr<int64_t>());
  return {assignment, converged};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, DUSNET_DEVICE, m) { m.impl("earth_movers_match", TORCH_BOX(&earth_movers_match)); }

}  // namespace dusnet
