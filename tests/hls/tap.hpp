// SPDX-License-Identifier: Apache-2.0
// Copies the frame that a stream holds to a file: what a layer computed, for tests.
#pragma once

#include "vecq/stream.hpp"

#include <cstdio>
#include <fstream>
#include <map>
#include <string>

template <class Format, int Count>
void tap(hls::stream<vecq::Lanes<Format, Count>>& stream, const char* path) {
  static std::map<std::string, std::ofstream> files;
  std::ofstream& file = files.try_emplace(path, path).first->second;
  for (std::size_t words = stream.size(); words > 0; --words) {
    const vecq::Lanes<Format, Count> x = stream.read();
    for (int lane = 0; lane < Count; ++lane) {
      file << static_cast<typename Format::Value>(x.lane[lane]) << ' ';
    }
    stream.write(x);
  }
  file << '\n';
}
