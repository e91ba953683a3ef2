// SPDX-License-Identifier: Apache-2.0
// Drives a top with vectors from a file and compares what it computes; not for synthesis.
#pragma once

#include "vecq/axis.hpp"

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace vecq {

/// What a testbench returns, as the exit status of a program.
enum TestResult : std::uint8_t { all_equal = 0, some_differ = 1, not_finished = 2 };

/// Holds back what is printed to std::cout: hls::stream reports a starved or a clogged stream
/// there, and nowhere else.
class StreamWarnings {
public:
  StreamWarnings() : before(std::cout.rdbuf(captured.rdbuf())) {}
  ~StreamWarnings() { std::cout.rdbuf(before); }
  StreamWarnings(const StreamWarnings&) = delete;
  StreamWarnings& operator=(const StreamWarnings&) = delete;

  /// The first line printed since construction; empty if there is none.
  std::string first() const {
    std::istringstream lines(captured.str());
    std::string line;
    std::getline(lines, line);
    return line;
  }
  bool any() { return captured.tellp() > 0; }

private:
  std::ostringstream captured;
  std::streambuf* before;
};

/// One integer for each element of a line; false if there are more, fewer or others.
inline bool read_line(std::istream& file, std::vector<std::int64_t>& elements) {
  std::string line;
  if (!std::getline(file, line)) {
    return false;
  }
  std::istringstream integers(line);
  for (std::int64_t& element : elements) {
    if (!(integers >> element)) {
      return false;
    }
  }
  std::string more;
  return !(integers >> more);
}

/// Runs `top` on every line of `inputs.txt` in the folder `vectors`, writes what it computes to
/// the file `computed`, and compares with `outputs.txt`.
///
/// Prints the first differences with vector, element, expected and actual.
template <class Input, class Output>
TestResult testbench(void (*top)(hls::stream<typename Input::Word>&,
                                 hls::stream<typename Output::Word>&),
                     const std::string& vectors, const std::string& computed) {
  std::ifstream inputs(vectors + "/inputs.txt");
  std::ifstream outputs(vectors + "/outputs.txt");
  std::ofstream results(computed);
  if (!inputs || !outputs || !results) {
    std::fprintf(stderr, "cannot open %s/inputs.txt, %s/outputs.txt or %s\n", vectors.c_str(),
                 vectors.c_str(), computed.c_str());
    return not_finished;
  }
  hls::stream<typename Input::Word> s_axis("s_axis");
  hls::stream<typename Output::Word> m_axis("m_axis");
  std::vector<std::int64_t> x(Input::elements), expected(Output::elements);
  long long vector = 0, differences = 0;
  StreamWarnings warnings;
  for (; inputs.peek() != std::ifstream::traits_type::eof(); ++vector) {
    if (!read_line(inputs, x) || !read_line(outputs, expected)) {
      std::fprintf(stderr, "vector %lld: %d inputs and %d outputs are wanted\n", vector,
                   Input::elements, Output::elements);
      return not_finished;
    }
    std::size_t next = 0;
    for (int word = 0; word < Input::words; ++word) {
      typename Input::Word packed;
      packed.data = 0;
      for (int lane = 0; lane < Input::lanes; ++lane) {
        const std::int64_t element = x[next++];
        if (element < Input::Format::lo || element > Input::Format::hi) {
          std::fprintf(stderr, "vector %lld: the input %lld leaves its format\n", vector,
                       static_cast<long long>(element));
          return not_finished;
        }
        constexpr int bits = Input::Format::bits;
        packed.data.range((lane + 1) * bits - 1, lane * bits) = ap_uint<bits>(element);
      }
      packed.last = word == Input::words - 1 ? 1 : 0;
      s_axis.write(packed);
    }
    top(s_axis, m_axis);
    if (warnings.any()) {
      std::fprintf(stderr, "vector %lld: %s\n", vector, warnings.first().c_str());
      return not_finished;
    }
    if (!s_axis.empty() || m_axis.size() != static_cast<std::size_t>(Output::words)) {
      std::fprintf(stderr, "vector %lld: %d words left on s_axis, %d of %d words on m_axis\n",
                   vector, static_cast<int>(s_axis.size()), static_cast<int>(m_axis.size()),
                   Output::words);
      return not_finished;
    }
    for (int word = 0; word < Output::words; ++word) {
      const typename Output::Word packed = m_axis.read();
      if (packed.last != (word == Output::words - 1 ? 1 : 0)) {
        std::fprintf(stderr, "vector %lld: TLAST is wrong on word %d\n", vector, word);
        return not_finished;
      }
      for (int lane = 0; lane < Output::lanes; ++lane) {
        constexpr int bits = Output::Format::bits;
        const ap_uint<bits> code = packed.data.range((lane + 1) * bits - 1, lane * bits);
        const typename Output::Format::Element element = code;
        const std::int64_t actual = static_cast<typename Output::Format::Value>(element);
        const int index = word * Output::lanes + lane;
        results << actual << (index == Output::elements - 1 ? '\n' : ' ');
        if (actual != expected[static_cast<std::size_t>(index)] && ++differences <= 10) {
          std::fprintf(stderr, "vector %lld, element %d: expected %lld, actual %lld\n", vector,
                       index, static_cast<long long>(expected[static_cast<std::size_t>(index)]),
                       static_cast<long long>(actual));
        }
      }
    }
  }
  results.close();
  if (!results || vector == 0) {
    std::fprintf(stderr, vector == 0 ? "there are no vectors\n" : "cannot write the outputs\n");
    return not_finished;
  }
  std::fprintf(stderr, "%lld vectors, %lld outputs, %lld differences\n", vector,
               vector * Output::elements, differences);
  return differences == 0 ? all_equal : some_differ;
}

} // namespace vecq
