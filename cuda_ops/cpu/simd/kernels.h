// Everything that is compiled once per instruction set; a source that includes this names the set first.
#pragma once

#include "bidding.h"
#include "jobs.h"
#include "lanes.h"
#include "sampling.h"
#include "search_few.h"
#include "search_many.h"

#define DUSNET_TEXT(level) #level
#define DUSNET_NAME(level) DUSNET_TEXT(level)

namespace dusnet {
namespace DUSNET_LEVEL {
namespace {

template <typename T>
void search(const SearchJob<T>& job) {
  if (job.k == 1) {
    search_few<T, 1>(job);
  } else if (job.k <= 3) {
    search_few<T, 3>(job);
  } else if (job.k <= kFewNeighbors) {
    search_few<T, kFewNeighbors>(job);
  } else {
    search_many<T>(job);
  }
}

template <typename T>
void choose_points(const SamplingJob<T>& job) {
  sample<T>(job);
}

bool settle_round(AuctionJob& job, double eps) { return settle(job, eps); }

}  // namespace

extern const Kernels kKernels;
const Kernels kKernels{
    DUSNET_NAME(DUSNET_LEVEL), search<float>, search<double>, choose_points<float>, choose_points<double>, settle_round};

}  // namespace DUSNET_LEVEL
}  // namespace dusnet
