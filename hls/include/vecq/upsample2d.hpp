// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vecq/sliding_window.hpp"

namespace vecq {

/// Each pixel of a channels-last image `Down` times down and `Across` times across.
///
/// A row is kept for its repetitions.
template <class Format, class Image, int Down, int Across, int LaneCount>
void upsample2d(Stream<Format, LaneCount>& in, Stream<Format, LaneCount>& out) {
  static_assert(Down >= 1 && Across >= 1, "a factor is positive");
  static_assert(Image::channels % LaneCount == 0, "lanes must divide the channels");
  constexpr int folds = Image::channels / LaneCount;
  Lanes<Format, LaneCount> row[Image::width * folds];
#pragma HLS AGGREGATE variable = row compact = bit
rows:
  for (int y = 0; y < Image::height; ++y) {
  down:
    for (int copy = 0; copy < Down; ++copy) {
    columns:
      for (int x = 0; x < Image::width; ++x) {
      across:
        for (int repeat = 0; repeat < Across; ++repeat) {
        channels:
          for (int fold = 0; fold < folds; ++fold) {
#pragma HLS PIPELINE II = 1
            if (copy == 0 && repeat == 0) {
              row[x * folds + fold] = in.read();
            }
            out.write(row[x * folds + fold]);
          }
        }
      }
    }
  }
}

} // namespace vecq
