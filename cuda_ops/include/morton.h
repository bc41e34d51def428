// Z-order codes with 21 bits per axis. Ten bits would collapse a whole cloud into one cell under a single far outlier.
#pragma once

#include <cstdint>

#include "platform.h"

namespace dusnet {

constexpr int kMortonBits = 21;

// abc -> a00b00c
DUSNET_SHARED uint64_t spread_bits(uint64_t v) {
  v &= 0x1fffff;
  v = (v | v << 32) & 0x001f00000000ffffull;
  v = (v | v << 16) & 0x001f0000ff0000ffull;
  v = (v | v << 8) & 0x100f00f00f00f00full;
  v = (v | v << 4) & 0x10c30c30c30c30c3ull;
  v = (v | v << 2) & 0x1249249249249249ull;
  return v;
}

// Cell number of a coordinate; anything that is no number lands in cell 0.
template <typename T>
DUSNET_SHARED uint64_t morton_cell(T value, T low, T cells_per_unit) {
  constexpr T most = T((1 << kMortonBits) - 1);
  const T cell = (value - low) * cells_per_unit;
  if (!(cell > T(0))) return 0;
  return static_cast<uint64_t>(cell < most ? cell : most);
}

template <typename T>
DUSNET_SHARED uint64_t morton_code(T x, T y, T z, const T low[3], T cells_per_unit) {
  return spread_bits(morton_cell(x, low[0], cells_per_unit)) |
         spread_bits(morton_cell(y, low[1], cells_per_unit)) << 1 |
         spread_bits(morton_cell(z, low[2], cells_per_unit)) << 2;
}

}  // namespace dusnet
