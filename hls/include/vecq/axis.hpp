// SPDX-License-Identifier: Apache-2.0
// AXI4-Stream at the ends: element 0 in the least significant bits, an element takes exactly its
// bits, the word is padded at the top to whole bytes, TLAST marks the last word of a frame.
#pragma once

#include "vecq/stream.hpp"

#if __has_include(<ap_axi_sdata.h>)
#include <ap_axi_sdata.h>
#endif

namespace vecq {

#if __has_include(<ap_axi_sdata.h>)
// Vitis HLS makes TLAST of its own type only.
template <int Bits>
using AxisWord = hls::axis_data<ap_uint<Bits>, AXIS_ENABLE_LAST>;
#else
template <int Bits>
struct AxisWord {
  ap_uint<Bits> data;
  ap_uint<1> last;
};
#endif

/// What one end of a top carries: `Elements` elements a frame, `LaneCount` of them a word.
template <class FrameFormat, int Elements, int LaneCount>
struct Frame {
  static_assert(Elements % LaneCount == 0, "lanes must divide the frame");
  using Format = FrameFormat;
  static constexpr int elements = Elements;
  static constexpr int lanes = LaneCount;
  static constexpr int words = Elements / LaneCount;
  static constexpr int bits = (LaneCount * Format::bits + 7) / 8 * 8;
  static_assert(bits <= AP_INT_MAX_W, "the AXI4-Stream word is too wide");
  using Word = AxisWord<bits>;
};

/// AXI4-Stream to lanes.
template <class Frame>
void read_axis(hls::stream<typename Frame::Word>& s_axis,
               Stream<typename Frame::Format, Frame::lanes>& out) {
  using Format = typename Frame::Format;
words:
  for (int word = 0; word < Frame::words; ++word) {
#pragma HLS PIPELINE II = 1
    const typename Frame::Word packed = s_axis.read();
    Lanes<Format, Frame::lanes> x;
  unpack:
    for (int lane = 0; lane < Frame::lanes; ++lane) {
#pragma HLS UNROLL
      const ap_uint<Format::bits> element =
          packed.data.range((lane + 1) * Format::bits - 1, lane * Format::bits);
      x.lane[lane] = element;
    }
    out.write(x);
  }
}

/// Lanes to AXI4-Stream.
template <class Frame>
void write_axis(Stream<typename Frame::Format, Frame::lanes>& in,
                hls::stream<typename Frame::Word>& m_axis) {
  using Format = typename Frame::Format;
words:
  for (int word = 0; word < Frame::words; ++word) {
#pragma HLS PIPELINE II = 1
    const Lanes<Format, Frame::lanes> x = in.read();
    typename Frame::Word packed;
    packed.data = 0;
  pack:
    for (int lane = 0; lane < Frame::lanes; ++lane) {
#pragma HLS UNROLL
      packed.data.range((lane + 1) * Format::bits - 1, lane * Format::bits) =
          ap_uint<Format::bits>(x.lane[lane]);
    }
    packed.last = word == Frame::words - 1 ? 1 : 0;
    m_axis.write(packed);
  }
}

} // namespace vecq
