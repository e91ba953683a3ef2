// SPDX-License-Identifier: Apache-2.0
// Streams between layers: words of several elements, and changes of how many there are.
#pragma once

#include "vecq/formats.hpp"

#include <hls_stream.h>

#include <numeric>

namespace vecq {

/// A word of `Count` elements; lane 0 comes first in channels-last order.
template <class Format, int Count>
struct Lanes {
  typename Format::Element lane[Count];
};

template <class Format, int Count>
using Stream = hls::stream<Lanes<Format, Count>>;

/// Gives each of `Words` words per frame to every one of `outs`.
///
/// Where the branches meet again, the streams in between must hold what one branch takes before the
/// other: a dataflow region stops for good where they are too short.
template <int Words, class Format, int LaneCount, class... Streams>
void fork(Stream<Format, LaneCount>& in, Streams&... outs) {
words:
  for (int word = 0; word < Words; ++word) {
#pragma HLS PIPELINE II = 1
    const Lanes<Format, LaneCount> x = in.read();
    (outs.write(x), ...);
  }
}

/// Words of `From` lanes to words of `To` lanes, `To` a multiple; a frame has `Elements` elements.
template <class Format, int From, int To, int Elements>
void join_lanes(Stream<Format, From>& in, Stream<Format, To>& out) {
  static_assert(To % From == 0 && Elements % To == 0, "lanes must divide the frame");
  Lanes<Format, To> wide;
words:
  for (int word = 0; word < Elements / From; ++word) {
#pragma HLS PIPELINE II = 1
    const Lanes<Format, From> narrow = in.read();
    const int part = word % (To / From);
  lanes:
    for (int lane = 0; lane < To; ++lane) { // constant places: registers with an enable
#pragma HLS UNROLL
      if (lane / From == part) {
        wide.lane[lane] = narrow.lane[lane % From];
      }
    }
    if (part == To / From - 1) {
      out.write(wide);
    }
  }
}

/// Words of `From` lanes to words of `To` lanes, `To` a divisor; a frame has `Elements` elements.
template <class Format, int From, int To, int Elements>
void split_lanes(Stream<Format, From>& in, Stream<Format, To>& out) {
  static_assert(From % To == 0 && Elements % From == 0, "lanes must divide the frame");
  Lanes<Format, From> wide;
words:
  for (int word = 0; word < Elements / To; ++word) {
#pragma HLS PIPELINE II = 1
    const int part = word % (From / To);
    if (part == 0) {
      wide = in.read();
    }
    Lanes<Format, To> narrow;
  lanes:
    for (int lane = 0; lane < To; ++lane) {
#pragma HLS UNROLL
      narrow.lane[lane] = wide.lane[lane];
    }
  shift:
    for (int lane = 0; lane < From - To; ++lane) {
#pragma HLS UNROLL
      wide.lane[lane] = wide.lane[lane + To];
    }
    out.write(narrow);
  }
}

/// `resize_lanes` where neither count is a multiple of the other: through their least common
/// multiple, which loses no cycle.
template <class Format, int From, int To, int Elements>
void join_and_split_lanes(Stream<Format, From>& in, Stream<Format, To>& out) {
#pragma HLS DATAFLOW
  constexpr int common = std::lcm(From, To);
  Stream<Format, common> between("resize_lanes");
  join_lanes<Format, From, common, Elements>(in, between);
  split_lanes<Format, common, To, Elements>(between, out);
}

/// Words of `From` lanes to words of `To` lanes, both divisors of the `Elements` of a frame.
template <class Format, int From, int To, int Elements>
void resize_lanes(Stream<Format, From>& in, Stream<Format, To>& out) {
#pragma HLS INLINE
  if constexpr (To % From == 0) {
    join_lanes<Format, From, To, Elements>(in, out);
  } else if constexpr (From % To == 0) {
    split_lanes<Format, From, To, Elements>(in, out);
  } else {
    join_and_split_lanes<Format, From, To, Elements>(in, out);
  }
}

} // namespace vecq
