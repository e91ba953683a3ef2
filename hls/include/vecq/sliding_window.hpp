// SPDX-License-Identifier: Apache-2.0
// The windows of a convolution or pooling, from an image that streams in raster order.
#pragma once

#include "vecq/stream.hpp"

namespace vecq {

template <int Height, int Width, int Channels>
struct Image {
  static_assert(Height >= 1 && Width >= 1 && Channels >= 1, "an image has no empty axis");
  static constexpr int height = Height, width = Width, channels = Channels;
};

template <int Height, int Width>
struct Kernel {
  static_assert(Height >= 1 && Width >= 1, "a kernel has at least one cell");
  static constexpr int height = Height, width = Width;
};

template <int Down, int Across>
struct Stride {
  static_assert(Down >= 1 && Across >= 1, "a stride is positive");
  static constexpr int down = Down, across = Across;
};

/// Pixels added to an image; as many at the bottom as at the top and on the right as on the left,
/// unless said otherwise.
template <int Top, int Left, int Bottom = Top, int Right = Left>
struct Padding {
  static_assert(Top >= 0 && Left >= 0 && Bottom >= 0 && Right >= 0, "padding is not negative");
  static constexpr int top = Top, left = Left, bottom = Bottom, right = Right;
  static constexpr int rows = Top + Bottom, columns = Left + Right;
};

template <int Down, int Across>
struct Dilation {
  static_assert(Down >= 1 && Across >= 1, "a dilation is positive");
  static constexpr int down = Down, across = Across;
};

/// Whether along one axis each of `outputs` windows of `kernel` cells holds a cell of the image.
constexpr bool windows_reach(int outputs, int kernel, int stride, int dilation, int before,
                             int size) {
  for (int output = 0; output < outputs; ++output) {
    bool reaches = false;
    for (int cell = 0; cell < kernel; ++cell) {
      const int place = output * stride + cell * dilation - before;
      reaches = reaches || (0 <= place && place < size);
    }
    if (!reaches) {
      return false;
    }
  }
  return true;
}

/// Which windows slide over which image.
template <class WindowImage, class WindowKernel, class WindowStride, class WindowPadding,
          class WindowDilation = Dilation<1, 1>>
struct Window {
  using Image = WindowImage;
  using Kernel = WindowKernel;
  using Stride = WindowStride;
  using Padding = WindowPadding;
  using Dilation = WindowDilation;
  /// Rows and columns from a window's first cell to its last, both counted.
  static constexpr int height = Dilation::down * (Kernel::height - 1) + 1;
  static constexpr int width = Dilation::across * (Kernel::width - 1) + 1;
  static_assert(height <= Image::height + Padding::rows && width <= Image::width + Padding::columns,
                "the kernel does not fit the padded image");
  static constexpr int cells = Kernel::height * Kernel::width;
  static constexpr int output_height = (Image::height + Padding::rows - height) / Stride::down + 1;
  static constexpr int output_width =
      (Image::width + Padding::columns - width) / Stride::across + 1;
  static constexpr int positions = output_height * output_width;
  /// Every window is one cell of the image, in order.
  static constexpr bool is_identity = cells == 1 && Stride::down == 1 && Stride::across == 1 &&
                                      Padding::rows == 0 && Padding::columns == 0;
  /// Every window holds a cell of the image.
  static constexpr bool none_is_empty =
      windows_reach(output_height, Kernel::height, Stride::down, Dilation::down, Padding::top,
                    Image::height) &&
      windows_reach(output_width, Kernel::width, Stride::across, Dilation::across, Padding::left,
                    Image::width);
};

/// Each window in raster order, each as its cells in raster order, each cell as its channels;
/// cells outside the image hold `Pad`.
///
/// A window comes `Blocks` times, each time with the next of that many equal parts of the channels.
/// A ring of rows is read for one row of windows while the rows of the next arrive: as many as a
/// window reaches over plus the stride.  Between rows of windows the pipeline is emptied, which the
/// statements between the two loops see to: only so is each word surely in the memory when the next
/// row reads it.
template <class Format, class Window, int LaneCount, std::int64_t Pad, int Blocks = 1>
void sliding_window(Stream<Format, LaneCount>& in, Stream<Format, LaneCount>& out) {
  using Image = typename Window::Image;
  using Kernel = typename Window::Kernel;
  using Stride = typename Window::Stride;
  using Padding = typename Window::Padding;
  using Dilation = typename Window::Dilation;
  static_assert(Image::channels % (Blocks * LaneCount) == 0, "lanes must divide the channels");
  static_assert(least(Format::bits, Format::is_signed) <= Pad &&
                    Pad <= greatest(Format::bits, Format::is_signed),
                "the padding does not fit the format's bits");
  constexpr int folds = Image::channels / LaneCount;
  constexpr int block_folds = folds / Blocks;
  constexpr int row_words = Image::width * folds;
  constexpr int ring_rows = Window::height + Stride::down;
  constexpr int ring_words = ring_rows * row_words;
  constexpr int window_words = Window::output_width * Window::cells * folds;
  constexpr int arriving_words = Stride::down * row_words;
  constexpr int steps = window_words > arriving_words ? window_words : arriving_words;
  constexpr int image_words = Image::height * row_words;
  constexpr int first_rows = Window::height - Padding::top;
  constexpr int first_words = (first_rows < 0               ? 0
                               : first_rows > Image::height ? Image::height
                                                            : first_rows) *
                              row_words;
  Lanes<Format, LaneCount> ring[ring_words];
#pragma HLS AGGREGATE variable = ring compact = bit
#pragma HLS DEPENDENCE variable = ring type = inter dependent = false // rows read are complete
  int received = 0; // words of the image that have arrived
  int write = 0;    // where in the ring the next one goes
first_rows:
  for (; received < first_words; ++received) {
#pragma HLS PIPELINE II = 1
    ring[write] = in.read();
    write = write == ring_words - 1 ? 0 : write + 1;
  }
  int y = -Padding::top; // image row of the window's first
  // Where the window's first row lies in the ring; a row above the image is never read.
  int first_slot = (ring_rows - Padding::top % ring_rows) % ring_rows;
rows:
  for (int output_row = 0; output_row < Window::output_height; ++output_row) {
    int x = -Padding::left; // image column of the window's first
    int kernel_row = 0, kernel_column = 0, first_fold = 0, fold = 0;
    int slot = first_slot;
    const int due_rows = y + Stride::down + Window::height;
    const int due = due_rows < 0               ? 0
                    : due_rows > Image::height ? image_words
                                               : due_rows * row_words;
  windows:
    for (int step = 0; step < steps; ++step) {
#pragma HLS PIPELINE II = 1
      if (step < window_words) {
        const int row = y + Dilation::down * kernel_row;
        const int column = x + Dilation::across * kernel_column;
        Lanes<Format, LaneCount> word;
        if (0 <= row && row < Image::height && 0 <= column && column < Image::width) {
          word = ring[slot * row_words + column * folds + first_fold + fold];
        } else {
        pad:
          for (int lane = 0; lane < LaneCount; ++lane) {
#pragma HLS UNROLL
            word.lane[lane] = Pad;
          }
        }
        out.write(word);
        if (++fold == block_folds) {
          fold = 0;
          if (++kernel_column == Kernel::width) {
            kernel_column = 0;
            slot += slot < ring_rows - Dilation::down ? Dilation::down : Dilation::down - ring_rows;
            if (++kernel_row == Kernel::height) {
              kernel_row = 0;
              slot = first_slot;
              first_fold += block_folds;
              if (first_fold == folds) {
                first_fold = 0;
                x += Stride::across;
              }
            }
          }
        }
      }
      if (received < due) {
        ring[write] = in.read();
        write = write == ring_words - 1 ? 0 : write + 1;
        ++received;
      }
    }
    y += Stride::down;
    first_slot = (first_slot + Stride::down) % ring_rows;
  }
rest:
  for (; received < image_words; ++received) { // rows that no window reaches
#pragma HLS PIPELINE II = 1
    (void)in.read();
  }
}

} // namespace vecq
