// SPDX-License-Identifier: Apache-2.0
// AXI4-Stream at the ends: element 0 in the least significant bits, an element takes exactly its
// bits, the word is padded at the top to whole bytes, TLAST marks the last word of a frame.  Where
// a width was chosen, an element has a slot of 8, 16, 32 or 64 bits, the rest of which continues
// it, and TKEEP marks the bytes of a last word that count.
#pragma once

#include "vecq/stream.hpp"

#if __has_include(<ap_axi_sdata.h>)
#include <ap_axi_sdata.h>
#endif

namespace vecq {

#if __has_include(<ap_axi_sdata.h>)
// Vitis HLS makes TLAST and TKEEP of its own type only.
template <int Bits, bool Keep>
using AxisWord =
    hls::axis_data<ap_uint<Bits>, AXIS_ENABLE_LAST | (Keep ? AXIS_ENABLE_KEEP : AXIS_ENABLE_LAST)>;
#else
template <int Bits, bool Keep>
struct AxisWord {
  ap_uint<Bits> data;
  ap_uint<1> last;
};

template <int Bits>
struct AxisWord<Bits, true> {
  ap_uint<Bits> data;
  ap_uint<Bits / 8> keep;
  ap_uint<1> last;
};
#endif

/// What one end of a top carries: `Elements` elements per frame, `LaneCount` of them in a word.
///
/// With `Keep` the last word of a frame may be partial.
template <class FrameFormat, int Elements, int LaneCount, int Slot = FrameFormat::bits,
          bool Keep = false>
struct Frame {
  static_assert(Keep || Elements % LaneCount == 0, "lanes must divide the frame");
  static_assert(Slot >= FrameFormat::bits, "an element must fit its slot");
  using Format = FrameFormat;
  static constexpr int elements = Elements;
  static constexpr int lanes = LaneCount;
  static constexpr int slot = Slot;
  static constexpr bool keep = Keep;
  static constexpr int words = (Elements + LaneCount - 1) / LaneCount;
  static constexpr int bits = (LaneCount * Slot + 7) / 8 * 8;
  /// Elements that move at once: as many as make up whole words and whole frames.
  static constexpr int group = std::gcd(Elements, LaneCount);
  static constexpr int parts = LaneCount / group; // of a word
  static_assert(bits <= AP_INT_MAX_W, "the AXI4-Stream word is too wide");
  using Word = AxisWord<bits, Keep>;

  /// TKEEP of a word, by its place in the frame.
  static ap_uint<bits / 8> kept(int word) {
    ap_uint<bits / 8> bytes = 0;
    const int whole = word == words - 1 ? (Elements - word * LaneCount) * Slot / 8 : bits / 8;
  bytes:
    for (int byte = 0; byte < bits / 8; ++byte) {
#pragma HLS UNROLL
      bytes[byte] = byte < whole;
    }
    return bytes;
  }
};

/// AXI4-Stream to lanes.
template <class Frame>
void read_axis(hls::stream<typename Frame::Word>& s_axis,
               Stream<typename Frame::Format, Frame::group>& out) {
  using Format = typename Frame::Format;
  typename Frame::Word packed;
groups:
  for (int index = 0; index < Frame::elements / Frame::group; ++index) {
#pragma HLS PIPELINE II = 1
    const int part = index % Frame::parts;
    if (part == 0) {
      packed = s_axis.read();
    }
    Lanes<Format, Frame::group> x;
  unpack:
    for (int lane = 0; lane < Frame::lanes; ++lane) { // constant places: a choice of parts
#pragma HLS UNROLL
      if (lane / Frame::group == part) {
        const ap_uint<Format::bits> element =
            packed.data.range(lane * Frame::slot + Format::bits - 1, lane * Frame::slot);
        x.lane[lane % Frame::group] = element;
      }
    }
    out.write(x);
  }
}

/// Lanes to AXI4-Stream.
template <class Frame>
void write_axis(Stream<typename Frame::Format, Frame::group>& in,
                hls::stream<typename Frame::Word>& m_axis) {
  using Format = typename Frame::Format;
  typename Frame::Word packed;
groups:
  for (int index = 0; index < Frame::elements / Frame::group; ++index) {
#pragma HLS PIPELINE II = 1
    const int part = index % Frame::parts;
    const Lanes<Format, Frame::group> x = in.read();
    if (part == 0) {
      packed.data = 0;
    }
  pack:
    for (int lane = 0; lane < Frame::lanes; ++lane) { // constant places: registers with an enable
#pragma HLS UNROLL
      if (lane / Frame::group == part) {
        // As wide as the slot, so that its upper bits continue the element.
        const ap_int<Frame::slot + 1> extended = x.lane[lane % Frame::group];
        packed.data.range((lane + 1) * Frame::slot - 1, lane * Frame::slot) =
            ap_uint<Frame::slot>(extended);
      }
    }
    const bool last = index == Frame::elements / Frame::group - 1;
    if (last || part == Frame::parts - 1) {
      packed.last = last ? 1 : 0;
      if constexpr (Frame::keep) {
        packed.keep = Frame::kept(index / Frame::parts);
      }
      m_axis.write(packed);
    }
  }
}

} // namespace vecq
