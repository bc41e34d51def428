// A cloud in Z-order, in leaves of 32 points (a warp looks at one at once) and groups of 32 leaves, both with bounding
// boxes. Two levels are enough: a block tests all groups of four million points in a few steps.
#pragma once

#include "common_cuda.h"

namespace dusnet {

constexpr int kLeafPoints = kWarp;
constexpr int kGroupLeaves = kWarp;

// Boxes side by side: [axis][box], and the lowest index inside each.
struct Boxes {
  float* low;
  float* high;
  uint32_t* least;
  int count;

  __device__ uint64_t key(int box, const float* p) const {
    const float l[3] = {low[box], low[count + box], low[2 * count + box]};
    const float h[3] = {high[box], high[count + box], high[2 * count + box]};
    return make_key(box_distance(p[0], p[1], p[2], l, h), least[box]);
  }
};

struct DeviceIndex {
  float* corners;  // low and high of the cloud, which codes refer to
  uint64_t* code;
  float* x;
  float* y;
  float* z;
  uint32_t* index;
  Boxes leaves;
  Boxes groups;
};

// Where the parts of an index of clouds of `full` points lie.
struct IndexShape {
  explicit IndexShape(int64_t full)
      : leaves((full + kLeafPoints - 1) / kLeafPoints), groups((leaves + kGroupLeaves - 1) / kGroupLeaves) {}

  int64_t bytes() const {
    const int64_t boxes = 4 * (7 * (leaves + groups) + 6);
    return leaves * kLeafPoints * 24 + (boxes + 7) / 8 * 8;
  }

  DUSNET_SHARED DeviceIndex at(uint8_t* memory, int batch, int64_t bytes_each) const {
    const int64_t places = leaves * kLeafPoints;
    DeviceIndex made;
    made.code = reinterpret_cast<uint64_t*>(memory + batch * bytes_each);
    made.x = reinterpret_cast<float*>(made.code + places);
    made.y = made.x + places;
    made.z = made.y + places;
    made.index = reinterpret_cast<uint32_t*>(made.z + places);
    float* next = reinterpret_cast<float*>(made.index + places);
    for (int level = 0; level < 2; ++level) {
      const int64_t count = level == 0 ? leaves : groups;
      Boxes& boxes = level == 0 ? made.leaves : made.groups;
      boxes.low = next;
      boxes.high = next + 3 * count;
      boxes.least = reinterpret_cast<uint32_t*>(next + 6 * count);
      boxes.count = static_cast<int>(count);
      next += 7 * count;
    }
    made.corners = next;
    return made;
  }

  int64_t leaves;
  int64_t groups;
};

// (B, IndexShape(N).bytes()) of (B, N, 3) points.
Tensor build_device_index(const Tensor& points, const HeldLengths& lengths, Stream stream);

}  // namespace dusnet
