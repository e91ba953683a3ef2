// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// Of each row of a list the sum of the positions that it names, channel by channel, each shifted
/// left as far as its entry says.
///
/// The whole image is kept.  One word per cycle: all words of an entry before the next one.
///
/// @param positions  of each entry, those of a row one behind the other; negative where the row is
///                   empty, which is an entry, too
/// @param shifts     of each entry
/// @param ends       of each entry whether it is its row's last
template <class In, class Out, int Positions, int Channels, int Entries, int LaneCount,
          class Position, class Shift, class End>
void gather_sum(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out,
                const Position (&positions)[Entries], const Shift (&shifts)[Entries],
                const End (&ends)[Entries]) {
  static_assert(Channels % LaneCount == 0, "lanes must divide the channels");
  using Sum = typename Out::Sum;
  constexpr int folds = Channels / LaneCount;
  Lanes<In, LaneCount> image[Positions * folds];
#pragma HLS AGGREGATE variable = image compact = bit
  Sum sums[folds][LaneCount];
#pragma HLS ARRAY_PARTITION variable = sums type = complete dim = 0

store:
  for (int word = 0; word < Positions * folds; ++word) {
#pragma HLS PIPELINE II = 1
    image[word] = in.read();
  }

  bool first = true;
entries:
  for (int entry = 0; entry < Entries; ++entry) {
  words:
    for (int fold = 0; fold < folds; ++fold) {
#pragma HLS PIPELINE II = 1
      const bool empty = positions[entry] < 0;
      const Lanes<In, LaneCount> x =
          image[static_cast<std::int64_t>(empty ? 0 : positions[entry]) * folds + fold];
      Lanes<Out, LaneCount> y;
    lanes:
      for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
        const Sum element = static_cast<Sum>(
            static_cast<std::int64_t>(static_cast<typename In::Value>(x.lane[lane])));
        const Sum term =
            empty ? Sum{0} : static_cast<Sum>(element << static_cast<int>(shifts[entry]));
        const Sum sum = static_cast<Sum>((first ? Sum{0} : sums[fold][lane]) + term);
        sums[fold][lane] = sum;
        y.lane[lane] = wrap<Out::bits>(sum);
      }
      if (ends[entry] != 0) {
        out.write(y);
      }
      if (fold == folds - 1) {
        first = ends[entry] != 0;
      }
    }
  }
}

} // namespace vecq
