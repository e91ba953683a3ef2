// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// Each element replaced by its entry in a table: entry `x - In::lo` of the only table, or of that
/// of its channel.
///
/// For `Positions` vectors of `Channels` elements, `LaneCount` of them a cycle.
template <class In, class Out, int Positions, int Channels, int LaneCount, int Tables, int Entries,
          class Entry>
void lookup(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out,
            const Entry (&table)[Tables][Entries]) {
  static_assert(Channels % LaneCount == 0, "lanes must divide the channels");
  static_assert(Tables == 1 || Tables == Channels, "one table for all channels, or one for each");
  static_assert(In::lo + Entries - 1 == In::hi, "a table has an entry for each input");
#pragma HLS ARRAY_PARTITION variable = table type = cyclic factor = LaneCount dim = 1
#pragma HLS BIND_STORAGE variable = table type = rom_np
positions:
  for (int position = 0; position < Positions; ++position) {
  folds:
    for (int fold = 0; fold < Channels / LaneCount; ++fold) {
#pragma HLS PIPELINE II = 1
      const Lanes<In, LaneCount> x = in.read();
      Lanes<Out, LaneCount> y;
    lanes:
      for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
        const int own = Tables == 1 ? 0 : fold * LaneCount + lane;
        const int value = static_cast<typename In::Value>(x.lane[lane]);
        y.lane[lane] = static_cast<typename Out::Value>(table[own][value - In::lo]);
      }
      out.write(y);
    }
  }
}

} // namespace vecq
