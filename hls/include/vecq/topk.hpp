// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

/// Of each of `Positions` positions the indices of its `Count` largest channels, the largest first,
/// of equal ones the lowest index first.
///
/// A list holds the largest so far in their order; an element takes the place of the first that it
/// exceeds, and those behind move down by one.
template <class In, class Out, int Channels, int Count, int Positions>
void topk(Stream<In, 1>& in, Stream<Out, 1>& out) {
  using Value = typename In::Value;
  static_assert(1 <= Count && Count <= Channels, "there must be so many channels");
  Value largest[Count] = {};
  int index[Count] = {};
#pragma HLS ARRAY_PARTITION variable = largest type = complete
#pragma HLS ARRAY_PARTITION variable = index type = complete
positions:
  for (int position = 0; position < Positions; ++position) {
  steps:
    for (int step = 0; step < Channels + Count; ++step) {
#pragma HLS PIPELINE II = 1
      if (step < Channels) {
        const Lanes<In, 1> x = in.read();
        const Value element = static_cast<Value>(x.lane[0]);
      insert:
        for (int place = Count - 1; place >= 0; --place) { // from the end: each reads the old list
#pragma HLS UNROLL
          const int before = place > 0 ? place - 1 : 0;
          const bool exceeds_before = place > 0 && (before >= step || element > largest[before]);
          if (exceeds_before) {
            largest[place] = largest[before];
            index[place] = index[before];
          } else if (place >= step || element > largest[place]) {
            largest[place] = element;
            index[place] = step;
          }
        }
      } else {
        Lanes<Out, 1> y;
        y.lane[0] = index[0];
        out.write(y);
      move:
        for (int place = 0; place < Count - 1; ++place) {
#pragma HLS UNROLL
          index[place] = index[place + 1];
        }
      }
    }
  }
}

} // namespace vecq
