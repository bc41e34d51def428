// Squared distances that agree to the bit on every backend: dx*dx + dy*dy + dz*dz in that order, every product rounded
// on its own. Host compilers get -ffp-contract=off; device code uses the intrinsics that never fuse.
#pragma once

#include "platform.h"

namespace dusnet {

DUSNET_SHARED float product(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

DUSNET_SHARED double product(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

DUSNET_SHARED float sum(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

DUSNET_SHARED double sum(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dadd_rn(a, b);
#else
  return a + b;
#endif
}

template <typename T>
DUSNET_SHARED T squared_norm(T dx, T dy, T dz) {
  return sum(sum(product(dx, dx), product(dy, dy)), product(dz, dz));
}

template <typename T>
DUSNET_SHARED T squared_distance(T ax, T ay, T az, T bx, T by, T bz) {
  return squared_norm(ax - bx, ay - by, az - bz);
}

// Distance from a coordinate to an interval, 0 inside.
template <typename T>
DUSNET_SHARED T outside(T value, T low, T high) {
  const T below = low - value;
  const T above = value - high;
  const T apart = below > above ? below : above;
  return apart > T(0) ? apart : T(0);
}

// Never above the squared_distance of any point inside the box, in floating point too: subtraction, multiplication and
// addition round monotonically, and the order of the operations is the same.
template <typename T>
DUSNET_SHARED T box_distance(T x, T y, T z, const T low[3], const T high[3]) {
  return squared_norm(outside(x, low[0], high[0]), outside(y, low[1], high[1]), outside(z, low[2], high[2]));
}

}  // namespace dusnet
