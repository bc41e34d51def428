// What every processor can run: 128 bits, which 64-bit x86 and ARM always have.
#define DUSNET_LEVEL baseline
#define DUSNET_LANE_BYTES 16

#include "simd/kernels.h"
