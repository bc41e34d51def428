// What the results hold where there is no neighbour: distance infinity and index -1.
#pragma once

#include "jobs.h"
#include "lanes.h"

namespace dusnet {
namespace DUSNET_LEVEL {
namespace {

template <typename T>
DUSNET_INLINE void pad(const SearchJob<T>& job, int64_t row, int64_t found) {
  if (job.count != nullptr) job.count[row] = found;
  for (int64_t j = found; j < job.k; ++j) job.index[row * job.k + j] = -1;
  if (job.distance == nullptr) return;
  for (int64_t j = found; j < job.k; ++j) job.distance[row * job.k + j] = static_cast<T>(__builtin_inf());
}

}  // namespace
}  // namespace DUSNET_LEVEL
}  // namespace dusnet
