// SPDX-License-Identifier: Apache-2.0
// Appends the frame that a stream holds to a file, element by element as plain integers: what a
// layer computed, for tests.
#pragma once

#include "vecq/stream.hpp"

#include <fstream>
#include <map>
#include <string>

template <class Format, int Count>
void tap(hls::stream<vecq::Lanes<Format, Count>>& stream, const char* path) {
  static std::map<std::string, std::ofstream> files;
  std::ofstream& file = files.try_emplace(path, path, std::ios::binary).first->second;
  for (std::size_t words = stream.size(); words > 0; --words) {
    const vecq::Lanes<Format, Count> x = stream.read();
    for (int lane = 0; lane < Count; ++lane) {
      const typename Format::Value element = x.lane[lane];
      file.write(reinterpret_cast<const char*>(&element), sizeof element);
    }
    stream.write(x);
  }
}
