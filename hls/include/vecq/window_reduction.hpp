// SPDX-License-Identifier: Apache-2.0
// Each window reduced to one cell, channel by channel, from the windows' words.
#pragma once

#include "vecq/sliding_window.hpp"

namespace vecq {

/// A fold of channels comes again after this many iterations at most: until then the result of its
/// last cell is kept in registers.  Memory takes its time to be read and written.
constexpr int register_folds = 3;

/// `reduce_windows` of few folds: the results so far move through registers.
template <class Step, class In, class Out, class Window, int LaneCount>
void reduce_in_registers(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out) {
  constexpr int folds = Window::Image::channels / LaneCount;
  Lanes<Out, LaneCount> kept[folds]; // the oldest one last
#pragma HLS ARRAY_PARTITION variable = kept type = complete
positions:
  for (int position = 0; position < Window::positions; ++position) {
  cells:
    for (int cell = 0; cell < Window::cells; ++cell) {
    channels:
      for (int fold = 0; fold < folds; ++fold) {
#pragma HLS PIPELINE II = 1
        const Lanes<In, LaneCount> x = in.read();
        Lanes<Out, LaneCount> result;
      lanes:
        for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
          result.lane[lane] =
              Step::template step<In, Out>(kept[folds - 1].lane[lane], x.lane[lane], cell == 0);
        }
      shift:
        for (int place = folds - 1; place > 0; --place) {
#pragma HLS UNROLL
          kept[place] = kept[place - 1];
        }
        kept[0] = result;
        if (cell == Window::cells - 1) {
          out.write(result);
        }
      }
    }
  }
}

/// `reduce_windows` of many folds: the results so far lie in a memory.
template <class Step, class In, class Out, class Window, int LaneCount>
void reduce_in_memory(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out) {
  constexpr int folds = Window::Image::channels / LaneCount;
  Lanes<Out, LaneCount> kept[folds];
#pragma HLS AGGREGATE variable = kept compact = bit
#pragma HLS DEPENDENCE variable = kept type = inter direction = RAW distance = folds dependent =   \
    true
positions:
  for (int position = 0; position < Window::positions; ++position) {
  cells:
    for (int cell = 0; cell < Window::cells; ++cell) {
    channels:
      for (int fold = 0; fold < folds; ++fold) {
#pragma HLS PIPELINE II = 1
        const Lanes<In, LaneCount> x = in.read();
        Lanes<Out, LaneCount> result;
      lanes:
        for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
          result.lane[lane] =
              Step::template step<In, Out>(kept[fold].lane[lane], x.lane[lane], cell == 0);
        }
        kept[fold] = result;
        if (cell == Window::cells - 1) {
          out.write(result);
        }
      }
    }
  }
}

/// Each window's cells taken together by `Step::step<In, Out>(before, cell, first)`, channel by
/// channel.
template <class Step, class In, class Out, class Window, int LaneCount>
void reduce_windows(Stream<In, LaneCount>& in, Stream<Out, LaneCount>& out) {
#pragma HLS INLINE
  if constexpr (Window::Image::channels / LaneCount <= register_folds) {
    reduce_in_registers<Step, In, Out, Window, LaneCount>(in, out);
  } else {
    reduce_in_memory<Step, In, Out, Window, LaneCount>(in, out);
  }
}

} // namespace vecq
