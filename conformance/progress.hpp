// Tells on stderr how far a run is.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "conformance/result.hpp"

namespace flagos::conformance {

class Progress {
 public:
  // `total` runs of cases are to be expected. Silent when it is told so.
  Progress(std::size_t total, bool verbose, bool silent);

  void add(const CaseResult& result, const std::string& repro);
  // A line of its own.
  void say(const std::string& text) const;
  // The closing line.
  void finish() const;

 private:
  std::string counts() const;

  std::size_t total_;
  bool verbose_;
  bool silent_;
  double start_;
  double last_line_;
  std::size_t done_ = 0;
  std::array<std::size_t, status_count> by_status_{};
};

}  // namespace flagos::conformance
